//! The schemas of what modules are given and return, and the page that is made from the first.

use std::{collections::BTreeMap, fmt::Write as _};

use provost_engine::graph::{input::Input, module::ModuleVerdict};
use serde_json::Value;

/// The JSON schema of `input`.
#[must_use]
pub fn input_schema() -> Value {
    let settings = schemars::generate::SchemaSettings::draft2020_12().for_serialize();
    let generator = settings.into_generator();
    sorted(generator.into_root_schema_for::<Input<'_>>().to_value())
}

/// The JSON schema of one verdict in `decision`.
#[must_use]
pub fn decision_schema() -> Value {
    let settings = schemars::generate::SchemaSettings::draft2020_12().for_deserialize();
    let generator = settings.into_generator();
    sorted(generator.into_root_schema_for::<ModuleVerdict>().to_value())
}

/// The same with the keys of objects in order: whether serde_json keeps another order is up to whoever else is in the build.
fn sorted(value: Value) -> Value {
    match value {
        Value::Object(members) => {
            let members: BTreeMap<String, Value> = members
                .into_iter()
                .map(|(name, member)| (name, sorted(member)))
                .collect();
            Value::Object(members.into_iter().collect())
        }
        Value::Array(items) => Value::Array(items.into_iter().map(sorted).collect()),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value,
    }
}

/// `input` for people: every path with its type, in Markdown.
#[must_use]
pub fn input_reference() -> String {
    let schema = input_schema();
    let mut page = "# What a Rego module is given\n\n\
        Made from the schema in `rego-input.schema.json`; a test compares. A path marked *optional* is absent where there is\n\
        nothing to say, never null. `[_]` stands for the members of a list.\n\n\
        | path | type | meaning |\n|---|---|---|\n"
        .to_owned();
    properties(&schema, &schema, "input", &mut page);
    let mut words = String::new();
    for (name, definition) in schema
        .get("$defs")
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
    {
        let listed = definition.get("oneOf").and_then(Value::as_array);
        if let Some(listed) = listed {
            let about = text(definition, "description");
            let _ = write!(
                words,
                "\n## {name}\n\n{about}\n\n| word | meaning |\n|---|---|\n"
            );
            for word in listed {
                let (said, about) = (text(word, "const"), text(word, "description"));
                let _ = writeln!(words, "| `{said}` | {about} |");
            }
        }
    }
    page + &words
}

/// A row for each property of an object, and those below it.
fn properties(schema: &Value, root: &Value, path: &str, page: &mut String) {
    let schema = resolve(schema, root);
    let required = schema.get("required").and_then(Value::as_array);
    let found = schema.get("properties").and_then(Value::as_object);
    for (name, property) in found.into_iter().flatten() {
        let is_required = required.is_some_and(|names| names.iter().any(|one| one == name));
        let optional = if is_required { "" } else { ", optional" };
        let about = text(property, "description");
        let about = if about.is_empty() {
            text(resolve(property, root), "description")
        } else {
            about
        };
        let path = format!("{path}.{name}");
        let kind = kind(property, root);
        let _ = writeln!(page, "| `{path}` | {kind}{optional} | {about} |");
        match property.get("items") {
            Some(items) => properties(items, root, &format!("{path}[_]"), page),
            None => properties(property, root, &path, page),
        }
    }
}

/// A property's type in words.
fn kind(property: &Value, root: &Value) -> String {
    let resolved = resolve(property, root);
    if resolved.get("oneOf").is_some() {
        let reference = text(property, "$ref");
        let name = reference.rsplit('/').next().unwrap_or_default();
        return format!("[{name}](#{})", name.to_lowercase());
    }
    match resolved.get("type") {
        Some(Value::String(one)) if one == "array" => match property.get("items") {
            Some(items) if resolve(items, root).get("properties").is_none() => {
                format!("list of {}", kind(items, root))
            }
            Some(_) | None => "list".to_owned(),
        },
        Some(Value::String(one)) => one.clone(),
        Some(Value::Array(several)) => several
            .iter()
            .filter_map(Value::as_str)
            .collect::<Vec<_>>()
            .join(" or "),
        Some(_) | None => "anything".to_owned(),
    }
}

/// One line of text.
fn text<'a>(schema: &'a Value, key: &str) -> std::borrow::Cow<'a, str> {
    let found = schema.get(key).and_then(Value::as_str).unwrap_or_default();
    if found.contains('\n') {
        found.replace('\n', " ").into()
    } else {
        found.into()
    }
}

/// What a reference stands for.
pub(super) fn resolve<'a>(schema: &'a Value, root: &'a Value) -> &'a Value {
    let target = schema
        .get("$ref")
        .and_then(Value::as_str)
        .and_then(|reference| reference.strip_prefix('#'))
        .and_then(|pointer| root.pointer(pointer));
    target.unwrap_or(schema)
}
