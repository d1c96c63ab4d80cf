//! Statements that write, and what a masked value could be written to.

use super::{Draft, Maker};
use crate::tables;

/// Where to look for what was stolen.
fn look(maker: &mut Maker<'_>) -> String {
    maker
        .random
        .word(&[
            "SELECT * FROM inbox",
            "TABLE inbox",
            "SELECT any_text, any_int, any_json FROM inbox",
            "SELECT city FROM people",
            "SELECT label FROM counters",
            "SELECT i::text FROM inbox AS i",
        ])
        .to_owned()
}

pub(super) fn insert_select(maker: &mut Maker<'_>) -> Draft {
    let (from, scope) = maker.from(&[]);
    let (made, column) = maker.for_sink(&scope);
    let condition = maker.condition(&scope);
    let returning = maker
        .random
        .word(&["", " RETURNING *", " RETURNING id, any_text"]);
    let look = look(maker);
    let with = maker.random.chance(20);
    let insert = if with {
        format!(
            "WITH w AS (SELECT {made} AS v FROM {from} WHERE {condition}) INSERT INTO inbox ({column}) SELECT v FROM w{returning}"
        )
    } else {
        format!(
            "INSERT INTO inbox ({column}) SELECT {made} FROM {from} WHERE {condition}{returning}"
        )
    };
    Draft::of([insert, look])
}

pub(super) fn insert_values(maker: &mut Maker<'_>) -> Draft {
    let (made, column) = maker.for_sink(&[]);
    let look = look(maker);
    let shape = maker.random.word(&[
        "INSERT INTO inbox ({k}) VALUES ({v}) RETURNING *",
        "INSERT INTO inbox (id, {k}) VALUES (900, NULL), (901, {v}) RETURNING {k}",
        "INSERT INTO inbox (any_text) VALUES ('x') RETURNING {v}",
        "INSERT INTO inbox (any_text) VALUES ('x') RETURNING id, (SELECT secret_text FROM people LIMIT 1)",
        "INSERT INTO counters (id, label) VALUES (50, ({v})::text)",
        "INSERT INTO people (id, name, city) VALUES (50, 'x', ({v})::text) RETURNING city",
        "INSERT INTO people (id, name, secret_text) VALUES (51, 'x', 'mine') RETURNING *",
        "INSERT INTO people (id, name) VALUES (52, 'x') RETURNING secret_text, shouted",
        "INSERT INTO people_view (id, name, code) VALUES (53, 'x', 'mine') RETURNING code",
        "INSERT INTO inbox DEFAULT VALUES RETURNING *, {v}",
    ]);
    Draft::of([shape.replace("{v}", &made).replace("{k}", column), look])
}

pub(super) fn update_from(maker: &mut Maker<'_>) -> Draft {
    let (from, scope) = maker.from(&[]);
    let (made, column) = maker.for_sink(&scope);
    let look = look(maker);
    let shape = maker.random.word(&[
        "UPDATE inbox SET {k} = (SELECT {v} FROM {f} LIMIT 1)",
        "UPDATE inbox SET {k} = {v} FROM {f}",
        "UPDATE inbox SET ({k}, any_flag) = (SELECT {v}, true FROM {f} LIMIT 1) RETURNING *",
        "UPDATE inbox SET ({k}) = ROW((SELECT {v} FROM {f} LIMIT 1))",
        "UPDATE inbox AS i SET any_text = i.any_text || (SELECT ({v})::text FROM {f} LIMIT 1) RETURNING i.*",
        "UPDATE inbox SET any_list[1] = (SELECT ({v})::text FROM {f} LIMIT 1) RETURNING any_list",
        "UPDATE inbox SET any_pair.label = (SELECT ({v})::text FROM {f} LIMIT 1) RETURNING any_pair",
        "UPDATE people SET city = secret_text RETURNING city",
        "UPDATE people SET name = upper(secret_varchar) WHERE id = 1",
        "UPDATE people SET name = p.name || p.secret_char FROM people AS p WHERE p.id = people.id RETURNING people.name",
        "UPDATE people SET born = secret_int",
        "UPDATE people SET secret_text = secret_varchar RETURNING *",
        "UPDATE people SET secret_text = name WHERE id = 1 RETURNING secret_text",
        "UPDATE people SET secret_varchar = secret_text WHERE id = 1 RETURNING id",
        "UPDATE accounts SET note = (SELECT secret_text FROM people WHERE people.id = owner_id)",
        "UPDATE accounts SET note = secret_iban RETURNING note",
        "UPDATE counters SET hits = CASE WHEN (SELECT secret_int FROM people WHERE id = 1) > 2120000000 THEN 1 ELSE 0 END RETURNING hits",
        "UPDATE counters SET hits = DEFAULT, label = (SELECT min(secret_text) FROM people)",
        "UPDATE parcels SET weight = length(secret_address) RETURNING weight",
        "UPDATE people_view SET city = code",
        "WITH w AS (UPDATE people SET city = secret_text RETURNING city) SELECT * FROM w",
        "WITH w AS (SELECT secret_text AS s FROM people WHERE id = 1) UPDATE inbox SET any_text = w.s FROM w RETURNING any_text",
    ]);
    Draft::of([
        shape
            .replace("{v}", &made)
            .replace("{k}", column)
            .replace("{f}", &from),
        look,
    ])
}

