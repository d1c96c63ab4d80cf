//! What holds whatever the policy says: statements that are always allowed, and catalogs that carry values.

use std::{collections::HashMap, sync::LazyLock};

use super::{glob::Glob, name::NamePattern, rule::ColumnPattern};
use crate::facts::{Column, Facts, Kind, Object, Operation};

/// The class that every policy set has: what the server's own relations carry of others' values.
pub const CATALOG_VALUES: &str = "catalog-values";

/// What every relation of the servers' own carries: see its head.
const JUDGED: &str = include_str!("catalogs/judged.txt");

/// Whether a statement is one that is always allowed (and recorded): ROLLBACK, COMMIT, and letting go of what the
/// session holds. Kept narrow: whatever else such a statement would do makes it an ordinary one.
///
/// # Source
/// Ruling 12.
pub(super) fn is_always_allowed(facts: &Facts) -> bool {
    matches!(facts.kind, Kind::Rollback | Kind::Commit | Kind::Release)
        && facts.opaque.is_empty()
        && facts.writes.is_empty()
        && facts.accesses.iter().all(|access| {
            matches!(
                access.operation,
                Operation::Transaction | Operation::Session | Operation::Listen | Operation::Read
            ) && match access.object {
                Object::Nothing | Object::Channel(_) | Object::Other { .. } => true,
                Object::Relation { .. } | Object::Function { .. } | Object::Setting(_) => false,
            }
        })
}

/// What rows of a relation carry besides the schema.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Carries {
    /// Nothing.
    Schema,
    /// Values of other relations, texts of other sessions' statements, or secrets.
    Values,
    /// The same, in these columns only.
    ValuesIn(Vec<&'static str>),
}

/// A line of the list: schema, relation, what it carries.
fn judged() -> impl Iterator<Item = (&'static str, &'static str, Carries)> {
    let lines = JUDGED.lines().filter(|line| !line.starts_with('#'));
    lines.filter_map(|line| {
        let (name, carries) = line.split_once(' ')?;
        let (schema, relation) = name.split_once('.')?;
        let carries = match carries.trim() {
            "schema" => Carries::Schema,
            // INVARIANT: what can't be read carries values.
            words => match words.strip_prefix("values in ") {
                Some(columns) => Carries::ValuesIn(columns.split(',').collect()),
                None => Carries::Values,
            },
        };
        Some((schema, relation, carries))
    })
}

/// The list, for looking relations up.
struct Judgement {
    /// By schema, then by relation.
    servers: HashMap<&'static str, HashMap<&'static str, Carries>>,
    /// In any schema.
    extensions: Vec<(Glob, Carries)>,
}

static JUDGEMENT: LazyLock<Judgement> = LazyLock::new(|| {
    let mut judgement = Judgement {
        servers: HashMap::new(),
        extensions: Vec::new(),
    };
    for (schema, relation, carries) in judged() {
        if schema == "*" {
            let pattern = Glob::with_stars(relation);
            judgement.extensions.push((pattern, carries));
        } else {
            let of_schema = judgement.servers.entry(schema).or_default();
            of_schema.insert(relation, carries);
        }
    }
    judgement
});

/// What a relation carries. What is the server's own and not on the list carries values; extensions put theirs into any
/// schema, so the name alone decides about those that begin as the server's own do.
fn carries(schema: &str, relation: &str) -> &'static Carries {
    match schema {
        "pg_catalog" | "information_schema" => {
            let of_schema = JUDGEMENT.servers.get(schema);
            let listed = of_schema.and_then(|listed| listed.get(relation));
            listed.unwrap_or(&Carries::Values)
        }
        _ if schema == "pg_toast" || schema.starts_with("pg_toast_temp") => &Carries::Values,
        _ if relation.starts_with("pg_") => {
            let mut extensions = JUDGEMENT.extensions.iter();
            let extension = extensions.find(|(pattern, _)| pattern.matches(relation));
            extension.map_or(&Carries::Schema, |(_, carries)| carries)
        }
        _ => &Carries::Schema,
    }
}

