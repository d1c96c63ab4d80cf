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
    functions::{self, Bound, Effect, Overload},
    resolver::{Resolver, strings},
    scope::Scope,
};
use crate::facts::{Column, ColumnWrite, Object, Operation, Use};

impl Resolver<'_> {
    /// A function call in an expression.
    pub(super) fn call(
        &mut self,
        call: &pg::FuncCall,
        scope: &Scope<'_>,
    ) -> Result<Value, Refusal> {
        self.seen.mark(call);
        let names = strings(&call.funcname)?;
        let name = names.last().copied().unwrap_or_default();
        if name == "system_user" && call.args.is_empty() {
            self.since(16, "SYSTEM_USER")
                .map_err(|refusal| refusal.at(call.location))?;
        }
        let mut value = Value::default();
        for argument in &call.args {
            value.taint(&self.expression(argument, scope)?);
        }
        let pure = self
            .function(&names, &call.args, &value)
            .map_err(|refusal| refusal.at(call.location))?;
        if !(pure && functions::is_total(name, &call.args)) {
            self.book.computed(&value);
        }
        let users = !self.catalog.function_schemas(name).is_empty();
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
            && !users
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
        Ok(value)
    }

    /// An operator that is named.
    pub(super) fn operator(&mut self, name: &[Node]) -> Result<(), Refusal> {
        match strings(name)?.as_slice() {
            [operator] => self.bare_operator(operator),
            ["pg_catalog", _] => {}
            [.., operator] => {
                self.book.opaque(
                    operator,
                    "a user-defined operator runs a function that analysis does not follow",
                );
            }
            [] => {}
        }
        Ok(())
    }

    /// An operator without schema.
    pub(super) fn bare_operator(&mut self, operator: &str) {
        if self
            .catalog
            .operator_schemas(operator)
            .iter()
            .any(|schema| self.path.contains(schema))
        {
            self.book.opaque(
                operator,
                "a user-defined operator of this name is in the search path",
            );
        }
    }

    /// Notes what a call of a function does with these arguments, `value` what they are computed from. True if it is pure.
    pub(super) fn function(
        &mut self,
        names: &[&str],
        arguments: &[Node],
        value: &Value,
    ) -> Result<bool, Refusal> {
        let (schema, name) = match names {
            [name] => (None, *name),
            [.., schema, name] => (Some(*schema), *name),
            [] => (None, ""),
        };
        let users = self
            .catalog
            .function_schemas(name)
            .iter()
            .find(|found| match schema {
                Some(schema) => ***found == *schema,
                None => self.path.contains(found),
            });
        let owner: Arc<str> = users
            .cloned()
            .or_else(|| schema.map(Arc::from))
            .unwrap_or_else(|| "pg_catalog".into());
        let effects: BTreeSet<Effect> = if users.is_some() {
            BTreeSet::new()
        } else {
            self.overloads(&owner, name, Some(arguments.len()))
                .filter_map(|overload| overload.effect)
                .collect()
        };
        if effects.is_empty() {
            let subject = format!("{owner}.{name}");
            self.called(&owner, name);
            self.book
                .opaque(&subject, "a function that is not known to be pure");
        }
        for effect in &effects {
            self.effect(*effect, (&owner, name), arguments, value)?;
        }
        Ok(effects.iter().eq([&Effect::Pure]))
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

    /// A function called as if it were a field: `value.name`.
    pub(super) fn functional_call(&mut self, name: &str, argument: &Value) -> Result<(), Refusal> {
        let unknown = [Node { node: None }];
        let pure = self.function(&[name], &unknown, argument)?;
        if !(pure && functions::is_total(name, &[])) {
            self.book.computed(argument);
        }
        Ok(())
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
    fn effect(
        &mut self,
        effect: Effect,
        (schema, name): (&Arc<str>, &str),
        arguments: &[Node],
        value: &Value,
    ) -> Result<(), Refusal> {
        let first = arguments.first().and_then(literal);
        match effect {
            Effect::Pure => return Ok(()),
            Effect::ReadsSetting => return self.reads_setting(name, first),
            Effect::Input if self.reads_plainly(name, arguments) => return Ok(()),
            Effect::SetsSetting => self.set_config(arguments)?,
            Effect::Sequences => self.sequence_touched(name, arguments),
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
            Bound::Keeps => self.kept(name, value),
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

    /// `set_config` is SET: what SET may not change, it may not either, or later statements would be misread.
    fn set_config(&mut self, arguments: &[Node]) -> Result<(), Refusal> {
        let Some(setting) = arguments.first().and_then(literal) else {
            return Err(Refusal::new(
                "42501",
                "set_config with a computed name can't be told from a change of role or search_path",
            )
            .hint("write the setting's name as a literal"));
        };
        let setting = setting.to_lowercase();
        super::utility::refuse_setting(&setting, arguments.get(1).and_then(literal))?;
        self.book
            .plain(Object::Setting(setting.into()), Operation::Session);
        Ok(())
    }

    fn reads_setting(&mut self, name: &str, setting: Option<&str>) -> Result<(), Refusal> {
        let Some(setting) = setting else {
            self.book
                .opaque(name, "reads a setting whose name is computed");
            return Ok(());
        };
        let setting: Arc<str> = setting.to_lowercase().into();
        if setting.starts_with("provost.") {
            return Err(Refusal::new(
                "42501",
                "settings named provost.* are the gateway's own",
            ));
        }
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
        let parts: Vec<String> = text
            .split('.')
            .map(|part| {
                part.strip_prefix('"')
                    .and_then(|part| part.strip_suffix('"'))
                    .map_or_else(|| part.to_lowercase(), str::to_owned)
            })
            .collect();
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
        self.operator(&sort.use_op)?;
        self.optional(sort.node.as_deref(), scope)
    }
}

/// A string literal, cast or not.
pub(super) fn literal(node: &Node) -> Option<&str> {
    match &node.node {
        Some(NodeEnum::AConst(constant)) => match &constant.val {
            Some(Val::Sval(text)) => Some(&text.sval),
            _ => None,
        },
        Some(NodeEnum::TypeCast(cast)) => literal(cast.arg.as_deref()?),
        _ => None,
    }
}
