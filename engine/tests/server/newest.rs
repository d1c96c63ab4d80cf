//! What only some majors have: each statement before a server that has it, its trees and its data; and before those that don't,
//! where it must be refused. It must never pass a statement by because a server refuses it.

use crate::{
    choices::Choices,
    lineage,
    random::{Fate, deep, fate, understood as understood_facts},
    regress,
    zoo::{Data, Zoo, random_data},
};

/// What we say of a statement where the server is too old for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Before {
    Refused,
    /// The grammar is older than what it is used for; the server refuses that, and runs nothing.
    Understood,
}

/// A statement, and the first major that runs it.
struct Case {
    since: u32,
    before: Before,
    sql: &'static str,
}

const fn refused(since: u32, sql: &'static str) -> Case {
    Case {
        since,
        before: Before::Refused,
        sql,
    }
}

const fn understood(since: u32, sql: &'static str) -> Case {
    Case {
        since,
        before: Before::Understood,
        sql,
    }
}

/// Objects that only newer servers can have.
const OBJECTS: &[(u32, &str)] = &[
    (
        14,
        "CREATE FUNCTION city_of(int) RETURNS text LANGUAGE sql STABLE BEGIN ATOMIC SELECT city FROM people WHERE id = $1 ORDER BY city LIMIT 1; END",
    ),
    (
        14,
        "CREATE FUNCTION ages(OUT a int, OUT b text) RETURNS SETOF record LANGUAGE sql STABLE RETURN (SELECT ROW(min(age), min(name))::record FROM people)",
    ),
    (
        14,
        "CREATE VIEW walked AS WITH RECURSIVE t (n, c) AS (SELECT id, city FROM people UNION ALL SELECT boss, name FROM people JOIN t ON id = n + 5)
            SEARCH BREADTH FIRST BY n SET place CYCLE n SET again USING way SELECT c, n, place::text AS place, again FROM t",
    ),
    (
        15,
        "CREATE VIEW invoked WITH (security_invoker) AS SELECT name, age FROM people WHERE boss > 0",
    ),
    (
        15,
        "CREATE TABLE tags (id int, tag text, UNIQUE NULLS NOT DISTINCT (id)); INSERT INTO tags VALUES (1, 'a')",
    ),
    (
        17,
        "CREATE VIEW parsed AS SELECT p.id, j.a, j.b FROM people AS p, JSON_TABLE(json_build_object('a', p.name, 'b', p.age)::jsonb, '$'
            COLUMNS (a text PATH '$.a', b int PATH '$.b')) AS j",
    ),
    (
        18,
        "ALTER TABLE people ADD COLUMN loud text GENERATED ALWAYS AS (upper(name) || '/' || COALESCE(city, '-')) VIRTUAL",
    ),
    (
        18,
        "CREATE EXTENSION btree_gist; CREATE TABLE stays (id int, during int4range, guest text, PRIMARY KEY (id, during WITHOUT OVERLAPS)); INSERT INTO stays VALUES (1, '[1,5)', 'a')",
    ),
    (18, "CREATE VIEW louder AS SELECT id, loud AS word FROM people"),
];

