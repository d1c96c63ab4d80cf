//! Random statements over the zoo: joins of every sort, subqueries wherever they may stand, views, inheritance, partitions,
//! shadowing names, sets, grouping, windows, writes. A statement may be wrong; the server says so, and it is left out.

mod expression;
mod from;
mod write;

use crate::choices::Choices;

/// The types of the zoo's columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Type {
    Int,
    Text,
}

/// A relation that can stand in FROM: its name as written, its columns as written.
#[derive(Debug, Clone)]
pub(crate) struct Table {
    pub(crate) name: String,
    pub(crate) columns: Vec<(String, Type)>,
}

/// Something in FROM: how its columns are named, and whether by its alias or alone.
#[derive(Debug, Clone)]
struct Bound {
    /// `None` for the merged columns of a join, which have no other name.
    alias: Option<String>,
    columns: Vec<(String, Type)>,
}

pub(crate) struct Generator<'a> {
    choices: &'a mut Choices,
    tables: &'a [Table],
    /// Relations of WITH that are in sight, the nearest last.
    common: Vec<Table>,
    /// What is in sight, the nearest level last.
    scopes: Vec<Vec<Bound>>,
    names: u32,
    /// How much text there may still be.
    fuel: u32,
}

/// How large a statement may get, in expressions and relations: mostly small, for the server refuses most of what is large.
const FUELS: [u32; 4] = [5, 8, 14, 30];

impl<'a> Generator<'a> {
    pub(crate) fn new(choices: &'a mut Choices, tables: &'a [Table]) -> Self {
        let fuel = choices.pick(&FUELS);
        Self {
            choices,
            tables,
            common: Vec::new(),
            scopes: Vec::new(),
            names: 0,
            fuel,
        }
    }

    /// A SELECT.
    pub(crate) fn read(&mut self) -> String {
        self.query(None).0
    }

    /// A SELECT that gives one row for each row of a table, whatever is in it; its first column says which.
    pub(crate) fn read_each_row(&mut self) -> String {
        let tables: Vec<Table> = self
            .tables
            .iter()
            .take(crate::zoo::TABLES)
            .cloned()
            .collect();
        let table = self.choices.pick(&tables);
        let alias = self.name("t");
        self.scopes.push(vec![Bound {
            alias: Some(alias.clone()),
            columns: table.columns.clone(),
        }]);
        let mut targets = vec![format!(
            "{alias}.tableoid::int::text || {alias}.ctid::text AS row"
        )];
        for place in 0..=self.choices.below(2) {
            let of = self.typed();
            // One window at most: the order that one leaves its rows in decides between equals of the next.
            let value = if place == 0 && self.choices.once_in(3) {
                self.window(of)
            } else {
                self.value(of)
            };
            targets.push(format!("{value} AS {}", self.name("c")));
        }
        self.scopes.pop();
        format!(
            "SELECT {} FROM {} AS {alias}",
            targets.join(", "),
            table.name
        )
    }

    /// Whether the next statement is to write.
    pub(crate) fn writes(&mut self) -> bool {
        self.choices.once_in(3)
    }

    fn burn(&mut self) -> bool {
        self.fuel = self.fuel.saturating_sub(1);
        self.fuel > 0
    }

    /// A new name; sometimes one that needs quotes, or that hides a table.
    fn name(&mut self, prefix: &str) -> String {
        self.names += 1;
        match self.choices.below(12) {
            10 => format!("\"{prefix} {}\"", self.names),
            11 => format!("\"{}{}\"", prefix.to_uppercase(), self.names),
            _ => format!("{prefix}{}", self.names),
        }
    }

    fn typed(&mut self) -> Type {
        self.choices.pick(&[Type::Int, Type::Text])
    }

