//! The house rules that no lint of the compiler knows: crate edges, what lies where, file headers, lengths, reasons
//! beside dependencies, links. It must never need a network, a server or a build of ours.

// Helpers are tests too: what clippy leaves to tests (clippy.toml) holds for all of this.
#![cfg(test)]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// A file with more lines than this before its tests holds more than one idea.
const FILE_LINES_MAX: usize = 800;

/// What may stand at the top; anything else belongs into one of these.
const TOP_LEVEL: &[&str] = &[
    ".cargo",
    ".ci",
    ".config",
    ".gitignore",
    "ARCHITECTURE.md",
    "CHANGELOG.md",
    "Cargo.lock",
    "Cargo.toml",
    "LICENSE",
    "README.md",
    "SECURITY.md",
    "clippy.toml",
    "deny.toml",
    "docs",
    "dsl",
    "engine",
    "evidence",
    "examples",
    "gateway",
    "policies",
    "rust-toolchain.toml",
    "src",
    "tests",
];

/// What git does not keep.
const IGNORED: &[&str] = &[".git", "target", "node_modules", "__pycache__", ".DS_Store"];

/// Which of our crates a crate may depend on.
const EDGES: &[(&str, &[&str])] = &[
    (
        ".",
        &[
            "provost-dsl",
            "provost-engine",
            "provost-evidence",
            "provost-gateway",
        ],
    ),
    ("dsl", &["provost-engine"]),
    ("engine", &[]),
    ("evidence", &[]),
    ("gateway", &["provost-engine", "provost-evidence"]),
];

/// Crates that do I/O, tell the time or draw random numbers: none of them in the engine.
const IMPURE_CRATES: &[&str] = &[
    "axum",
    "chrono",
    "futures",
    "getrandom",
    "object_store",
    "openidconnect",
    "rand",
    "reqwest",
    "rustls",
    "tempfile",
    "time",
    "tokio",
    "tracing",
    "url",
];

/// Modules of `std` that the engine must not use outside its tests, and calls that need no import.
const IMPURE_MODULES: &[&str] = &["env", "fs", "io", "os", "process", "time"];
const IMPURE_WORDS: &[&str] = &[
    "async fn",
    "Instant::now",
    "SystemTime",
    "TcpListener",
    "TcpStream",
    "UdpSocket",
    "println!",
    "static mut",
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every file of the project, relative to its root.
fn files() -> Vec<PathBuf> {
    fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).unwrap() {
            let entry = entry.unwrap();
            let name = entry.file_name();
            if IGNORED.iter().any(|ignored| name == *ignored) {
                continue;
            }
            if entry.file_type().unwrap().is_dir() {
                walk(&entry.path(), found);
            } else {
                found.push(entry.path().strip_prefix(root()).unwrap().to_owned());
            }
        }
    }
    let mut found = Vec::new();
    walk(root(), &mut found);
    found.sort();
    assert!(
        found.len() > 20,
        "the walk found hardly anything: {found:?}"
    );
    found
}

fn files_ending(extension: &str) -> Vec<(PathBuf, String)> {
    let found: Vec<_> = files()
        .into_iter()
        .filter(|path| path.extension().is_some_and(|found| found == extension))
        .map(|path| {
            let text = fs::read_to_string(root().join(&path)).unwrap();
            (path, text)
        })
        .collect();
    assert!(!found.is_empty(), "no file ends in .{extension}");
    found
}

fn manifest(folder: &str) -> toml::Table {
    fs::read_to_string(root().join(folder).join("Cargo.toml"))
        .unwrap()
        .parse()
        .unwrap()
}

/// Fails with every complaint at once.
fn assert_none(rule: &str, complaints: &[String]) {
    assert!(
        complaints.is_empty(),
        "{rule}:\n  {}",
        complaints.join("\n  ")
    );
}

/// A file's text before its unit tests.
fn before_tests(text: &str) -> &str {
    text.split_once("#[cfg(test)]\nmod ")
        .map_or(text, |(code, _)| code)
}

#[test]
fn crates_depend_on_each_other_along_the_allowed_edges_only() {
    let members: BTreeSet<String> = manifest(".")["workspace"]["members"]
        .as_array()
        .unwrap()
        .iter()
        .map(|member| member.as_str().unwrap().to_owned())
        .collect();
    let known: BTreeSet<String> = EDGES
        .iter()
        .map(|(folder, _)| (*folder).to_owned())
        .filter(|folder| folder != ".")
        .collect();
    assert_eq!(
        members, known,
        "a new crate needs its edges said here and in ARCHITECTURE.md"
    );

    for (folder, allowed) in EDGES {
        let manifest = manifest(folder);
        let ours: BTreeSet<&str> = ["dependencies", "dev-dependencies", "build-dependencies"]
            .iter()
            .filter_map(|kind| manifest.get(*kind)?.as_table())
            .flat_map(|table| table.keys())
            .map(String::as_str)
            .filter(|name| name.starts_with("provost"))
            .collect();
        let allowed: BTreeSet<&str> = allowed.iter().copied().collect();
        assert!(
            ours.is_subset(&allowed),
            "`{folder}` depends on {ours:?}, allowed are {allowed:?}"
        );
    }
}

