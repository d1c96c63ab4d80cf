//! The words of the policy language, each with what it means: the one source that the checker, its suggestions and the
//! language's reference read. Never says of a word what the checker does not do.

mod attributes;
mod operations;

use provost_engine::transform::{DESCRIPTIONS, TransformDescription};

pub use self::{
    attributes::{ATTRIBUTES, Attribute, Of},
    operations::{OPERATIONS, OperationWord, SETS, SetWord},
};
pub(crate) use self::{
    attributes::{
        AUTHENTICATIONS, KINDS, PRINCIPAL_KINDS, Reading, USES, find, known_names, nearest_claim,
        nearest_name,
    },
    operations::COLUMN_OPERATIONS,
};
use crate::diagnostic::nearest;

/// A word with its meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// The word.
    pub name: &'static str,
    /// One sentence.
    pub about: &'static str,
    /// How it is written.
    pub example: &'static str,
}

const fn entry(name: &'static str, about: &'static str, example: &'static str) -> Entry {
    Entry {
        name,
        about,
        example,
    }
}

/// What a file is made of.
pub const DECLARATIONS: &[Entry] = &[
    entry(
        "controls",
        "Names a catalogue of controls for `satisfies`.",
        "controls nist = nist-800-53",
    ),
    entry(
        "group",
        "A group: whoever has any of these groups in the token (in quotes, byte for byte), or is in another group of the policy.",
        "group staff = \"employees\", agents",
    ),
    entry(
        "class",
        "A class of columns: patterns, or other classes by name. Ignores case.",
        "class pii = public.customers.{ssn, email}, *.*./.*_iban/, cards",
    ),
    entry(
        "rule",
        "A rule: exactly one effect, exactly one `for`, and further clauses.",
        "rule agents-read allow read on public.* for agents",
    ),
    entry(
        "invariant",
        "What must hold of all rules together; it changes no decision.",
        "invariant pii-is-masked always mask pii for anyone except privacy",
    ),
    entry(
        "test",
        "Statements with what must be decided on them.",
        "test \"agents read\" { as \"devin\" in agents run \"SELECT 1\" expect allow }",
    ),
    entry(
        "exclude",
        "Leaves a built-in pack out of the set.",
        "exclude baseline",
    ),
    entry(
        "observe",
        "The whole set only observes: what it would decide is recorded, and nothing is enforced.",
        "observe everything",
    ),
];

/// What a rule does; exactly one of these in each.
pub const EFFECTS: &[Entry] = &[
    entry(
        "allow",
        "These accesses are covered.",
        "allow read, insert on public.*",
    ),
    entry(
        "deny",
        "These accesses are refused, whatever else covers them.",
        "deny ddl",
    ),
    entry(
        "break-glass",
        "These accesses are covered, and not held, once the session states why: loudly recorded.",
        "break-glass read on public.*",
    ),
    entry(
        "hold",
        "These accesses are covered once people have approved.",
        "hold delete on public.*",
    ),
    entry(
        "mask",
        "Columns of these classes are masked.",
        "mask pii, cards",
    ),
    entry(
        "limit",
        "Statements with such an access are limited.",
        "limit rows 10_000 per statement, time 30 s on public.*",
    ),
    entry(
        "record",
        "Statements with such an access are recorded more fully.",
        "record results on hr.*",
    ),
];

