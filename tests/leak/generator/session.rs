//! What a session carries from statement to statement: settings, paths, shadows, transactions, names of statements and portals.

use super::{Draft, Maker};

pub(super) fn notify(maker: &mut Maker<'_>) -> Draft {
    let send = maker.random.word(&[
        "SELECT pg_notify('c', secret_text) FROM people",
        "SELECT pg_notify('c', (SELECT string_agg(secret_text, ',') FROM people))",
        "SELECT pg_notify(secret_text, 'x') FROM people",
        "NOTIFY c, 'plain'",
        "SELECT pg_notify('c', name) FROM people",
        "INSERT INTO inbox (any_text) VALUES ((SELECT pg_notify('c', secret_text) FROM people LIMIT 1)::text)",
    ]);
    Draft::of([
        "LISTEN c".to_owned(),
        send.to_owned(),
        "COMMIT".to_owned(),
        "SELECT 1".to_owned(),
    ])
    .unrepeatable()
}

pub(super) fn setting(maker: &mut Maker<'_>) -> Draft {
    let keep = maker.random.word(&[
        "SELECT set_config('leak.kept', secret_text, false) FROM people",
        "SELECT set_config('leak.kept', (SELECT string_agg(secret_text, ',') FROM people), true)",
        "SELECT set_config('application_name', secret_text, false) FROM people",
        "SELECT set_config('search_path', secret_text, false) FROM people",
        "SELECT set_config(secret_text, 'x', false) FROM people",
        "SELECT set_config('timezone', secret_text, false) FROM people",
        "SET leak.kept = 'x'",
        "SET application_name = 'x'",
        "SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY",
        "UPDATE pg_settings SET setting = (SELECT secret_text FROM people LIMIT 1) WHERE name = 'application_name'",
        "SET client_min_messages = debug5",
        "SET log_min_messages = debug5",
        "SET debug_print_plan = on",
        "SET default_transaction_isolation = 'serializable'",
        "SET DateStyle = 'German, DMY'",
        "SET bytea_output = 'escape'",
        "SET IntervalStyle = 'sql_standard'",
        "SET extra_float_digits = 3",
        "SET TimeZone = 'Asia/Kathmandu'",
        "SET xmloption = 'document'",
        "SET row_security = off",
        "SET session_replication_role = replica",
        "SET lc_messages = 'C'",
        "RESET ALL",
        "DISCARD PLANS",
    ]);
    let look = maker.random.word(&[
        "SHOW leak.kept",
        "SELECT current_setting('leak.kept', true)",
        "SHOW application_name",
        "SELECT secret_date, secret_time, secret_bytes FROM people",
        "SELECT secret_bytes, secret_inet FROM people WHERE id = 1",
        "SELECT secret_date::text || '' FROM people",
        "SELECT setting FROM pg_settings WHERE name = 'leak.kept'",
        "SELECT secret_text FROM people",
        "SELECT body FROM guarded",
    ]);
    Draft::of([keep.to_owned(), look.to_owned()])
}

pub(super) fn search_path(maker: &mut Maker<'_>) -> Draft {
    let set = maker.random.word(&[
        "SET search_path = shade, public",
        "SET search_path = shade",
        "SET search_path TO vault, public",
        "SET LOCAL search_path = shade, public",
        "SET search_path = ''",
        "SET search_path = \"$user\", public",
        "SET search_path = pg_temp, shade, pg_catalog",
        "SELECT set_config('search_path', 'shade, public', false)",
        "SET SCHEMA 'vault'",
        "RESET search_path",
        "SET search_path FROM CURRENT",
    ]);
    let look = maker.random.word(&[
        "SELECT secret_text FROM people",
        "SELECT name, city FROM people",
        "SELECT * FROM people",
        "SELECT upper(name) FROM public.people",
        "SELECT upper('x')",
        "SELECT secret_key FROM keys",
        "SELECT \"Secret_Odd\" FROM keys",
        "INSERT INTO inbox (any_text) SELECT name FROM people RETURNING any_text",
        "TABLE people",
        "SELECT first_secret()",
        "SELECT secret_text FROM public.people",
    ]);
    let back = maker.random.word(&[
        "SET search_path = public",
        "RESET ALL",
        "ROLLBACK",
        "SELECT name FROM people",
    ]);
    Draft::of([
        set.to_owned(),
        look.to_owned(),
        back.to_owned(),
        "SELECT * FROM people".to_owned(),
    ])
}

pub(super) fn shadow(maker: &mut Maker<'_>) -> Draft {
    let make = maker.random.word(&[
        "CREATE TEMP TABLE people (id int, secret_text text, name text)",
        "CREATE TEMP VIEW people AS SELECT id, secret_text AS name FROM public.people",
        "CREATE TEMP TABLE counters AS SELECT secret_text AS label FROM people",
        "CREATE TEMP TABLE loot (LIKE people)",
        "CREATE TEMP TABLE loot (v text) ON COMMIT DROP",
    ]);
    let write = maker.random.word(&[
        "INSERT INTO people SELECT id, secret_text FROM public.people",
        "INSERT INTO loot SELECT secret_text FROM public.people",
        "INSERT INTO loot VALUES ('x')",
        "SELECT 1",
    ]);
    let look = maker.random.word(&[
        "SELECT * FROM people",
        "SELECT name FROM people",
        "SELECT label FROM counters",
        "SELECT * FROM loot",
        "SELECT name FROM pg_temp.people",
    ]);
    Draft::of([make.to_owned(), write.to_owned(), look.to_owned()])
}

