//! Objects made to carry a value out, and code that runs elsewhere.

use super::{Draft, Maker};

pub(super) fn create_as(maker: &mut Maker<'_>) -> Draft {
    let query = maker.query(&[]).sql;
    let create = match maker.random.below(9) {
        0 => format!("CREATE TABLE loot AS {query}"),
        1 => format!("CREATE TEMP TABLE loot AS {query}"),
        2 => format!("CREATE UNLOGGED TABLE loot AS {query} WITH DATA"),
        3 => "SELECT secret_text, secret_int INTO loot FROM people".to_owned(),
        4 => "SELECT * INTO TEMP loot FROM people".to_owned(),
        5 => format!("CREATE VIEW loot AS {query}"),
        6 => format!("CREATE TEMP VIEW loot AS {query}"),
        7 => format!("CREATE MATERIALIZED VIEW loot AS {query}"),
        _ => format!("CREATE TABLE IF NOT EXISTS loot AS {query} WITH NO DATA"),
    };
    let look = maker.random.word(&[
        "SELECT * FROM loot",
        "TABLE loot",
        "SELECT loot::text FROM loot",
        "COPY loot TO STDOUT",
    ]);
    let end = maker
        .random
        .word(&["DROP TABLE IF EXISTS loot", "SELECT count(*) FROM loot"]);
    Draft::of([create, look.to_owned(), end.to_owned()])
}

pub(super) fn definition(maker: &mut Maker<'_>) -> Draft {
    let (define, look) = *maker.random.pick(&[
        ("CREATE FUNCTION loot_fn() RETURNS text LANGUAGE sql AS 'SELECT secret_text FROM people LIMIT 1'", "SELECT loot_fn()"),
        ("CREATE FUNCTION loot_fn() RETURNS SETOF people LANGUAGE sql BEGIN ATOMIC SELECT * FROM people; END", "SELECT (loot_fn()).secret_text"),
        ("CREATE FUNCTION pg_temp.loot_fn() RETURNS text LANGUAGE sql AS 'SELECT secret_text FROM people LIMIT 1'", "SELECT pg_temp.loot_fn()"),
        ("CREATE FUNCTION loot_fn() RETURNS text LANGUAGE plpgsql AS $$ BEGIN RETURN (SELECT secret_text FROM people LIMIT 1); END $$", "SELECT * FROM loot_fn()"),
        ("CREATE OR REPLACE FUNCTION shade.upper(text) RETURNS text LANGUAGE sql AS 'SELECT secret_text FROM public.people LIMIT 1'", "SELECT shade.upper('a')"),
        ("CREATE RULE loot AS ON INSERT TO counters DO INSTEAD SELECT secret_text FROM people", "INSERT INTO counters (id) VALUES (1)"),
        ("CREATE RULE \"_RETURN\" AS ON SELECT TO counters DO INSTEAD SELECT id, secret_int, secret_text FROM people", "SELECT * FROM counters"),
        ("CREATE TRIGGER loot BEFORE INSERT ON inbox FOR EACH ROW EXECUTE FUNCTION fill_mailbox()", "INSERT INTO inbox (any_text) VALUES ('x') RETURNING *"),
        ("CREATE TABLE loot (a text DEFAULT first_secret())", "INSERT INTO loot DEFAULT VALUES RETURNING a"),
        ("CREATE TABLE loot (LIKE people INCLUDING ALL)", "SELECT * FROM loot"),
        ("CREATE TABLE loot () INHERITS (people)", "SELECT secret_text FROM loot"),
        ("CREATE TABLE loot (a text GENERATED ALWAYS AS (upper('x')) STORED)", "SELECT * FROM loot"),
        ("CREATE AGGREGATE loot_agg (integer) (sfunc = collected, stype = text)", "SELECT loot_agg(id) FROM people"),
        ("CREATE OPERATOR @## (rightarg = integer, function = secret_of)", "SELECT @## 1"),
        ("CREATE CAST (text AS pair) WITH INOUT", "SELECT secret_text::pair FROM people"),
        ("CREATE DOMAIN loot AS text CHECK (VALUE <> (noticed(1))::text)", "SELECT 'x'::loot"),
        ("CREATE POLICY loot ON counters USING (label > first_secret())", "SELECT * FROM counters"),
        ("CREATE INDEX loot ON people ((1 / (ascii(secret_text) - 100)))", "SELECT 1"),
        ("CREATE STATISTICS loot (mcv) ON secret_int, secret_bigint FROM people", "ANALYZE people"),
        ("CREATE FOREIGN DATA WRAPPER loot", "SELECT 1"),
        ("CREATE EXTENSION dblink", "SELECT * FROM dblink('', 'SELECT secret_text FROM people') AS t (a text)"),
        ("CREATE PUBLICATION loot FOR TABLE people", "SELECT 1"),
        ("CREATE EVENT TRIGGER loot ON ddl_command_end EXECUTE FUNCTION fill_mailbox()", "SELECT 1"),
        ("CREATE SCHEMA loot_schema CREATE VIEW loot AS SELECT * FROM public.people", "SELECT * FROM loot_schema.loot"),
        ("CREATE VIEW loot_view AS SELECT secret_text AS a FROM people", "SELECT a FROM loot_view"),
        ("CREATE OR REPLACE VIEW people_plain AS SELECT id, secret_text AS name, city FROM people", "SELECT name FROM people_plain"),
        ("CREATE RECURSIVE VIEW loot_view (a) AS SELECT secret_text FROM people", "SELECT a FROM loot_view"),
        ("CREATE SEQUENCE loot_seq START 5", "SELECT setval('loot_seq', (SELECT secret_bigint FROM people LIMIT 1))"),
        ("COMMENT ON TABLE people IS 'x'", "SELECT obj_description('people'::regclass)"),
        ("GRANT SELECT ON people TO PUBLIC", "SELECT secret_text FROM people"),
        ("CREATE ROLE loot SUPERUSER LOGIN", "SET ROLE loot"),
    ]);
    Draft::of([define.to_owned(), look.to_owned()])
}

