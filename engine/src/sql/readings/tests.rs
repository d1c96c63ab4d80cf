//! Every text that the tests have is analysed with other constants, by what was read before and anew: both say the same.

use std::{hash::BuildHasher as _, sync::Arc};

use foldhash::fast::FixedState;

use super::*;
use crate::{
    catalog::Catalog,
    sql::{Context, NO_NAMES, Witness, analyse, analyse_within},
};

/// Words that matter to analysis, by length: what a constant may say.
const WORDS: [&str; 29] = [
    "*",
    "a",
    "..",
    "****",
    "AAAAAAAA-AAAA-AAAA-AAAA-AAAAAAAAAAAA",
    "7",
    "12",
    "-5",
    "007",
    "99999",
    "12345678901",
    "3f333df6-90a4-4fda-8dd3-9485d27cee36",
    "00000000-0000-0000-0000-000000000000",
    "id",
    "off",
    "name",
    "text",
    "ssn",
    "search_path",
    "public",
    "customers",
    "orders",
    "pg_temp",
    "pg_class",
    "staff",
    "now()",
    "2024-01-01",
    "customers.ssn",
    "1 day",
];

/// The text with other constants, different ones for each number; every third time, digits for strings; every fourth, the same wherever
/// there is room for it.
fn other(text: &str, skeleton: &Skeleton, number: u64) -> String {
    let mut bytes = text.as_bytes().to_vec();
    for (place, constant) in skeleton.constants.iter().enumerate() {
        let place = if number % 4 == 3 { 0 } else { place };
        let seed = FixedState::with_seed(number).hash_one((text, place));
        let length = constant.span.len();
        let written: Vec<u8> = match constant.kind {
            Kind::Number => format!("{:0length$}", seed % 10_u64.pow(length as u32)).into(),
            Kind::String => {
                let digits = |word: &&&str| {
                    (number % 3 == 2) == word.bytes().all(|byte| byte.is_ascii_digit())
                };
                let mut fitting = WORDS
                    .iter()
                    .filter(|word| word.len() == length)
                    .filter(digits);
                let word = fitting.nth(seed as usize % 4);
                let letters =
                    (0..length).map(|at| b'a' + (seed.rotate_left(at as u32 * 5) % 26) as u8);
                word.map_or_else(|| letters.collect(), |word| word.as_bytes().to_vec())
            }
        };
        bytes[constant.span.clone()].copy_from_slice(&written);
    }
    String::from_utf8(bytes).unwrap()
}

/// What is known of a likeness.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Known {
    Nothing,
    Reading,
    /// And what is found in its texts.
    Template,
}

/// Analyses variants of a text by one memory, and reads them by another, whatever analysis says of them; what was kept of them.
fn check(catalog: &Catalog, text: &str, variants: u64) -> Known {
    let context = Context::public(catalog, Witness::Deny);
    let (mut analysed, mut read) = (Readings::default(), Readings::default());
    let Some(skeleton) = Skeleton::of(text) else {
        return Known::Nothing;
    };
    for number in 0..variants {
        let text = other(text, &skeleton, number);
        let anew = analyse(text.as_bytes(), &context);
        let found = analyse_within(text.as_bytes(), &context, usize::MAX, &mut analysed);
        assert_eq!(found, Some(anew), "{text}");
        let (tree, tokens) = (authority::parse(&text), authority::tokens(&text));
        if let Some(reading) = read.find(&text, &Likeness::of(&text)) {
            assert_eq!(Ok(&reading.tree), tree.as_ref(), "{text}");
            assert_eq!(Some(&reading.tokens), tokens.as_ref(), "{text}");
            assert_eq!(reading.testimony, witness::testimony(&text), "{text}");
        } else if let (Ok(tree), Some(tokens)) = (tree, tokens) {
            read.keep(&text, Likeness::of(&text), tree, tokens);
        }
    }
    let mut templates = analysed.kept.values().flat_map(|kept| &kept.templates);
    match (read.kept.is_empty(), templates.next()) {
        (true, _) => Known::Nothing,
        (false, None) => Known::Reading,
        (false, Some(_)) => Known::Template,
    }
}

/// On a thread with the stack that the gateway gives.
fn deep<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().stack_size(64 << 20);
        thread.spawn_scoped(scope, work).unwrap().join().unwrap()
    })
}

fn shop() -> Catalog {
    Catalog::from_answer(include_bytes!("../testdata/shop.answer")).unwrap()
}

#[test]
fn texts_of_the_tests_are_read_alike() {
    let catalog = shop();
    let files = [
        include_str!("../testdata/statements.sql"),
        include_str!("../testdata/bypasses.sql"),
        include_str!("../testdata/equalities.sql"),
        include_str!("../testdata/definitions.sql"),
        include_str!("../testdata/calls.sql"),
        include_str!("../testdata/rows.sql"),
        include_str!("../testdata/psql.sql"),
    ];
    let texts = files.iter().flat_map(|file| file.split("\n;;\n"));
    let known: Vec<_> = deep(|| {
        texts
            .map(|text| check(&catalog, text.trim(), 12))
            .filter(|known| *known != Known::Nothing)
            .collect()
    });
    let templates = known
        .iter()
        .filter(|known| **known == Known::Template)
        .count();
    assert!(known.len() > 100, "only {} were kept", known.len());
    assert!(templates > 50, "only {templates} told what others are");
}

