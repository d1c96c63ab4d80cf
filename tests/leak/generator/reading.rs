//! Statements that read: queries in every shape, and what else gives rows or words back.

use super::{Draft, Maker};

pub(super) fn query(maker: &mut Maker<'_>) -> Draft {
    Draft::one(maker.query(&[]).sql)
}

/// One expression over one table: the shortest way for each wrap.
pub(super) fn expression(maker: &mut Maker<'_>) -> Draft {
    let (from, scope) = maker.from(&[]);
    let made = if maker.random.chance(15) {
        maker.aggregate(&scope)
    } else {
        maker.expression(&scope)
    };
    Draft::one(format!("SELECT {} FROM {from}", made.0))
}

pub(super) fn whole_row(maker: &mut Maker<'_>) -> Draft {
    let (table, _) = maker.table();
    let shape = maker.random.word(&[
        "SELECT p FROM {t} AS p",
        "SELECT (p).* FROM {t} AS p",
        "SELECT p.* FROM {t} AS p",
        "TABLE {t}",
        "SELECT {t} FROM {t}",
        "SELECT ROW(p.*) FROM {t} AS p",
        "SELECT p::text FROM {t} AS p",
        "SELECT row_to_json(p) FROM {t} AS p",
        "SELECT to_jsonb(p) - 'id' FROM {t} AS p",
        "SELECT jsonb_agg(p) FROM {t} AS p",
        "SELECT array_agg(p) FROM {t} AS p",
        "SELECT unnest(array_agg(p)) FROM {t} AS p",
        "SELECT (SELECT p) FROM {t} AS p",
        "SELECT q.p FROM (SELECT p FROM {t} AS p) AS q",
        "SELECT (q.p).* FROM (SELECT p FROM {t} AS p) AS q",
        "SELECT (q.p).secret_text FROM (SELECT p FROM {t} AS p) AS q",
        "SELECT count(p), max(p::text) FROM {t} AS p",
        "SELECT key, value FROM {t} AS p, LATERAL jsonb_each_text(to_jsonb(p))",
        "SELECT p IS NULL, p = p, p < ROW(1) FROM {t} AS p",
        "SELECT concat(p.*) FROM {t} AS p",
        "SELECT format('%s', p) FROM {t} AS p",
        "SELECT xmlforest(p) FROM {t} AS p",
        "SELECT coalesce(p, NULL) FROM {t} AS p",
        "SELECT CASE WHEN true THEN p END FROM {t} AS p",
        "SELECT lag(p) OVER () FROM {t} AS p",
        "SELECT (jsonb_populate_record(p, '{}')).* FROM {t} AS p",
        "SELECT p.tableoid::regclass, p.ctid, p.* FROM {t} AS p",
        "SELECT j.* FROM {t} AS p, jsonb_to_record(to_jsonb(p)) AS j (secret_text text, secret_code text, code text)",
    ]);
    Draft::one(shape.replace("{t}", &table))
}

