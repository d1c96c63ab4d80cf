//! How the rows of a `COPY ... TO STDOUT` come, as the statement's own options say: COPY describes its columns to nobody, so
//! whoever masks its data must know its form from the statement and the types from the catalog.
//!
//! Must never guess: options that leave a doubt about where a value begins and ends, or about whether it is NULL, are a
//! [`Doubt`].

use crate::{
    mask::{self, Format, Masked},
    transform::Transform,
};

/// The NULL string of text format unless another is asked for: no value looks like it.
pub const NULL_OF_TEXT: &[u8] = b"\\N";

/// The data of a `COPY ... TO STDOUT`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CopyOut {
    /// The form of its rows, or why that is not certain.
    pub layout: Result<Layout, Doubt>,
    /// Its columns, in order.
    pub columns: Vec<CopyColumn>,
}

/// One column of a COPY.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CopyColumn {
    /// The type's oid, domains resolved; 0 where the column is computed, and so of a type that nobody tells.
    pub type_oid: u32,
    /// Every value but NULL is quoted (`FORCE_QUOTE`).
    pub is_quoted: bool,
}

/// The form of a COPY's rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Layout {
    /// A line a row, special characters behind backslashes.
    Text(TextLayout),
    /// A line a row, special characters within quotes.
    Csv(CsvLayout),
    /// Lengths before values.
    Binary,
}

/// Text format.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TextLayout {
    /// Between columns.
    pub delimiter: u8,
    /// What NULL is written as.
    pub null: Box<[u8]>,
    /// Whether the first line holds the columns' names.
    pub has_header: bool,
}

/// CSV format.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CsvLayout {
    /// Between columns.
    pub delimiter: u8,
    /// Around values.
    pub quote: u8,
    /// Before quotes and itself, within quotes.
    pub escape: u8,
    /// What NULL is written as; a value that reads the same is quoted.
    pub null: Box<[u8]>,
    /// Whether the first line holds the columns' names.
    pub has_header: bool,
}

/// Why a COPY can't be masked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Doubt {
    /// One line, lower-case.
    pub why: &'static str,
    /// What would work.
    pub instead: &'static str,
}

impl CopyOut {
    /// Whether a line of names comes first.
    #[must_use]
    pub const fn has_header(&self) -> bool {
        match &self.layout {
            Ok(Layout::Text(text)) => text.has_header,
            Ok(Layout::Csv(csv)) => csv.has_header,
            Ok(Layout::Binary) | Err(_) => false,
        }
    }

    /// Whether values come in binary format.
    #[must_use]
    pub const fn is_binary(&self) -> bool {
        matches!(self.layout, Ok(Layout::Binary))
    }

    /// Why a column can't be masked by this transform without telling which values it has.
    #[must_use]
    pub fn doubt(&self, output: usize, transform: &Transform) -> Option<Doubt> {
        let layout = match &self.layout {
            Ok(layout) => layout,
            Err(doubt) => return Some(doubt.clone()),
        };
        let column = self.columns.get(output)?;
        let Layout::Text(text) = layout else {
            return None;
        };
        // Without quotes, a value may read as NULL does. What becomes NULL anyway, and what can't read so, tells nothing.
        let becomes_null = mask::fixed(transform, column.type_oid, Format::Text, &mut Vec::new())
            == Some(Masked::Null);
        let is_told_apart = *text.null == *NULL_OF_TEXT
            || (is_word(&text.null) && mask::has_no_words(column.type_oid));
        (!becomes_null && !is_told_apart).then_some(Doubt {
            why: "a value of a masked column may read as its NULL string does, and would be told by that",
            instead: "leave the NULL option out, or use CSV",
        })
    }
}

/// What no number, date or uuid reads as: nothing, or the word itself.
const fn is_word(null: &[u8]) -> bool {
    null.is_empty() || null.eq_ignore_ascii_case(b"null")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(null: &str) -> CopyOut {
        CopyOut {
            layout: Ok(Layout::Text(TextLayout {
                delimiter: b'\t',
                null: null.as_bytes().into(),
                has_header: false,
            })),
            columns: [25, 23, 0]
                .map(|type_oid| CopyColumn {
                    type_oid,
                    is_quoted: false,
                })
                .into(),
        }
    }

    fn check(null: &str, output: usize, transform: &Transform, is_certain: bool) {
        let doubt = text(null).doubt(output, transform);
        assert_eq!(doubt.is_none(), is_certain, "{null} {output} {transform:?}");
    }

    #[test]
    fn a_null_string_must_not_be_a_value() {
        let (last, constant) = (Transform::Last(4), Transform::Constant("7".into()));
        for transform in [&last, &Transform::Redact, &constant] {
            check("\\N", 0, transform, true);
            check("", 0, transform, false);
            check("null", 0, transform, false);
            check("000-00-0001", 0, transform, false);
        }
        // An integer's text is never empty, but may be any number.
        check("", 1, &constant, true);
        check("NULL", 1, &constant, true);
        check("42", 1, &constant, false);
        // What becomes NULL whatever it was tells nothing.
        check("42", 1, &Transform::Redact, true);
        check("42", 2, &Transform::Redact, true);
        check("x", 0, &Transform::Null, true);
    }
}
