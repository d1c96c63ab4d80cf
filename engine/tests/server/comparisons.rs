//! What operator classes of users run: the server calls their functions by itself where it sorts, groups and keeps indexes.

use provost_engine::facts::Object;

use crate::{random, zoo::Zoo};

/// An operator class for a row type and one for text, whose comparisons read `secrets`.
const OBJECTS: &str = "
    CREATE TABLE secrets (v int);
    CREATE TYPE pair AS (a int, b int);
    CREATE FUNCTION compare(pair, pair) RETURNS int LANGUAGE sql AS 'SELECT count(*)::int FROM secrets';
    CREATE FUNCTION less(pair, pair) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT true';
    CREATE OPERATOR <% (leftarg = pair, rightarg = pair, function = less);
    CREATE OPERATOR CLASS pairs DEFAULT FOR TYPE pair USING btree AS OPERATOR 1 <%, FUNCTION 1 compare (pair, pair);
    CREATE TABLE paired (id int, p pair)";

#[test]
fn what_operator_classes_compare_with_is_named() {
    let mut zoo = Zoo::open();
    zoo.client.run(OBJECTS);
    zoo.refresh();
    assert_eq!(zoo.catalog.comparisons().len(), 2, "compare and less");
    for sql in [
        "SELECT id FROM paired ORDER BY p",
        "SELECT count(DISTINCT p) FROM paired",
        "SELECT p FROM paired UNION SELECT p FROM paired",
        "INSERT INTO paired VALUES (1, ROW(1, 2))",
    ] {
        let facts = random::understood(&zoo, sql).unwrap();
        let named = facts.accesses.iter().any(|access| {
            matches!(&access.object, Object::Relation { name, .. } if **name == *"secrets")
        });
        assert!(named, "{sql}: {:?}", facts.accesses);
    }
    random::understood(&zoo, "BEGIN").unwrap();
}
