//! Guards around the functions and operators of a program. regorus' virtual machine takes what fails inside a rule for
//! undefined, so that a refusal whose condition fails would not refuse; and it looks at its limits between instructions, while
//! one call of `replace`, `sprintf` or `to_number` can make gigabytes. Here a failure ends the evaluation, which denies, and
//! what makes or compares values is estimated before it runs, and charged.
//!
//! An estimate is never below what a call makes, and may be above. What holds one value many times counts every time, since
//! that is what it costs to compare or write out.

use std::{cell::Cell, cmp::Ordering, collections::BTreeMap, mem::discriminant};

use regorus::{
    LimitError, Value,
    rvm::{Instruction, Program, instructions::BuiltinCallParams, program::BuiltinInfo},
    unstable::{BuiltinFcn, Span},
};

use super::builtins;

/// The largest exponent of a number in a text: far beyond it lie whole numbers of gigabytes.
pub(super) const EXPONENT_MAX: usize = 400;
/// What a value takes beside its text.
pub(super) const VALUE_BYTES: usize = 32;
/// The longest that a floating point number is written.
const FLOAT_BYTES: usize = 400;
/// What a letter becomes at most: `\u0001` in JSON, `%00` in a URL.
const ESCAPE_BYTES: usize = 6;

/// What ended an evaluation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Failure {
    /// It made more than it may.
    TooLarge,
    /// A function or an operator got what it can't take.
    Call(&'static str),
    /// A rule with one value came to two.
    Values,
    /// A rule got null among the values of an iteration.
    Null,
}

thread_local! {
    /// What is left for the answer that this thread is about, in bytes.
    static LEFT: Cell<usize> = const { Cell::new(0) };
    /// What ended it.
    static FAILURE: Cell<Option<Failure>> = const { Cell::new(None) };
}

/// An answer begins; its functions may make so much.
pub(super) fn begin(bytes: usize) {
    LEFT.set(bytes);
    FAILURE.set(None);
}

/// What ended the answer.
pub(super) fn failure() -> Option<Failure> {
    FAILURE.get()
}

/// Ends the evaluation. The virtual machine takes any error for undefined but those of its limits.
pub(super) fn end(failure: Failure) -> LimitError {
    FAILURE.set(Some(failure));
    LimitError::MemoryLimitExceeded { usage: 0, limit: 0 }
}

/// Takes from what is left.
///
/// # Errors
/// When that is too little.
pub(super) fn charge(bytes: usize) -> Result<(), LimitError> {
    let rest = LEFT.get().checked_sub(bytes);
    LEFT.set(rest.ok_or_else(|| end(Failure::TooLarge))?);
    Ok(())
}

/// Puts guards around what a program calls, and calls in place of its operators.
pub(super) fn guard(program: &mut Program) {
    let functions = program
        .builtin_info_table
        .iter()
        .zip(&mut program.resolved_builtins);
    for (info, function) in functions {
        if let Some(guarded) = builtins::function(&info.name) {
            *function = guarded;
        }
    }
    let mut added: BTreeMap<&'static str, u16> = BTreeMap::new();
    for place in 0..program.instructions.len() {
        let operation = program.instructions.get(place).and_then(operator);
        let Some((name, dest, left, right)) = operation else {
            continue;
        };
        let builtin_index = match added.get(name) {
            Some(index) => *index,
            None => {
                let Some((_, guarded)) = OPERATORS.iter().find(|(operator, _)| *operator == name)
                else {
                    continue;
                };
                program.resolved_builtins.push(*guarded);
                let index = program.add_builtin_info(BuiltinInfo {
                    name: name.to_owned(),
                    num_args: 2,
                });
                added.insert(name, index);
                index
            }
        };
        let params_index = program.add_builtin_call_params(BuiltinCallParams {
            dest,
            builtin_index,
            num_args: 2,
            args: [left, right, 0, 0, 0, 0, 0, 0],
        });
        if let Some(instruction) = program.instructions.get_mut(place) {
            *instruction = Instruction::BuiltinCall { params_index };
        }
    }
}

