//! Lineage before an oracle of its own: the data. Values of base columns are changed; what changes in a query's result must
//! be explained by its facts. It must never compare what a plan could change by itself.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
};

use provost_engine::facts::{Facts, Use};

use crate::{
    choices::Choices,
    generate::Generator,
    random::{deep, number, shrink, understood},
    regress,
    wire::Answer,
    zoo::{Base, Data, Zoo, random_data, tables},
};

/// How many queries CI runs.
const QUERIES: u64 = 300;
/// After so many failures the rest is not worth the time.
const FAILURES_MAX: usize = 8;
/// How often the columns that must not matter get other values, for each query.
const CHANGES: usize = 3;

/// Base columns, by relation oid and attribute number.
type Columns = BTreeSet<(u32, i16)>;

/// What facts claim of base columns.
struct Claimed {
    /// Used in any way.
    used: Columns,
    /// Used so that other rows may come, or none.
    shaping: Columns,
    /// In the lineage of each output.
    outputs: Vec<Columns>,
}

impl Claimed {
    fn of(facts: &Facts) -> Self {
        let mut used = Columns::new();
        let mut shaping = Columns::new();
        for each in facts.accesses.iter().flat_map(|access| &access.columns) {
            let column = (each.column.relation_oid, each.column.attribute);
            used.insert(column);
            match each.used {
                Use::Filter | Use::Join | Use::Group | Use::Sort | Use::Compute => {
                    shaping.insert(column);
                }
                Use::Output | Use::Write | Use::Returning => {}
            }
        }
        let outputs = facts.outputs.iter().flatten().map(|output| {
            let sources = output.lineage.sources.iter();
            sources
                .map(|source| (source.column.relation_oid, source.column.attribute))
                .collect()
        });
        Self {
            used,
            shaping,
            outputs: outputs.collect(),
        }
    }
}

/// Claims of lineage, and those that were seen to be true.
#[derive(Default)]
struct Precision {
    queries: u64,
    claimed: u64,
    seen: u64,
}

/// What a query's rows are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rows {
    /// Any: a column that shapes them may change every output.
    Any,
    /// One for each row of a table, which the first column names: nothing shapes them, so that each output's lineage must
    /// say all, conditions of CASE and insides of subqueries too.
    Named,
}

fn query(choices: &mut Choices) -> (String, Rows) {
    let tables = tables();
    let named = choices.once_in(2);
    let mut generator = Generator::new(choices, &tables);
    if named {
        (generator.read_each_row(), Rows::Named)
    } else {
        (generator.read(), Rows::Any)
    }
}

/// One result column, in the order of rows.
fn column(answer: &Answer, place: usize) -> Vec<Option<Vec<u8>>> {
    let rows = answer
        .statements
        .iter()
        .flat_map(|statement| &statement.rows);
    rows.map(|row| row[place].clone()).collect()
}

/// The same in the order of the rows' names.
fn named_column(answer: &Answer, place: usize) -> Vec<Option<Vec<u8>>> {
    let mut pairs: Vec<_> = column(answer, 0)
        .into_iter()
        .zip(column(answer, place))
        .collect();
    pairs.sort();
    pairs.into_iter().map(|(_, value)| value).collect()
}

