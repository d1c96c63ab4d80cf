//! `provost demo`: which of its ways to run.

use std::io::IsTerminal as _;

use super::{block_on, serve};
use crate::{
    cli,
    demo::{self, Mode, issuer},
    error::Error,
    output::line,
};

/// Runs the command.
///
/// # Errors
/// [`Error::Demo`].
pub(crate) fn run(command: &cli::Demo) -> Result<(), Error> {
    if let Some(cli::DemoAsk::Token { person, issuer }) = &command.ask {
        let token = block_on(async {
            issuer::ask(issuer, person)
                .await
                .map_err(|error| Error::Demo(error.into()))
        })?;
        line(&token);
        return Ok(());
    }
    serve::trace("warn");
    let is_watched = std::io::stdin().is_terminal();
    let mode = if command.script || !(command.interactive || is_watched) {
        Mode::Script
    } else {
        Mode::Interactive
    };
    block_on(async { demo::run(command, mode).await.map_err(Error::Demo) })
}