const CASES: &[Case] = &[
    understood(13, "SELECT id, name FROM people ORDER BY age, id FETCH FIRST 2 ROWS WITH TIES"),
    understood(
        13,
        "UPDATE adults AS a SET n = o.note FROM (SELECT min(note) AS note FROM orders) AS o WHERE a.id = 1 RETURNING a.n, o.note",
    ),
    understood(13, "UPDATE orders SET note = (SELECT max(name) FROM people) WHERE person = 1 RETURNING note, amount"),
    // 14
    refused(
        14,
        "WITH RECURSIVE t (n, c) AS (SELECT id, city FROM people UNION ALL SELECT p.boss, p.name FROM people AS p JOIN t ON p.id = t.n + 5)
            SEARCH DEPTH FIRST BY n SET place CYCLE n SET again USING way SELECT n, c, place::text, again, way::text FROM t ORDER BY 1, 2, 3",
    ),
    refused(
        14,
        "SELECT j.id, p.name, o.note FROM people AS p JOIN orders AS o USING (id) AS j WHERE j.id > 1 ORDER BY 1, 2, 3",
    ),
    refused(14, "SELECT city, age, count(*) FROM people GROUP BY DISTINCT ROLLUP (city, age), ROLLUP (city) ORDER BY 1, 2, 3"),
    understood(14, "SELECT (jsonb_build_object('a', name))['a'] AS a FROM people ORDER BY id"),
    refused(14, "SELECT range_agg(int4range(0, age + 1)) AS ages FROM people"),
    understood(14, "SELECT city_of(person) AS c, note FROM orders ORDER BY id"),
    understood(14, "SELECT c, place FROM walked ORDER BY 1, 2"),
    refused(14, "SELECT date_bin('1 day', '2020-02-02 02:02', '2020-01-01'), name FROM people ORDER BY id, name"),
    // 15
    refused(
        15,
        "MERGE INTO orders AS o USING people AS p ON o.person = p.id AND p.age > 1 WHEN MATCHED AND p.city = 'a' THEN DELETE
            WHEN MATCHED AND o.amount > 2 THEN DO NOTHING WHEN NOT MATCHED AND p.boss = 77 THEN INSERT (id, note) VALUES (p.id + 100, p.name)",
    ),
    understood(15, "SELECT name FROM invoked ORDER BY 1"),
    understood(15, "INSERT INTO tags SELECT id, name FROM people WHERE age = 99 ON CONFLICT (id) DO UPDATE SET tag = excluded.tag RETURNING tag"),
    refused(15, "SELECT regexp_count(name, city) AS n FROM people ORDER BY id, 1"),
    // 16
    refused(16, "SELECT SYSTEM_USER AS me, name FROM people ORDER BY id, name"),
    refused(16, "SELECT 0x1F + id AS a, 1_000 + age AS b FROM people ORDER BY 1, 2"),
    refused(16, "SELECT any_value(name) AS n FROM people WHERE id = 1 AND age = 2"),
    refused(16, "SELECT n FROM (SELECT name AS n, id FROM people) ORDER BY id, n"),
    refused(16, "SELECT JSON_ARRAY(name, age ABSENT ON NULL) AS j FROM people ORDER BY id, name"),
    refused(16, "SELECT JSON_OBJECT('a': name, 'b': city NULL ON NULL) AS j FROM people ORDER BY id, name"),
    refused(16, "SELECT JSON_OBJECTAGG(id: name) AS j FROM people WHERE id = 1"),
    refused(16, "SELECT JSON_ARRAYAGG(name ORDER BY city, name) AS j FROM people"),
    refused(16, "SELECT name IS JSON OBJECT AS j, age FROM people ORDER BY id, name"),
    refused(16, "SELECT array_sample(ARRAY[name], 1) AS s FROM people ORDER BY id, name"),
    // 17
    refused(
        17,
        "SELECT p.id, j.a, j.n FROM people AS p, JSON_TABLE(jsonb_build_object('a', p.name, 'l', jsonb_build_array(p.age, p.boss)), '$' PASSING p.city AS x
            COLUMNS (n FOR ORDINALITY, a text PATH '$.a', NESTED PATH '$.l[*]' COLUMNS (m int PATH '$'))) AS j ORDER BY 1, 2, 3",
    ),
    refused(17, "SELECT JSON_VALUE(jsonb_build_object('a', name), '$.a' RETURNING text DEFAULT 'none' ON EMPTY) AS v FROM people ORDER BY id, 1"),
    refused(17, "SELECT JSON_QUERY(jsonb_build_object('a', name), '$.a' WITH WRAPPER) AS v FROM people ORDER BY id, name"),
    refused(17, "SELECT id FROM people WHERE JSON_EXISTS(jsonb_build_object('a', age), '$.a ? (@ > $x)' PASSING boss AS x) ORDER BY 1"),
    refused(17, "SELECT JSON_SCALAR(name) AS a, JSON_SERIALIZE(JSON_SCALAR(age)) AS b FROM people ORDER BY id, name"),
    refused(17, "SELECT JSON('\"' || name || '\"') AS a FROM people WHERE name IS NOT NULL ORDER BY id, name"),
    understood(17, "SELECT a, b FROM parsed ORDER BY id, 1"),
    refused(
        17,
        "MERGE INTO orders AS o USING people AS p ON o.person = p.id AND p.age = 77 WHEN MATCHED THEN UPDATE SET note = p.name
            WHEN NOT MATCHED BY SOURCE AND o.amount > 2 THEN UPDATE SET note = 'gone' RETURNING merge_action(), o.note, o.amount",
    ),
    refused(
        17,
        "WITH m AS (MERGE INTO orders AS o USING people AS p ON o.person = p.id AND p.age = 77 WHEN NOT MATCHED AND p.age = 78 THEN
            INSERT (id, note) VALUES (p.id + 100, p.city) RETURNING o.note, p.boss) SELECT note, boss FROM m",
    ),
    refused(
        17,
        "MERGE INTO orders AS o USING (SELECT min(name) AS n FROM people) AS p ON o.person = 1 WHEN MATCHED THEN UPDATE SET note = p.n
            RETURNING o.note, o.id, p.n",
    ),
    refused(
        17,
        "MERGE INTO orders AS o USING yard.items AS p ON o.id = p.id AND p.sku = 'a' AND p.amount > 2 WHEN MATCHED THEN UPDATE SET note = p.name
            RETURNING o.note",
    ),
    understood(17, "MERGE INTO adults AS a USING orders AS o ON a.id = o.person AND o.amount = 77 WHEN MATCHED THEN UPDATE SET n = o.note"),
    // 18
    refused(18, "UPDATE orders SET amount = amount + 1, note = 'x' WHERE person = 1 RETURNING old.note, new.amount, old.amount, note"),
    refused(18, "UPDATE orders AS o SET note = p.name FROM people AS p WHERE p.id = o.id AND p.age = 77 RETURNING WITH (OLD AS was, NEW AS becomes) was.note, becomes.note, becomes.total, p.city"),
    refused(18, "DELETE FROM people WHERE age = 1 RETURNING old.name, new.city"),
    refused(18, "INSERT INTO orders (id, note) VALUES (901, 'x') ON CONFLICT (id) DO UPDATE SET note = excluded.note RETURNING old.note, new.note, new.id"),
    refused(18, "UPDATE orders SET note = 'y' WHERE amount = 2 RETURNING old.*"),
    refused(18, "UPDATE orders SET note = 'y' WHERE amount = 2 RETURNING (SELECT max(new.note || p.name) FROM people AS p)"),
    refused(
        18,
        "MERGE INTO orders AS o USING people AS p ON o.person = p.id AND p.age = 77 WHEN MATCHED THEN UPDATE SET note = p.name
            WHEN NOT MATCHED BY SOURCE AND o.amount > 2 THEN DELETE RETURNING old.note, new.amount, merge_action()",
    ),
    refused(
        18,
        "UPDATE adults AS a SET n = o.note FROM (SELECT min(note) AS note FROM orders) AS o WHERE a.id = 1 RETURNING old.n, new.n, o.note",
    ),
    refused(18, "SELECT loud FROM people ORDER BY id, 1"),
    refused(18, "SELECT word FROM louder ORDER BY id, 1"),
    refused(18, "SELECT id FROM people WHERE loud > 'B' ORDER BY 1"),
    refused(18, "UPDATE people SET name = 'q' WHERE age = 2 RETURNING loud, old.loud"),
    refused(18, "SELECT loud, count(*) FROM people GROUP BY loud ORDER BY 1"),
    understood(18, "SELECT guest FROM stays WHERE during && '[2,3)' ORDER BY 1"),
    refused(18, "SELECT array_sort(array_agg(name)) AS names, reverse(name::bytea) FROM people GROUP BY name ORDER BY 2"),
];

