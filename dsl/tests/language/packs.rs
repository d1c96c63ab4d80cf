//! Policies that the project ships: each compiles.

use std::{
    fs,
    path::{Path, PathBuf},
};

use provost_dsl::{Source, compile};

use crate::rendered;

/// The project's own folder.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The folders under `folder` that hold policies.
fn policies_under(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let entries = fs::read_dir(folder).expect("a folder that can be read");
    let mut is_policy = false;
    for entry in entries {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(policies_under(&path));
        } else {
            is_policy |= path.extension().is_some_and(|extension| extension == "pol");
        }
    }
    if is_policy {
        found.push(folder.to_owned());
    }
    found.sort();
    found
}

/// A folder's policies, named by their place in the project.
fn sources(folder: &Path) -> Vec<Source> {
    let mut paths: Vec<PathBuf> = fs::read_dir(folder)
        .expect("a folder that can be read")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "pol" || extension == "rego")
        })
        .collect();
    paths.sort();
    paths
        .iter()
        .map(|path| Source {
            path: path.strip_prefix(root()).expect("a path below").to_owned(),
            text: fs::read_to_string(path).expect("a text"),
        })
        .collect()
}

#[test]
fn every_policy_of_the_project_compiles() {
    let folders: Vec<PathBuf> = ["policies", "examples"]
        .iter()
        .flat_map(|folder| policies_under(&root().join(folder)))
        .collect();
    assert!(folders.len() >= 6, "{folders:?}");
    let said: Vec<String> = folders
        .iter()
        .map(|folder| match compile(&sources(folder)) {
            Ok(_) => String::new(),
            Err(diagnostics) => rendered(&diagnostics),
        })
        .collect();
    assert_eq!(said.concat(), "");
}
