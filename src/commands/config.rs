//! `provost config`: checks a configuration, prints an example. It must never print a secret.

use std::path::Path;

use serde_json::json;

use crate::{
    cli,
    config::{self, Problem},
    error::{Error, Exit},
    output::{Shape, line},
};

/// Runs the command.
///
/// # Errors
/// [`Error::Config`]; in JSON the problems are on standard output and the error is [`Error::Told`].
pub(crate) fn run(command: &cli::Config) -> Result<(), Error> {
    match command {
        cli::Config::Example => {
            line(config::EXAMPLE.trim_end());
            Ok(())
        }
        cli::Config::Check {
            file,
            resolve,
            json,
        } => {
            let shape = Shape::of(*json);
            let checked = check(file, *resolve);
            match (checked, shape) {
                (Ok(targets), Shape::Text) => {
                    line(&format!(
                        "{}: valid ({})",
                        file.display(),
                        targets.join(", ")
                    ));
                    Ok(())
                }
                (Ok(targets), Shape::Json) => {
                    line(&json!({ "valid": true, "targets": targets, "problems": [] }).to_string());
                    Ok(())
                }
                (Err(error), Shape::Text) => Err(Error::Config(error)),
                (Err(error), Shape::Json) => {
                    line(&json!({ "valid": false, "problems": problems(&error) }).to_string());
                    Err(Error::Told(Exit::Failed))
                }
            }
        }
    }
}

fn check(file: &Path, resolve: bool) -> Result<Vec<String>, config::Error> {
    let config = config::load(file)?;
    if resolve {
        config::resolve(&config, file)?;
    }
    Ok(config
        .targets
        .iter()
        .map(|target| format!("target {}", target.name))
        .collect())
}

fn problems(error: &config::Error) -> Vec<serde_json::Value> {
    let of = |problem: &Problem| {
        json!({
            "key": problem.key,
            "line": problem.at.map(|at| at.0),
            "column": problem.at.map(|at| at.1),
            "message": problem.message,
        })
    };
    match error {
        config::Error::Invalid { problems, .. } => problems.iter().map(of).collect(),
        other => vec![json!({ "key": "", "message": other.to_string() })],
    }
}