/// The columns that a result hides nothing of: changed, they must change nothing.
fn failure(
    zoo: &mut Zoo,
    data: &Data,
    (sql, rows): (&str, Rows),
    facts: &Facts,
    plain: &Answer,
    choices: &mut Choices,
) -> Option<String> {
    let claimed = Claimed::of(facts);
    let key = |base: &Base| (base.relation_oid, base.attribute);
    let pick = |zoo: &Zoo, holds: &dyn Fn(&(u32, i16)) -> bool| -> Vec<Base> {
        zoo.bases
            .iter()
            .filter(|base| holds(&key(base)))
            .cloned()
            .collect()
    };
    let unused = pick(zoo, &|column| !claimed.used.contains(column));
    for _ in 0..CHANGES {
        let Some(answer) = zoo.with(data, &unused, sql, choices) else {
            continue;
        };
        if !same(plain, &answer) {
            return Some(blame(
                zoo,
                data,
                sql,
                &unused,
                choices,
                |answer| !same(plain, answer),
                "the result",
            ));
        }
    }
    // Outputs that the same columns must not change are looked at together.
    let mut free: BTreeMap<Vec<Base>, Vec<usize>> = BTreeMap::new();
    let first = usize::from(rows == Rows::Named);
    for (place, lineage) in claimed.outputs.iter().enumerate().skip(first) {
        let others = pick(zoo, &|column| {
            let shapes = rows == Rows::Any && claimed.shaping.contains(column);
            !lineage.contains(column) && !shapes
        });
        free.entry(others).or_default().push(place);
    }
    for (others, places) in free {
        for _ in 0..CHANGES {
            let Some(answer) = zoo.with(data, &others, sql, choices) else {
                continue;
            };
            let guilty = places
                .iter()
                .find(|place| differs(rows, plain, &answer, **place));
            if let Some(place) = guilty {
                let what = format!("output {}", place + 1);
                let differs = |answer: &Answer| differs(rows, plain, answer, *place);
                return Some(blame(zoo, data, sql, &others, choices, differs, &what));
            }
        }
    }
    None
}

/// Whether an output is another one though it must not be.
fn differs(rows: Rows, plain: &Answer, answer: &Answer, place: usize) -> bool {
    let failed = [plain, answer].map(|answer| answer.error.is_some());
    match rows {
        Rows::Any => {
            failed[0] != failed[1] || (!failed[1] && column(plain, place) != column(answer, place))
        }
        // An error tells of whatever goes into a computation, which need not be this output's.
        Rows::Named => {
            failed == [false; 2] && named_column(plain, place) != named_column(answer, place)
        }
    }
}

fn same(left: &Answer, right: &Answer) -> bool {
    let rows = |answer: &Answer| -> Vec<Vec<Option<Vec<u8>>>> {
        answer
            .statements
            .iter()
            .flat_map(|statement| statement.rows.clone())
            .collect()
    };
    let sqlstate = |answer: &Answer| answer.error.as_ref().map(|(sqlstate, _)| sqlstate.clone());
    rows(left) == rows(right) && sqlstate(left) == sqlstate(right)
}

/// Which single column did it.
fn blame(
    zoo: &mut Zoo,
    data: &Data,
    sql: &str,
    suspects: &[Base],
    choices: &mut Choices,
    differs: impl Fn(&Answer) -> bool,
    what: &str,
) -> String {
    let mut guilty = Vec::new();
    for base in suspects {
        let one = std::slice::from_ref(base);
        let did = (0..6).any(|_| {
            zoo.with(data, one, sql, choices)
                .is_some_and(|answer| differs(&answer))
        });
        if did {
            guilty.push(base.label());
        }
    }
    format!(
        "{what} changes with {}, which its facts do not say",
        guilty.join(", ")
    )
}

/// How many claims are seen to be true, by changing one column at a time.
fn measure(
    zoo: &mut Zoo,
    data: &Data,
    sql: &str,
    facts: &Facts,
    plain: &Answer,
    choices: &mut Choices,
    precision: &mut Precision,
) {
    let claimed = Claimed::of(facts);
    precision.queries += 1;
    for base in zoo.bases.clone() {
        let key = (base.relation_oid, base.attribute);
        let places: Vec<usize> = (0..claimed.outputs.len())
            .filter(|place| claimed.outputs[*place].contains(&key))
            .collect();
        if places.is_empty() {
            continue;
        }
        let mut seen = BTreeSet::new();
        for _ in 0..CHANGES {
            if let Some(answer) = zoo
                .with(data, std::slice::from_ref(&base), sql, choices)
                .filter(|answer| answer.error.is_none())
            {
                seen.extend(
                    places
                        .iter()
                        .filter(|place| column(plain, **place) != column(&answer, **place))
                        .copied(),
                );
            }
        }
        precision.claimed += places.len() as u64;
        precision.seen += seen.len() as u64;
    }
}

