//! The relations of schema.sql as the generator knows them, and the rows that tables get.

use crate::canary::{Canary, Kind, Side, canary};

/// How a column's values are used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Holds {
    /// A masked value, or what is computed from one.
    Secret(Kind),
    /// An open text, whole number or date.
    OpenText,
    OpenInt,
    OpenDate,
}

#[derive(Debug)]
pub(crate) struct Table {
    pub(crate) name: &'static str,
    pub(crate) columns: &'static [(&'static str, Holds)],
    /// Zero: a view, or a table that its own writers fill.
    rows: usize,
}

use Holds::{OpenDate, OpenInt, OpenText, Secret};

const fn table(
    name: &'static str,
    rows: usize,
    columns: &'static [(&'static str, Holds)],
) -> Table {
    Table {
        name,
        columns,
        rows,
    }
}

/// Tables in the order in which they can be filled; views and the empty ones behind them.
pub(crate) const TABLES: &[Table] = &[
    table(
        "people",
        6,
        &[
            ("id", OpenInt),
            ("name", OpenText),
            ("city", OpenText),
            ("born", OpenInt),
            ("secret_text", Secret(Kind::Text)),
            ("secret_varchar", Secret(Kind::Varchar)),
            ("secret_char", Secret(Kind::Char)),
            ("secret_int", Secret(Kind::Int)),
            ("secret_bigint", Secret(Kind::Bigint)),
            ("secret_numeric", Secret(Kind::Numeric)),
            ("secret_uuid", Secret(Kind::Uuid)),
            ("secret_date", Secret(Kind::Date)),
            ("secret_time", Secret(Kind::Time)),
            ("secret_inet", Secret(Kind::Inet)),
            ("secret_json", Secret(Kind::Json)),
            ("secret_list", Secret(Kind::List)),
            ("secret_bytes", Secret(Kind::Bytes)),
            ("secret_xml", Secret(Kind::Xml)),
            ("secret_pair", Secret(Kind::Pair)),
            ("secret_mail", Secret(Kind::Mail)),
        ],
    ),
    table(
        "accounts",
        4,
        &[
            ("id", OpenInt),
            ("owner_id", OpenInt),
            ("secret_iban", Secret(Kind::Text)),
            ("secret_limit", Secret(Kind::Bigint)),
            ("note", OpenText),
        ],
    ),
    table(
        "parcels",
        4,
        &[
            ("id", OpenInt),
            ("day", OpenDate),
            ("secret_address", Secret(Kind::Text)),
            ("weight", OpenInt),
        ],
    ),
    table(
        "persons",
        2,
        &[
            ("id", OpenInt),
            ("label", OpenText),
            ("secret_code", Secret(Kind::Text)),
        ],
    ),
    table(
        "staff",
        2,
        &[
            ("id", OpenInt),
            ("label", OpenText),
            ("secret_code", Secret(Kind::Text)),
            ("desk", OpenText),
        ],
    ),
    table(
        "vault.keys",
        2,
        &[
            ("id", OpenInt),
            ("secret_key", Secret(Kind::Text)),
            ("\"Secret_Odd\"", Secret(Kind::Text)),
            ("label", OpenText),
        ],
    ),
    table(
        "counters",
        3,
        &[("id", OpenInt), ("hits", OpenInt), ("label", OpenText)],
    ),
    table(
        "shade.people",
        2,
        &[("id", OpenInt), ("name", OpenText), ("city", OpenText)],
    ),
    table(
        "parcels_old",
        0,
        &[
            ("id", OpenInt),
            ("secret_address", Secret(Kind::Text)),
            ("weight", OpenInt),
        ],
    ),
    table(
        "people_plain",
        0,
        &[("id", OpenInt), ("name", OpenText), ("city", OpenText)],
    ),
    table(
        "people_view",
        0,
        &[
            ("id", OpenInt),
            ("name", OpenText),
            ("code", Secret(Kind::Text)),
            ("number", Secret(Kind::Int)),
            ("papers", Secret(Kind::Json)),
        ],
    ),
    table(
        "people_deep",
        0,
        &[
            ("id", OpenInt),
            ("loud", Secret(Kind::Text)),
            ("code", Secret(Kind::Text)),
            ("word", Secret(Kind::Text)),
            ("name", OpenText),
        ],
    ),
    table(
        "people_sums",
        0,
        &[
            ("heads", OpenInt),
            ("top", Secret(Kind::Bigint)),
            ("codes", Secret(Kind::Text)),
            ("city", OpenText),
        ],
    ),
    table(
        "people_guarded",
        0,
        &[
            ("id", OpenInt),
            ("code", Secret(Kind::Text)),
            ("name", OpenText),
        ],
    ),
    table(
        "people_whole",
        0,
        &[("id", OpenInt), ("document", Secret(Kind::Json))],
    ),
    table(
        "people_flags",
        0,
        &[("id", OpenInt), ("sort", Secret(Kind::Text))],
    ),
    table(
        "people_union",
        0,
        &[("id", OpenInt), ("word", Secret(Kind::Text))],
    ),
    table(
        "people_copy",
        0,
        &[
            ("id", OpenInt),
            ("code", Secret(Kind::Text)),
            ("amount", Secret(Kind::Numeric)),
            ("token", Secret(Kind::Uuid)),
        ],
    ),
];

/// Those that have rows of their own: they stand first.
pub(crate) fn tables_only() -> &'static [Table] {
    let end = TABLES.iter().position(|table| table.rows == 0).unwrap();
    &TABLES[..end]
}

/// The column `shouted` is written by the server: named here for reading only.
pub(crate) const GENERATED: (&str, &str) = ("people", "shouted");

/// Every masked column in turn, each NULL in one row of eleven on both sides.
fn secret(kind: Kind, number: u64, side: Side) -> Option<Canary> {
    (number % 11 != 10).then(|| canary(kind, number, side))
}

