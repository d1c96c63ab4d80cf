//! `provost evidence report`: the report for auditors, the population statement, samples. It reads the store and writes a new folder;
//! what it knows of controls is in the catalogues of the policy language.

use std::path::Path;

use provost_dsl::catalogue;
use provost_evidence::{
    Location, Tables,
    report::{
        self, Request,
        matrix::{Bearing, Catalogue, Control},
        population::Population,
        queries::Period,
        sample::{self, Draw},
    },
};
use serde_json::{Value, json};

use super::{block_on, evidence::open};
use crate::{
    cli,
    error::Error,
    output::{Shape, line, table},
};

/// Runs the command.
///
/// # Errors
/// [`Error::NoStore`], [`Error::Evidence`].
pub(super) fn run(command: &cli::Report) -> Result<(), Error> {
    match (&command.part, &command.asked) {
        (
            Some(cli::ReportPart::Population {
                store,
                period,
                json,
            }),
            _,
        ) => {
            let population = block_on(population(&store.store, period.unwrap_or(Period::ALL)))?;
            match Shape::of(*json) {
                Shape::Text => line(&told(&population)),
                Shape::Json => line(&as_json(&population).to_string()),
            }
            Ok(())
        }
        (
            Some(cli::ReportPart::Sample {
                store,
                period,
                seed,
                size,
                out,
                json,
            }),
            _,
        ) => {
            let draw = Draw {
                period: period.unwrap_or(Period::ALL),
                seed: *seed,
                size: usize::from(*size),
            };
            block_on(draw_sample(&store.store, draw, out, Shape::of(*json)))
        }
        (None, Some(asked)) => block_on(whole(asked)),
        (None, None) => Err(Error::Option {
            option: "--store",
            value: String::new(),
            help: "name the folder of sealed evidence",
        }),
    }
}

async fn whole(asked: &cli::WholeReport) -> Result<(), Error> {
    let store = open(&asked.store)?;
    let request = Request {
        catalogues: asked_for(asked.framework),
        period: asked.period,
    };
    let written = report::write(store, &request, &asked.out).await?;
    line(&match Shape::of(asked.json) {
        Shape::Text => format!(
            "{} files in {}, report.html first: {} statements, evidence that bears on {} controls, none for {}",
            written.files.len(),
            asked.out.display(),
            written.statements,
            written.with_evidence,
            written.without_evidence,
        ),
        Shape::Json => json!({
            "folder": asked.out,
            "files": written.files,
            "statements": written.statements,
            "controls_with_evidence": written.with_evidence,
            "controls_without_evidence": written.without_evidence,
        })
        .to_string(),
    });
    Ok(())
}

async fn population(store: &Location, period: Period) -> Result<Population, Error> {
    let store = open(store)?;
    let tables = Tables::open(store.clone()).await?;
    Ok(Population::state(store.as_ref(), &tables, period).await?)
}

fn told(population: &Population) -> String {
    let headings: Vec<String> = population
        .table
        .columns
        .iter()
        .map(|column| column.name.clone())
        .collect();
    let cells = |row: &Vec<Option<String>>| -> Vec<String> {
        row.iter()
            .map(|cell| cell.clone().unwrap_or_default())
            .collect()
    };
    let rows: Vec<Vec<String>> = population.table.rows.iter().map(cells).collect();
    let mut text = table(&headings, &rows);
    for (gateway, checkpoint) in &population.checkpoints {
        text.push_str(&format!("\ncheckpoint of {gateway}:\n{checkpoint}"));
    }
    text.push_str(&format!("\nby the query:\n{}", population.sql.trim_end()));
    text
}

fn as_json(population: &Population) -> Value {
    let columns = &population.table.columns;
    let cell = |(column, cell): (&report::table::Heading, &Option<String>)| {
        let value = match cell {
            Some(text) if column.is_number => text
                .parse::<i64>()
                .map_or_else(|_| json!(text), Value::from),
            Some(text) => json!(text),
            None => Value::Null,
        };
        (column.name.clone(), value)
    };
    let row = |row: &Vec<Option<String>>| -> Value {
        Value::Object(columns.iter().zip(row).map(cell).collect())
    };
    json!({
        "gateways": population.table.rows.iter().map(row).collect::<Vec<_>>(),
        "checkpoints": population.checkpoints.iter().cloned().collect::<std::collections::BTreeMap<_, _>>(),
        "sql": population.sql,
    })
}

async fn draw_sample(store: &Location, draw: Draw, out: &Path, shape: Shape) -> Result<(), Error> {
    let store = open(store)?;
    let sample = sample::write(store, draw, out).await?;
    line(&match shape {
        Shape::Text => format!(
            "{} of {} statements in {}, each with its proof",
            sample.items.len(),
            sample.population,
            out.display()
        ),
        Shape::Json => json!({
            "folder": out,
            "seed": draw.seed,
            "population": sample.population,
            "items": sample.items.iter().map(|item| json!({
                "gateway": item.gateway,
                "log_index": item.log_index,
            })).collect::<Vec<_>>(),
        })
        .to_string(),
    });
    Ok(())
}

