//! What the server needs of relations and columns, against the accesses and column uses in our facts. Everything of the
//! server's must be in ours; what is only in ours is counted, by its cause.

use std::collections::{BTreeMap, BTreeSet};

use provost_engine::{
    catalog::{Catalog, Relation, RelationKind},
    facts::{Facts, Kind, Object, Operation, Use},
};

use crate::tree::{Claim, Claims, DELETE, INSERT, SELECT, UPDATE};

/// Where the server's tree and our facts differ on purpose. Each is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Difference {
    /// Rows of a table are rows of its parents and its partitions: we name all of them, the server the one written.
    Inheritance,
    /// Columns that a constraint, a generated column or a default of the written table reads.
    Written,
    /// A view's or function's insides that the server does not print (EXPLAIN and cursors print before they expand views).
    Inside,
    /// The server needs the right, and no column of it: `SELECT 1 FROM t`; ours is an access without columns.
    Beyond,
}

impl Difference {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Inheritance => "inheritance",
            Self::Written => "written",
            Self::Inside => "inside views",
            Self::Beyond => "beyond",
        }
    }
}

/// What our facts say of one relation.
#[derive(Debug, Default)]
struct Ours {
    operations: BTreeSet<Operation>,
    read: BTreeSet<i16>,
    inserted: BTreeSet<i16>,
    updated: BTreeSet<i16>,
    via: bool,
}

/// What is amiss: the first list is unsound, the second more than the server needs.
#[derive(Debug, Default)]
pub(crate) struct Comparison {
    pub(crate) missing: Vec<String>,
    pub(crate) beyond: BTreeMap<Difference, Vec<String>>,
}

pub(crate) fn compare(facts: &Facts, claims: &Claims, catalog: &Catalog) -> Comparison {
    let ours = ours(facts);
    let mut comparison = Comparison::default();
    for (oid, claim) in claims {
        let Some(relation) = catalog.relation(*oid) else {
            // Relations that are no columns' home (a sequence of the server's own, TOAST) need no name here.
            comparison.missing.push(format!("relation {oid}, which the catalog does not have"));
            continue;
        };
        let nothing = Ours::default();
        let found = ours.get(oid).unwrap_or(&nothing);
        let missing = missing(claim, found, relation);
        comparison.missing.extend(missing);
    }
    beyond(&ours, claims, catalog, &mut comparison.beyond, facts);
    comparison
}

fn ours(facts: &Facts) -> BTreeMap<u32, Ours> {
    let mut ours: BTreeMap<u32, Ours> = BTreeMap::new();
    for access in &facts.accesses {
        let Object::Relation { oid, .. } = &access.object else {
            continue;
        };
        let of = ours.entry(*oid).or_default();
        of.operations.insert(access.operation);
        of.via |= access.via.is_some();
        for used in &access.columns {
            let number = used.column.attribute;
            if used.column.relation_oid != *oid {
                continue;
            }
            match (used.used, access.operation) {
                (Use::Write, Operation::Insert | Operation::CopyFrom) => of.inserted.insert(number),
                (Use::Write, _) => of.updated.insert(number),
                _ => of.read.insert(number),
            };
        }
    }
    ours
}

/// What the server needs that is not in ours.
fn missing(claim: &Claim, found: &Ours, relation: &Relation) -> Vec<String> {
    let mut missing = Vec::new();
    let name = format!("{}.{}", relation.schema, relation.name);
    let has = |operations: &[Operation]| operations.iter().any(|operation| found.operations.contains(operation));
    let writes = [Operation::Update, Operation::Delete, Operation::Insert];
    let reads = has(&[Operation::Read, Operation::CopyTo]);
    if claim.rights & SELECT != 0 && !reads && found.read.is_empty() && !has(&writes) {
        missing.push(format!("read of {name}"));
    }
    if claim.rights & INSERT != 0 && !has(&[Operation::Insert, Operation::CopyFrom]) {
        missing.push(format!("insert into {name}"));
    }
    // FOR UPDATE and FOR SHARE need the right to update.
    if claim.rights & UPDATE != 0 && !has(&[Operation::Update, Operation::Lock]) {
        missing.push(format!("update of {name}"));
    }
    if claim.rights & DELETE != 0 && !has(&[Operation::Delete]) {
        missing.push(format!("delete from {name}"));
    }
    let mut columns = |what: &str, needed: &BTreeSet<i16>, found: &BTreeSet<i16>| {
        for number in needed {
            if *number == 0 {
                let absent = relation.attributes.iter().filter(|attribute| !found.contains(&attribute.number));
                for attribute in absent {
                    missing.push(format!("{what} of {name}.{} (whole row)", attribute.name));
                }
            } else if !found.contains(number) {
                let column = relation.attributes.iter().find(|attribute| attribute.number == *number);
                let column = column.map_or_else(|| format!("{number}"), |attribute| attribute.name.to_string());
                missing.push(format!("{what} of {name}.{column}"));
            }
        }
    };
    columns("read", &claim.selected, &found.read);
    columns("insert", &claim.inserted, &found.inserted);
    columns("update", &claim.updated, &found.updated);
    missing
}

/// What is in ours and the server does not need.
fn beyond(ours: &BTreeMap<u32, Ours>, claims: &Claims, catalog: &Catalog, beyond: &mut BTreeMap<Difference, Vec<String>>, facts: &Facts) {
    let related: BTreeSet<u32> = claims
        .keys()
        .flat_map(|oid| catalog.ancestors(*oid).into_iter().chain(catalog.descendants(*oid)))
        .map(|relation| relation.oid)
        .collect();
    let unexpanded = matches!(facts.kind, Kind::Explain | Kind::Other | Kind::Ddl);
    for (oid, found) in ours {
        let Some(relation) = catalog.relation(*oid) else {
            continue;
        };
        let nothing = Claim::default();
        let claim = claims.get(oid).unwrap_or(&nothing);
        let is_written = claim.rights & (INSERT | UPDATE | DELETE) != 0;
        let cause = if related.contains(oid) {
            Difference::Inheritance
        } else if found.via && unexpanded {
            Difference::Inside
        } else if is_written {
            Difference::Written
        } else {
            Difference::Beyond
        };
        let name = format!("{}.{}", relation.schema, relation.name);
        if claim.rights == 0 && relation.kind != RelationKind::Composite {
            beyond.entry(cause).or_default().push(name.clone());
        }
        let whole = claim.selected.contains(&0);
        let mut extra = |what: &str, found: &BTreeSet<i16>, needed: &BTreeSet<i16>| {
            for number in found.iter().filter(|number| **number > 0 && !needed.contains(number)) {
                let column = relation.attributes.iter().find(|attribute| attribute.number == *number);
                let column = column.map_or("?", |attribute| &attribute.name);
                beyond.entry(cause).or_default().push(format!("{what} {name}.{column}"));
            }
        };
        if !whole {
            extra("read", &found.read, &claim.selected);
        }
        extra("insert", &found.inserted, &claim.inserted);
        extra("update", &found.updated, &claim.updated);
    }
}
