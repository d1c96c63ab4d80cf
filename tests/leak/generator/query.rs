//! Queries: what stands in FROM, what is selected, and everything around it.

pub(crate) use super::expression::Type;
use super::expression::type_of;
use crate::{
    canary::Kind,
    random::Random,
    tables::{GENERATED, Holds, TABLES, tables_only},
};

/// How deep queries stand in queries.
const DEPTH_MAX: usize = 3;

#[derive(Debug, Clone)]
pub(crate) struct Column {
    pub(crate) name: String,
    pub(crate) holds: Holds,
}

/// Something in FROM, under its alias.
#[derive(Debug, Clone)]
pub(crate) struct Relation {
    pub(crate) alias: String,
    pub(crate) columns: Vec<Column>,
}

/// Makes the parts of one script.
pub(crate) struct Maker<'r> {
    pub(crate) random: &'r mut Random,
    /// No views, no functions of users and no predicates on masked columns: half of all scripts, so that much of what is
    /// made is allowed, and masks are what stands between its results and the client.
    pub(crate) tame: bool,
    aliases: usize,
    depth: usize,
    /// CTEs in sight.
    ctes: Vec<(String, Vec<Column>)>,
}

/// A query and the columns that it gives.
pub(crate) struct Query {
    pub(crate) sql: String,
    pub(crate) columns: Vec<Column>,
}

/// What a made expression holds when another query reads it.
const fn holds(of: Type) -> Holds {
    Holds::Secret(match of {
        Type::Text | Type::Row | Type::Flag => Kind::Text,
        Type::Int => Kind::Int,
        Type::Bigint => Kind::Bigint,
        Type::Numeric => Kind::Numeric,
        Type::Uuid => Kind::Uuid,
        Type::Date => Kind::Date,
        Type::Time => Kind::Time,
        Type::Inet => Kind::Inet,
        Type::Json => Kind::Json,
        Type::List => Kind::List,
        Type::Bytes => Kind::Bytes,
        Type::Xml => Kind::Xml,
        Type::Pair => Kind::Pair,
    })
}

impl<'r> Maker<'r> {
    pub(crate) fn new(random: &'r mut Random) -> Self {
        let tame = random.chance(55);
        Self {
            random,
            tame,
            aliases: 0,
            depth: 0,
            ctes: Vec::new(),
        }
    }

    fn alias(&mut self) -> String {
        self.aliases += 1;
        format!("t{}", self.aliases)
    }

    /// A name that can be read, masked columns preferred.
    pub(crate) fn table(&mut self) -> (String, Vec<Column>) {
        let among = if self.tame { tables_only() } else { TABLES };
        let table = if self.random.chance(45) {
            &TABLES[0]
        } else {
            self.random.pick(among)
        };
        let mut columns: Vec<Column> = table
            .columns
            .iter()
            .map(|(name, holds)| Column {
                name: (*name).to_owned(),
                holds: *holds,
            })
            .collect();
        if table.name == GENERATED.0 {
            columns.push(Column {
                name: GENERATED.1.to_owned(),
                holds: Holds::Secret(Kind::Text),
            });
        }
        let name = if table.name.contains('.') {
            table.name.to_owned()
        } else {
            match self.random.below(8) {
                0 => format!("public.{}", table.name),
                1 => format!("\"{}\"", table.name),
                2 => table.name.to_uppercase(),
                3 => format!("public . \"{}\" ", table.name),
                _ => table.name.to_owned(),
            }
        };
        (name, columns)
    }