    /// A query with columns of these types, or of any.
    fn query(&mut self, types: Option<&[Type]>) -> (String, Vec<(String, Type)>) {
        let known = self.common.len();
        let with = if self.choices.once_in(5) {
            self.with()
        } else {
            String::new()
        };
        let (mut sql, columns) = self.select(types);
        let types: Vec<Type> = columns.iter().map(|(_, of)| *of).collect();
        let mut is_set = false;
        while self.choices.once_in(6) && self.burn() {
            let word =
                self.choices
                    .pick(&["UNION ALL", "UNION", "INTERSECT", "EXCEPT", "EXCEPT ALL"]);
            let (right, _) = self.select(Some(&types));
            sql = if self.choices.once_in(3) {
                format!("({sql}) {word} ({right})")
            } else {
                format!("{sql} {word} {right}")
            };
            is_set = true;
        }
        if !sql.starts_with("SELECT DISTINCT ON") && self.choices.once_in(3) {
            let place = self.choices.below(u32::try_from(columns.len()).unwrap()) + 1;
            let order = self
                .choices
                .pick(&["", " DESC", " DESC NULLS LAST", " NULLS FIRST"]);
            let by = if self.choices.once_in(2) {
                place.to_string()
            } else {
                columns[place as usize - 1].0.clone()
            };
            sql = format!("{sql} ORDER BY {by}{order}");
            if self.choices.once_in(2) {
                sql += &format!(" LIMIT {}", self.choices.below(4) + 1);
            } else if self.choices.once_in(6) {
                sql += " FETCH FIRST 2 ROWS WITH TIES";
            }
        } else if !is_set && self.choices.once_in(12) {
            sql += " OFFSET 1";
        }
        self.common.truncate(known);
        (with + &sql, columns)
    }

    /// WITH; what it names is in sight until the caller truncates.
    fn with(&mut self) -> String {
        let mut parts = Vec::new();
        let recursive = self.choices.once_in(4);
        for _ in 0..=self.choices.below(2) {
            // One in six hides a table of the zoo.
            let name = if self.choices.once_in(6) {
                self.choices
                    .pick(&["people", "orders", "adults", "events"])
                    .to_owned()
            } else {
                self.name("w")
            };
            if recursive && self.choices.once_in(2) {
                parts.push(self.recursive(&name));
                continue;
            }
            // What stands in WITH sees nothing of the query around it but its own outer scopes.
            let (sql, columns) = self.query(None);
            let hint = self
                .choices
                .pick(&["", "", "MATERIALIZED ", "NOT MATERIALIZED "]);
            let (list, columns) = self.column_list(columns);
            parts.push(format!("{name}{list} AS {hint}({sql})"));
            self.common.push(Table { name, columns });
        }
        format!(
            "WITH {}{} ",
            if recursive { "RECURSIVE " } else { "" },
            parts.join(", ")
        )
    }

    fn recursive(&mut self, name: &str) -> String {
        let (seed, columns) = self.select(Some(&[Type::Int, Type::Text]));
        let columns = vec![
            ("depth".to_owned(), columns[0].1),
            ("word".to_owned(), columns[1].1),
        ];
        let table = self.any_table();
        let [number, text] = [Type::Int, Type::Text].map(|of| {
            table
                .columns
                .iter()
                .find(|(_, column)| *column == of)
                .cloned()
        });
        let text = text.map_or_else(|| "r.word".to_owned(), |(name, _)| format!("t.{name}"));
        let number = number.map_or_else(|| "1".to_owned(), |(name, _)| format!("t.{name}"));
        let sql = format!(
            "{name} (depth, word) AS ({seed} UNION SELECT r.depth + 1, {text} FROM {name} AS r JOIN {} AS t ON {number} = r.depth WHERE r.depth < 4)",
            table.name
        );
        self.common.push(Table {
            name: name.to_owned(),
            columns,
        });
        sql
    }

