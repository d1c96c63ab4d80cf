//! Cedar and regorus on the toy task. Everything that is not deciding is done before the clock runs: policies, entities,
//! data and requests are parsed and built once.
//!
//! Cedar gets one policy for each rule, groups and schemas as entity hierarchies. Rego gets the rules as data, indexed by
//! schema, table, action and group, so that a decision is a few look-ups: what an expert writes who knows that a Rego rule
//! for each of ours would be asked one by one.

use std::{collections::BTreeSet, fmt::Write as _, str::FromStr as _};

use cedar_policy::{Authorizer, Context, Decision, Entities, EntityUid, PolicySet, Request};
use regorus::{
    Engine, Value,
    languages::rego::compiler::Compiler,
    rvm::{program::Program, vm::RegoVM},
};
use serde_json::{Map, json};

use crate::toy::{Action, Says, Toy};

pub(crate) struct Cedar {
    authorizer: Authorizer,
    policies: PolicySet,
    /// A principal is an entity of its own, so each request has its entities.
    requests: Vec<(Request, Entities)>,
}

impl Cedar {
    pub(crate) fn new(toy: &Toy) -> Self {
        let mut text = String::new();
        for rule in &toy.rules {
            let effect = match rule.says {
                Says::Allow => "permit",
                Says::Deny => "forbid",
            };
            let resource = match rule.table {
                Some(table) => format!("resource == Table::\"s{}.t{table}\"", rule.schema),
                None => format!("resource in Schema::\"s{}\"", rule.schema),
            };
            writeln!(
                text,
                "{effect}(principal in Group::\"g{}\", action == Action::\"{}\", {resource});",
                rule.group,
                rule.action.name()
            )
            .expect("a String takes all");
        }
        let uid = |text: String| EntityUid::from_str(&text).expect("an entity's id");
        let requests = toy
            .requests
            .iter()
            .map(|request| {
                let table = format!("s{}.t{}", request.schema, request.table);
                let groups: Vec<_> = request
                    .groups
                    .iter()
                    .map(|group| json!({"type": "Group", "id": format!("g{group}")}))
                    .collect();
                let schema = json!({"type": "Schema", "id": format!("s{}", request.schema)});
                let entities = json!([
                    {"uid": {"type": "User", "id": "u"}, "attrs": {}, "parents": groups},
                    {"uid": {"type": "Table", "id": table}, "attrs": {}, "parents": [schema]},
                ]);
                let asked = Request::new(
                    uid("User::\"u\"".to_owned()),
                    uid(format!("Action::\"{}\"", request.action.name())),
                    uid(format!("Table::\"{table}\"")),
                    Context::empty(),
                    None,
                );
                (
                    asked.expect("a request"),
                    Entities::from_json_value(entities, None).expect("entities"),
                )
            })
            .collect();
        Self {
            authorizer: Authorizer::new(),
            policies: text.parse().expect("Cedar policies"),
            requests,
        }
    }

    pub(crate) fn decide(&self, number: usize) -> bool {
        let (request, entities) = self.requests.get(number).expect("one of the requests");
        let response = self
            .authorizer
            .is_authorized(request, &self.policies, entities);
        response.decision() == Decision::Allow
    }
}

const REGO: &str = r#"
package toy

default allow := false

allow if {
	granted
	not refused
}

granted if {
	some group in input.groups
	data.allow[input.schema][input.table][input.action][group]
}

granted if {
	some group in input.groups
	data.allow[input.schema]["*"][input.action][group]
}

refused if {
	some group in input.groups
	data.deny[input.schema][input.table][input.action][group]
}

refused if {
	some group in input.groups
	data.deny[input.schema]["*"][input.action][group]
}
"#;

pub(crate) struct Rego {
    machine: RegoVM,
    inputs: Vec<Value>,
}

impl Rego {
    pub(crate) fn new(toy: &Toy) -> Self {
        let data = json!({"allow": index(toy, Says::Allow), "deny": index(toy, Says::Deny)});
        let data = Value::from_json_str(&data.to_string()).expect("data");
        let mut engine = Engine::new();
        engine
            .add_policy("toy.rego".to_owned(), REGO.to_owned())
            .expect("a Rego policy");
        let entry = "data.toy.allow";
        let compiled = engine
            .compile_with_entrypoint(&entry.into())
            .expect("a compiled policy");
        let program: std::sync::Arc<Program> =
            Compiler::compile_from_policy(&compiled, &[entry]).expect("a program");
        let mut machine = RegoVM::new_with_policy(compiled);
        machine.load_program(program);
        machine.set_data(data).expect("data of its own");
        let inputs = toy
            .requests
            .iter()
            .map(|request| {
                let groups: Vec<_> = request
                    .groups
                    .iter()
                    .map(|group| format!("g{group}"))
                    .collect();
                let input = json!({
                    "groups": groups,
                    "action": request.action.name(),
                    "schema": format!("s{}", request.schema),
                    "table": format!("t{}", request.table),
                });
                Value::from_json_str(&input.to_string()).expect("input")
            })
            .collect();
        Self { machine, inputs }
    }

    pub(crate) fn decide(&mut self, number: usize) -> bool {
        let input = self.inputs.get(number).expect("one of the inputs");
        self.machine.set_input(input.clone());
        let answer = self.machine.execute().expect("it answers");
        answer == Value::from(true)
    }
}

/// Schema, table or `*`, action, group.
fn index(toy: &Toy, says: Says) -> serde_json::Value {
    let mut index: BTreeSet<[String; 4]> = BTreeSet::new();
    for rule in toy.rules.iter().filter(|rule| rule.says == says) {
        let table = rule
            .table
            .map_or("*".to_owned(), |table| format!("t{table}"));
        let action = match rule.action {
            Action::Read => "read",
            Action::Write => "write",
        };
        index.insert([
            format!("s{}", rule.schema),
            table,
            action.to_owned(),
            format!("g{}", rule.group),
        ]);
    }
    let mut root = Map::new();
    for path in index {
        let mut at = &mut root;
        for step in path.iter().take(3) {
            let next = at.entry(step.clone()).or_insert_with(|| json!({}));
            at = next.as_object_mut().expect("only objects are made");
        }
        let [_, _, _, group] = path;
        at.insert(group, json!(true));
    }
    serde_json::Value::Object(root)
}