    /// One thing in FROM.
    fn item(&mut self, scope: &[Relation]) -> (String, Relation) {
        let alias = self.alias();
        let choice = if self.depth >= DEPTH_MAX {
            0
        } else {
            self.random.below(20)
        };
        if !self.ctes.is_empty() && self.random.chance(50) {
            let (name, columns) = self.random.pick(&self.ctes).clone();
            return (format!("{name} AS {alias}"), Relation { alias, columns });
        }
        match choice {
            12 | 13 => {
                let query = self.query(&[]);
                (
                    format!("({}) AS {alias}", query.sql),
                    Relation {
                        alias,
                        columns: query.columns,
                    },
                )
            }
            14 if !scope.is_empty() => {
                let query = self.query(scope);
                (
                    format!("LATERAL ({}) AS {alias}", query.sql),
                    Relation {
                        alias,
                        columns: query.columns,
                    },
                )
            }
            15 if !self.tame => self.function_item(alias),
            16 => {
                let (made, of) = self.expression(&[]);
                (
                    format!("(VALUES (1, {made}), (2, NULL)) AS {alias} (id, v)"),
                    Relation {
                        alias,
                        columns: vec![
                            Column {
                                name: "id".to_owned(),
                                holds: Holds::OpenInt,
                            },
                            Column {
                                name: "v".to_owned(),
                                holds: holds(of),
                            },
                        ],
                    },
                )
            }
            17 => self.renamed(alias),
            _ => {
                let (name, columns) = self.table();
                let only = if self.random.chance(5) { "ONLY " } else { "" };
                let star = if only.is_empty() && self.random.chance(3) {
                    " *"
                } else {
                    ""
                };
                let sample = if self.random.chance(3)
                    && !name.contains("people_")
                    && !name.contains("PEOPLE_")
                {
                    " TABLESAMPLE BERNOULLI (100) REPEATABLE (1)"
                } else {
                    ""
                };
                (
                    format!("{only}{name}{star} AS {alias}{sample}"),
                    Relation { alias, columns },
                )
            }
        }
    }

    /// Column aliases that trade places.
    fn renamed(&mut self, alias: String) -> (String, Relation) {
        let (name, columns) = self.table();
        let renamed: Vec<Column> = columns
            .iter()
            .enumerate()
            .map(|(place, column)| Column {
                name: format!("c{place}"),
                holds: column.holds,
            })
            .collect();
        let names: Vec<&str> = renamed.iter().map(|column| column.name.as_str()).collect();
        (
            format!("{name} AS {alias} ({})", names.join(", ")),
            Relation {
                columns: renamed,
                alias,
            },
        )
    }

    fn function_item(&mut self, alias: String) -> (String, Relation) {
        let (template, columns): (&str, &[(&str, Holds)]) = *self.random.pick(&[
            ("secret_rows() AS {a}", &[("id", Holds::OpenInt), ("secret_text", Holds::Secret(Kind::Text))] as &[_]),
            ("first_secret() AS {a} (v)", &[("v", Holds::Secret(Kind::Text))]),
            ("generate_series(1, 2) AS {a} (id)", &[("id", Holds::OpenInt)]),
            ("unnest(ARRAY(SELECT secret_text FROM people)) WITH ORDINALITY AS {a} (v, id)", &[("v", Holds::Secret(Kind::Text)), ("id", Holds::OpenInt)]),
            ("unnest((SELECT array_agg(secret_int) FROM people)) AS {a} (v)", &[("v", Holds::Secret(Kind::Int))]),
            ("jsonb_each_text((SELECT to_jsonb(p) FROM people AS p LIMIT 1)) AS {a} (k, v)", &[("k", Holds::OpenText), ("v", Holds::Secret(Kind::Text))]),
            ("jsonb_array_elements((SELECT jsonb_agg(secret_json) FROM people)) AS {a} (v)", &[("v", Holds::Secret(Kind::Json))]),
            ("ROWS FROM (generate_series(1, 2), unnest((SELECT secret_list FROM people LIMIT 1))) AS {a} (id, v)", &[("id", Holds::OpenInt), ("v", Holds::Secret(Kind::Text))]),
            ("regexp_split_to_table((SELECT string_agg(secret_text, ',') FROM people), ',') AS {a} (v)", &[("v", Holds::Secret(Kind::Text))]),
            ("jsonb_to_recordset((SELECT jsonb_agg(p) FROM people AS p)) AS {a} (id int, secret_text text)", &[("id", Holds::OpenInt), ("secret_text", Holds::Secret(Kind::Text))]),
            ("xmltable('/v' PASSING (SELECT secret_xml FROM people LIMIT 1) COLUMNS v text PATH '.') AS {a}", &[("v", Holds::Secret(Kind::Text))]),
            ("(SELECT (p).* FROM people AS p) AS {a}", &[("id", Holds::OpenInt), ("secret_text", Holds::Secret(Kind::Text))]),
            ("(SELECT (secret_pair).* FROM people) AS {a}", &[("label", Holds::Secret(Kind::Text)), ("amount", Holds::Secret(Kind::Bigint))]),
            ("json_populate_recordset(NULL::people, (SELECT json_agg(p) FROM people AS p)) AS {a}", &[("id", Holds::OpenInt), ("secret_text", Holds::Secret(Kind::Text))]),
        ]);
        let columns = columns
            .iter()
            .map(|(name, holds)| Column {
                name: (*name).to_owned(),
                holds: *holds,
            })
            .collect();
        (template.replace("{a}", &alias), Relation { alias, columns })
    }

