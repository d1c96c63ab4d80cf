//! What a column is known to equal: only where the server compares texts as they are written.

use super::*;

/// The shop with another type, or collation, of the column `customers.tenant`.
fn shop_with(type_oid: u32, nondeterministic: &[i16]) -> Catalog {
    let customers = CATALOG.relation_named("public", "customers").unwrap().oid;
    // Relation, number with properties, type, length of the name, name: see `catalog.sql`.
    let line = |line: &str| match line.split(' ').collect::<Vec<_>>()[..] {
        [oid, packed, _, "6", "tenant"] if oid == customers.to_string() => {
            let packed: i16 = packed.parse().unwrap();
            let loose = nondeterministic.contains(&(packed >> 5));
            let packed = packed & !8 | i16::from(loose) << 3;
            format!("{oid} {packed} {type_oid} 6 tenant")
        }
        _ => line.to_owned(),
    };
    let lines = include_str!("../testdata/shop.answer").lines().map(line);
    let changed: Vec<String> = lines.collect();
    Catalog::from_answer(changed.join("\n").as_bytes()).unwrap()
}

/// What `tenant` equals in `SELECT id FROM customers WHERE <predicate>`.
fn check_equal(
    catalog: &Catalog,
    predicate: &str,
    parameter_types: &[u32],
    expected: Option<Constant>,
) {
    let text = format!("SELECT id FROM customers WHERE {predicate}");
    let path: Vec<Arc<str>> = vec!["public".into()];
    let context = Context {
        catalog,
        search_path: &path,
        parameter_types,
        witness: Witness::Deny,
        names: &NO_NAMES,
    };
    let statements = analyse(text.as_bytes(), &context).unwrap();
    let found: Vec<Constant> = statements[0]
        .facts
        .accesses
        .iter()
        .flat_map(|access| &access.equalities)
        .map(|equality| equality.value.clone())
        .collect();
    assert_eq!(
        found,
        Vec::from_iter(expected),
        "{predicate} with {parameter_types:?}"
    );
}

#[test]
fn only_types_whose_texts_are_their_values_are_equal() {
    const UUID: &str = "A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11";
    let text = |text: &str| Some(Constant::Text(text.into()));
    let (plain, integer, uuid) = (shop_with(25, &[]), shop_with(20, &[]), shop_with(2950, &[]));
    check_equal(&plain, "tenant = 'Acme '", &[], text("Acme "));
    check_equal(&plain, "tenant = 5", &[], None);
    check_equal(&shop_with(1043, &[]), "tenant = 'a'", &[], text("a"));
    check_equal(&integer, "tenant = 9999999999", &[], text("9999999999"));
    check_equal(&integer, "tenant = 99999999999999999999", &[], None);
    check_equal(&integer, "tenant = '0012'", &[], text("12"));
    check_equal(&integer, "tenant = '-0'", &[], text("0"));
    check_equal(&integer, "tenant = '+5'", &[], None);
    check_equal(&integer, "tenant = 1e1", &[], None);
    let lower = UUID.to_lowercase();
    check_equal(&uuid, &format!("tenant = '{UUID}'"), &[], text(&lower));
    check_equal(
        &uuid,
        &format!("tenant = '{UUID}'::uuid"),
        &[],
        text(&lower),
    );
    check_equal(&uuid, &format!("tenant = '{{{UUID}}}'"), &[], None);
    check_equal(
        &uuid,
        "tenant = 'a0eebc999c0b4ef8bb6d6bb9bd380a11'",
        &[],
        None,
    );
    // A collation may call other texts equal; its own column only.
    check_equal(&shop_with(25, &[7]), "tenant = 'a'", &[], None);
    check_equal(&shop_with(25, &[2]), "tenant = 'a'", &[], text("a"));
    // bpchar, numeric, float8, citext-like, a domain.
    for other in [1042, 1700, 701, 16_400, 19] {
        check_equal(&shop_with(other, &[]), "tenant = '5'", &[], None);
        check_equal(&shop_with(other, &[]), "tenant = $1", &[], None);
    }
}

#[test]
fn a_parameter_is_equal_where_its_type_is_known() {
    let first = || Some(Constant::Parameter(1));
    let (plain, integer) = (shop_with(25, &[]), shop_with(23, &[]));
    check_equal(&plain, "tenant = $1", &[], first());
    check_equal(&plain, "tenant = $1", &[0], first());
    check_equal(&plain, "tenant = $1", &[705], first());
    check_equal(&plain, "tenant = $1", &[1043], first());
    check_equal(&plain, "tenant = $1::text", &[], first());
    // bpchar loses its blanks, name its end.
    check_equal(&plain, "tenant = $1", &[1042], None);
    check_equal(&plain, "tenant = $1", &[19], None);
    check_equal(&plain, "tenant = $1::varchar(1)", &[], None);
    // It has the type of where it stands first.
    check_equal(&plain, "$1::char(9) <> '' AND tenant = $1", &[], None);
    check_equal(&plain, "$1::text <> '' AND tenant = $1", &[25], first());
    check_equal(&integer, "tenant = $1", &[20], first());
    check_equal(&integer, "tenant = $1", &[701], None);
    check_equal(&integer, "tenant = $1::int", &[25], None);
    check_equal(&integer, "tenant = $1::int", &[0], first());
}
