//! `provost policy`: checks rules.

use std::path::Path;

use provost_dsl::{Diagnostic, LoadError};
use serde_json::{Value, json};

use super::schema;
use crate::{
    cli,
    error::{Error, Exit},
    output::{self, Shape, line},
};

/// Runs the command.
///
/// # Errors
/// [`Error::Policy`]; in JSON, [`Error::Told`] after the problems went to standard output.
pub(crate) fn run(command: &cli::Policy) -> Result<(), Error> {
    let cli::Policy::Check {
        folder,
        schema: path,
        json,
    } = command;
    let loaded = match path {
        // The name of the database means nothing to a policy's text.
        Some(path) => provost_dsl::load_against(folder, &schema::read(Some(path), "check")?),
        None => provost_dsl::load(folder),
    };
    match (loaded, Shape::of(*json)) {
        (Ok(compiled), Shape::Text) => {
            output::diagnostics(&compiled.warnings);
            line(&format!(
                "{}: valid ({} rules in {} files, the built-in pack included; bundle {})",
                folder.display(),
                compiled.rules,
                compiled.files,
                compiled.policy.digest().0
            ));
            Ok(())
        }
        (Ok(compiled), Shape::Json) => {
            line(
                &json!({
                    "valid": true,
                    "rules": compiled.rules,
                    "files": compiled.files,
                    "bundle": compiled.policy.digest().0,
                    "diagnostics": diagnostics(folder, &compiled.warnings),
                })
                .to_string(),
            );
            Ok(())
        }
        (Err(source), Shape::Text) => Err(Error::Policy {
            folder: folder.clone(),
            source,
        }),
        (Err(source), Shape::Json) => {
            let found = match &source {
                LoadError::Invalid { diagnostics: found } => diagnostics(folder, found),
                other => vec![json!({ "severity": "error", "message": other.to_string() })],
            };
            line(&json!({ "valid": false, "diagnostics": found }).to_string());
            Err(Error::Told(Exit::InvalidPolicy))
        }
    }
}

fn diagnostics(folder: &Path, found: &[Diagnostic]) -> Vec<Value> {
    found
        .iter()
        .map(|diagnostic| {
            let at = line_and_column(&folder.join(diagnostic.path()), diagnostic.offset());
            json!({
                "severity": if diagnostic.is_error() { "error" } else { "warning" },
                "file": diagnostic.path(),
                "line": at.map(|at| at.0),
                "column": at.map(|at| at.1),
                "message": diagnostic.message(),
                "help": diagnostic.help_text(),
            })
        })
        .collect()
}

/// From 1, column in characters; `None` where the file can't be read again (the built-in pack has none).
fn line_and_column(path: &Path, offset: usize) -> Option<(usize, usize)> {
    let text = std::fs::read_to_string(path).ok()?;
    let before = text.get(..offset)?;
    let line = before.matches('\n').count() + 1;
    let column = before
        .chars()
        .rev()
        .take_while(|letter| *letter != '\n')
        .count()
        + 1;
    Some((line, column))
}
