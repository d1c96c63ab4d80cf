//! Rows that lie in columns of other relations: their columns are known by their own names.

use super::*;
use crate::facts::Column;

/// The columns that a statement's first result is computed from, and those that decide which rows it has.
fn check_lineage(catalog: &Catalog, sql: &str, expected: &str) {
    let statements = read_deep_on(catalog, sql.as_bytes(), Witness::Deny)
        .unwrap_or_else(|refusal| panic!("{sql}: {refusal:?}"));
    let facts = &statements[0].facts;
    let outputs = facts.outputs.iter().flatten().next();
    let written = facts.writes.first().map(|write| &write.lineage);
    let lineage = written.or(outputs.map(|output| &output.lineage));
    let used = facts.accesses.iter().flat_map(|access| &access.columns);
    let deciding: BTreeSet<String> = used
        .filter(|each| each.used == Use::Filter)
        .map(|each| format!(" ?{}.{}", each.column.relation, each.column.name))
        .collect();
    let found = format!(
        "{}{}",
        lineage.map(lineage_text).unwrap_or_default(),
        deciding.into_iter().collect::<String>()
    );
    assert_eq!(found.trim(), expected, "{sql}");
}

/// Classes and masks by a column's name hold where a row that has it lies in a column.
#[test]
fn columns_of_stored_rows_keep_their_names() {
    let schema = "
        CREATE TABLE above (secret text);
        CREATE TABLE sec (id int, word text) INHERITS (above);
        CREATE TYPE inner_type AS (secret text, n int);
        CREATE TYPE outer_type AS (label text, deep inner_type);
        CREATE DOMAIN guarded AS inner_type;
        CREATE TABLE holder (id int, h sec, o outer_type, many sec[], g guarded);
        CREATE TABLE pub (v text);
        CREATE VIEW seen AS SELECT id, h, (h).secret AS s FROM holder;
    ";
    let catalog = crate::schema::read(schema, "shop").unwrap();
    for (sql, expected) in [
        (
            "SELECT (h).secret FROM holder",
            "above.secret sec.secret ~holder.h",
        ),
        ("SELECT (h).id FROM holder", "sec.id ~holder.h"),
        (
            "SELECT h FROM holder",
            "~above.secret ~sec.secret ~sec.id ~sec.word holder.h",
        ),
    ] {
        check_lineage(&catalog, sql, expected);
    }
    for sql in [
        "SELECT ((h)).secret FROM holder",
        "SELECT (holder.h).secret FROM holder",
        "SELECT row_to_json(h) FROM holder",
        "SELECT secret(h) FROM holder",
        "SELECT row_to_json(t) FROM holder t",
        "SELECT h::text FROM holder",
        "SELECT (many[1]).secret FROM holder",
        "SELECT many FROM holder",
        "SELECT s FROM seen",
        "SELECT (h).secret FROM seen",
        "SELECT (x.h).secret FROM (SELECT h FROM holder) x",
        "SELECT u FROM holder, unnest(many) u",
        "SELECT (SELECT (h).secret FROM holder)",
        "UPDATE pub SET v = (SELECT (h).secret FROM holder) RETURNING v",
        "SELECT 1 FROM holder WHERE (h).secret = 'x'",
        "SELECT 1 FROM holder WHERE h = ROW('x', 1, 'y')::sec",
    ] {
        check_named(&catalog, sql, "sec.secret");
    }
    for sql in [
        "SELECT ((o).deep).secret FROM holder",
        "SELECT (o).deep.secret FROM holder",
        "SELECT o FROM holder",
        "SELECT (o).deep FROM holder",
        "SELECT (g).secret FROM holder",
        "SELECT 1 FROM holder WHERE (o).deep.secret LIKE 'x%'",
    ] {
        check_named(&catalog, sql, "inner_type.secret");
    }
    check_lineage(
        &catalog,
        "SELECT (o).label FROM holder",
        "outer_type.label ~holder.o",
    );
    check_lineage(
        &catalog,
        "SELECT id FROM holder WHERE (h).id = 1",
        "holder.id ?holder.h ?sec.id",
    );
}

/// Whether a column is among those that a statement gives, writes from or filters by.
fn check_named(catalog: &Catalog, sql: &str, column: &str) {
    let statements = read_deep_on(catalog, sql.as_bytes(), Witness::Deny)
        .unwrap_or_else(|refusal| panic!("{sql}: {refusal:?}"));
    let facts = &statements[0].facts;
    let is_it = |one: &Column| format!("{}.{}", one.relation, one.name) == column;
    let mut lineages = facts.outputs.iter().flatten().map(|output| &output.lineage);
    let is_given = lineages.any(|lineage| lineage.sources.iter().any(|one| is_it(&one.column)));
    let mut uses = facts.accesses.iter().flat_map(|access| &access.columns);
    let is_used = uses.any(|one| is_it(&one.column));
    let is_filter = sql.contains("WHERE");
    assert!(
        is_used && (is_given || is_filter),
        "{sql}\n{}",
        facts_text(facts)
    );
}