/// Lexical tricks around a plain read.
pub(super) fn spelling(maker: &mut Maker<'_>) -> Draft {
    Draft::one(maker.random.word(&[
        "sElEcT SECRET_TEXT fRoM PEOPLE",
        "SELECT \"secret_text\" FROM \"people\"",
        "SELECT U&\"secret\\005ftext\" FROM U&\"p\\0065ople\"",
        "SELECT U&\"secret!005ftext\" UESCAPE '!' FROM people",
        "SELECT/**/secret_text/**/FROM/**/people",
        "SELECT /* /* nested */ */ secret_text FROM people -- end",
        "SELECT secret_text\u{0b}FROM\u{0c}people",
        "SELECT secret_text FROM people\u{a0}",
        "SELECT \u{feff}secret_text FROM people",
        "SELECT secret_text\rFROM\tpeople",
        "SELECT --\r secret_text FROM people",
        "SELECT 'a' /* ' */ || secret_text /* ' */ FROM people",
        "SELECT 'a'\n'b' || secret_text FROM people",
        "SELECT E'\\'' || secret_text || E'\\'' FROM people",
        "SELECT 'a\\' || secret_text || '\\' FROM people",
        "SELECT $$a$$ || secret_text || $x$ $$ $x$ FROM people",
        "SELECT $a$;$a$||secret_text FROM people",
        "SELECT secret_text\"x\" FROM people",
        "SELECT secret_text x FROM people",
        "SELECT secret_text AS \"SELECT 1; --\" FROM people",
        "SELECT (((secret_text))) FROM (((people)))",
        "SELECT (((secret_text))) FROM ((people CROSS JOIN counters))",
        "SELECT people.secret_text FROM people",
        "SELECT public.people.secret_text FROM public.people",
        "SELECT left.public.people.secret_text FROM people",
        "SELECT \"Secret_Odd\" FROM vault.keys",
        "SELECT Secret_Odd FROM vault.keys",
        "SELECT \"secret_odd\" FROM vault.keys",
        "SELECT keys.\"Secret_Odd\"||'' FROM vault.keys",
        "SELECT secret_text::pg_catalog.text FROM people",
        "SELECT text(secret_text) FROM people",
        "SELECT text secret_text FROM people",
        "SELECT secret_text OPERATOR(pg_catalog.||) '' FROM people",
        "SELECT 1 <> 2, secret_text FROM people",
        "SELECT 1 <>/* 2 FROM counters -- */ 1, secret_text FROM people",
        "SELECT 1 +-- FROM counters\n1, secret_text FROM people",
        "SELECT secret_text FROM ONLY (people)",
        "SELECT secret_text FROM people *",
        "SELECT ALL secret_text FROM people",
        "SELECT secret_text FROM people FETCH FIRST ROWS ONLY",
        "(SELECT secret_text FROM people)",
        "((TABLE people))",
        "WITH a AS (TABLE people) TABLE a",
        "VALUES ((SELECT secret_text FROM people LIMIT 1))",
        "SELECT;",
        "SELECT secret_text FROM people;;",
        ";SELECT secret_text FROM people",
    ]))
}

/// Texts that readers of SQL are known to read differently.
pub(super) fn differential(maker: &mut Maker<'_>) -> Draft {
    Draft::one(maker.random.word(&[
        "SELECT 1 END, secret_text FROM people",
        "SELECT name AND FROM people",
        "SELECT secret_text AS AND FROM people",
        "SELECT name FROM people /*! UNION ALL SELECT secret_text FROM people */",
        "SELECT name FROM people # UNION ALL SELECT secret_text FROM people",
        "SELECT system_user, secret_text FROM people",
        "SELECT user, secret_text FROM people AS user",
        "SELECT current_user.secret_text FROM people AS current_user",
        "SELECT name secret_text FROM people",
        "SELECT name, secret_text name FROM people",
        "SELECT id.secret_text FROM people id",
        "SELECT people FROM (SELECT secret_text AS people FROM people) AS people",
        "SELECT a.b FROM (SELECT secret_text AS b FROM people) AS a (b)",
        "SELECT secret_text FROM people AS people (id, name, city, feels, born, a, secret_text)",
        "SELECT secret_text::text COLLATE \"C\" FROM people",
        "SELECT @id, secret_text FROM people",
        "SELECT -secret_int FROM people",
        "SELECT secret_int!=1, secret_text FROM people",
        "SELECT secret_list[1:][1:1] FROM people",
        "SELECT (secret_pair).label FROM people",
        "SELECT people.secret_pair.label FROM people",
        "SELECT (people.secret_pair).* FROM people",
        "SELECT ((people).secret_pair).amount FROM people",
        "SELECT array[secret_text][1] FROM people",
        "SELECT cast(row(secret_text, 1) AS pair) FROM people",
        "SELECT xmlserialize(document secret_xml AS text) FROM people",
        "SELECT xmlexists('/v[starts-with(., \"b\")]' PASSING secret_xml) FROM people",
        "SELECT position('b' IN secret_text), extract(year FROM secret_date) FROM people",
        "SELECT secret_text IS NORMALIZED, secret_text IS DISTINCT FROM 'a' FROM people",
        "SELECT secret_text SIMILAR TO 'b%', secret_text BETWEEN SYMMETRIC 'a' AND 'm' FROM people",
        "SELECT (secret_text, name) = ('a', 'b'), ROW(secret_text) IS NULL FROM people",
        "SELECT secret_text = ANY (SELECT secret_text FROM people) FROM people",
        "SELECT secret_text > ALL (ARRAY['a']) FROM people",
        "SELECT GROUPING(city), max(secret_text) FROM people GROUP BY CUBE (city)",
    ]))
}

