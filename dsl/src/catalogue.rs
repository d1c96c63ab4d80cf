//! The built-in catalogues of controls that `satisfies` may name. Facts of the frameworks' owners; never invented ids.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::LazyLock,
};

use serde::Deserialize;

/// The files, embedded at build time.
const FILES: &[&str] = &[
    include_str!("../../policies/controls/ffiec-aio.toml"),
    include_str!("../../policies/controls/ffiec-cat.toml"),
    include_str!("../../policies/controls/ffiec-is.toml"),
    include_str!("../../policies/controls/nist-800-53.toml"),
    include_str!("../../policies/controls/nist-800-171.toml"),
    include_str!("../../policies/controls/nist-ai-rmf.toml"),
    include_str!("../../policies/controls/nist-csf.toml"),
];

/// A framework's controls, of every version that is known.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Framework {
    /// Its id in policies and evidence: `nist-800-53`.
    #[serde(rename = "framework")]
    pub id: String,
    /// Its name for people.
    pub name: String,
    /// Control ids and titles, by version.
    pub versions: BTreeMap<String, BTreeMap<String, String>>,
    /// What evidence bears on a control, by its id; a control without an entry has no query.
    #[serde(default)]
    pub evidence: BTreeMap<String, Bearing>,
}

/// What a gateway's evidence says about a control. It never says that a control is satisfied.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bearing {
    /// The measure that counts the evidence: a file below `policies/controls/sql/measures`, without its ending.
    pub measure: String,
    /// Why it bears on the control; one sentence.
    pub bears: String,
    /// What it does not show; one sentence.
    pub lacks: String,
}

impl Framework {
    /// A control's title, in the first version that has it.
    #[must_use]
    pub fn title(&self, control: &str) -> Option<&str> {
        self.versions
            .values()
            .find_map(|controls| controls.get(control))
            .map(String::as_str)
    }

    /// Every control id of every version.
    pub fn controls(&self) -> impl Iterator<Item = &str> {
        self.versions
            .values()
            .flat_map(BTreeMap::keys)
            .map(String::as_str)
            .collect::<BTreeSet<_>>()
            .into_iter()
    }
}

/// Every framework, sorted by id.
///
/// The files are part of the program and a test reads them all; one that can't be read has no controls.
pub fn frameworks() -> &'static [Framework] {
    static FRAMEWORKS: LazyLock<Vec<Framework>> = LazyLock::new(|| {
        let mut frameworks: Vec<Framework> = FILES
            .iter()
            .filter_map(|file| toml::from_str(file).ok())
            .collect();
        frameworks.sort_by(|left, right| left.id.cmp(&right.id));
        frameworks
    });
    &FRAMEWORKS
}

/// The framework of that id.
#[must_use]
pub fn framework(id: &str) -> Option<&'static Framework> {
    frameworks().iter().find(|framework| framework.id == id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_catalogue_is_read() {
        let counts: Vec<(&str, usize)> = frameworks()
            .iter()
            .map(|framework| (&*framework.id, framework.controls().count()))
            .collect();
        assert_eq!(
            counts,
            [
                ("ffiec-aio", 33),
                ("ffiec-cat", 27),
                ("ffiec-is", 40),
                ("nist-800-171", 113),
                ("nist-800-53", 299),
                ("nist-ai-rmf", 22),
                ("nist-csf", 42),
            ]
        );
    }

    #[test]
    fn every_control_has_a_title() {
        for framework in frameworks() {
            for control in framework.controls() {
                assert!(
                    framework
                        .title(control)
                        .is_some_and(|title| !title.trim().is_empty()),
                    "{control}"
                );
            }
        }
    }

    #[test]
    fn what_bears_on_a_control_is_said_in_a_sentence_each_and_of_controls_that_there_are() {
        let is_sentence = |text: &str| text.ends_with('.') && text.matches(". ").count() == 0;
        for framework in frameworks() {
            assert!(!framework.evidence.is_empty(), "{}", framework.id);
            for (control, bearing) in &framework.evidence {
                assert!(framework.title(control).is_some(), "{control}");
                assert!(is_sentence(&bearing.bears), "{control}: {}", bearing.bears);
                assert!(is_sentence(&bearing.lacks), "{control}: {}", bearing.lacks);
            }
        }
    }

    #[track_caller]
    fn check(id: &str, control: &str, expected: Option<&str>) {
        assert_eq!(
            framework(id).and_then(|framework| framework.title(control)),
            expected
        );
    }

    #[test]
    fn titles() {
        check(
            "nist-800-53",
            "AC-3(11)",
            Some("Access Enforcement | Restrict Access to Specific Information Types"),
        );
        check("nist-800-53", "AC-3(99)", None);
        check("nist-csf", "AC-3", None);
        check("nist", "AC-3", None);
    }
}