#[test]
fn the_engine_is_pure() {
    let manifest = manifest("engine");
    let impure: Vec<_> = manifest["dependencies"]
        .as_table()
        .unwrap()
        .keys()
        .filter(|name| IMPURE_CRATES.contains(&name.as_str()))
        .cloned()
        .collect();
    assert_none("the engine depends on crates that are not pure", &impure);

    let mut complaints = Vec::new();
    for (path, text) in files_ending("rs") {
        if !path.starts_with("engine/src") {
            continue;
        }
        let code: String = before_tests(&text)
            .lines()
            .filter(|line| !line.trim_start().starts_with("//"))
            .collect::<Vec<_>>()
            .join("\n");
        let imported = |module: &str| {
            let grouped = code
                .split("use std::{")
                .skip(1)
                .filter_map(|rest| rest.split(';').next());
            code.contains(&format!("std::{module}::"))
                || code.contains(&format!("use std::{module};"))
                || grouped.into_iter().any(|group| {
                    group.split(',').any(|item| {
                        let item = item.trim().trim_end_matches('}');
                        item == module || item.starts_with(&format!("{module}::"))
                    })
                })
        };
        let modules = IMPURE_MODULES
            .iter()
            .filter(|module| imported(module))
            .map(|module| format!("std::{module}"));
        let words = IMPURE_WORDS
            .iter()
            .filter(|word| code.contains(**word))
            .map(|word| (*word).to_owned());
        complaints.extend(
            modules
                .chain(words)
                .map(|what| format!("{}: {what}", path.display())),
        );
    }
    assert_none("the engine does no I/O and reads no clock", &complaints);
}

#[test]
fn nothing_new_stands_at_the_top() {
    let unknown: Vec<String> = fs::read_dir(root())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| !IGNORED.contains(&name.as_str()) && !TOP_LEVEL.contains(&name.as_str()))
        .collect();
    assert_none("these belong into a folder", &unknown);
}

#[test]
fn every_source_file_opens_with_what_it_is_for() {
    let bare: Vec<String> = files_ending("rs")
        .iter()
        .filter(|(_, text)| !text.starts_with("//! "))
        .map(|(path, _)| path.display().to_string())
        .collect();
    assert_none("these files do not open with `//!`", &bare);
}

#[test]
fn no_file_holds_too_much() {
    let long: Vec<String> = files_ending("rs")
        .iter()
        .filter(|(path, _)| {
            !path
                .iter()
                .any(|part| part == "tests" || part == "tests.rs")
        })
        .map(|(path, text)| (path, before_tests(text).lines().count()))
        .filter(|(_, lines)| *lines > FILE_LINES_MAX)
        .map(|(path, lines)| format!("{}: {lines} lines before its tests", path.display()))
        .collect();
    assert_none("split these by idea", &long);
}

#[test]
fn lints_hold_everywhere_and_are_never_allowed_away() {
    for (folder, _) in EDGES {
        let workspace = manifest(folder)
            .get("lints")
            .and_then(|lints| lints.get("workspace")?.as_bool());
        assert_eq!(
            workspace,
            Some(true),
            "`{folder}/Cargo.toml` needs `[lints] workspace = true`"
        );
    }
    let lints = manifest(".");
    assert_eq!(
        lints["workspace"]["lints"]["rust"]["unsafe_code"].as_str(),
        Some("forbid")
    );
    let denied: Vec<String> = files_ending("rs")
        .iter()
        .filter(|(path, _)| !path.ends_with("tidy.rs"))
        .flat_map(|(path, text)| {
            let lines = text.lines().enumerate();
            let allows =
                lines.filter(|(_, line)| line.contains("#[allow(") || line.contains("#![allow("));
            allows
                .map(|(line, _)| format!("{}:{}", path.display(), line + 1))
                .collect::<Vec<_>>()
        })
        .collect();
    assert_none(
        "say #[expect(lint, reason = \"...\")] instead of allow",
        &denied,
    );
}