pub(super) fn stacked(maker: &mut Maker<'_>) -> Draft {
    let secret = maker.query(&[]).sql;
    let shape = maker.random.below(5);
    Draft::of(match shape {
        0 => vec!["SELECT 1".to_owned(), secret],
        1 => vec![secret, "SELECT 1 / 0".to_owned()],
        2 => vec![format!("SELECT 1; {secret}")],
        3 => vec![format!(
            "SELECT 1; {secret}; SELECT 2; SELECT count(*) FROM counters"
        )],
        _ => vec![
            "SELECT name FROM people".to_owned(),
            format!("{secret};;"),
            "SELECT 3".to_owned(),
        ],
    })
}

pub(super) fn function(maker: &mut Maker<'_>) -> Draft {
    Draft::one(maker.random.word(&[
        "SELECT first_secret()",
        "SELECT * FROM first_secret()",
        "SELECT secret_of(id) FROM people",
        "SELECT * FROM secret_rows()",
        "SELECT (secret_rows()).secret_text",
        "SELECT secret_text FROM secret_rows()",
        "SELECT code_of(p), p.code_of FROM people AS p",
        "SELECT told(1)",
        "SELECT noticed(1)",
        "SELECT raised(1)",
        "SELECT shown(secret_text) FROM people",
        "SELECT shown(p) FROM people AS p",
        "SELECT shown(name) FROM people",
        "SELECT dynamic('SELECT secret_text FROM people')",
        "SELECT collect(id) FROM people",
        "SELECT collect(id) OVER () FROM people",
        "SELECT @# id FROM people",
        "SELECT id FROM people WHERE (@# id) > 'm'",
        "SELECT id::pair FROM people",
        "SELECT (1::pair).label",
        "SELECT pair(1)",
        "SELECT query_to_xml('SELECT * FROM people', true, true, '')",
        "SELECT query_to_xml_and_xmlschema('SELECT * FROM people', true, true, '')",
        "SELECT table_to_xml('people', true, true, '')",
        "SELECT schema_to_xml('public', true, true, '')",
        "SELECT database_to_xml(true, true, '')",
        "SELECT cursor_to_xml('c', 1, true, true, '')",
        "SELECT ts_stat('SELECT to_tsvector(secret_text) FROM people')",
        "SELECT * FROM ts_stat('SELECT to_tsvector(secret_text) FROM people')",
        "SELECT ts_rewrite('a'::tsquery, 'SELECT to_tsquery(''a''), plainto_tsquery(secret_text) FROM people')",
        "SELECT lo_from_bytea(0, convert_to(secret_text, 'UTF8')) FROM people",
        "SELECT pg_read_file('postgresql.conf')",
        "SELECT pg_ls_dir('.')",
        "SELECT pg_current_logfile()",
        "SELECT get_raw_page('people', 0)",
        "SELECT pg_get_viewdef('people_view'::regclass)",
        "SELECT pg_get_functiondef('first_secret'::regproc)",
        "SELECT heap_page_items(get_raw_page('people', 0))",
        "SELECT pg_logical_emit_message(true, 'x', secret_text) FROM people",
        "SELECT pg_notify('c', secret_text) FROM people",
        "SELECT set_config('leak.kept', secret_text, false) FROM people",
        "SELECT setseed(secret_int / 3000000000.0), random() FROM people",
        "SELECT setval('inbox_id_seq', secret_int), currval('inbox_id_seq') FROM people",
        "SELECT pg_advisory_lock(secret_bigint) FROM people",
        "SELECT pg_try_advisory_xact_lock(secret_int), (SELECT count(*) FROM pg_locks) FROM people",
        "SELECT pg_sleep(CASE WHEN secret_text > 'm' THEN 0.01 ELSE 0 END) FROM people",
        "SELECT brin_summarize_new_values('people_pkey'::regclass)",
        "SELECT generate_series(1, length(secret_text)) FROM people",
        "SELECT unnest(secret_list) FROM people",
        "SELECT generate_subscripts(secret_list, 1) FROM people",
        "SELECT regexp_matches(secret_text, '(.)', 'g') FROM people",
        "SELECT jsonb_object_keys(secret_json), jsonb_array_length(to_jsonb(secret_list)) FROM people",
        "SELECT string_to_table(secret_text, '-') FROM people",
        "SELECT (jsonb_each_text(secret_json)).* FROM people",
        "SELECT json_object(ARRAY[secret_text], ARRAY[name]) FROM people WHERE id = 1",
        "SELECT pg_typeof(secret_text), pg_column_compression(secret_text) FROM people",
        "SELECT nextval(secret_text::regclass) FROM people",
        "SELECT to_regclass(secret_text), to_regtype(secret_text) FROM people",
        "SELECT has_table_privilege(secret_text, 'SELECT') FROM people",
        "SELECT col_description(secret_int::oid, 1) FROM people",
        "SELECT txid_status(secret_bigint) FROM people",
        "SELECT date_part(secret_text, now()) FROM people",
        "SELECT timezone(secret_text, now()) FROM people",
        "SELECT encode('a', secret_text) FROM people",
        "SELECT to_char(1, secret_text), to_date('2020', secret_text) FROM people",
    ]))
    .unrepeatable_where(|sql| sql.contains("now()") || sql.contains("random()"))
}