/// An operator's name and registers: where the result goes, what it is made of.
fn operator(instruction: &Instruction) -> Option<(&'static str, u8, u8, u8)> {
    match *instruction {
        Instruction::Add { dest, left, right } => Some(("+", dest, left, right)),
        Instruction::Sub { dest, left, right } => Some(("-", dest, left, right)),
        Instruction::Mul { dest, left, right } => Some(("*", dest, left, right)),
        Instruction::Div { dest, left, right } => Some(("/", dest, left, right)),
        Instruction::Mod { dest, left, right } => Some(("%", dest, left, right)),
        Instruction::Eq { dest, left, right } => Some(("==", dest, left, right)),
        Instruction::Ne { dest, left, right } => Some(("!=", dest, left, right)),
        Instruction::Lt { dest, left, right } => Some(("<", dest, left, right)),
        Instruction::Le { dest, left, right } => Some(("<=", dest, left, right)),
        Instruction::Gt { dest, left, right } => Some((">", dest, left, right)),
        Instruction::Ge { dest, left, right } => Some((">=", dest, left, right)),
        _ => None,
    }
}

/// An operator on two values, which says `None` where it can't be.
macro_rules! operator {
    ($name:literal, $function:expr) => {
        (
            $name,
            (
                |_: &Span, _, arguments: &[Value], _| {
                    charge(operands(arguments))?;
                    let function: fn(&Value, &Value) -> Option<Value> = $function;
                    let made = match arguments {
                        [left, right] => function(left, right),
                        _ => None,
                    };
                    Ok(made.ok_or_else(|| end(Failure::Call($name)))?)
                },
                2,
            ),
        )
    };
}

/// What stands in place of the instructions of the same name. Values of two types have an order in OPA; here they have none:
/// whoever compares a number with a text has made a mistake.
const OPERATORS: &[(&str, BuiltinFcn)] = &[
    operator!("+", |left, right| {
        Some(Value::from(
            left.as_number().ok()?.add(right.as_number().ok()?).ok()?,
        ))
    }),
    operator!("-", |left, right| match (left, right) {
        (Value::Set(left), Value::Set(right)) => Some(Value::from(left.difference(right))),
        _ => Some(Value::from(
            left.as_number().ok()?.sub(right.as_number().ok()?).ok()?
        )),
    }),
    operator!("*", |left, right| {
        Some(Value::from(
            left.as_number().ok()?.mul(right.as_number().ok()?).ok()?,
        ))
    }),
    operator!("/", |left, right| {
        let (left, right) = (left.as_number().ok()?, right.as_number().ok()?);
        let is_zero = right.as_f64() == Some(0.0);
        (!is_zero).then(|| left.clone().divide(right).ok().map(Value::from))?
    }),
    operator!("%", |left, right| {
        let (left, right) = (left.as_number().ok()?, right.as_number().ok()?);
        let is_possible = left.is_integer() && right.is_integer() && right.as_f64() != Some(0.0);
        is_possible.then(|| left.clone().modulo(right).ok().map(Value::from))?
    }),
    operator!("==", |left, right| Some(Value::from(left == right))),
    operator!("!=", |left, right| Some(Value::from(left != right))),
    operator!("<", |left, right| ordered(left, right, Ordering::is_lt)),
    operator!("<=", |left, right| ordered(left, right, Ordering::is_le)),
    operator!(">", |left, right| ordered(left, right, Ordering::is_gt)),
    operator!(">=", |left, right| ordered(left, right, Ordering::is_ge)),
];

/// The value of a rule: what it had before, null for nothing, and what it gets.
pub(super) const ONE_VALUE: (&str, BuiltinFcn) = (
    "one value",
    (
        |_: &Span, _, arguments: &[Value], _| {
            charge(operands(arguments))?;
            match arguments {
                [_, Value::Null] => Err(end(Failure::Null).into()),
                [before, now] if *before == Value::Null || before == now => Ok(now.clone()),
                _ => Err(end(Failure::Values).into()),
            }
        },
        2,
    ),
);