    /// FROM with one to three things, and what they bring into scope.
    pub(crate) fn from(&mut self, outer: &[Relation]) -> (String, Vec<Relation>) {
        let (mut sql, first) = self.item(&[]);
        let mut scope = vec![first];
        for _ in 0..*self.random.pick(&[0, 0, 0, 0, 1, 1, 2]) {
            let (more, relation) = self.item(&scope);
            let shared: Vec<&str> = scope
                .iter()
                .flat_map(|known| &known.columns)
                .filter(|column| {
                    relation
                        .columns
                        .iter()
                        .any(|other| other.name == column.name)
                })
                .map(|column| column.name.as_str())
                .collect();
            let lateral = more.starts_with("LATERAL");
            sql = match self.random.below(8) {
                2 => format!("{sql}, {more}"),
                choice if self.tame && choice < 4 => format!("{sql} CROSS JOIN {more}"),
                0 if !shared.is_empty() && !lateral => {
                    let by = if self.random.chance(80) && shared.contains(&"id") {
                        "id"
                    } else {
                        shared[0]
                    };
                    format!("{sql} JOIN {more} USING ({by})")
                }
                1 if !lateral => format!("{sql} NATURAL LEFT JOIN {more}"),
                3 if !lateral => format!("{sql} FULL JOIN {more} ON true"),
                _ => {
                    let left = Self::open_int(&scope);
                    let right = Self::open_int(std::slice::from_ref(&relation));
                    format!("{sql} LEFT JOIN {more} ON {left} = {right}")
                }
            };
            scope.push(relation);
        }
        scope.extend(outer.iter().cloned());
        (sql, scope)
    }

    fn open_int(scope: &[Relation]) -> String {
        scope
            .iter()
            .flat_map(|relation| {
                relation
                    .columns
                    .iter()
                    .map(move |column| (relation, column))
            })
            .find(|(_, column)| column.holds == Holds::OpenInt)
            .map_or("1".to_owned(), |(relation, column)| {
                format!("{}.{}", relation.alias, column.name)
            })
    }

    /// A query, correlated with `outer`.
    pub(crate) fn query(&mut self, outer: &[Relation]) -> Query {
        self.depth += 1;
        let known = self.ctes.len();
        let with = if self.depth == 1 && self.random.chance(25) {
            self.with()
        } else {
            String::new()
        };
        let mut query = if self.random.chance(12) {
            self.combined(outer)
        } else {
            self.select(outer)
        };
        self.ctes.truncate(known);
        query.sql = format!("{with}{}", query.sql);
        self.depth -= 1;
        query
    }

