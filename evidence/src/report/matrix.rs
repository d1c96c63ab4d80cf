//! The control matrix: for each control what bears on it, how much of it there is, and which query counted it. It must never say more
//! of a control than that there is evidence.

use std::collections::{BTreeMap, BTreeSet};

use futures::{StreamExt as _, TryStreamExt as _, future::try_join, stream};

use crate::error::Error;
use crate::query::Tables;
use crate::report::queries::{self, Period, Query, TABLES};
use crate::report::table::Table;

/// Measures that are counted at the same time, beside the rules' controls: while one is planned, which one processor does, another is run.
const QUERIES_AT_ONCE: usize = 2;

/// A version of a framework, and what bears on its controls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Catalogue {
    /// As rules name it: `nist-800-53`.
    pub framework: String,
    /// For people.
    pub name: String,
    /// `r5`.
    pub version: String,
    /// Its controls, in order.
    pub controls: Vec<Control>,
}

/// A control.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Control {
    /// `AC-3(2)`.
    pub id: String,
    /// What it is called.
    pub title: String,
    /// What bears on it; absent where no query does.
    pub bearing: Option<Bearing>,
}

/// What evidence says about a control.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bearing {
    /// The measure that counts it.
    pub measure: String,
    /// Why it bears on the control.
    pub bears: String,
    /// What it does not show.
    pub lacks: String,
}

/// What a measure counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Measured {
    /// The measure.
    pub query: &'static Query,
    /// What was run.
    pub sql: String,
    /// How much evidence.
    pub evidence: u64,
    /// How much of it has to be looked at; `None` where the measure defines no exception.
    pub exceptions: Option<u64>,
}

/// Decisions by rules that name a control with `satisfies`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Named {
    /// Decisions.
    pub decisions: u64,
    /// Refusals among them.
    pub refused: u64,
    /// Masked columns.
    pub masked_columns: u64,
}

/// What a row of the matrix says. There is no word for "satisfied", on purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Its measure counted something.
    Evidence,
    /// Its measure counted nothing.
    NoEvidence,
    /// Nothing is said about it by us, but rules that decided name it.
    NamedOnly,
    /// Nothing is said about it.
    NoQuery,
}

impl Standing {
    /// In words.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::Evidence => "evidence",
            Self::NoEvidence => "no evidence",
            Self::NamedOnly => "named by rules, no query",
            Self::NoQuery => "no query",
        }
    }
}

/// A control with what was counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Which catalogue of the request.
    pub catalogue: usize,
    /// The control.
    pub control: Control,
    /// What rules say of it.
    pub named: Named,
    /// Whether there is evidence.
    pub standing: Standing,
}

/// The matrix.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Matrix {
    /// Every control of every catalogue, in order.
    pub rows: Vec<Row>,
    /// What was counted, by measure.
    pub measured: BTreeMap<String, Measured>,
}

impl Matrix {
    /// Counts what bears on the controls of some catalogues. Each measure is run once, some at the same time.
    ///
    /// # Errors
    /// [`Error::Measure`] when a catalogue names a measure that there is not; what [`Tables`] says.
    pub async fn build(
        tables: &Tables,
        catalogues: &[Catalogue],
        period: Period,
    ) -> Result<Self, Error> {
        let controls = catalogues.iter().flat_map(|catalogue| &catalogue.controls);
        let bearings = controls.filter_map(|control| control.bearing.as_ref());
        let measures: BTreeSet<_> = bearings.map(|bearing| bearing.measure.clone()).collect();
        let counting = measures.into_iter().map(|measure| async move {
            let counted = count(tables, &measure, period).await?;
            Ok((measure, counted))
        });
        let counting = stream::iter(counting).buffered(QUERIES_AT_ONCE);
        let counting = counting.try_collect::<BTreeMap<_, _>>();
        let (measured, named) = try_join(counting, named(tables, period)).await?;
        let mut rows = Vec::new();
        for (place, catalogue) in catalogues.iter().enumerate() {
            for control in &catalogue.controls {
                let id = format!("{}:{}", catalogue.framework, control.id);
                let named = named.get(&id).copied().unwrap_or_default();
                rows.push(Row {
                    catalogue: place,
                    standing: standing(control, &measured, named),
                    control: control.clone(),
                    named,
                });
            }
        }
        Ok(Self { rows, measured })
    }

    /// What was counted for a control.
    #[must_use]
    pub fn measured(&self, control: &Control) -> Option<&Measured> {
        self.measured.get(&control.bearing.as_ref()?.measure)
    }

    /// How many controls have evidence, and how many a query that found nothing.
    #[must_use]
    pub fn counts(&self) -> [usize; 2] {
        [Standing::Evidence, Standing::NoEvidence].map(|standing| {
            self.rows
                .iter()
                .filter(|row| row.standing == standing)
                .count()
        })
    }
}

fn standing(control: &Control, measured: &BTreeMap<String, Measured>, named: Named) -> Standing {
    let counted = control
        .bearing
        .as_ref()
        .and_then(|bearing| measured.get(&bearing.measure));
    match counted {
        Some(counted) if counted.evidence > 0 => Standing::Evidence,
        Some(_) => Standing::NoEvidence,
        None if named != Named::default() => Standing::NamedOnly,
        None => Standing::NoQuery,
    }
}

async fn count(tables: &Tables, name: &str, period: Period) -> Result<Measured, Error> {
    let query = queries::measure(name).ok_or_else(|| Error::Measure {
        measure: name.to_owned(),
    })?;
    let sql = query.within(period);
    let table = Table::of(&tables.ask(&sql).await?)?;
    let exceptions = table.cell(0, "exceptions");
    Ok(Measured {
        query,
        evidence: table.number(0, "evidence"),
        exceptions: exceptions.and_then(|text| text.parse().ok()),
        sql,
    })
}

async fn named(tables: &Tables, period: Period) -> Result<BTreeMap<String, Named>, Error> {
    let mut named = BTreeMap::new();
    for query in TABLES.iter().filter(|query| query.name == "controls") {
        let table = Table::of(&tables.ask(&query.within(period)).await?)?;
        for row in 0..table.rows.len() {
            let counted = Named {
                decisions: table.number(row, "decisions"),
                refused: table.number(row, "refused"),
                masked_columns: table.number(row, "masked_columns"),
            };
            named.insert(
                table.cell(row, "control").unwrap_or_default().to_owned(),
                counted,
            );
        }
    }
    Ok(named)
}