/// What is kept of texts of this likeness; whatever it is, they are analysed alike.
#[track_caller]
fn check_known(text: &str, expected: &[Known]) {
    let catalog = shop();
    let known = deep(|| check(&catalog, text, 24));
    assert!(expected.contains(&known), "{text}: {known:?}");
}

#[test]
fn constants_of_queries_are_set() {
    for text in [
        "SELECT id FROM customers WHERE id = 7",
        "SELECT id FROM customers WHERE name = 'Ann' AND id IN (1, 22, 333) LIMIT 5 OFFSET 10",
        "SELECT - 5 , -6, 4 -3 FROM orders WHERE total BETWEEN -1 AND +2",
        "SELECT id FROM customers WHERE (id, name) = (1, 'Ann')",
        "INSERT INTO orders (customer_id, note) VALUES (1, 'abc'), (2, 'def') RETURNING 3",
        "UPDATE orders SET (total, note) = (100, 'abc') WHERE id = 1",
        "UPDATE customers SET name = CASE WHEN id > 3 THEN 'more' ELSE 'less' END WHERE id = 7",
        "DELETE FROM orders WHERE customer_id = 12 AND note = 'gone'",
        "WITH c AS (SELECT id FROM customers WHERE id = 1) SELECT 2 FROM c UNION SELECT 3",
        "SELECT date '2024-01-01', interval '1 day', interval '1' second(3), '1'::int, 'customers'::regclass",
        "SELECT set_config('search_path', 'public', false)",
        "SELECT name::varchar(10), sum(total + 3) FROM orders JOIN customers ON customer_id = 1 GROUP BY name",
        "SELECT name LIKE 'a' ESCAPE 'b', substring(name FROM 1 FOR 2), extract('year' FROM now()) FROM customers",
        "SELECT row_number() OVER (ORDER BY id ROWS BETWEEN 1 PRECEDING AND 2 FOLLOWING) FROM customers",
        "SELECT ARRAY[1, 2], (ARRAY[3, 4])[1:2]",
        "SELECT id FROM customers FETCH FIRST 5 ROWS ONLY",
    ] {
        check_known(text, &[Known::Reading, Known::Template]);
    }
}

#[test]
fn what_a_value_decides_is_read_anew() {
    for text in [
        // A number that is no constant of the tree, or another one than is written.
        "SELECT name::float(24), 1 FROM customers",
        "SELECT - -5",
        "SELECT 'a'\n'b'",
        "SELECT id FROM customers TABLESAMPLE system (10)",
        "SET statement_timeout = 100",
        "EXPLAIN SELECT 1",
        // Nothing to set.
        "SELECT id FROM customers",
        "SELECT $1, 2",
    ] {
        check_known(text, &[Known::Nothing]);
    }
}

#[test]
fn the_second_of_a_likeness_is_kept_and_the_least_used_make_room() {
    deep(|| {
        let catalog = shop();
        let context = Context {
            names: &NO_NAMES,
            ..Context::public(&catalog, Witness::Deny)
        };
        let mut readings = Readings::default();
        let mut read = |text: &str| {
            let found = analyse_within(text.as_bytes(), &context, usize::MAX, &mut readings);
            assert!(found.unwrap().is_ok(), "{text}");
            readings.kept.len()
        };
        assert_eq!(read("SELECT 1"), 0);
        assert_eq!(read("SELECT 2"), 1);
        assert_eq!(read("SELECT 3"), 1);
        let mut most = 0;
        for number in 0..READINGS_MAX + 50 {
            read(&format!("SELECT 1 AS c{number}"));
            most = most.max(read(&format!("SELECT 2 AS c{number}")));
            // Used between every two others.
            read("SELECT 4");
        }
        assert!(most <= READINGS_MAX && most > READINGS_MAX / 2);
        let text = "SELECT 5";
        assert!(readings.find(text, &Likeness::of(text)).is_some());
    });
}

#[test]
fn what_is_found_is_kept_where_constants_are_only_carried() {
    for text in [
        "SELECT id FROM customers WHERE id = 7",
        "SELECT id FROM customers WHERE 7 = id AND name = 'Ann' LIMIT 5",
        "SELECT id FROM customers WHERE id = -7 OR name <> 'Ann' || name",
        "SELECT id FROM customers WHERE id = '12' AND name = 'Ann'",
        "SELECT id FROM customers WHERE id IN (1, 2) AND id BETWEEN 10 AND 20",
        "SELECT c.id FROM customers c, customers d WHERE c.id = 11 AND d.id = 12",
        "INSERT INTO orders (customer_id, note) VALUES (1, 'abc'), (2, 'def')",
        "UPDATE orders SET total = total + 15, note = 'abc' WHERE id = 7",
        "DELETE FROM orders WHERE customer_id = 12 AND note = 'gone'",
        "BEGIN; DELETE FROM orders WHERE id = 12; COMMIT",
        "SELECT id FROM customers WHERE id IN (1, 2, 3, 4, 5)",
        "SELECT contact FROM customer_contacts WHERE id = 12 AND name = '*'",
        "SELECT s.id FROM (SELECT id FROM customers WHERE name = '*') s, orders o WHERE o.note = '*'",
        "SELECT id FROM customers WHERE name = 'a' AND email = 'b' AND ssn = 'a'::text AND ssn = 'b'::text",
        "DELETE FROM orders WHERE id = 5 AND id = '5'::int",
    ] {
        check_known(text, &[Known::Template]);
    }
}