impl Draft {
    fn unrepeatable_where(self, test: impl Fn(&str) -> bool) -> Self {
        let found = self.statements.iter().any(|(sql, _)| test(sql));
        if found { self.unrepeatable() } else { self }
    }
}

/// A masked column that only decides which open rows there are.
pub(super) fn predicate(maker: &mut Maker<'_>) -> Draft {
    let (column, _) = maker.secret_column();
    let shape = maker.random.word(&[
        "SELECT id FROM people WHERE {c}::text > 'm'",
        "SELECT count(*) FROM people WHERE {c}::text > 'm'",
        "SELECT id FROM people WHERE {c} IS NOT NULL",
        "SELECT id FROM people ORDER BY {c}::text",
        "SELECT id, rank() OVER (ORDER BY {c}::text) FROM people",
        "SELECT count(*) FROM people GROUP BY {c}::text",
        "SELECT DISTINCT {c}::text IS NULL FROM people",
        "SELECT DISTINCT ON ({c}::text) id FROM people",
        "SELECT city FROM people GROUP BY city HAVING max({c}::text) > 'm'",
        "SELECT a.id FROM people AS a JOIN people AS b ON a.{c}::text > b.{c}::text",
        "SELECT a.id FROM people AS a JOIN people AS b USING ({c})",
        "SELECT id FROM people NATURAL JOIN (SELECT {c} FROM people) AS q",
        "SELECT id FROM counters WHERE EXISTS (SELECT 1 FROM people WHERE people.id = counters.id AND {c}::text > 'm')",
        "SELECT id FROM counters WHERE id IN (SELECT id FROM people WHERE {c}::text > 'm')",
        "SELECT id FROM counters WHERE id NOT IN (SELECT CASE WHEN {c}::text > 'm' THEN id ELSE 0 END FROM people)",
        "SELECT name FROM people WHERE id = 1 LIMIT (SELECT CASE WHEN {c}::text > 'm' THEN 1 ELSE 0 END FROM people WHERE id = 1)",
        "SELECT name FROM people OFFSET (SELECT length({c}::text) % 3 FROM people WHERE id = 1)",
        "SELECT id FROM people WHERE name = 'x' OR {c}::text LIKE 'b%'",
        "SELECT id FROM people WHERE NOT ({c}::text < 'm')",
        "SELECT id FROM people WHERE CASE WHEN id = 1 THEN {c}::text > 'm' ELSE true END",
        "SELECT id FROM people WHERE ({c}::text > 'm') IS TRUE",
        "SELECT id FROM people WHERE (SELECT {c}::text > 'm')",
        "SELECT (SELECT count(*) FROM people AS q WHERE q.{c}::text < p.{c}::text) FROM people AS p",
        "SELECT count(*) FILTER (WHERE {c}::text > 'm') FROM people",
        "SELECT id FROM people EXCEPT SELECT id FROM people WHERE {c}::text > 'm'",
        "SELECT {c}::text FROM people INTERSECT SELECT name FROM people",
        "SELECT name FROM people UNION SELECT {c}::text FROM people",
        "SELECT id FROM people WHERE {c} = {c}",
        "SELECT id FROM people TABLESAMPLE BERNOULLI ((SELECT length({c}::text) FROM people LIMIT 1)) REPEATABLE (1)",
        "SELECT CASE WHEN {c}::text > 'm' THEN name END FROM people",
        "SELECT CASE WHEN (SELECT max({c}::text) FROM people) > 'm' THEN 'yes' ELSE 'no' END",
        "SELECT name FROM people, LATERAL (SELECT 1 WHERE {c}::text > 'm') AS l",
        "SELECT name FROM people, generate_series(1, length({c}::text))",
        "WITH w AS (SELECT id FROM people WHERE {c}::text > 'm') SELECT count(*) FROM w",
        "SELECT bool_and({c}::text > 'a') FROM people",
        "SELECT count({c}), count(DISTINCT {c}::text) FROM people",
        "UPDATE counters SET hits = 1 FROM people WHERE people.id = counters.id AND {c}::text > 'm'",
        "DELETE FROM counters USING people WHERE people.id = counters.id AND {c}::text > 'm' RETURNING counters.id",
        "UPDATE people SET city = 'x' WHERE {c}::text > 'm' RETURNING id",
        "DELETE FROM accounts WHERE secret_limit > 8000000000000000000",
        "SELECT id FROM people WHERE {c}::text > 'm' FOR UPDATE SKIP LOCKED",
        "SELECT count(*) FROM people WHERE {c}::text > (SELECT min({c}::text) FROM people)",
    ]);
    Draft::one(shape.replace("{c}", column))
}

