//! What runs without being called: triggers, rules, row-level security, event triggers, operators and casts of users. Each
//! is read as far as its function's body is; what can't be read is opaque.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use pg_query::{NodeEnum, protobuf as pg};

use super::{
    super::{
        Refusal,
        book::{Descend, Keep, Value},
        dml::Reached,
        functions,
        names::mentions,
        query::Rows,
        resolver::Resolver,
        scope::{Cte, Field, Item, Scope},
        settings::reads_settings_of_clients,
    },
    named, own_path,
    plpgsql::{Outcome, as_variable},
    union,
    variables::Variable,
};
use crate::{
    catalog::{
        Called, Function, Language, Operator, Relation, RowPolicy, RowSecurity, Rule, RuleEvent,
        Trigger,
    },
    facts::{Column, ColumnWrite, Kind, Operation, Use},
};

/// Most writes of one statement whose triggers and rules are read; more are opaque.
const SET_OFF_MAX: usize = 64;

/// A write whose triggers and rules are to be read.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::sql) struct Pending {
    relation: u32,
    operation: Operation,
}

impl Resolver<'_> {
    /// Notes that a relation is written: triggers and rules are read when it is known what goes into its columns.
    pub(in crate::sql) fn sets_off(&mut self, relation: &Relation, operation: Operation) {
        let is_quiet = relation.triggers.is_empty() && relation.rules.is_empty();
        if !is_quiet {
            self.pending.insert(Pending {
                relation: relation.oid,
                operation,
            });
        }
    }

    /// Reads every trigger, rule and cascading key that the statement sets off, and those that they set off.
    pub(in crate::sql) fn run_set_off(&mut self) -> Result<(), Refusal> {
        let mut done = BTreeSet::new();
        let mut reached = Reached::default();
        loop {
            self.run_pending(&mut done)?;
            let is_more = self.cascades(&mut reached)?;
            if !is_more && self.pending.is_empty() {
                return Ok(());
            }
        }
    }

    fn run_pending(&mut self, done: &mut BTreeSet<Pending>) -> Result<(), Refusal> {
        while let Some(pending) = self.pending.pop_first() {
            let Some(relation) = self.catalog.relation(pending.relation).cloned() else {
                continue;
            };
            if done.contains(&pending) {
                continue;
            }
            if done.len() >= SET_OFF_MAX {
                self.book.opaque(
                    &relation.name,
                    "triggers and rules set off more writes than are followed",
                );
                self.pending.clear();
                return Ok(());
            }
            done.insert(pending.clone());
            self.triggers(&relation, pending.operation)?;
            self.rules(&relation, pending.operation)?;
        }
        Ok(())
    }

    fn triggers(&mut self, relation: &Arc<Relation>, operation: Operation) -> Result<(), Refusal> {
        let event = match operation {
            Operation::Insert | Operation::CopyFrom => 4,
            Operation::Delete => 8,
            Operation::Update => 16,
            Operation::Truncate => 32,
            _ => 0,
        };
        for trigger in relation
            .triggers
            .iter()
            .filter(|trigger| trigger.events & event != 0)
        {
            let subject = format!("{}.{}", relation.name, trigger.name);
            self.attempt(&subject, "a trigger", |resolver| {
                resolver.trigger(relation, operation, trigger, &subject)
            })?;
        }
        Ok(())
    }

    fn trigger(
        &mut self,
        relation: &Arc<Relation>,
        operation: Operation,
        trigger: &Trigger,
        subject: &str,
    ) -> Result<(), Refusal> {
        let function = match self.catalog.called(trigger.function) {
            Some(Called::Users(function)) => function.clone(),
            Some(Called::Server(name)) if functions::is_row_trigger(name) => return Ok(()),
            Some(Called::Server(_)) | None => {
                self.book.opaque(
                    subject,
                    "a trigger runs a function that analysis does not follow",
                );
                return Ok(());
            }
        };
        if let Some(extension) = &function.extension
            && functions::is_row_trigger(&format!("{extension}:{}", function.name))
        {
            return Ok(());
        }
        if function.language != Language::PlPgSql {
            self.book.opaque(
                subject,
                "a trigger runs a function that analysis does not follow",
            );
            return Ok(());
        }
        let Some(path) = own_path(&function) else {
            self.book
                .opaque(subject, "its search_path depends on who runs it");
            return Ok(());
        };
        if self.active.len() >= super::CALL_DEPTH_MAX {
            self.book
                .opaque(subject, "triggers set off each other too deep");
            return Ok(());
        }
        self.expanded.other();
        let before = self.book.effects();
        let outcome = self.in_function(&function, path, |resolver, function| {
            resolver.trigger_function(function, relation, operation, trigger)
        })?;
        if self.book.effects() != before {
            self.called(&function.schema, &function.name);
        }
        let is_assigned = |column: &&Arc<Column>| {
            outcome.new.contains_key(&column.name) || outcome.new.contains_key("*")
        };
        let assigned = relation.columns.iter().filter(is_assigned);
        self.all_checks(assigned.map(|column| column.type_oid).collect())?;
        self.row_changed(relation, operation, &outcome);
        Ok(())
    }

    fn trigger_function(
        &mut self,
        function: &Arc<Function>,
        relation: &Arc<Relation>,
        operation: Operation,
        trigger: &Trigger,
    ) -> Result<Outcome, Refusal> {
        let (old, new) = self.rows_of_trigger(relation, operation)?;
        let no_control = Value::default();
        if let Some(definition) = &trigger.definition {
            self.trigger_condition(definition, &old, &new)?;
        }
        let tables = [(&trigger.old_table, &old), (&trigger.new_table, &new)];
        let tables = tables.into_iter().filter_map(|(name, fields)| {
            Some(Cte {
                name: name.clone()?,
                fields: Some(Arc::new(fields.clone())),
                open: None,
                control: Value::default(),
            })
        });
        let tables: Vec<Cte> = tables.collect();
        let closed = |fields: &[Field]| Variable {
            is_closed: true,
            ..as_variable(fields, &no_control)
        };
        let variables =
            BTreeMap::from([("old".into(), closed(&old)), ("new".into(), closed(&new))]);
        self.trigger_body(function, variables, tables)
    }

    /// The old and the new row of a write, as a trigger sees them.
    fn rows_of_trigger(
        &mut self,
        relation: &Arc<Relation>,
        operation: Operation,
    ) -> Result<(Vec<Field>, Vec<Field>), Refusal> {
        let blank = || -> Vec<Field> {
            let blank = |column: &Arc<Column>| Field {
                name: column.name.clone(),
                value: Value::default(),
            };
            relation.columns.iter().map(blank).collect()
        };
        let old = match operation {
            Operation::Update | Operation::Delete => {
                let item = self.relation_item(relation, Descend::Only, Keep::IfUsed)?;
                item.fields.as_ref().clone()
            }
            _ => blank(),
        };
        let mut new = match operation {
            Operation::Update => old.clone(),
            _ => blank(),
        };
        for (field, column) in new.iter_mut().zip(&relation.columns) {
            for write in &self.book.writes {
                if write.column.relation_oid == relation.oid
                    && write.column.attribute == column.attribute
                {
                    field.value.taint(&Value::from_lineage(&write.lineage));
                }
            }
        }
        Ok((old, new))
    }

    /// What a trigger puts into the row that is written.
    fn row_changed(&mut self, relation: &Arc<Relation>, operation: Operation, outcome: &Outcome) {
        let changes = matches!(
            operation,
            Operation::Insert | Operation::Update | Operation::CopyFrom
        );
        if outcome.new.is_empty() || !changes {
            return;
        }
        let via = self.via.clone();
        let limits = (Descend::Only, Keep::Always);
        let entry = self
            .book
            .relation(self.catalog, relation, operation, via.as_ref(), limits);
        for column in &relation.columns {
            let mut value = outcome.new.get(&column.name).cloned();
            if let Some(anywhere) = outcome.new.get("*") {
                value.get_or_insert_default().taint(anywhere);
            }
            let Some(value) = value else { continue };
            // A value of the column itself stays where its class is.
            let value = value.without(column);
            self.book.column_used(entry, column, Use::Write);
            self.book.used(&value, Use::Output);
            self.book.writes.push(ColumnWrite {
                column: column.clone(),
                lineage: value.lineage(),
            });
        }
    }

    /// WHEN of a trigger.
    fn trigger_condition(
        &mut self,
        definition: &str,
        old: &[Field],
        new: &[Field],
    ) -> Result<(), Refusal> {
        let scope = rows_scope(old, new);
        self.stored(definition, |resolver, node| {
            let NodeEnum::CreateTrigStmt(created) = node else {
                return Err(Refusal::not_understood("this trigger"));
            };
            resolver.seen.mark_bounded(created.as_ref());
            if let Some(relation) = &created.relation {
                resolver.seen.mark(relation);
            }
            let value = resolver.optional(created.when_clause.as_deref(), &scope)?;
            resolver.book.used(&value, Use::Filter);
            Ok(())
        })
    }

    fn rules(&mut self, relation: &Arc<Relation>, operation: Operation) -> Result<(), Refusal> {
        let event = match operation {
            Operation::Insert => RuleEvent::Insert,
            Operation::Update => RuleEvent::Update,
            Operation::Delete => RuleEvent::Delete,
            _ => return Ok(()),
        };
        let rules = relation.rules.iter().filter(|rule| {
            rule.enabled && (rule.event == event || rule.event == RuleEvent::Select)
        });
        for rule in rules {
            let subject = format!("{}.{}", relation.name, rule.name);
            self.expanded.other();
            self.book.uncounted = true;
            let via = self
                .via
                .replace(format!("{}.{subject}", relation.schema).into());
            // No view's own number: OLD of a view is read through its definition.
            self.views.push(0);
            let result = self.attempt(&subject, "a rule", |resolver| {
                resolver.rule(relation, operation, rule)
            });
            self.views.pop();
            self.via = via;
            result?;
        }
        Ok(())
    }

    fn rule(
        &mut self,
        relation: &Arc<Relation>,
        operation: Operation,
        rule: &Rule,
    ) -> Result<(), Refusal> {
        let (old, new) = self.rows_of_trigger(relation, operation)?;
        let scope = rows_scope(&old, &new);
        self.stored(&rule.definition, |resolver, node| {
            let NodeEnum::RuleStmt(rule) = node else {
                return Err(Refusal::not_understood("this rule"));
            };
            let _rows: Rows = resolver.rule_parts(rule, &scope)?;
            Ok(())
        })
    }

    /// A rule that is made: what it does is done for whoever uses the table, so it is an access of who makes it. What that sets
    /// off is read when the rule runs. Gives the rows of its last action.
    pub(in crate::sql) fn rule_made(
        &mut self,
        relation: &Arc<Relation>,
        rule: &pg::RuleStmt,
    ) -> Result<Rows, Refusal> {
        let item = self.relation_item(relation, Descend::Only, Keep::IfUsed)?;
        let scope = rows_scope(&item.fields, &item.fields);
        let pending = std::mem::take(&mut self.pending);
        let cascading = std::mem::take(&mut self.cascading);
        let rows = self.rule_parts(rule, &scope);
        (self.pending, self.cascading) = (pending, cascading);
        rows
    }

    fn rule_parts(&mut self, rule: &pg::RuleStmt, scope: &Scope<'_>) -> Result<Rows, Refusal> {
        self.seen.mark_bounded(rule);
        if let Some(relation) = &rule.relation {
            self.seen.mark(relation);
        }
        // In the condition, columns need no name before them.
        let hidden = match rule.event() {
            pg::CmdType::CmdInsert => "old",
            _ => "new",
        };
        let mut asked = scope.clone();
        for item in &mut asked.items {
            item.bare = item.name.as_deref() != Some(hidden);
        }
        let value = self.optional(rule.where_clause.as_deref(), &asked)?;
        self.book.used(&value, Use::Filter);
        let mut rows = Rows::default();
        for action in rule.actions.iter().filter_map(|node| node.node.as_ref()) {
            rows = self.body_statement(action, scope)?;
        }
        Ok(rows)
    }

    /// Row-level security of a relation: its policies' expressions run for every row.
    pub(in crate::sql) fn row_policies(
        &mut self,
        relation: &Arc<Relation>,
        command: char,
        entry: usize,
    ) -> Result<(), Refusal> {
        if relation.row_security == RowSecurity::Off || self.policies_active.contains(&relation.oid)
        {
            return Ok(());
        }
        // What a policy looks at is no use that the client chose: its accesses count, its columns' uses don't. But what it compares
        // with a setting, a client may set, unless it is one of those that only the gateway sets.
        let fields = relation.columns.iter().map(|column| Field {
            name: column.name.clone(),
            value: Value::default(),
        });
        let scope = Scope {
            items: vec![Item::new(Some(relation.name.clone()), fields.collect())],
            ..Scope::default()
        };
        let applies = |policy: &&RowPolicy| policy.command == command || policy.command == '*';
        for policy in relation.policies.iter().filter(applies) {
            let subject = format!("{}.{}", relation.name, policy.name);
            let texts = [&policy.using, &policy.check];
            for text in texts.into_iter().flatten() {
                if reads_settings_of_clients(text) {
                    let compared = |column: &&Arc<Column>| mentions(text, &column.name);
                    for column in relation.columns.iter().filter(compared) {
                        self.book.column_used(entry, column, Use::Filter);
                    }
                }
            }
            let via = self
                .via
                .replace(format!("{}.{subject}", relation.schema).into());
            self.views.push(relation.oid);
            let quiet = self.book.set_quiet(true);
            self.policies_active.push(relation.oid);
            let result = self.attempt(&subject, "a row-level security policy", |resolver| {
                for expression in texts.into_iter().flatten() {
                    resolver.stored_expression(expression, &scope)?;
                }
                Ok(())
            });
            self.policies_active.pop();
            self.book.set_quiet(quiet);
            self.views.pop();
            self.via = via;
            result?;
        }
        Ok(())
    }

    /// Notes what users' operator classes compare and hash with, whatever goes through them: a statement that touches values
    /// may sort, join or group them, and write them into indexes and partitions.
    pub(in crate::sql) fn run_comparisons(&mut self, kind: Kind) -> Result<(), Refusal> {
        let touches_none = matches!(
            kind,
            Kind::Begin
                | Kind::Commit
                | Kind::Rollback
                | Kind::Savepoint
                | Kind::Set
                | Kind::Show
                | Kind::Listen
                | Kind::Lock
                | Kind::Empty
        );
        if touches_none {
            return Ok(());
        }
        for function in self.catalog.comparisons() {
            self.run_by_oid(*function, "an operator class", &[])?;
        }
        Ok(())
    }

    /// Event triggers that a schema change sets off.
    pub(in crate::sql) fn run_event_triggers(&mut self) -> Result<(), Refusal> {
        for trigger in self.catalog.event_triggers() {
            if &*trigger.event == "login" {
                continue;
            }
            let function = match self.catalog.called(trigger.function) {
                Some(Called::Users(function)) if function.language == Language::PlPgSql => {
                    function.clone()
                }
                _ => {
                    self.book.opaque(
                        &trigger.name,
                        "an event trigger runs a function that analysis does not follow",
                    );
                    continue;
                }
            };
            let crate::catalog::Body::Text(text) = &function.body else {
                continue;
            };
            let Some(path) = own_path(&function) else {
                self.book
                    .opaque(&trigger.name, "its search_path depends on who runs it");
                continue;
            };
            self.attempt(&named(&function), "an event trigger", |resolver| {
                resolver.in_function(&function, path, |resolver, _| resolver.block_alone(text))
            })?;
            self.called(&function.schema, &function.name);
        }
        Ok(())
    }

    /// Operators of users that a name with these operands could mean: what they give besides the operands.
    pub(in crate::sql) fn user_operators(
        &mut self,
        schema: Option<&str>,
        name: &str,
        operands: &[Value],
    ) -> Result<Value, Refusal> {
        let mut value = Value::default();
        let named = self.catalog.operators_named(name);
        if named.is_empty() {
            return Ok(value);
        }
        let in_reach = |operator: &&Arc<Operator>| {
            !operator.trusted
                && match schema {
                    Some(schema) => *operator.schema == *schema,
                    None => self.path.contains(&operator.schema),
                }
        };
        let found: Vec<Arc<Operator>> = named.iter().filter(in_reach).cloned().collect();
        for operator in found {
            let count = if operator.left == 0 { 1 } else { 2 };
            let values = match operands.len() {
                known if known == count => operands.to_vec(),
                _ => vec![union(operands); count],
            };
            value.taint(&self.run_by_oid(operator.function, name, &values)?);
            for estimator in operator.estimators.iter().filter(|oid| **oid != 0) {
                self.run_by_oid(*estimator, name, &[])?;
            }
        }
        Ok(value)
    }
}

/// `old` and `new` as rows with names.
fn rows_scope(old: &[Field], new: &[Field]) -> Scope<'static> {
    let item = |name: &str, fields: &[Field]| Item {
        bare: false,
        ..Item::new(Some(name.into()), fields.to_vec())
    };
    Scope {
        items: vec![item("old", old), item("new", new)],
        ..Scope::default()
    }
}
