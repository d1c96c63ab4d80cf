//! What the functions of the server and of its contrib extensions do: `list.txt` says which there are (made by `list.sh`
//! from servers 13 to 18), `judgement.txt` what they do. Never guesses: a function that neither names is not known.

mod judgement;
#[cfg(test)]
mod tests;

use std::sync::LazyLock;

use pg_query::{
    NodeEnum,
    protobuf::{Node, a_const::Val},
};
use rustc_hash::FxHashMap;

pub(super) use self::judgement::{Bound, Effect, is_builtin_type, is_row_trigger};
use self::judgement::{Rest, judge, rest_of};
use super::predicate::is_constant;

/// The first major version that the list tells of.
const MAJOR_MIN: u32 = 13;

/// One function of a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Overload {
    /// The types of its arguments, by name.
    pub(super) arguments: Vec<&'static str>,
    /// How many of them must be given.
    required: usize,
    /// The last one stands for any number.
    variadic: bool,
    /// The type of its result, by name.
    pub(super) result: &'static str,
    /// It gives any number of rows.
    pub(super) is_set: bool,
    /// Names of its OUT arguments: its columns in FROM.
    pub(super) columns: Vec<&'static str>,
    /// The majors that have it, the first bit for 13.
    majors: u8,
    /// What it does; `None`: not judged.
    pub(super) effect: Option<Effect>,
}

impl Overload {
    fn takes(&self, count: usize) -> bool {
        count
            >= self.required.min(
                self.arguments
                    .len()
                    .saturating_sub(usize::from(self.variadic)),
            )
            && (self.variadic || count <= self.arguments.len())
    }

    fn is_in(&self, major: u32) -> bool {
        let bit = major.saturating_sub(MAJOR_MIN).min(7);
        self.majors & (1_u8 << bit) != 0
    }
}

static FUNCTIONS: LazyLock<FxHashMap<&'static str, Vec<Overload>>> = LazyLock::new(|| {
    let mut functions: FxHashMap<&'static str, Vec<Overload>> = FxHashMap::default();
    for line in include_str!("list.txt").lines() {
        if let Some((name, overload)) = read(line) {
            functions.entry(name).or_default().push(overload);
        }
    }
    functions
});

/// A line of `list.txt`: name, arguments, result, volatility and kind, perhaps columns, majors.
fn read(line: &'static str) -> Option<(&'static str, Overload)> {
    let words: Vec<&'static str> = line.split('\t').collect();
    let ([name, arguments, result, sort, majors], columns) = match words.as_slice() {
        [name, arguments, result, sort, majors] => {
            ([*name, *arguments, *result, *sort, *majors], "")
        }
        [name, arguments, result, sort, columns, majors] => {
            ([*name, *arguments, *result, *sort, *majors], *columns)
        }
        _ => return None,
    };
    let types: Vec<&'static str> = arguments
        .trim_matches(['(', ')'])
        .split(',')
        .filter(|word| !word.is_empty())
        .collect();
    let mut overload = Overload {
        required: types.iter().filter(|word| !word.contains('=')).count(),
        variadic: types.last().is_some_and(|word| word.contains('*')),
        arguments: types
            .iter()
            .map(|word| word.trim_start_matches(['*', '=']))
            .collect(),
        result: result.trim_start_matches('+'),
        is_set: result.starts_with('+'),
        columns: columns.split(',').filter(|word| !word.is_empty()).collect(),
        majors: majors
            .trim_start_matches('@')
            .split(',')
            .filter_map(|major| major.parse::<u32>().ok())
            .fold(0, |bits, major| {
                bits | 1_u8 << major.saturating_sub(MAJOR_MIN).min(7)
            }),
        effect: None,
    };
    overload.effect = judge(name, &overload, sort.starts_with('i'));
    Some((name, overload))
}

/// The functions of pg_catalog with this name (`extension:name`: of an extension) on a server of this major. With a number
/// of arguments, those that take so many.
pub(super) fn overloads(
    name: &str,
    count: Option<usize>,
    major: u32,
) -> impl Iterator<Item = &'static Overload> + use<> {
    FUNCTIONS
        .get(name)
        .map_or(&[][..], Vec::as_slice)
        .iter()
        .filter(move |overload| {
            overload.is_in(major) && count.is_none_or(|count| overload.takes(count))
        })
}

/// Whether a pure function never fails and is null only if an argument is, with these arguments: neither its failing
/// nor its result's being null or its number of rows then tells of a value.
pub(super) fn is_total(name: &str, arguments: &[Node]) -> bool {
    let rest = arguments.get(1..).unwrap_or_default();
    match rest_of(name) {
        Some(Rest::Any) => true,
        // With a text as second argument it is a match by regular expression, null where nothing matches.
        Some(Rest::Constant) if matches!(name, "substring" | "substr") => {
            rest.iter().all(is_integer)
        }
        Some(Rest::Constant) => rest.iter().all(is_constant),
        None => false,
    }
}

fn is_integer(node: &Node) -> bool {
    matches!(&node.node, Some(NodeEnum::AConst(constant)) if matches!(constant.val, Some(Val::Ival(_))))
}

/// Whether values of a type of the server's own are short, whatever they are: no text among them.
pub(super) const fn is_short(type_oid: u32) -> bool {
    is_scalar(type_oid) && !matches!(type_oid, 25 | 1042 | 1043)
}

/// Whether a type of the server's own is a plain value: no array, no document, no row.
///
/// # Source
/// PostgreSQL, `src/include/catalog/pg_type.dat`.
pub(super) const fn is_scalar(type_oid: u32) -> bool {
    matches!(
        type_oid,
        16 | 18
            ..=21
                | 23
                | 25
                | 26
                | 700
                | 701
                | 790
                | 1042
                | 1043
                | 1082
                | 1083
                | 1114
                | 1184
                | 1186
                | 1266
                | 1700
                | 2950
    )
}
