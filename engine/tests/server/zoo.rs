//! The zoo: a small database that random statements ask about, with data that can be made again with some values changed.

use std::{collections::BTreeMap, sync::Arc};

use provost_engine::catalog::{CATALOG_QUERY, Catalog};

use crate::{
    choices::Choices,
    generate::{Table, Type},
    postgres::Cluster,
    regress,
    wire::{Answer, Client},
};

/// How many of [`tables`] can be written.
pub(crate) const TABLES: usize = 7;

/// Every relation of the zoo that statements name, those that can be written first.
pub(crate) fn tables() -> Vec<Table> {
    let table = |name: &str, columns: &str| {
        let columns = columns
            .split(", ")
            .map(|column| match column.strip_suffix('#') {
                Some(name) => (name.to_owned(), Type::Int),
                None => (column.to_owned(), Type::Text),
            });
        Table {
            name: name.to_owned(),
            columns: columns.collect(),
        }
    };
    vec![
        table("people", "id#, name, city, age#, boss#"),
        table("orders", "id#, person#, amount#, note, total#"),
        table("yard.items", "id#, sku, amount#, name"),
        table("\"Odd Name\"", "\"Id\"#, \"a b\", c#"),
        table("animals", "a#, b, c#"),
        table("birds", "a#, b, c#, wings#"),
        table("events", "k#, who, w#"),
        table("adults", "id#, n, older#"),
        table("sales", "x#, y#, z"),
        table("by_name", "n, how_many#, m#"),
        table("everyone", "id#, name"),
        table("starred", "id#, sku, amount#, name, person#"),
        table("yard.nested", "k#, who, seller"),
        table("kept", "id#, city, age#"),
    ]
}

/// Where values are stored.
const STORES: [(&str, &str, &str); 9] = [
    ("public", "people", "id#, name, city, age#, boss#"),
    ("public", "orders", "id#, person#, amount#, note"),
    ("yard", "items", "id#, sku, amount#, name"),
    ("public", "Odd Name", "Id#, a b, c#"),
    ("public", "animals", "a#, b, c#"),
    ("public", "birds", "a#, b, c#, wings#"),
    ("public", "parrots", "word, c#, b, a#, wings#"),
    ("public", "events_low", "k#, who, w#"),
    ("public", "events_rest", "w#, who, k#"),
];

/// A stored column.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Base {
    pub(crate) relation_oid: u32,
    pub(crate) attribute: i16,
    store: usize,
    place: usize,
    name: String,
}

impl Base {
    pub(crate) fn label(&self) -> String {
        format!("{}.{}", STORES[self.store].1, self.name)
    }
}

/// Values of every store: rows of columns.
pub(crate) type Data = BTreeMap<usize, Vec<Vec<Option<String>>>>;

/// A server with the zoo, and a connection to it.
pub(crate) struct Zoo {
    pub(crate) client: Client,
    pub(crate) catalog: Catalog,
    pub(crate) search_path: Vec<Arc<str>>,
    pub(crate) bases: Vec<Base>,
    // Last: dropped after the connection.
    _cluster: Cluster,
}

impl Zoo {
    pub(crate) fn open() -> Self {
        let cluster = regress::cluster();
        cluster.execute("postgres", "CREATE DATABASE zoo").unwrap();
        cluster.execute("zoo", include_str!("zoo.sql")).unwrap();
        let mut client = Client::connect(&cluster, "zoo");
        let catalog = catalog(&mut client);
        // Plans must hang on nothing but the statement.
        client.run(
            "SET max_parallel_workers_per_gather = 0; SET jit = off; SET statement_timeout = '5s'",
        );
        let bases = bases(&catalog);
        Self {
            client,
            catalog,
            search_path: vec!["pg_catalog".into(), "public".into()],
            bases,
            _cluster: cluster,
        }
    }

    /// The server's major version.
    pub(crate) fn major(&self) -> u32 {
        self.catalog.server_version_num() / 10_000
    }

    /// Reads the catalog anew.
    pub(crate) fn refresh(&mut self) {
        self.catalog = catalog(&mut self.client);
        self.bases = bases(&self.catalog);
    }

