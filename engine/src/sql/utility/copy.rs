//! COPY: what it reads and writes, and the form that its options give its data.
//!
//! Must never take an option for another one than the server does: what it does not know leaves a doubt.

use std::collections::BTreeSet;

use pg_query::{
    NodeEnum,
    protobuf::{self as pg, Node},
};

use super::{
    super::{
        Refusal,
        book::{Descend, Keep},
        dml::Target,
        query::Rows,
        resolver::{Resolver, strings},
        scope::{Field, Scope},
    },
    Reading, outputs,
};
use crate::{
    catalog::TypeKind,
    copy::{CopyColumn, CopyOut, CsvLayout, Doubt, Layout, NULL_OF_TEXT, TextLayout},
    facts::{Kind, Object, Operation, SessionEffect, Use},
};

impl Resolver<'_> {
    pub(super) fn copy(&mut self, copy: &pg::CopyStmt) -> Result<Reading, Refusal> {
        self.seen.mark(copy);
        self.options(&copy.options, &Scope::default())?;
        if copy.is_program || !copy.filename.is_empty() {
            self.book.opaque(
                "copy",
                "reads or writes a file or program of the server's machine",
            );
            self.book.plain(
                Object::Other {
                    sort: "file".into(),
                    schema: None,
                    name: copy.filename.as_str().into(),
                },
                Operation::Opaque,
            );
        }
        if copy.is_from {
            self.copy_in(copy)?;
            return Ok(Reading::new(Kind::CopyFrom));
        }
        let rows = match copy.query.as_deref().map(|node| &node.node) {
            Some(Some(NodeEnum::SelectStmt(select))) => self.select(select, &Scope::default())?,
            Some(Some(NodeEnum::InsertStmt(insert))) => self.insert(insert, &Scope::default())?,
            Some(Some(NodeEnum::UpdateStmt(update))) => self.update(update, &Scope::default())?,
            Some(Some(NodeEnum::DeleteStmt(delete))) => self.delete(delete, &Scope::default())?,
            Some(Some(NodeEnum::MergeStmt(merge))) => self.merge(merge, &Scope::default())?,
            Some(_) => return Err(Refusal::not_understood("COPY of this statement")),
            None => self.copy_table(copy)?,
        };
        if rows.open.is_some() {
            self.book.opaque(
                "copy",
                "the result's columns depend on a function or row that analysis does not describe",
            );
        }
        let columns = rows.fields.iter().map(|field| self.copy_column(field));
        let columns = columns.collect();
        self.copy_out = Some(copy_out(&copy.options, columns, &rows.fields));
        Ok(Reading {
            kind: Kind::CopyTo,
            outputs: outputs(rows),
            session_effect: SessionEffect::None,
        })
    }

    fn copy_table(&mut self, copy: &pg::CopyStmt) -> Result<Rows, Refusal> {
        let Some(name) = &copy.relation else {
            return Err(Refusal::not_understood("this COPY"));
        };
        self.seen.mark(name);
        let relation = self.relation(name)?;
        let mut item = self.relation_item(&relation, Descend::Only, Keep::Always)?;
        item.name = Some(relation.name.clone());
        let target = Target::plain(relation.clone(), item, Descend::Only);
        let columns = self.copy_columns(&target, &copy.attlist)?;
        let entry = self.book.relation(
            self.catalog,
            &relation,
            Operation::CopyTo,
            None,
            (Descend::Only, Keep::Always),
        );
        let mut rows = Rows::default();
        for column in columns {
            let value = target.item.field(&column.name)?.unwrap_or_default();
            self.book.used(&value, Use::Output);
            self.book.column_used(entry, &column, Use::Output);
            rows.fields.push(Field {
                name: column.name.clone(),
                value,
            });
        }
        Ok(rows)
    }

    /// The type that the server would describe: a column's own, where the field is that column.
    fn copy_column(&self, field: &Field) -> CopyColumn {
        let of_column = |(relation, number): (u32, i16)| {
            let attributes = &self.catalog.relation(relation)?.attributes;
            let found = attributes.iter().find(|one| one.number == number)?;
            Some(found.type_oid)
        };
        let mut type_oid = field.value.described.and_then(of_column).unwrap_or(0);
        // A domain over a domain has an end; a catalog that says otherwise has types that can't be told.
        let mut met = BTreeSet::new();
        while let Some(found) = self.catalog.type_by_oid(type_oid)
            && found.kind == TypeKind::Domain
        {
            type_oid = if met.insert(type_oid) {
                found.element
            } else {
                0
            };
        }
        CopyColumn {
            type_oid,
            is_quoted: false,
        }
    }
}

/// What the options of a COPY TO say.
#[derive(Default)]
struct Options<'a> {
    format: Option<&'a str>,
    delimiter: Option<&'a str>,
    null: Option<&'a str>,
    quote: Option<&'a str>,
    escape: Option<&'a str>,
    has_header: bool,
    quoted: Quoted<'a>,
}

/// Whose values are quoted in any case.
#[derive(Default)]
enum Quoted<'a> {
    #[default]
    Nobodys,
    Everyones,
    Of(Vec<&'a str>),
}

fn copy_out(options: &[Node], mut columns: Vec<CopyColumn>, fields: &[Field]) -> CopyOut {
    let options = match read(options) {
        Ok(options) => options,
        Err(doubt) => {
            return CopyOut {
                layout: Err(doubt),
                columns,
            };
        }
    };
    for (place, column) in columns.iter_mut().enumerate() {
        column.is_quoted = match &options.quoted {
            Quoted::Nobodys => false,
            Quoted::Everyones => true,
            // Of several columns of one name the server takes the first.
            Quoted::Of(names) => names.iter().any(|name| {
                let is_it = |field: &Field| *field.name == **name;
                fields.iter().position(is_it) == Some(place)
            }),
        };
    }
    CopyOut {
        layout: layout(&options),
        columns,
    }
}

