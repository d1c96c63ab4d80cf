//! Which functions a call could mean: by path, name, number of arguments and, where they are plain, their types. Every one
//! that could be meant is kept; one is left out only where the server could not choose it.

use std::sync::Arc;

use pg_query::{NodeEnum, protobuf::a_const::Val};

use super::{
    super::{
        functions::Overload,
        resolver::{Resolver, strings},
    },
    Arguments,
};
use crate::{
    catalog::{Argument, ArgumentMode, Function, FunctionKind},
    schema::server_type,
};

impl Resolver<'_> {
    /// The users' functions and procedures that a call could mean: each that takes these arguments.
    pub(in crate::sql) fn candidates(
        &self,
        schema: Option<&str>,
        name: &str,
        arguments: &Arguments<'_>,
    ) -> Vec<Arc<Function>> {
        let in_reach = |function: &&Arc<Function>| match schema {
            Some("pg_temp") => self.catalog.temp_schema() == Some(&function.schema),
            Some(schema) => *function.schema == *schema,
            // Functions are never looked up in the temporary schema without its name.
            None => self.path.contains(&function.schema),
        };
        let found: Vec<Arc<Function>> = self
            .catalog
            .functions_named(name)
            .iter()
            .filter(in_reach)
            .filter(|function| takes(function, arguments))
            .cloned()
            .collect();
        match schema {
            None if !found.is_empty() => self.visible(found, name, arguments),
            _ => found,
        }
    }

    /// Of functions with the same arguments, the first in the path is the only one that a bare name reaches.
    fn visible(
        &self,
        mut found: Vec<Arc<Function>>,
        name: &str,
        arguments: &Arguments<'_>,
    ) -> Vec<Arc<Function>> {
        let place = |schema: &str| self.path.iter().position(|known| **known == *schema);
        found.sort_by_key(|function| place(&function.schema));
        let has_names = (0..arguments.values.len()).any(|index| arguments.name(index).is_some());
        if has_names {
            return found;
        }
        let servers: Vec<Vec<Option<u32>>> = self
            .overloads("pg_catalog", name, None)
            .map(|one| one.arguments.iter().map(|name| server_type(name)).collect())
            .collect();
        let server_place = place("pg_catalog");
        let mut kept: Vec<Arc<Function>> = Vec::new();
        for function in found {
            let types: Vec<Option<u32>> = function
                .inputs()
                .map(|input| Some(input.type_oid))
                .collect();
            let hidden_by_server = servers.contains(&types)
                && server_place.is_some_and(|server| Some(server) < place(&function.schema));
            let hidden = kept.iter().any(|one| {
                one.inputs()
                    .map(|input| Some(input.type_oid))
                    .eq(types.iter().copied())
            });
            if !hidden_by_server && !hidden {
                kept.push(function);
            }
        }
        kept
    }

    /// The candidates that a call means where its arguments' types are plainly known: a function that takes exactly those is
    /// chosen. True: one of the server's own is.
    pub(in crate::sql) fn chosen(
        &self,
        users: Vec<Arc<Function>>,
        server: &[&'static Overload],
        arguments: &Arguments<'_>,
    ) -> (Vec<Arc<Function>>, bool) {
        let types: Option<Vec<u32>> = (0..arguments.values.len())
            .map(|index| self.argument_type(arguments, index))
            .collect();
        let Some(types) = types
            .filter(|types| !types.is_empty() && !arguments.variadic && arguments.ordered == 0)
        else {
            return (users, true);
        };
        let exact: Vec<Arc<Function>> = users
            .iter()
            .filter(|function| {
                function
                    .inputs()
                    .map(|input| input.type_oid)
                    .eq(types.iter().copied())
            })
            .cloned()
            .collect();
        let exact_of_server = server.iter().any(|one| {
            one.arguments
                .iter()
                .map(|name| server_type(name))
                .eq(types.iter().map(|oid| Some(*oid)))
        });
        match (exact.is_empty(), exact_of_server) {
            (true, true) => (Vec::new(), true),
            (false, false) => (exact, false),
            (false, true) => (exact, true),
            (true, false) => (users, true),
        }
    }

    /// The type of an argument, where it is plain.
    fn argument_type(&self, arguments: &Arguments<'_>, index: usize) -> Option<u32> {
        let value = arguments.values.get(index)?;
        match arguments.nodes.get(index)?.node.as_ref()? {
            NodeEnum::AConst(constant) => match constant.val.as_ref()? {
                Val::Ival(_) => Some(23),
                Val::Boolval(_) => Some(16),
                _ => None,
            },
            NodeEnum::ColumnRef(_) => {
                let described = value.described?;
                value
                    .sources
                    .iter()
                    .map(|origin| &origin.column)
                    .find(|column| (column.relation_oid, column.attribute) == described)
                    .map(|column| column.type_oid)
            }
            NodeEnum::TypeCast(cast) => {
                let name = cast.type_name.as_ref()?;
                let is_plain = name.array_bounds.is_empty() && !name.setof && !name.pct_type;
                let names = strings(&name.names).ok()?;
                match names.as_slice() {
                    [base] if is_plain && self.catalog.types_named(base).is_empty() => {
                        server_type(base)
                    }
                    ["pg_catalog", base] if is_plain => server_type(base),
                    _ => None,
                }
            }
            _ => None,
        }
    }
}

/// Whether a function takes these arguments, as far as their number and names tell.
fn takes(function: &Function, arguments: &Arguments<'_>) -> bool {
    let inputs: Vec<&Argument> = function.inputs().collect();
    let count = arguments.count();
    let is_variadic = inputs
        .last()
        .is_some_and(|last| last.mode == ArgumentMode::Variadic);
    let known_names = (0..arguments.values.len()).all(|index| {
        arguments.name(index).is_none_or(|name| {
            inputs
                .iter()
                .any(|input| input.name.as_deref() == Some(name))
        })
    });
    if !known_names {
        return false;
    }
    if function.kind == FunctionKind::Procedure && count == function.arguments.len() {
        return true;
    }
    let left_out = function
        .defaults_count()
        .saturating_add(usize::from(is_variadic && !arguments.variadic));
    if count > inputs.len() {
        return is_variadic && !arguments.variadic;
    }
    count.saturating_add(left_out) >= inputs.len()
}