fn numbered() -> impl Iterator<Item = (&'static Table, usize, u64)> {
    TABLES.iter().enumerate().flat_map(|(place, table)| {
        (0..table.rows).map(move |row| (table, row, (place * 1_000 + row * 40) as u64))
    })
}

/// Values of the last row of `people` that the client guesses: numbers and kinds. Nobody looks for them in what comes back, since
/// the client writes them itself; that a guess was right shows as a difference between the sides.
const GUESSED: &[(&str, Kind, u64)] = &[
    ("{text}", Kind::Text, 204),
    ("{int}", Kind::Int, 207),
    ("{uuid}", Kind::Uuid, 210),
    ("{date}", Kind::Date, 211),
];

/// Puts right guesses of the left side's values into a text.
pub(crate) fn with_guesses(template: &str) -> String {
    GUESSED
        .iter()
        .fold(template.to_owned(), |text, (mark, kind, number)| {
            text.replace(mark, &canary(*kind, *number, Side::Left).literal)
        })
}

/// Every canary of a side, but for the guessed ones.
pub(crate) fn canaries(side: Side) -> Vec<Canary> {
    numbered()
        .flat_map(|(table, _, number)| {
            let columns = table.columns.iter().zip(number..);
            columns
                .filter(|(_, number)| GUESSED.iter().all(|(.., guessed)| guessed != number))
                .filter_map(move |((_, holds), number)| match holds {
                    Secret(kind) => secret(*kind, number, side),
                    OpenText | OpenInt | OpenDate => None,
                })
                .collect::<Vec<_>>()
        })
        .collect()
}

/// Tables with no rows of their own that a script may fill, each with what else can be written when it is.
const SINKS: &[&str] = &["links", "inbox", "mailbox", "drop_box", "echo", "guarded"];

/// Where one of these stands, anything may have been written.
const WIDE: &[&str] = &[
    "update people",
    "into people",
    "from people where id",
    "delete from people",
    "copy people",
    "people_",
    "update \"people",
    "public.people set",
    "persons",
    "do $",
    "call ",
    "execute",
    "search_path",
    "u&\"",
    "schema",
    "alter",
    "create",
    "rollback",
    "commit",
];

/// What is to be made anew after some statements.
pub(crate) fn touched(sql: &str) -> Vec<&'static str> {
    let sql = sql.to_lowercase();
    // Cascades, rules and triggers write beside what is named; whatever is not plain SQL may write anything.
    let anything = WIDE.iter().any(|word| sql.contains(word));
    let names = every_table();
    let of_people = ["people", "accounts", "links"];
    let people = anything || sql.contains("people");
    names
        .filter(|name| {
            anything
                || *name == "inbox"
                || (people && of_people.contains(name))
                || sql.contains(name.rsplit('.').next().unwrap_or(name))
        })
        .collect()
}

/// All that have rows.
pub(crate) fn every_table() -> impl Iterator<Item = &'static str> {
    let filled = TABLES.iter().filter(|table| table.rows > 0);
    filled.map(|table| table.name).chain(SINKS.iter().copied())
}

/// Takes away what a script may have made.
const CLEAR_LOOT: &str = "DO $$ DECLARE loot record; BEGIN
        FOR loot IN SELECT oid::regclass AS name, relkind AS kind FROM pg_class
            WHERE relname LIKE 'loot%' AND relkind IN ('r', 'v', 'm') AND relpersistence <> 't' LOOP
            EXECUTE format('DROP %s IF EXISTS %s CASCADE',
                CASE loot.kind WHEN 'v' THEN 'VIEW' WHEN 'm' THEN 'MATERIALIZED VIEW' ELSE 'TABLE' END, loot.name);
        END LOOP; PERFORM lo_unlink(oid) FROM pg_largeobject_metadata; END $$; DROP FUNCTION IF EXISTS loot_fn();";

/// Empties tables and fills them again; the same rows each time.
pub(crate) fn fill(side: Side, tables: &[&str]) -> String {
    let mut sql = format!(
        "SET search_path = public;
        {CLEAR_LOOT}
        TRUNCATE {} RESTART IDENTITY CASCADE;\n",
        tables.join(", ")
    );
    for (table, row, number) in numbered().filter(|(table, ..)| tables.contains(&table.name)) {
        let names: Vec<&str> = table.columns.iter().map(|(name, _)| *name).collect();
        let values: Vec<String> = table
            .columns
            .iter()
            .zip(number..)
            .map(|((name, holds), number)| match holds {
                Secret(kind) => {
                    secret(*kind, number, side).map_or("NULL".to_owned(), |canary| canary.literal)
                }
                OpenInt if *name == "owner_id" => (row % 3 + 1).to_string(),
                OpenInt => (row + 1 + if table.name == "staff" { 10 } else { 0 }).to_string(),
                OpenText => format!(
                    "'{} {}'",
                    ["Ada", "Bob", "Cyd", "Dan"][row % 4],
                    name.trim_matches('"')
                ),
                OpenDate => ["'2023-05-06'", "'2026-05-06'"][row % 2].to_owned(),
            })
            .collect();
        sql += &format!(
            "INSERT INTO {} ({}) VALUES ({});\n",
            table.name,
            names.join(", "),
            values.join(", ")
        );
    }
    if tables.contains(&"people") {
        sql += "INSERT INTO links SELECT id, secret_text, name FROM people WHERE id < 4; REFRESH MATERIALIZED VIEW people_copy;\n";
    }
    sql + "INSERT INTO inbox (any_text, any_int, any_list, any_json) VALUES ('mine', 1, '{a,b}', '{\"a\": 1}'), ('yours', 2, NULL, NULL);\n"
}