/// Reads the options of a COPY TO; one that stands twice is an error of the server's.
fn read(nodes: &[Node]) -> Result<Options<'_>, Doubt> {
    let mut options = Options::default();
    let mut met = BTreeSet::new();
    for node in nodes {
        let Some(NodeEnum::DefElem(option)) = &node.node else {
            return Err(UNKNOWN);
        };
        let name = option.defname.as_str();
        if !met.insert(name) {
            return Err(UNKNOWN);
        }
        let value = option.arg.as_deref().and_then(|node| node.node.as_ref());
        match name {
            "format" => options.format = Some(word(value)?),
            "delimiter" => options.delimiter = Some(word(value)?),
            "null" => options.null = Some(word(value)?),
            "quote" => options.quote = Some(word(value)?),
            "escape" => options.escape = Some(word(value)?),
            "header" => options.has_header = header(value)?,
            "force_quote" => options.quoted = quoted(value)?,
            "encoding" => encoding(word(value)?)?,
            // It says nothing about what is written.
            "freeze" => {}
            _ => return Err(UNKNOWN),
        }
    }
    Ok(options)
}

const UNKNOWN: Doubt = Doubt {
    why: "it has an option, or a value of one, that is not understood",
    instead: "use FORMAT, DELIMITER, NULL, HEADER, QUOTE, ESCAPE and FORCE_QUOTE, each once",
};

fn word(value: Option<&NodeEnum>) -> Result<&str, Doubt> {
    match value {
        Some(NodeEnum::String(text)) => Ok(&text.sval),
        _ => Err(UNKNOWN),
    }
}

/// # Source
/// PostgreSQL, `defGetCopyHeaderOption` in `src/backend/commands/copy.c`.
fn header(value: Option<&NodeEnum>) -> Result<bool, Doubt> {
    match value {
        None => Ok(true),
        Some(NodeEnum::Boolean(value)) => Ok(value.boolval),
        Some(NodeEnum::Integer(number)) if matches!(number.ival, 0 | 1) => Ok(number.ival == 1),
        Some(NodeEnum::String(text)) => match text.sval.to_ascii_lowercase().as_str() {
            "true" | "on" => Ok(true),
            "false" | "off" => Ok(false),
            _ => Err(UNKNOWN),
        },
        Some(_) => Err(UNKNOWN),
    }
}

fn quoted(value: Option<&NodeEnum>) -> Result<Quoted<'_>, Doubt> {
    match value {
        Some(NodeEnum::AStar(_)) => Ok(Quoted::Everyones),
        Some(NodeEnum::List(list)) => match strings(&list.items) {
            Ok(names) => Ok(Quoted::Of(names)),
            Err(_) => Err(UNKNOWN),
        },
        _ => Err(UNKNOWN),
    }
}

/// # Source
/// PostgreSQL, `pg_char_to_encoding`: letters and digits count, in any case.
fn encoding(name: &str) -> Result<(), Doubt> {
    let letters = name.chars().filter(char::is_ascii_alphanumeric);
    let plain: String = letters.map(|letter| letter.to_ascii_lowercase()).collect();
    if matches!(&*plain, "utf8" | "unicode") {
        return Ok(());
    }
    Err(Doubt {
        why: "it asks for another encoding than UTF8, in which values are not told apart",
        instead: "leave the ENCODING option out",
    })
}

fn layout(options: &Options<'_>) -> Result<Layout, Doubt> {
    let is_csv = match options.format {
        None | Some("text") => false,
        Some("csv") => true,
        Some("binary") => return Ok(Layout::Binary),
        Some(_) => return Err(UNKNOWN),
    };
    let delimiter = byte(options.delimiter, if is_csv { b',' } else { b'\t' })?;
    let null: Box<[u8]> = match options.null {
        Some(null) => null.as_bytes().into(),
        None if is_csv => Box::default(),
        None => NULL_OF_TEXT.into(),
    };
    let breaks = |byte: &u8| matches!(byte, b'\r' | b'\n') || *byte == delimiter;
    if null.iter().any(breaks) {
        return Err(UNKNOWN);
    }
    let has_header = options.has_header;
    if is_csv {
        let quote = byte(options.quote, b'"')?;
        let escape = byte(options.escape, quote)?;
        if quote == delimiter || null.contains(&quote) {
            return Err(UNKNOWN);
        }
        return Ok(Layout::Csv(CsvLayout {
            delimiter,
            quote,
            escape,
            null,
            has_header,
        }));
    }
    // What the server itself refuses, and what would be taken for an escape.
    let is_escape = |byte: u8| matches!(byte, b'\\' | b'.' | b'a'..=b'z' | b'0'..=b'9');
    if is_escape(delimiter) {
        return Err(UNKNOWN);
    }
    if null.contains(&b'\\') && *null != *NULL_OF_TEXT {
        return Err(Doubt {
            why: "a NULL string with a backslash can't be told from what stands beside it",
            instead: "leave the NULL option out",
        });
    }
    Ok(Layout::Text(TextLayout {
        delimiter,
        null,
        has_header,
    }))
}

/// An option of one character, which ends no line.
fn byte(text: Option<&str>, otherwise: u8) -> Result<u8, Doubt> {
    match text.map(str::as_bytes) {
        None => Ok(otherwise),
        Some(&[byte]) if byte.is_ascii() && !matches!(byte, 0 | b'\r' | b'\n') => Ok(byte),
        Some(_) => Err(Doubt {
            why: "its DELIMITER, QUOTE or ESCAPE is not one character that stands within a line",
            instead: "use one ASCII character that is no end of a line",
        }),
    }
}
