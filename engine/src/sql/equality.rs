//! Columns that equal constants: what `bounded by column = value` rests on, and the single lookup that probing may allow.
//!
//! Must never name an equality whose texts may agree where the server's values do not: only types whose text form is
//! one to one, only the server's own `=`, only constants whose form is known. What is left out is at worst refused.

use std::collections::BTreeMap;

use pg_query::{
    NodeEnum,
    protobuf::{AConst, AExpr, AExprKind, Node, ParamRef, TypeName, a_const::Val},
};

use super::{
    predicate::{column_of, is_constant},
    resolver::{Resolver, strings},
    utility::Arguments,
};
use crate::{
    catalog::Relation,
    facts::{Column, Constant},
};

/// What is known of a statement's parameters.
#[derive(Debug, Clone, Copy)]
pub(super) struct Parameters<'a> {
    /// The types that Parse declared; 0 for one that the server is to find out.
    pub(super) types: &'a [u32],
    /// How often each stands in the text.
    pub(super) uses: &'a BTreeMap<u16, usize>,
}

/// Sorts of types within which equality of texts is equality of values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sort {
    /// int2, int4, int8.
    Integer,
    /// text, varchar.
    Text,
    /// uuid.
    Uuid,
}

impl Sort {
    /// By `pg_type.oid`.
    const fn of_type(oid: u32) -> Option<Self> {
        match oid {
            20 | 21 | 23 => Some(Self::Integer),
            25 | 1043 => Some(Self::Text),
            2950 => Some(Self::Uuid),
            _ => None,
        }
    }

    /// By the name in pg_catalog.
    fn named(name: &str) -> Option<Self> {
        match name {
            "int2" | "int4" | "int8" => Some(Self::Integer),
            "text" | "varchar" => Some(Self::Text),
            "uuid" => Some(Self::Uuid),
            _ => None,
        }
    }

    /// A string literal in the form that the type prints.
    fn canonical(self, text: &str) -> Option<String> {
        match self {
            Self::Integer => integer(text),
            Self::Text => Some(text.to_owned()),
            Self::Uuid => uuid(text),
        }
    }
}

/// Whether the server is to find out a parameter's type: none, or `unknown`.
const fn is_undeclared(oid: u32) -> bool {
    matches!(oid, 0 | 705)
}

impl Resolver<'_> {
    /// The constant of `column = constant`, where the operator is the server's own.
    pub(super) fn equal_to<'n>(&self, comparison: &'n AExpr) -> Option<&'n Node> {
        if comparison.kind() != AExprKind::AexprOp {
            return None;
        }
        let users = self.catalog.operator_schemas("=");
        match strings(&comparison.name).ok()?.as_slice() {
            ["pg_catalog", "="] => {}
            ["="] if !users.iter().any(|schema| self.path.contains(schema)) => {}
            _ => return None,
        }
        let (left, right) = (comparison.lexpr.as_deref(), comparison.rexpr.as_deref());
        match (column_of(left), column_of(right)) {
            (Some(_), None) => right,
            (None, Some(_)) => left,
            _ => None,
        }
        .filter(|node| is_constant(node))
    }

    /// What a column of a relation equals, where equality of texts is equality of values.
    pub(super) fn exact(
        &self,
        relation: &Relation,
        column: &Column,
        constant: &Node,
    ) -> Option<Constant> {
        let sort = Sort::of_type(column.type_oid)?;
        let attribute = relation
            .attributes
            .iter()
            .find(|attribute| attribute.number == column.attribute)?;
        if attribute.nondeterministic {
            return None;
        }
        self.constant_of(sort, constant)
    }

    fn constant_of(&self, sort: Sort, node: &Node) -> Option<Constant> {
        match node.node.as_ref()? {
            NodeEnum::AConst(constant) => literal(sort, constant),
            NodeEnum::ParamRef(parameter) => self.parameter(sort, parameter),
            NodeEnum::TypeCast(cast) => {
                let same = self.sort_named(cast.type_name.as_ref()?)? == sort;
                same.then(|| self.constant_of(sort, cast.arg.as_deref()?))?
            }
            _ => None,
        }
    }

    /// A parameter that has a type of this sort. One without a declared type takes it from where it stands first, which
    /// is known only where it stands once.
    fn parameter(&self, sort: Sort, parameter: &ParamRef) -> Option<Constant> {
        let number = u16::try_from(parameter.number).ok()?;
        let index = usize::from(number.checked_sub(1)?);
        let (types, uses) = match &self.executed {
            Some(executed) => (executed.types.as_slice(), &executed.uses),
            None => (self.parameters.types, self.parameters.uses),
        };
        let declared = types.get(index).copied().unwrap_or_default();
        let fits = if is_undeclared(declared) {
            uses.get(&number) == Some(&1)
        } else {
            Sort::of_type(declared) == Some(sort)
        };
        if !fits {
            return None;
        }
        match self.executed.as_ref().map(|executed| &executed.arguments) {
            None | Some(Arguments::Awaited) => Some(Constant::Parameter(number)),
            // What EXECUTE gives is a literal, or has no parameters of its own that would mean anything.
            Some(Arguments::Given(arguments)) => {
                let argument = arguments.get(index)?;
                (!holds_parameter(argument)).then(|| self.constant_of(sort, argument))?
            }
            Some(Arguments::Gone) => None,
        }
    }

    /// The oid of a type of the same sort, where its texts can be compared.
    pub(super) fn comparable_type(&self, name: &TypeName) -> Option<u32> {
        Some(match self.sort_named(name)? {
            Sort::Integer => 20,
            Sort::Text => 25,
            Sort::Uuid => 2950,
        })
    }

    /// The sort of a type that is named without a length, and that no user's type hides.
    fn sort_named(&self, name: &TypeName) -> Option<Sort> {
        if name.setof || name.pct_type || !name.typmods.is_empty() || !name.array_bounds.is_empty()
        {
            return None;
        }
        match strings(&name.names).ok()?.as_slice() {
            ["pg_catalog", base] => Sort::named(base),
            [base] if self.catalog.types_named(base).is_empty() => Sort::named(base),
            _ => None,
        }
    }
}

