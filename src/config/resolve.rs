//! Reads the files and secrets a checked configuration names, into what the gateway takes.

use std::{path::Path, sync::Arc};

use provost_dsl::bundle::TrustedKey;
use provost_engine::mask::MaskKeys;
use provost_gateway::{
    console,
    identity::IssuerSettings,
    record::EvidenceKey,
    settings::{self, Credential, Secret, Settings, Template},
};

use provost_evidence::{PublicKey, replay::ReplayKey};
use url::Url;

use super::{
    Buttons, ClientTls, Config, Console, ConsoleLogin, ConsoleTls, Error, Mail, Masks, Password,
    Policy, SecretSource, ServerTls, Slack, Target, Webhook, rds, secret,
};

/// The least that a signing secret of Slack's may have; Slack's own have 32.
const SIGNING_SECRET_BYTES_MIN: usize = 32;

/// Everything a start needs, read.
#[derive(Debug)]
pub(crate) struct Resolved {
    /// The gateway's settings.
    pub(crate) settings: Settings,
    /// The issuer's, with its certificate authority.
    pub(crate) issuer: IssuerSettings,
    /// Ed25519, PKCS#8 PEM.
    pub(crate) signing_key: Secret,
    /// Keys the digests.
    pub(crate) digest_key: EvidenceKey,
    /// The evidence store's settings, secrets among them.
    pub(crate) store_settings: Vec<(String, Secret)>,
    /// Whose approvals are believed, beside our own.
    pub(crate) trusted_gateways: Vec<PublicKey>,
    /// Whose bundles are trusted; empty for an unsigned folder.
    pub(crate) trusted_keys: Vec<TrustedKey>,
    /// The console's settings, where there is to be one.
    pub(crate) console: Option<console::Settings>,
}

/// Reads everything; `path` is the configuration's, for errors.
///
/// # Errors
/// [`Error::Secret`], for the first that can't be read.
pub(crate) fn resolve(config: &Config, path: &Path) -> Result<Resolved, Error> {
    let failed = |key: &str| {
        let key = key.to_owned();
        move |source| Error::Secret {
            path: path.to_owned(),
            key,
            source,
        }
    };
    let tls = match &config.tls {
        ClientTls::Off => settings::ClientTls::Off,
        ClientTls::Required { certificate, key } => settings::ClientTls::Required {
            certificate_chain: secret::read_file(certificate)
                .map_err(failed("gateway.tls.certificate"))?,
            key: key.read().map_err(failed("gateway.tls.key"))?,
        },
    };
    let targets = config
        .targets
        .iter()
        .enumerate()
        .map(|(index, configured)| {
            target(configured)
                .map_err(|(key, source)| failed(&format!("target[{index}].{key}"))(source))
        })
        .collect::<Result<Vec<_>, _>>()?;
    let mut issuer = config.issuer.clone();
    if let Some(ca) = &config.issuer_ca {
        issuer.extra_ca = Some(secret::read_file(ca).map_err(failed("issuer.ca"))?);
    }
    let signing_key = config
        .evidence
        .signing_key
        .read()
        .map_err(failed("evidence.signing_key"))?;
    let digest_key = config
        .evidence
        .digest_key
        .read()
        .and_then(|key| {
            EvidenceKey::new(key).map_err(|error| secret::Error::Unfit {
                what: error.to_string(),
            })
        })
        .map_err(failed("evidence.digest_key"))?;
    let store_settings = config
        .evidence
        .store_settings
        .iter()
        .map(|(name, source)| {
            let read = source.read();
            let read = read.map_err(failed(&format!("evidence.store_settings.{name}")));
            read.map(|value| (name.clone(), value))
        })
        .collect::<Result<_, _>>()?;
    let trusted_keys = match &config.policy {
        Policy::UnsignedFolder(_) => Vec::new(),
        Policy::Bundle(bundle) => bundle
            .trusted_keys
            .iter()
            .map(|path| trusted_key(path))
            .collect::<Result<_, _>>()
            .map_err(failed("policy.trusted_keys"))?,
    };
    let mut console = config
        .console
        .as_ref()
        .map(|configured| console_settings(configured, &tls))
        .transpose()
        .map_err(failed("console.client_secret"))?;
    let mut settings = settings(config, tls, targets);
    settings.mask_keys = config
        .masks
        .as_ref()
        .map(mask_keys)
        .transpose()
        .map_err(failed("masks.key"))?;
    settings.replay_key = config
        .replay
        .as_ref()
        .map(|replay| replay_key(&replay.key_id, &replay.key).map(Arc::new))
        .transpose()
        .map_err(failed("replay.key"))?;
    let slack = config.approvals.slack.as_ref().map(slack_settings);
    let slack = slack
        .transpose()
        .map_err(failed("approvals.slack.signing_secret"))?;
    for (index, configured) in config.approvals.webhooks.iter().enumerate() {
        let webhook = webhook(configured, slack.as_ref());
        let webhook = webhook
            .map_err(|(key, source)| failed(&format!("approvals.webhook[{index}].{key}"))(source));
        settings.webhooks.push(webhook?);
    }
    for (index, configured) in config.approvals.mails.iter().enumerate() {
        let mail = mail(configured);
        let mail =
            mail.map_err(|(key, source)| failed(&format!("approvals.mail[{index}].{key}"))(source));
        settings.mails.push(mail?);
    }
    if let Some(console) = &mut console {
        console.slack = slack;
    }
    let trusted_gateways = config.approvals.trusted_gateways.iter();
    let trusted_gateways = trusted_gateways
        .map(|path| public_key(path))
        .collect::<Result<_, _>>()
        .map_err(failed("approvals.trusted_gateways"))?;
    Ok(Resolved {
        trusted_gateways,
        trusted_keys,
        console,
        settings,
        issuer,
        signing_key,
        digest_key,
        store_settings,
    })
}

