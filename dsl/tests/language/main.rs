//! The policy language as a whole: what its texts lower to, what is refused, and in which words.

#![cfg(test)]

mod accepted;
mod golden;
mod packs;
mod schemas;
mod singles;

use std::path::PathBuf;

use provost_dsl::{Colours, Diagnostic, Source, render};

pub(crate) fn source(path: &str, text: &str) -> Source {
    Source {
        path: PathBuf::from(path),
        text: text.to_owned(),
    }
}

pub(crate) fn rendered(diagnostics: &[Diagnostic]) -> String {
    render(diagnostics, Colours::None)
}