/// Whether any row of a relation carries values of user tables, texts of other sessions' statements, or secrets. Nobody whom
/// a mask binds may read it, whatever rules allow.
///
/// # Source
/// PostgreSQL manual, "System Catalogs" and "System Views".
pub(super) fn is_value_bearing(schema: &str, relation: &str) -> bool {
    matches!(carries(schema, relation), Carries::Values)
}

/// Whether a column of an otherwise harmless relation carries such values. To whoever a mask binds it is a masked column.
pub(super) fn is_value_bearing_column(column: &Column) -> bool {
    match carries(&column.schema, &column.relation) {
        Carries::ValuesIn(columns) => columns.contains(&&*column.name),
        Carries::Schema | Carries::Values => false,
    }
}

/// The columns of the class [`CATALOG_VALUES`].
#[must_use]
pub fn catalog_values() -> Vec<ColumnPattern> {
    let name = |text: &str| NamePattern::from(Glob::with_stars(text));
    let pattern = |schema: &str, relation: &str, column: &str| ColumnPattern {
        schema: name(schema),
        relation: name(relation),
        column: name(column),
    };
    let listed = judged().flat_map(|(schema, relation, carries)| match carries {
        Carries::Schema => Vec::new(),
        Carries::Values => vec![pattern(schema, relation, "*")],
        Carries::ValuesIn(columns) => columns
            .iter()
            .map(|column| pattern(schema, relation, column))
            .collect(),
    });
    listed.chain([pattern("pg_toast*", "*", "*")]).collect()
}

/// Functions of the server's own that tell how much a write changed: what an update logs hangs on how much of the old row
/// and the new one agrees.
const TELLS_OF_CHANGES: &[&str] = &[
    "pg_current_wal_*",
    "pg_logical_emit_message",
    "pg_stat_get_*blocks_*",
    "pg_stat_get_*tuples_hot_updated",
    "pg_stat_get_*tuples_newpage_updated",
    "pg_stat_get_*wal",
    "pg_switch_wal",
];