/// Errors, rows and orders that depend on a masked value.
pub(super) fn oracle(maker: &mut Maker<'_>) -> Draft {
    let (column, _) = maker.secret_column();
    let shape = maker.random.word(&[
        "SELECT 1 / (CASE WHEN {c}::text > 'm' THEN 1 ELSE 0 END) FROM people",
        "SELECT 1 / (ascii({c}::text) - 104) FROM people",
        "SELECT id / length({c}::text) FROM people",
        "SELECT name::int FROM people WHERE CASE WHEN {c}::text > 'm' THEN true ELSE false END",
        "SELECT CASE WHEN {c}::text > 'm' THEN 1 / (id - id) ELSE 1 END FROM people",
        "SELECT (ARRAY[1, 2])[ascii({c}::text) % 3] FROM people",
        "SELECT sqrt(100 - ascii({c}::text)) FROM people",
        "SELECT ln(105 - ascii({c}::text)) FROM people",
        "SELECT repeat('x', (ascii({c}::text) - 100) * 1000) FROM people",
        "SELECT substring({c}::text, 1, ascii({c}::text) - 104) FROM people",
        "SELECT ('{' || {c}::text)::json FROM people",
        "SELECT name ~ {c}::text FROM people",
        "SELECT regexp_replace(name, {c}::text, '') FROM people",
        "SELECT to_timestamp({c}::text, 'YYYY') FROM people",
        "SELECT lpad('a', ascii({c}::text), 'b') FROM people",
        "SELECT chr(ascii({c}::text) - 105) FROM people",
        "SELECT date '2020-01-01' + ascii({c}::text) FROM people",
        "SELECT 2147483547 + ascii({c}::text) FROM people",
        "SELECT power(10, ascii({c}::text) * 3) FROM people",
        "SELECT array_fill(1, ARRAY[ascii({c}::text)]) FROM people",
        "SELECT (SELECT id FROM people AS q WHERE q.{c}::text >= p.{c}::text) FROM people AS p",
        "SELECT (SELECT 1 FROM generate_series(1, CASE WHEN {c}::text > 'm' THEN 1 ELSE 2 END)) FROM people",
        "SELECT width_bucket({c}::text, ARRAY['a', 'm']) FROM people",
        "SELECT ('a' || {c}::text)::name COLLATE \"C\" FROM people",
        "SELECT pg_catalog.json_build_object({c}, 1) FROM people",
        "SELECT jsonb_object_agg({c}, id) FROM people",
        "SELECT set_byte('ab'::bytea, ascii({c}::text) - 104, 1) FROM people",
        "SELECT overlay(name placing 'x' from ascii({c}::text) - 104) FROM people",
        "SELECT xmlparse(document {c}::text) FROM people",
        "SELECT '1'::bit(8) >> ascii({c}::text) FROM people",
        "SELECT {c}::text::inet FROM people",
        "SELECT cast({c}::text AS mood) FROM people",
        "SELECT {c}::text::mail FROM people",
    ]);
    Draft::one(shape.replace("{c}", column))
}

