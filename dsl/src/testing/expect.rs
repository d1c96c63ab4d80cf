//! Whether a decision is as a test expects, and if not, in which words.

use provost_engine::verdict::{Limits, Recording, Verdict};

use super::{
    case::Expectation,
    decided::{Decided, limits},
};

/// Why a decision is not as expected: what was expected, in the language's words, and what is wrong in short.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mismatch {
    pub(super) expected: String,
    pub(super) wrong: String,
}

/// Compares one expectation with a decision.
pub(super) fn compare(expectation: &Expectation, decided: &Decided) -> Result<(), Mismatch> {
    match wrong(expectation, decided) {
        None => Ok(()),
        Some(wrong) => Err(Mismatch {
            expected: words(expectation),
            wrong,
        }),
    }
}

fn wrong(expectation: &Expectation, decided: &Decided) -> Option<String> {
    match expectation {
        Expectation::Verdict(verdict) => wrong_verdict(*verdict, decided),
        Expectation::By(rule) => {
            (!decided.rules.contains(rule)).then(|| match decided.rules.as_slice() {
                [] => "no rule determined it".to_owned(),
                rules => format!("determined by {}", rules.join(", ")),
            })
        }
        Expectation::Mask { output, .. } if !decided.outputs.contains(output) => {
            Some(no_output(decided))
        }
        Expectation::Mask {
            output,
            transform,
            by,
        } => {
            let masks = decided.masks.iter().filter(|mask| mask.output == *output);
            let mut found = None;
            for mask in masks {
                let wrong = match (transform, by) {
                    (Some(transform), _) if *transform != mask.transform => {
                        format!("masked with {}", mask.transform)
                    }
                    (_, Some(rule)) if !mask.rules.contains(rule) => {
                        format!("masked by {}", mask.rules.join(", "))
                    }
                    _ => return None,
                };
                found = Some(wrong);
            }
            Some(found.unwrap_or_else(|| "not masked".to_owned()))
        }
        Expectation::NoMask { output } if !decided.outputs.contains(output) => {
            Some(no_output(decided))
        }
        Expectation::NoMask { output } => {
            let mask = decided.masks.iter().find(|mask| mask.output == *output)?;
            Some(format!("masked with {}", mask.transform))
        }
        Expectation::Unmasked => {
            let masked: Vec<&str> = decided.masks.iter().map(|mask| &*mask.output).collect();
            match (&decided.refusal, masked.as_slice()) {
                (None, []) => None,
                (Some(_), _) => Some("analysis refuses the text".to_owned()),
                (None, masked) => Some(format!("masked: {}", masked.join(", "))),
            }
        }
        Expectation::Controls(ids) => {
            let missing: Vec<&str> = ids
                .iter()
                .filter(|id| !decided.controls.contains(id))
                .map(|id| &**id)
                .collect();
            (!missing.is_empty()).then(|| match decided.controls.as_slice() {
                [] => "the decision names no control".to_owned(),
                controls => format!("the decision names {}", controls.join(", ")),
            })
        }
        Expectation::Limit(expected) => wrong_limits(expected, &decided.limits),
        Expectation::Record(recording) => (decided.recording != *recording)
            .then(|| format!("recorded as {}", decided.recording.name())),
        Expectation::Reason(text) => {
            let mut said = decided.reasons.iter().chain(&decided.because);
            (!said.any(|reason| reason.contains(&**text))).then(|| {
                let said: Vec<&str> = decided
                    .reasons
                    .iter()
                    .chain(&decided.because)
                    .map(|one| &**one)
                    .collect();
                match said.as_slice() {
                    [] => "no reason was given".to_owned(),
                    said => format!("the reason is: {}", said.join("; ")),
                }
            })
        }
        Expectation::Error => match &decided.refusal {
            Some(_) => None,
            None => Some("the text is analysed".to_owned()),
        },
    }
}

/// A text that PostgreSQL itself would refuse is no proof that a rule denies it.
fn wrong_verdict(expected: Verdict, decided: &Decided) -> Option<String> {
    match &decided.refusal {
        Some(refused) if refused.by_postgres || expected != Verdict::Deny => {
            Some(format!("analysis refuses the text: {}", refused.message))
        }
        _ => (decided.verdict != expected)
            .then(|| format!("the verdict is {}", decided.verdict.name())),
    }
}

fn no_output(decided: &Decided) -> String {
    match decided.outputs.as_slice() {
        [] => "the result has no columns".to_owned(),
        outputs => format!("the result's columns are {}", outputs.join(", ")),
    }
}

fn wrong_limits(expected: &Limits, decided: &Limits) -> Option<String> {
    let as_expected =
        |expected: Option<u64>, decided: Option<u64>| expected.is_none() || expected == decided;
    let all = as_expected(expected.rows, decided.rows)
        && as_expected(expected.bytes, decided.bytes)
        && as_expected(expected.affected_rows, decided.affected_rows)
        && as_expected(expected.time_ms, decided.time_ms)
        && as_expected(expected.rows_per_hour, decided.rows_per_hour)
        && as_expected(expected.bytes_per_hour, decided.bytes_per_hour);
    (!all).then(|| match decided.is_none() {
        true => "no limit".to_owned(),
        false => format!("the limits are {}", limits(decided)),
    })
}

