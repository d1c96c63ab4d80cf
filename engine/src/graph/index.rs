//! Bit sets over groups and over classes.

use smallvec::SmallVec;

/// A set of small numbers, all sets of one sort with the same width. Up to 256 numbers it needs no allocation.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub(super) struct Bits(SmallVec<[u64; 4]>);

impl Bits {
    /// The empty set, wide enough for numbers below `count`.
    pub(super) fn empty(count: usize) -> Self {
        Self(SmallVec::from_elem(0, count.div_ceil(64)))
    }

    /// Adds `number`, which must be below the width; beyond it nothing happens.
    pub(super) fn insert(&mut self, number: usize) {
        if let Some(word) = self.0.get_mut(number / 64) {
            *word |= 1 << (number % 64);
        }
    }

    /// Whether there is no member.
    pub(super) fn is_empty(&self) -> bool {
        self.0.iter().all(|&word| word == 0)
    }

    /// Whether `number` is a member.
    pub(super) fn contains(&self, number: usize) -> bool {
        self.0
            .get(number / 64)
            .is_some_and(|word| word & (1 << (number % 64)) != 0)
    }

    /// Adds `other`'s members.
    pub(super) fn add_all(&mut self, other: &Self) {
        for (word, &more) in self.0.iter_mut().zip(&other.0) {
            *word |= more;
        }
    }

    /// Removes the members that are not in `other`.
    pub(super) fn keep_only(&mut self, other: &Self) {
        for (position, word) in self.0.iter_mut().enumerate() {
            *word &= other.0.get(position).copied().unwrap_or(0);
        }
    }

    /// Members that are in all of `sets` (which have equal widths), ascending.
    pub(super) fn common<'a, const N: usize>(
        sets: [&'a Self; N],
    ) -> impl Iterator<Item = usize> + 'a {
        let words = sets.iter().map(|set| set.0.len()).min().unwrap_or(0);
        (0..words).flat_map(move |position| {
            let mut word = sets.iter().fold(u64::MAX, |word, set| {
                word & set.0.get(position).copied().unwrap_or(0)
            });
            std::iter::from_fn(move || {
                if word == 0 {
                    return None;
                }
                let lowest = word.trailing_zeros() as usize;
                word &= word - 1;
                Some(position * 64 + lowest)
            })
        })
    }

    /// Members, ascending.
    pub(super) fn iter(&self) -> impl Iterator<Item = usize> + '_ {
        Self::common([self])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_wider_than_a_word() {
        let mut left = Bits::empty(200);
        let mut right = Bits::empty(200);
        for number in [0, 63, 64, 127, 199] {
            left.insert(number);
        }
        for number in [1, 63, 127, 198, 199] {
            right.insert(number);
        }
        left.insert(500);
        assert_eq!(
            Bits::common([&left, &right]).collect::<Vec<_>>(),
            [63, 127, 199]
        );
        assert_eq!(
            left.iter().count(),
            5,
            "a number beyond the width is no member"
        );
        assert!(Bits::empty(200).is_empty() && !left.is_empty());
    }
}