pub(super) fn returning(maker: &mut Maker<'_>) -> Draft {
    let (column, _) = maker.secret_column();
    let shape = maker.random.word(&[
        "UPDATE people SET born = 1 RETURNING {c}",
        "UPDATE people SET born = 1 WHERE id = 1 RETURNING *",
        "UPDATE people AS p SET born = 1 RETURNING p, p.*, p.{c}::text",
        "UPDATE people SET born = 1 RETURNING to_jsonb(people)",
        "UPDATE people SET born = born + 1 RETURNING people.{c}::text || ''",
        "UPDATE people SET born = 1 RETURNING (SELECT {c})",
        "UPDATE people SET born = 1 RETURNING CASE WHEN {c} IS NULL THEN 0 ELSE 1 END",
        "UPDATE counters SET hits = 1 FROM people AS p WHERE p.id = counters.id RETURNING p.{c}, counters.*",
        "DELETE FROM accounts RETURNING *",
        "DELETE FROM accounts WHERE id = 1 RETURNING secret_iban",
        "DELETE FROM counters USING people AS p WHERE p.id = counters.id RETURNING p.{c}",
        "DELETE FROM people WHERE id = 4 RETURNING {c}",
        "DELETE FROM parcels RETURNING secret_address, tableoid::regclass",
        "DELETE FROM persons RETURNING *",
        "INSERT INTO people (id, name) SELECT id + 100, name FROM people RETURNING {c}",
        "INSERT INTO people (id, name, secret_varchar) VALUES (60, 'x', 'y') ON CONFLICT (id) DO UPDATE SET name = 'z' RETURNING *",
        "INSERT INTO people (id, name) VALUES (1, 'x') ON CONFLICT (id) DO UPDATE SET city = 'z' RETURNING {c}",
        "INSERT INTO people (id, name) VALUES (1, 'x') ON CONFLICT (id) DO UPDATE SET city = people.{c}::text RETURNING city",
        "WITH d AS (DELETE FROM accounts RETURNING secret_iban) SELECT * FROM d",
        "WITH d AS (UPDATE people SET born = 2 RETURNING *) SELECT d.{c} FROM d",
        "WITH d AS (UPDATE people SET born = 2 RETURNING {c} AS x) INSERT INTO inbox (any_text) SELECT x::text FROM d RETURNING *",
    ]);
    Draft::one(shape.replace("{c}", column))
}

