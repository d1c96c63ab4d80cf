//! Function calls and operators: what runs, what it touches, what its value is computed from. Must never call a function
//! pure that is not known to be.

use std::{collections::BTreeSet, sync::Arc};

use pg_query::{
    NodeEnum,
    protobuf::{self as pg, Node, a_const::Val},
};

use super::{
    Refusal,
    book::Value,
    extent::Extent,
    functions::{self, Bound, Effect, Overload},
    resolver::{Resolver, strings},
    routine::{Arguments, Towards},
    scope::{Field, Scope},
};
use crate::facts::{Column, ColumnWrite, Constant, How, Object, Operation, Use};

/// The columns that a call gives in FROM, as far as users' functions say it.
#[derive(Debug, Clone)]
pub(super) enum Columns {
    /// No user's function is meant.
    Unlisted,
    /// These; none is one of the function's own name.
    Known(Vec<Field>),
    /// What they are depends on what is not known.
    Unknown,
}

impl Columns {
    /// What two functions give of which either may be meant.
    fn or(self, fields: Option<Vec<Field>>) -> Self {
        match (self, fields) {
            (Self::Unlisted, Some(fields)) => Self::Known(fields),
            (Self::Known(mut known), Some(fields))
                if known.len() == fields.len()
                    && known
                        .iter()
                        .zip(&fields)
                        .all(|(one, other)| one.name == other.name) =>
            {
                for (one, other) in known.iter_mut().zip(&fields) {
                    one.value.taint(&other.value);
                }
                Self::Known(known)
            }
            _ => Self::Unknown,
        }
    }
}

/// What a call does.
#[derive(Debug)]
pub(super) struct Outcome {
    /// Nothing but compute.
    pub(super) pure: bool,
    /// What users' functions give.
    pub(super) value: Value,
    pub(super) columns: Columns,
}

