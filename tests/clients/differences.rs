//! The named, reasoned lists of what differs from direct (ruling 14), regression files and tests of libraries, held against what was seen.

use std::collections::BTreeMap;

use crate::suite::{Verdict, Verdicts};

/// What is known to differ: file or test to reason.
pub(crate) struct Differences(BTreeMap<String, String>);

/// The reason of what can't work behind any proxy.
const ANY_PROXY: &str = "any proxy";
/// Stands behind a ruling where a machine that is fast enough shows no difference.
const BY_TIME: &str = ", by time";

impl Differences {
    /// The list of regression files, in `differences.txt`.
    pub(crate) fn read() -> Self {
        Self::parse(include_str!("differences.txt"))
    }

    /// The list of tests of libraries, in `suites.txt`.
    pub(crate) fn of_suites() -> Self {
        Self::parse(include_str!("suites.txt"))
    }

    /// Whether it is known to differ.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    fn parse(text: &str) -> Self {
        let lines = text
            .lines()
            .filter(|line| !line.is_empty() && !line.starts_with('#'));
        let entries = lines.map(|line| {
            let (file, reason) = line
                .split_once(": ")
                .unwrap_or_else(|| panic!("`{line}` is not `file: ruling: why`"));
            let (ruling, why) = reason
                .split_once(": ")
                .unwrap_or_else(|| panic!("`{line}` is not `file: ruling: why`"));
            assert!(
                (ruling.starts_with("ruling ") || ruling == ANY_PROXY) && !why.is_empty(),
                "`{line}` names no ruling"
            );
            (file.to_owned(), reason.to_owned())
        });
        Self(entries.collect())
    }

    /// What is not as the list says. What is as it says is printed.
    pub(crate) fn faults(&self, direct: &Verdicts, gateway: &Verdicts) -> Vec<String> {
        let mut faults = Vec::new();
        for (file, verdict) in direct {
            let through = gateway.get(file);
            match (verdict, through, self.0.get(file)) {
                (Verdict::Failed, ..) => {
                    faults.push(format!("{file}: fails directly, so it says nothing"));
                }
                (Verdict::Passed, Some(Verdict::Passed), None) => {}
                (Verdict::Passed, Some(Verdict::Passed), Some(reason)) if is_by_time(reason) => {}
                (Verdict::Passed, Some(Verdict::Passed), Some(_)) => {
                    faults.push(format!("{file}: passes, and is listed as different"));
                }
                (Verdict::Passed, Some(Verdict::Failed), Some(reason)) => {
                    eprintln!("  {file}: differs: {reason}");
                }
                (Verdict::Passed, Some(Verdict::Failed), None) => {
                    faults.push(format!("{file}: differs, and no reason is listed"));
                }
                (Verdict::Passed, None, _) => {
                    faults.push(format!("{file}: was not run through the gateway"));
                }
            }
        }
        faults
    }
}

fn is_by_time(reason: &str) -> bool {
    let ruling = reason.split_once(": ").map(|(ruling, _)| ruling);
    ruling.is_some_and(|ruling| ruling.ends_with(BY_TIME))
}

#[cfg(test)]
mod tests {
    use super::{Differences, Verdict, Verdicts};

    fn check(direct: Option<Verdict>, gateway: Option<Verdict>, list: &str, expected: &str) {
        let verdicts = |verdict: Option<Verdict>| -> Verdicts {
            verdict
                .into_iter()
                .map(|verdict| ("copy".to_owned(), verdict))
                .collect()
        };
        let faults = Differences::parse(list).faults(&verdicts(direct), &verdicts(gateway));
        assert_eq!(faults.join("\n"), expected);
    }

    #[test]
    fn only_what_is_listed_may_differ() {
        let (passed, failed) = (Some(Verdict::Passed), Some(Verdict::Failed));
        let list = "# why\ncopy: ruling 9: an encoding";
        check(passed, passed, "", "");
        check(passed, failed, list, "");
        check(passed, failed, "", "copy: differs, and no reason is listed");
        check(
            passed,
            passed,
            list,
            "copy: passes, and is listed as different",
        );
        let by_time = "copy: ruling 21, by time: a thousand in a second";
        check(passed, passed, by_time, "");
        check(passed, failed, by_time, "");
        let any_proxy = "copy: any proxy: it stops the server";
        check(passed, failed, any_proxy, "");
        check(passed, None, list, "copy: was not run through the gateway");
        check(
            failed,
            failed,
            list,
            "copy: fails directly, so it says nothing",
        );
    }

    #[test]
    #[should_panic(expected = "names no ruling")]
    fn a_reason_names_its_ruling() {
        Differences::parse("copy: because: I say so");
    }
}