/// Whether a constant is a parameter, cast or not.
fn holds_parameter(node: &Node) -> bool {
    match &node.node {
        Some(NodeEnum::ParamRef(_)) => true,
        Some(NodeEnum::TypeCast(cast)) => cast.arg.as_deref().is_some_and(holds_parameter),
        _ => false,
    }
}

fn literal(sort: Sort, constant: &AConst) -> Option<Constant> {
    match (constant.val.as_ref()?, sort) {
        (Val::Ival(number), _) => Literal::Number(number.ival).of_sort(sort),
        // A number that does not fit 32 bits, or one with a point.
        (Val::Fval(number), Sort::Integer) => Some(Constant::Text(integer(&number.fval)?.into())),
        (Val::Sval(text), _) => Literal::String(&text.sval).of_sort(sort),
        _ => None,
    }
}

/// A literal of the most usual kinds, as it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Literal<'t> {
    /// A whole number.
    Number(i32),
    /// What is between a string's quotes.
    String(&'t str),
}

/// The sorts of types for which a literal gives a constant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Fits {
    pub(super) integer: bool,
    pub(super) text: bool,
    pub(super) uuid: bool,
}

impl Literal<'_> {
    /// What a column of a type equals that is compared with it, where equality of texts is equality of values.
    pub(super) fn of_type(self, oid: u32) -> Option<Constant> {
        self.of_sort(Sort::of_type(oid)?)
    }

    /// What it may be compared with. Every number fits the same.
    pub(super) fn fits(self) -> Fits {
        let fits = |sort| self.of_sort(sort).is_some();
        Fits {
            integer: fits(Sort::Integer),
            text: fits(Sort::Text),
            uuid: fits(Sort::Uuid),
        }
    }

    /// Everything that a column may equal which is compared with it.
    pub(super) fn values(self) -> impl Iterator<Item = Constant> {
        let sorts = [Sort::Integer, Sort::Text, Sort::Uuid];
        sorts.into_iter().filter_map(move |sort| self.of_sort(sort))
    }

    fn of_sort(self, sort: Sort) -> Option<Constant> {
        let text = match (self, sort) {
            (Self::Number(number), Sort::Integer) => number.to_string(),
            (Self::Number(_), Sort::Text | Sort::Uuid) => return None,
            (Self::String(text), _) => sort.canonical(text)?,
        };
        Some(Constant::Text(text.into()))
    }
}

/// A whole number of at most 64 bits in plain digits, as the server prints it.
fn integer(text: &str) -> Option<String> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    let number: i64 = plain.then(|| text.parse().ok())??;
    Some(number.to_string())
}

/// A uuid in its usual form, as the server prints it.
fn uuid(text: &str) -> Option<String> {
    let is_digit = |(place, byte): (usize, u8)| match place {
        8 | 13 | 18 | 23 => byte == b'-',
        _ => byte.is_ascii_hexdigit(),
    };
    let usual = text.len() == 36 && text.bytes().enumerate().all(is_digit);
    usual.then(|| text.to_ascii_lowercase())
}
