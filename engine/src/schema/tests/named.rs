//! Facts with names for oids, so that two catalogs of one schema can be compared. Used by the end-to-end tests too.

use serde_json::Value;

/// Oids from here on are not the server's own.
const FIRST_OID: u64 = 16_384;

/// What else differs between two catalogs of one schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Numbers {
    /// Attribute numbers are alike.
    Kept,
    /// Attribute numbers were given anew, as they are when a dump is read.
    GivenAnew,
}

/// Facts as JSON, with a name for each oid of users, lists in an order of their own, and without the catalog's version.
/// `name_of` names a relation or type.
pub(crate) fn named(
    facts: &impl serde::Serialize,
    name_of: &dyn Fn(u32) -> Option<String>,
    numbers: Numbers,
) -> Value {
    let mut value = serde_json::to_value(facts).unwrap();
    rename(&mut value, name_of, numbers);
    value
}

fn rename(value: &mut Value, name_of: &dyn Fn(u32) -> Option<String>, numbers: Numbers) {
    let name = |oid: &mut Value| {
        if let Some(number) = oid.as_u64().filter(|number| *number >= FIRST_OID) {
            let name = u32::try_from(number).ok().and_then(name_of);
            *oid = name
                .unwrap_or_else(|| format!("nothing has the oid {number}"))
                .into();
        }
    };
    match value {
        Value::Object(fields) => {
            fields.remove("catalog_version");
            for field in ["oid", "relation_oid", "type_oid"] {
                if let Some(oid) = fields.get_mut(field) {
                    name(oid);
                }
            }
            if let Some(Value::Array(views)) = fields.get_mut("views") {
                views.iter_mut().for_each(name);
            }
            if let Some(Value::Array(origin)) = fields.get_mut("origin") {
                if numbers == Numbers::GivenAnew {
                    origin.truncate(1);
                }
                origin.first_mut().into_iter().for_each(name);
            }
            if numbers == Numbers::GivenAnew {
                fields.remove("attribute");
            }
            // A check's text is as the server deparses it, which has more parentheses than anybody writes.
            if fields.contains_key("reason")
                && let Some(Value::String(subject)) = fields.get_mut("subject")
                && let Some((relation, _)) = subject.split_once(": ")
            {
                *subject = relation.to_owned();
            }
            for value in fields.values_mut() {
                rename(value, name_of, numbers);
            }
        }
        Value::Array(values) => {
            for value in values.iter_mut() {
                rename(value, name_of, numbers);
            }
            values.sort_by_key(ToString::to_string);
            values.dedup();
        }
        _ => {}
    }
}