pub(super) fn alteration(maker: &mut Maker<'_>) -> Draft {
    let (alter, look) = *maker.random.pick(&[
        ("ALTER TABLE people RENAME secret_text TO plain_text", "SELECT plain_text FROM people"),
        ("ALTER TABLE people RENAME TO folks", "SELECT secret_text FROM folks"),
        ("ALTER TABLE people SET SCHEMA shade", "SELECT secret_text FROM shade.people"),
        ("ALTER SCHEMA vault RENAME TO open", "SELECT secret_key FROM open.keys"),
        ("ALTER TABLE people ADD COLUMN loot text GENERATED ALWAYS AS (upper(secret_varchar)) STORED", "SELECT loot FROM people"),
        ("ALTER TABLE people ADD COLUMN loot text DEFAULT first_secret()", "SELECT loot FROM people"),
        ("ALTER TABLE counters ALTER label SET DEFAULT first_secret()", "INSERT INTO counters (id) VALUES (97) RETURNING label"),
        ("ALTER TABLE people ALTER name TYPE text USING secret_text", "SELECT name FROM people"),
        ("ALTER TABLE people ALTER secret_text TYPE integer USING 1 / (ascii(secret_text) - 100)", "SELECT 1"),
        ("ALTER TABLE parcels DETACH PARTITION parcels_old", "SELECT secret_address FROM parcels_old"),
        ("ALTER TABLE parcels_old RENAME secret_address TO address", "SELECT address FROM parcels_old"),
        ("ALTER TABLE staff NO INHERIT persons", "SELECT secret_code FROM staff"),
        ("ALTER VIEW people_plain RENAME TO loot_view", "SELECT * FROM loot_view"),
        ("ALTER VIEW people_view RENAME code TO name_2", "SELECT name_2 FROM people_view"),
        ("ALTER FUNCTION first_secret() RENAME TO loot_fn", "SELECT loot_fn()"),
        ("ALTER TABLE counters ADD CHECK (label <> first_secret())", "SELECT 1"),
        ("ALTER TABLE counters ENABLE RULE loot", "SELECT 1"),
        ("ALTER TYPE pair ADD ATTRIBUTE more text", "SELECT secret_pair FROM people"),
        ("ALTER ROLE postgres SET search_path = shade", "SELECT 1"),
        ("ALTER SYSTEM SET log_statement = 'all'", "SELECT 1"),
        ("ALTER DATABASE \"left\" SET bytea_output = 'escape'", "SELECT 1"),
        ("CLUSTER people USING people_secret_text_key", "SELECT id FROM people"),
        ("VACUUM FULL people", "SELECT ctid, secret_text FROM people"),
        ("ANALYZE people", "SELECT most_common_vals FROM pg_stats"),
        ("REFRESH MATERIALIZED VIEW people_copy", "SELECT code FROM people_copy"),
        ("REINDEX TABLE people", "SELECT 1"),
        ("LOCK TABLE people IN ACCESS SHARE MODE", "SELECT secret_text FROM people"),
        ("TRUNCATE inbox", "SELECT * FROM inbox"),
        ("SECURITY LABEL ON TABLE people IS 'x'", "SELECT 1"),
    ]);
    Draft::of([alter.to_owned(), look.to_owned()])
}

