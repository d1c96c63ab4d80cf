//! The pure heart of Provost: no I/O, no clock, no async, no globals.
//!
//! The way of a statement through this crate, one room a step:
//!
//! ```text
//! bytes + Catalog --sql::analyse--> Facts --graph::Policy::decide--> Decision --mask--> bytes of a masked value
//! ```
//!
//! | room | holds |
//! |---|---|
//! | [`principal`] | who asks, over which session |
//! | [`catalog`] | what the server's relations, columns, views and functions are |
//! | [`facts`] | what a statement would do: accesses, column uses, lineage |
//! | [`reason`] | why a session says that its statements must run |
//! | [`schema`] | a file of DDL to a catalog, where there is no server |
//! | [`copy`] | how the rows of a COPY come
//! | [`sql`] | text to facts: PostgreSQL's own grammar, a second reader as witness, name resolution |
//! | [`graph`] | rules compiled for deciding; facts to decision |
//! | [`verdict`] | the decision: verdict, masks, reasons, controls |
//! | [`transform`] | a mask's transforms and how they join |
//! | [`mask`] | the transforms that masked values go through |
//! | [`recent`] | what makes room in what is kept |
//!
//! Same bundle, same catalog and same facts give the same decision: replay and audit rest on it.

pub mod catalog;
pub mod copy;
pub mod facts;
pub mod graph;
pub mod mask;
pub mod principal;
pub mod reason;
pub mod recent;
pub mod schema;
pub mod sql;
pub mod transform;
pub mod verdict;
