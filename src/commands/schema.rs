//! Schemas for commands that need no server: DDL read into a catalog.

use std::{path::Path, thread};

use provost_dsl::testing::read_schema;
use provost_engine::catalog::Catalog;

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
/// [`Error::Schema`], and those of [`on_large_stack`].
pub(super) fn read(path: Option<&Path>, database: &str) -> Result<Catalog, Error> {
    on_large_stack(|| {
        read_schema(Path::new(""), path, database).map_err(|problems| Error::Schema { problems })
    })
}