fn public_key(path: &Path) -> Result<PublicKey, secret::Error> {
    let bytes = secret::read_file(path)?;
    PublicKey::parse(&String::from_utf8_lossy(&bytes)).map_err(|error| secret::Error::Unfit {
        what: format!("`{}`: {error}", path.display()),
    })
}

/// Reads a template.
fn template(path: &Path) -> Result<Template, secret::Error> {
    let text = secret::read_file(path)?;
    let unfit = |what: String| secret::Error::Unfit {
        what: format!("`{}`: {what}", path.display()),
    };
    let text = std::str::from_utf8(&text).map_err(|_| unfit("it is no UTF-8".to_owned()))?;
    Template::parse(text).map_err(|error| unfit(error.to_string()))
}

fn webhook(
    configured: &Webhook,
    slack: Option<&console::SlackSettings>,
) -> Result<settings::Webhook, (&'static str, secret::Error)> {
    let url = configured.url.read().map_err(|source| ("url", source))?;
    let url = std::str::from_utf8(url.reveal()).ok();
    let url = url.and_then(|url| Url::parse(url.trim()).ok());
    let url = url.filter(|url| matches!(url.scheme(), "http" | "https"));
    let template = configured.template.as_deref().map(template);
    let unfit = || secret::Error::Unfit {
        what: "it is not an URL with https".to_owned(),
    };
    Ok(settings::Webhook {
        buttons: match configured.buttons {
            Buttons::Shown => slack.map(|slack| slack.signing_secret.clone()),
            Buttons::None => None,
        },
        url: url.ok_or_else(|| ("url", unfit()))?,
        secret: configured
            .secret
            .read()
            .map_err(|source| ("secret", source))?,
        form: configured.form,
        link: configured.link.clone(),
        template: template
            .transpose()
            .map_err(|source| ("template", source))?,
    })
}

