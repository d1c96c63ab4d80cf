//! Random statements that write, alone or in WITH.

use super::{Bound, Generator, Table, Type};

impl Generator<'_> {
    /// A statement that writes, or reads what WITH writes.
    pub(crate) fn write(&mut self) -> String {
        if self.choices.once_in(4) {
            let known = self.common.len();
            let with = if self.choices.once_in(3) {
                self.with()
            } else {
                "WITH ".to_owned()
            };
            let comma = if with.len() > 5 { ", " } else { "" };
            let name = self.name("w");
            let (sql, columns) = self.change(true);
            self.common.push(Table {
                name: name.clone(),
                columns,
            });
            let body = if self.choices.once_in(3) {
                self.change(false).0
            } else {
                self.select(None).0
            };
            self.common.truncate(known);
            return format!(
                "{}{comma}{name} AS ({sql}) {body}",
                with.trim_end_matches(' ').to_owned() + " "
            );
        }
        let known = self.common.len();
        let with = if self.choices.once_in(6) {
            self.with()
        } else {
            String::new()
        };
        let returning = self.choices.once_in(2);
        let sql = with + &self.change(returning).0;
        self.common.truncate(known);
        sql
    }

    /// A table that can be written; the zoo's first are.
    fn target(&mut self) -> Table {
        let tables: Vec<Table> = self
            .tables
            .iter()
            .take(crate::zoo::TABLES)
            .cloned()
            .collect();
        self.choices.pick(&tables)
    }

    fn change(&mut self, returning: bool) -> (String, Vec<(String, Type)>) {
        let table = self.target();
        let alias = self.name("t");
        self.scopes.push(Vec::new());
        let sql = match self.choices.below(5) {
            0 | 1 => self.insert(&table, &alias),
            2 => self.update(&table, &alias),
            3 => self.delete(&table, &alias),
            _ if returning => self.update(&table, &alias),
            _ => self.merge(&table, &alias),
        };
        let mut columns = Vec::new();
        let mut words = String::new();
        if returning {
            let mut targets = Vec::new();
            for _ in 0..=self.choices.below(2) {
                let of = self.typed();
                let name = self.name("c");
                targets.push(format!("{} AS {name}", self.value(of)));
                columns.push((name, of));
            }
            words = format!(" RETURNING {}", targets.join(", "));
        }
        self.scopes.pop();
        (sql + &words, columns)
    }

    fn bind(&mut self, table: &Table, alias: &str) {
        if let Some(scope) = self.scopes.last_mut() {
            scope.insert(
                0,
                Bound {
                    alias: Some(alias.to_owned()),
                    columns: table.columns.clone(),
                },
            );
        }
    }

    /// Columns that may be written, in a random subset.
    fn written(&mut self, table: &Table) -> Vec<(String, Type)> {
        let mut columns: Vec<(String, Type)> = table
            .columns
            .iter()
            .filter(|(name, _)| name != "total")
            .cloned()
            .collect();
        while columns.len() > 1 && self.choices.once_in(2) {
            let place = self.choices.below(u32::try_from(columns.len()).unwrap());
            columns.remove(place as usize);
        }
        columns
    }

    fn insert(&mut self, table: &Table, alias: &str) -> String {
        let columns = self.written(table);
        let names: Vec<&str> = columns.iter().map(|(name, _)| name.as_str()).collect();
        let types: Vec<Type> = columns.iter().map(|(_, of)| *of).collect();
        let hidden = self.scopes.pop();
        let source = if self.choices.once_in(2) {
            self.query(Some(&types)).0
        } else {
            self.scopes.push(Vec::new());
            let values: Vec<String> = types
                .iter()
                .map(|of| {
                    if self.choices.once_in(5) {
                        "DEFAULT".to_owned()
                    } else {
                        self.value(*of)
                    }
                })
                .collect();
            self.scopes.pop();
            format!("VALUES ({})", values.join(", "))
        };
        self.scopes.extend(hidden);
        self.bind(table, alias);
        let conflict = if table.name == "orders" && self.choices.once_in(2) {
            self.conflict(alias)
        } else {
            String::new()
        };
        format!(
            "INSERT INTO {} AS {alias} ({}) {source}{conflict}",
            table.name,
            names.join(", ")
        )
    }

    fn conflict(&mut self, alias: &str) -> String {
        if self.choices.once_in(3) {
            return " ON CONFLICT DO NOTHING".to_owned();
        }
        let (value, filter) = (self.value(Type::Int), self.predicate());
        let value = if self.choices.once_in(2) {
            "excluded.amount".to_owned()
        } else {
            value
        };
        format!(
            " ON CONFLICT (id) DO UPDATE SET amount = {value}, note = {alias}.note WHERE {filter}"
        )
    }

    fn assignments(&mut self, table: &Table) -> String {
        let columns = self.written(table);
        if columns.len() > 1 && self.choices.once_in(5) {
            let names: Vec<&str> = columns.iter().map(|(name, _)| name.as_str()).collect();
            let types: Vec<Type> = columns.iter().map(|(_, of)| *of).collect();
            let (sql, _) = self.query(Some(&types));
            return format!("({}) = ({sql} LIMIT 1)", names.join(", "));
        }
        let parts: Vec<String> = columns
            .iter()
            .map(|(name, of)| format!("{name} = {}", self.value(*of)))
            .collect();
        parts.join(", ")
    }

    fn update(&mut self, table: &Table, alias: &str) -> String {
        self.bind(table, alias);
        let set = self.assignments(table);
        let from = if self.choices.once_in(2) {
            self.from()
        } else {
            String::new()
        };
        let filter = if self.choices.once_in(2) {
            format!(" WHERE {}", self.predicate())
        } else {
            String::new()
        };
        let only = if self.choices.once_in(8) { "ONLY " } else { "" };
        format!(
            "UPDATE {only}{} AS {alias} SET {set}{from}{filter}",
            table.name
        )
    }

    fn delete(&mut self, table: &Table, alias: &str) -> String {
        self.bind(table, alias);
        let using = if self.choices.once_in(2) {
            self.from().replacen(" FROM ", " USING ", 1)
        } else {
            String::new()
        };
        let filter = if self.choices.once_in(2) {
            format!(" WHERE {}", self.predicate())
        } else {
            String::new()
        };
        format!("DELETE FROM {} AS {alias}{using}{filter}", table.name)
    }

    fn merge(&mut self, table: &Table, alias: &str) -> String {
        let source = self.any_table();
        let other = self.name("m");
        self.bind(table, alias);
        if let Some(scope) = self.scopes.last_mut() {
            scope.push(Bound {
                alias: Some(other.clone()),
                columns: source.columns.clone(),
            });
        }
        let on = self.predicate();
        let matched = match self.choices.below(3) {
            0 => "DELETE".to_owned(),
            1 => "DO NOTHING".to_owned(),
            _ => format!("UPDATE SET {}", self.assignments(table)),
        };
        let condition = if self.choices.once_in(3) {
            format!(" AND {}", self.predicate())
        } else {
            String::new()
        };
        // A new row is made of the source alone.
        let level = self.scopes.pop().unwrap_or_default();
        self.scopes.push(level[1..].to_vec());
        let columns = self.written(table);
        let values: Vec<String> = columns.iter().map(|(_, of)| self.column(*of)).collect();
        self.scopes.pop();
        self.scopes.push(level);
        let names: Vec<&str> = columns.iter().map(|(name, _)| name.as_str()).collect();
        format!(
            "MERGE INTO {} AS {alias} USING {} AS {other} ON {on} WHEN MATCHED{condition} THEN {matched} WHEN NOT MATCHED THEN INSERT ({}) VALUES ({})",
            table.name,
            source.name,
            names.join(", "),
            values.join(", ")
        )
    }
}
