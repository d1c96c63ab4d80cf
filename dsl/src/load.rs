//! A policy folder: every `*.pol` and `*.rego` file below it. Never skips a file that it can't read.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use provost_engine::catalog::Catalog;
use thiserror::Error;

use crate::{
    BASELINE,
    ast::Item,
    compile::{Compiled, Source, compile_with, compile_within},
    diagnostic::{Diagnostic, File},
    parser,
    rego::{self, RegoLimits},
};

/// How many files a set may have; more are [`LoadError::TooMany`].
const FILES_MAX: usize = 10_000;
/// How large a file may be, in bytes; larger ones are [`LoadError::TooLarge`].
pub(crate) const FILE_BYTES_MAX: u64 = 1 << 20;
/// How deep folders may nest; deeper is [`LoadError::TooDeep`] (a link may lead in a circle).
const DEPTH_MAX: usize = 32;

const BASELINE_TEXT: &str = include_str!("../../policies/baseline/baseline.pol");

/// Why a policy folder can't be used.
#[derive(Debug, Error)]
pub enum LoadError {
    /// A folder or file can't be read.
    #[error("can't read `{}`: {source}", path.display())]
    Read {
        /// The folder or file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file is not UTF-8.
    #[error("`{}` is not UTF-8 text", path.display())]
    NotUtf8 {
        /// The file.
        path: PathBuf,
    },
    /// A file is larger than a policy file may be.
    #[error("`{}` is larger than {FILE_BYTES_MAX} bytes: split it", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
    },
    /// More files than a set may have.
    #[error("more than {FILES_MAX} policy files under `{}`", path.display())]
    TooMany {
        /// The policy folder.
        path: PathBuf,
    },
    /// Folders nest too deep.
    #[error("`{}` is more than {DEPTH_MAX} folders deep", path.display())]
    TooDeep {
        /// The folder.
        path: PathBuf,
    },
    /// No policy file at all.
    #[error("no `*.pol` or `*.rego` file under `{}`", path.display())]
    Empty {
        /// The policy folder.
        path: PathBuf,
    },
    /// The set has mistakes.
    #[error("the policy is not valid: {} found", count(diagnostics))]
    Invalid {
        /// All of them, warnings too.
        diagnostics: Vec<Diagnostic>,
    },
}

fn count(diagnostics: &[Diagnostic]) -> String {
    match diagnostics
        .iter()
        .filter(|diagnostic| diagnostic.is_error())
        .count()
    {
        1 => "1 error".to_owned(),
        count => format!("{count} errors"),
    }
}

/// Compiles every `*.pol` and `*.rego` file below `folder` (files and folders whose name begins with a dot aside), with the built-in pack `baseline` unless a file says `exclude baseline`.
///
/// # Errors
/// [`LoadError`].
pub fn load(folder: &Path) -> Result<Compiled, LoadError> {
    load_within(folder, RegoLimits::default())
}

/// The same, with other limits for Rego modules.
///
/// # Errors
/// [`LoadError`].
pub fn load_within(folder: &Path, limits: RegoLimits) -> Result<Compiled, LoadError> {
    compile_within(&sources(folder)?, limits)
        .map_err(|diagnostics| LoadError::Invalid { diagnostics })
}

/// The same, compared with a schema too: see [`compile_with`].
///
/// # Errors
/// [`LoadError`].
pub fn load_against(folder: &Path, schema: &Catalog) -> Result<Compiled, LoadError> {
    compile_with(&sources(folder)?, Some(schema))
        .map_err(|diagnostics| LoadError::Invalid { diagnostics })
}

/// What [`load`] compiles.
pub(crate) fn sources(folder: &Path) -> Result<Vec<Source>, LoadError> {
    let mut paths = Vec::new();
    find(folder, folder, 0, &mut paths)?;
    if paths.is_empty() {
        return Err(LoadError::Empty {
            path: folder.to_owned(),
        });
    }
    let mut sources = paths
        .iter()
        .map(|path| read(folder, path))
        .collect::<Result<Vec<_>, _>>()?;
    if !sources.iter().any(excludes_baseline) {
        sources.push(baseline());
    }
    Ok(sources)
}

/// The built-in pack.
pub(crate) fn baseline() -> Source {
    // No file of a folder can have this path: the brackets tell readers that it is built in.
    Source {
        path: PathBuf::from("<built-in>/baseline.pol"),
        text: BASELINE_TEXT.to_owned(),
    }
}

/// Whether a file of that path came with us, not from a folder.
pub(crate) fn is_built_in(path: &Path) -> bool {
    path.starts_with("<built-in>")
}

fn excludes_baseline(source: &Source) -> bool {
    if rego::is_rego(source) {
        return false;
    }
    let (items, _) = parser::parse(&source.text, &File::new(&source.path, &source.text));
    items
        .iter()
        .any(|item| matches!(item, Item::Exclude(pack) if pack.value == BASELINE))
}