fn mail(configured: &Mail) -> Result<settings::Mail, (&'static str, secret::Error)> {
    let extra_ca = configured.ca.as_deref().map(secret::read_file);
    let login = configured.login.as_ref().map(|(user, password)| {
        let password = password.read();
        password.map(|password| (user.clone(), password))
    });
    let template = configured.template.as_deref().map(template);
    Ok(settings::Mail {
        host: configured.host.as_str().into(),
        port: configured.port,
        tls: configured.tls,
        extra_ca: extra_ca.transpose().map_err(|source| ("ca", source))?,
        login: login.transpose().map_err(|source| ("password", source))?,
        from: configured.from.clone(),
        to: configured.to.clone(),
        link: configured.link.clone(),
        template: template
            .transpose()
            .map_err(|source| ("template", source))?,
    })
}

fn slack_settings(configured: &Slack) -> Result<console::SlackSettings, secret::Error> {
    let signing_secret = configured.signing_secret.read()?;
    if signing_secret.reveal().len() < SIGNING_SECRET_BYTES_MIN {
        return Err(secret::Error::Unfit {
            what: format!(
                "has less than {SIGNING_SECRET_BYTES_MIN} bytes: it is not what Slack calls the app's signing secret"
            ),
        });
    }
    Ok(console::SlackSettings {
        signing_secret,
        team: configured.team.clone(),
        app: configured.app.clone(),
        people: configured.people.clone(),
    })
}

fn console_settings(
    configured: &Console,
    gateway: &settings::ClientTls,
) -> Result<console::Settings, secret::Error> {
    let login = |login: &ConsoleLogin| {
        let secret = login.client_secret.as_ref().map(SecretSource::read);
        Ok(console::LoginSettings {
            client_id: login.client_id.clone(),
            client_secret: secret.transpose()?,
            scopes: login.scopes.clone(),
        })
    };
    let groups = |groups: &[String]| groups.iter().map(|group| group.as_str().into()).collect();
    Ok(console::Settings {
        listen: configured.listen,
        tls: match configured.tls {
            ConsoleTls::Gateway => gateway.clone(),
            ConsoleTls::Off | ConsoleTls::InFront => settings::ClientTls::Off,
        },
        origin: configured.origin.clone(),
        roles: console::Roles {
            viewers: groups(&configured.viewers),
            auditors: groups(&configured.auditors),
            admins: groups(&configured.admins),
        },
        login: configured.login.as_ref().map(login).transpose()?,
        slack: None,
        times: console::Times::default(),
    })
}

fn trusted_key(path: &Path) -> Result<TrustedKey, secret::Error> {
    let bytes = secret::read_file(path)?;
    let unfit = |what: String| secret::Error::Unfit {
        what: format!("`{}`: {what}", path.display()),
    };
    let text = String::from_utf8(bytes).map_err(|_| unfit("it is not PEM text".to_owned()))?;
    TrustedKey::from_pem(&text).map_err(|error| unfit(error.to_string()))
}

/// The key that recorded statements' inputs are encrypted with, by its id.
///
/// # Errors
/// When the secret can't be read, or is too short.
pub(crate) fn replay_key(id: &str, source: &SecretSource) -> Result<ReplayKey, secret::Error> {
    let secret = source.read()?;
    ReplayKey::new(id, secret.reveal()).map_err(|error| secret::Error::Unfit {
        what: error.to_string(),
    })
}

fn mask_keys(masks: &Masks) -> Result<Arc<MaskKeys>, secret::Error> {
    let secret = masks.key.read()?;
    MaskKeys::new(masks.key_id.as_str(), secret.reveal())
        .map(Arc::new)
        .map_err(|error| secret::Error::Unfit {
            what: error.to_string(),
        })
}

fn settings(config: &Config, tls: settings::ClientTls, targets: Vec<settings::Target>) -> Settings {
    let mut settings = Settings::new(config.listen, tls, targets);
    settings.limits = config.limits;
    settings.tcp = config.tcp;
    settings.catalog_age_max_ms = config.catalog_age_max_ms;
    settings.witness = config.witness;
    settings.durable = config.durable;
    settings.threads = config.threads;
    settings.shutdown_grace_ms = config.shutdown_grace_ms;
    settings
}

