//! COPY ... TO STDOUT for whoever a mask binds: what comes is byte for byte what the server would write of the masked values, in
//! every form, and there is no way round.

use std::sync::Arc;

use provost_engine::transform::{DateUnit, Transform};
use provost_gateway::settings::ClientTls;

use crate::{
    house::{House, allow_everything, masks, settings_for, start_cluster, target, tokens},
    postgres::Cluster,
    raw::{Raw, message, run},
};

const SHOP: [(&str, &str); 2] = [("user", "ann"), ("database", "shop")];
/// What every masked value holds, and nothing else.
const CANARY: &[u8] = b"000-00-";

fn query(sql: &str) -> Vec<u8> {
    message(b'Q', format!("{sql}\0").as_bytes())
}

fn extended(sql: &str) -> Vec<u8> {
    [run(sql), message(b'S', b"")].concat()
}

fn session(house: &House) -> Raw {
    let mut raw = Raw::log_in(house.address, &SHOP, &tokens().good("ann"));
    raw.until(b'Z');
    raw
}

/// What came of a COPY: the data, message by message, with the tag behind it; or the error.
type Copied = Result<(Vec<Vec<u8>>, String), String>;

fn copied(raw: &mut Raw, frames: &[u8]) -> Copied {
    raw.send(frames);
    let (mut data, mut tag, mut error) = (Vec::new(), String::new(), None);
    loop {
        let (kind, body) = raw.message();
        let words = String::from_utf8_lossy(&body).replace('\0', " ");
        match kind {
            b'd' => data.push(body),
            b'C' => tag = words,
            b'E' => error = Some(words),
            b'Z' => return error.map_or(Ok((data, tag)), Err),
            _ => {}
        }
    }
}

fn world(tables: &str) -> (Cluster, House) {
    let cluster = start_cluster();
    cluster.execute("postgres", tables).unwrap();
    let house = House::start(settings_for(ClientTls::Off, target(&cluster)));
    (cluster, house)
}

fn holds(data: &[Vec<u8>], canary: &[u8]) -> bool {
    let all = data.concat();
    all.windows(canary.len()).any(|window| window == canary)
}

