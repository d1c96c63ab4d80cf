//! The catalog's stamp: every sort of change that could change what a statement means changes it, and nothing else is read
//! while it stays.

use std::collections::BTreeSet;

use provost_engine::catalog::{CATALOG_QUERY, Catalog, OUTLINE_QUERY, STAMP_QUERY, for_views};

use crate::support::{House, Person, succeeded};

/// What one stamp and one reading leave in the server's log, once each.
const STAMP_LINE: &str = "array_agg(xmin), 0), 0) FROM pg_catalog.pg_namespace)";
const CATALOG_LINE: &str = "fixed AS MATERIALIZED (";
const DEFINITIONS_LINE: &str = "SET TRANSACTION ISOLATION LEVEL READ COMMITTED;";

/// Each follows on those before it.
const CHANGES: &[&str] = &[
    // Schemas.
    "CREATE SCHEMA other",
    "ALTER SCHEMA other RENAME TO another",
    "DROP SCHEMA another",
    "CREATE SCHEMA other",
    // Tables and columns.
    "CREATE TABLE things (id int, note text)",
    "ALTER TABLE things RENAME TO matters",
    "ALTER TABLE matters SET SCHEMA other",
    "ALTER TABLE other.matters SET SCHEMA public",
    "ALTER TABLE matters ADD COLUMN ssn text",
    "ALTER TABLE matters RENAME COLUMN ssn TO secret",
    "ALTER TABLE matters ALTER COLUMN secret TYPE varchar(20)",
    "ALTER TABLE matters ALTER COLUMN secret SET NOT NULL",
    "ALTER TABLE matters ALTER COLUMN secret SET DEFAULT lower('A')",
    "ALTER TABLE matters ALTER COLUMN secret SET DEFAULT lower('B')",
    "ALTER TABLE matters ALTER COLUMN secret DROP DEFAULT",
    "ALTER TABLE matters DROP COLUMN secret",
    "ALTER TABLE matters ADD COLUMN big text GENERATED ALWAYS AS (upper(note)) STORED",
    "ALTER TABLE matters ALTER COLUMN id SET NOT NULL",
    "ALTER TABLE matters ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY",
    "CREATE SEQUENCE counted",
    "CREATE TABLE heirs () INHERITS (matters)",
    "ALTER TABLE heirs NO INHERIT matters",
    "CREATE TABLE parted (id int, at date) PARTITION BY RANGE (at)",
    "CREATE TABLE part PARTITION OF parted FOR VALUES FROM ('2020-01-01') TO ('2021-01-01')",
    "ALTER TABLE parted DETACH PARTITION part",
    // Keys and constraints.
    "ALTER TABLE matters ADD PRIMARY KEY (id)",
    "ALTER TABLE matters ADD CONSTRAINT short CHECK (length(note) < 9)",
    "ALTER TABLE matters DROP CONSTRAINT short",
    "ALTER TABLE heirs ADD FOREIGN KEY (id) REFERENCES matters ON DELETE CASCADE",
    "CREATE INDEX by_note ON matters (lower(note))",
    "ALTER INDEX by_note RENAME TO by_lower_note",
    "DROP INDEX by_lower_note",
    // Views and rules.
    "CREATE VIEW shown AS SELECT id FROM matters",
    "CREATE OR REPLACE VIEW shown AS SELECT id + 1 AS id FROM matters",
    "CREATE OR REPLACE VIEW shown AS SELECT id + 2 AS id FROM matters",
    "CREATE MATERIALIZED VIEW kept AS SELECT note FROM matters",
    "CREATE RULE copied AS ON INSERT TO heirs DO ALSO INSERT INTO parted VALUES (NEW.id)",
    "ALTER TABLE heirs DISABLE RULE copied",
    "DROP RULE copied ON heirs",
    // Functions.
    "CREATE FUNCTION twice(a int) RETURNS int LANGUAGE sql AS 'SELECT a * 2'",
    "CREATE OR REPLACE FUNCTION twice(a int) RETURNS int LANGUAGE sql AS 'SELECT a + a'",
    "ALTER FUNCTION twice IMMUTABLE",
    "ALTER FUNCTION twice SECURITY DEFINER",
    "ALTER FUNCTION twice SET search_path = other",
    "ALTER FUNCTION twice RENAME TO double",
    "CREATE PROCEDURE tidy() LANGUAGE sql AS 'DELETE FROM heirs'",
    "CREATE AGGREGATE longest(text) (SFUNC = textcat, STYPE = text)",
    "DROP PROCEDURE tidy",
    // Triggers.
    "CREATE FUNCTION changed() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'",
    "CREATE TRIGGER watched BEFORE UPDATE ON matters FOR EACH ROW EXECUTE FUNCTION changed()",
    "ALTER TABLE matters DISABLE TRIGGER watched",
    "ALTER TABLE matters ENABLE ALWAYS TRIGGER watched",
    "DROP TRIGGER watched ON matters",
    "CREATE FUNCTION ended() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END'",
    "CREATE EVENT TRIGGER noticed ON ddl_command_end EXECUTE FUNCTION ended()",
    "ALTER EVENT TRIGGER noticed DISABLE",
    "DROP EVENT TRIGGER noticed",
    // Row-level security, and the roles it names.
    "CREATE ROLE clerk",
    "CREATE POLICY own ON matters TO clerk USING (id > 0)",
    "ALTER POLICY own ON matters USING (id > 1)",
    "ALTER TABLE matters ENABLE ROW LEVEL SECURITY",
    "ALTER TABLE matters FORCE ROW LEVEL SECURITY",
    "ALTER ROLE clerk RENAME TO teller",
    "DROP POLICY own ON matters",
    "DROP ROLE teller",
    // Types, operators, casts, collations.
    "CREATE TYPE state AS ENUM ('open', 'closed')",
    "CREATE TYPE pair AS (a int, b text)",
    "ALTER TYPE pair ADD ATTRIBUTE c int",
    "ALTER TYPE pair RENAME TO triple",
    "CREATE TYPE span AS RANGE (subtype = int)",
    "CREATE DOMAIN code AS text",
    "ALTER DOMAIN code ADD CONSTRAINT code_short CHECK (length(VALUE) < 9)",
    "ALTER DOMAIN code DROP CONSTRAINT code_short",
    "ALTER DOMAIN code SET NOT NULL",
    "CREATE FUNCTION alike(text, text) RETURNS boolean LANGUAGE sql AS 'SELECT true'",
    "CREATE OPERATOR === (LEFTARG = text, RIGHTARG = text, FUNCTION = alike)",
    "DROP OPERATOR === (text, text)",
    "CREATE FUNCTION number_of(triple) RETURNS int LANGUAGE sql AS 'SELECT 1'",
    "CREATE CAST (triple AS int) WITH FUNCTION number_of(triple) AS ASSIGNMENT",
    "DROP CAST (triple AS int)",
    "CREATE COLLATION exact FROM \"C\"",
    // Extensions, and what belongs to them.
    "ALTER EXTENSION plpgsql ADD FUNCTION double(int)",
    "ALTER EXTENSION plpgsql DROP FUNCTION double(int)",
    "DROP EXTENSION plpgsql CASCADE",
    "CREATE EXTENSION plpgsql",
];