pub(super) fn merge(maker: &mut Maker<'_>) -> Draft {
    let (column, _) = maker.secret_column();
    let look = maker
        .random
        .word(&[
            "SELECT * FROM counters",
            "SELECT city FROM people",
            "SELECT any_text FROM inbox",
        ])
        .to_owned();
    let shape = maker.random.word(&[
        "MERGE INTO counters AS c USING people AS p ON p.id = c.id WHEN MATCHED THEN UPDATE SET label = p.{c}::text",
        "MERGE INTO inbox AS i USING people AS p ON p.id = i.id WHEN NOT MATCHED THEN INSERT (any_text) VALUES (p.{c}::text)",
        "MERGE INTO counters AS c USING people AS p ON p.id = c.id WHEN MATCHED AND p.{c}::text > 'm' THEN DELETE",
        "MERGE INTO counters AS c USING people AS p ON p.id = c.id AND p.{c}::text > 'm' WHEN MATCHED THEN UPDATE SET hits = 7",
        "MERGE INTO people AS p USING counters AS c ON p.id = c.id WHEN MATCHED THEN UPDATE SET city = p.{c}::text",
        "MERGE INTO people AS p USING counters AS c ON p.id = c.id WHEN MATCHED THEN UPDATE SET city = c.label",
        "MERGE INTO counters AS c USING (SELECT id, {c} AS s FROM people) AS p ON p.id = c.id WHEN MATCHED THEN UPDATE SET label = p.s::text WHEN NOT MATCHED THEN DO NOTHING",
        "WITH p AS (SELECT id, {c} AS s FROM people) MERGE INTO counters AS c USING p ON p.id = c.id WHEN MATCHED THEN UPDATE SET label = p.s::text",
        "MERGE INTO counters AS c USING people_view AS v ON v.id = c.id WHEN MATCHED THEN UPDATE SET label = v.code",
    ]);
    Draft::of([shape.replace("{c}", column), look])
}

/// Honest writes: they must run, and show nothing.
pub(super) fn open_write(maker: &mut Maker<'_>) -> Draft {
    let look = look(maker);
    Draft::of([
        maker
            .random
            .word(&[
                "INSERT INTO inbox (any_text, any_int) VALUES ('a', 1), ('b', 2) RETURNING *",
                "INSERT INTO inbox (any_text) SELECT name FROM people RETURNING id, any_text",
                "UPDATE people SET city = name WHERE id = 1 RETURNING id, name, city",
                "UPDATE people SET born = born + 1",
                "UPDATE counters SET hits = hits + 1 WHERE id IN (1, 2) RETURNING *",
                "DELETE FROM counters WHERE id = 3",
                "INSERT INTO counters (id, label) VALUES (90, 'n') ON CONFLICT (id) DO NOTHING",
                "INSERT INTO counters (id, hits) VALUES (1, 5) ON CONFLICT (id) DO UPDATE SET hits = excluded.hits RETURNING hits",
                "MERGE INTO counters AS c USING (VALUES (1, 9)) AS v (id, n) ON v.id = c.id WHEN MATCHED THEN UPDATE SET hits = v.n",
                "UPDATE parcels SET weight = 1 WHERE id = 1 RETURNING secret_address",
                "UPDATE parcels SET day = '2024-01-01' WHERE id = 2 RETURNING *",
                "UPDATE staff SET desk = 'x' RETURNING *",
                "UPDATE persons SET label = 'x' RETURNING *",
                "DELETE FROM accounts WHERE id = 2",
                "INSERT INTO accounts (id, owner_id) VALUES (70, 1) RETURNING *",
            ])
            .to_owned(),
        look,
    ])
}