#[test]
fn what_is_found_is_not_kept_where_every_constant_may_matter() {
    for text in [
        "SELECT id FROM customers LIMIT 5",
        "SELECT id, name FROM customers ORDER BY 2",
        "SELECT set_config('search_path', 'public', false)",
        "SELECT id FROM customers WHERE id = '5'::int",
        "SELECT id FROM customers WHERE ascii('x') > ascii('y')",
        "SELECT 'customers'::regclass",
        "SELECT id FROM customers WHERE EXISTS (SELECT 1 FROM orders WHERE id = 5)",
        "SELECT id FROM customers WHERE true AND 'on'",
    ] {
        check_known(text, &[Known::Reading, Known::Nothing]);
    }
}

/// Two texts after texts of one likeness that gave a template: what the second has elsewhere than where constants are carried, or
/// what a type can't hold, is not passed over.
#[test]
fn a_template_is_for_texts_that_differ_where_nobody_looks() {
    let catalog = shop();
    for (like, texts) in [
        (
            "SELECT id FROM customers WHERE id = 3 LIMIT 5",
            [
                "SELECT id FROM customers WHERE id = 4 LIMIT 5",
                "SELECT id FROM customers WHERE id = 3 LIMIT 6",
            ],
        ),
        (
            "SELECT id FROM customers WHERE id = 'abc'",
            [
                "SELECT id FROM customers WHERE id = '123'",
                "SELECT id FROM customers WHERE id = 'xyz'",
            ],
        ),
        (
            "SELECT id FROM customers WHERE id = 3 AND id = 4",
            [
                "SELECT id FROM customers WHERE id = 5 AND id = 5",
                "SELECT id FROM customers WHERE id = 6 AND id = 7",
            ],
        ),
        // Constants that stay, and are by chance what others are that don't.
        (
            "SELECT id FROM customers WHERE name = '*' AND ssn = '*'::text",
            [
                "SELECT id FROM customers WHERE name = 'k' AND ssn = '*'::text",
                "SELECT id FROM customers WHERE name = 'm' AND ssn = '*'::text",
            ],
        ),
        (
            "SELECT id FROM customers WHERE name = '*' AND name = '*'::text",
            [
                "SELECT id FROM customers WHERE name = 'k' AND name = '*'::text",
                "SELECT id FROM customers WHERE name = '*' AND name = 'k'::text",
            ],
        ),
        (
            "SELECT s.ssn FROM (SELECT ssn FROM customers WHERE name = '*') s, orders o WHERE o.note = '*'",
            [
                "SELECT s.ssn FROM (SELECT ssn FROM customers WHERE name = '*') s, orders o WHERE o.note = 'k'",
                "SELECT s.ssn FROM (SELECT ssn FROM customers WHERE name = 'k') s, orders o WHERE o.note = '*'",
            ],
        ),
        (
            "SELECT id FROM customers WHERE name='a' AND email='b' AND ssn='a'::text AND ssn='b'::text",
            [
                "SELECT id FROM customers WHERE name='k' AND email='m' AND ssn='a'::text AND ssn='b'::text",
                "SELECT id FROM customers WHERE name='b' AND email='a' AND ssn='a'::text AND ssn='b'::text",
            ],
        ),
        (
            "SELECT id FROM orders WHERE customer_id = 3 AND id = '3'::int AND id = - 3",
            [
                "SELECT id FROM orders WHERE customer_id = 4 AND id = '3'::int AND id = - 5",
                "SELECT id FROM orders WHERE customer_id = 3 AND id = '4'::int AND id = - 4",
            ],
        ),
        (
            "SELECT set_config(name, 'x', true) FROM pg_settings WHERE name = 'work_mem'",
            [
                "SELECT set_config(name, 'x', true) FROM pg_settings WHERE name = 'password'",
                "SELECT set_config(name, 'y', true) FROM pg_settings WHERE name = 'work_mem'",
            ],
        ),
    ] {
        deep(|| {
            let mut readings = Readings::default();
            let paths: [&[Arc<str>]; 2] = [&["public".into()], &["staff".into(), "public".into()]];
            let texts = [like; 4].into_iter().chain(texts).chain([like]);
            for (text, path) in texts.flat_map(|text| paths.map(|path| (text, path))) {
                let context = Context {
                    search_path: path,
                    ..Context::public(&catalog, Witness::Deny)
                };
                let anew = analyse(text.as_bytes(), &context);
                let found = analyse_within(text.as_bytes(), &context, usize::MAX, &mut readings);
                assert_eq!(found, Some(anew), "{text}");
            }
        });
    }
}
