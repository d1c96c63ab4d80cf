//! `provost graph`: draws the decision graph of a policy, or the part of it that a group and a relation reach.

use std::{fs, io::Write as _};

use provost_dsl::drawing::{Picture, Wanted};

use crate::{
    cli,
    error::Error,
    output::{self, line},
};

/// Runs the command.
///
/// # Errors
/// [`Error::Policy`], [`Error::Drawing`], [`Error::File`].
pub(crate) fn run(command: &cli::Graph) -> Result<(), Error> {
    let compiled = provost_dsl::load(&command.folder).map_err(|source| Error::Policy {
        folder: command.folder.clone(),
        source,
    })?;
    output::diagnostics(&compiled.warnings);
    let wanted = Wanted {
        group: command.group.as_deref(),
        relation: command.relation.as_deref(),
    };
    let picture = Picture::new(&compiled.policy, &wanted);
    let text = match command.format {
        cli::Picture::Dot => picture.dot(),
        cli::Picture::Svg => picture.svg().map_err(Error::Drawing)?,
    };
    match &command.out {
        None => {
            line(text.trim_end());
            Ok(())
        }
        Some(path) => fs::File::create(path)
            .and_then(|mut file| file.write_all(text.as_bytes()))
            .map_err(|source| Error::File {
                action: "write",
                path: path.clone(),
                source,
            }),
    }
}