/// Whether a function is one of those.
pub(super) fn tells_of_changes(schema: &str, function: &str) -> bool {
    schema == "pg_catalog"
        && TELLS_OF_CHANGES
            .iter()
            .any(|pattern| Glob::with_stars(pattern).matches(function))
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;
    use crate::{catalog::Catalog, graph::rule::ColumnPattern};

    /// Made by list.sh: relation, majors, columns.
    const LIST: &str = include_str!("catalogs/list.txt");

    #[track_caller]
    fn check(schema: &str, relation: &str, expected: bool) {
        assert_eq!(
            is_value_bearing(schema, relation),
            expected,
            "{schema}.{relation}"
        );
    }

    #[test]
    fn value_bearing_catalogs() {
        for (schema, relation, expected) in [
            ("pg_catalog", "pg_stats", true),
            ("pg_catalog", "pg_stats_ext_exprs", true),
            ("pg_catalog", "pg_statistic", true),
            ("pg_catalog", "pg_statistic_ext", false),
            ("pg_catalog", "pg_class", false),
            ("pg_catalog", "pg_shadow", true),
            ("pg_catalog", "pg_made_by_a_newer_server", true),
            ("information_schema", "made_by_a_newer_server", true),
            ("public", "pg_stat_statements", true),
            ("public", "pg_stat_statements_info", true),
            ("public", "pg_buffercache", false),
            ("public", "pg_made_by_somebody", false),
            ("pg_toast", "anything", true),
            ("pg_toast_temp_3", "anything", true),
            ("information_schema", "columns", false),
            ("information_schema", "column_options", true),
            ("public", "column_options", false),
        ] {
            check(schema, relation, expected);
        }
    }

    /// The columns of a list: by relation.
    fn listed() -> BTreeMap<(&'static str, &'static str), BTreeSet<&'static str>> {
        let lines = LIST.lines().map(|line| {
            let fields: Vec<&str> = line.split('\t').collect();
            let (schema, relation) = fields[0].split_once('.').unwrap();
            assert!(fields[1].starts_with('@'), "{line}");
            ((schema, relation), fields[2].split(',').collect())
        });
        lines.collect()
    }

    #[test]
    fn every_relation_of_13_to_18_is_judged() {
        let listed = listed();
        for (schema, relation) in listed.keys() {
            let is_judged = match *schema {
                "*" => {
                    let mut extensions = JUDGEMENT.extensions.iter();
                    extensions.any(|(pattern, _)| pattern.matches(relation))
                }
                _ => JUDGEMENT.servers[schema].contains_key(relation),
            };
            assert!(
                is_judged,
                "sort {schema}.{relation} into catalogs/judged.txt"
            );
        }
        let mut seen = BTreeSet::new();
        for (schema, relation, carries) in judged() {
            assert!(
                seen.insert((schema, relation)),
                "{schema}.{relation} is there twice"
            );
            let columns = listed.get(&(schema, relation));
            assert!(
                columns.is_some() || schema == "*",
                "there is no {schema}.{relation}"
            );
            if let Carries::ValuesIn(names) = carries {
                for name in names {
                    assert!(
                        columns.unwrap().contains(name),
                        "{schema}.{relation} has no {name}"
                    );
                }
            }
        }
        // Nothing but lines of the list and its head.
        let lines = JUDGED.lines().filter(|line| !line.starts_with('#'));
        assert_eq!(lines.count(), seen.len());
    }

    #[test]
    fn a_server_has_nothing_that_is_not_on_the_list() {
        let things = include_bytes!("../catalog/testdata/things.answer");
        let catalog = Catalog::from_answer(things).unwrap();
        let listed = listed();
        let mut count = 0;
        for relation in catalog
            .relations()
            .filter(|one| one.is_system() && one.oid < 16_384)
        {
            let columns = listed
                .get(&(&*relation.schema, &*relation.name))
                .unwrap_or_else(|| panic!("{} is not on the list: run list.sh", relation.name));
            for column in &relation.columns {
                assert!(
                    columns.contains(&*column.name),
                    "{}.{}",
                    relation.name,
                    column.name
                );
            }
            count += 1;
        }
        assert!(count > 200, "{count}");
    }

    #[test]
    fn the_class_has_what_the_list_says() {
        let class = catalog_values();
        let has = |schema: &str, relation: &str, column: &str| {
            class.iter().any(|one: &ColumnPattern| {
                one.schema.matches(schema)
                    && one.relation.matches(relation)
                    && one.column.matches(column)
            })
        };
        for ((schema, relation), columns) in listed() {
            let schema = if schema == "*" { "public" } else { schema };
            for name in columns {
                let column = Column {
                    relation_oid: 0,
                    attribute: 0,
                    schema: schema.into(),
                    relation: relation.into(),
                    name: name.into(),
                    type_oid: 0,
                    constrained: false,
                };
                let expected =
                    is_value_bearing(schema, relation) || is_value_bearing_column(&column);
                assert_eq!(
                    has(schema, relation, name),
                    expected,
                    "{schema}.{relation}.{name}"
                );
            }
        }
        assert!(has("pg_catalog", "pg_stat_activity", "query"));
        assert!(!has("pg_catalog", "pg_stat_activity", "pid"));
        assert!(has("pg_toast", "pg_toast_2619", "chunk_data"));
    }

    #[test]
    fn what_tells_of_changes() {
        for (schema, function, expected) in [
            ("pg_catalog", "pg_current_wal_insert_lsn", true),
            ("pg_catalog", "pg_stat_get_xact_tuples_hot_updated", true),
            ("pg_catalog", "pg_stat_get_blocks_hit", true),
            ("pg_catalog", "pg_stat_get_tuples_updated", false),
            ("public", "pg_current_wal_insert_lsn", false),
        ] {
            let found = tells_of_changes(schema, function);
            assert_eq!(found, expected, "{schema}.{function}");
        }
    }
}
