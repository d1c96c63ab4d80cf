//! Casts of users, which the server puts in wherever types call for them, and what runs where a value is made to be of a
//! type. One is left out only where the value surely is of no type that it starts from, or the place of none that it gives.

use std::sync::Arc;

use super::super::{
    Refusal,
    book::Value,
    functions::{Overload, is_scalar},
    resolver::Resolver,
};
use crate::catalog::{Called, Cast, CastContext, Function, TypeKind};

/// The first oid that is not the server's own.
///
/// # Source
/// PostgreSQL, `FirstNormalObjectId` in `src/include/access/transam.h`.
const FIRST_USER_OID: u32 = 16_384;

/// `json` and `jsonb`.
const DOCUMENTS: [u32; 2] = [114, 3802];

/// Types of the server's own that no other is a part of, besides the scalars: `bytea`, `json`, `xml`, `void`, `jsonb`.
const UNDIVIDED: [u32; 5] = [17, 114, 142, 2278, 3802];

/// Where a value goes.
#[derive(Debug, Clone, Copy)]
pub(in crate::sql) enum Towards<'t> {
    /// Wherever the statement uses it: an argument, an operand, a common type of several, a variable.
    Anywhere,
    /// Into a place of one of these types; 0: of any.
    Assigned(&'t [u32]),
    /// Into one of these types, or 0 for any, by a cast that is written.
    Written(&'t [u32]),
    /// Into a document, which the server makes of every part of it.
    ///
    /// # Source
    /// PostgreSQL, `json_categorize_type` in `src/backend/utils/adt/jsonfuncs.c`: any cast to json, explicit ones too.
    Document,
}

/// What of a type counts as a part of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Parts {
    /// Elements of arrays, what domains are over, columns of rows.
    All,
    /// All but columns of rows.
    Elements,
}

