//! What must not get worse: a committed file of counts. `PROVOST_RATCHET=write` writes what was seen.

use std::{collections::BTreeMap, env, fs, path::PathBuf};

/// How many statements of a kind went which way.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) understood: u32,
    pub(crate) opaque: u32,
    pub(crate) refused: u32,
}

impl Counts {
    pub(crate) fn total(self) -> u32 {
        self.understood + self.opaque + self.refused
    }
}

/// `section kind understood opaque refused`, a line each; kinds have blanks.
type Lines = BTreeMap<(String, String), Counts>;

fn path() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/server/ratchet.txt")
}

fn read() -> Lines {
    let text = fs::read_to_string(path()).unwrap_or_default();
    let lines = text
        .lines()
        .filter(|line| !line.starts_with('#') && !line.is_empty());
    lines
        .map(|line| {
            let fields: Vec<&str> = line.split('|').map(str::trim).collect();
            let [section, kind, understood, opaque, refused] = fields[..] else {
                panic!("the ratchet's line `{line}` has not five fields");
            };
            let counts = Counts {
                understood: understood.parse().unwrap(),
                opaque: opaque.parse().unwrap(),
                refused: refused.parse().unwrap(),
            };
            ((section.to_owned(), kind.to_owned()), counts)
        })
        .collect()
}

fn write(lines: &Lines) {
    let mut text = "# What must not get worse, seen on the major that each section names behind `@`. Written by PROVOST_RATCHET=write (docs/testing.md).\n\
        # section | kind | understood | opaque | refused\n"
        .to_owned();
    for ((section, kind), counts) in lines {
        let Counts {
            understood,
            opaque,
            refused,
        } = counts;
        text += &format!("{section} | {kind} | {understood} | {opaque} | {refused}\n");
    }
    fs::write(path(), text).unwrap();
}

/// Compares what was seen on a server of this major with the file's section, or writes it there.
pub(crate) fn check(section: &str, major: u32, seen: &BTreeMap<String, Counts>) {
    let section = &*format!("{section}@{major}");
    let mut lines = read();
    if env::var_os("PROVOST_RATCHET").is_some_and(|value| value == "write") {
        lines.retain(|(of, _), _| of != section);
        lines.extend(
            seen.iter()
                .map(|(kind, counts)| ((section.to_owned(), kind.clone()), *counts)),
        );
        write(&lines);
        return;
    }
    let known: BTreeMap<&String, &Counts> = lines
        .iter()
        .filter(|((of, _), _)| of == section)
        .map(|((_, kind), counts)| (kind, counts))
        .collect();
    assert!(
        !known.is_empty(),
        "the ratchet has no section `{section}`: run again with PROVOST_RATCHET=write"
    );
    let mut worse = Vec::new();
    for (kind, counts) in seen {
        let before = known
            .get(kind)
            .map_or_else(Counts::default, |counts| **counts);
        let amiss = |counts: Counts| counts.opaque + counts.refused;
        // What is said beyond need moves a little with every change; what is not understood must not.
        let slack = if kind.contains("beyond") {
            5 + before.opaque / 20
        } else {
            0
        };
        if amiss(*counts) > amiss(before) + slack || counts.refused > before.refused {
            worse.push(format!("{kind}: {before:?} before, {counts:?} now"));
        }
    }
    for (kind, before) in known {
        let understood = seen.get(kind).map_or(0, |counts| counts.understood);
        if understood < before.understood {
            worse.push(format!(
                "{kind}: {} understood before, {understood} now",
                before.understood
            ));
        }
    }
    assert!(
        worse.is_empty(),
        "worse than the ratchet's section `{section}` (PROVOST_RATCHET=write takes it as it is):\n{}",
        worse.join("\n")
    );
}
