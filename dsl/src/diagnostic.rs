//! What is wrong with a policy, where, and what to do about it. Never more than one file in one diagnostic.

use std::{cmp::Reverse, fmt, sync::Arc};

use miette::{
    GraphicalReportHandler, GraphicalTheme, LabeledSpan, NamedSource, Severity, SourceCode,
};

use crate::ast::Span;

/// The text of a file, for pointing into it.
#[derive(Debug, Clone)]
pub(crate) struct File {
    source: Arc<NamedSource<String>>,
}

impl File {
    pub(crate) fn new(path: &std::path::Path, text: &str) -> Self {
        Self {
            source: Arc::new(NamedSource::new(
                path.display().to_string(),
                text.to_owned(),
            )),
        }
    }

    /// The file's name, as given.
    pub(crate) fn name(&self) -> &str {
        self.source.name()
    }

    /// What stands there.
    pub(crate) fn text(&self, span: &Span) -> &str {
        self.source.inner().get(span.clone()).unwrap_or_default()
    }

    /// The line of a byte, from 1.
    pub(crate) fn line(&self, offset: usize) -> usize {
        let before = self.source.inner().get(..offset).unwrap_or_default();
        before.matches('\n').count() + 1
    }

    pub(crate) fn error(
        &self,
        span: &Span,
        message: impl Into<String>,
        label: impl Into<String>,
    ) -> Diagnostic {
        Diagnostic {
            severity: Severity::Error,
            message: message.into(),
            help: None,
            labels: vec![LabeledSpan::new_primary_with_span(
                Some(label.into()),
                span.clone(),
            )],
            file: self.clone(),
        }
    }

    pub(crate) fn warning(
        &self,
        span: &Span,
        message: impl Into<String>,
        label: impl Into<String>,
    ) -> Diagnostic {
        Diagnostic {
            severity: Severity::Warning,
            ..self.error(span, message, label)
        }
    }
}

/// One thing that is wrong with a policy, or (as a warning) probably not meant.
#[derive(Debug, Clone)]
pub struct Diagnostic {
    severity: Severity,
    message: String,
    help: Option<String>,
    labels: Vec<LabeledSpan>,
    file: File,
}

impl Diagnostic {
    pub(crate) fn with_help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// The name among `known` that was probably meant becomes the help text, else the list of them.
    pub(crate) fn with_nearest<'a>(
        self,
        written: &str,
        known: impl Iterator<Item = &'a str>,
    ) -> Self {
        let mut known: Vec<&str> = known.collect();
        known.sort_unstable();
        known.dedup();
        let nearest = nearest(written, &known).map(ToOwned::to_owned);
        match (nearest, known.len()) {
            (Some(name), _) => self.with_help(format!("did you mean `{name}`?")),
            (None, 0) => self,
            (None, count) if count <= LISTED_MAX => {
                self.with_help(format!("known are {}", quoted(&known)))
            }
            (None, _) => self,
        }
    }

    pub(crate) fn with_label(mut self, span: &Span, label: impl Into<String>) -> Self {
        self.labels
            .push(LabeledSpan::new_with_span(Some(label.into()), span.clone()));
        self
    }

    /// One line, lower-case, names in backticks.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }

    /// What to do, where that is known.
    #[must_use]
    pub fn help_text(&self) -> Option<&str> {
        self.help.as_deref()
    }

    /// The file it is in.
    #[must_use]
    pub fn path(&self) -> &str {
        self.file.name()
    }

    /// The first byte in the file that it is about.
    #[must_use]
    pub fn offset(&self) -> usize {
        self.labels.first().map_or(0, LabeledSpan::offset)
    }

    /// Whether it is an error; else a warning.
    #[must_use]
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.message)
    }
}

impl std::error::Error for Diagnostic {}

impl miette::Diagnostic for Diagnostic {
    fn severity(&self) -> Option<Severity> {
        Some(self.severity)
    }

    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.help
            .as_ref()
            .map(|help| Box::new(help) as Box<dyn fmt::Display>)
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        Some(&*self.file.source)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        Some(Box::new(self.labels.iter().cloned()))
    }
}

/// Whether printed diagnostics carry terminal colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Colours {
    /// For a terminal.
    Ansi,
    /// For anything else.
    None,
}

/// Diagnostics as a person reads them: message, the lines of the file with labels, help; an empty line between two.
#[must_use]
pub fn render<'a>(
    diagnostics: impl IntoIterator<Item = &'a Diagnostic>,
    colours: Colours,
) -> String {
    let theme = match colours {
        Colours::Ansi => GraphicalTheme::unicode(),
        Colours::None => GraphicalTheme::unicode_nocolor(),
    };
    let handler = GraphicalReportHandler::new_themed(theme)
        .with_width(100)
        .with_links(false);
    let mut text = String::new();
    for diagnostic in diagnostics {
        if !text.is_empty() {
            text.push('\n');
        }
        if handler.render_report(&mut text, diagnostic).is_err() {
            // Writing to a String does not fail; a source that can't be read must not hide the message.
            text.push_str(&diagnostic.message);
            text.push('\n');
        }
    }
    text
}

/// Up to how many known names a help text lists.
const LISTED_MAX: usize = 20;

/// A longer word than this, in bytes, is nobody's slip; comparing it would only take time.
const SLIP_BYTES_MAX: usize = 128;
/// From how many bytes on a beginning stands for the whole word.
const BEGINNING_BYTES_MIN: usize = 4;

/// The nearest of `known`, if it is near enough to be a slip.
pub(crate) fn nearest<'a>(written: &str, known: &[&'a str]) -> Option<&'a str> {
    if written.len() > SLIP_BYTES_MAX {
        return None;
    }
    let lower = written.to_lowercase();
    let distance = |name: &str| strsim::damerau_levenshtein(&lower, &name.to_lowercase());
    let common = |name: &str| {
        let name = name.to_lowercase();
        lower
            .chars()
            .zip(name.chars())
            .take_while(|(one, other)| one == other)
            .count()
    };
    let slip_max = (written.chars().count() / 3).max(1);
    // Among equally near names, the one that begins alike.
    let best = known
        .iter()
        .map(|name| (distance(name), Reverse(common(name)), *name))
        .min()?;
    if best.0 <= slip_max {
        return Some(best.2);
    }
    // Cut short: the only word that begins so.
    let mut begin_so = known.iter().copied().filter(|name| {
        lower.len() >= BEGINNING_BYTES_MIN && name.to_lowercase().starts_with(&lower)
    });
    begin_so.next().filter(|_| begin_so.next().is_none())
}

/// `a`, `b`, `c`
pub(crate) fn quoted(names: &[&str]) -> String {
    names
        .iter()
        .map(|name| format!("`{name}`"))
        .collect::<Vec<_>>()
        .join(", ")
}
