//! What each command does; one file a command.

pub(crate) mod approvals;
pub(crate) mod bundle;
pub(crate) mod catalog;
pub(crate) mod config;
pub(crate) mod demo;
pub(crate) mod evidence;
pub(crate) mod explain;
pub(crate) mod graph;
mod keeping;
pub(crate) mod policy;
mod prove;
pub(crate) mod reference;
mod renewal;
pub(crate) mod replay;
mod report;
mod schema;
pub(crate) mod serve;
mod stamping;
pub(crate) mod test;
mod verify;
mod witness;

use std::future::Future;

use crate::error::Error;

/// Runs a command's future on a runtime of its own.
fn block_on<T>(future: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(Error::Runtime)?
        .block_on(future)
}
