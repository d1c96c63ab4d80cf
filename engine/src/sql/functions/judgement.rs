//! Our judgement of what functions do, from `judgement.txt`. Never calls a function pure that no word and no server's
//! promise calls so.

use std::{
    collections::{HashMap, HashSet},
    sync::LazyLock,
};

use super::Overload;

/// What calling a function does. The sections of `judgement.txt`, where each is explained.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(in crate::sql) enum Effect {
    Pure,
    ReadsSetting,
    SetsSetting,
    Sequences,
    Sleeps,
    Locks,
    Signals,
    Notifies,
    LargeObjects,
    Transactions,
    Randomness,
    State,
    Counters,
    Maintains,
    Replicates,
    Reloads,
    Values,
    RunsSql,
    Files,
    Network,
    Writes,
    Input,
    Internal,
}

/// What becomes of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::sql) enum Bound {
    /// It is an access of its own, and shows no value but its arguments' own.
    Shows,
    /// It is an access of its own, and its arguments stay where others may see them.
    Keeps,
    /// It is opaque, for this reason.
    Opaque(&'static str),
}

impl Effect {
    pub(super) fn of_section(section: &str) -> Option<Self> {
        Some(match section {
            "pure" => Self::Pure,
            "reads-setting" => Self::ReadsSetting,
            "sets-setting" => Self::SetsSetting,
            "sequences" => Self::Sequences,
            "sleeps" => Self::Sleeps,
            "locks" => Self::Locks,
            "signals" => Self::Signals,
            "notifies" => Self::Notifies,
            "large-objects" => Self::LargeObjects,
            "transactions" => Self::Transactions,
            "randomness" => Self::Randomness,
            "state" => Self::State,
            "counters" => Self::Counters,
            "maintains" => Self::Maintains,
            "replicates" => Self::Replicates,
            "reloads" => Self::Reloads,
            "values" => Self::Values,
            "runs-sql" => Self::RunsSql,
            "files" => Self::Files,
            "network" => Self::Network,
            "writes" => Self::Writes,
            "input" => Self::Input,
            "internal" => Self::Internal,
            _ => return None,
        })
    }

    /// What becomes of a call with this effect.
    pub(in crate::sql) const fn bound(self) -> Bound {
        match self {
            Self::Pure | Self::ReadsSetting | Self::Transactions | Self::State => Bound::Shows,
            Self::SetsSetting
            | Self::Sequences
            | Self::Sleeps
            | Self::Locks
            | Self::Signals
            | Self::Notifies
            | Self::LargeObjects
            | Self::Randomness
            | Self::Counters
            | Self::Maintains
            | Self::Replicates
            | Self::Reloads => Bound::Keeps,
            Self::Values => {
                Bound::Opaque("gives values of tables, of other sessions or of large objects")
            }
            Self::RunsSql => {
                Bound::Opaque("runs SQL that is given as text, or reads tables by name")
            }
            Self::Files => Bound::Opaque("reads, writes or lists files of the server's machine"),
            Self::Network => Bound::Opaque("speaks to other servers"),
            Self::Writes => Bound::Opaque("changes rows in a way that analysis does not follow"),
            Self::Input => {
                Bound::Opaque("reads a value as a type that is named by text, whose checks run")
            }
            Self::Internal => Bound::Opaque("is a function for the server's own code only"),
        }
    }
}

/// What the arguments behind the first must be for a function to be total.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rest {
    Any,
    Constant,
}