/// The zoo with what this server can have besides.
fn zoo() -> (Zoo, Data) {
    let mut zoo = Zoo::open();
    let major = zoo.major();
    for (_, sql) in OBJECTS.iter().filter(|(since, _)| *since <= major) {
        zoo.client.run(sql);
    }
    zoo.refresh();
    let data = random_data(&zoo.bases, &mut Choices::seeded(3));
    let stores: Vec<usize> = data.keys().copied().collect();
    let loaded = zoo.load(&data, stores);
    assert_eq!(loaded.error, None);
    (zoo, data)
}

/// What is wrong with one case.
fn check(zoo: &mut Zoo, data: &Data, case: &Case) -> Option<String> {
    let has_it = case.since <= zoo.major();
    let why = match (has_it, fate(zoo, case.sql), case.before) {
        (true, Fate::Sound(_), _) => return lineage::explained(zoo, data, case.sql),
        (false, Fate::Wrong(_), Before::Understood) => return None,
        (false, Fate::Wrong(_), Before::Refused) => {
            understood_facts(zoo, case.sql).ok()?;
            "understood, though the server is too old for it".to_owned()
        }
        // The words may mean something else there: JSON(x) is a cast.
        (false, Fate::Closed(_), Before::Refused) => return None,
        (_, Fate::Wrong(why) | Fate::Closed(why) | Fate::Unsound(why), _) => why,
        (false, Fate::Sound(_), _) => "an older server has it, too".to_owned(),
    };
    Some(why)
}

#[test]
fn newest_statements() {
    deep(|| {
        let (mut zoo, data) = zoo();
        let major = zoo.major();
        let failures: Vec<String> = CASES
            .iter()
            .filter_map(|case| {
                let why = check(&mut zoo, &data, case)?;
                Some(format!("since {}: {why}\n    {}", case.since, case.sql))
            })
            .collect();
        let run = CASES.iter().filter(|case| case.since <= major).count();
        let figures = format!(
            "PostgreSQL {major}: {run} statements that it has, {} that it has not\n",
            CASES.len() - run
        );
        std::fs::write(
            regress::reports().join("newest.txt"),
            format!("{figures}{}\n", failures.join("\n")),
        )
        .unwrap();
        eprint!("{figures}");
        assert!(failures.is_empty(), "{}", failures.join("\n"));
    });
}
