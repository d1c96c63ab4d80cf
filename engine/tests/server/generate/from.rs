//! Random FROM clauses.

use super::{Bound, Generator, Table, Type};

impl Generator<'_> {
    /// FROM with everything in it; its relations are then in the nearest scope.
    pub(super) fn from(&mut self) -> String {
        if self.choices.once_in(20) {
            return String::new();
        }
        let mut items = vec![self.item()];
        while items.len() < 3 && self.choices.once_in(4) {
            items.push(self.item());
        }
        format!(" FROM {}", items.join(", "))
    }

    fn see(&mut self, alias: Option<String>, columns: Vec<(String, Type)>) {
        if let Some(scope) = self.scopes.last_mut() {
            scope.push(Bound { alias, columns });
        }
    }

    fn item(&mut self) -> String {
        if !self.burn() {
            return self.relation();
        }
        match self.choices.below(10) {
            0..=4 => self.relation(),
            5 | 6 => self.joined(),
            7 | 8 => self.subquery(),
            _ => self.series(),
        }
    }

    /// A table of the zoo, or of a WITH in sight.
    pub(super) fn any_table(&mut self) -> Table {
        if !self.common.is_empty() && self.choices.once_in(2) {
            let common = self.common.clone();
            return self.choices.pick(&common);
        }
        self.choices.pick(self.tables)
    }

    fn relation(&mut self) -> String {
        let table = self.any_table();
        let stored = self
            .tables
            .iter()
            .take(crate::zoo::TABLES)
            .any(|stored| stored.name == table.name)
            && !self.common.iter().any(|common| common.name == table.name);
        let only = if stored && self.choices.once_in(12) {
            "ONLY "
        } else {
            ""
        };
        if self.choices.once_in(6) {
            // By its own name, which may be hidden by a WITH; then the columns are wrong, and the server says so.
            let alias = table.name.rsplit('.').next().unwrap_or_default().to_owned();
            self.see(Some(alias), table.columns);
            return format!("{only}{}", table.name);
        }
        // Now and then by the name of another table.
        let alias = if self.choices.once_in(10) {
            self.choices.pick(&["people", "orders"]).to_owned()
        } else {
            self.name("t")
        };
        let (list, columns) = self.column_list(table.columns);
        let sample = if stored && self.choices.once_in(20) {
            " TABLESAMPLE SYSTEM (100)"
        } else {
            ""
        };
        let sql = format!("{only}{} AS {alias}{list}{sample}", table.name);
        self.see(Some(alias), columns);
        sql
    }

    fn subquery(&mut self) -> String {
        let alias = self.name("s");
        if self.choices.once_in(6) {
            let rows: Vec<String> = (0..=self.choices.below(2))
                .map(|_| {
                    format!(
                        "({}, {})",
                        self.value_before(Type::Int),
                        self.value_before(Type::Text)
                    )
                })
                .collect();
            let columns = vec![("v1".to_owned(), Type::Int), ("v2".to_owned(), Type::Text)];
            let sql = format!("LATERAL (VALUES {}) AS {alias} (v1, v2)", rows.join(", "));
            self.see(Some(alias), columns);
            return sql;
        }
        let lateral = self.choices.once_in(2);
        // What is not lateral does not see its neighbours.
        let hidden = if lateral { None } else { self.scopes.pop() };
        let (sql, columns) = self.query(None);
        self.scopes.extend(hidden);
        let (list, columns) = self.column_list(columns);
        let sql = format!(
            "{}({sql}) AS {alias}{list}",
            if lateral { "LATERAL " } else { "" }
        );
        self.see(Some(alias), columns);
        sql
    }

    /// A value of what stands before in the same FROM.
    fn value_before(&mut self, of: Type) -> String {
        if self.choices.once_in(2) {
            self.column(of)
        } else {
            self.value(of)
        }
    }

    fn series(&mut self) -> String {
        let alias = self.name("g");
        let end = self.value_before(Type::Int);
        let (ordinal, columns) = if self.choices.once_in(3) {
            (" WITH ORDINALITY", vec![("e".to_owned(), Type::Int)])
        } else {
            ("", vec![("e".to_owned(), Type::Int)])
        };
        let list = if ordinal.is_empty() { "(e)" } else { "(e, o)" };
        let sql = format!("LATERAL generate_series(1, least({end}, 3)){ordinal} AS {alias}{list}");
        self.see(Some(alias), columns);
        sql
    }

    fn joined(&mut self) -> String {
        let known = self.scopes.last().map_or(0, Vec::len);
        let left = self.item();
        let middle = self.scopes.last().map_or(0, Vec::len);
        let sort =
            self.choices
                .pick(&["JOIN", "LEFT JOIN", "RIGHT JOIN", "FULL JOIN", "CROSS JOIN"]);
        let right = self.relation();
        let mut sql = if sort == "CROSS JOIN" {
            format!("({left} CROSS JOIN {right})")
        } else {
            self.condition(&left, sort, &right, known, middle)
        };
        // With an alias of its own, nothing inside is in sight by its name.
        let bounds = self.scopes.last().cloned().unwrap_or_default();
        let mut columns: Vec<(String, Type)> = Vec::new();
        for (name, of) in bounds[known.min(bounds.len())..]
            .iter()
            .rev()
            .flat_map(|bound| bound.columns.clone())
        {
            if !columns.iter().any(|(known, _)| *known == name) {
                columns.push((name, of));
            }
        }
        if self.choices.once_in(6) && !columns.is_empty() {
            let alias = self.name("j");
            sql = format!("{sql} AS {alias}");
            if let Some(scope) = self.scopes.last_mut() {
                scope.truncate(known);
            }
            self.see(Some(alias), columns);
        }
        sql
    }

    /// NATURAL, USING, or ON with a predicate over both sides.
    fn condition(
        &mut self,
        left: &str,
        sort: &str,
        right: &str,
        known: usize,
        middle: usize,
    ) -> String {
        let bounds = self.scopes.last().cloned().unwrap_or_default();
        let of_left: Vec<(String, Type)> = bounds[known..middle]
            .iter()
            .flat_map(|bound| bound.columns.clone())
            .collect();
        let of_right: Vec<(String, Type)> = bounds[middle..]
            .iter()
            .flat_map(|bound| bound.columns.clone())
            .collect();
        let shared: Vec<(String, Type)> = of_left
            .into_iter()
            .filter(|column| of_right.contains(column))
            .collect();
        if !shared.is_empty() && self.choices.once_in(2) {
            if self.choices.once_in(3) {
                self.see(None, shared);
                return format!("({left} NATURAL {sort} {right})");
            }
            let column = self.choices.pick(&shared);
            let merged = if self.choices.once_in(5) {
                let name = self.name("u");
                self.see(Some(name.clone()), vec![column.clone()]);
                format!(" AS {name}")
            } else {
                String::new()
            };
            let sql = format!("({left} {sort} {right} USING ({}){merged})", column.0);
            self.see(None, vec![column]);
            return sql;
        }
        // Only the two sides are in sight, and what is outside of the query.
        let level = self.scopes.pop().unwrap_or_default();
        self.scopes.push(level[known..].to_vec());
        let on = if sort == "FULL JOIN" {
            let of = self.typed();
            let sides = [&level[known..middle], &level[middle..]].map(|side| {
                let columns = side.iter().flat_map(|bound| {
                    bound
                        .columns
                        .iter()
                        .map(|column| (bound.alias.clone(), column))
                });
                let found = columns
                    .into_iter()
                    .find(|(alias, column)| alias.is_some() && column.1 == of);
                found.map_or_else(
                    || "1".to_owned(),
                    |(alias, column)| format!("{}.{}", alias.unwrap_or_default(), column.0),
                )
            });
            format!("{} = {}", sides[0], sides[1])
        } else {
            self.predicate()
        };
        self.scopes.pop();
        self.scopes.push(level);
        format!("({left} {sort} {right} ON {on})")
    }
}