/// Whether its facts explain what a statement gives; `None` where they do. What it writes is taken back.
pub(crate) fn explained(zoo: &mut Zoo, data: &Data, sql: &str) -> Option<String> {
    let choices = &mut Choices::seeded(1);
    let plain = zoo.with(data, &[], sql, choices)?;
    match understood(zoo, sql) {
        Ok(facts) => failure(zoo, data, (sql, Rows::Any), &facts, &plain, choices),
        Err(why) => Some(why),
    }
}

/// A query's failure, if it has one; made again from choices.
fn attempt(zoo: &mut Zoo, data: &Data, made: &[u32], seed: u64) -> Option<(String, String)> {
    let (sql, rows) = query(&mut Choices::replaying(made.to_vec()));
    let plain = zoo.client.query(&sql);
    if plain.error.as_ref().is_some_and(|(sqlstate, _)| {
        sqlstate.starts_with("42") || sqlstate.starts_with("0A") || sqlstate == "57014"
    }) {
        return None;
    }
    let facts = understood(zoo, &sql).ok()?;
    let why = failure(
        zoo,
        data,
        (&sql, rows),
        &facts,
        &plain,
        &mut Choices::seeded(seed),
    )?;
    Some((why, sql))
}

#[test]
fn lineage() {
    deep(|| {
        let mut zoo = Zoo::open();
        let seed = number("PROVOST_RANDOM_SEED", 1);
        let queries = number("PROVOST_LINEAGE_QUERIES", QUERIES);
        let mut failures = Vec::new();
        let mut precision = Precision::default();
        let mut checked = 0_u64;
        let mut data = Data::new();
        for index in 0..queries {
            let seed = seed.wrapping_add(index);
            let mut choices = Choices::seeded(seed ^ 0x5eed);
            if index % 100 == 0 {
                data = random_data(&zoo.bases, &mut choices);
                let stores: Vec<usize> = data.keys().copied().collect();
                let loaded = zoo.load(&data, stores);
                assert_eq!(loaded.error, None);
            }
            let mut made = Choices::seeded(seed.wrapping_add(1_000_000));
            let (sql, rows) = query(&mut made);
            let made = made.made();
            let plain = zoo.client.query(&sql);
            let Ok(facts) = understood(&zoo, &sql) else {
                continue;
            };
            if plain
                .error
                .as_ref()
                .is_some_and(|(sqlstate, _)| sqlstate.starts_with("42") || sqlstate == "57014")
            {
                continue;
            }
            checked += 1;
            if attempt(&mut zoo, &data, &made, seed).is_some() {
                let small = shrink(made, |made| attempt(&mut zoo, &data, &made, seed).is_some());
                if let Some((why, sql)) = attempt(&mut zoo, &data, &small, seed) {
                    eprintln!("seed {seed}: {why}\n    {sql}");
                    failures.push(format!("seed {seed}: {why}\n    {sql}"));
                }
            } else if rows == Rows::Any && index % 3 == 0 && plain.error.is_none() {
                measure(
                    &mut zoo,
                    &data,
                    &sql,
                    &facts,
                    &plain,
                    &mut choices,
                    &mut precision,
                );
            }
            if failures.len() >= FAILURES_MAX {
                break;
            }
        }
        let figures = format!(
            "{checked} queries checked; of {} claims of lineage in {} queries {} were seen to be true\n",
            precision.claimed, precision.queries, precision.seen
        );
        fs::write(
            regress::reports().join("lineage.txt"),
            format!("{figures}{}", failures.join("\n")),
        )
        .unwrap();
        eprint!("{figures}");
        assert!(
            failures.is_empty(),
            "facts do not explain what changes:\n{}",
            failures.join("\n")
        );
        assert!(
            checked * 3 > queries,
            "too few queries are understood: {checked} of {queries}"
        );
    });
}