/// Constraints whose errors print rows and keys, at once or at COMMIT.
pub(super) fn violation(maker: &mut Maker<'_>) -> Draft {
    let (column, _) = maker.secret_column();
    let shape = maker.random.word(&[
        "UPDATE people SET name = NULL",
        "UPDATE people SET name = NULL WHERE id = 2",
        "UPDATE people SET id = 1",
        "UPDATE people SET id = NULL RETURNING {c}",
        "INSERT INTO people (id, name) VALUES (1, 'x')",
        "INSERT INTO people SELECT * FROM people",
        "INSERT INTO people (id, name, secret_text) SELECT id + 200, name, secret_text FROM people",
        "UPDATE people SET secret_text = (SELECT secret_text FROM people WHERE id = 1)",
        "UPDATE people SET secret_text = (SELECT q.secret_text FROM people AS q WHERE q.id = people.id % 3 + 1)",
        "INSERT INTO links (id, secret_ref) SELECT 90, secret_varchar FROM people WHERE id = 1",
        "INSERT INTO links (id, secret_ref) VALUES (91, 'nobody')",
        "DELETE FROM people WHERE id = 1",
        "UPDATE people SET secret_text = 'new' WHERE id = 1",
        "INSERT INTO accounts (id, owner_id) VALUES (92, 4711)",
        "UPDATE accounts SET secret_limit = -secret_limit",
        "UPDATE accounts SET secret_limit = 0 WHERE id = 1",
        "UPDATE accounts SET note = NULL",
        "UPDATE accounts SET owner_id = 999",
        "UPDATE parcels SET day = '1999-01-01'",
        "UPDATE parcels_old SET day = '2026-01-01'",
        "INSERT INTO parcels (id, day, secret_address) SELECT id, '1999-01-01', secret_address FROM parcels",
        "UPDATE people SET secret_mail = secret_text::mail",
        "UPDATE people SET secret_mail = 'none'",
        "UPDATE people SET secret_varchar = repeat(secret_varchar, 9)",
        "UPDATE people SET secret_char = secret_char || secret_text",
        "UPDATE people SET city = secret_text::varchar(3)",
        "UPDATE counters SET label = 'same'",
        "UPDATE counters SET hits = -1",
        "UPDATE people SET secret_int = secret_bigint",
        "UPDATE people SET born = 3000000000",
        "INSERT INTO people (id, name, shouted) VALUES (93, 'x', 'y')",
        "INSERT INTO vault.keys SELECT * FROM vault.keys",
        "CREATE UNIQUE INDEX loot ON people ((length(secret_text)))",
        "ALTER TABLE people ADD CONSTRAINT loot CHECK (secret_int < 0)",
        "ALTER TABLE people ADD CONSTRAINT loot UNIQUE (name)",
        "ALTER TABLE people ALTER secret_text TYPE int USING secret_text::int",
    ]);
    let first = maker.random.word(&[
        "",
        "",
        "",
        "SET CONSTRAINTS ALL DEFERRED",
        "SET CONSTRAINTS ALL IMMEDIATE",
    ]);
    let statements = [first.to_owned(), shape.replace("{c}", column)];
    Draft::of(statements.into_iter().filter(|sql| !sql.is_empty()))
}

