//! Facts of statements: what analysis would say, and some that it never would.

use std::{collections::BTreeSet, sync::Arc};

use provost_engine::facts::{
    Access, CatalogVersion, Column, ColumnUse, ColumnWrite, Constant, Equality, Facts, How, Kind,
    Lineage, Object, Opaque, Operation, OutputColumn, SessionEffect, Source, Use,
};

use super::{
    names::{COLUMNS, RELATIONS, SCHEMAS, SINGLES, name, numbered},
    policy::Shape,
    session::TEXTS,
};
use crate::choices::Choices;

pub(super) const KINDS: &[Kind] = &[
    Kind::Select,
    Kind::Insert,
    Kind::Update,
    Kind::Delete,
    Kind::Merge,
    Kind::CopyTo,
    Kind::CopyFrom,
    Kind::Ddl,
    Kind::Set,
    Kind::Show,
    Kind::Begin,
    Kind::Commit,
    Kind::Rollback,
    Kind::Release,
    Kind::Explain,
    Kind::Call,
    Kind::Listen,
    Kind::Lock,
    Kind::Maintain,
    Kind::Replication,
    Kind::Empty,
    Kind::Other,
];

pub(crate) fn facts(choices: &mut Choices, shape: Shape) -> Facts {
    let kind = if choices.once_in(3) {
        choices.pick(KINDS)
    } else {
        choices.pick(&[Kind::Select, Kind::Select, Kind::Update, Kind::Delete])
    };
    // Analysis always finds at least one access; what if not?
    let count = if choices.once_in(60) {
        0
    } else {
        1 + choices.below(3)
    };
    let accesses: Vec<Access> = (0..count).map(|_| access(choices, kind, shape)).collect();
    // What is shown, written and looked for is mostly what the accesses name.
    let named = |wanted: fn(Use) -> bool| -> Vec<Arc<Column>> {
        let uses = accesses.iter().flat_map(|access| &access.columns);
        uses.filter(|used| wanted(used.used))
            .map(|used| Arc::clone(&used.column))
            .collect()
    };
    let shown = named(|_| true);
    let filters = named(|used| used == Use::Filter);
    let outputs = (!choices.once_in(15)).then(|| {
        choices.several(3, |choices| OutputColumn {
            name: Arc::from("o"),
            lineage: lineage(choices, &shown, shape),
            origin: (!choices.once_in(3)).then_some((1, 1)),
        })
    });
    let writes = match kind {
        Kind::Select | Kind::Commit | Kind::Rollback | Kind::Release => Vec::new(),
        _ => choices.several(1, |choices| ColumnWrite {
            column: column(choices, None, shape),
            lineage: lineage(choices, &shown, shape),
        }),
    };
    let lookups = match choices.below(6) {
        0 | 1 => filters.iter().take(1).cloned().collect(),
        2 | 3 => filters.iter().cloned().collect(),
        4 => BTreeSet::new(),
        _ => BTreeSet::from([column(choices, None, shape)]),
    };
    let through_views = choices.once_in(15);
    let views = match through_views && choices.once_in(2) {
        true => BTreeSet::from([1]),
        false => BTreeSet::new(),
    };
    Facts {
        kind,
        accesses,
        outputs,
        writes,
        opaque: if choices.once_in(40) {
            BTreeSet::from([Opaque {
                subject: Arc::from("f"),
                reason: Arc::from("nobody knows"),
            }])
        } else {
            BTreeSet::new()
        },
        session_effect: if choices.once_in(30) {
            choices.pick(&[SessionEffect::Statements, SessionEffect::Catalog])
        } else {
            SessionEffect::None
        },
        through_views,
        views,
        limit: choices.pick(&[None, Some(1), Some(10), Some(1_000), Some(u64::MAX)]),
        parameters: u16::try_from(choices.below(3)).expect("small"),
        lookups,
        uncounted: false,
        fingerprint: Arc::from("0"),
        catalog_version: CatalogVersion(0),
    }
}