fn ordered(left: &Value, right: &Value, is: fn(Ordering) -> bool) -> Option<Value> {
    (discriminant(left) == discriminant(right)).then(|| Value::from(is(left.cmp(right))))
}

pub(super) fn text(value: &Value) -> &str {
    match value {
        Value::String(text) => text,
        _ => "",
    }
}

fn length(arguments: &[Value], place: usize) -> usize {
    arguments.get(place).map_or(0, |value| text(value).len())
}

/// How many values a collection holds.
fn count(value: &Value) -> usize {
    match value {
        Value::Array(items) => items.len(),
        Value::Set(items) => items.len(),
        Value::Object(fields) => fields.len().saturating_mul(2),
        _ => 1,
    }
}

/// How large a value is with all that it holds, as far as that is within what is left; and how deep.
fn size(values: &[Value]) -> (usize, usize) {
    let enough = LEFT.get();
    let mut bytes: usize = 0;
    let mut deepest = 0;
    let mut waiting: Vec<(&Value, usize)> = values.iter().map(|value| (value, 1)).collect();
    while let Some((value, depth)) = waiting.pop() {
        deepest = deepest.max(depth);
        let own = match value {
            Value::String(text) => text.len(),
            Value::Number(_) => number_bytes(value),
            _ => 0,
        };
        bytes = bytes.saturating_add(own).saturating_add(VALUE_BYTES);
        if bytes > enough {
            return (usize::MAX, deepest);
        }
        match value {
            Value::Array(items) => waiting.extend(items.iter().map(|item| (item, depth + 1))),
            Value::Set(items) => waiting.extend(items.iter().map(|item| (item, depth + 1))),
            Value::Object(fields) => {
                for (key, value) in fields.iter() {
                    waiting.push((key, depth + 1));
                    waiting.push((value, depth + 1));
                }
            }
            Value::Null
            | Value::Bool(_)
            | Value::Number(_)
            | Value::String(_)
            | Value::Undefined => {}
        }
    }
    (bytes, deepest)
}

/// What makes nothing of note, in a time that grows with its arguments' own length.
pub(super) fn nothing(_: &[Value]) -> usize {
    0
}

/// What an operator makes or compares. Texts are compared without being copied; to multiply or divide whole numbers takes as
/// long as the one is times the other.
fn operands(arguments: &[Value]) -> usize {
    match arguments {
        [Value::Number(left), Value::Number(right)]
            if left.as_i64().is_some() || right.as_i64().is_some() =>
        {
            0
        }
        [left @ Value::Number(_), right @ Value::Number(_)] => {
            number_bytes(left).saturating_mul(number_bytes(right))
        }
        [Value::Array(_) | Value::Set(_) | Value::Object(_), _] => whole(arguments),
        _ => 0,
    }
}

/// What a number takes beyond those of 64 bits.
fn number_bytes(value: &Value) -> usize {
    match value {
        Value::Number(number) if number.as_u64().is_some() || number.as_i64().is_some() => 0,
        // Two hexadecimal digits take a byte, and hardly more than two decimal ones: times four is enough to write it.
        Value::Number(number) if number.is_integer() => number.format_hex().len() * 4,
        Value::Number(_) => FLOAT_BYTES,
        _ => 0,
    }
}

/// Everything in the arguments, once more.
pub(super) fn whole(arguments: &[Value]) -> usize {
    size(arguments).0
}

/// Everything in the arguments as text.
pub(super) fn written(arguments: &[Value]) -> usize {
    whole(arguments).saturating_mul(ESCAPE_BYTES)
}

/// A place for each value that the arguments hold directly.
pub(super) fn places(arguments: &[Value]) -> usize {
    arguments
        .iter()
        .map(count)
        .fold(0, usize::saturating_add)
        .saturating_mul(VALUE_BYTES)
}

