//! What a module's text says before it runs: its package, what it reads, what it calls. Reads tokens and never guesses: what
//! it can't follow counts as read.

use std::collections::BTreeSet;

use provost_engine::graph::module::{Announced, Reads};
use regorus::{
    Source,
    unstable::{Lexer, Token, TokenKind},
};
use serde_json::Value;

use super::{builtins, reference::resolve};
use crate::{
    ast::Span,
    diagnostic::{Diagnostic, File},
};

/// The package that all modules are in.
const ROOT: &str = "provost";

/// What one file says.
#[derive(Debug)]
pub(super) struct Reading {
    /// Its package: `provost`, `provost.masking`.
    pub(super) package: String,
    /// Where the package's name is.
    pub(super) package_span: Span,
    /// The parts of the input that it names.
    pub(super) reads: Reads,
    /// The masks that it may return.
    pub(super) announced: Announced,
    /// Where it writes the key `masks`.
    pub(super) masks_span: Option<Span>,
    /// Paths below `data` that it names.
    pub(super) mentions: BTreeSet<String>,
    /// The texts that it writes out: names of classes are among them.
    pub(super) texts: BTreeSet<String>,
}

/// How deep brackets may be nested: regorus reads what is within a bracket once for each thing that it could be, so that each
/// level doubles or triples its time.
const NESTING_MAX: usize = 10;

/// Whether brackets are nested too deep to be parsed in reasonable time; that is said.
pub(super) fn is_nested_too_deep(
    text: &str,
    file: &File,
    diagnostics: &mut Vec<Diagnostic>,
) -> bool {
    // What is no token is for the parser to say.
    let Some(tokens) = tokens(text, file, &mut Vec::new()) else {
        return false;
    };
    let mut depth: usize = 0;
    for Token(kind, span) in &tokens {
        if *kind != TokenKind::Symbol {
            continue;
        }
        match span.text() {
            "(" | "[" | "{" => depth += 1,
            ")" | "]" | "}" => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > NESTING_MAX {
            let place = span.start as usize..span.end as usize;
            let message = format!("brackets are nested more than {NESTING_MAX} deep");
            let error = file.error(&place, message, "one too many");
            diagnostics.push(error.with_help("give what is within it a name: `part := ...`"));
            return true;
        }
    }
    false
}

/// Reads a file that parses; mistakes go to `diagnostics`. `None` if it has any.
pub(super) fn read(
    text: &str,
    file: &File,
    schema: &Value,
    diagnostics: &mut Vec<Diagnostic>,
) -> Option<Reading> {
    let before = diagnostics.len();
    let tokens = tokens(text, file, diagnostics)?;
    let mut reader = Reader {
        tokens: &tokens,
        file,
        schema,
        diagnostics,
        reading: Reading {
            package: String::new(),
            package_span: 0..0,
            reads: Reads::default(),
            announced: Announced::default(),
            masks_span: None,
            mentions: BTreeSet::new(),
            texts: BTreeSet::new(),
        },
    };
    reader.package();
    reader.body();
    let reading = reader.reading;
    (diagnostics.len() == before).then_some(reading)
}

fn tokens(text: &str, file: &File, diagnostics: &mut Vec<Diagnostic>) -> Option<Vec<Token>> {
    let failed = |message: String| file.error(&(0..0), message, "in this file");
    let source = match Source::from_contents(file.name().to_owned(), text.to_owned()) {
        Ok(source) => source,
        Err(error) => {
            diagnostics.push(failed(error.to_string()));
            return None;
        }
    };
    let mut lexer = Lexer::new(&source);
    let mut tokens = Vec::new();
    loop {
        match lexer.next_token() {
            Ok(Token(TokenKind::Eof, _)) => return Some(tokens),
            Ok(token) => tokens.push(token),
            Err(error) => {
                diagnostics.push(failed(error.to_string()));
                return None;
            }
        }
    }
}

/// A name with what directly follows it: `input.principal["groups"]`.
struct Path {
    /// The parts that are written out.
    parts: Vec<String>,
    span: Span,
    /// The place of the token behind it.
    next: usize,
    /// Whether a `[` with something that is not written out follows.
    goes_on: bool,
}

struct Reader<'a> {
    tokens: &'a [Token],
    file: &'a File,
    schema: &'a Value,
    diagnostics: &'a mut Vec<Diagnostic>,
    reading: Reading,
}