/// What rules and invariants are made of, the effects included.
pub const CLAUSES: &[Entry] = &[
    entry(
        "allow",
        "An effect: covers accesses.",
        "allow read, insert on public.*",
    ),
    entry("deny", "An effect: refuses accesses.", "deny ddl"),
    entry(
        "break-glass",
        "An effect: covers accesses once the session states why; it needs a group and `because`.",
        "break-glass read on public.*",
    ),
    entry(
        "hold",
        "An effect: covers accesses once people have approved.",
        "hold delete on public.*",
    ),
    entry("mask", "An effect: masks columns.", "mask pii, cards"),
    entry(
        "limit",
        "An effect: limits statements.",
        "limit rows 10_000 per statement, time 30 s",
    ),
    entry(
        "record",
        "An effect: records statements more fully.",
        "record results",
    ),
    entry(
        "for",
        "Whom the rule is about.",
        "for agents, analysts except privacy",
    ),
    entry(
        "when",
        "The rule applies only where this holds.",
        "when not bounded or estimated_rows > 1_000",
    ),
    entry(
        "until",
        "Who must approve what is held, and within what time. `keep transaction` keeps an open transaction waiting.",
        "until 2 of dbas approve within 15 min",
    ),
    entry(
        "with",
        "How columns are masked; without it they are redacted.",
        "with email: keep domain, ssn: last 4, otherwise redact",
    ),
    entry(
        "probing",
        "Whether masked columns may decide which rows there are; without it they may not.",
        "probing lookup 20 per hour",
    ),
    entry(
        "because",
        "The author's words, which reach the client.",
        "because \"schema changes go through migrations\"",
    ),
    entry(
        "satisfies",
        "Controls of the catalogues.",
        "satisfies nist.AC-3(11), ffiec.II.C.13",
    ),
    entry(
        "observe",
        "The rule decides nothing: what it would decide is recorded.",
        "observe",
    ),
    entry(
        "always",
        "What an invariant claims: these classes are masked for these principals.",
        "always mask pii",
    ),
    entry(
        "never",
        "What an invariant claims: such accesses are not allowed without approval.",
        "never allow delete on public.*",
    ),
];

/// What `on` lists.
pub const PATTERNS: &[Entry] = &[
    entry(
        "schema.name",
        "Relations and functions.",
        "on public.orders, hr.*",
    ),
    entry(
        "schema.relation.column",
        "Uses of columns, with operations that name columns.",
        "on public.customers.{ssn, email}",
    ),
    entry(
        "class NAME",
        "Uses of columns of a class, with operations that name columns.",
        "on class pii",
    ),
    entry(
        "name",
        "Settings, notification channels, and objects that lie in no relation's place.",
        "on timezone",
    ),
    entry(
        "/regex/",
        "In place of a name: a regular expression over the whole name.",
        "on public./orders_[0-9]+/",
    ),
    entry(
        "\"Name\"",
        "In place of a name: exactly this name, stars and case included.",
        "on public.\"Orders\"",
    ),
];

/// What `limit` limits.
pub const LIMITS: &[Entry] = &[
    entry(
        "rows",
        "Rows of the statement's result, or of all the principal's results within an hour.",
        "rows 10_000 per statement",
    ),
    entry(
        "bytes",
        "Bytes of the statement's result as the client receives them, or of all within an hour; in B, kB, MB or GB.",
        "bytes 5 MB per statement",
    ),
    entry(
        "affected rows",
        "Rows that the statement inserts, updates or deletes.",
        "affected rows 100",
    ),
    entry(
        "time",
        "The statement's time, from its sending to its end; in ms, s, min or h.",
        "time 30 s",
    ),
];

/// How fully a statement is recorded, the least first.
pub const RECORDINGS: &[Entry] = &[
    entry(
        "statement",
        "The statement, its rows and bytes counted.",
        "record statement",
    ),
    entry(
        "digest",
        "And a digest of what the client received.",
        "record digest",
    ),
    entry(
        "results",
        "And the masked rows themselves.",
        "record results",
    ),
];

/// Whether masked columns may decide which rows there are.
pub const PROBINGS: &[Entry] = &[
    entry("deny", "They may not.", "probing deny"),
    entry(
        "lookup",
        "One value may be looked for in a statement, by `=`, as often in an hour as is said; without a number, 20 times.",
        "probing lookup 20 per hour",
    ),
    entry("allow", "They may.", "probing allow"),
];

/// The lines of a test.
pub const STEPS: &[Entry] = &[
    entry(
        "schema",
        "The schema, relative to the test's own file.",
        "schema \"shop.sql\"",
    ),
    entry(
        "as",
        "Who asks: kind, id, groups, the person behind, claims.",
        "as agent \"devin@corp\" in agents on behalf of \"ana@corp\" in analysts with claim tenant = \"acme\"",
    ),
    entry(
        "session",
        "Over which session.",
        "session target = \"shop\", tls = true",
    ),
    entry("at", "When.", "at \"2026-03-01T09:00:00+01:00\""),
    entry(
        "given",
        "Facts that a gateway would ask somebody for.",
        "given estimated_rows = 5_000, novel = true",
    ),
    entry(
        "run",
        "A statement as a client would send it.",
        "run \"SELECT id FROM customers\"",
    ),
    entry(
        "expect",
        "What must be decided on every statement of the test.",
        "expect hold by bulk-write, mask s with last 4, controls nist.AC-3",
    ),
];