pub(super) fn parameter(maker: &mut Maker<'_>) -> Draft {
    let (column, _) = maker.secret_column();
    let (shape, parameters): (&str, &[&str]) = *maker.random.pick(&[
        ("SELECT {c} FROM people WHERE id = $1", &["1"] as &[_]),
        ("SELECT {c}, $1::text FROM people", &["x"]),
        ("SELECT coalesce($1::text, {c}::text) FROM people", &["x"]),
        ("SELECT CASE WHEN $1::int = 1 THEN {c}::text ELSE name END FROM people", &["1"]),
        ("SELECT {c}::text || $1 FROM people", &["x"]),
        ("SELECT {c}::text > $1 FROM people", &["m"]),
        ("SELECT id FROM people WHERE {c}::text > $1", &["m"]),
        ("SELECT id FROM people WHERE {c}::text = $1", &["m"]),
        ("SELECT id FROM people WHERE {c}::text = ANY ($1::text[])", &["{a,b}"]),
        ("SELECT id FROM people WHERE {c}::text LIKE $1", &["b%"]),
        ("SELECT secret_json ->> $1 FROM people", &["word"]),
        ("SELECT secret_list[$1::int] FROM people", &["1"]),
        ("SELECT secret_text FROM people WHERE $1::boolean", &["true"]),
        ("INSERT INTO inbox (any_text) SELECT {c}::text || $1 FROM people RETURNING any_text", &["x"]),
        ("UPDATE inbox SET any_text = (SELECT {c}::text FROM people WHERE id = $1) RETURNING any_text", &["1"]),
        ("UPDATE people SET name = $1 WHERE id = $2 RETURNING *", &["x", "1"]),
        ("SELECT name FROM people WHERE id = $1 LIMIT $2", &["1", "1"]),
        ("SELECT $1::regclass::text, {c} FROM people", &["people"]),
        ("SELECT set_config($1, {c}::text, false) FROM people", &["leak.kept"]),
        ("SELECT dynamic($1)", &["SELECT secret_text FROM people"]),
        ("SELECT query_to_xml($1, true, true, '')", &["SELECT secret_text FROM people"]),
    ]);
    Draft {
        statements: vec![(
            shape.replace("{c}", column),
            parameters.iter().map(|text| (*text).to_owned()).collect(),
        )],
        repeatable: true,
        apart: false,
    }
}

pub(super) fn view(maker: &mut Maker<'_>) -> Draft {
    Draft::one(maker.random.word(&[
        "SELECT code FROM people_view",
        "SELECT number, papers FROM people_view",
        "SELECT loud, word FROM people_deep",
        "SELECT * FROM people_sums",
        "SELECT max(codes) FROM people_sums",
        "SELECT id, code FROM people_guarded WHERE id = 1",
        "SELECT person FROM people_whole",
        "SELECT (person).secret_text FROM people_whole",
        "SELECT document ->> 'secret_text' FROM people_whole",
        "SELECT rich, sort FROM people_flags",
        "SELECT id FROM people_flags WHERE sort = 'even'",
        "SELECT id FROM people_flags WHERE rich",
        "SELECT word FROM people_union",
        "SELECT code, amount, token FROM people_copy",
        "SELECT id FROM people_copy WHERE code > 'm'",
        "SELECT v.code FROM people_plain AS p JOIN people_view AS v USING (id)",
        "SELECT name FROM people_plain",
        "SELECT name, id FROM people_view",
        "SELECT * FROM people_view",
        "TABLE people_deep",
        "SELECT secret_address FROM parcels",
        "SELECT secret_address FROM parcels_old",
        "SELECT * FROM ONLY parcels",
        "SELECT tableoid::regclass, secret_address FROM parcels",
        "SELECT secret_code FROM persons",
        "SELECT secret_code FROM ONLY persons",
        "SELECT secret_code, desk FROM staff",
        "SELECT shouted FROM people",
        "SELECT p.shouted || '' FROM people AS p",
        "UPDATE people_plain SET name = name RETURNING *",
        "UPDATE people_view SET name = code RETURNING *",
        "INSERT INTO people_plain (id, name) VALUES (77, 'x') RETURNING *",
        "DELETE FROM people_guarded WHERE id = 9 RETURNING code",
        "UPDATE people_written SET name = 'x' WHERE id = 1",
        "SELECT body FROM guarded",
    ]))
}

pub(super) fn copy_to(maker: &mut Maker<'_>) -> Draft {
    let (table, columns) = maker.table();
    let what = match maker.random.below(4) {
        0 => table,
        1 => format!("{table} ({})", maker.random.pick(&columns).name),
        _ => format!("({})", maker.query(&[]).sql),
    };
    let format = maker.random.word(&[
        "",
        " WITH (FORMAT csv)",
        " WITH (FORMAT csv, HEADER, FORCE_QUOTE *)",
        " WITH (FORMAT binary)",
        " WITH (FORMAT text, DELIMITER '|', NULL 'n')",
        " CSV HEADER",
        " WITH BINARY",
        " (ENCODING 'LATIN1')",
    ]);
    let to = maker.random.word(&[
        "STDOUT",
        "STDOUT",
        "STDOUT",
        "STDOUT",
        "STDIN",
        "'/tmp/leak'",
        "PROGRAM 'cat'",
    ]);
    Draft::one(format!("COPY {what} TO {to}{format}"))
}