/// In the language's words.
pub(super) fn words(expectation: &Expectation) -> String {
    match expectation {
        Expectation::Verdict(verdict) => verdict.name().to_owned(),
        Expectation::By(rule) => format!("by {rule}"),
        Expectation::Mask {
            output,
            transform,
            by,
        } => {
            let with = transform
                .as_ref()
                .map(|transform| format!(" with {transform}"));
            let by = by.as_ref().map(|rule| format!(" by {rule}"));
            format!(
                "mask {output}{}{}",
                with.unwrap_or_default(),
                by.unwrap_or_default()
            )
        }
        Expectation::NoMask { output } => format!("no mask {output}"),
        Expectation::Unmasked => "unmasked".to_owned(),
        Expectation::Controls(ids) => format!("controls {}", ids.join(", ")),
        Expectation::Limit(expected) => format!("limit {}", limits(expected)),
        Expectation::Record(recording) => format!("record {}", Recording::name(*recording)),
        Expectation::Reason(text) => format!("because {text:?}"),
        Expectation::Error => "error".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use provost_engine::transform::Transform;

    use super::super::decided::{DecidedMask, Refused};
    use super::*;

    fn decided() -> Decided {
        Decided {
            verdict: Verdict::Allow,
            rules: vec!["agents-read".into(), "mask-pii".into()],
            masks: vec![DecidedMask {
                output: "s".into(),
                transform: Transform::Redact,
                rules: vec!["mask-pii".into()],
            }],
            outputs: vec!["id".into(), "s".into()],
            controls: vec!["nist-800-53:AC-3".into()],
            limits: Limits {
                rows: Some(10),
                time_ms: Some(30_000),
                ..Limits::default()
            },
            recording: Recording::Results,
            reasons: vec![],
            because: vec!["agents read the shop".into()],
            refusal: None,
            observed: vec![],
        }
    }

    fn refused(by_postgres: bool) -> Decided {
        Decided {
            verdict: Verdict::Deny,
            refusal: Some(Refused {
                sqlstate: "42P01",
                message: "relation \"x\" does not exist".to_owned(),
                by_postgres,
            }),
            reasons: vec!["relation \"x\" does not exist".into()],
            rules: vec![],
            masks: vec![],
            outputs: vec![],
            ..decided()
        }
    }

    #[track_caller]
    fn check(expectation: &Expectation, decided: &Decided, expected: Option<&str>) {
        let wrong = compare(expectation, decided)
            .err()
            .map(|mismatch| mismatch.wrong);
        assert_eq!(wrong.as_deref(), expected, "{expectation:?}");
    }

    fn mask(output: &str, transform: Option<Transform>, by: Option<&str>) -> Expectation {
        Expectation::Mask {
            output: output.into(),
            transform,
            by: by.map(Arc::from),
        }
    }

    #[test]
    fn every_expectation_holds_and_fails() {
        let allowed = decided();
        let no_mask = |output: &str| Expectation::NoMask {
            output: output.into(),
        };
        let limit = |rows, bytes| {
            Expectation::Limit(Limits {
                rows,
                bytes,
                ..Limits::default()
            })
        };
        for (expectation, expected) in [
            (Expectation::Verdict(Verdict::Allow), None),
            (
                Expectation::Verdict(Verdict::Hold),
                Some("the verdict is allow"),
            ),
            (
                Expectation::Verdict(Verdict::Deny),
                Some("the verdict is allow"),
            ),
            (Expectation::By("mask-pii".into()), None),
            (
                Expectation::By("other".into()),
                Some("determined by agents-read, mask-pii"),
            ),
            (mask("s", None, None), None),
            (mask("s", Some(Transform::Redact), Some("mask-pii")), None),
            (
                mask("s", Some(Transform::Null), None),
                Some("masked with redact"),
            ),
            (mask("s", None, Some("other")), Some("masked by mask-pii")),
            (mask("id", None, None), Some("not masked")),
            (
                mask("ssn", None, None),
                Some("the result's columns are id, s"),
            ),
            (no_mask("id"), None),
            (no_mask("s"), Some("masked with redact")),
            (no_mask("ssn"), Some("the result's columns are id, s")),
            (Expectation::Unmasked, Some("masked: s")),
            (Expectation::Controls(vec!["nist-800-53:AC-3".into()]), None),
            (
                Expectation::Controls(vec!["nist-800-53:AC-6".into()]),
                Some("the decision names nist-800-53:AC-3"),
            ),
            (limit(Some(10), None), None),
            (
                limit(Some(11), None),
                Some("the limits are rows 10 per statement, time 30 s"),
            ),
            (
                limit(None, Some(1)),
                Some("the limits are rows 10 per statement, time 30 s"),
            ),
            (Expectation::Record(Recording::Results), None),
            (
                Expectation::Record(Recording::Digest),
                Some("recorded as results"),
            ),
            (Expectation::Reason("the shop".into()), None),
            (
                Expectation::Reason("hr".into()),
                Some("the reason is: agents read the shop"),
            ),
            (Expectation::Error, Some("the text is analysed")),
        ] {
            check(&expectation, &allowed, expected);
        }
    }

    #[test]
    fn a_slip_in_a_statement_passes_no_test_but_error() {
        let words = "analysis refuses the text: relation \"x\" does not exist";
        for (expectation, expected) in [
            (Expectation::Verdict(Verdict::Allow), Some(words)),
            (Expectation::Verdict(Verdict::Deny), Some(words)),
            (
                Expectation::By("agents-never".into()),
                Some("no rule determined it"),
            ),
            (Expectation::Unmasked, Some("analysis refuses the text")),
            (Expectation::Error, None),
            (Expectation::Reason("does not exist".into()), None),
        ] {
            check(&expectation, &refused(true), expected);
        }
        check(&Expectation::Verdict(Verdict::Deny), &refused(false), None);
        check(
            &Expectation::Verdict(Verdict::Allow),
            &refused(false),
            Some(words),
        );
    }
}
