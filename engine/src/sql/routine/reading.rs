//! The tree of a PL/pgSQL body, as its compiler writes it: names of its parts, numbers of its variables, and what it leaves
//! out. Guesses nothing: what a part does not say is empty or 0, as the compiler means it.

use std::{collections::BTreeSet, sync::Arc};

use pg_query::{NodeEnum, protobuf::a_const::Val};
use serde_json::Value as Json;

/// Something that a body can assign to.
#[derive(Debug)]
pub(super) enum Datum {
    /// A variable; a cursor with its query.
    Variable {
        name: Arc<str>,
        /// The type of one that the body declares: the exact name of one of the server's own, or what is none.
        declared: Option<String>,
        default: Option<String>,
        query: Option<String>,
        arguments: Option<usize>,
    },
    /// A field of another.
    Field {
        parent: usize,
        name: Arc<str>,
    },
    /// Several at once.
    Row(Vec<usize>),
    Unknown,
}

impl Datum {
    pub(super) fn read(json: &Json) -> Self {
        let number = |json: &Json, key: &str| {
            json.get(key)
                .and_then(Json::as_u64)
                .and_then(|number| usize::try_from(number).ok())
        };
        if let Some(variable) = json.get("PLpgSQL_var").or_else(|| json.get("PLpgSQL_rec")) {
            return Self::Variable {
                name: word(variable, "refname").into(),
                // What the caller passes has no line, and a type that we wrote for it.
                declared: variable.get("lineno").map(|_| {
                    let declared = variable.get("datatype");
                    let declared = declared.and_then(|one| one.get("PLpgSQL_type"));
                    declared.map_or("", |one| word(one, "typname")).to_owned()
                }),
                default: query(variable, "default_val").map(|(text, _)| text.to_owned()),
                query: query(variable, "cursor_explicit_expr").map(|(text, _)| text.to_owned()),
                arguments: number(variable, "cursor_explicit_argrow"),
            };
        }
        if let Some(field) = json.get("PLpgSQL_recfield") {
            return Self::Field {
                parent: number(field, "recparentno").unwrap_or(0),
                name: word(field, "fieldname").into(),
            };
        }
        match json.get("PLpgSQL_row").and_then(|row| row.get("fields")) {
            Some(fields) => Self::Row(
                list(fields)
                    .map(|field| number(field, "varno").unwrap_or(0))
                    .collect(),
            ),
            None => Self::Unknown,
        }
    }
}

/// The cursors that OPEN names, anywhere in a tree.
pub(super) fn opened_in(json: &Json, found: &mut BTreeSet<usize>) {
    match json {
        Json::Object(object) => {
            for (key, value) in object {
                if key == "PLpgSQL_stmt_open" {
                    found.insert(index(value, "curvar"));
                }
                opened_in(value, found);
            }
        }
        Json::Array(values) => values.iter().for_each(|value| opened_in(value, found)),
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) => {}
    }
}

pub(super) fn list(json: &Json) -> impl Iterator<Item = &Json> {
    json.as_array().into_iter().flatten()
}

pub(super) fn part<'j>(json: &'j Json, key: &str) -> impl Iterator<Item = &'j Json> + use<'j> {
    json.get(key).into_iter().flat_map(list)
}

pub(super) fn word<'j>(json: &'j Json, key: &str) -> &'j str {
    json.get(key).and_then(Json::as_str).unwrap_or_default()
}

/// The number of a datum: the compiler leaves out what is 0.
pub(super) fn index(json: &Json, key: &str) -> usize {
    index_of(json, key).unwrap_or(0)
}

pub(super) fn index_of(json: &Json, key: &str) -> Option<usize> {
    json.get(key)?
        .as_u64()
        .and_then(|number| usize::try_from(number).ok())
}

