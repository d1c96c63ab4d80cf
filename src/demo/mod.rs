//! The demo.
pub(crate) mod client;
pub(crate) mod issuer;
pub(crate) mod people;
pub(crate) mod postgres;
pub(crate) mod tls;