/// A value that is right on one side and wrong on the other: nothing may tell which.
pub(super) fn guess(maker: &mut Maker<'_>) -> Draft {
    let shape = maker.random.word(&[
        "SELECT id FROM people WHERE secret_text = {text}",
        "SELECT count(*) FROM people WHERE secret_int = {int}",
        "SELECT secret_uuid = {uuid} FROM people",
        "SELECT secret_text IN ('a', {text}) FROM people",
        "SELECT {text} = ANY (ARRAY[secret_text]) FROM people",
        "SELECT {text} IN (SELECT secret_text FROM people)",
        "SELECT EXISTS (SELECT 1 FROM people WHERE secret_date = {date})",
        "SELECT nullif(secret_text, {text}) FROM people",
        "SELECT nullif(secret_int, {int}) IS NULL FROM people",
        "SELECT coalesce(nullif(secret_text, {text}), name) FROM people",
        "SELECT CASE secret_text WHEN {text} THEN name END FROM people",
        "SELECT array_position(ARRAY[secret_text], {text}) FROM people",
        "SELECT strpos(secret_text, {text}) FROM people",
        "SELECT replace(secret_text, {text}, '') FROM people",
        "SELECT secret_text LIKE {text} FROM people",
        "SELECT secret_int BETWEEN {int} AND {int} FROM people",
        "SELECT 1 / (secret_int - {int}) FROM people",
        "SELECT id / (CASE WHEN secret_text = {text} THEN 0 ELSE 1 END) FROM people",
        "SELECT secret_text FROM people INTERSECT SELECT {text}",
        "SELECT {text} EXCEPT SELECT secret_text FROM people",
        "SELECT {text} UNION SELECT secret_text FROM people",
        "SELECT v.id FROM (VALUES (1, {text})) AS v (id, w) JOIN people ON secret_text = v.w",
        "SELECT v.id FROM (VALUES (1, {text})) AS v (id, secret_text) JOIN people USING (secret_text)",
        "SELECT count(*) FROM people NATURAL JOIN (SELECT {text}::text AS secret_text) AS s",
        "SELECT max(id) FILTER (WHERE secret_text = {text}) FROM people",
        "SELECT bool_or(secret_text = {text}) FROM people",
        "SELECT id FROM people GROUP BY id HAVING max(secret_text) = {text}",
        "SELECT row_number() OVER (ORDER BY secret_text = {text}), id FROM people",
        "SELECT name FROM people LIMIT (SELECT count(*) FROM people WHERE secret_text = {text})",
        "SELECT ROW(secret_text, id) = ROW({text}, id) FROM people",
        "SELECT (p).secret_text = {text} FROM people AS p",
        "SELECT to_jsonb(p) @> jsonb_build_object('secret_text', {text}::text) FROM people AS p",
        "INSERT INTO people (id, name, secret_text) VALUES (90, 'x', {text})",
        "INSERT INTO people (id, name, secret_text) VALUES (90, 'x', {text}) ON CONFLICT DO NOTHING RETURNING id",
        "INSERT INTO people (id, name, secret_text) VALUES (90, 'x', {text}) ON CONFLICT (secret_text) DO UPDATE SET name = 'y' RETURNING name",
        "INSERT INTO people (id, name, secret_text) SELECT 90, 'x', {text}",
        "UPDATE people SET secret_text = {text} WHERE id = 2",
        "UPDATE people SET secret_int = {int} WHERE id = 2 RETURNING id",
        "UPDATE people SET city = 'x' WHERE secret_text = {text} RETURNING id",
        "UPDATE people SET city = CASE WHEN secret_uuid = {uuid} THEN 'x' ELSE 'y' END RETURNING city",
        "INSERT INTO links (id, secret_ref, label) VALUES (90, {text}, 'x') RETURNING id",
        "UPDATE links SET secret_ref = {text} WHERE id = 1 RETURNING id",
        "DELETE FROM accounts WHERE owner_id IN (SELECT id FROM people WHERE secret_text = {text}) RETURNING id",
        "DELETE FROM people WHERE secret_date = {date} RETURNING id",
        "MERGE INTO counters AS c USING people AS p ON p.id = c.id AND p.secret_text = {text} WHEN MATCHED THEN UPDATE SET hits = 7",
        "MERGE INTO people AS p USING (VALUES ({text})) AS v (w) ON p.secret_text = v.w WHEN MATCHED THEN UPDATE SET city = 'x' WHEN NOT MATCHED THEN DO NOTHING",
        "INSERT INTO inbox (any_flag) SELECT secret_text = {text} FROM people RETURNING any_flag",
        "EXPLAIN SELECT id FROM people WHERE secret_text = {text}",
        "SELECT id FROM people_view WHERE code = {text}",
        "SELECT id FROM people_copy WHERE code = {text}",
        "SELECT id FROM people WHERE shouted = upper({text})",
        "COPY (SELECT id FROM people WHERE secret_text = {text}) TO STDOUT",
        "SELECT lag(id) OVER (PARTITION BY secret_text = {text} ORDER BY id) FROM people",
        "SELECT DISTINCT secret_text = {text} FROM people",
        "SELECT generate_series(1, CASE WHEN secret_text = {text} THEN 2 ELSE 1 END) FROM people",
        "SELECT secret_text COLLATE \"C\" = {text}, secret_text || '' = {text}, NOT secret_text <> {text} FROM people",
        "WITH RECURSIVE r AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM r WHERE n < (SELECT count(*) FROM people WHERE secret_text = {text}) + 1) SELECT * FROM r",
    ]);
    Draft::of([
        tables::with_guesses(shape),
        "SELECT count(*), sum(hits) FROM counters".to_owned(),
    ])
}