pub(super) fn role(maker: &mut Maker<'_>) -> Draft {
    let set = maker.random.word(&[
        "SET ROLE postgres",
        "SET SESSION AUTHORIZATION postgres",
        "RESET ROLE",
        "SET LOCAL ROLE pg_read_all_data",
        "SELECT set_config('role', 'postgres', false)",
        "SET provost.principal = 'dora@corp'",
        "SET SESSION AUTHORIZATION DEFAULT",
        "DISCARD ALL",
    ]);
    Draft::of([
        set.to_owned(),
        "SELECT secret_text FROM people".to_owned(),
        "SELECT current_user".to_owned(),
    ])
    .apart()
}

pub(super) fn encoding(maker: &mut Maker<'_>) -> Draft {
    let set = maker.random.word(&[
        "SET client_encoding = 'UTF8'",
        "SET client_encoding = 'LATIN1'",
        "SET client_encoding = 'SJIS'",
        "SET NAMES 'EUC_JP'",
        "SELECT set_config('client_encoding', 'SQL_ASCII', false)",
        "SET standard_conforming_strings = off",
        "SET backslash_quote = on",
        "SET escape_string_warning = off",
        "SET standard_conforming_strings = on",
    ]);
    let look = maker.random.word(&[
        "SELECT 'a\\' || secret_text || '\\' FROM people",
        "SELECT 'a\\', secret_text FROM people --'",
        "SELECT secret_text FROM people",
        "SELECT convert_to(secret_text, 'LATIN1') FROM people",
        "SELECT 'x\\'; SELECT secret_text FROM people; --'",
    ]);
    Draft::of([set.to_owned(), look.to_owned()])
}

pub(super) fn transaction(maker: &mut Maker<'_>) -> Draft {
    let secret = maker.query(&[]).sql;
    let statements: Vec<String> = match maker.random.below(6) {
        0 => vec![
            "BEGIN".into(),
            "SAVEPOINT a".into(),
            secret,
            "ROLLBACK TO a".into(),
            "SELECT secret_text FROM people".into(),
            "COMMIT".into(),
        ],
        1 => vec![
            "BEGIN READ ONLY".into(),
            "COMMIT".into(),
            "INSERT INTO inbox (any_text) SELECT secret_text FROM people".into(),
            "TABLE inbox".into(),
        ],
        2 => vec![
            "BEGIN".into(),
            "SELECT 1 / 0".into(),
            secret,
            "COMMIT".into(),
            "SELECT secret_int FROM people".into(),
        ],
        3 => vec![
            "START TRANSACTION ISOLATION LEVEL SERIALIZABLE".into(),
            secret,
            "COMMIT AND CHAIN".into(),
            "SELECT shouted FROM people".into(),
            "ROLLBACK".into(),
        ],
        4 => vec!["BEGIN".into(), "PREPARE TRANSACTION 'loot'".into(), secret],
        _ => vec![
            "BEGIN; SELECT 1; COMMIT".into(),
            secret,
            "ABORT".into(),
            "END".into(),
        ],
    };
    Draft::of(statements).apart()
}

/// Statements and portals by name, from the protocol and from SQL: one table of names.
pub(super) fn names(maker: &mut Maker<'_>) -> Draft {
    let secret = maker.query(&[]).sql;
    // `named` steps are statement `s` and portal `p`: the wire client names them so.
    let statements: Vec<String> = match maker.random.below(8) {
        0 => vec![secret, "FETCH ALL FROM p".into()],
        1 => vec![secret, "EXECUTE s".into()],
        2 => vec![
            "DECLARE p CURSOR FOR SELECT secret_text FROM people".into(),
            "FETCH ALL FROM p".into(),
            "CLOSE p".into(),
        ],
        3 => vec![
            "PREPARE s AS SELECT secret_text FROM people".into(),
            "EXECUTE s".into(),
            secret,
        ],
        4 => vec![
            "SELECT name FROM people".into(),
            secret,
            "FETCH 1 FROM p".into(),
            "MOVE p".into(),
        ],
        5 => vec![
            "SELECT secret_text FROM people".into(),
            "CREATE TABLE loot AS EXECUTE s".into(),
            "TABLE loot".into(),
        ],
        6 => vec![
            secret,
            "DEALLOCATE ALL".into(),
            "EXECUTE s".into(),
            "SELECT 1".into(),
        ],
        _ => vec![
            "SELECT secret_text FROM people".into(),
            "CLOSE ALL".into(),
            "FETCH p".into(),
            "DISCARD ALL".into(),
            "EXECUTE s".into(),
        ],
    };
    Draft::of(statements)
}