fn access(choices: &mut Choices, kind: Kind, shape: Shape) -> Access {
    let object = match choices.below(12) {
        0..=7 => relation(choices, shape),
        8 => Object::Function {
            schema: name(choices, SCHEMAS),
            name: name(choices, RELATIONS),
        },
        9 => Object::Nothing,
        10 => Object::Setting(name(choices, SINGLES)),
        _ => {
            let name = name(choices, SINGLES);
            if choices.once_in(2) {
                Object::Channel(name)
            } else {
                // A type of a schema, or a role.
                let (sort, schema) = match &*name {
                    "ab" => (Arc::from("type"), Some(Arc::from("hr"))),
                    _ => (Arc::from("role"), None),
                };
                Object::Other { sort, schema, name }
            }
        }
    };
    let usual = match kind {
        Kind::Insert => Operation::Insert,
        Kind::Update => Operation::Update,
        Kind::Delete => Operation::Delete,
        Kind::Commit | Kind::Rollback | Kind::Begin => Operation::Transaction,
        Kind::Call => Operation::Call,
        Kind::Set => Operation::Session,
        _ => Operation::Read,
    };
    let operation = if choices.once_in(8) {
        choices.pick(&Operation::ALL)
    } else {
        usual
    };
    let object = match kind {
        Kind::Commit | Kind::Rollback | Kind::Release if !choices.once_in(4) => Object::Nothing,
        _ => object,
    };
    let columns = match object {
        Object::Nothing => BTreeSet::new(),
        _ => choices
            .several(3, |choices| ColumnUse {
                column: column(choices, Some(&object), shape),
                used: used(choices),
            })
            .into_iter()
            .collect(),
    };
    let equalities = choices.several(2, |choices| Equality {
        column: column(choices, Some(&object), shape),
        value: match choices.below(3) {
            0 | 1 => Constant::Text(name(choices, TEXTS)),
            _ => Constant::Parameter(u16::try_from(choices.below(4)).expect("small")),
        },
    });
    Access {
        object,
        operation,
        columns,
        via: None,
        filtered: choices.once_in(2),
        bounded: choices.once_in(2),
        equalities: equalities.into_iter().collect(),
    }
}

fn relation(choices: &mut Choices, shape: Shape) -> Object {
    match shape {
        Shape::Mixed => Object::Relation {
            schema: name(choices, SCHEMAS),
            name: name(choices, RELATIONS),
            oid: 1,
        },
        Shape::Boxes => Object::Relation {
            schema: Arc::from(numbered('s', choices.below(Shape::SCHEMAS))),
            name: Arc::from(numbered('r', choices.below(Shape::RELATIONS))),
            oid: 1,
        },
    }
}

fn used(choices: &mut Choices) -> Use {
    let rare = [
        Use::Returning,
        Use::Join,
        Use::Group,
        Use::Sort,
        Use::Compute,
        Use::Write,
    ];
    let rare = choices.pick(&rare);
    choices.pick(&[
        Use::Output,
        Use::Output,
        Use::Output,
        Use::Output,
        Use::Filter,
        Use::Filter,
        Use::Filter,
        rare,
    ])
}

/// A column, mostly of that object.
fn column(choices: &mut Choices, of: Option<&Object>, shape: Shape) -> Arc<Column> {
    let own = match of {
        Some(Object::Relation { schema, name, .. }) => Some((schema, name)),
        _ => None,
    };
    let (schema, relation) = match own {
        Some((schema, relation)) if !choices.once_in(8) => (schema.clone(), relation.clone()),
        _ => match relation(choices, shape) {
            Object::Relation { schema, name, .. } => (schema, name),
            _ => unreachable!("it makes relations"),
        },
    };
    let name = match shape {
        Shape::Mixed => name(choices, COLUMNS),
        Shape::Boxes => Arc::from(numbered('c', choices.below(Shape::COLUMNS))),
    };
    Arc::new(Column {
        relation_oid: 1,
        attribute: 1,
        schema,
        relation,
        name,
        type_oid: 25,
        constrained: choices.once_in(4),
    })
}

fn lineage(choices: &mut Choices, named: &[Arc<Column>], shape: Shape) -> Lineage {
    let sources = choices.several(2, |choices| Source {
        column: if named.is_empty() || choices.once_in(4) {
            column(choices, None, shape)
        } else {
            choices.pick(named)
        },
        how: choices.pick(&[How::Direct, How::Direct, How::Derived, How::Safe]),
    });
    Lineage {
        sources: sources.into_iter().collect(),
    }
}
