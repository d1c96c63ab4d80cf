//! What holds whatever the policy says: statements that are always allowed, and catalogs that carry values.

use super::glob::Glob;
use crate::facts::{Facts, Kind, Object, Operation};

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

/// Relations of the system catalogs, and of well-known extensions, whose rows carry values of user tables, texts of
/// other sessions' statements, or secrets. Nobody whom a mask binds may read them, whatever rules allow.
///
/// # Source
/// PostgreSQL manual, "System Catalogs" and "System Views".
const VALUE_BEARING: &[&str] = &[
    "pg_authid",
    "pg_config",
    "pg_cursors",
    "pg_db_role_setting",
    "pg_file_settings",
    "pg_foreign_data_wrapper",
    "pg_foreign_server",
    "pg_foreign_table",
    "pg_hba_file_rules",
    "pg_ident_file_mappings",
    "pg_largeobject",
    "pg_prepared_statements",
    "pg_shadow",
    "pg_stat_activity",
    "pg_stat_statements*",
    "pg_statistic",
    "pg_statistic_ext_data",
    "pg_stats*",
    "pg_subscription",
    "pg_toast*",
    "pg_user_mapping*",
    "_pg_foreign_*",
    "_pg_user_mappings",
    "column_options",
    "foreign_data_wrapper_options",
    "foreign_server_options",
    "foreign_table_options",
    "user_mapping_options",
];

/// Whether a relation is one of the value-bearing catalogs. Extensions put theirs into any schema, so the name alone
/// decides for those that PostgreSQL reserves (`pg_`), and the schema too for the rest.
pub(super) fn is_value_bearing(schema: &str, relation: &str) -> bool {
    let reserved = relation.starts_with("pg_");
    (schema == "pg_toast")
        || ((reserved || schema == "information_schema")
            && VALUE_BEARING
                .iter()
                .any(|pattern| Glob::with_stars(pattern).matches(relation)))
}

#[cfg(test)]
mod tests {
    use super::*;

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
            ("pg_catalog", "pg_user_mappings", true),
            ("public", "pg_stat_statements", true),
            ("pg_toast", "anything", true),
            ("information_schema", "columns", false),
            ("information_schema", "column_options", true),
            ("public", "column_options", false),
        ] {
            check(schema, relation, expected);
        }
    }
}