/// Reads what one target's entry names; `path` is the configuration's, for errors.
///
/// # Errors
/// [`Error::Secret`].
pub(crate) fn resolve_target(
    config: &Config,
    configured: &Target,
    path: &Path,
) -> Result<settings::Target, Error> {
    let index = config
        .targets
        .iter()
        .position(|one| one.name == configured.name)
        .unwrap_or_default();
    target(configured).map_err(|(key, source)| Error::Secret {
        path: path.to_owned(),
        key: format!("target[{index}].{key}"),
        source,
    })
}

/// What gives a target's password while the gateway runs. A secret is read now, too: what can't be had is said at the start.
fn credential(target: &Target, password: &Password) -> Result<Credential, secret::Error> {
    match password {
        Password::Secret(source) => {
            let first = source.read()?;
            Ok(Credential::asked(
                Arc::new(source.clone()),
                None,
                Some(first),
            ))
        }
        Password::RdsIam { region } => {
            let host = match &target.host {
                settings::Host::Tcp(host) => host.to_string(),
                settings::Host::Unix(folder) => folder.display().to_string(),
            };
            let login = rds::Login {
                host,
                port: target.port,
                user: target.user.clone(),
                region: region.clone(),
            };
            let signer = rds::Signer::new(login).map_err(|unavailable| secret::Error::Unfit {
                what: unavailable.what,
            })?;
            Ok(Credential::asked(
                Arc::new(signer),
                Some(rds::TOKEN_AGE_MAX),
                None,
            ))
        }
    }
}

fn target(target: &Target) -> Result<settings::Target, (&'static str, secret::Error)> {
    let tls = match &target.tls {
        ServerTls::Off => settings::ServerTls::Off,
        ServerTls::Require => settings::ServerTls::Require,
        ServerTls::VerifyFull { roots } => settings::ServerTls::VerifyFull {
            roots: secret::read_file(roots).map_err(|source| ("tls_roots", source))?,
        },
    };
    let password = target
        .password
        .as_ref()
        .map(|password| credential(target, password).map_err(|source| ("password", source)))
        .transpose()?;
    Ok(settings::Target {
        name: target.name.as_str().into(),
        host: target.host.clone(),
        port: target.port,
        database: target.database.as_str().into(),
        user: target.user.as_str().into(),
        roles: target.roles.clone(),
        warm: target.warm,
        replication: target.replication,
        password,
        tls,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signing_secret_is_as_long_as_slacks() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        let slack = Slack {
            signing_secret: SecretSource::File(path.clone()),
            team: "T1".to_owned(),
            app: None,
            people: Vec::new(),
        };
        std::fs::write(&path, "8f742231b10e8888abcd99yyyzzz85a\n").unwrap();
        let short = slack_settings(&slack).unwrap_err().to_string();
        assert!(short.contains("less than 32 bytes"), "{short}");
        assert!(!short.contains("8f742231"), "{short}");
        std::fs::write(&path, "8f742231b10e8888abcd99yyyzzz85a5\n").unwrap();
        assert!(slack_settings(&slack).is_ok());
    }

    #[test]
    fn templates_are_read_at_start() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("approval.txt");
        let missing = template(&path).unwrap_err().to_string();
        assert!(missing.starts_with("could not read"), "{missing}");
        std::fs::write(&path, "{requester} asks\n").unwrap();
        assert!(template(&path).is_ok());
        std::fs::write(&path, "a\n{who} asks\n").unwrap();
        let unknown = template(&path).unwrap_err().to_string();
        assert!(
            unknown.contains("approval.txt`: line 2: there is no placeholder `{who}`"),
            "{unknown}"
        );
        std::fs::write(&path, b"\xff").unwrap();
        let bytes = template(&path).unwrap_err().to_string();
        assert!(bytes.contains("no UTF-8"), "{bytes}");
    }
}
