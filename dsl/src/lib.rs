//! The Provost policy language: text to decision graph. Never lets a mistake through: a set with any error compiles to
//! nothing, and what a version does not have is reported by name.
//!
//! | room | holds |
//! |---|---|
//! | `lexer`, `grammar.lalrpop`, `parser` | text to tokens to the syntax tree, a declaration at a time |
//! | `ast` | the syntax tree of one file, with spans |
//! | [`vocabulary`] | the words of the language, each with what it means: the source of checks, suggestions and reference |
//! | [`catalogue`] | the controls that `satisfies` may name |
//! | `lower` | trees to the engine's rules: names, patterns, checks |
//! | [`Diagnostic`], [`render`] | what is wrong, where, and what to do |
//! | [`bundle`] | signed bundles: built, signed, verified, loaded |
//! | [`rego`] | Rego modules: what they are given, how they are compiled and run |
//! | [`load()`] | a folder to a compiled policy |
//! | [`drawing`] | the decision graph as DOT and SVG |
//! | [`mod@reference`] | the words of the language as a document |
//! | [`testing`] | `test` blocks: statements through the analyser and the policy, compared with what is expected |
//!
//! [`compile()`] takes texts and returns an [`engine::graph::Policy`](provost_engine::graph::Policy). `docs/language.md`
//! is the reference of the language.

mod ast;
pub mod bundle;
pub mod catalogue;
mod compile;
mod diagnostic;
pub mod drawing;
mod lexer;
mod load;
mod lower;
mod parser;
pub mod reference;
pub mod rego;
pub mod testing;
pub mod vocabulary;

pub use self::{
    compile::{Compiled, Place, Proved, Source, compile, compile_with, compile_within, syntax},
    diagnostic::{Colours, Diagnostic, render},
    load::{LoadError, load, load_against, load_within},
};

/// The name of the built-in pack that is part of every policy set unless a file says `exclude baseline`.
pub const BASELINE: &str = "baseline";
