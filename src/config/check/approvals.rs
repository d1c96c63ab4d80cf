//! `[approvals]`: whose documents are believed, and who is told.

use std::path::Path;

use provost_gateway::settings::WebhookForm;
use url::Url;

use super::{
    super::{Approvals, Buttons, Mail, Webhook, raw},
    Problems, mail, slack,
};

pub(super) fn approvals(
    raw: &raw::Approvals,
    (console, folder): (Option<&raw::Console>, &Path),
    problems: &mut Problems,
) -> Option<Approvals> {
    let trusted = raw.trusted_gateways.iter();
    let webhooks = raw.webhook.iter().enumerate();
    let webhooks: Option<Vec<Webhook>> = webhooks
        .map(|(index, raw)| {
            webhook(
                &format!("approvals.webhook[{index}]"),
                raw,
                folder,
                problems,
            )
        })
        .collect();
    let mails = raw.mail.iter().enumerate();
    let mails: Option<Vec<Mail>> = mails
        .map(|(index, raw)| mail::mail(&format!("approvals.mail[{index}]"), raw, folder, problems))
        .collect();
    let slack = raw.slack.as_ref();
    match (slack, console) {
        (Some(_), None) => problems.add(
            "approvals.slack",
            "needs `[console]`, to which Slack sends what people press",
        ),
        (None, _) => {
            if let Some(index) = raw.webhook.iter().position(|webhook| webhook.buttons) {
                problems.add(
                    format!("approvals.webhook[{index}].buttons"),
                    "needs `[approvals.slack]`: who may press them",
                );
            }
        }
        (Some(_), Some(_)) => {}
    }
    let slack = slack.map(|raw| slack::slack(raw, folder, problems));
    Some(Approvals {
        trusted_gateways: trusted.map(|path| folder.join(path)).collect(),
        webhooks: webhooks?,
        mails: mails?,
        slack: match slack {
            Some(slack) => Some(slack?),
            None => None,
        },
    })
}

fn webhook(
    key: &str,
    raw: &raw::Webhook,
    folder: &Path,
    problems: &mut Problems,
) -> Option<Webhook> {
    let form = problems.choice(
        &format!("{key}.form"),
        raw.form.as_deref(),
        &[("json", WebhookForm::Json), ("slack", WebhookForm::Slack)],
        WebhookForm::Json,
    );
    link(key, raw.link.as_deref(), problems);
    if raw.template.is_some() && form != WebhookForm::Slack {
        problems.add(
            format!("{key}.template"),
            "is for `form = \"slack\"`: programs are sent JSON, which has a form of its own",
        );
    }
    if raw.buttons && form != WebhookForm::Slack {
        problems.add(
            format!("{key}.buttons"),
            "are for `form = \"slack\"`, and a webhook of the very app whose signing secret is in `[approvals.slack]`",
        );
    }
    Some(Webhook {
        buttons: match raw.buttons {
            true => Buttons::Shown,
            false => Buttons::None,
        },
        url: problems.secret(&format!("{key}.url"), &raw.url, folder)?,
        secret: problems.secret(&format!("{key}.secret"), &raw.secret, folder)?,
        form,
        link: raw.link.clone(),
        template: raw.template.as_ref().map(|path| folder.join(path)),
    })
}

/// Checks where people look at approvals.
pub(super) fn link(key: &str, link: Option<&str>, problems: &mut Problems) {
    if let Some(link) = link
        && !Url::parse(link).is_ok_and(|link| matches!(link.scheme(), "http" | "https"))
    {
        problems.add(
            format!("{key}.link"),
            "must be an URL with https: where people look at approvals",
        );
    }
}
