//! What functions and types of pg_catalog do, from `functions.txt`. Never guesses: a name that is not listed is not pure.

use std::{collections::HashMap, sync::LazyLock};

use pg_query::{
    NodeEnum,
    protobuf::{Node, a_const::Val},
};

use super::predicate::is_constant;

/// What calling a function does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Effect {
    /// Nothing: the result depends on arguments and catalog alone. In FROM it gives these columns, or one if empty.
    Pure(Vec<&'static str>),
    /// It reads the setting that the first argument names.
    Setting,
    /// It touches a sequence and nothing else.
    Sequence,
}

static FUNCTIONS: LazyLock<HashMap<&'static str, Effect>> = LazyLock::new(|| {
    let mut functions = HashMap::new();
    for (section, line) in lines() {
        let mut words = line.split_whitespace();
        match section {
            "pure" => functions.extend(words.map(|word| (word, Effect::Pure(Vec::new())))),
            "tables" => functions.extend(
                words
                    .next()
                    .map(|word| (word, Effect::Pure(words.collect()))),
            ),
            "setting" => functions.extend(words.map(|word| (word, Effect::Setting))),
            "effects" => functions.extend(words.map(|word| (word, Effect::Sequence))),
            _ => {}
        }
    }
    functions
});

/// Functions that never fail and are null only if an argument is; with whether that needs constants from the second argument on.
static TOTAL: LazyLock<HashMap<&'static str, Rest>> = LazyLock::new(|| {
    let mut functions = HashMap::new();
    for (section, line) in lines() {
        let rest = match section {
            "total" => Rest::Any,
            "total-of-first" => Rest::Constant,
            _ => continue,
        };
        functions.extend(line.split_whitespace().map(|word| (word, rest)));
    }
    functions
});

/// What the arguments behind the first must be for a function to be total.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rest {
    Any,
    Constant,
}

static TYPES: LazyLock<std::collections::HashSet<&'static str>> = LazyLock::new(|| {
    lines()
        .filter(|(section, _)| *section == "types")
        .flat_map(|(_, line)| line.split_whitespace())
        .collect()
});

fn lines() -> impl Iterator<Item = (&'static str, &'static str)> {
    include_str!("functions.txt")
        .lines()
        .filter(|line| !line.starts_with('#') && !line.trim().is_empty())
        .scan("", |section, line| {
            if let Some(name) = line
                .strip_prefix('[')
                .and_then(|line| line.strip_suffix(']'))
            {
                *section = name;
                return Some((name, ""));
            }
            Some((*section, line))
        })
}

/// What a function of pg_catalog does; `None`: not known to be pure.
pub(super) fn effect(name: &str) -> Option<&'static Effect> {
    FUNCTIONS.get(name)
}

/// Whether a pure function never fails and is null only if an argument is, with these arguments: neither its failing
/// nor its result's being null or its number of rows then tells of a value.
pub(super) fn is_total(name: &str, arguments: &[Node]) -> bool {
    let rest = arguments.get(1..).unwrap_or_default();
    match TOTAL.get(name) {
        Some(Rest::Any) => true,
        // With a text as second argument it is a match by regular expression, null where nothing matches.
        Some(Rest::Constant) if matches!(name, "substring" | "substr") => {
            rest.iter().all(is_integer)
        }
        Some(Rest::Constant) => rest.iter().all(is_constant),
        None => false,
    }
}

fn is_integer(node: &Node) -> bool {
    matches!(&node.node, Some(NodeEnum::AConst(constant)) if matches!(constant.val, Some(Val::Ival(_))))
}

/// Whether a type of the server's own is a plain value: no array, no document, no row.
///
/// # Source
/// PostgreSQL, `src/include/catalog/pg_type.dat`.
pub(super) const fn is_scalar(type_oid: u32) -> bool {
    matches!(
        type_oid,
        16 | 18
            ..=21
                | 23
                | 25
                | 26
                | 700
                | 701
                | 790
                | 1042
                | 1043
                | 1082
                | 1083
                | 1114
                | 1184
                | 1186
                | 1266
                | 1700
                | 2950
    )
}

/// Whether pg_catalog has a type of this name (arrays with their leading `_` too).
pub(super) fn is_builtin_type(name: &str) -> bool {
    TYPES.contains(name.strip_prefix('_').unwrap_or(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dangerous_functions_are_never_pure() {
        for name in "set_config query_to_xml table_to_xml cursor_to_xml database_to_xml ts_stat ts_rewrite lo_get lo_import \
            lo_export loread pg_read_file pg_read_binary_file pg_ls_dir pg_stat_file pg_sleep pg_notify setval dblink \
            pg_terminate_backend pg_advisory_lock pg_stat_get_activity pg_logical_emit_message pg_reload_conf txid_current pg_cursor \
            pg_prepared_statement pg_show_all_settings pg_mcv_list_items pg_get_publication_tables"
            .split_whitespace()
        {
            assert_eq!(effect(name), None, "{name}");
        }
    }

    #[test]
    fn total_functions_are_pure() {
        for name in TOTAL.keys() {
            assert!(matches!(effect(name), Some(Effect::Pure(_))), "{name}");
        }
        for name in "nullif replace quote_literal generate_series unnest regexp_match div mod to_date to_number format repeat lpad \
            json_each array_position string_to_array pg_input_is_valid decode convert_from xpath jsonb_extract_path"
            .split_whitespace()
        {
            assert!(!is_total(name, &[]), "{name}");
        }
    }

    #[test]
    fn sections_are_read() {
        assert_eq!(effect("upper"), Some(&Effect::Pure(vec![])));
        assert_eq!(
            effect("json_each"),
            Some(&Effect::Pure(vec!["key", "value"]))
        );
        assert_eq!(effect("current_setting"), Some(&Effect::Setting));
        assert_eq!(effect("nextval"), Some(&Effect::Sequence));
        assert!(is_builtin_type("_text"));
        assert!(!is_builtin_type("mood"));
    }
}
