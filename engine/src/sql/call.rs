//! Function calls and operators: what runs, what it touches, what its value is computed from. Must never call a function
//! pure that is not known to be.

use std::sync::Arc;

use pg_query::{
    NodeEnum,
    protobuf::{self as pg, Node, a_const::Val},
};

use super::{
    Refusal,
    book::Value,
    functions::{self, Effect},
    resolver::{Resolver, strings},
    scope::Scope,
};
use crate::facts::{Object, Operation, Use};

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
        let pure = self.function(&names).is_some();
        if name == "set_config" {
            self.set_config(&call.args)
                .map_err(|refusal| refusal.at(call.location))?;
        }
        self.call_effects(name, &call.args)
            .map_err(|refusal| refusal.at(call.location))?;
        let mut value = Value::default();
        for argument in &call.args {
            value.taint(&self.expression(argument, scope)?);
        }
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

    /// A function that is named. `Some`: pure, and in FROM it gives these columns.
    pub(super) fn function(&mut self, names: &[&str]) -> Option<&'static [&'static str]> {
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
        let effect = if users.is_none() && &*owner == "pg_catalog" {
            functions::effect(name)
        } else {
            None
        };
        let call = Object::Function {
            schema: owner.clone(),
            name: name.into(),
        };
        match effect {
            Some(Effect::Pure(columns)) => return Some(columns),
            Some(Effect::Sequence) => self.book.plain(call, Operation::Call),
            // The caller notes which setting.
            Some(Effect::Setting) => return Some(&[]),
            None => {
                self.book.plain(call, Operation::Call);
                self.book.opaque(
                    &format!("{owner}.{name}"),
                    "a function that is not known to be pure",
                );
            }
        }
        None
    }

    /// A function called as if it were a field: `value.name`.
    pub(super) fn functional_call(&mut self, name: &str, argument: &Value) {
        let pure = self.function(&[name]).is_some();
        if !(pure && functions::is_total(name, &[])) {
            self.book.computed(argument);
        }
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

    /// Effects that depend on arguments: settings and sequences.
    fn call_effects(&mut self, name: &str, arguments: &[Node]) -> Result<(), Refusal> {
        match functions::effect(name) {
            Some(Effect::Setting) => {
                let Some(setting) = arguments.first().and_then(literal) else {
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
            }
            Some(Effect::Sequence) if !arguments.is_empty() => match arguments
                .first()
                .and_then(literal)
                .map(|name| self.sequence(name))
            {
                Some(Some(sequence)) => self.book.plain(sequence, Operation::Update),
                _ => self.book.opaque(
                    name,
                    "touches a sequence whose name is computed or not known",
                ),
            },
            Some(Effect::Pure(_) | Effect::Sequence) | None => {}
        }
        Ok(())
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