    /// WITH: plain, recursive or one that writes.
    fn with(&mut self) -> String {
        let name = format!("w{}", self.aliases);
        self.aliases += 1;
        let (sql, columns) = match self.random.below(8) {
            0 => (
                format!("WITH RECURSIVE {name} (id, v) AS (SELECT 1, secret_text FROM people WHERE id = 1 UNION ALL SELECT {name}.id + 1, p.secret_text FROM {name} JOIN people AS p ON p.id = {name}.id + 1) "),
                vec![("id", Holds::OpenInt), ("v", Holds::Secret(Kind::Text))],
            ),
            1 => (
                format!("WITH {name} AS (UPDATE people SET city = city RETURNING id, secret_text AS v) "),
                vec![("id", Holds::OpenInt), ("v", Holds::Secret(Kind::Text))],
            ),
            2 => (
                format!("WITH {name} AS (INSERT INTO inbox (any_text) SELECT secret_text FROM people RETURNING id, any_text AS v) "),
                vec![("id", Holds::OpenInt), ("v", Holds::Secret(Kind::Text))],
            ),
            3 => (
                format!("WITH {name} AS (DELETE FROM accounts WHERE id > 0 RETURNING *) "),
                vec![("id", Holds::OpenInt), ("secret_iban", Holds::Secret(Kind::Text))],
            ),
            4 => (
                // A CTE that has a table's name.
                "WITH people AS (SELECT id, secret_iban AS name, secret_iban AS secret_text FROM accounts) ".to_owned(),
                vec![("id", Holds::OpenInt), ("name", Holds::Secret(Kind::Text))],
            ),
            _ => {
                let query = self.query(&[]);
                let materialized = self.random.word(&["", "MATERIALIZED ", "NOT MATERIALIZED "]);
                let sql = format!("WITH {name} AS {materialized}({}) ", query.sql);
                self.ctes.push((name, query.columns));
                return sql;
            }
        };
        let name = if sql.starts_with("WITH people") {
            "people".to_owned()
        } else {
            name
        };
        let columns = columns
            .into_iter()
            .map(|(name, holds)| Column {
                name: name.to_owned(),
                holds,
            })
            .collect();
        self.ctes.push((name, columns));
        sql
    }

    /// A set operation of two queries with one text column each.
    fn combined(&mut self, outer: &[Relation]) -> Query {
        let arms: Vec<String> = (0..2)
            .map(|_| {
                let (from, scope) = self.from(outer);
                let (made, _) = self.expression(&scope);
                let condition = self.condition(&scope);
                if self.random.chance(20) {
                    format!("(VALUES ({}))", self.expression(&[]).0)
                } else {
                    format!("SELECT ({made})::text AS v FROM {from} WHERE {condition}")
                }
            })
            .collect();
        let compared = [
            "UNION",
            "EXCEPT",
            "EXCEPT ALL",
            "INTERSECT",
            "INTERSECT ALL",
        ];
        let operator = if self.tame || self.random.chance(40) {
            "UNION ALL"
        } else {
            self.random.word(&compared)
        };
        Query {
            sql: format!("{} {operator} {}", arms[0], arms[1]),
            columns: vec![Column {
                name: "v".to_owned(),
                holds: Holds::Secret(Kind::Text),
            }],
        }
    }

    fn select(&mut self, outer: &[Relation]) -> Query {
        let (from, scope) = self.from(outer);
        if self.random.chance(14) {
            return self.grouped(&from, &scope);
        }
        // Stars first: they are what people write.
        if self.depth == 1 && self.random.chance(10) {
            let star = match self.random.below(3) {
                0 => "*".to_owned(),
                1 => format!("{}.*", scope[0].alias),
                _ => format!("({}).*", scope[0].alias),
            };
            let condition = self.condition(&scope);
            let tail = self.tail(&scope);
            return Query {
                sql: format!("SELECT {star} FROM {from} WHERE {condition}{tail}"),
                columns: scope[0].columns.clone(),
            };
        }
        let mut columns = Vec::new();
        let mut items = Vec::new();
        for place in 0..1 + self.random.below(3) {
            let (made, of) = if self.random.chance(10) {
                self.window(&scope)
            } else {
                self.expression(&scope)
            };
            items.push(format!("{made} AS c{place}"));
            columns.push(Column {
                name: format!("c{place}"),
                holds: holds(of),
            });
        }
        let open = Self::open_int(&scope);
        items.push(format!("{open} AS id"));
        columns.push(Column {
            name: "id".to_owned(),
            holds: Holds::OpenInt,
        });
        let distinct = match self.random.below(40) {
            0 => "DISTINCT ".to_owned(),
            1 => format!("DISTINCT ON ({open}) "),
            _ => String::new(),
        };
        let condition = self.condition(&scope);
        let window = format!(" WINDOW w AS (ORDER BY {open})");
        let window = if items.iter().any(|item| item.contains("OVER w")) {
            window
        } else {
            String::new()
        };
        let tail = self.tail(&scope);
        Query {
            sql: format!(
                "SELECT {distinct}{} FROM {from} WHERE {condition}{window}{tail}",
                items.join(", ")
            ),
            columns,
        }
    }