pub(super) fn cursor(maker: &mut Maker<'_>) -> Draft {
    let query = maker.query(&[]).sql;
    let kind = maker
        .random
        .word(&["", "BINARY ", "SCROLL ", "NO SCROLL ", "INSENSITIVE "]);
    let hold = maker.random.word(&["", "", " WITH HOLD", " WITHOUT HOLD"]);
    let fetch = maker.random.word(&[
        "FETCH ALL FROM c",
        "FETCH 2 FROM c",
        "FETCH c",
        "FETCH FORWARD ALL IN c",
        "MOVE 1 FROM c",
        "FETCH ABSOLUTE 1 FROM c",
    ]);
    Draft::of([
        format!("DECLARE c {kind}CURSOR{hold} FOR {query}"),
        fetch.to_owned(),
        maker
            .random
            .word(&[
                "FETCH NEXT FROM c",
                "CLOSE c",
                "SELECT statement FROM pg_cursors",
                "UPDATE people SET city = secret_text WHERE CURRENT OF c",
            ])
            .to_owned(),
    ])
}

pub(super) fn prepared(maker: &mut Maker<'_>) -> Draft {
    let query = maker.query(&[]).sql;
    Draft::of(match maker.random.below(5) {
        0 => vec![
            format!("PREPARE s AS {query}"),
            "EXECUTE s".to_owned(),
            "DEALLOCATE s".to_owned(),
        ],
        1 => vec![
            "PREPARE s (int) AS SELECT secret_text FROM people WHERE id = $1".to_owned(),
            "EXECUTE s (1)".to_owned(),
            "EXECUTE s ((SELECT length(secret_text) FROM people WHERE id = 1))".to_owned(),
        ],
        2 => vec![
            format!("PREPARE s AS {query}"),
            "EXPLAIN (ANALYZE, TIMING off, SUMMARY off) EXECUTE s".to_owned(),
        ],
        3 => vec![
            format!("PREPARE s AS {query}"),
            "CREATE TABLE loot AS EXECUTE s".to_owned(),
            "SELECT * FROM loot".to_owned(),
        ],
        _ => vec![
            "PREPARE s (text) AS INSERT INTO inbox (any_text) VALUES ($1) RETURNING any_text"
                .to_owned(),
            "EXECUTE s ((SELECT secret_text FROM people LIMIT 1))".to_owned(),
            "SELECT * FROM pg_prepared_statements WHERE name <> 's'".to_owned(),
        ],
    })
}

pub(super) fn explain(maker: &mut Maker<'_>) -> Draft {
    let query = if maker.random.chance(40) {
        predicate(maker).statements.remove(0).0
    } else {
        maker.query(&[]).sql
    };
    let options = maker.random.word(&[
        "",
        "VERBOSE ",
        "(VERBOSE) ",
        "(FORMAT json) ",
        "(FORMAT xml, VERBOSE) ",
        "(FORMAT yaml, COSTS off) ",
        "(ANALYZE, TIMING off, SUMMARY off) ",
        "(ANALYZE, VERBOSE, TIMING off, SUMMARY off, BUFFERS off) ",
        "(GENERIC_PLAN) ",
        "(SETTINGS) ",
    ]);
    // Costs and planning buffers are allowed to differ only where nothing masked is planned, and then they don't.
    Draft::one(format!("EXPLAIN {options}{query}"))
}