impl Resolver<'_> {
    /// A function call in an expression.
    pub(super) fn call(
        &mut self,
        call: &pg::FuncCall,
        scope: &Scope<'_>,
    ) -> Result<Value, Refusal> {
        Ok(self.call_rows(call, scope)?.0)
    }

    /// A function call, with the columns that it gives in FROM.
    pub(super) fn call_rows(
        &mut self,
        call: &pg::FuncCall,
        scope: &Scope<'_>,
    ) -> Result<(Value, Columns), Refusal> {
        self.seen.mark(call);
        let names = strings(&call.funcname)?;
        let name = names.last().copied().unwrap_or_default();
        if name == "system_user" && call.args.is_empty() {
            self.since(16, "SYSTEM_USER")
                .map_err(|refusal| refusal.at(call.location))?;
        }
        let mut values = Vec::with_capacity(call.args.len());
        for argument in &call.args {
            values.push(self.expression(argument, scope)?);
        }
        let arguments = Arguments {
            nodes: &call.args,
            values: &values,
            variadic: call.func_variadic,
            ordered: if call.agg_within_group {
                call.agg_order.len()
            } else {
                0
            },
        };
        let mut value = arguments.all();
        for argument in values.iter().zip(&call.args) {
            let (given, node) = argument;
            if !matches!(node.node, Some(NodeEnum::AConst(_) | NodeEnum::ParamRef(_))) {
                value.taint(&self.user_casts(given, Towards::Anywhere)?);
            }
        }
        value.taint(&self.made_documents(name, &values)?);
        let outcome = self
            .function(&names, &arguments)
            .map_err(|refusal| refusal.at(call.location))?;
        let of_users = !matches!(outcome.columns, Columns::Unlisted);
        let extent = Extent::of_call(name, &values);
        let total = functions::is_total(name, &call.args)
            && self.takes_plain(name, &values)
            && (extent.is_bounded() || !Extent::can_grow(name));
        if !(outcome.pure && !of_users && total) {
            self.book.computed(&value);
        }
        value.taint(&outcome.value);
        for sort in &call.agg_order {
            let sorted = self.sort_key(sort, scope)?;
            self.book.used(&sorted, Use::Sort);
            value.taint(&sorted);
        }
        if let Some(filter) = call.agg_filter.as_deref() {
            let filter = self.expression(filter, scope)?;
            self.book.used(&filter, Use::Filter);
            value.taint(&filter);
        }
        if name == "count"
            && !of_users
            && matches!(names.as_slice(), ["count"] | ["pg_catalog", "count"])
        {
            value = value.safe();
        }
        if call.agg_distinct {
            self.book.used(&value, Use::Group);
        }
        if let Some(window) = call.over.as_deref() {
            value.taint(&self.window(window, scope)?);
        }
        value.plain = value.plain || (!of_users && self.gives_plain(call, &values));
        if total && !of_users && outcome.pure {
            value.extent = extent;
        }
        Ok((value, outcome.columns))
    }

    /// An operator that is named, over these operands: what it gives besides them.
    pub(super) fn operator(&mut self, name: &[Node], operands: &[Value]) -> Result<Value, Refusal> {
        match strings(name)?.as_slice() {
            [] | ["pg_catalog", _] => Ok(Value::default()),
            [operator] => self.user_operators(None, operator, operands),
            [.., schema, operator] => self.user_operators(Some(schema), operator, operands),
        }
    }

    /// Notes what a call of a function does with these arguments: every function that could be meant, the server's own and
    /// users'.
    pub(super) fn function(
        &mut self,
        names: &[&str],
        arguments: &Arguments<'_>,
    ) -> Result<Outcome, Refusal> {
        let (schema, name) = match names {
            [name] => (None, *name),
            [.., schema, name] => (Some(*schema), *name),
            [] => (None, ""),
        };
        let users = self.candidates(schema, name, arguments);
        let owner: Arc<str> = schema.unwrap_or("pg_catalog").into();
        // In FROM, `unnest(a, b)` is one call for each.
        let count = match (&*owner, name) {
            ("pg_catalog", "unnest") => arguments.count().min(1),
            _ => arguments.count(),
        };
        let servers: Vec<&Overload> = self.overloads(&owner, name, Some(count)).collect();
        let (users, of_server) = self.chosen(users, &servers, arguments);
        let effects: BTreeSet<Option<Effect>> = servers
            .iter()
            .filter(|_| of_server)
            .map(|overload| overload.effect)
            .collect();
        let mut outcome = Outcome {
            pure: true,
            value: Value::default(),
            columns: Columns::Unlisted,
        };
        if effects.is_empty()
            && users.is_empty()
            && let Some(given) = self.cast_called(names, arguments)?
        {
            outcome.pure = false;
            outcome.value.taint(&given);
            return Ok(outcome);
        }
        if effects.contains(&None) || (effects.is_empty() && users.is_empty()) {
            let subject = format!("{owner}.{name}");
            self.called(&owner, name);
            self.book.opaque(&subject, "a function that is not known");
            outcome.pure = false;
        }
        for effect in effects.iter().flatten() {
            outcome.pure &= *effect == Effect::Pure;
            self.effect(*effect, (&owner, name), arguments)?;
        }
        for function in &users {
            let before = self.book.effects();
            let given = self.run_with(function, arguments)?;
            outcome.pure &= self.book.effects() == before;
            outcome.value.taint(&given.value);
            outcome.columns = outcome.columns.or(given.fields);
        }
        if !users.is_empty() && !effects.is_empty() {
            outcome.columns = Columns::Unknown;
        }
        Ok(outcome)
    }

    /// A type called as if it were a function, `regclass('a')`: a cast. What users' casts give, if it is one.
    fn cast_called(
        &mut self,
        names: &[&str],
        arguments: &Arguments<'_>,
    ) -> Result<Option<Value>, Refusal> {
        let [value] = arguments.values else {
            return Ok(None);
        };
        let named = matches!(
            arguments.nodes.first().map(|node| &node.node),
            Some(Some(NodeEnum::NamedArgExpr(_)))
        );
        if named || arguments.variadic || arguments.ordered > 0 {
            return Ok(None);
        }
        let part = |name: &&str| Node {
            node: Some(NodeEnum::String(pg::String {
                sval: (*name).to_owned(),
            })),
        };
        let name = pg::TypeName {
            names: names.iter().map(part).collect(),
            ..pg::TypeName::default()
        };
        let is_servers = match names {
            ["pg_catalog", base] => functions::is_builtin_type(base),
            _ => true,
        };
        if !is_servers || self.type_name(&name).is_err() {
            return Ok(None);
        }
        self.written_cast(value, &name).map(Some)
    }

    /// A function called as if it were a field: `value.name`. What it gives.
    pub(super) fn functional_call(
        &mut self,
        name: &str,
        argument: &Value,
    ) -> Result<Value, Refusal> {
        let values = [argument.clone()];
        let arguments = Arguments {
            nodes: &[Node { node: None }],
            ..Arguments::of_values(&values)
        };
        let mut outcome = self.function(&[name], &arguments)?;
        let of_users = !matches!(outcome.columns, Columns::Unlisted);
        if !(outcome.pure && !of_users && functions::is_total(name, &[])) {
            self.book.computed(argument);
        }
        let given = self.made_documents(name, &values)?;
        outcome.value.taint(&given);
        Ok(outcome.value)
    }

    /// The server's own functions of a schema with this name.
    pub(super) fn overloads(
        &self,
        schema: &str,
        name: &str,
        count: Option<usize>,
    ) -> impl Iterator<Item = &'static Overload> + use<> {
        let key = match schema {
            "pg_catalog" => name.to_owned(),
            _ => format!("{schema}.{name}"),
        };
        functions::overloads(&key, count, self.major())
    }

    /// An access to a function.
    pub(super) fn called(&mut self, schema: &Arc<str>, name: &str) {
        let call = Object::Function {
            schema: schema.clone(),
            name: name.into(),
        };
        self.book.plain(call, Operation::Call);
    }

    /// Notes one effect of a call.
    pub(super) fn effect(
        &mut self,
        effect: Effect,
        (schema, name): (&Arc<str>, &str),
        arguments: &Arguments<'_>,
    ) -> Result<(), Refusal> {
        let first = arguments.nodes.first().and_then(literal);
        match effect {
            Effect::Pure => return Ok(()),
            Effect::ReadsSetting => return self.reads_setting(first),
            Effect::Input if self.reads_plainly(name, arguments.nodes) => return Ok(()),
            Effect::SetsSetting => {
                self.set_config(arguments)?;
                self.kept(name, &arguments.all());
                return Ok(());
            }
            Effect::Sequences => self.sequence_touched(name, arguments.nodes),
            Effect::Notifies => match first {
                Some(channel) => self
                    .book
                    .plain(Object::Channel(channel.into()), Operation::Listen),
                None => self
                    .book
                    .opaque(name, "notifies a channel whose name is computed"),
            },
            _ => {}
        }
        self.called(schema, name);
        match effect.bound() {
            Bound::Shows => {}
            Bound::Keeps => self.kept(name, &arguments.all()),
            Bound::Opaque(reason) => self.book.opaque(&format!("{schema}.{name}"), reason),
        }
        Ok(())
    }

    /// What a call leaves where others may see it is a write, though into no column.
    fn kept(&mut self, name: &str, value: &Value) {
        if value.sources.is_empty() {
            return;
        }
        let place = Column {
            relation_oid: 0,
            attribute: 0,
            schema: "pg_catalog".into(),
            relation: name.into(),
            name: "argument".into(),
            type_oid: 25,
            constrained: false,
        };
        self.book.used(value, Use::Output);
        self.book.writes.push(ColumnWrite {
            column: Arc::new(place),
            lineage: value.lineage(),
        });
    }

    /// Whether a type that is named by text is one of the server's own, whose input runs nothing.
    fn reads_plainly(&self, name: &str, arguments: &[Node]) -> bool {
        matches!(name, "pg_input_is_valid" | "pg_input_error_info")
            && arguments.get(1).and_then(literal).is_some_and(|named| {
                functions::is_builtin_type(named) && self.catalog.types_named(named).is_empty()
            })
    }

    /// `set_config` is SET, and rules see it as that: what SET may not change, it may not either, or later statements would be
    /// misread.
    fn set_config(&mut self, arguments: &Arguments<'_>) -> Result<(), Refusal> {
        let literals = |index: usize| arguments.nodes.get(index).and_then(literal);
        let Some(setting) = literals(0)
            .map(str::to_owned)
            .or_else(|| self.setting_chosen(arguments))
        else {
            return Err(Refusal::new(
                "42501",
                "set_config with a computed name can't be told from a change of role or search_path",
            )
            .hint("write the setting's name as a literal"));
        };
        let setting = setting.to_lowercase();
        super::utility::refuse_setting(&setting, literals(1))?;
        self.refuse_inside(&setting)?;
        self.book
            .plain(Object::Setting(setting.into()), Operation::Session);
        Ok(())
    }

    /// The setting that `SELECT set_config(name, ...) FROM pg_settings WHERE name = 'x'` means, which `pg_dump` writes to set
    /// it only where it is known: in a target list, what WHERE says holds.
    fn setting_chosen(&mut self, arguments: &Arguments<'_>) -> Option<String> {
        // The variables of a body are told apart by no column.
        let holds = self.where_held && self.active.is_empty();
        let value = arguments.values.first().filter(|_| holds)?;
        let mut sources = value.sources.iter();
        let (Some(origin), None) = (sources.next(), sources.next()) else {
            return None;
        };
        let column = &*origin.column;
        let is_itself = origin.how == How::Direct
            && value.described == Some((column.relation_oid, column.attribute));
        let is_name = &*column.schema == "pg_catalog"
            && &*column.relation == "pg_settings"
            && &*column.name == "name";
        let entry = origin.entry.filter(|_| is_itself && is_name)?;
        let mut equal = self.book.equal_to(entry, column);
        match (equal.next(), equal.next()) {
            (Some(Constant::Text(name)), None) => Some(name.as_ref().to_owned()),
            _ => None,
        }
    }

    /// Without a literal name, any setting may be meant: that is SHOW ALL.
    fn reads_setting(&mut self, setting: Option<&str>) -> Result<(), Refusal> {
        let setting: Arc<str> = setting.unwrap_or("all").to_lowercase().into();
        self.book.plain(Object::Setting(setting), Operation::Read);
        Ok(())
    }

    fn sequence_touched(&mut self, name: &str, arguments: &[Node]) {
        let operation = match name {
            "nextval" | "setval" => Operation::Update,
            _ => Operation::Read,
        };
        let Some(first) = arguments.first() else {
            return;
        };
        match literal(first).map(|name| self.sequence(name)) {
            Some(Some(sequence)) => self.book.plain(sequence, operation),
            _ => self.book.opaque(
                name,
                "touches a sequence whose name is computed or not known",
            ),
        }
    }

    fn sequence(&self, text: &str) -> Option<Object> {
        let parts: Option<Vec<String>> = text.split('.').map(identifier).collect();
        let parts = parts?;
        let found = match parts.as_slice() {
            [name] => self
                .path
                .iter()
                .find_map(|schema| self.catalog.relation_named(schema, name)),
            [schema, name] => self.catalog.relation_named(schema, name),
            _ => None,
        }?;
        Some(Object::Relation {
            schema: found.schema.clone(),
            name: found.name.clone(),
            oid: found.oid,
        })
    }

    /// A window: partitions group, orders sort, frames filter; all of it colours the value.
    pub(super) fn window(
        &mut self,
        window: &pg::WindowDef,
        scope: &Scope<'_>,
    ) -> Result<Value, Refusal> {
        self.seen.mark(window);
        let mut value = Value::default();
        for node in &window.partition_clause {
            let group = self.expression(node, scope)?;
            self.book.used(&group, Use::Group);
            value.taint(&group);
        }
        for node in &window.order_clause {
            let sorted = self.sort_key(node, scope)?;
            self.book.used(&sorted, Use::Sort);
            value.taint(&sorted);
        }
        for node in [window.start_offset.as_deref(), window.end_offset.as_deref()] {
            let bound = self.optional(node, scope)?;
            self.book.used(&bound, Use::Filter);
            value.taint(&bound);
        }
        // A window named elsewhere in the query colours the value too.
        for name in [&window.name, &window.refname] {
            if let Some(named) = scope.window(name) {
                value.taint(named);
            }
        }
        Ok(value)
    }

    /// One key of ORDER BY inside an expression.
    pub(super) fn sort_key(&mut self, node: &Node, scope: &Scope<'_>) -> Result<Value, Refusal> {
        let Some(NodeEnum::SortBy(sort)) = &node.node else {
            return self.expression(node, scope);
        };
        self.seen.mark(sort.as_ref());
        let value = self.optional(sort.node.as_deref(), scope)?;
        self.operator(&sort.use_op, &[value.clone(), value.clone()])?;
        Ok(value)
    }
}

