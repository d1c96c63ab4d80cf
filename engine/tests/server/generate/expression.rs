//! Random values, predicates, aggregates and windows over what is in sight.

use super::{Generator, Type};

impl Generator<'_> {
    pub(super) fn constant(&mut self, of: Type) -> String {
        match of {
            Type::Int => self.choices.below(5).to_string(),
            Type::Text => format!("'{}'", self.choices.pick(&["a", "b", "c", "d"])),
        }
    }

    /// A column in sight: mostly of the nearest level. A constant where there is none of the type.
    pub(super) fn column(&mut self, of: Type) -> String {
        let levels = self.scopes.len();
        let outer = levels > 1 && self.choices.once_in(6);
        let nearest = levels.saturating_sub(1);
        let column = self.column_at(if outer { nearest - 1 } else { nearest }, of);
        column.unwrap_or_else(|| self.constant(of))
    }

    /// A column of the nearest level.
    pub(super) fn known_column(&mut self, of: Type) -> Option<String> {
        self.column_at(self.scopes.len().saturating_sub(1), of)
    }

    fn column_at(&mut self, level: usize, of: Type) -> Option<String> {
        let bounds = self.scopes.get(level).cloned().unwrap_or_default();
        let all: Vec<(Option<String>, String)> = bounds
            .iter()
            .flat_map(|bound| {
                let columns = bound.columns.iter().filter(|(_, column)| *column == of);
                columns.map(|(name, _)| (bound.alias.clone(), name.clone()))
            })
            .collect();
        if all.is_empty() {
            return None;
        }
        let (alias, name) = self.choices.pick(&all);
        let Some(alias) = alias else {
            return Some(name);
        };
        let alone = bounds
            .iter()
            .flat_map(|bound| &bound.columns)
            .filter(|(column, _)| *column == name)
            .count()
            == 1;
        if alone && self.choices.once_in(4) {
            return Some(name);
        }
        Some(format!("{alias}.{name}"))
    }

    /// A value of a type.
    pub(super) fn value(&mut self, of: Type) -> String {
        if !self.burn() {
            return self.column(of);
        }
        match self.choices.below(16) {
            0..=5 => self.column(of),
            6 => self.constant(of),
            7 => {
                let (left, right) = (self.value(of), self.value(of));
                match of {
                    Type::Int => format!(
                        "({left} {} {right})",
                        self.choices.pick(&["+", "-", "*", "/", "%"])
                    ),
                    Type::Text => format!("({left} || {right})"),
                }
            }
            8 => {
                let (when, then, other) = (self.predicate(), self.value(of), self.value(of));
                format!("CASE WHEN {when} THEN {then} ELSE {other} END")
            }
            9 => {
                let (left, right) = (self.typed_value(of), self.value(of));
                format!(
                    "{}({left}, {right})",
                    self.choices
                        .pick(&["coalesce", "nullif", "greatest", "least"])
                )
            }
            10 | 11 => self.scalar(of),
            12 => self.whole_row(of),
            13 => match of {
                Type::Int => format!("length({})", self.value(Type::Text)),
                Type::Text => format!("({})::text", self.value(Type::Int)),
            },
            14 => match of {
                Type::Int => format!("abs({})", self.value(Type::Int)),
                Type::Text => format!("upper({})", self.value(Type::Text)),
            },
            _ => {
                let (left, right) = (self.typed_value(of), self.value(of));
                let index = self.choices.pick(&["1", "2"]);
                format!("(ARRAY[{left}, {right}])[{index}]")
            }
        }
    }

    /// A value whose type the server can tell: a bare text literal has none yet.
    fn typed_value(&mut self, of: Type) -> String {
        let value = self.value(of);
        if value.starts_with('\'') {
            format!("{value}::text")
        } else {
            value
        }
    }

    /// A subquery of one column and at most one row.
    fn scalar(&mut self, of: Type) -> String {
        let (sql, columns) = self.query(Some(&[of]));
        let name = &columns[0].0;
        match self.choices.below(4) {
            0 => format!("(SELECT q.{name} FROM ({sql}) AS q LIMIT 1)"),
            1 => format!("(SELECT min(q.{name}) FROM ({sql}) AS q)"),
            2 if of == Type::Int => format!("(SELECT count(*)::int FROM ({sql}) AS q)"),
            _ => format!("(ARRAY({sql}))[1]"),
        }
    }

    /// Something made of a whole row.
    fn whole_row(&mut self, of: Type) -> String {
        let bounds = self.scopes.last().cloned().unwrap_or_default();
        // What has one column may be a function, whose row is that value.
        let aliases: Vec<_> = bounds
            .into_iter()
            .filter(|bound| bound.alias.is_some() && bound.columns.len() > 1)
            .collect();
        if aliases.is_empty() {
            return self.constant(of);
        }
        let bound = self.choices.pick(&aliases);
        let alias = bound.alias.unwrap_or_default();
        match of {
            Type::Text => match self.choices.below(3) {
                0 => format!("{alias}::text"),
                1 => format!("row_to_json({alias})::text"),
                _ => format!("ROW({alias}.*)::text"),
            },
            Type::Int => {
                let column = bound
                    .columns
                    .iter()
                    .find(|(_, column)| *column == Type::Int);
                column.map_or_else(
                    || format!("length({alias}::text)"),
                    |(name, _)| format!("({alias}).{name}"),
                )
            }
        }
    }

    /// Something true or false.
    pub(super) fn predicate(&mut self) -> String {
        if !self.burn() {
            return "true".to_owned();
        }
        let of = self.typed();
        match self.choices.below(13) {
            0..=4 => {
                let (left, right) = (self.value(of), self.value(of));
                format!(
                    "{left} {} {right}",
                    self.choices
                        .pick(&["=", "<>", "<", ">=", "IS DISTINCT FROM"])
                )
            }
            5 => format!(
                "{} IS {}NULL",
                self.value(of),
                self.choices.pick(&["", "NOT "])
            ),
            6 => format!("({} AND {})", self.predicate(), self.predicate()),
            7 => format!("({} OR {})", self.predicate(), self.predicate()),
            8 => format!("NOT ({})", self.predicate()),
            9 => {
                let (sql, _) = self.query(None);
                format!("EXISTS ({sql})")
            }
            10 => {
                let left = self.value(of);
                let (sql, _) = self.query(Some(&[of]));
                let word = self.choices.pick(&["IN", "NOT IN", "= ANY", "<> ALL"]);
                format!("{left} {word} ({sql})")
            }
            11 => {
                let (a, b) = (self.value(Type::Int), self.value(Type::Text));
                let (sql, _) = self.query(Some(&[Type::Int, Type::Text]));
                format!("({a}, {b}) IN ({sql})")
            }
            _ => {
                let (value, low, high) = (self.value(of), self.constant(of), self.constant(of));
                format!("{value} BETWEEN {low} AND {high}")
            }
        }
    }

    /// An aggregate of a type.
    pub(super) fn aggregate(&mut self, of: Type) -> String {
        let any = self.typed();
        let mut call = match (of, self.choices.below(7)) {
            (Type::Int, 0) => "count(*)".to_owned(),
            (Type::Int, 1) => format!("count({})", self.value(any)),
            (Type::Int, 2) => format!("count(DISTINCT {})", self.value(any)),
            (Type::Int, 3) => format!("sum({})", self.value(Type::Int)),
            (Type::Text, 0 | 1) => format!(
                "string_agg({}, ',' ORDER BY {})",
                self.value(Type::Text),
                self.value(any)
            ),
            (Type::Text, 2) => format!("json_agg({})", self.typed_value(any)),
            (_, choice) => format!(
                "{}({})",
                if choice % 2 == 0 { "max" } else { "min" },
                self.typed_value(of)
            ),
        };
        if self.choices.once_in(5) {
            call += &format!(" FILTER (WHERE {})", self.predicate());
        }
        match of {
            Type::Int => format!("({call})::int"),
            Type::Text => format!("({call})::text"),
        }
    }

    /// A window function of a type.
    pub(super) fn window(&mut self, of: Type) -> String {
        let (part, order) = (self.typed(), self.typed());
        let call = match (of, self.choices.below(5)) {
            (Type::Int, 0) => "row_number()".to_owned(),
            (Type::Int, 1) => "rank()".to_owned(),
            (Type::Int, 2) => format!("sum({})", self.value(Type::Int)),
            (_, 3) => format!("lag({})", self.typed_value(of)),
            _ => format!("first_value({})", self.typed_value(of)),
        };
        let partition = if self.choices.once_in(2) {
            format!("PARTITION BY {} ", self.value(part))
        } else {
            String::new()
        };
        let over = format!("{call} OVER ({partition}ORDER BY {})", self.value(order));
        match of {
            Type::Int => format!("({over})::int"),
            Type::Text => over,
        }
    }
}
