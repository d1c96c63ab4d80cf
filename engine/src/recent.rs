//! What was used lately: which of what is kept makes room, and what comes a second time. Must never hold what was used.

/// Hashes kept; another of the same place takes it.
const SEEN_MAX: usize = 1024;

/// Hashes of what came once: most of it does not come again, and that costs nothing more.
#[derive(Debug, Default)]
pub struct Seen {
    hashes: Vec<u64>,
}

impl Seen {
    /// Whether this hash came lately; from now on it did.
    pub fn came(&mut self, hash: u64) -> bool {
        self.hashes.resize(SEEN_MAX, 0);
        let place = usize::try_from(hash).unwrap_or_default() % SEEN_MAX;
        let before = self.hashes.get_mut(place);
        before.is_some_and(|before| std::mem::replace(before, hash) == hash)
    }
}

/// The last of the quarter of these times that makes room, the oldest; `None` where there is no time.
#[must_use]
pub fn oldest_quarter(times: impl Iterator<Item = u64>) -> Option<u64> {
    let mut times: Vec<u64> = times.collect();
    let quarter = times.len() / 4;
    (quarter < times.len()).then(|| *times.select_nth_unstable(quarter).1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_again_is_known_until_another_takes_its_place() {
        let mut seen = Seen::default();
        assert!(!seen.came(7) && seen.came(7));
        assert!(!seen.came(7 + SEEN_MAX as u64) && !seen.came(7));
        assert!(seen.came(7));
    }

    #[test]
    fn a_quarter_makes_room() {
        assert_eq!(oldest_quarter(std::iter::empty()), None);
        assert_eq!(oldest_quarter([5].into_iter()), Some(5));
        assert_eq!(oldest_quarter((1..=8).rev()), Some(3));
    }
}