/// What a test's `session` sets.
pub const SETTINGS: &[&str] = &[
    "target",
    "database",
    "role",
    "application",
    "client_address",
    "tls",
    "in_transaction",
    "reason",
];

/// The masks.
pub fn masks() -> impl Iterator<Item = &'static TransformDescription> {
    DESCRIPTIONS.iter()
}

/// The mask whose words these were probably meant to be.
pub(crate) fn nearest_mask(written: &str) -> Option<&'static str> {
    let names: Vec<&'static str> = masks().map(|mask| mask.name).collect();
    nearest(written, &names).or_else(|| {
        names.iter().copied().find(|name| {
            written
                .split(' ')
                .any(|word| name.split(' ').any(|part| part == word && part.len() > 3))
        })
    })
}

/// How the clause, line or declaration that begins with a word is written.
pub(crate) fn form(word: &str) -> Option<&'static str> {
    if word == "on" {
        return Some("on public.orders, hr.*");
    }
    CLAUSES
        .iter()
        .chain(STEPS)
        .chain(DECLARATIONS)
        .find(|entry| entry.name == word)
        .map(|entry| entry.example)
}

/// What people write who know other languages, with what this one calls it.
const SLIPS: &[(&str, &str)] = &[
    ("permit", "allow"),
    ("grant", "allow"),
    ("block", "deny"),
    ("forbid", "deny"),
    ("reject", "deny"),
    ("refuse", "deny"),
    ("hide", "mask"),
    ("redact", "mask"),
    ("log", "record"),
    ("audit", "record"),
    ("cap", "limit"),
    ("quota", "limit"),
    ("if", "when"),
    ("where", "when"),
    ("everyone", "anyone"),
    ("everybody", "anyone"),
    ("anybody", "anyone"),
    ("all", "anyone"),
    ("unless", "except"),
    ("but", "except"),
    ("else", "otherwise"),
    ("default", "otherwise"),
    ("satisfy", "satisfies"),
    ("satisfied", "satisfies"),
    ("implements", "satisfies"),
    ("reason", "because"),
    ("message", "because"),
    ("approves", "approve"),
    ("approved", "approve"),
    ("contains", "has"),
    ("includes", "has"),
    ("match", "matches"),
    ("exists", "present"),
    ("policy", "rule"),
    ("role", "group"),
    ("groups", "group"),
    ("roles", "group"),
    ("assert", "invariant"),
    ("control", "controls"),
    ("until", "to"),
    ("timezone", "zone"),
    ("tz", "zone"),
    ("user", "as"),
    ("query", "run"),
    ("sql", "run"),
];

/// The word among `known` that is this language's for `written`.
pub(crate) fn slip<'a>(written: &str, known: &[&'a str]) -> Option<&'a str> {
    let lower = written.to_lowercase();
    SLIPS
        .iter()
        .filter(|(slip, _)| *slip == lower)
        .find_map(|(_, meant)| known.iter().copied().find(|word| word == meant))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_effect_is_a_clause_and_every_slip_means_a_word() {
        for effect in EFFECTS {
            assert!(
                CLAUSES.iter().any(|clause| clause.name == effect.name),
                "{effect:?}"
            );
        }
        for (slip, meant) in SLIPS {
            assert!(
                crate::lexer::WORDS.iter().any(|(word, _)| word == meant),
                "`{slip}` means `{meant}`"
            );
        }
    }

    #[test]
    fn every_recording_is_the_engines() {
        use provost_engine::verdict::Recording;
        let names: Vec<&str> = RECORDINGS.iter().map(|entry| entry.name).collect();
        let levels = [Recording::Statement, Recording::Digest, Recording::Results];
        assert_eq!(names, levels.map(Recording::name));
    }
}
