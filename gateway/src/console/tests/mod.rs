//! The console as its callers meet it: over sockets, with real tokens, and a desk of approvals over a store of its own.

mod api;
mod connections;
mod contract;
mod document;
mod door;
mod pages;
mod roles;
mod slack;
pub(in crate::console) mod support;
