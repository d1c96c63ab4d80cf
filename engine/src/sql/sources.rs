//! The columns that a value is computed from, as a sorted set without allocation where there are few: values are made,
//! joined and copied at every node of a statement. Must never lose a member.

use std::{
    cmp::Ordering,
    hash::{Hash as _, Hasher as _},
    sync::Arc,
};

use rustc_hash::FxHasher;
use smallvec::SmallVec;

use crate::facts::{Column, How};

/// Members that need no allocation.
const INLINE: usize = 2;
/// From how many new members on sorting all at once is less work than finding each one's place.
const SORT_FROM: usize = 8;

/// One column that a value is computed from, and the access that reads it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Origin {
    pub(super) column: Arc<Column>,
    pub(super) how: How,
    /// The entry to note uses in; `None` for columns that are related by inheritance only.
    pub(super) entry: Option<usize>,
}

impl Origin {
    /// By column and entry first, so that what differs in `how` alone stands side by side.
    fn order(&self, other: &Self) -> Ordering {
        let columns = || {
            if Arc::ptr_eq(&self.column, &other.column) {
                Ordering::Equal
            } else {
                self.column.cmp(&other.column)
            }
        };
        columns()
            .then_with(|| self.entry.cmp(&other.entry))
            .then_with(|| self.how.cmp(&other.how))
    }
}

/// A set of origins.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Sources(SmallVec<[Origin; INLINE]>);

impl Sources {
    pub(super) fn one(origin: Origin) -> Self {
        let mut members = SmallVec::new();
        members.push(origin);
        Self(members)
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Equal for equal sets, and as a rule for no others.
    pub(super) fn digest(&self) -> u64 {
        let mut hasher = FxHasher::default();
        for origin in self {
            let column = &origin.column;
            (column.relation_oid, column.attribute).hash(&mut hasher);
            (origin.how, origin.entry).hash(&mut hasher);
        }
        hasher.finish()
    }

    pub(super) fn iter(&self) -> std::slice::Iter<'_, Origin> {
        self.0.iter()
    }

    pub(super) fn insert(&mut self, origin: Origin) {
        if let Err(place) = self.0.binary_search_by(|member| member.order(&origin)) {
            self.0.insert(place, origin);
        }
    }

    /// Adds every member of another set with another `how`; `change` is as for [`Sources::map`].
    pub(super) fn add_as(&mut self, other: &Self, change: impl Fn(How) -> How) {
        if other.len() < SORT_FROM {
            for origin in other {
                self.insert(Origin {
                    how: change(origin.how),
                    ..origin.clone()
                });
            }
        } else {
            self.add(&other.clone().map(change));
        }
    }

    /// Adds every member of another set.
    pub(super) fn add(&mut self, other: &Self) {
        if other.is_empty() {
        } else if self.0.is_empty() {
            self.0.clone_from(&other.0);
        } else if other.len() < SORT_FROM {
            for origin in other.iter() {
                self.insert(origin.clone());
            }
        } else {
            self.0.extend(other.0.iter().cloned());
            // Two sorted runs: the sort merges them.
            self.0.sort_by(Origin::order);
            self.0.dedup();
        }
    }

    /// The same columns, each with another `how`; `change` must keep the order of those of one column and entry.
    pub(super) fn map(mut self, change: impl Fn(How) -> How) -> Self {
        for origin in &mut self.0 {
            origin.how = change(origin.how);
        }
        self.0.dedup();
        self
    }
}

impl<'s> IntoIterator for &'s Sources {
    type Item = &'s Origin;
    type IntoIter = std::slice::Iter<'s, Origin>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn origin(number: i16, how: How, entry: Option<usize>) -> Origin {
        let column = Column {
            relation_oid: 1,
            attribute: number,
            schema: "s".into(),
            relation: "r".into(),
            name: format!("c{number}").into(),
            type_oid: 25,
            constrained: false,
        };
        Origin {
            column: Arc::new(column),
            how,
            entry,
        }
    }

    fn members(sources: &Sources) -> Vec<(i16, How, Option<usize>)> {
        sources
            .iter()
            .map(|origin| (origin.column.attribute, origin.how, origin.entry))
            .collect()
    }

    proptest::proptest! {
        #[test]
        fn sets_are_sets(
            one in proptest::collection::vec((0_i16..6, 0_usize..3, 0_usize..3), 0..20),
            other in proptest::collection::vec((0_i16..6, 0_usize..3, 0_usize..3), 0..20),
        ) {
            let hows = [How::Direct, How::Derived, How::Safe];
            let make = |list: &[(i16, usize, usize)]| {
                let mut sources = Sources::default();
                for (number, how, entry) in list {
                    sources.insert(origin(*number, hows[*how], entry.checked_sub(1)));
                }
                sources
            };
            let (one_set, other_set) = (make(&one), make(&other));
            let mut all = one_set.clone();
            all.add(&other_set);
            let wanted: BTreeSet<_> = one.iter().chain(&other).map(|(number, how, entry)| {
                (*number, entry.checked_sub(1), hows[*how])
            }).collect();
            let found: Vec<_> = members(&all).into_iter().map(|(number, how, entry)| (number, entry, how)).collect();
            proptest::prop_assert_eq!(found, wanted.into_iter().collect::<Vec<_>>());
            let derive = |how| if how == How::Direct { How::Derived } else { how };
            let derived = all.clone().map(derive);
            let mut added = one_set.clone();
            added.add_as(&other_set, derive);
            let mut wanted = one_set.clone();
            wanted.add(&other_set.clone().map(derive));
            proptest::prop_assert_eq!(added, wanted);
            let distinct: BTreeSet<_> = members(&derived).into_iter().collect();
            proptest::prop_assert_eq!(distinct.len(), derived.len());
        }
    }
}
