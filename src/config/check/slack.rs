//! `[approvals.slack]`: who somebody in Slack is, and what they may.

use std::{collections::BTreeSet, path::Path};

use provost_gateway::console::SlackPerson;

use super::{
    super::{Slack, raw},
    Problems,
};

/// People; more are refused.
const PEOPLE_MAX: usize = 256;
/// Groups of one person; more are refused.
const GROUPS_MAX: usize = 64;
/// The longest id of Slack's.
const ID_BYTES_MAX: usize = 32;

pub(super) fn slack(raw: &raw::Slack, folder: &Path, problems: &mut Problems) -> Option<Slack> {
    let key = "approvals.slack";
    let mut id = |key: String, text: &str, starts: &[char], example: &str| {
        let is_id = text.len() <= ID_BYTES_MAX
            && text
                .strip_prefix(starts)
                .is_some_and(|rest| !rest.is_empty())
            && text
                .bytes()
                .all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit());
        if !is_id {
            problems.add(key, format!("must be Slack's id, such as `{example}`"));
        }
    };
    id(format!("{key}.team"), &raw.team, &['T'], "T1DC2JH3J");
    if let Some(app) = &raw.app {
        id(format!("{key}.app"), app, &['A'], "A0KRD7HC3");
    }
    for (index, person) in raw.people.iter().enumerate() {
        let key = format!("{key}.people[{index}].user");
        id(key, &person.user, &['U', 'W'], "U2CERLKJA");
    }
    if raw.people.is_empty() || raw.people.len() > PEOPLE_MAX {
        problems.add(
            format!("{key}.people"),
            format!("must have 1 to {PEOPLE_MAX} people"),
        );
    }
    let (mut users, mut ids) = (BTreeSet::new(), BTreeSet::new());
    let people = raw.people.iter().enumerate();
    let people = people
        .map(|(index, person)| {
            let key = format!("{key}.people[{index}]");
            problems.text(&format!("{key}.id"), &person.id);
            if !users.insert(person.user.as_str()) {
                problems.add(format!("{key}.user"), "stands there twice");
            }
            // As votes are counted: who is alike is taken for the same.
            if !ids.insert(person.id.to_lowercase()) {
                problems.add(
                    format!("{key}.id"),
                    "stands there twice: somebody is one user of Slack",
                );
            }
            for (index, group) in person.groups.iter().enumerate() {
                problems.text(&format!("{key}.groups[{index}]"), group);
            }
            if person.groups.is_empty() || person.groups.len() > GROUPS_MAX {
                problems.add(
                    format!("{key}.groups"),
                    format!("must have 1 to {GROUPS_MAX} groups, as the issuer's tokens have them"),
                );
            }
            SlackPerson {
                user: person.user.clone(),
                id: person.id.as_str().into(),
                groups: person
                    .groups
                    .iter()
                    .map(|group| group.as_str().into())
                    .collect(),
            }
        })
        .collect();
    Some(Slack {
        signing_secret: problems.secret(
            &format!("{key}.signing_secret"),
            &raw.signing_secret,
            folder,
        )?,
        team: raw.team.clone(),
        app: raw.app.clone(),
        people,
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use crate::config::{EXAMPLE, parse};

    const CONSOLE: &str = "[console]\nlisten = \"127.0.0.1:7443\"\n";
    const GOOD: &str = "[approvals.slack]\nsigning_secret = \"env:SLACK\"\nteam = \"T1\"\napp = \"A1\"\n\
        people = [{ user = \"U1\", id = \"dora@corp\", groups = [\"dbas\"] }]\n";

    fn check(section: &str, expected: &str) {
        let text = format!("{EXAMPLE}\n{section}");
        let found = match parse(&text, Path::new("/etc/provost")) {
            Ok(config) => format!("{:?}", config.approvals.slack),
            Err(problems) => {
                let problems: Vec<String> = problems.iter().map(ToString::to_string).collect();
                problems.join("\n")
            }
        };
        assert!(found.contains(expected), "{section}: {found}");
        assert!(!found.contains("hunter2"), "{found}");
    }

    /// The good one with something else in it.
    fn other(from: &str, to: &str, expected: &str) {
        assert!(GOOD.contains(from), "{from}");
        check(
            &format!("{CONSOLE}{}", GOOD.replacen(from, to, 1)),
            expected,
        );
    }

    #[test]
    fn who_somebody_is_is_said_once_and_whole() {
        other(
            "T1",
            "T1",
            "user: \"U1\", id: \"dora@corp\", groups: [\"dbas\"]",
        );
        other("app = \"A1\"\n", "", "app: None");
        check(GOOD, "`approvals.slack`: needs `[console]`");
        for team in ["", "T", "t1", "U1", "T1 ", "T1\\n"] {
            let team = format!("team = \"{team}\"");
            other(
                "team = \"T1\"",
                &team,
                "`approvals.slack.team`: must be Slack's id",
            );
        }
        other("app = \"A1\"", "app = \"T1\"", "`approvals.slack.app`");
        other(
            "user = \"U1\"",
            "user = \"dora\"",
            "`approvals.slack.people[0].user`",
        );
        other(
            "env:SLACK",
            "hunter2",
            "`approvals.slack.signing_secret`: is not a source",
        );
        other("team = \"T1\"\n", "", "missing key `team`");
        other(
            "[\"dbas\"]",
            "[]",
            "`approvals.slack.people[0].groups`: must have",
        );
        other(
            "[\"dbas\"]",
            "[\"\"]",
            "`approvals.slack.people[0].groups[0]`",
        );
        other("dora@corp", "", "`approvals.slack.people[0].id`");
        other(", groups = [\"dbas\"]", "", "missing key `groups`");
        let people = "{ user = \"U1\", id = \"dora@corp\", groups = [\"dbas\"] }";
        other(people, "", "`approvals.slack.people`: must have 1 to 256");
        other(
            "}]",
            "}, { user = \"U1\", id = \"carl@corp\", groups = [\"dbas\"] }]",
            "people[1].user`: stands there twice",
        );
        other(
            "}]",
            "}, { user = \"U2\", id = \"Dora@corp\", groups = [\"dbas\"] }]",
            "people[1].id`: stands there twice",
        );
    }

    #[test]
    fn buttons_are_for_slack_and_need_people() {
        let hook = "[[approvals.webhook]]\nurl = \"env:A\"\nsecret = \"env:B\"\nbuttons = true\n";
        let slack = format!("{hook}form = \"slack\"\n");
        check(&format!("{slack}{CONSOLE}{GOOD}"), "team: \"T1\"");
        check(
            &slack,
            "`approvals.webhook[0].buttons`: needs `[approvals.slack]`",
        );
        check(
            &format!("{hook}{CONSOLE}{GOOD}"),
            "`approvals.webhook[0].buttons`: are for",
        );
    }
}
