//! Formulas over variables of few values, and a search for values under which one holds.

use std::collections::BTreeMap;

/// How many steps a search takes; more are [`Exhausted`].
const STEPS_MAX: usize = 200_000;

/// The search did not end within its steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Exhausted;

/// A variable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Variable(pub(super) usize);

/// A formula.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Formula {
    /// Holds or not.
    Known(bool),
    /// The variable's value is among those whose bit is set.
    Among(Variable, u64),
    Not(Box<Formula>),
    All(Vec<Formula>),
    Any(Vec<Formula>),
}

impl Formula {
    pub(super) fn not(self) -> Self {
        match self {
            Self::Known(known) => Self::Known(!known),
            Self::Not(inner) => *inner,
            other => Self::Not(Box::new(other)),
        }
    }

    pub(super) fn all(parts: impl IntoIterator<Item = Self>) -> Self {
        Self::joined(parts, false, Self::All)
    }

    pub(super) fn any(parts: impl IntoIterator<Item = Self>) -> Self {
        Self::joined(parts, true, Self::Any)
    }

    /// What is known is folded away: one part of value `settling` settles it.
    fn joined(
        parts: impl IntoIterator<Item = Self>,
        settling: bool,
        join: fn(Vec<Self>) -> Self,
    ) -> Self {
        let mut kept = Vec::new();
        for part in parts {
            match part {
                Self::Known(known) if known == settling => return part,
                Self::Known(_) => {}
                other => kept.push(other),
            }
        }
        match kept.pop() {
            None => Self::Known(!settling),
            Some(only) if kept.is_empty() => only,
            Some(last) => {
                kept.push(last);
                join(kept)
            }
        }
    }

    /// Whether it holds under values for some variables; `None` where that does not settle it.
    fn value(&self, values: &Values) -> Option<bool> {
        match self {
            Self::Known(known) => Some(*known),
            Self::Among(variable, wanted) => {
                values.get(variable).map(|value| wanted & (1 << value) != 0)
            }
            Self::Not(inner) => inner.value(values).map(|value| !value),
            Self::All(parts) => settled(parts, values, false),
            Self::Any(parts) => settled(parts, values, true),
        }
    }

    /// A variable that its value hangs on.
    fn open(&self, values: &Values) -> Option<Variable> {
        match self {
            Self::Known(_) => None,
            Self::Among(variable, _) => (!values.contains_key(variable)).then_some(*variable),
            Self::Not(inner) => inner.open(values),
            Self::All(parts) | Self::Any(parts) => parts
                .iter()
                .filter(|part| part.value(values).is_none())
                .find_map(|part| part.open(values)),
        }
    }
}

fn settled(parts: &[Formula], values: &Values, settling: bool) -> Option<bool> {
    let mut open = false;
    for part in parts {
        match part.value(values) {
            Some(value) if value == settling => return Some(settling),
            Some(_) => {}
            None => open = true,
        }
    }
    (!open).then_some(!settling)
}

/// Values of variables, by number from 0.
pub(super) type Values = BTreeMap<Variable, u8>;

/// Values under which the formula holds; variables that do not matter are left out. `None`: there are none.
pub(super) fn satisfy(
    formula: &Formula,
    count: impl Fn(Variable) -> u8,
) -> Result<Option<Values>, Exhausted> {
    let mut steps = 0;
    let mut values = Values::new();
    let found = search(formula, &count, &mut values, &mut steps)?;
    Ok(found.then_some(values))
}

fn search(
    formula: &Formula,
    count: &impl Fn(Variable) -> u8,
    values: &mut Values,
    steps: &mut usize,
) -> Result<bool, Exhausted> {
    *steps += 1;
    if *steps > STEPS_MAX {
        return Err(Exhausted);
    }
    if let Some(value) = formula.value(values) {
        return Ok(value);
    }
    let Some(variable) = formula.open(values) else {
        return Ok(false);
    };
    for value in 0..count(variable) {
        values.insert(variable, value);
        if search(formula, count, values, steps)? {
            return Ok(true);
        }
    }
    values.remove(&variable);
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_hold_is_found() {
        let is = |variable: usize, value: u8| Formula::Among(Variable(variable), 1 << value);
        let check = |formula: Formula, expected: bool| {
            let found = satisfy(&formula, |_| 3).expect("few steps");
            assert_eq!(found.is_some(), expected, "{formula:?}");
            if let Some(values) = found {
                assert_eq!(formula.value(&values), Some(true));
            }
        };
        check(Formula::all([is(0, 1), is(1, 2)]), true);
        check(Formula::all([is(0, 1), is(0, 2)]), false);
        check(Formula::all([is(0, 1), is(0, 1).not()]), false);
        let none = Formula::all([is(0, 0).not(), is(0, 1).not(), is(0, 2).not()]);
        check(none, false);
        check(Formula::any([is(0, 0), is(0, 1)]).not(), true);
        check(Formula::any([]), false);
        check(Formula::all([]), true);
    }
}
