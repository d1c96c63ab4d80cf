//! What a statement does with columns beside giving and assigning them, and what the server computes by itself.

use super::*;

/// A cast that the server adds by itself to a value that is no column runs its function all the same.
#[test]
fn casts_of_computed_values_are_seen() {
    let schema = "
        CREATE TABLE customers (id int PRIMARY KEY, ssn text);
        CREATE TABLE places (id int PRIMARY KEY, street text);
        CREATE TYPE address AS (street text, zip text);
        CREATE FUNCTION leak(address) RETURNS text LANGUAGE sql STABLE AS 'SELECT ssn FROM public.customers LIMIT 1';
        CREATE FUNCTION leak(places) RETURNS text LANGUAGE sql STABLE AS 'SELECT ssn FROM public.customers LIMIT 1';
        CREATE CAST (address AS text) WITH FUNCTION leak(address) AS IMPLICIT;
        CREATE CAST (places AS text) WITH FUNCTION leak(places) AS IMPLICIT;
    ";
    let catalog = crate::schema::read(schema, "shop").unwrap();
    for (sql, reads) in [
        ("SELECT upper(ROW('a', 'b')::address)", true),
        ("SELECT upper(places) FROM places", true),
        ("SELECT ROW('a', 'b')::address LIKE 'a'", true),
        ("SELECT upper(street), id + 1 FROM places", false),
        ("SELECT upper('a'), lower(upper(street)) FROM places", false),
    ] {
        let statements = read_deep_on(&catalog, sql.as_bytes(), Witness::Deny).unwrap();
        let is_customers = |access: &Access| matches!(&access.object, Object::Relation { name, .. } if **name == *"customers");
        let found = statements
            .iter()
            .flat_map(|statement| &statement.facts.accesses);
        assert_eq!(
            found.filter(|access| is_customers(access)).count() > 0,
            reads,
            "{sql}"
        );
    }
}

/// The text that `nextval` takes is read as the server reads it: digits are an oid, whatever a sequence is called.
#[test]
fn names_of_sequences() {
    let schema = r#"
        CREATE SEQUENCE ticket;
        CREATE SEQUENCE "16530";
        CREATE SEQUENCE "Big";
        CREATE SEQUENCE "é";
        CREATE SEQUENCE "a""b";
    "#;
    let catalog = crate::schema::read(schema, "shop").unwrap();
    for (sql, expected) in [
        ("SELECT nextval('ticket')", "ticket"),
        ("SELECT nextval('TICKET'::regclass)", "ticket"),
        ("SELECT nextval('public.ticket')", "ticket"),
        (r#"SELECT nextval('"public"."Big"')"#, "Big"),
        (r#"SELECT nextval('"16530"')"#, "16530"),
        ("SELECT nextval('16530')", ""),
        ("SELECT nextval('Big')", ""),
        ("SELECT nextval('É')", ""),
        ("SELECT nextval(' ticket')", ""),
        (r#"SELECT nextval('"a""b"')"#, ""),
        ("SELECT nextval('tickets'::varchar(6))", ""),
    ] {
        let statements = read_deep_on(&catalog, sql.as_bytes(), Witness::Deny).unwrap();
        let facts = &statements[0].facts;
        let named = facts
            .accesses
            .iter()
            .find_map(|access| match &access.object {
                Object::Relation { name, .. } => Some(&**name),
                _ => None,
            });
        assert_eq!(named.unwrap_or_default(), expected, "{sql}");
        assert_eq!(facts.opaque.is_empty(), !expected.is_empty(), "{sql}");
    }
}

/// The columns of `accounts` that a statement uses, and how, besides output and what is assigned.
fn check_beside(statement: &str, expected: &[(&str, Use)]) {
    const SCHEMA: &str = "
        CREATE FUNCTION limit_of(int) RETURNS int LANGUAGE sql AS 'SELECT $1';
        CREATE TABLE accounts (id int PRIMARY KEY, owed int, bound int, twice int GENERATED ALWAYS AS (owed * rate) STORED,
            rate int, tenant text, code text, ssn text, note text, CHECK (least(bound, limit_of(owed)) > 0), UNIQUE (tenant, code));
        ALTER TABLE accounts ENABLE ROW LEVEL SECURITY;
        CREATE POLICY by_setting ON accounts USING (ssn = current_setting('app.ssn', true));
        CREATE POLICY by_role ON accounts USING (note = CURRENT_USER);";
    let catalog = crate::schema::read(SCHEMA, "beside").unwrap();
    let path: Vec<Arc<str>> = vec!["public".into()];
    let context = Context {
        catalog: &catalog,
        search_path: &path,
        parameter_types: &[],
        witness: Witness::Off,
        names: &NO_NAMES,
    };
    let facts = analyse(statement.as_bytes(), &context)
        .unwrap()
        .remove(0)
        .facts;
    let used: BTreeSet<(String, Use)> = facts
        .accesses
        .iter()
        .flat_map(|access| &access.columns)
        .filter(|each| matches!(each.used, Use::Compute | Use::Filter))
        .map(|each| (each.column.name.to_string(), each.used))
        .collect();
    let expected = expected
        .iter()
        .map(|(name, used)| ((*name).to_owned(), *used));
    assert_eq!(used, expected.collect(), "{statement}");
}

#[test]
fn what_a_change_computes_beside_is_a_use() {
    let filter = ("ssn", Use::Filter);
    check_beside("SELECT id FROM accounts", &[filter]);
    check_beside("UPDATE accounts SET note = 'a'", &[filter]);
    check_beside(
        "UPDATE accounts SET owed = 1",
        &[filter, ("bound", Use::Compute), ("rate", Use::Compute)],
    );
    check_beside(
        "UPDATE accounts SET bound = 1",
        &[filter, ("owed", Use::Compute)],
    );
    check_beside(
        "UPDATE accounts SET bound = 1, owed = 2, rate = 3",
        &[filter],
    );
    check_beside(
        "UPDATE accounts SET tenant = 'b'",
        &[filter, ("code", Use::Compute)],
    );
    check_beside(
        "INSERT INTO accounts (id) VALUES (1) ON CONFLICT (id) DO UPDATE SET tenant = 'b'",
        &[filter, ("id", Use::Filter), ("code", Use::Compute)],
    );
}
