//! `provost reference`: prints the language's reference, made from what the checker reads.

use provost_dsl::reference::{Section, document};

use crate::{cli, error::Error, output::line};

/// Runs the command.
///
/// # Errors
/// None yet.
pub(crate) fn run(command: &cli::Reference) -> Result<(), Error> {
    let text = match command.section {
        None => document(),
        Some(cli::ReferenceSection::RegoInput) => {
            format!("{:#}", provost_dsl::rego::input_schema())
        }
        Some(section) => Section::ALL
            .into_iter()
            .find(|one| one.name() == section.name())
            .map(Section::text)
            .unwrap_or_default(),
    };
    line(text.trim_end());
    Ok(())
}