/// The catalogues of a framework, each version one.
fn asked_for(framework: cli::Framework) -> Vec<Catalogue> {
    let ids: &[&str] = match framework {
        cli::Framework::Nist80053 => &["nist-800-53"],
        cli::Framework::Nist800171 => &["nist-800-171"],
        cli::Framework::NistCsf => &["nist-csf"],
        cli::Framework::NistAiRmf => &["nist-ai-rmf"],
        cli::Framework::Ffiec => &["ffiec-is", "ffiec-aio", "ffiec-cat"],
    };
    catalogues(ids)
}

/// What we know of these frameworks.
pub(super) fn catalogues(ids: &[&str]) -> Vec<Catalogue> {
    ids.iter()
        .filter_map(|id| catalogue::framework(id))
        .flat_map(versions)
        .collect()
}

fn versions(framework: &catalogue::Framework) -> impl Iterator<Item = Catalogue> {
    let of = |(version, titles): (&String, &std::collections::BTreeMap<String, String>)| {
        let mut controls: Vec<Control> = titles
            .iter()
            .map(|(id, title)| control(framework, id, title))
            .collect();
        controls.sort_by_key(|control| natural(&control.id));
        Catalogue {
            framework: framework.id.clone(),
            name: framework.name.clone(),
            version: version.clone(),
            controls,
        }
    };
    framework.versions.iter().map(of)
}

fn control(framework: &catalogue::Framework, id: &str, title: &str) -> Control {
    let bearing = framework.evidence.get(id).map(|bearing| Bearing {
        measure: bearing.measure.clone(),
        bears: bearing.bears.clone(),
        lacks: bearing.lacks.clone(),
    });
    Control {
        id: id.to_owned(),
        title: title.to_owned(),
        bearing,
    }
}

/// Orders ids as people do: AC-2, AC-2(1), AC-10.
fn natural(id: &str) -> Vec<(String, u64)> {
    let mut parts: Vec<(String, u64)> = Vec::new();
    let mut in_number = true;
    for letter in id.chars() {
        let digit = letter.to_digit(10).map(u64::from);
        if digit.is_none() && in_number {
            parts.push((String::new(), 0));
        }
        in_number = digit.is_some();
        match (parts.last_mut(), digit) {
            (Some((_, number)), Some(digit)) => {
                *number = number.saturating_mul(10).saturating_add(digit)
            }
            (Some((text, _)), None) => text.push(letter),
            (None, Some(digit)) => parts.push((String::new(), digit)),
            (None, None) => {}
        }
    }
    parts
}

#[cfg(test)]
mod tests {
    use provost_evidence::report::queries;

    use super::*;

    const ALL: [cli::Framework; 5] = [
        cli::Framework::Nist80053,
        cli::Framework::Nist800171,
        cli::Framework::NistCsf,
        cli::Framework::NistAiRmf,
        cli::Framework::Ffiec,
    ];

    /// Each control has a measure that there is, or none and then no query; and each measure is used.
    #[test]
    fn what_bears_on_a_control_has_a_query() {
        let mut used = std::collections::BTreeSet::new();
        let mut frameworks = std::collections::BTreeSet::new();
        for catalogue in ALL.into_iter().flat_map(asked_for) {
            let with = catalogue
                .controls
                .iter()
                .filter_map(|control| control.bearing.as_ref());
            let measures: Vec<&str> = with.map(|bearing| bearing.measure.as_str()).collect();
            assert!(
                !measures.is_empty(),
                "{} {}",
                catalogue.framework,
                catalogue.version
            );
            for measure in measures {
                assert!(queries::measure(measure).is_some(), "{measure}");
                used.insert(measure.to_owned());
            }
            frameworks.insert(catalogue.framework);
        }
        let known = catalogue::frameworks()
            .iter()
            .map(|framework| framework.id.clone());
        assert_eq!(frameworks, known.collect());
        let measures = queries::MEASURES.iter().map(|query| query.name.to_owned());
        assert_eq!(used, measures.collect());
    }

    #[test]
    fn controls_are_in_the_order_of_people() {
        let mut ids = [
            "AC-10", "AC-2(1)", "AC-2", "AC-2(10)", "AC-2(2)", "03.01.02", "03.01.01",
        ];
        ids.sort_by_key(|id| natural(id));
        assert_eq!(
            ids,
            [
                "03.01.01", "03.01.02", "AC-2", "AC-2(1)", "AC-2(2)", "AC-2(10)", "AC-10"
            ]
        );
    }
}
