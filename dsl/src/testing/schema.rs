//! The schemas that tests run against: each file is read once.

use std::{
    collections::HashMap,
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use provost_engine::{
    catalog::{Catalog, file},
    schema,
};

/// How large a schema may be, in bytes; larger ones are refused.
const SCHEMA_BYTES_MAX: u64 = 64 << 20;

/// The database's name that a catalog gets when the test gives its session none.
pub(super) const DATABASE: &str = "test";

/// A catalog, or what is wrong with the file, a line for each problem.
type Read = Result<Arc<Catalog>, Vec<String>>;

/// Catalogs by file and database.
#[derive(Debug, Default)]
pub(super) struct Schemas {
    read: HashMap<(Option<PathBuf>, Arc<str>), Read>,
}

impl Schemas {
    /// The catalog of a schema file; `None`: an empty database. The error is one line for each problem.
    pub(super) fn catalog(
        &mut self,
        folder: &Path,
        path: Option<PathBuf>,
        database: &Arc<str>,
    ) -> Read {
        self.read
            .entry((path.clone(), Arc::clone(database)))
            .or_insert_with(|| read_schema(folder, path.as_deref(), database).map(Arc::new))
            .clone()
    }
}

/// The catalog of a database of this name with the schema of a file below `folder`, which is DDL or a catalog that
/// `provost catalog pull` wrote (it has a name of its own for the database); `None`: nothing is in it but what PostgreSQL brings. DDL that is nested deep wants a large stack.
///
/// # Errors
/// What is wrong, a line for each problem, beginning with the file and its line.
pub fn read_schema(
    folder: &Path,
    path: Option<&Path>,
    database: &str,
) -> Result<Catalog, Vec<String>> {
    let Some(path) = path else {
        return schema::read("", database)
            .map_err(|errors| errors.iter().map(ToString::to_string).collect());
    };
    let file = folder.join(path);
    let shown = path.display();
    let failed = |source: std::io::Error| vec![format!("can't read `{shown}`: {source}")];
    if fs::metadata(&file).map_err(failed)?.len() > SCHEMA_BYTES_MAX {
        return Err(vec![format!(
            "`{shown}` is larger than {SCHEMA_BYTES_MAX} bytes"
        )]);
    }
    let bytes = fs::read(&file).map_err(failed)?;
    let Ok(text) = String::from_utf8(bytes) else {
        return Err(vec![format!("`{shown}` is not UTF-8 text")]);
    };
    if file::is_file(&text) {
        return Catalog::from_file(&text).map_err(|error| vec![format!("{shown}: {error}")]);
    }
    schema::read(&text, database).map_err(|errors| {
        let line = |error: &schema::Error| {
            let help = error.help.as_ref().map(|help| format!(" ({help})"));
            format!(
                "{shown}:{}: {}: {}{}",
                error.line,
                error.statement,
                error.message,
                help.unwrap_or_default()
            )
        };
        errors.iter().map(line).collect()
    })
}
