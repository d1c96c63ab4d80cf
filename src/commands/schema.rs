//! Schemas for commands that need no server: DDL read into a catalog.

use std::{fs, path::Path, thread};

use provost_engine::{catalog::Catalog, schema};

use crate::error::Error;

/// The stack that reading DDL and analysing statements want, in bytes.
const STACK_BYTES: usize = 64 << 20;

/// Runs `work` on a thread with a large stack.
///
/// # Errors
/// What `work` fails with; [`Error::Runtime`]; [`Error::Analysis`] where it broke.
pub(super) fn on_large_stack<T: Send>(
    work: impl FnOnce() -> Result<T, Error> + Send,
) -> Result<T, Error> {
    thread::scope(|scope| {
        let thread = thread::Builder::new()
            .stack_size(STACK_BYTES)
            .spawn_scoped(scope, work)
            .map_err(Error::Runtime)?;
        thread.join().unwrap_or(Err(Error::Analysis))
    })
}

/// The catalog of a database with the schema of the file; without one there is nothing in it but what PostgreSQL brings.
///
/// # Errors
/// [`Error::File`], [`Error::Schema`], and those of [`on_large_stack`].
pub(super) fn read(path: Option<&Path>, database: &str) -> Result<Catalog, Error> {
    let ddl = match path {
        Some(path) => fs::read_to_string(path).map_err(|source| Error::File {
            action: "read",
            path: path.to_owned(),
            source,
        })?,
        None => String::new(),
    };
    on_large_stack(|| {
        schema::read(&ddl, database).map_err(|errors| Error::Schema {
            path: path.unwrap_or(Path::new("-")).to_owned(),
            problems: errors
                .iter()
                .map(|error| format!("line {}: {}", error.line, error.message))
                .collect(),
        })
    })
}
