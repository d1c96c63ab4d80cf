//! What the server needs of relations and columns, against the accesses and column uses in our facts. Everything of the
//! server's must be in ours; what is only in ours is counted, by its cause.

use std::collections::{BTreeMap, BTreeSet};

use provost_engine::{
    catalog::{Catalog, Relation, RelationKind, RowPolicy},
    facts::{Facts, How, Kind, Object, Operation, Source, Use},
};

use crate::tree::{Claim, Claims, DELETE, INSERT, Needs, SELECT, UPDATE};

/// Where the server's tree and our facts differ on purpose. Each is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Difference {
    /// What only those columns of a view are made of that the statement does not ask for. The other way round: the server
    /// needs all that a view names. That leaving them out is right is shown by the lineage oracle.
    Unasked,
    /// The server needs a whole row where only a field of it is picked: `(t).name`. The other way round, too.
    Field,
    /// Rows of a table are rows of its parents and its partitions: we name all of them, the server the one written.
    Inheritance,
    /// Columns that a constraint, a generated column or a default of the written table reads.
    Written,
    /// A view's or function's insides that the server does not print (EXPLAIN and cursors print before they expand views).
    Inside,
    /// Columns that a row-level security policy reads: its owner chose them, not the statement, so the policy's relations
    /// are accesses, and its columns no uses.
    Policy,
    /// NEW and OLD in the rules of a view count at the server as reading the view's columns; so does NEW in rules on INSERT of a
    /// table, whose columns are the statement's values.
    Rule,
    /// The server needs the right, and no column of it: `SELECT 1 FROM t`; ours is an access without columns.
    Beyond,
}

impl Difference {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Unasked => "unasked columns of views",
            Self::Field => "fields of whole rows",
            Self::Inheritance => "inheritance",
            Self::Written => "written",
            Self::Inside => "inside views",
            Self::Policy => "columns of row policies",
            Self::Rule => "NEW and OLD of rules",
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
    via: BTreeSet<String>,
}

/// What is amiss: the first list is unsound, the others are differences with a name.
#[derive(Debug, Default)]
pub(crate) struct Comparison {
    pub(crate) missing: Vec<String>,
    pub(crate) different: BTreeMap<Difference, Vec<String>>,
}

pub(crate) fn compare(facts: &Facts, needs: &Needs, catalog: &Catalog) -> Comparison {
    let ours = ours(facts);
    let mut comparison = Comparison::default();
    // A view that is written is replaced by its table, with every column that the view names.
    let writes_view = needs.claims.iter().any(|(oid, claim)| {
        let relation = catalog.relation(*oid);
        let is_view = relation.is_some_and(|relation| relation.kind == RelationKind::View);
        is_view && claim.rights & (INSERT | UPDATE | DELETE) != 0
    });
    let policies = policies(needs, catalog);
    let outside = needs.claims.iter().map(|claim| (claim, false));
    for ((oid, claim), inside) in outside.chain(needs.inside.iter().map(|claim| (claim, true))) {
        let Some(relation) = catalog.relation(*oid) else {
            comparison
                .missing
                .push(format!("relation {oid}, which the catalog does not have"));
            continue;
        };
        let nothing = Ours::default();
        let found = ours.get(oid).unwrap_or(&nothing);
        comparison
            .missing
            .extend(missing_rights(claim, found, relation));
        let columns = missing_columns(claim, found, relation, needs.whole_rows.contains(oid));
        if !needs.whole_rows.contains(oid) && claim.selected.contains(&0) {
            comparison
                .different
                .entry(Difference::Field)
                .or_default()
                .push(relation.name.to_string());
        }
        let through_view = writes_view && !found.via.is_empty();
        let of_policy = !found.via.is_disjoint(&policies);
        // A table's old rows are read indeed.
        let of_rule = relation.rules.iter().any(|rule| rule.enabled)
            && if relation.kind == RelationKind::View {
                claim.rights & (INSERT | UPDATE | DELETE) != 0
            } else {
                claim.rights & (INSERT | UPDATE | DELETE) == INSERT
            };
        for words in columns {
            let is_read = words.starts_with("read ");
            let cause = if inside || (through_view && is_read) {
                Some(Difference::Unasked)
            } else if of_policy && is_read {
                Some(Difference::Policy)
            } else if of_rule && is_read {
                Some(Difference::Rule)
            } else {
                None
            };
            match cause {
                Some(cause) => comparison.different.entry(cause).or_default().push(words),
                None => comparison.missing.push(words),
            }
        }
    }
    let mut claims = needs.claims.clone();
    for (oid, inside) in &needs.inside {
        let claim = claims.entry(*oid).or_default();
        claim.rights |= inside.rights;
        claim.selected.extend(&inside.selected);
    }
    beyond(&ours, &claims, catalog, &mut comparison.different, facts);
    comparison.different.retain(|_, words| !words.is_empty());
    comparison
}

/// What accesses of row-level security policies are reached through.
fn policies(needs: &Needs, catalog: &Catalog) -> BTreeSet<String> {
    let relations = needs.claims.keys().filter_map(|oid| catalog.relation(*oid));
    relations
        .flat_map(|relation| {
            let named = |policy: &RowPolicy| {
                format!("{}.{}.{}", relation.schema, relation.name, policy.name)
            };
            relation.policies.iter().map(named).collect::<Vec<_>>()
        })
        .collect()
}

