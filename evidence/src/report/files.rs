//! The folder that a report is written to. It must never replace a file.

use std::fs;
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};

use crate::error::Error;
use crate::query::Tables;
use crate::report::queries::{EVENTS, POPULATION};
use crate::report::table::Csv;
use crate::report::{Content, html, ocsf, oscal};

/// A new folder.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
}

impl Folder {
    /// Makes it; one that is there must be empty.
    pub(super) fn create(path: &Path) -> Result<Self, Error> {
        fs::create_dir_all(path).map_err(Error::file("create folder", path))?;
        let mut entries = fs::read_dir(path).map_err(Error::file("read folder", path))?;
        if entries.next().is_some() {
            return Err(Error::NotEmpty {
                folder: path.to_owned(),
            });
        }
        Ok(Self {
            path: path.to_owned(),
        })
    }

    /// Writes a file; its name may begin with folders.
    pub(super) fn write(&self, name: &str, content: &str) -> Result<(), Error> {
        let mut file = self.open(name)?;
        let written = file
            .write_all(content.as_bytes())
            .and_then(|()| file.flush());
        written.map_err(Error::file("write", self.path.join(name)))
    }

    /// Opens a new file.
    pub(super) fn open(&self, name: &str) -> Result<BufWriter<fs::File>, Error> {
        let path = self.path.join(name);
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(Error::file("create folder", folder))?;
        }
        let file = fs::File::create_new(&path).map_err(Error::file("create", &path))?;
        Ok(BufWriter::new(file))
    }

    /// Where a file of that name is.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }
}

/// Writes every file of a report; their names, in order.
pub(super) async fn write_all(
    folder: &Folder,
    tables: &Tables,
    content: &Content<'_>,
) -> Result<Vec<String>, Error> {
    let mut files = vec![
        ("report.html".to_owned(), html::page(content)),
        ("matrix.csv".to_owned(), matrix(content)?),
        ("population.csv".to_owned(), content.population.table.csv()?),
        (
            "oscal-assessment-results.json".to_owned(),
            oscal::document(content)?,
        ),
        (
            sql_name("tables", POPULATION.name),
            content.population.sql.clone(),
        ),
    ];
    for section in &content.sections {
        let name = section.query.name;
        files.push((format!("{name}.csv"), section.table.csv()?));
        files.push((sql_name("tables", name), section.sql.clone()));
    }
    for (name, measured) in &content.matrix.measured {
        files.push((sql_name("measures", name), measured.sql.clone()));
    }
    let events = EVENTS.within(content.request.period);
    files.push((sql_name("tables", EVENTS.name), events.clone()));
    for (name, text) in &files {
        folder.write(name, text)?;
    }
    let ocsf_name = "ocsf.jsonl";
    ocsf::write(tables, &events, folder, ocsf_name).await?;
    let mut names: Vec<String> = files.into_iter().map(|(name, _)| name).collect();
    names.push(ocsf_name.to_owned());
    names.sort_unstable();
    Ok(names)
}

/// Where a report keeps a query.
pub(super) fn sql_name(kind: &str, name: &str) -> String {
    format!("sql/{kind}/{name}.sql")
}

fn matrix(content: &Content<'_>) -> Result<String, Error> {
    let mut lines = Csv::new();
    let headings = [
        "framework",
        "version",
        "control",
        "title",
        "standing",
        "measure",
        "evidence",
        "exceptions",
        "decisions_by_rules_that_name_it",
        "refused",
        "masked_columns",
        "why_it_bears",
        "what_it_does_not_show",
    ];
    lines.line(headings)?;
    for row in &content.matrix.rows {
        let Some(catalogue) = content.request.catalogues.get(row.catalogue) else {
            continue;
        };
        let (control, bearing) = (&row.control, row.control.bearing.as_ref());
        let measured = content.matrix.measured(control);
        let number =
            |number: Option<u64>| number.map(|number| number.to_string()).unwrap_or_default();
        let said = |say: fn(&super::matrix::Bearing) -> &String| {
            bearing.map(say).cloned().unwrap_or_default()
        };
        let cells = [
            catalogue.framework.clone(),
            catalogue.version.clone(),
            control.id.clone(),
            control.title.clone(),
            row.standing.words().to_owned(),
            said(|bearing| &bearing.measure),
            number(measured.map(|measured| measured.evidence)),
            number(measured.and_then(|measured| measured.exceptions)),
            row.named.decisions.to_string(),
            row.named.refused.to_string(),
            row.named.masked_columns.to_string(),
            said(|bearing| &bearing.bears),
            said(|bearing| &bearing.lacks),
        ];
        lines.line(cells.iter().map(String::as_str))?;
    }
    lines.finish()
}