/// The text of an expression and how it is parsed: 0 a statement, 2 an expression, 3 and more an assignment.
pub(super) fn query<'j>(json: &'j Json, key: &str) -> Option<(&'j str, u64)> {
    let expression = json.get(key)?;
    let expression = expression.get("PLpgSQL_expr").unwrap_or(expression);
    let mode = expression
        .get("parseMode")
        .and_then(Json::as_u64)
        .unwrap_or(0);
    Some((expression.get("query")?.as_str()?, mode))
}

/// The two sides of `target := value`.
pub(super) fn split_assignment(text: &str) -> Option<(&str, &str)> {
    use pg_query::protobuf::Token;
    let mut depth = 0_usize;
    for (range, token) in super::super::authority::tokens(text)? {
        match token {
            Token::Ascii91 | Token::Ascii40 => depth = depth.saturating_add(1),
            Token::Ascii93 | Token::Ascii41 => depth = depth.saturating_sub(1),
            Token::ColonEquals | Token::Ascii61 if depth == 0 => {
                return Some((text.get(..range.start)?, text.get(range.end..)?));
            }
            _ => {}
        }
    }
    None
}

/// The text that an expression is, where it is nothing but a literal.
pub(super) fn literal_text(expression: &str) -> Option<String> {
    let tree = super::super::authority::parse(&format!("SELECT {expression}")).ok()?;
    let [statement] = tree.stmts.as_slice() else {
        return None;
    };
    let Some(NodeEnum::SelectStmt(select)) = &statement.stmt.as_ref()?.node else {
        return None;
    };
    let [target] = select.target_list.as_slice() else {
        return None;
    };
    let is_bare = select.from_clause.is_empty()
        && select.where_clause.is_none()
        && select.larg.is_none()
        && select.with_clause.is_none();
    match &target.node {
        Some(NodeEnum::ResTarget(target)) if is_bare => match &target.val.as_deref()?.node {
            Some(NodeEnum::AConst(constant)) => match constant.val.as_ref()? {
                Val::Sval(text) => Some(text.sval.clone()),
                _ => None,
            },
            _ => None,
        },
        _ => None,
    }
}

/// The variable in `RETURN x;`, where the line holds one RETURN and nothing between it and the name.
pub(super) fn returned_name(line: &str) -> Option<String> {
    let lower = line.to_lowercase();
    let (_, rest) = lower.split_once("return")?;
    if lower.matches("return").count() != 1 {
        return None;
    }
    let rest = rest.trim_start();
    let rest = rest.strip_prefix("next").unwrap_or(rest).trim_start();
    let end = rest.find(';')?;
    let name = rest.get(..end)?.trim();
    let is_plain = !name.is_empty()
        && name
            .chars()
            .all(|letter| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '_');
    is_plain.then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn returned_variables_are_told_by_their_line() {
        for (line, expected) in [
            ("  RETURN v;", Some("v")),
            ("  RETURN NEXT r;", Some("r")),
            ("RETURN", None),
            ("/* RETURN a; */ RETURN", None),
            ("RETURN a.b;", None),
            ("return -- a;", None),
            ("RETURN;", None),
        ] {
            assert_eq!(returned_name(line).as_deref(), expected, "{line}");
        }
    }

    #[test]
    fn assignments_are_split_where_they_are() {
        assert_eq!(split_assignment("v := a = b"), Some(("v ", " a = b")));
        assert_eq!(
            split_assignment("arr[f(x := 1)] = 4"),
            Some(("arr[f(x := 1)] ", " 4"))
        );
        assert_eq!(split_assignment("v"), None);
    }

    #[test]
    fn only_literals_are_literals() {
        assert_eq!(literal_text("'SELECT 1'").as_deref(), Some("SELECT 1"));
        assert_eq!(literal_text("'SELECT ' || x"), None);
        assert_eq!(
            literal_text("$$DELETE FROM a$$").as_deref(),
            Some("DELETE FROM a")
        );
        assert_eq!(literal_text("'a' UNION SELECT 'b'"), None);
        assert_eq!(literal_text("format('a')"), None);
    }
}
