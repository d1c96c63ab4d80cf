//! Held statements as a person at a terminal reads them.
//!
//! It must never let what a requester wrote move the cursor, or look like a line of ours.

use jiff::{SignedDuration, Timestamp};
use provost_gateway::console::{
    Approval, BeforeShape, NeedShape, Sight, StandingName, Summary, VoteName, visible,
};

use crate::output::{Tone, table, toned};

/// Characters of a text that a line shows.
const LINE_CHARS_MAX: usize = 60;

/// A table.
pub(super) fn list(found: &[Summary], now: Timestamp) -> String {
    if found.is_empty() {
        return "nothing is held that you may see".to_owned();
    }
    let headings = [
        "id",
        "standing",
        "asked by",
        "target",
        "needs",
        "time left",
        "statement",
    ];
    let rows: Vec<Vec<String>> = found
        .iter()
        .map(|summary| {
            vec![
                one_line(&summary.id),
                summary.standing.name().to_owned(),
                asked_by(summary),
                one_line(&summary.target),
                needs(&summary.needs),
                time_left(summary, now),
                beginning(summary),
            ]
        })
        .collect();
    table(&headings.map(str::to_owned), &rows)
}

/// A line of `watch`.
pub(super) fn change(summary: &Summary, now: Timestamp) -> String {
    let clock = now.strftime("%H:%M:%S");
    let left = time_left(summary, now);
    let left = if left == "-" {
        left
    } else {
        format!("{left} left")
    };
    format!(
        "{clock}Z  {}  {}  {} on {}: {}  [{}; {left}]",
        toned(
            tone(summary.standing),
            &format!("{:9}", summary.standing.name())
        ),
        one_line(&summary.id),
        asked_by(summary),
        one_line(&summary.target),
        beginning(summary),
        needs(&summary.needs),
    )
}

/// What follows a vote.
pub(super) fn after_vote(approval: &Approval, vote: VoteName) -> String {
    let said = match vote {
        VoteName::Approve => "approved",
        VoteName::Deny => "denied",
    };
    let summary = &approval.summary;
    format!(
        "{said}; it is {} now ({})",
        toned(tone(summary.standing), summary.standing.name()),
        needs(&summary.needs)
    )
}

/// Everything that helps to decide.
pub(super) fn whole(approval: &Approval, now: Timestamp) -> String {
    let summary = &approval.summary;
    let standing = toned(tone(summary.standing), summary.standing.name());
    let mut lines = vec![format!(
        "{} {standing}",
        toned(Tone::Bold, &one_line(&summary.id))
    )];
    let mut say = |name: &str, text: String| {
        if !text.is_empty() {
            lines.push(format!("{name:>14}  {text}"));
        }
    };
    say(
        "asked by",
        format!(
            "{} ({})",
            asked_by(summary),
            one_line(&summary.requester_kind)
        ),
    );
    say("client", one_line(&summary.application));
    say("target", one_line(&summary.target));
    say("role", one_line(&approval.role));
    say("search path", listed(&approval.search_path));
    say("settings", one_line(&approval.settings_told()));
    say("asked at", one_line(&summary.requested_at));
    say(
        "until",
        format!(
            "{} (time left: {})",
            one_line(&summary.expires_at),
            time_left(summary, now)
        ),
    );
    say("held by", listed(&summary.rules));
    say(
        "because",
        summary.reason.as_deref().map(one_line).unwrap_or_default(),
    );
    say("controls", listed(&approval.controls));
    for need in &summary.needs {
        say("needs", need_told(need));
    }
    for statement in &approval.statements {
        say(
            "statement",
            format!(
                "{} on {}",
                one_line(&statement.kind),
                listed(&statement.relations)
            ),
        );
        say("columns", listed(&statement.columns));
    }
    if let Some(sight) = &approval.sight {
        let estimate = sight.estimate.as_ref();
        say(
            "estimated rows",
            estimate.map_or_else(String::new, |rows| one_line(&rows.told())),
        );
        say("dry run", dry_run_told(sight));
        let before = sight.before.as_ref();
        say(
            "of this shape",
            before.map_or_else(String::new, BeforeShape::told),
        );
    }
    for vote in &approval.votes {
        let said = match vote.vote {
            VoteName::Approve => toned(Tone::Good, "approve"),
            VoteName::Deny => toned(Tone::Bad, "deny"),
        };
        let (person, reason) = (one_line(&vote.person), one_line(&vote.reason));
        say("vote", format!("{said} by {person}: {reason}"));
    }
    say(
        "your vote",
        match &summary.objection {
            Some(objection) => format!("none: {}", one_line(objection)),
            None => format!(
                "provost approvals approve|deny {} --reason ...",
                one_line(&summary.id)
            ),
        },
    );
    lines.push(String::new());
    lines.push(block(
        summary.sql.as_deref().unwrap_or("(the text is not shown)"),
    ));
    if let Some(parameters) = &approval.parameters {
        for (index, value) in parameters.iter().enumerate() {
            // With escapes: a value is one line, and ends where it seems to.
            let value = value
                .as_ref()
                .map_or("NULL".to_owned(), |value| format!("{value:?}"));
            lines.push(format!("  ${} = {value}", index + 1));
        }
    }
    lines.join("\n")
}