/// Nothing that a statement's meaning depends on.
const NO_CHANGES: &[&str] = &[
    "UPDATE customers SET name = upper(name)",
    "BEGIN; DELETE FROM orders; ROLLBACK",
    "BEGIN; CREATE TABLE undone (id int); ROLLBACK",
    "ANALYZE customers",
    "SET search_path = hr; SELECT 1",
];

#[test]
fn every_change_changes_the_stamp() {
    let house = House::without_gateway();
    let run = |sql: &str| {
        let answer = house.cluster.execute("shop", sql);
        answer.unwrap_or_else(|error| panic!("{sql}: {error}"))
    };
    let stamp_after = |sql: &str| run(&format!("{sql}; BEGIN; {STAMP_QUERY}; ROLLBACK"));
    let mut before = stamp_after("SET jit = off");
    assert_eq!(stamp_after("SET jit = off"), before, "asked twice");
    for change in CHANGES {
        let after = stamp_after(change);
        assert_ne!(after, before, "{change}");
        before = after;
    }
    for no_change in NO_CHANGES {
        run(no_change);
        assert_eq!(stamp_after("SET jit = off"), before, "{no_change}");
    }
}

/// How often the gateway's keeper asked for the stamp and for the whole catalog.
fn readings(house: &House) -> (usize, usize) {
    let log = house.server_log();
    let count = |line: &str| log.matches(line).count();
    (count(STAMP_LINE), count(CATALOG_LINE))
}

