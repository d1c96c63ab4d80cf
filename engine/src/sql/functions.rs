//! What functions and types of pg_catalog do, from `functions.txt`. Never guesses: a name that is not listed is not pure.

use std::{collections::HashMap, sync::LazyLock};

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