    /// New names for the first columns, now and then.
    fn column_list(&mut self, mut columns: Vec<(String, Type)>) -> (String, Vec<(String, Type)>) {
        if !self.choices.once_in(4) {
            return (String::new(), columns);
        }
        let count = self.choices.below(u32::try_from(columns.len()).unwrap()) + 1;
        for column in columns.iter_mut().take(count as usize) {
            column.0 = self.name("n");
        }
        let names: Vec<&str> = columns
            .iter()
            .take(count as usize)
            .map(|(name, _)| name.as_str())
            .collect();
        (format!(" ({})", names.join(", ")), columns)
    }

    /// One SELECT or VALUES.
    fn select(&mut self, types: Option<&[Type]>) -> (String, Vec<(String, Type)>) {
        let wanted: Vec<Type> = match types {
            Some(types) => types.to_vec(),
            None => (0..=self.choices.below(3)).map(|_| self.typed()).collect(),
        };
        self.scopes.push(Vec::new());
        let from = self.from();
        let mut sql = "SELECT ".to_owned();
        let mut columns = Vec::new();
        let filter = if self.choices.once_in(2) {
            format!(" WHERE {}", self.predicate())
        } else {
            String::new()
        };
        if self.choices.once_in(4) {
            self.grouped(&wanted, &mut sql, &mut columns, &from, &filter);
        } else {
            if self.choices.once_in(6) {
                sql += "DISTINCT ";
            } else if self.choices.once_in(10) {
                let of = self.typed();
                if let Some(by) = self.known_column(of) {
                    sql += &format!("DISTINCT ON ({by}) ");
                }
            }
            let mut targets = Vec::new();
            if types.is_none()
                && self.choices.once_in(8)
                && let Some((star, of)) = self.star()
            {
                targets.push(star);
                columns.extend(of);
            }
            for of in wanted {
                let name = self.name("c");
                let value = if self.choices.once_in(8) {
                    self.window(of)
                } else {
                    self.value(of)
                };
                targets.push(format!("{value} AS {name}"));
                columns.push((name, of));
            }
            sql += &format!("{}{from}{filter}", targets.join(", "));
        }
        self.scopes.pop();
        (sql, columns)
    }

    /// `*` or `alias.*` of this level, where the columns' names differ.
    fn star(&mut self) -> Option<(String, Vec<(String, Type)>)> {
        let bounds = self.scopes.last()?.clone();
        let bounds: Vec<Bound> = bounds
            .into_iter()
            .filter(|bound| bound.alias.is_some())
            .collect();
        if bounds.is_empty() {
            return None;
        }
        let bound = self.choices.pick(&bounds);
        Some((format!("{}.*", bound.alias?), bound.columns))
    }

    fn grouped(
        &mut self,
        wanted: &[Type],
        sql: &mut String,
        columns: &mut Vec<(String, Type)>,
        from: &str,
        filter: &str,
    ) {
        let mut keys: Vec<(String, Type)> = Vec::new();
        for _ in 0..self.choices.below(3) {
            let of = self.typed();
            keys.extend(self.known_column(of).map(|name| (name, of)));
        }
        let mut targets = Vec::new();
        for of in wanted {
            let name = self.name("c");
            let key: Vec<&(String, Type)> = keys.iter().filter(|(_, key)| key == of).collect();
            let value = if key.is_empty() || self.choices.once_in(2) {
                self.aggregate(*of)
            } else {
                self.choices.pick(&key).0.clone()
            };
            targets.push(format!("{value} AS {name}"));
            columns.push((name, *of));
        }
        *sql += &format!("{}{from}{filter}", targets.join(", "));
        let names: Vec<&str> = keys.iter().map(|(name, _)| name.as_str()).collect();
        if !keys.is_empty() {
            let list = names.join(", ");
            *sql += &match self.choices.below(6) {
                4 => format!(" GROUP BY ROLLUP ({list})"),
                5 => format!(" GROUP BY GROUPING SETS (({list}), ())"),
                _ => format!(" GROUP BY {list}"),
            };
        }
        if self.choices.once_in(4) {
            let of = self.typed();
            let value = self.aggregate(of);
            let other = self.constant(of);
            *sql += &format!(" HAVING {value} >= {other}");
        }
    }
}