#[test]
fn only_a_new_stamp_means_a_new_reading() {
    let mut house = House::without_gateway();
    house.write_config(|config| {
        config.replace("threads = 2", "threads = 2\ncatalog_age_max_ms = 200")
    });
    house.start_gateway();
    // Nothing changed, whatever rows did.
    for sql in NO_CHANGES {
        let answer = house.cluster.execute("shop", sql);
        answer.unwrap_or_else(|error| panic!("{sql}: {error}"));
        let (stamps, _) = readings(&house);
        house.wait_until("two more stamps", |house| readings(house).0 >= stamps + 2);
    }
    assert_eq!(readings(&house).1, 1);

    // A change is read once, and what it brought is known.
    let change = "CREATE TABLE arrived (id int); INSERT INTO arrived VALUES (42)";
    house.cluster.execute("shop", change).unwrap();
    house.wait_until("a reading", |house| readings(house).1 >= 2);
    let (stamps, _) = readings(&house);
    house.wait_until("two more stamps", |house| readings(house).0 >= stamps + 2);
    assert_eq!(readings(&house).1, 2);
    let said = succeeded(house.psql(Person::Dba, &["--tuples-only"], "SELECT id FROM arrived;"));
    assert_eq!(said.trim(), "42");

    // Rows that are written again as they were: read, but no new version of the catalog.
    let same = "ALTER TABLE arrived ALTER COLUMN id SET STATISTICS 50";
    house.cluster.execute("shop", same).unwrap();
    house.wait_until("a reading", |house| readings(house).1 >= 3);
    house.stop_gateway();
    succeeded(house.verify());
    assert_eq!(
        house.count("SELECT count(*) FROM changes WHERE what = 'catalog-loaded'"),
        2
    );
}

#[test]
fn definitions_of_views_are_read_when_they_are_wanted() {
    let mut house = House::without_gateway();
    house.write_config(|config| {
        config.replace("threads = 2", "threads = 2\ncatalog_age_max_ms = 200")
    });
    let change = |house: &House, sql: &str| {
        let answer = house.cluster.execute("shop", sql);
        answer.unwrap_or_else(|error| panic!("{sql}: {error}"))
    };
    change(
        &house,
        "CREATE TABLE kept (id int, note text); INSERT INTO kept VALUES (42, 'seen'); \
         CREATE VIEW beneath AS SELECT id, note FROM kept; CREATE VIEW above AS SELECT note FROM beneath; \
         CREATE VIEW aside AS SELECT id FROM kept",
    );
    house.start_gateway();
    let read = |house: &House| house.server_log().matches(DEFINITIONS_LINE).count();
    let shows = |house: &House, sql: &str, expected: &str| {
        let said = succeeded(house.psql(Person::Dba, &["--tuples-only", "--quiet"], sql));
        assert_eq!(said.trim(), expected, "{sql}");
    };
    shows(&house, "SELECT id FROM kept;", "42");
    assert_eq!(read(&house), 0, "nobody wanted any");
    shows(&house, "SELECT note FROM above;", "seen");
    assert_eq!(read(&house), 1, "the views beneath come along");
    shows(&house, "SELECT id FROM beneath;", "42");
    assert_eq!(read(&house), 1);
    // In a transaction, where the session itself sees nothing else than everybody.
    shows(&house, "BEGIN; SELECT id FROM aside; COMMIT;", "42");
    assert_eq!(read(&house), 2);

    // What was wanted once is read again where something is called otherwise now, and only there.
    let changed = |sql: &str| {
        let readings_before = readings(&house).1;
        change(&house, sql);
        house.wait_until("a reading", |house| readings(house).1 > readings_before);
        let (stamps, _) = readings(&house);
        house.wait_until("another stamp", |house| readings(house).0 > stamps);
    };
    changed("CREATE TABLE elsewhere (id int)");
    shows(&house, "SELECT note FROM above;", "seen");
    assert_eq!(read(&house), 2);
    changed("ALTER TABLE kept RENAME COLUMN note TO remark");
    shows(&house, "SELECT note FROM above;", "seen");
    assert_eq!(read(&house), 3);
    // A view that is another one now.
    change(
        &house,
        "CREATE OR REPLACE VIEW aside AS SELECT id + 1 AS id FROM kept; CREATE VIEW late AS SELECT id FROM aside",
    );
    shows(&house, "SELECT id FROM late;", "43");
    house.stop_gateway();
    succeeded(house.verify());
}