/// The server's RowDescription against the outputs: names, and where facts say where a column comes from.
pub(crate) fn described(facts: &Facts, columns: &[(String, u32, i16)]) -> Vec<String> {
    let Some(outputs) = facts.outputs.as_ref().filter(|_| !columns.is_empty()) else {
        return Vec::new();
    };
    if outputs.len() != columns.len() {
        return vec![format!(
            "{} result columns, and the server has {}",
            outputs.len(),
            columns.len()
        )];
    }
    let mut amiss = Vec::new();
    for (output, (name, oid, number)) in outputs.iter().zip(columns) {
        if *output.name != **name {
            amiss.push(format!(
                "a result column `{}` that the server calls `{name}`",
                output.name
            ));
        }
        let known = output.origin.is_none_or(|origin| origin == (*oid, *number));
        // A cast to its own type leaves a column what it is; facts may say that it is computed from it.
        let direct = |source: &Source| {
            source.how != How::Safe
                && (source.column.relation_oid, source.column.attribute) == (*oid, *number)
        };
        // A whole row is described as its relation, without a column.
        let of_relation = |source: &Source| source.column.relation_oid == *oid;
        let mut sources = output.lineage.sources.iter();
        let allowed = output.origin.is_some()
            || *oid == 0
            || if *number == 0 {
                sources.any(of_relation)
            } else {
                sources.any(direct)
            };
        if !known || !allowed {
            amiss.push(format!(
                "result column `{name}` from {oid}.{number}, and facts say {:?}",
                output.origin
            ));
        }
    }
    amiss
}

fn ours(facts: &Facts) -> BTreeMap<u32, Ours> {
    let mut ours: BTreeMap<u32, Ours> = BTreeMap::new();
    for access in &facts.accesses {
        let Object::Relation { oid, .. } = &access.object else {
            continue;
        };
        let of = ours.entry(*oid).or_default();
        of.operations.insert(access.operation);
        of.via.extend(access.via.iter().map(|via| via.to_string()));
        for used in &access.columns {
            let number = used.column.attribute;
            if used.column.relation_oid != *oid {
                // What a write computes beside: of the columns of another relation that decide.
                let beside = ours.entry(used.column.relation_oid).or_default();
                beside.read.insert(number);
                continue;
            }
            let of = ours.entry(*oid).or_default();
            match (used.used, access.operation) {
                (Use::Write, Operation::Insert | Operation::CopyFrom) => of.inserted.insert(number),
                (Use::Write, _) => of.updated.insert(number),
                _ => of.read.insert(number),
            };
        }
    }
    ours
}

/// Rights on the whole relation that the server needs and ours lack.
fn missing_rights(claim: &Claim, found: &Ours, relation: &Relation) -> Vec<String> {
    let mut missing = Vec::new();
    let name = format!("{}.{}", relation.schema, relation.name);
    let has = |operations: &[Operation]| {
        operations
            .iter()
            .any(|operation| found.operations.contains(operation))
    };
    let writes = [Operation::Update, Operation::Delete, Operation::Insert];
    let reads = has(&[Operation::Read, Operation::CopyTo]);
    if claim.rights & SELECT != 0 && !reads && !has(&writes) {
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
    missing
}

/// Columns that the server needs and ours lack.
fn missing_columns(
    claim: &Claim,
    found: &Ours,
    relation: &Relation,
    whole_rows: bool,
) -> Vec<String> {
    let mut missing = Vec::new();
    let name = format!("{}.{}", relation.schema, relation.name);
    let sets = [
        ("read", &claim.selected, &found.read),
        ("insert", &claim.inserted, &found.inserted),
        ("update", &claim.updated, &found.updated),
    ];
    for (what, needed, found) in sets {
        for number in needed {
            if *number == 0 {
                let absent = relation
                    .attributes
                    .iter()
                    .filter(|attribute| whole_rows && !found.contains(&attribute.number));
                for attribute in absent {
                    missing.push(format!("{what} of {name}.{} (whole row)", attribute.name));
                }
            } else if !found.contains(number) {
                missing.push(format!(
                    "{what} of {name}.{}",
                    column_name(relation, *number)
                ));
            }
        }
    }
    missing
}

fn column_name(relation: &Relation, number: i16) -> String {
    let column = relation
        .attributes
        .iter()
        .find(|attribute| attribute.number == number);
    column.map_or_else(
        || number.to_string(),
        |attribute| attribute.name.to_string(),
    )
}

/// What is in ours and the server does not need.
fn beyond(
    ours: &BTreeMap<u32, Ours>,
    claims: &Claims,
    catalog: &Catalog,
    beyond: &mut BTreeMap<Difference, Vec<String>>,
    facts: &Facts,
) {
    let related: BTreeSet<u32> = claims
        .keys()
        .flat_map(|oid| {
            catalog
                .ancestors(*oid)
                .into_iter()
                .chain(catalog.descendants(*oid))
        })
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
        } else if !found.via.is_empty() && unexpanded {
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
            for number in found
                .iter()
                .filter(|number| **number > 0 && !needed.contains(number))
            {
                beyond
                    .entry(cause)
                    .or_default()
                    .push(format!("{what} {name}.{}", column_name(relation, *number)));
            }
        };
        if !whole {
            extra("read", &found.read, &claim.selected);
        }
        extra("insert", &found.inserted, &claim.inserted);
        extra("update", &found.updated, &claim.updated);
    }
}