fn find(
    root: &Path,
    folder: &Path,
    depth: usize,
    paths: &mut Vec<PathBuf>,
) -> Result<(), LoadError> {
    if depth > DEPTH_MAX {
        return Err(LoadError::TooDeep {
            path: folder.to_owned(),
        });
    }
    let failed = |source| LoadError::Read {
        path: folder.to_owned(),
        source,
    };
    for entry in fs::read_dir(folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        // Hidden files and folders are an editor's or a mount's own (`.git`, the `..data` of a mounted config map).
        if entry.file_name().to_string_lossy().starts_with('.') {
            continue;
        }
        let path = entry.path();
        let metadata = fs::metadata(&path).map_err(|source| LoadError::Read {
            path: path.clone(),
            source,
        })?;
        let extension = path.extension().and_then(|extension| extension.to_str());
        if metadata.is_dir() {
            find(root, &path, depth + 1, paths)?;
        } else if matches!(extension, Some("pol" | "rego")) {
            if metadata.len() > FILE_BYTES_MAX {
                return Err(LoadError::TooLarge { path });
            }
            if paths.len() >= FILES_MAX {
                return Err(LoadError::TooMany {
                    path: root.to_owned(),
                });
            }
            paths.push(path);
        }
    }
    Ok(())
}

fn read(folder: &Path, path: &Path) -> Result<Source, LoadError> {
    let bytes = fs::read(path).map_err(|source| LoadError::Read {
        path: path.to_owned(),
        source,
    })?;
    let text = String::from_utf8(bytes).map_err(|_| LoadError::NotUtf8 {
        path: path.to_owned(),
    })?;
    Ok(Source {
        path: path.strip_prefix(folder).unwrap_or(path).to_owned(),
        text,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compile::compile;
    use crate::diagnostic::{Colours, render};

    #[track_caller]
    fn check(folder: &str) -> Compiled {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        match load(&root.join(folder)) {
            Ok(compiled) => {
                assert_eq!(
                    render(&compiled.warnings, Colours::None),
                    "",
                    "warnings in {folder}"
                );
                compiled
            }
            Err(LoadError::Invalid { diagnostics }) => {
                panic!("{}", render(&diagnostics, Colours::None))
            }
            Err(error) => panic!("{error}"),
        }
    }

    #[test]
    fn the_demo_policy_compiles() {
        let compiled = check("examples/demo/policy");
        assert_eq!(compiled.files, 3, "with its tests and the built-in pack");
        assert!(compiled.rules > 10);
    }

    #[test]
    fn the_built_in_pack_compiles_alone() {
        let compiled = compile(&[baseline()]).expect("the pack is valid");
        assert!(compiled.warnings.is_empty());
    }

    /// Loads a folder with these files and shows what came of it.
    #[track_caller]
    fn check_files(files: &[(&str, &[u8])], expected: &str) {
        let folder = tempfile::tempdir().expect("a temporary folder");
        for (path, bytes) in files {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().expect("below the folder")).expect("a folder");
            fs::write(path, bytes).expect("a file");
        }
        let shown = match load(folder.path()) {
            Ok(compiled) => format!("{} rules in {} files", compiled.rules, compiled.files),
            Err(error) => error
                .to_string()
                .replace(&folder.path().display().to_string(), "policy"),
        };
        assert_eq!(shown, expected, "{files:?}");
    }

    #[test]
    fn folders() {
        let rule: (&str, &[u8]) = ("a.pol", b"rule a allow read for anyone");
        check_files(
            &[rule, ("below/b.pol", b"rule b deny ddl for anyone")],
            "9 rules in 3 files",
        );
        check_files(
            &[rule, ("b.pol", b"exclude baseline")],
            "1 rules in 2 files",
        );
        check_files(
            &[rule, ("notes.txt", b"\xff"), ("..data/a.pol", rule.1)],
            "8 rules in 2 files",
        );
        check_files(
            &[rule, ("b.pol", b"rule a deny ddl for anyone")],
            "the policy is not valid: 1 error found",
        );
        check_files(
            &[rule, ("b.pol", b"rule b")],
            "the policy is not valid: 2 errors found",
        );
        check_files(
            &[rule, ("b.pol", b"# \xff")],
            "`policy/b.pol` is not UTF-8 text",
        );
        check_files(
            &[rule, ("deep/c.rego", b"package provost")],
            "the policy is not valid: 1 error found",
        );
        check_files(&[], "no `*.pol` or `*.rego` file under `policy`");
        let large = vec![b' '; usize::try_from(FILE_BYTES_MAX).expect("small") + 1];
        check_files(
            &[("large.pol", &large)],
            "`policy/large.pol` is larger than 1048576 bytes: split it",
        );
    }

    #[test]
    fn a_folder_without_policies_is_refused() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let error = load(&root.join("policies/controls")).expect_err("nothing to load");
        assert!(matches!(error, LoadError::Empty { .. }), "{error}");
        let error = load(&root.join("policies/no-such-folder")).expect_err("nothing to load");
        assert!(matches!(error, LoadError::Read { .. }), "{error}");
    }
}