impl Reader<'_> {
    fn text(&self, place: usize) -> &str {
        self.tokens.get(place).map_or("", |token| token.1.text())
    }

    fn is(&self, place: usize, kind: &TokenKind, text: &str) -> bool {
        self.tokens
            .get(place)
            .is_some_and(|token| token.0 == *kind && token.1.text() == text)
    }

    /// The bytes of a token; a text's quotes are no part of it.
    fn span(&self, place: usize) -> Span {
        self.tokens.get(place).map_or(0..0, |Token(_, span)| {
            span.start as usize..span.end as usize
        })
    }

    /// Whether nothing lies between a token and the next.
    fn touches(&self, place: usize) -> bool {
        self.span(place).end == self.span(place + 1).start
    }

    fn error(&mut self, span: &Span, message: String, label: &str, help: &str) {
        let error = self.file.error(span, message, label);
        self.diagnostics.push(error.with_help(help));
    }

    /// `package provost`, the first thing of every file.
    fn package(&mut self) {
        if !self.is(0, &TokenKind::Ident, "package") {
            // The parser has said so.
            return;
        }
        let path = self.path(1);
        if path.parts.first().is_none_or(|first| first != ROOT) || path.goes_on {
            let message = format!(
                "package `{}` is not part of a policy set",
                path.parts.join(".")
            );
            self.error(
                &path.span,
                message,
                "not below `provost`",
                "modules are in package `provost` or below it: `package provost.masking`",
            );
        }
        self.reading.package = path.parts.join(".");
        self.reading.package_span = path.span;
    }

    /// The path that begins with the name at `start`.
    fn path(&self, start: usize) -> Path {
        let mut parts = vec![self.text(start).to_owned()];
        let mut place = start;
        let mut goes_on = false;
        loop {
            if !self.touches(place) {
                break;
            }
            let is_name = matches!(self.tokens.get(place + 2), Some(Token(TokenKind::Ident, _)));
            if self.is(place + 1, &TokenKind::Symbol, ".") && is_name {
                parts.push(self.text(place + 2).to_owned());
                place += 2;
                continue;
            }
            if !self.is(place + 1, &TokenKind::Symbol, "[") {
                break;
            }
            let is_text = matches!(
                self.tokens.get(place + 2),
                Some(Token(TokenKind::String | TokenKind::RawString, _))
            );
            // What has escapes is not the name that it looks like.
            if is_text
                && self.is(place + 3, &TokenKind::Symbol, "]")
                && !self.text(place + 2).contains('\\')
            {
                parts.push(self.text(place + 2).to_owned());
                place += 3;
                continue;
            }
            goes_on = true;
            break;
        }
        Path {
            parts,
            span: self.span(start).start..self.span(place).end,
            next: place + 1,
            goes_on,
        }
    }

    fn body(&mut self) {
        let mut place = 2;
        while let Some(Token(kind, _)) = self.tokens.get(place) {
            match kind {
                TokenKind::String | TokenKind::RawString => {
                    self.announce(place);
                    place += 1;
                }
                // A name behind a dot belongs to what is before the dot.
                TokenKind::Ident if !self.is(place - 1, &TokenKind::Symbol, ".") => {
                    let path = self.path(place);
                    self.name(&path);
                    // What is within brackets is looked at too.
                    place = if path.goes_on {
                        path.next
                    } else {
                        path.next.max(place + 1)
                    };
                }
                _ => place += 1,
            }
        }
    }

    /// Texts, and keys of a verdict that say what the module may mask.
    fn announce(&mut self, place: usize) {
        let text = self.text(place).to_owned();
        self.reading.texts.insert(text);
        match self.text(place) {
            "masks" => {
                self.reading.announced.masks = true;
                let span = self.span(place);
                self.reading.masks_span.get_or_insert(span);
            }
            "output_masks" => self.reading.announced.output_masks = true,
            _ => {}
        }
    }

    fn name(&mut self, path: &Path) {
        match path.parts.first().map(String::as_str) {
            Some("input") => self.input(path),
            Some("data") => self.data(path),
            Some(_) | None => self.call(path),
        }
    }

    fn input(&mut self, path: &Path) {
        let reads = &mut self.reading.reads;
        let part = |place: usize| path.parts.get(place).map(String::as_str);
        match (part(1), part(2)) {
            (Some("principal" | "session"), _) => {}
            (Some("time"), _) => reads.time = true,
            (Some("statement"), _) => reads.statement = true,
            (Some("circumstances"), Some("in_transaction")) => reads.circumstances = true,
            (Some("circumstances"), Some("estimated_rows")) => reads.estimated_rows = true,
            (Some("circumstances"), Some("novel")) => reads.novel = true,
            (Some("circumstances"), _) => {
                reads.circumstances = true;
                reads.estimated_rows = true;
                reads.novel = true;
            }
            (Some(_) | None, _) => *reads = Reads::ALL,
        }
        self.check_names(path);
    }

    /// A name that the input can't have is a slip: it would be undefined for ever.
    fn check_names(&mut self, path: &Path) {
        let mut schema = self.schema;
        let mut so_far = "input".to_owned();
        for part in path.parts.iter().skip(1) {
            let Some(properties) = properties(schema, self.schema) else {
                return;
            };
            let Some(next) = properties.get(part) else {
                let known: Vec<&str> = properties.keys().map(String::as_str).collect();
                let message = format!("`{so_far}` has no `{part}`");
                let error = self.file.error(&path.span, message, "never defined");
                self.diagnostics
                    .push(error.with_nearest(part, known.into_iter()));
                return;
            };
            schema = next;
            so_far = format!("{so_far}.{part}");
        }
    }

    fn data(&mut self, path: &Path) {
        if path.parts.get(1).is_some_and(|root| root == ROOT) {
            self.reading
                .mentions
                .insert(path.parts.get(1..).unwrap_or_default().join("."));
        } else {
            self.error(
                &path.span,
                format!("there is no `{}`", path.parts.join(".")),
                "never defined",
                "a module reads `input` and the modules below `data.provost`; a policy set has no other data",
            );
        }
    }

    fn call(&mut self, path: &Path) {
        let is_call = self.is(path.next, &TokenKind::Symbol, "(")
            && self.touches(path.next - 1)
            && !path.goes_on;
        let name = path.parts.join(".");
        if is_call && let Some(instead) = builtins::refusal(&name) {
            self.error(
                &path.span,
                format!("a module may not call `{name}`"),
                "not a function of the facts alone, or without bounds",
                instead,
            );
        }
    }
}

/// The named properties of a schema; `None` where any name may come.
fn properties<'a>(
    schema: &'a Value,
    root: &'a Value,
) -> Option<&'a serde_json::Map<String, Value>> {
    let schema = resolve(schema, root);
    if let Some(Value::Object(properties)) = schema.get("properties") {
        return Some(properties);
    }
    // `anyOf: [it, null]`: an optional part.
    schema
        .get("anyOf")?
        .as_array()?
        .iter()
        .find_map(|one| resolve(one, root).get("properties")?.as_object())
}