pub(super) fn bad_cast(maker: &mut Maker<'_>) -> Draft {
    let (column, _) = maker.secret_column();
    let cast = maker.random.word(&[
        "integer",
        "smallint",
        "date",
        "uuid",
        "inet",
        "json",
        "xml",
        "boolean",
        "interval",
        "numeric",
        "point",
        "regclass",
        "mood",
        "mail",
        "int4range",
        "int[]",
        "bit",
        "money",
        "tsquery",
        "oid",
        "pair",
        "people",
    ]);
    let shape = maker.random.word(&[
        "SELECT {c}::text::{k} FROM people",
        "SELECT CAST({c}::text AS {k}) FROM people",
        "SELECT max({c}::text)::{k} FROM people",
        "SELECT (SELECT string_agg({c}::text, ',') FROM people)::{k}",
        "SELECT id FROM people WHERE {c}::text::{k} IS NULL",
        "INSERT INTO inbox (any_text) SELECT ({c}::text::{k})::text FROM people",
        "SELECT pg_catalog.{k}({c}::text) FROM people",
        "SELECT 1 FROM people GROUP BY {c}::text::{k}",
        "UPDATE people SET born = {c}::text::int",
        "SELECT NULLIF({c}::text, '')::{k} FROM people_view, people WHERE people.id = people_view.id",
        "SELECT name::{k} FROM people",
        "SELECT count(*) FROM people HAVING max({c}::text)::{k} IS NULL",
        "VALUES ((SELECT min({c}::text) FROM people)::{k})",
    ]);
    Draft::one(shape.replace("{c}", column).replace("{k}", cast))
}

pub(super) fn catalog(maker: &mut Maker<'_>) -> Draft {
    Draft::one(maker.random.word(&[
        "SELECT most_common_vals, histogram_bounds FROM pg_stats WHERE tablename = 'people'",
        "SELECT * FROM pg_stats",
        "SELECT stavalues1 FROM pg_statistic",
        "SELECT * FROM pg_catalog.pg_statistic WHERE starelid = 'people'::regclass",
        "SELECT * FROM pg_stats_ext",
        "SELECT * FROM pg_stats_ext_exprs",
        "SELECT stxdmcv FROM pg_statistic_ext_data",
        "SELECT pg_mcv_list_items(stxdmcv) FROM pg_statistic_ext_data",
        "SELECT query FROM pg_stat_activity",
        "SELECT pg_stat_get_activity(NULL)",
        "SELECT pg_stat_get_backend_activity(1)",
        "SELECT * FROM pg_prepared_statements",
        "SELECT pg_prepared_statement()",
        "SELECT * FROM pg_cursors",
        "SELECT pg_cursor()",
        "SELECT * FROM pg_largeobject",
        "SELECT passwd FROM pg_shadow",
        "SELECT rolpassword FROM pg_authid",
        "SELECT * FROM pg_settings WHERE name = 'leak.kept'",
        "SELECT * FROM pg_show_all_settings() WHERE name LIKE 'leak%'",
        "SELECT * FROM pg_file_settings",
        "SELECT * FROM pg_hba_file_rules",
        "SELECT relname, reltuples FROM pg_class WHERE relname = 'people'",
        "SELECT attname FROM pg_attribute WHERE attrelid = 'people'::regclass AND attnum > 0",
        "SELECT pg_get_expr(adbin, adrelid) FROM pg_attrdef",
        "SELECT definition FROM pg_views WHERE viewname LIKE 'people%'",
        "SELECT pg_get_viewdef(oid) FROM pg_class WHERE relkind = 'v' AND relname LIKE 'people%'",
        "SELECT prosrc FROM pg_proc WHERE proname = 'first_secret'",
        "SELECT consrc FROM pg_constraint",
        "SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = 'people'::regclass",
        "SELECT column_name, column_default, generation_expression FROM information_schema.columns WHERE table_name = 'people'",
        "SELECT * FROM information_schema.element_types",
        "SELECT * FROM information_schema.views WHERE table_schema = 'public'",
        "SELECT * FROM pg_sequences",
        "SELECT last_value FROM inbox_id_seq",
        "SELECT partition_bound FROM (SELECT pg_get_expr(relpartbound, oid) AS partition_bound FROM pg_class) AS p",
        "SELECT * FROM pg_locks",
        "SELECT * FROM pg_stat_user_tables",
        "SELECT heap_blks_hit FROM pg_statio_user_tables",
        "SELECT * FROM pg_backend_memory_contexts",
        "SELECT * FROM pg_foreign_server",
        "SELECT * FROM pg_user_mappings",
        "SELECT * FROM pg_subscription",
        "SELECT chunk_data FROM pg_toast.pg_toast_2619",
        "SELECT * FROM pg_seclabels",
        "SELECT * FROM pg_config",
        "SHOW leak.kept",
        "SHOW ALL",
        "SHOW server_version",
        "SELECT pg_relation_size('people'), pg_column_size(p) FROM people AS p",
    ]))
    .unrepeatable()
}