/// Everything that is written in another way somewhere.
const AWKWARD: &str = r#"CREATE TABLE awkward (id int, secret text, note text, day date, number int, gone text, made text GENERATED ALWAYS AS (note || '!') STORED);
    ALTER TABLE awkward DROP COLUMN gone;
    INSERT INTO awkward (id, secret, note, day, number)
    SELECT n, CASE WHEN n % 3 = 0 THEN '000-00-' || text ELSE text END, text, date '2024-02-29' + n::int, n
    FROM unnest(ARRAY[NULL, '', ' ', 'a', 'plain text', E'tab\there', E'a\\b', '\', '\\', E'line\nbreak', E'\r\n', E'\r', 'a,b', ',', ';x', '|', '"', 'say "hi"', '""', '''', '\.', E'\n\\.\n', '\N',
        'NULL', 'null', 'x', 'xx', 'é', '日本語テキスト', 'ends in tab' || E'\t', 'ends in "', 'ends in \', E'\b\f\x0b\x01\x7f', 'ADBZ', 'a.b.c', '0123456789', repeat('long "text", ', 2000), repeat(E'\\\n', 500)]) WITH ORDINALITY AS x(text, n);
    INSERT INTO awkward VALUES (NULL, NULL, NULL, NULL, NULL);"#;

/// What the masks make of the columns, in SQL.
const MASKED: &str = "id, CASE WHEN length(secret) > 4 THEN '*******' || right(secret, 4) WHEN secret IS NOT NULL THEN '[redacted]' END AS secret,
    note, date_trunc('year', day)::date AS day, NULL::int AS number";

const OPTIONS: [&str; 27] = [
    "",
    "(FORMAT text)",
    "(DELIMITER '|')",
    "(DELIMITER ',')",
    "(DELIMITER 'Z')",
    "(DELIMITER '\"')",
    "(HEADER)",
    "(HEADER true, DELIMITER ';')",
    "WITH DELIMITER AS ';'",
    "(ENCODING 'utf-8')",
    "(FORMAT csv)",
    "(FORMAT csv, HEADER)",
    "(FORMAT csv, HEADER 0)",
    "CSV HEADER",
    "(FORMAT csv, DELIMITER E'\\t')",
    "(FORMAT csv, DELIMITER 'x')",
    "(FORMAT csv, QUOTE '''')",
    "(FORMAT csv, QUOTE 'a')",
    "(FORMAT csv, ESCAPE '\\')",
    "(FORMAT csv, ESCAPE ',')",
    "(FORMAT csv, QUOTE '|', ESCAPE 'n', DELIMITER ' ')",
    "(FORMAT csv, NULL 'NULL')",
    "(FORMAT csv, NULL '[redacted]')",
    "(FORMAT csv, FORCE_QUOTE (secret))",
    "(FORMAT csv, FORCE_QUOTE *, HEADER on)",
    "CSV NULL 'x' FORCE QUOTE note, day",
    "(FORMAT binary)",
];

#[test]
fn masked_data_is_what_the_server_would_write() {
    let (_cluster, house) = world(AWKWARD);
    let mut raw = session(&house);
    let expected: Vec<Copied> = OPTIONS
        .iter()
        .map(|options| {
            let sql = format!("COPY (SELECT {MASKED} FROM awkward) TO STDOUT {options}");
            copied(&mut raw, &query(&sql))
        })
        .collect();
    let transforms = [
        ("secret", Transform::Last(4)),
        ("day", Transform::TruncateDate(DateUnit::Year)),
        ("number", Transform::Redact),
    ];
    house.policy.swap(masks("masked", &transforms, None));
    for (options, expected) in OPTIONS.iter().zip(expected) {
        let expected = expected.unwrap();
        assert!(
            expected.0.len() > 30 && expected.1.starts_with("COPY "),
            "{options}"
        );
        for sql in [
            // Generated columns are left out.
            format!("COPY awkward TO STDOUT {options}"),
            format!("COPY public.awkward (id, secret, note, day, number) TO STDOUT {options}"),
            format!("COPY (SELECT id, secret, note, day, number FROM awkward) TO STDOUT {options}"),
            format!("COPY (SELECT * FROM (TABLE awkward) AS x(id, secret, note, day, number, made)) TO STDOUT {options}")
                .replace("SELECT *", "SELECT id, secret, note, day, number"),
        ] {
            for frames in [query(&sql), extended(&sql)] {
                let found = copied(&mut raw, &frames).unwrap_or_else(|error| panic!("{sql}: {error}"));
                assert!(!holds(&found.0, CANARY), "{sql}");
                for (place, (found, expected)) in found.0.iter().zip(&expected.0).enumerate() {
                    let [found, expected] = [found, expected].map(|bytes| String::from_utf8_lossy(bytes));
                    assert_eq!(found, expected, "{sql}: row {place}");
                }
                assert_eq!(found, expected, "{sql}");
            }
        }
    }
}

#[test]
fn constants_and_nulls_are_written_as_values_are() {
    let (_cluster, house) = world(AWKWARD);
    let mut raw = session(&house);
    for constant in ["it's \"x\",\t\\ \n", "", "\\N", "\\.", "NULL"] {
        let expected: Vec<Copied> = OPTIONS
            .iter()
            .map(|options| {
                let literal = constant.replace('\'', "''");
                let sql = format!("COPY (SELECT '{literal}'::text AS secret, NULL::text AS note FROM awkward WHERE secret IS NOT NULL) TO STDOUT {}", options.replace(", day", ""));
                copied(&mut raw, &query(&sql))
            })
            .collect();
        let transforms = [
            ("secret", Transform::Constant(constant.into())),
            ("note", Transform::Null),
        ];
        house.policy.swap(masks(constant, &transforms, None));
        for (options, expected) in OPTIONS.iter().zip(expected) {
            let options = options.replace(", day", "");
            // NULL stays NULL: rows without a secret are looked for by a column that is not masked.
            let sql =
                format!("COPY (SELECT secret, note FROM awkward WHERE id > 1) TO STDOUT {options}");
            assert_eq!(
                copied(&mut raw, &query(&sql)),
                expected,
                "{constant:?} {sql}"
            );
        }
        house.policy.swap(allow_everything("open"));
    }
}

/// Each statement by a simple Query and by the extended protocol: `=` before what its data must be, else what its error must hold.
#[track_caller]
fn check(house: &House, cases: &[(&str, &str)]) {
    for (sql, expected) in cases {
        let mut raw = session(house);
        for frames in [query(sql), extended(sql)] {
            let found = copied(&mut raw, &frames);
            match (found, expected.strip_prefix('=')) {
                (Ok((data, _)), Some(expected)) => {
                    assert_eq!(String::from_utf8_lossy(&data.concat()), expected, "{sql}");
                }
                (Err(error), None) => {
                    assert!(!error.contains("000-00-"), "{sql}: {error}");
                    assert!(error.contains(expected), "{sql}: {error}");
                }
                (found, _) => panic!("{sql}: {found:?}"),
            }
            assert_eq!(
                raw.send(&query("SELECT 1")).answer(),
                "1 I",
                "{sql}: the session lives"
            );
        }
    }
}

const PEOPLE: &str = "CREATE TABLE people (id int PRIMARY KEY, name text, ssn text, doubled text GENERATED ALWAYS AS (ssn || ssn) STORED);
    INSERT INTO people SELECT n, 'name ' || n, '000-00-' || n FROM generate_series(1, 3) n;
    INSERT INTO people VALUES (4, NULL, NULL);
    CREATE TABLE heirs (more text) INHERITS (people);
    INSERT INTO heirs VALUES (9, 'heir', '000-00-9', DEFAULT, 'more');
    CREATE VIEW shown AS SELECT id, ssn AS code FROM people;
    CREATE DOMAIN code AS text; CREATE DOMAIN narrow AS code;
    CREATE TYPE mood AS ENUM ('000-00-sad', '000-00-glad');
    CREATE TABLE kinds (id int, ssn narrow, more text); INSERT INTO kinds VALUES (1, '000-00-7', 'x');
    CREATE TABLE moods (ssn mood); INSERT INTO moods VALUES ('000-00-sad'), (NULL);
    CREATE TABLE days (ssn date); INSERT INTO days VALUES ('2001-02-03'), (NULL);
    CREATE TABLE years (ssn int, n int) PARTITION BY RANGE (ssn);
    CREATE TABLE year_one PARTITION OF years FOR VALUES FROM (0) TO (10); INSERT INTO years VALUES (1, 1);
    CREATE SCHEMA other; CREATE TABLE other.plain (id int, ssn text); INSERT INTO other.plain VALUES (1, '000-00-1');
    CREATE TABLE plain (id int, name text); INSERT INTO plain VALUES (1, 'one');
    CREATE TABLE guarded (id int, name text, half int GENERATED ALWAYS AS (id / 2) STORED); INSERT INTO guarded VALUES (1, 'one');";

#[test]
fn ways_to_a_value_by_copy_are_no_ways() {
    let (_cluster, house) = world(PEOPLE);
    house
        .policy
        .swap(masks("masked", &[("ssn", Transform::Last(2))], None));
    check(
        &house,
        &[
            // What is computed has no type that COPY would tell: it is NULL.
            (
                "COPY (SELECT upper(ssn), ssn || 'x', id FROM people WHERE id = 1) TO STDOUT",
                "=\\N\t\\N\t1\n",
            ),
            (
                "COPY (SELECT id, people FROM people WHERE id = 1) TO STDOUT",
                "=1\t\\N\n",
            ),
            (
                "COPY (SELECT to_jsonb(people) FROM people WHERE id = 1) TO STDOUT (FORMAT csv)",
                "=\n",
            ),
            (
                "COPY (SELECT ssn FROM people WHERE id = 1 UNION ALL SELECT '000-00-2') TO STDOUT",
                "=\\N\n\\N\n",
            ),
            ("COPY (SELECT count(ssn) FROM people) TO STDOUT", "=4\n"),
            (
                "COPY (SELECT ssn AS name, name AS ssn FROM people WHERE id = 1) TO STDOUT (FORMAT csv, HEADER)",
                "=name,ssn\n*******-1,name 1\n",
            ),
            (
                "COPY (SELECT (SELECT ssn FROM people WHERE id = 1)) TO STDOUT",
                "=\\N\n",
            ),
            (
                "COPY (SELECT doubled FROM people WHERE id = 1) TO STDOUT",
                "=[redacted]\n",
            ),
            (
                "COPY people (ssn, id) TO STDOUT",
                "=*******-1\t1\n*******-2\t2\n*******-3\t3\n\\N\t4\n",
            ),
            (
                "COPY people (ssn) TO STDOUT (FORMAT csv, FORCE_QUOTE *)",
                "=\"*******-1\"\n\"*******-2\"\n\"*******-3\"\n\n",
            ),
            // COPY of a table is of the table alone; a query reads its heirs.
            (
                "COPY people TO STDOUT",
                "=1\tname 1\t*******-1\n2\tname 2\t*******-2\n3\tname 3\t*******-3\n4\t\\N\t\\N\n",
            ),
            (
                "COPY (SELECT id, ssn FROM people WHERE id > 4) TO STDOUT",
                "=9\t*******-9\n",
            ),
            ("COPY heirs TO STDOUT", "=9\their\t*******-9\tmore\n"),
            (
                "COPY (INSERT INTO plain VALUES (7, 'x') RETURNING id, name) TO STDOUT",
                "=7\tx\n",
            ),
            (
                "COPY (UPDATE people SET name = 'n' WHERE id = 3 RETURNING id, ssn) TO STDOUT",
                "=3\t*******-3\n",
            ),
            // Views are held as for SELECT; domains are what they are made of; other types become NULL.
            (
                "COPY (SELECT * FROM shown WHERE id = 1) TO STDOUT",
                "=1\t*******-1\n",
            ),
            ("COPY (TABLE kinds) TO STDOUT", "=1\t*******-7\tx\n"),
            (
                "COPY moods TO STDOUT (FORMAT csv, NULL 'none')",
                "=none\nnone\n",
            ),
            ("COPY moods TO STDOUT (NULL 'none')", "=none\nnone\n"),
            ("COPY days TO STDOUT (NULL '')", "=\n\n"),
            ("COPY other.plain TO STDOUT", "=1\t*******-1\n"),
            // Whatever is not certain is refused, with what would work.
            (
                "COPY people TO STDOUT (NULL '000-00-1')",
                "leave the NULL option out, or use CSV",
            ),
            (
                "COPY people TO STDOUT (NULL '')",
                "leave the NULL option out, or use CSV",
            ),
            (
                "COPY people TO STDOUT (NULL '\\')",
                "leave the NULL option out",
            ),
            (
                "COPY people TO STDOUT (NULL '\\x')",
                "leave the NULL option out",
            ),
            (
                "COPY people TO STDOUT (ENCODING 'LATIN1')",
                "leave the ENCODING option out",
            ),
            (
                "COPY people TO STDOUT (ENCODING 'SJIS', FORMAT csv)",
                "leave the ENCODING option out",
            ),
            ("COPY people TO STDOUT (HEADER match)", "not understood"),
            (
                "COPY people TO STDOUT (FORMAT csv, FORCE_NULL (ssn))",
                "not understood",
            ),
            (
                "COPY people TO STDOUT (FORMAT csv, QUOTE E'\\n')",
                "one ASCII character",
            ),
            (
                "COPY people TO STDOUT (FORMAT csv, QUOTE ',')",
                "not understood",
            ),
            (
                "COPY people TO STDOUT (FORMAT csv, DELIMITER 'é')",
                "one ASCII character",
            ),
            ("COPY people TO STDOUT (DELIMITER 'a')", "not understood"),
            ("COPY people TO STDOUT (DELIMITER '\\')", "not understood"),
            ("COPY people TO STDOUT (FORMAT 'json')", "not understood"),
            (
                "COPY people TO STDOUT (FORMAT csv, FORMAT text)",
                "not understood",
            ),
            ("COPY people TO '/tmp/people'", "42501"),
            ("COPY people TO PROGRAM 'cat'", "42501"),
            ("COPY year_one TO STDOUT", "may not decide which rows"),
            (
                "COPY (SELECT id FROM people WHERE ssn = '000-00-1') TO STDOUT",
                "may not decide which rows",
            ),
            (
                "COPY (SELECT id FROM people ORDER BY ssn) TO STDOUT",
                "may not be ordered",
            ),
            (
                "COPY (INSERT INTO plain SELECT id, ssn FROM people RETURNING id) TO STDOUT",
                "may not be copied",
            ),
        ],
    );
}

#[test]
fn texts_and_pipelines_around_a_copy() {
    let (cluster, house) = world(PEOPLE);
    house
        .policy
        .swap(masks("masked", &[("ssn", Transform::Redact)], None));
    let mut raw = session(&house);
    let alone = "held for one statement at a time";
    for sql in [
        "SELECT 1; COPY people TO STDOUT",
        "COPY people TO STDOUT; COPY plain TO STDOUT",
        "BEGIN; COPY plain TO STDOUT; COMMIT",
    ] {
        let error = copied(&mut raw, &query(sql)).unwrap_err();
        assert!(error.contains(alone), "{sql}: {error}");
    }
    // What reads no relation needs none held.
    let (data, _) = copied(&mut raw, &query("SELECT 1; COPY (SELECT 2) TO STDOUT")).unwrap();
    assert_eq!(data.concat(), b"2\n");
    // In a transaction, and behind other work of a pipeline.
    let copy = "COPY people (id, ssn) TO STDOUT (FORMAT csv)";
    let masked = "1,[redacted]\n2,[redacted]\n3,[redacted]\n4,\n";
    assert_eq!(raw.send(&query("BEGIN")).answer(), "T");
    for frames in [
        query(copy),
        extended(copy),
        [
            run("SELECT 1"),
            run(copy),
            run("SELECT 2"),
            message(b'S', b""),
        ]
        .concat(),
    ] {
        let (data, _) = copied(&mut raw, &frames).unwrap();
        assert_eq!(String::from_utf8_lossy(&data.concat()), masked);
    }
    assert_eq!(raw.send(&query("COMMIT")).answer(), "I");
    // A definition of an older snapshot can't be told from a newer one.
    assert_eq!(
        raw.send(&query("BEGIN ISOLATION LEVEL REPEATABLE READ"))
            .answer(),
        "T"
    );
    let error = copied(&mut raw, &query(copy)).unwrap_err();
    assert!(error.contains("use READ COMMITTED"), "{error}");
    assert_eq!(raw.send(&query("ROLLBACK")).answer(), "I");
    // A column that is not masked takes a masked one's place behind the gateway's back: the statement is read again.
    cluster
        .execute("postgres", "ALTER TABLE people RENAME COLUMN ssn TO was; ALTER TABLE people RENAME COLUMN name TO ssn; ALTER TABLE people RENAME COLUMN was TO name")
        .unwrap();
    match copied(&mut raw, &query("COPY people (id, name) TO STDOUT")) {
        Ok((data, _)) => panic!("{:?}", String::from_utf8_lossy(&data.concat())),
        Err(error) => assert!(
            error.contains("its earlier name is in a masked class"),
            "{error}"
        ),
    }
}

/// Row-level security makes the server copy a query of its own, generated columns and all.
#[test]
fn data_of_another_shape_is_withheld() {
    let (cluster, house) = world(PEOPLE);
    cluster
        .execute("postgres", "CREATE ROLE weak; GRANT SELECT ON guarded TO weak; ALTER TABLE guarded ENABLE ROW LEVEL SECURITY; CREATE POLICY p ON guarded USING (true)")
        .unwrap();
    house
        .policy
        .swap(masks("masked", &[("name", Transform::Redact)], None));
    let mut raw = session(&house);
    assert_eq!(raw.send(&query("SET ROLE weak")).answer(), "I");
    let copies = [
        copied(&mut raw, &query("COPY guarded TO STDOUT")),
        copied(&mut raw, &query("COPY guarded (id, name) TO STDOUT")),
    ];
    match &copies {
        [Err(error), Ok((data, _))] => {
            assert!(error.contains("name the columns"), "{error}");
            assert_eq!(data.concat(), b"1\t[redacted]\n");
        }
        // A server that leaves generated columns out here, too.
        [Ok((all, _)), Ok((some, _))] => assert_eq!(all, some),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_portal_is_not_run_by_another_path_than_it_was_bound_by() {
    let (_cluster, house) = world(PEOPLE);
    for policy in [
        masks("masked", &[("ssn", Transform::Redact)], None),
        allow_everything("open"),
    ] {
        house.policy.swap(Arc::clone(&policy));
        let mut raw = session(&house);
        let bound = |sql| {
            [
                crate::raw::parse("held", sql),
                crate::raw::bind("held", "held", &[], 0),
                run("SET search_path = other"),
                crate::raw::execute("held"),
                message(b'S', b""),
            ]
            .concat()
        };
        for sql in ["COPY plain TO STDOUT", "TRUNCATE plain"] {
            let error = copied(&mut raw, &bound(sql)).unwrap_err();
            assert!(
                error.contains("cached plan must not change"),
                "{sql}: {error}"
            );
            raw.send(&query("DEALLOCATE ALL")).answer();
        }
        // What moves no name moves nothing.
        let steady = [
            crate::raw::parse("held", "COPY plain TO STDOUT"),
            crate::raw::bind("held", "held", &[], 0),
            run("SELECT 1"),
            crate::raw::execute("held"),
            message(b'S', b""),
        ]
        .concat();
        let (data, _) = copied(&mut raw, &steady).unwrap();
        assert_eq!(data.concat(), b"1\tone\n");
    }
}

#[test]
fn limits_count_rows_and_nothing_else() {
    let (_cluster, house) = world(PEOPLE);
    let four = [
        "COPY people (id, ssn) TO STDOUT",
        "COPY people (id, ssn) TO STDOUT (FORMAT csv, HEADER)",
        "COPY people (id, ssn) TO STDOUT (FORMAT binary)",
        "COPY people (id, name) TO STDOUT (FORMAT csv, HEADER)",
        "COPY people (id, name) TO STDOUT (FORMAT binary)",
        "COPY (SELECT FROM plain WHERE false) TO STDOUT (FORMAT binary)",
    ];
    for (rows_max, is_whole) in [(4, true), (3, false)] {
        house.policy.swap(masks(
            &rows_max.to_string(),
            &[("ssn", Transform::Redact)],
            Some(rows_max),
        ));
        let mut raw = session(&house);
        for sql in &four[..5] {
            let found = copied(&mut raw, &query(sql));
            match found {
                Ok((_, tag)) => assert!(is_whole && tag.starts_with("COPY 4"), "{sql}: {tag}"),
                Err(error) => assert!(!is_whole && error.contains("54000"), "{sql}: {error}"),
            }
            assert_eq!(raw.send(&query("SELECT 1")).answer(), "1 I");
        }
        copied(&mut raw, &query(four[5])).unwrap();
    }
    let records = house.stop();
    assert!(!records.contains("000-00-"));
}