/// A part of a name as `regclass` reads it; `None` for what is none, such as the digits of an oid, and for what is not followed.
fn identifier(part: &str) -> Option<String> {
    if let Some(quoted) = part.strip_prefix('"') {
        let inner = quoted.strip_suffix('"')?;
        return (!inner.is_empty() && !inner.contains('"')).then(|| inner.to_owned());
    }
    let first = |one: char| one.is_ascii_alphabetic() || one == '_' || !one.is_ascii();
    let later = |one: char| first(one) || one.is_ascii_digit() || one == '$';
    let plain = part.starts_with(first) && part.chars().all(later);
    plain.then(|| part.to_ascii_lowercase())
}

/// A string literal, also one that is cast to a type that changes nothing of it.
pub(super) fn literal(node: &Node) -> Option<&str> {
    match &node.node {
        Some(NodeEnum::AConst(constant)) => match &constant.val {
            Some(Val::Sval(text)) => Some(&text.sval),
            _ => None,
        },
        // `'role.x'::varchar(4)` is another text.
        Some(NodeEnum::TypeCast(cast)) => {
            let name = cast.type_name.as_ref()?;
            let same = name.typmods.is_empty()
                && name.array_bounds.is_empty()
                && matches!(
                    strings(&name.names).ok()?.as_slice(),
                    ["text" | "regclass"] | ["pg_catalog", "text" | "varchar" | "regclass"]
                );
            same.then(|| literal(cast.arg.as_deref()?))?
        }
        _ => None,
    }
}