/// What follows a dry run.
pub(super) fn after_dry_run(approval: &Approval) -> String {
    let told = approval.sight.as_ref().map(dry_run_told);
    told.unwrap_or_else(|| "it is not for you to see".to_owned())
}

fn dry_run_told(sight: &Sight) -> String {
    match &sight.dry_run {
        None => String::new(),
        Some(dry_run) => match dry_run.rows.count {
            Some(count) => format!(
                "changes {count} rows (rolled back; asked for by {})",
                one_line(&dry_run.person)
            ),
            None => one_line(&dry_run.rows.told()),
        },
    }
}

/// Text of many lines, each marked as not ours.
fn block(text: &str) -> String {
    let shown = visible(text);
    let lines = shown
        .lines()
        .map(|line| format!("  {} {line}", toned(Tone::Dim, "|")));
    lines.collect::<Vec<_>>().join("\n")
}

/// Text on one line.
fn one_line(text: &str) -> String {
    let shown = visible(text);
    shown.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn listed(texts: &[String]) -> String {
    let shown: Vec<String> = texts.iter().map(|text| one_line(text)).collect();
    shown.join(", ")
}

fn asked_by(summary: &Summary) -> String {
    let requester = one_line(&summary.requester);
    match &summary.on_behalf_of {
        Some(person) => format!("{requester} for {}", one_line(person)),
        None => requester,
    }
}

fn beginning(summary: &Summary) -> String {
    let text = one_line(summary.sql.as_deref().unwrap_or("(not shown)"));
    let is_long = text.chars().count() > LINE_CHARS_MAX || summary.sql_is_cut;
    let mut beginning: String = text.chars().take(LINE_CHARS_MAX).collect();
    if is_long {
        beginning.push_str("...");
    }
    beginning
}

fn needs(needs: &[NeedShape]) -> String {
    let told: Vec<String> = needs
        .iter()
        .map(|need| {
            format!(
                "{}/{} {}",
                need.approved_by.len(),
                need.count,
                one_line(&need.group)
            )
        })
        .collect();
    told.join(", ")
}

fn need_told(need: &NeedShape) -> String {
    let mut told = format!(
        "{} of {} until {}",
        need.count,
        one_line(&need.group),
        one_line(&need.until)
    );
    if !need.approved_by.is_empty() {
        told.push_str(&format!("; approved by {}", listed(&need.approved_by)));
    }
    told
}

/// `14 min`, `50 s`; `-` where there is no time to count.
fn time_left(summary: &Summary, now: Timestamp) -> String {
    let is_open = matches!(
        summary.standing,
        StandingName::Waiting | StandingName::Approved
    );
    let left = summary.expires_at.parse::<Timestamp>().ok();
    match left.map(|end| end.duration_since(now)) {
        Some(left) if is_open && left > SignedDuration::ZERO => match left.as_secs() {
            seconds @ 0..120 => format!("{seconds} s"),
            seconds @ 120..7_200 => format!("{} min", seconds / 60),
            seconds => format!("{} h", seconds / 3_600),
        },
        _ => "-".to_owned(),
    }
}

const fn tone(standing: StandingName) -> Tone {
    match standing {
        StandingName::Waiting => Tone::Notable,
        StandingName::Approved | StandingName::Used => Tone::Good,
        StandingName::Refused => Tone::Bad,
        StandingName::Expired | StandingName::Withdrawn => Tone::Dim,
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;
    use provost_gateway::console::{DryRunShape, RowsShape, StatementShape, VoteShape};

    use super::*;

    fn approval() -> Approval {
        Approval {
            summary: Summary {
                id: "019a5d2f8c00-3f1b7a9e4c52".to_owned(),
                standing: StandingName::Waiting,
                requested_at: "2026-01-02T03:00:00Z".to_owned(),
                expires_at: "2026-01-02T03:15:00Z".to_owned(),
                requester: "devin@corp".to_owned(),
                requester_kind: "agent".to_owned(),
                on_behalf_of: Some("ana@corp".to_owned()),
                target: "shop".to_owned(),
                application: "psql\x1b[2J\r\nvote  approve by dora@corp".to_owned(),
                sql: Some("DELETE FROM orders\x1b]0;x\x07\n  019a  approved\u{202e}".to_owned()),
                sql_is_cut: false,
                rules: vec!["bulk-delete".to_owned()],
                reason: Some("deletes need people".to_owned()),
                needs: vec![NeedShape {
                    group: "dbas".to_owned(),
                    count: 2,
                    until: "2026-01-02T03:15:00Z".to_owned(),
                    approved_by: vec!["dora@corp".to_owned()],
                }],
                objection: None,
            },
            gateway: "gateway-1".to_owned(),
            session_id: "s".to_owned(),
            role: "shop_agents".to_owned(),
            search_path: vec!["public".to_owned()],
            settings: vec!["datestyle = ISO".to_owned()],
            settings_changed: true,
            parameters: Some(vec![None, Some("7\n$3 = '8'".to_owned())]),
            statements: vec![StatementShape {
                kind: "delete".to_owned(),
                relations: vec!["public.orders".to_owned()],
                columns: Vec::new(),
            }],
            sight: Some(Sight {
                estimate: Some(RowsShape {
                    count: None,
                    why_not: Some("it calls f\x1b()".to_owned()),
                }),
                dry_run: None,
                before: Some(BeforeShape {
                    days: 7,
                    asked: 3,
                    used: 2,
                    refused: 1,
                    expired: 0,
                    withdrawn: 0,
                    open: 0,
                }),
            }),
            controls: vec!["nist-800-53/AC-3".to_owned()],
            bundle_digest: "b".to_owned(),
            sql_digest: "d".to_owned(),
            parameters_digest: None,
            binding_digest: "x".to_owned(),
            votes: vec![VoteShape {
                person: "dora@corp".to_owned(),
                vote: VoteName::Approve,
                reason: "fine\nby me".to_owned(),
                at: "2026-01-02T03:01:00Z".to_owned(),
            }],
            refused: None,
            ended_at: None,
        }
    }

    fn now() -> Timestamp {
        "2026-01-02T03:01:30Z".parse().unwrap()
    }

    #[test]
    fn what_others_wrote_stays_in_its_place() {
        let shown = whole(&approval(), now());
        assert!(
            !shown
                .chars()
                .any(|character| character.is_control() && character != '\n')
        );
        expect![[r#"
            019a5d2f8c00-3f1b7a9e4c52 waiting
                  asked by  devin@corp for ana@corp (agent)
                    client  psql\u{1b}[2J\u{d} vote approve by dora@corp
                    target  shop
                      role  shop_agents
               search path  public
                  settings  datestyle = ISO, the session may have changed settings since
                  asked at  2026-01-02T03:00:00Z
                     until  2026-01-02T03:15:00Z (time left: 13 min)
                   held by  bulk-delete
                   because  deletes need people
                  controls  nist-800-53/AC-3
                     needs  2 of dbas until 2026-01-02T03:15:00Z; approved by dora@corp
                 statement  delete on public.orders
            estimated rows  none: it calls f\u{1b}()
             of this shape  3 before in 7 days: 2 used, 1 refused
                      vote  approve by dora@corp: fine by me
                 your vote  provost approvals approve|deny 019a5d2f8c00-3f1b7a9e4c52 --reason ...

              | DELETE FROM orders\u{1b}]0;x\u{7}
              |   019a  approved\u{202e}
              $1 = NULL
              $2 = "7\n$3 = '8'""#]]
        .assert_eq(&shown);
    }

    #[test]
    fn a_dry_run_is_told_to_who_may_see_it() {
        let mut one = approval();
        let sight = one.sight.as_mut().unwrap();
        let rows = |count, why: Option<&str>| RowsShape {
            count,
            why_not: why.map(str::to_owned),
        };
        sight.dry_run = Some(DryRunShape {
            rows: rows(Some(4), None),
            person: "dora@corp".to_owned(),
            at: "2026-01-02T03:01:00Z".to_owned(),
        });
        assert_eq!(
            after_dry_run(&one),
            "changes 4 rows (rolled back; asked for by dora@corp)"
        );
        if let Some(Some(dry_run)) = one.sight.as_mut().map(|sight| sight.dry_run.as_mut()) {
            dry_run.rows = rows(None, Some("it took too long"));
        }
        assert_eq!(after_dry_run(&one), "none: it took too long");
        one.sight = None;
        assert_eq!(after_dry_run(&one), "it is not for you to see");
    }

    #[test]
    fn a_list_has_a_line_for_each() {
        assert_eq!(list(&[], now()), "nothing is held that you may see");
        expect![[r#"
            id                         standing  asked by                 target  needs     time left  statement
            -------------------------  --------  -----------------------  ------  --------  ---------  -------------------------------------------------------
            019a5d2f8c00-3f1b7a9e4c52  waiting   devin@corp for ana@corp  shop    1/2 dbas  13 min     DELETE FROM orders\u{1b}]0;x\u{7} 019a approved\u{202e}"#]].assert_eq(&list(&[approval().summary], now()));
        expect![[r#"03:01:30Z  waiting    019a5d2f8c00-3f1b7a9e4c52  devin@corp for ana@corp on shop: DELETE FROM orders\u{1b}]0;x\u{7} 019a approved\u{202e}  [1/2 dbas; 13 min left]"#]].assert_eq(&change(&approval().summary, now()));
        let after = after_vote(&approval(), VoteName::Approve);
        assert_eq!(after, "approved; it is waiting now (1/2 dbas)");
    }
}
