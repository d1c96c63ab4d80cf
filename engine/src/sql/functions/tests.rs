//! Tests of the list of functions and of our judgement on it.

use super::{judgement::words, *};

/// What a call of `name` with any number of arguments does on PostgreSQL `major`.
fn check(name: &str, major: u32, expected: &[Option<Effect>]) {
    let mut found: Vec<Option<Effect>> =
        overloads(name, None, major).map(|one| one.effect).collect();
    found.sort();
    found.dedup();
    assert_eq!(found, expected, "{name} on {major}");
}

#[test]
fn every_function_is_judged() {
    let unjudged: Vec<String> = FUNCTIONS
        .iter()
        .flat_map(|(name, overloads)| overloads.iter().map(move |one| (name, one)))
        .filter(|(_, one)| one.effect.is_none())
        .map(|(name, one)| format!("{name}({})", one.arguments.join(",")))
        .collect();
    assert_eq!(unjudged, Vec::<String>::new());
    assert!(FUNCTIONS.values().map(Vec::len).sum::<usize>() > 4500);
}

#[test]
fn every_word_of_the_judgement_names_a_function() {
    for (section, word) in words() {
        if section == "types" {
            continue;
        }
        let (name, count) = match word.split_once('/') {
            Some((name, count)) => (name, count.parse().ok()),
            None => (word, None),
        };
        let named = if name.contains('*') {
            FUNCTIONS.keys().any(|known| judgement::fits(name, known))
        } else {
            FUNCTIONS.get(name).is_some_and(|known| {
                count
                    .is_none_or(|count: usize| known.iter().any(|one| one.arguments.len() == count))
            })
        };
        assert!(named, "[{section}] {word} names nothing");
    }
}

#[test]
fn a_word_has_one_effect() {
    let mut effects = std::collections::BTreeMap::new();
    for (section, word) in words() {
        if Effect::of_section(section).is_some() {
            let before = effects.insert(word, section);
            assert_eq!(before, None, "{word} stands twice, last in [{section}]");
        }
    }
}

#[test]
fn dangerous_functions_are_never_pure() {
    for name in "set_config query_to_xml table_to_xml cursor_to_xml database_to_xml ts_stat lo_get lo_import \
        lo_export loread pg_read_file pg_read_binary_file pg_ls_dir pg_stat_file pg_sleep pg_notify setval dblink:dblink \
        dblink:dblink_exec dblink:dblink_connect tablefunc:crosstab pg_stat_statements:pg_stat_statements \
        pg_terminate_backend pg_advisory_lock pg_stat_get_activity pg_logical_emit_message pg_reload_conf txid_current pg_cursor \
        pg_prepared_statement pg_show_all_settings pg_mcv_list_items pg_get_publication_tables domain_in xml2:xpath_table \
        adminpack:pg_file_write pageinspect:get_raw_page RI_FKey_cascade_del"
        .split_whitespace()
    {
        let known: Vec<&Overload> = FUNCTIONS[name].iter().collect();
        assert!(!known.is_empty());
        assert!(known.iter().all(|one| one.effect != Some(Effect::Pure)), "{name}");
    }
}

#[test]
fn overloads_and_majors_are_told_apart() {
    check("upper", 15, &[Some(Effect::Pure)]);
    check("pg_sleep", 13, &[Some(Effect::Sleeps)]);
    check(
        "ts_rewrite",
        15,
        &[Some(Effect::Pure), Some(Effect::RunsSql)],
    );
    check("uuidv7", 17, &[]);
    check("uuidv7", 18, &[Some(Effect::Pure)]);
    check("pg_start_backup", 15, &[]);
    check("pg_start_backup", 14, &[Some(Effect::Replicates)]);
    check("dblink", 15, &[]);
    check("dblink:dblink", 15, &[Some(Effect::Network)]);
    check("nothing", 15, &[]);
    let taken = |name, count| overloads(name, Some(count), 15).count();
    assert_eq!(taken("ts_rewrite", 2), 1);
    assert_eq!(
        taken("concat", 0),
        1,
        "the server refuses it, the list need not"
    );
    assert_eq!(taken("concat", 9), 1);
    assert_eq!(taken("make_interval", 0), 1);
    assert_eq!(taken("upper", 2), 0);
}

#[test]
fn columns_are_known() {
    let columns = |name| -> Vec<&str> {
        overloads(name, None, 15)
            .flat_map(|one| one.columns.clone())
            .collect()
    };
    assert_eq!(columns("json_each"), ["key", "value"]);
    assert_eq!(
        columns("pg_identify_object"),
        ["type", "schema", "name", "identity"]
    );
    assert_eq!(columns("upper"), Vec::<&str>::new());
}

#[test]
fn total_functions_are_pure() {
    for (_, name) in words().filter(|(section, _)| section.starts_with("total")) {
        assert!(
            FUNCTIONS[name]
                .iter()
                .all(|one| one.effect == Some(Effect::Pure)),
            "{name}"
        );
    }
    for name in "nullif replace quote_literal generate_series unnest regexp_match div mod to_date to_number format repeat lpad \
        json_each array_position string_to_array pg_input_is_valid decode convert_from xpath jsonb_extract_path"
        .split_whitespace()
    {
        assert!(!is_total(name, &[]), "{name}");
    }
}

#[test]
fn types_are_known() {
    assert!(is_builtin_type("_text"));
    assert!(!is_builtin_type("mood"));
}