    fn grouped(&mut self, from: &str, scope: &[Relation]) -> Query {
        let items: Vec<(String, Type)> = (0..1 + self.random.below(2))
            .map(|_| self.aggregate(scope))
            .collect();
        let open = Self::open_int(scope);
        let by = match self.random.below(if self.tame { 3 } else { 10 }) {
            0 => format!(" GROUP BY {open}"),
            1 => format!(" GROUP BY ROLLUP ({open})"),
            2 => format!(" GROUP BY GROUPING SETS (({open}), ())"),
            3 => format!(" GROUP BY {}", self.expression(scope).0),
            4 => " HAVING count(*) > 0".to_owned(),
            5 => format!(" HAVING {} IS NOT NULL", self.aggregate(scope).0),
            _ => String::new(),
        };
        let condition = self.condition(scope);
        let mut columns = Vec::new();
        let list: Vec<String> = items
            .into_iter()
            .enumerate()
            .map(|(place, (made, of))| {
                columns.push(Column {
                    name: format!("c{place}"),
                    holds: holds(of),
                });
                format!("{made} AS c{place}")
            })
            .collect();
        Query {
            sql: format!(
                "SELECT {} FROM {from} WHERE {condition}{by}",
                list.join(", ")
            ),
            columns,
        }
    }

    /// ORDER BY, LIMIT and locks.
    fn tail(&mut self, scope: &[Relation]) -> String {
        let open = Self::open_int(scope);
        let choices = if self.tame { 7 } else { 30 };
        match self.random.below(choices) {
            0..=3 => format!(" ORDER BY {open}"),
            4 => format!(" ORDER BY {open} DESC NULLS LAST LIMIT 2"),
            5 => " LIMIT 3 OFFSET 1".to_owned(),
            6 => format!(" ORDER BY {open} FETCH FIRST 2 ROWS WITH TIES"),
            7 => " ORDER BY 1".to_owned(),
            8 => format!(" ORDER BY {}", self.expression(scope).0),
            9 if self.depth == 1 => " FOR UPDATE".to_owned(),
            10 => format!(" ORDER BY {open} USING <"),
            11 => format!(" LIMIT (SELECT {})", self.expression(&[]).0),
            _ => String::new(),
        }
    }

    /// An expression of a type that a sink's column can take, and that column.
    pub(crate) fn for_sink(&mut self, scope: &[Relation]) -> (String, &'static str) {
        let (made, of) = self.expression(scope);
        let column = match of {
            Type::Text | Type::Row => "any_text",
            Type::Int | Type::Bigint => "any_int",
            Type::Numeric => "any_numeric",
            Type::Uuid => "any_uuid",
            Type::Date => "any_date",
            Type::Time => "any_time",
            Type::Inet => "any_inet",
            Type::Json => "any_json",
            Type::List => "any_list",
            Type::Bytes => "any_bytes",
            Type::Xml => "any_xml",
            Type::Pair => "any_pair",
            Type::Flag => "any_flag",
        };
        (made, column)
    }

    /// The type that a column of a table has, for casts.
    pub(crate) fn secret_column(&mut self) -> (&'static str, Type) {
        let secrets: Vec<_> = TABLES[0]
            .columns
            .iter()
            .filter(|(_, holds)| matches!(holds, Holds::Secret(_)))
            .collect();
        let (name, holds) = **self.random.pick(&secrets);
        (name, type_of(holds))
    }
}
