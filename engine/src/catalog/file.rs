//! A catalog in a file, for work without a server: JSON, one object a line, so that a change is a line of a diff. Names,
//! types, definitions and bodies are in it, never a row's value.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Catalog, Content, Error, Wire};

/// The format that is written; another one is refused.
pub const FILE_FORMAT: u32 = 1;

/// What tells such a file from others.
#[derive(Deserialize)]
struct Header {
    provost_catalog: u32,
}

/// Whether a text is such a file rather than DDL: no statement begins like JSON.
#[must_use]
pub fn is_file(text: &str) -> bool {
    text.trim_start().starts_with('{')
}

/// The file of what [`super::CATALOG_QUERY`] gave, and the catalog.
///
/// # Errors
/// Those of [`Catalog::from_answer`].
pub fn to_file(answer: &[u8]) -> Result<(String, Catalog), Error> {
    let content = Wire::read(answer)?.content()?;
    let text = written(&content)?;
    Ok((text, Catalog::from_content(content)?))
}

impl Catalog {
    /// The file of this catalog: [`Catalog::from_file`] gives it back, of the same version where it has no temporary schema, whose name is
    /// not kept.
    ///
    /// # Errors
    /// [`Error::Malformed`], which these types never give.
    pub fn to_text(&self) -> Result<String, Error> {
        let mut content = Content {
            server_version_num: self.server_version_num,
            database: self.database.clone(),
            temp_schema: self.temp_schema.clone(),
            schemas: self.schemas.clone(),
            relations: self.relations.values().map(|one| (**one).clone()).collect(),
            functions: (self.functions_by_oid.values())
                .map(|one| (**one).clone())
                .collect(),
            called: self.called.clone(),
            operators: (self.operators_by_oid.values())
                .map(|one| (**one).clone())
                .collect(),
            types: self
                .types_by_oid
                .values()
                .map(|one| (**one).clone())
                .collect(),
            casts: self.casts.clone(),
            event_triggers: self.event_triggers.clone(),
            comparisons: self.comparisons.clone(),
            builtins: self.builtins.clone(),
        };
        content.arrange();
        written(&content)
    }

    /// Reads a file that [`to_file`] gave.
    ///
    /// # Errors
    /// [`Error::Malformed`] for another JSON, [`Error::Format`] for another format, [`Error::Version`] for a server before 13
    /// or after 18.
    pub fn from_file(text: &str) -> Result<Self, Error> {
        let not_a_file = |source| Error::File { source };
        let header: Header = serde_json::from_str(text).map_err(not_a_file)?;
        if header.provost_catalog != FILE_FORMAT {
            return Err(Error::Format {
                format: header.provost_catalog,
            });
        }
        let mut content: Content = serde_json::from_str(text).map_err(not_a_file)?;
        content.arrange();
        Self::from_content(content)
    }
}

/// One object a line.
fn written(content: &impl Serialize) -> Result<String, Error> {
    let mut text = format!("{{\n\"provost_catalog\": {FILE_FORMAT}");
    if let Value::Object(fields) = serde_json::to_value(content)? {
        for (name, value) in fields {
            text.push_str(",\n");
            text.push_str(&serde_json::to_string(&name)?);
            text.push_str(": ");
            match value {
                Value::Array(items) if items.iter().any(Value::is_object) => {
                    text.push('[');
                    for (place, item) in items.iter().enumerate() {
                        text.push_str(if place == 0 { "\n" } else { ",\n" });
                        text.push_str(&serde_json::to_string(item)?);
                    }
                    text.push_str("\n]");
                }
                other => text.push_str(&serde_json::to_string(&other)?),
            }
        }
    }
    text.push_str("\n}\n");
    Ok(text)
}