    /// Stores `data`, of these stores, inside a transaction or for good.
    pub(crate) fn load(&mut self, data: &Data, stores: impl IntoIterator<Item = usize>) -> Answer {
        let mut sql = String::new();
        for store in stores {
            let (schema, name, columns) = STORES[store];
            let names: Vec<String> = columns
                .split(", ")
                .map(|column| format!("\"{}\"", column.trim_end_matches('#')))
                .collect();
            let rows: Vec<String> = data[&store]
                .iter()
                .map(|row| {
                    let values: Vec<String> = row
                        .iter()
                        .map(|value| {
                            value
                                .as_ref()
                                .map_or_else(|| "NULL".to_owned(), |value| format!("'{value}'"))
                        })
                        .collect();
                    format!("({})", values.join(", "))
                })
                .collect();
            sql += &format!(
                "TRUNCATE ONLY {schema}.\"{name}\"; INSERT INTO {schema}.\"{name}\" ({}) VALUES {};",
                names.join(", "),
                rows.join(", ")
            );
            if name == "people" {
                sql += "REFRESH MATERIALIZED VIEW kept;";
            }
        }
        self.client.query(&sql)
    }

    /// The outcome of a query on data where some columns have other values. `None` when such data can't be stored.
    pub(crate) fn with(
        &mut self,
        data: &Data,
        changed: &[Base],
        sql: &str,
        choices: &mut Choices,
    ) -> Option<Answer> {
        let mut other = data.clone();
        for base in changed {
            fill(&mut other, base, choices);
        }
        let mut stores: Vec<usize> = changed.iter().map(|base| base.store).collect();
        stores.dedup();
        self.client.run("BEGIN");
        let loaded = self.load(&other, stores);
        let answer = loaded.error.is_none().then(|| self.client.query(sql));
        self.client.run("ROLLBACK");
        answer
    }
}

fn catalog(client: &mut Client) -> Catalog {
    let answer = client.run(CATALOG_QUERY);
    let json = answer.statements.last().unwrap().rows[0][0]
        .clone()
        .unwrap();
    Catalog::from_answer(&json).unwrap()
}

fn bases(catalog: &Catalog) -> Vec<Base> {
    let mut bases = Vec::new();
    for (store, (schema, name, columns)) in STORES.into_iter().enumerate() {
        let relation = catalog.relation_named(schema, name).unwrap();
        for (place, column) in columns.split(", ").enumerate() {
            let column = relation.column(column.trim_end_matches('#')).unwrap();
            bases.push(Base {
                relation_oid: relation.oid,
                attribute: column.attribute,
                store,
                place,
                name: column.name.to_string(),
            });
        }
    }
    bases
}

/// New values for one column, unlike most of the old ones.
fn fill(data: &mut Data, base: &Base, choices: &mut Choices) {
    let rows = data.get_mut(&base.store).unwrap();
    let mut free: Vec<u32> = (0..10).collect();
    for row in rows {
        row[base.place] = value(base, choices, &mut free);
    }
}

fn value(base: &Base, choices: &mut Choices, free: &mut Vec<u32>) -> Option<String> {
    let (_, table, columns) = STORES[base.store];
    let column = columns.split(", ").nth(base.place).unwrap();
    let number = match (table, column) {
        ("orders", "id#") => {
            let place = choices.below(u32::try_from(free.len()).unwrap());
            return Some(free.remove(place as usize).to_string());
        }
        ("events_low", "k#") => return Some(choices.below(2).to_string()),
        ("events_rest", "k#") => 2 + choices.below(3),
        _ => choices.below(5),
    };
    if choices.once_in(7) {
        return None;
    }
    Some(if column.ends_with('#') {
        number.to_string()
    } else {
        choices.pick(&["a", "b", "c", "d", "e"]).to_owned()
    })
}

/// Rows for every store.
pub(crate) fn random_data(bases: &[Base], choices: &mut Choices) -> Data {
    let mut data = Data::new();
    for (store, (_, _, columns)) in STORES.iter().enumerate() {
        let width = columns.split(", ").count();
        let rows = 4 + choices.below(4) as usize;
        data.insert(store, vec![vec![None; width]; rows]);
    }
    for base in bases {
        fill(&mut data, base, choices);
    }
    data
}