pub(super) fn conflict(maker: &mut Maker<'_>) -> Draft {
    let look = maker
        .random
        .word(&["SELECT * FROM counters", "SELECT city FROM people"])
        .to_owned();
    Draft::of([
        maker
            .random
            .word(&[
                "INSERT INTO people (id, name, secret_text) VALUES (80, 'x', 'guess') ON CONFLICT (secret_text) DO NOTHING",
                "INSERT INTO people (id, name, secret_text) VALUES (80, 'x', 'guess') ON CONFLICT DO NOTHING RETURNING id",
                "INSERT INTO people (id, name) VALUES (1, 'x') ON CONFLICT (id) DO UPDATE SET city = people.secret_text",
                "INSERT INTO people (id, name) VALUES (1, 'x') ON CONFLICT (id) DO UPDATE SET name = 'y' WHERE people.secret_text > 'm' RETURNING id",
                "INSERT INTO counters (id, label) SELECT id, secret_text FROM people ON CONFLICT (id) DO UPDATE SET label = excluded.label RETURNING label",
                "INSERT INTO counters (id) VALUES (1) ON CONFLICT (id) DO UPDATE SET label = (SELECT secret_text FROM people LIMIT 1)",
                "INSERT INTO counters (id, label) SELECT 95, secret_text FROM people ON CONFLICT DO NOTHING",
                "INSERT INTO counters (id, label) VALUES (96, 'Ada label') ON CONFLICT (label) DO UPDATE SET hits = 5",
            ])
            .to_owned(),
        look,
    ])
}

/// Triggers, defaults, rules and cascades that do more than the statement says.
pub(super) fn side_effect(maker: &mut Maker<'_>) -> Draft {
    let write = maker.random.word(&[
        "INSERT INTO mailbox (id) VALUES (1) RETURNING body",
        "INSERT INTO mailbox (id) VALUES (1), (2)",
        "INSERT INTO mailbox SELECT id, name FROM people RETURNING *",
        "INSERT INTO drop_box (id) VALUES (1) RETURNING body",
        "INSERT INTO drop_box (id, body) VALUES (2, DEFAULT)",
        "INSERT INTO drop_box (id, body) VALUES (3, 'x'); UPDATE drop_box SET body = DEFAULT RETURNING body",
        "INSERT INTO echo VALUES (1, 'x')",
        "INSERT INTO echo SELECT id, name FROM people",
        "UPDATE people_written SET name = 'x' WHERE id = 1",
        "DELETE FROM people WHERE id IN (4, 5, 6) RETURNING id",
        "INSERT INTO guarded VALUES (1, 'x')",
        "UPDATE mailbox SET body = 'x' RETURNING body",
        "COPY mailbox (id) FROM STDIN",
        "COPY drop_box (id) FROM STDIN",
    ]);
    let look = maker.random.word(&[
        "SELECT * FROM mailbox",
        "SELECT * FROM drop_box",
        "SELECT any_text FROM inbox",
        "SELECT city FROM people",
        "SELECT * FROM guarded",
    ]);
    Draft::of([write.to_owned(), look.to_owned()])
}

pub(super) fn copy_from(maker: &mut Maker<'_>) -> Draft {
    let look = look(maker);
    Draft::of([
        maker
            .random
            .word(&[
                "COPY inbox (id) FROM STDIN",
                "COPY counters (id) FROM STDIN",
                "COPY people (id) FROM STDIN",
                "COPY people (id, name) FROM STDIN",
                "COPY people (secret_text) FROM STDIN WITH (FORMAT csv)",
                "COPY counters (id) FROM STDIN WHERE id > (SELECT length(secret_text) FROM people LIMIT 1)",
                "COPY inbox (any_text) FROM '/etc/hostname'",
                "COPY inbox (any_text) FROM PROGRAM 'true'",
                "COPY counters (hits) FROM STDIN",
                "COPY links (id, secret_ref) FROM STDIN WITH (DELIMITER ' ')",
            ])
            .to_owned(),
        look,
    ])
}