#[test]
fn every_dependency_has_its_reason_and_no_other_source() {
    let text = fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let section = text.split_once("\n[workspace.dependencies]\n").unwrap().1;
    let section = section.split_once("\n[").unwrap().0;
    let lines: Vec<&str> = section
        .lines()
        .filter(|line| line.contains('=') && !line.starts_with('#'))
        .collect();
    assert!(lines.len() > 20, "the section was not found");
    let unexplained: Vec<String> = lines
        .iter()
        .filter(|line| !line.starts_with("provost-"))
        .filter(|line| {
            line.rsplit_once(" # ")
                .is_none_or(|(_, reason)| reason.split_whitespace().count() < 2)
        })
        .map(|line| (*line).to_owned())
        .collect();
    assert_none("say in one sentence why, beside each", &unexplained);
    let foreign: Vec<String> = lines
        .iter()
        .filter(|line| line.contains("git = "))
        .map(|line| (*line).to_owned())
        .collect();
    assert_none("dependencies come from the registry only", &foreign);

    for (folder, _) in EDGES {
        let manifest = manifest(folder);
        for kind in ["dependencies", "dev-dependencies", "build-dependencies"] {
            let Some(table) = manifest.get(kind).and_then(toml::Value::as_table) else {
                continue;
            };
            let own: Vec<String> = table
                .iter()
                .filter(|(_, value)| {
                    value.get("workspace").and_then(toml::Value::as_bool) != Some(true)
                })
                .map(|(name, _)| format!("{folder}/Cargo.toml: {name}"))
                .collect();
            assert_none("versions are shared in [workspace.dependencies]", &own);
        }
    }
}

#[test]
fn no_path_of_a_developers_machine_is_in_the_tree() {
    let complaints: Vec<String> = files()
        .iter()
        .filter(|path| !path.ends_with("tidy.rs"))
        .filter_map(|path| Some((path, fs::read_to_string(root().join(path)).ok()?)))
        .flat_map(|(path, text)| {
            let lines = text.lines().enumerate();
            let found = lines.filter(|(_, line)| {
                ["/root/", "/home/", "/Users/", ".cargo/registry"]
                    .iter()
                    .any(|word| line.contains(word))
            });
            found
                .map(|(line, _)| format!("{}:{}", path.display(), line + 1))
                .collect::<Vec<_>>()
        })
        .collect();
    assert_none("these lines name a path of one machine", &complaints);
}

#[test]
fn shell_scripts_parse() {
    let mut scripts: Vec<PathBuf> = files_ending("sh")
        .into_iter()
        .map(|(path, _)| path)
        .collect();
    assert!(scripts.len() >= 3, "{scripts:?}");
    scripts.push(PathBuf::from(".ci/run"));
    for script in scripts {
        let shell = if script.ends_with("run") {
            "bash"
        } else {
            "sh"
        };
        let output = Command::new(shell)
            .arg("-n")
            .arg(root().join(&script))
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "{}: {}",
            script.display(),
            String::from_utf8_lossy(&output.stderr)
        );
    }
}

#[test]
fn links_in_the_documents_lead_somewhere() {
    let mut complaints = Vec::new();
    for (path, text) in files_ending("md") {
        let folder = root().join(&path).parent().unwrap().to_owned();
        // [text](target) and <img src="target">; a link with a scheme leads off this machine.
        let links = text
            .split("](")
            .skip(1)
            .filter_map(|rest| rest.split([')', ' ']).next());
        let images = text
            .split("src=\"")
            .skip(1)
            .filter_map(|rest| rest.split('"').next());
        for link in links.chain(images) {
            let file = link.split('#').next().unwrap();
            if !link.contains("://") && !file.is_empty() && !folder.join(file).exists() {
                complaints.push(format!("{}: {link}", path.display()));
            }
        }
    }
    assert_none("these links lead nowhere", &complaints);
}

#[test]
fn every_module_of_the_map_exists() {
    // ARCHITECTURE.md names rooms as `gateway::session`; a room that was renamed must be renamed there too.
    let text = fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    let rooms: BTreeMap<&str, ()> = text
        .split('`')
        .filter(|word| {
            ["dsl::", "engine::", "evidence::", "gateway::"]
                .iter()
                .any(|start| word.starts_with(start))
                && word
                    .chars()
                    .all(|letter| letter.is_ascii_lowercase() || ":_".contains(letter))
        })
        .map(|word| (word, ()))
        .collect();
    assert!(rooms.len() > 5, "the map names hardly any room");
    let missing: Vec<String> = rooms
        .keys()
        .filter(|room| {
            let (krate, path) = room.split_once("::").unwrap();
            let stem = root().join(krate).join("src").join(path.replace("::", "/"));
            !stem.with_extension("rs").exists() && !stem.join("mod.rs").exists()
        })
        .map(|room| (*room).to_owned())
        .collect();
    assert_none("the map names rooms that are not there", &missing);
}