impl Resolver<'_> {
    /// Runs the casts of users that a value may go through: what they give.
    pub(in crate::sql) fn user_casts(
        &mut self,
        value: &Value,
        towards: Towards<'_>,
    ) -> Result<Value, Refusal> {
        let mut given = Value::default();
        if !self.catalog.has_user_casts() {
            return Ok(given);
        }
        let casts: Vec<Cast> = self
            .catalog
            .casts()
            .iter()
            .filter(|cast| !cast.trusted && self.may_run(cast, value, towards))
            .copied()
            .collect();
        let is_unasked = matches!(towards, Towards::Anywhere | Towards::Assigned(_));
        for cast in casts {
            given.taint(&self.user_cast(cast.function, value, is_unasked)?);
        }
        Ok(given)
    }

    /// Runs what a function that makes documents of its arguments runs over values of users' types: what it gives.
    pub(in crate::sql) fn made_documents(
        &mut self,
        function: &str,
        arguments: &[Value],
    ) -> Result<Value, Refusal> {
        let mut given = Value::default();
        let takes_any = |name: &&str| name.starts_with("any") || *name == "record";
        let makes = |overload: &Overload| {
            matches!(overload.result, "json" | "jsonb") && overload.arguments.iter().any(takes_any)
        };
        if self.catalog.has_user_casts() && self.overloads("pg_catalog", function, None).any(makes)
        {
            for argument in arguments {
                given.taint(&self.user_casts(argument, Towards::Document)?);
            }
        }
        Ok(given)
    }

    fn may_run(&self, cast: &Cast, value: &Value, towards: Towards<'_>) -> bool {
        let is_asked = cast.context == CastContext::Explicit;
        let of_server = cast.source < FIRST_USER_OID;
        let starts = of_server || self.may_be(value, cast.source);
        match towards {
            // What stands beside a column of the type that it gives may be of any that it starts from. Of the server's own types,
            // with which everything is made, only casts count that need no assignment: those are told by their places.
            Towards::Anywhere if of_server => {
                let of_column = |oid| {
                    let mut origins = value.sources.iter();
                    origins.any(|origin| self.holds(origin.column.type_oid, oid))
                };
                cast.context == CastContext::Implicit
                    && (self.may_be(value, cast.source) || of_column(cast.target))
            }
            Towards::Anywhere => !is_asked && starts,
            Towards::Assigned(targets) => {
                !is_asked && starts && self.is_target(cast.target, value, targets)
            }
            Towards::Written(targets) => starts && self.is_target(cast.target, value, targets),
            Towards::Document => {
                DOCUMENTS.contains(&cast.target) && self.may_be(value, cast.source)
            }
        }
    }

    /// Whether a value that is made to be of one of these types, or a part of it, is made to be of `target`. Only of a row that
    /// is written as one each column is.
    ///
    /// # Source
    /// PostgreSQL, `coerce_type` and `coerce_record_to_complex` in `src/backend/parser/parse_coerce.c`.
    fn is_target(&self, target: u32, value: &Value, targets: &[u32]) -> bool {
        let parts = match &value.row {
            Some(_) => Parts::All,
            None => Parts::Elements,
        };
        targets.iter().any(|oid| self.has(*oid, target, parts))
    }

    /// Whether a value, or a part of it, may be of a type.
    fn may_be(&self, value: &Value, type_oid: u32) -> bool {
        if value.literal {
            return false;
        }
        if let Some(row) = &value.row {
            let own = self.catalog.type_by_oid(type_oid);
            let is_row = own.is_some_and(|own| match value.described {
                Some((relation, 0)) => own.relation == relation,
                _ => own.kind == TypeKind::Composite,
            });
            return is_row || row.iter().any(|field| self.may_be(&field.value, type_oid));
        }
        let is_unknown = !value.plain && value.described.is_none();
        is_unknown
            || value
                .sources
                .iter()
                .any(|origin| self.holds(origin.column.type_oid, type_oid))
    }

    /// Whether a type is another one, or has parts that are: elements of arrays, what domains are over, columns of rows.
    fn holds(&self, whole: u32, part: u32) -> bool {
        self.has(whole, part, Parts::All)
    }

    fn has(&self, whole: u32, part: u32, parts: Parts) -> bool {
        let mut asked = vec![whole];
        let mut seen = Vec::new();
        while let Some(oid) = asked.pop() {
            if oid == part || is_any(oid) {
                return true;
            }
            if seen.contains(&oid) {
                continue;
            }
            seen.push(oid);
            let Some(user_type) = self.catalog.type_by_oid(oid) else {
                // Arrays, ranges and rows of the server's own hold its own types only.
                let is_made = !is_scalar(oid) && !UNDIVIDED.contains(&oid);
                if oid < FIRST_USER_OID && part < FIRST_USER_OID && is_made {
                    return true;
                }
                continue;
            };
            asked.push(user_type.element);
            if user_type.kind == TypeKind::Pseudo {
                return true;
            }
            let columns = self.catalog.relation(user_type.relation);
            if let Some(relation) = columns.filter(|_| parts == Parts::All) {
                asked.extend(relation.columns.iter().map(|column| column.type_oid));
            }
            asked.retain(|oid| *oid != 0);
        }
        false
    }

    /// One cast: the same is often met again, wherever a value is.
    fn user_cast(
        &mut self,
        function: u32,
        value: &Value,
        is_unasked: bool,
    ) -> Result<Value, Refusal> {
        if self.casting.contains(&function) {
            return self.cast_again(function, value);
        }
        let path = self.runtime_path.clone();
        if is_unasked && let Some(given) = self.book.cast_done(function, &path, value) {
            return Ok(given);
        }
        let effects = self.book.effects();
        let met_again = std::mem::replace(&mut self.met_again, usize::MAX);
        let uses = self.book.take_uses();
        let unasked = is_unasked.then_some(function);
        let outer = std::mem::replace(&mut self.unasked, unasked);
        self.casting.push(function);
        let result = self.run_by_oid(function, "cast", std::slice::from_ref(value));
        self.casting.pop();
        self.unasked = outer;
        // What functions give that were being read before may grow.
        let is_settled = self.met_again >= self.active.len();
        self.met_again = self.met_again.min(met_again);
        let given = result?;
        let own_uses = self.book.take_uses();
        self.book.add_uses(uses);
        self.book.add_uses(own_uses);
        if is_unasked && is_settled && self.book.effects() == effects {
            let values = (value, &given);
            self.book.cast_computed(function, &path, values, own_uses);
        }
        Ok(given)
    }

    /// A cast that is met while it is read: whatever it runs is noted further out, and so is what it gives.
    fn cast_again(&mut self, function: u32, value: &Value) -> Result<Value, Refusal> {
        let is_active = self.active.iter().any(|one| one.oid == function);
        match self.catalog.called(function) {
            Some(Called::Users(function)) if is_active => {
                let function = function.clone();
                let values = vec![value.clone(); function.inputs().count()];
                Ok(self.run(&function, values)?.value)
            }
            _ => Ok(Value::default()),
        }
    }

    /// What making values of a function's arguments and of its result evaluates.
    pub(super) fn routine_checks(
        &mut self,
        function: &Arc<Function>,
        values: &[Value],
    ) -> Result<(), Refusal> {
        for (input, value) in function.inputs().zip(values) {
            // A variable of the argument's type is of what the caller gave.
            if is_any(input.type_oid) {
                let types: Vec<u32> = value
                    .sources
                    .iter()
                    .map(|origin| origin.column.type_oid)
                    .collect();
                self.all_checks(types)?;
            }
        }
        let arguments = function.arguments.iter().map(|argument| argument.type_oid);
        self.all_checks(arguments.chain([function.result]).collect())
    }

    /// What assigning to any of these types, or to a column of one that is a row's, evaluates.
    pub(super) fn all_checks(&mut self, types: Vec<u32>) -> Result<(), Refusal> {
        for oid in types {
            let Some(user_type) = self.catalog.type_by_oid(oid).cloned() else {
                continue;
            };
            self.type_checks(oid)?;
            let relation = self.catalog.relation(user_type.relation).cloned();
            for column in relation.iter().flat_map(|relation| &relation.columns) {
                self.type_checks(column.type_oid)?;
            }
        }
        Ok(())
    }
}

/// A type that stands for any: of none in particular, of rows and of what the arguments are.
///
/// # Source
/// PostgreSQL, the pseudo-types of `src/include/catalog/pg_type.dat`.
const fn is_any(type_oid: u32) -> bool {
    matches!(
        type_oid,
        0 | 2249 | 2276 | 2277 | 2283 | 2287 | 2776 | 3500 | 3831 | 4537 | 4538 | 5077..=5080
    )
}
