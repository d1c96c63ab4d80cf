//! OSCAL assessment results: observations, one for each control that has a query. It must never contain a finding: those have a status
//! of satisfied or not, which evidence alone doesn't give.

use serde_json::{Value, json};

use crate::error::Error;
use crate::report::files::sql_name;
use crate::report::identifier::uuid;
use crate::report::matrix::{Catalogue, Measured, Row};
use crate::report::{Content, matrix::Standing};

/// The version of OSCAL that the document follows.
const OSCAL_VERSION: &str = "1.2.1";
/// What qualifies our properties' names.
const NAME_SPACE: &str = "https://github.com/provost-gateway/provost/ns/oscal";

/// The document, as JSON.
///
/// # Errors
/// [`Error::Encode`].
///
/// # Source
/// NIST, OSCAL assessment results model: zoned times, no empty lists, a control selection in each result.
pub(super) fn document(content: &Content<'_>) -> Result<String, Error> {
    let name = Names::new(content);
    let plan = name.of("plan");
    let results: Vec<Value> = content
        .request
        .catalogues
        .iter()
        .enumerate()
        .filter_map(|(place, catalogue)| result(content, &name, place, catalogue))
        .collect();
    let document = json!({
        "assessment-results": {
            "uuid": name.of("assessment-results"),
            "metadata": {
                "title": "Provost: evidence of access decisions",
                "last-modified": collected(content),
                "version": env!("CARGO_PKG_VERSION"),
                "oscal-version": OSCAL_VERSION,
            },
            "import-ap": { "href": format!("#{plan}") },
            "results": results,
            "back-matter": { "resources": [{
                "uuid": plan,
                "title": "What was asked for",
                "description": format!(
                    "A report over the evidence from {} up to and without {}. There is no assessment plan beside it.",
                    content.request.period.begin(),
                    content.request.period.end(),
                ),
            }]},
        }
    });
    let text =
        serde_json::to_string_pretty(&document).map_err(|source| Error::Encode { source })?;
    Ok(text + "\n")
}

/// UUIDs of a document: they follow from the store's checkpoints and the request.
struct Names {
    prefix: String,
}

impl Names {
    fn new(content: &Content<'_>) -> Self {
        let frameworks: Vec<&str> = content
            .request
            .catalogues
            .iter()
            .map(|catalogue| catalogue.framework.as_str())
            .collect();
        let checkpoints: Vec<&str> = content
            .population
            .checkpoints
            .iter()
            .map(|(_, checkpoint)| checkpoint.as_str())
            .collect();
        let period = content.request.period;
        Self {
            prefix: format!(
                "{}\n{}\n{}\n{}",
                checkpoints.join("\n"),
                frameworks.join(","),
                period.begin(),
                period.end()
            ),
        }
    }

    fn of(&self, what: &str) -> String {
        uuid(&format!("{}\n{what}", self.prefix))
    }
}

/// One framework's result; `None` when no control of it has a query, for a result must select one.
fn result(
    content: &Content<'_>,
    name: &Names,
    place: usize,
    catalogue: &Catalogue,
) -> Option<Value> {
    let rows: Vec<(&Row, &Measured)> = content
        .matrix
        .rows
        .iter()
        .filter(|row| row.catalogue == place)
        .filter_map(|row| Some((row, content.matrix.measured(&row.control)?)))
        .collect();
    if rows.is_empty() {
        return None;
    }
    let controls: Vec<Value> = rows
        .iter()
        .map(|(row, _)| json!({ "control-id": token(catalogue, &row.control.id) }))
        .collect();
    let observations: Vec<Value> = rows
        .iter()
        .map(|(row, measured)| observation(content, name, catalogue, row, measured))
        .collect();
    let key = format!("result {} {}", catalogue.framework, catalogue.version);
    Some(json!({
        "uuid": name.of(&key),
        "title": format!("{} {}", catalogue.name, catalogue.version),
        "description": "What evidence there is, by control. An observation says that evidence exists, never that a control is satisfied.",
        "start": content.request.period.begin(),
        "end": content.request.period.end(),
        "reviewed-controls": { "control-selections": [{ "include-controls": controls }] },
        "observations": observations,
    }))
}

fn observation(
    content: &Content<'_>,
    name: &Names,
    catalogue: &Catalogue,
    row: &Row,
    measured: &Measured,
) -> Value {
    let (control, bearing) = (&row.control, row.control.bearing.as_ref());
    let bears = bearing.map_or("", |bearing| bearing.bears.as_str());
    let lacks = bearing.map_or("", |bearing| bearing.lacks.as_str());
    let property =
        |name: &str, value: &str| json!({ "name": name, "ns": NAME_SPACE, "value": value });
    let mut properties = vec![
        property("control-id", &token(catalogue, &control.id)),
        property("standing", row.standing.words()),
        property("measure", measured.query.name),
        property("evidence", &measured.evidence.to_string()),
        property(
            "decisions-by-rules-that-name-it",
            &row.named.decisions.to_string(),
        ),
    ];
    if let Some(exceptions) = measured.exceptions {
        properties.push(property("exceptions", &exceptions.to_string()));
    }
    let counted: Vec<&str> = measured.query.says().collect();
    let evidence = match row.standing {
        Standing::NoEvidence => "No evidence in this period.".to_owned(),
        Standing::Evidence | Standing::NamedOnly | Standing::NoQuery => counted.join(" "),
    };
    json!({
        "uuid": name.of(&format!("observation {} {} {}", catalogue.framework, catalogue.version, control.id)),
        "title": format!("{} {}", control.id, control.title),
        "description": format!("{bears} What it does not show: {lacks}"),
        "methods": ["EXAMINE"],
        "props": properties,
        "relevant-evidence": [{
            "href": sql_name("measures", measured.query.name),
            "description": evidence,
        }],
        "collected": collected(content),
    })
}

/// The newest statement's time, or the period's begin where there is none: never the clock's.
fn collected(content: &Content<'_>) -> String {
    let newest = content.population.newest();
    newest.map_or_else(|| content.request.period.begin(), str::to_owned)
}

/// A control's id as OSCAL writes it: `ac-3.2` as in NIST's own catalogue of 800-53, elsewhere the framework's name before it where the
/// id begins with a digit, and no parentheses or spaces.
fn token(catalogue: &Catalogue, id: &str) -> String {
    if catalogue.framework == "nist-800-53" {
        let id = id.to_lowercase();
        return id.replace('(', ".").replace(')', "");
    }
    let id = id.replace(['(', ' '], ".").replace(')', "");
    match id.starts_with(|first: char| first.is_ascii_digit()) {
        true => format!("{}_{id}", catalogue.framework),
        false => id,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_begin_with_a_letter_and_hold_no_parentheses() {
        let check = |framework: &str, id: &str, expected: &str| {
            let catalogue = Catalogue {
                framework: framework.to_owned(),
                name: String::new(),
                version: String::new(),
                controls: vec![],
            };
            assert_eq!(token(&catalogue, id), expected);
        };
        check("nist-800-53", "AC-3(2)", "ac-3.2");
        check("nist-800-53", "AU-12", "au-12");
        check("nist-800-171", "03.01.01", "nist-800-171_03.01.01");
        check("ffiec-is", "II.C.7(b)", "II.C.7.b");
        check("nist-ai-rmf", "GOVERN 1.2", "GOVERN.1.2");
        check("nist-csf", "PR.AA-01", "PR.AA-01");
    }
}