/// Views over everything that a definition's text can call by name.
const VIEWS: &str = "
CREATE SCHEMA aside;
CREATE TYPE aside.mood AS ENUM ('calm');
CREATE TYPE aside.place AS (street text, town text);
CREATE DOMAIN aside.short AS text;
CREATE TABLE aside.people (id int PRIMARY KEY, name text, home aside.place, mood aside.mood, nick aside.short);
CREATE TABLE aside.notes (id int, person int, said text);
CREATE SEQUENCE aside.counter;
CREATE FUNCTION aside.loud(text) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT upper($1)';
CREATE FUNCTION aside.all_notes() RETURNS SETOF aside.notes LANGUAGE sql STABLE AS 'SELECT * FROM aside.notes';
CREATE OPERATOR aside.=== (LEFTARG = text, RIGHTARG = text, FUNCTION = texteq);
CREATE COLLATION aside.exact FROM \"C\";
CREATE VIEW plain AS SELECT id, name FROM aside.people;
CREATE VIEW over_plain AS SELECT name FROM plain;
CREATE VIEW joined AS SELECT p.id, n.said FROM aside.people AS p JOIN aside.notes AS n USING (id);
CREATE VIEW calls AS SELECT aside.loud(name) AS loud FROM aside.people;
CREATE VIEW from_function AS SELECT x.said FROM aside.all_notes() AS x;
CREATE VIEW whole_function AS SELECT * FROM aside.all_notes();
CREATE VIEW fields AS SELECT (home).town AS town FROM aside.people;
CREATE VIEW casts AS SELECT name::aside.short AS short, ARRAY[name]::aside.short[] AS shorts, NULL::aside.people AS person FROM aside.people;
CREATE VIEW operates AS SELECT id FROM aside.people WHERE name OPERATOR(aside.===) 'x';
CREATE VIEW labelled AS SELECT id FROM aside.people WHERE mood = 'calm';
CREATE VIEW collated AS SELECT id FROM aside.people ORDER BY name COLLATE aside.exact;
CREATE VIEW counts AS SELECT nextval('aside.counter') AS n;
CREATE VIEW grouped AS SELECT p.name, count(*) AS n FROM aside.people AS p GROUP BY p.id;
CREATE MATERIALIZED VIEW stored AS SELECT name FROM over_plain;
CREATE TYPE aside.item AS (what text);
CREATE TABLE aside.orders (id int PRIMARY KEY, items aside.item[]);
CREATE VIEW empty_array AS SELECT COALESCE(array_agg(o.items[1]), ARRAY[]::aside.item[]) AS items FROM aside.orders AS o;
CREATE VIEW whole_row AS SELECT u FROM aside.orders AS o, unnest(o.items) AS u;
CREATE VIEW sizes AS SELECT pg_relation_size('aside.orders_pkey'::regclass) AS bytes;
CREATE VIEW by_itself AS SELECT 1 AS one;
";

/// Each follows on those before it.
const RENAMES: &[&str] = &[
    "ALTER TABLE aside.people RENAME COLUMN name TO called; ALTER TYPE aside.mood RENAME VALUE 'calm' TO 'quiet'",
    "ALTER TABLE aside.people RENAME TO folk; ALTER TABLE aside.notes ADD COLUMN called text",
    "ALTER TABLE aside.notes RENAME COLUMN said TO spoken; ALTER FUNCTION aside.loud(text) RENAME TO cry",
    "ALTER VIEW plain RENAME COLUMN name TO label; ALTER OPERATOR aside.=== (text, text) SET SCHEMA public",
    "ALTER VIEW plain RENAME TO simple; ALTER TYPE aside.place RENAME ATTRIBUTE town TO city CASCADE",
    "ALTER MATERIALIZED VIEW stored RENAME COLUMN name TO label; ALTER DOMAIN aside.short RENAME TO brief",
    "ALTER FUNCTION aside.cry(text) SET SCHEMA public; ALTER TYPE aside.place RENAME TO location",
    "ALTER COLLATION aside.exact RENAME TO precise; ALTER SEQUENCE aside.counter RENAME TO meter",
    "ALTER TABLE aside.folk SET SCHEMA public; ALTER TYPE aside.mood RENAME TO temper",
    "ALTER TYPE aside.item RENAME TO thing; ALTER INDEX aside.orders_pkey RENAME TO orders_key",
    "ALTER SCHEMA aside RENAME TO beside",
    // Two that take each other's name.
    "BEGIN; ALTER TABLE folk RENAME TO other; ALTER TABLE beside.notes SET SCHEMA public; ALTER TABLE notes RENAME TO folk; COMMIT",
    "CREATE OR REPLACE VIEW by_itself AS SELECT 2 AS one",
    "CREATE TABLE new_one (id int)",
];