/// A text cut at every letter.
pub(super) fn pieces(arguments: &[Value]) -> usize {
    arguments
        .iter()
        .map(|argument| text(argument).len() + 2)
        .fold(0, usize::saturating_add)
        .saturating_mul(VALUE_BYTES)
}

/// `concat(between, texts)`
pub(super) fn concat(arguments: &[Value]) -> usize {
    let between = length(arguments, 0).saturating_mul(arguments.get(1).map_or(0, count));
    whole(arguments).saturating_add(between)
}

/// `replace(text, old, new)`
pub(super) fn replace(arguments: &[Value]) -> usize {
    replaced(
        length(arguments, 0),
        length(arguments, 1),
        length(arguments, 2),
    )
}

fn replaced(text: usize, old: usize, new: usize) -> usize {
    let found = text.checked_div(old).unwrap_or(text + 1);
    text.saturating_add(found.saturating_mul(new))
}

/// `strings.replace_n({old: new}, text)`, one after the other.
pub(super) fn replace_n(arguments: &[Value]) -> usize {
    let Some(Value::Object(patterns)) = arguments.first() else {
        return 0;
    };
    let mut longest = length(arguments, 1);
    let mut all: usize = 0;
    for (old, new) in patterns.iter() {
        longest = replaced(longest, text(old).len(), text(new).len());
        all = all.saturating_add(longest);
    }
    all
}

/// `regex.replace(text, pattern, new)`, where `new` can name parts of the text.
pub(super) fn regex_replace(arguments: &[Value]) -> usize {
    let matched = length(arguments, 0);
    let new = arguments.get(2).map_or("", text);
    let named = new.matches('$').count().saturating_mul(matched);
    let each = new.len().saturating_add(named);
    matched.saturating_add((matched + 1).saturating_mul(each))
}

/// `sprintf(format, values)`: the values, and widths such as `%1000000d`.
pub(super) fn sprintf(arguments: &[Value]) -> usize {
    let widths = arguments
        .first()
        .map_or("", text)
        .split(|letter: char| !letter.is_numeric())
        .filter(|digits| !digits.is_empty())
        .map(|digits| digits.parse().unwrap_or(usize::MAX))
        .fold(0, usize::saturating_add);
    written(arguments).saturating_add(widths)
}

/// A text that is read as a number.
pub(super) fn number(arguments: &[Value]) -> usize {
    let text = arguments.first().map_or("", text);
    if has_huge_exponent(text) {
        return usize::MAX;
    }
    text.len().saturating_mul(VALUE_BYTES)
}

/// Whether a text, read as a number, is beyond what anybody means.
pub(super) fn has_huge_exponent(text: &str) -> bool {
    let Some((_, exponent)) = text.rsplit_once(['e', 'E']) else {
        return false;
    };
    let digits: String = exponent
        .trim_start_matches('+')
        .chars()
        .filter(|letter| *letter != '_')
        .take_while(char::is_ascii_digit)
        .collect();
    !digits.is_empty() && digits.parse().unwrap_or(usize::MAX) > EXPONENT_MAX
}

/// JSON as Rego has it. What is no finite number is undefined.
pub(super) fn to_value(json: &serde_json::Value) -> Value {
    match json {
        serde_json::Value::Null => Value::Null,
        serde_json::Value::Bool(is) => Value::from(*is),
        serde_json::Value::Number(number) => match (number.as_u64(), number.as_i64()) {
            (Some(number), _) => Value::from(number),
            (None, Some(number)) => Value::from(number),
            (None, None) => number
                .as_f64()
                .filter(|number| number.is_finite())
                .map_or(Value::Undefined, Value::from),
        },
        serde_json::Value::String(text) => Value::from(text.as_str()),
        serde_json::Value::Array(items) => {
            Value::from(items.iter().map(to_value).collect::<Vec<Value>>())
        }
        serde_json::Value::Object(fields) => Value::from(
            fields
                .iter()
                .map(|(key, value)| (Value::from(key.as_str()), to_value(value)))
                .collect::<std::collections::BTreeMap<Value, Value>>(),
        ),
    }
}