struct Judgement {
    /// By word without `*`: `name` or `name/2`.
    exact: HashMap<&'static str, Effect>,
    /// The longest first.
    patterns: Vec<(&'static str, Effect)>,
}

static JUDGEMENT: LazyLock<Judgement> = LazyLock::new(|| {
    let mut judgement = Judgement {
        exact: HashMap::new(),
        patterns: Vec::new(),
    };
    for (section, word) in words() {
        let Some(effect) = Effect::of_section(section) else {
            continue;
        };
        if word.contains('*') {
            judgement.patterns.push((word, effect));
        } else {
            judgement.exact.insert(word, effect);
        }
    }
    judgement
        .patterns
        .sort_by_key(|(word, _)| std::cmp::Reverse(word.len()));
    judgement
});

static TOTAL: LazyLock<HashMap<&'static str, Rest>> = LazyLock::new(|| {
    words()
        .filter_map(|(section, word)| match section {
            "total" => Some((word, Rest::Any)),
            "total-of-first" => Some((word, Rest::Constant)),
            _ => None,
        })
        .collect()
});

static TYPES: LazyLock<HashSet<&'static str>> = LazyLock::new(|| of_section("types"));

static TRIGGERS: LazyLock<HashSet<&'static str>> = LazyLock::new(|| of_section("triggers"));

fn of_section(wanted: &'static str) -> HashSet<&'static str> {
    words()
        .filter(|(section, _)| *section == wanted)
        .map(|(_, word)| word)
        .collect()
}

/// Every word with its section.
pub(super) fn words() -> impl Iterator<Item = (&'static str, &'static str)> {
    include_str!("judgement.txt")
        .lines()
        .filter(|line| !line.starts_with('#') && !line.trim().is_empty())
        .scan("", |section, line| {
            let head = line
                .strip_prefix('[')
                .and_then(|line| line.strip_suffix(']'));
            if let Some(name) = head {
                *section = name;
            }
            let rest = if head.is_some() { "" } else { line };
            let section: &'static str = section;
            Some(rest.split_whitespace().map(move |word| (section, word)))
        })
        .flatten()
}

/// What a function of the list does.
pub(super) fn judge(name: &str, overload: &Overload, immutable: bool) -> Option<Effect> {
    let exact = format!("{name}/{}", overload.arguments.len());
    let judgement = &*JUDGEMENT;
    let known = judgement
        .exact
        .get(exact.as_str())
        .or_else(|| judgement.exact.get(name));
    if let Some(effect) = known {
        return Some(*effect);
    }
    let mut patterns = judgement.patterns.iter();
    if let Some((_, effect)) = patterns.find(|(pattern, _)| fits(pattern, name)) {
        return Some(*effect);
    }
    let only_for_the_server = |name: &str| {
        matches!(
            name,
            "internal" | "trigger" | "event_trigger" | "language_handler" | "pg_ddl_command"
        ) || name.ends_with("_handler")
    };
    if overload
        .arguments
        .iter()
        .any(|name| only_for_the_server(name))
        || only_for_the_server(overload.result)
    {
        return Some(Effect::Internal);
    }
    immutable.then_some(Effect::Pure)
}

/// Whether a name fits a word with `*`; a word of pg_catalog fits no extension's function.
pub(super) fn fits(pattern: &str, name: &str) -> bool {
    if pattern.contains(':') != name.contains(':') {
        return false;
    }
    let mut parts = pattern.split('*');
    let Some(mut rest) = parts.next().and_then(|first| name.strip_prefix(first)) else {
        return false;
    };
    let parts: Vec<&str> = parts.collect();
    let Some((last, middle)) = parts.split_last() else {
        return rest.is_empty();
    };
    for part in middle {
        let Some(at) = rest.find(part) else {
            return false;
        };
        rest = rest
            .get(at.saturating_add(part.len())..)
            .unwrap_or_default();
    }
    rest.ends_with(last)
}

/// What the arguments behind the first must be for a function to be total; `None`: it is not.
pub(super) fn rest_of(name: &str) -> Option<Rest> {
    TOTAL.get(name).copied()
}

/// Whether pg_catalog has a type of this name (arrays with their leading `_` too).
pub(in crate::sql) fn is_builtin_type(name: &str) -> bool {
    TYPES.contains(name.strip_prefix('_').unwrap_or(name))
}

/// Whether a trigger function touches nothing but the row that is written.
pub(in crate::sql) fn is_row_trigger(name: &str) -> bool {
    TRIGGERS.contains(name)
}