pub(super) fn block(maker: &mut Maker<'_>) -> Draft {
    let body = maker.random.word(&[
        "RAISE NOTICE '%', (SELECT secret_text FROM people LIMIT 1);",
        "RAISE EXCEPTION '%', (SELECT secret_text FROM people LIMIT 1);",
        "RAISE WARNING USING MESSAGE = (SELECT secret_uuid FROM people LIMIT 1), DETAIL = 'd';",
        "INSERT INTO inbox (any_text) SELECT secret_text FROM people;",
        "PERFORM set_config('leak.kept', (SELECT secret_text FROM people LIMIT 1), false);",
        "PERFORM pg_notify('c', (SELECT secret_text FROM people LIMIT 1));",
        "EXECUTE 'CREATE TABLE loot AS SELECT * FROM people';",
        "IF (SELECT secret_text FROM people LIMIT 1) > 'm' THEN RAISE NOTICE 'yes'; END IF;",
        "UPDATE counters SET label = (SELECT secret_text FROM people LIMIT 1) WHERE id = 1;",
        "ASSERT false, (SELECT secret_text FROM people LIMIT 1);",
        "NULL;",
    ]);
    let look = maker.random.word(&[
        "SELECT any_text FROM inbox",
        "SHOW leak.kept",
        "SELECT current_setting('leak.kept', true)",
        "SELECT * FROM loot",
        "SELECT label FROM counters",
    ]);
    let quoted = maker.random.word(&["$$", "$x$", "$BODY$"]);
    Draft::of([
        format!("DO {quoted} BEGIN {body} END {quoted}"),
        look.to_owned(),
    ])
}

pub(super) fn call(maker: &mut Maker<'_>) -> Draft {
    Draft::of([
        maker
            .random
            .word(&[
                "CALL tell()",
                "CALL public.stash()",
                "CALL stash()",
                "CALL shade.upper('x')",
            ])
            .to_owned(),
        "SELECT any_text FROM inbox".to_owned(),
    ])
}

pub(super) fn large_object(maker: &mut Maker<'_>) -> Draft {
    Draft::of([
        maker
            .random
            .word(&[
                "SELECT lo_from_bytea(424242, secret_bytes) FROM people WHERE id = 1",
                "SELECT lo_put(424242, 0, secret_bytes) FROM people",
                "SELECT lo_create(424242)",
                "SELECT lo_import('/etc/hostname')",
            ])
            .to_owned(),
        maker
            .random
            .word(&[
                "SELECT lo_get(424242)",
                "SELECT data FROM pg_largeobject",
                "SELECT loread(lo_open(424242, 262144), 100)",
                "SELECT lo_unlink(424242)",
            ])
            .to_owned(),
    ])
}