/// What is taken along from one catalog to the next is what the server would say now, whatever got another name; and what has the
/// same names is taken along.
#[test]
fn definitions_that_are_taken_along_are_the_servers() {
    let house = House::without_gateway();
    let run = |sql: &str| {
        let answer = house.cluster.execute("shop", sql);
        answer.unwrap_or_else(|error| panic!("{sql}: {error}"))
    };
    let ask = |sql: &str| run(sql).trim_end_matches('\n').as_bytes().to_vec();
    let views = || -> BTreeSet<u32> {
        let oids = run("SELECT oid FROM pg_class WHERE relkind IN ('v', 'm') AND oid >= 16384");
        oids.lines().map(|oid| oid.parse().unwrap()).collect()
    };
    let define = |outline: &Catalog| {
        let question = for_views(&views());
        let parts: Vec<&str> = question.split(";\n").collect();
        let [settings, rows @ ..] = &parts[..] else {
            panic!("{question}");
        };
        let rows = rows
            .iter()
            .map(|row| ask(&format!("BEGIN; {settings}; {row}; COMMIT")));
        let rows: Vec<Vec<u8>> = rows.collect();
        let defined = outline.with_definitions(&rows).unwrap();
        assert_eq!(defined.defined(), views());
        defined
    };
    run(VIEWS);
    let read = |question: &str| Catalog::from_answer(&ask(question)).unwrap();
    let mut defined = define(&read(OUTLINE_QUERY));
    let mut whole = read(CATALOG_QUERY);
    for change in RENAMES {
        run(change);
        let earlier = std::mem::replace(&mut whole, read(CATALOG_QUERY));
        let outline = read(OUTLINE_QUERY);
        assert!(outline.defined().is_empty());
        let taken = outline.clone().with_definitions_of(&defined);
        let mut others = Vec::new();
        for view in views() {
            let name = &whole.relation(view).unwrap().name;
            let text = |catalog: &Catalog| catalog.relation(view).unwrap().definition.clone();
            let kept = text(&taken);
            assert!(kept.is_none() || kept == text(&whole), "{change}: {name}");
            if kept.is_none() && text(&earlier) == text(&whole) {
                others.push(&**name);
            }
        }
        // Of a label, a collation, an index and what sorts by itself no catalog tells.
        others.sort_unstable();
        if change.starts_with("CREATE") {
            assert_eq!(
                others,
                ["collated", "labelled", "operates", "sizes"],
                "{change}"
            );
        }
        defined = define(&outline);
        assert_eq!(defined.version(), whole.version(), "{change}");
    }
}

/// Who locks a table at once or not at all finds it free, however often the catalog is read.
#[test]
fn a_reading_locks_nothing_that_views_read() {
    let mut house = House::without_gateway();
    house.write_config(|config| {
        config.replace("threads = 2", "threads = 2\ncatalog_age_max_ms = 100")
    });
    let views: String = (0..200)
        .map(|number| format!("CREATE VIEW seen_{number} AS SELECT id FROM kept;"))
        .collect();
    let made = format!("CREATE TABLE kept (id int); CREATE TABLE changed (id int); {views}");
    house.cluster.execute("shop", &made).unwrap();
    house.start_gateway();
    let asks: String = (0..200)
        .map(|number| format!("SELECT id FROM seen_{number};"))
        .collect();
    succeeded(house.psql(Person::Dba, &["--tuples-only"], &asks));
    let before = readings(&house).1;
    for number in 0..40 {
        let sql = format!(
            "ALTER TABLE changed RENAME TO changing; ALTER TABLE changing RENAME TO changed; {}",
            "BEGIN; LOCK TABLE kept IN ACCESS EXCLUSIVE MODE NOWAIT; ROLLBACK; SELECT pg_sleep(0.002);".repeat(10)
        );
        let said = house.cluster.execute("shop", &sql);
        said.unwrap_or_else(|error| panic!("{number}: {error}"));
    }
    let read = readings(&house).1 - before;
    assert!(read > 10, "{read}");
    house.stop_gateway();
}
