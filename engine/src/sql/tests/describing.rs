//! What analysis says, in the lines of the golden files.

use super::*;

pub(super) fn describe(result: &Result<Vec<Statement>, Refusal>) -> String {
    match result {
        Ok(statements) => statements
            .iter()
            .map(|statement| facts_text(&statement.facts))
            .collect::<Vec<_>>()
            .join("--\n"),
        Err(refusal) => {
            let position = refusal
                .position
                .map(|position| format!(" at {position}"))
                .unwrap_or_default();
            format!("{}: {}{position}\n", refusal.sqlstate, refusal.message)
        }
    }
}

pub(super) fn facts_text(facts: &Facts) -> String {
    let mut text = facts.kind.name().to_owned();
    if facts.session_effect != SessionEffect::None {
        write!(text, " {:?}", facts.session_effect).unwrap();
    }
    if facts.through_views {
        text.push_str(" through views");
    }
    if let Some(limit) = facts.limit {
        write!(text, " limit {limit}").unwrap();
    }
    if facts.parameters > 0 {
        write!(text, " parameters {}", facts.parameters).unwrap();
    }
    text.push('\n');
    for access in &facts.accesses {
        writeln!(text, "  {}", access_text(access)).unwrap();
    }
    for output in facts.outputs.iter().flatten() {
        let origin = output.origin.and_then(|(oid, attribute)| {
            let relation = CATALOG.relation(oid)?;
            let column = relation
                .columns
                .iter()
                .find(|column| column.attribute == attribute)
                .map_or("system", |column| &*column.name);
            Some(format!(" = {}.{column}", relation.name))
        });
        writeln!(
            text,
            "  -> {}{}{}",
            output.name,
            lineage_text(&output.lineage),
            origin.unwrap_or_default()
        )
        .unwrap();
    }
    for write in &facts.writes {
        writeln!(
            text,
            "  {}.{} <-{}",
            write.column.relation,
            write.column.name,
            lineage_text(&write.lineage)
        )
        .unwrap();
    }
    for column in &facts.lookups {
        writeln!(text, "  looks up {}.{}", column.relation, column.name).unwrap();
    }
    for opaque in &facts.opaque {
        writeln!(text, "  opaque {}: {}", opaque.subject, opaque.reason).unwrap();
    }
    text
}

pub(super) fn access_text(access: &Access) -> String {
    let object = match &access.object {
        Object::Relation { schema, name, oid } => {
            format!("{schema}.{name}{}", if *oid == 0 { " (new)" } else { "" })
        }
        Object::Function { schema, name } => format!("{schema}.{name}()"),
        Object::Other {
            sort,
            schema: Some(schema),
            name,
        } => format!("{sort} {schema}.{name}"),
        Object::Other { sort, name, .. } => {
            format!("Other {{ sort: {sort:?}, name: {name:?} }}")
        }
        other => format!("{other:?}"),
    };
    let columns: Vec<String> = access
        .columns
        .iter()
        .map(|used| format!("{} {:?}", used.column.name, used.used))
        .collect();
    let mut text = format!("{} {object}", access.operation.name());
    if !columns.is_empty() {
        write!(text, " ({})", columns.join(", ")).unwrap();
    }
    if let Some(view) = &access.via {
        write!(text, " via {view}").unwrap();
    }
    text.push_str(if access.filtered { " filtered" } else { "" });
    text.push_str(if access.bounded { " bounded" } else { "" });
    for Equality { column, value } in &access.equalities {
        match value {
            Constant::Text(value) => write!(text, " [{} = `{value}`]", column.name).unwrap(),
            Constant::Parameter(number) => write!(text, " [{} = ${number}]", column.name).unwrap(),
        }
    }
    text
}

pub(super) fn lineage_text(lineage: &Lineage) -> String {
    let mark = |how| match how {
        How::Direct => "",
        How::Derived => "~",
        How::Safe => "#",
    };
    lineage
        .sources
        .iter()
        .map(|source| {
            format!(
                " {}{}.{}",
                mark(source.how),
                source.column.relation,
                source.column.name
            )
        })
        .collect()
}
