//! Where generators take their choices from: a seed, or a list to replay. What was chosen is kept, so that a failing case
//! can be made smaller by leaving choices out.

/// A source of choices. The smallest number is the plainest choice.
#[derive(Debug)]
pub(crate) struct Choices {
    source: Source,
    made: Vec<u32>,
}

#[derive(Debug)]
enum Source {
    /// The state of a xorshift generator.
    Seed(u64),
    /// Choices to make again, from that one on; past the end every choice is the plainest.
    Replay(Vec<u32>, usize),
}

impl Choices {
    pub(crate) fn seeded(seed: u64) -> Self {
        // Neighbouring seeds must not begin alike (the finaliser of splitmix64), and zero would stay zero.
        let mut state = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        state = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        state = (state ^ (state >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        Self::from(Source::Seed((state ^ (state >> 31)).max(1)))
    }

    pub(crate) fn replaying(made: Vec<u32>) -> Self {
        Self::from(Source::Replay(made, 0))
    }

    fn from(source: Source) -> Self {
        Self {
            source,
            made: Vec::new(),
        }
    }

    /// What was chosen.
    pub(crate) fn made(self) -> Vec<u32> {
        self.made
    }

    /// A number below `bound`.
    pub(crate) fn below(&mut self, bound: u32) -> u32 {
        let raw = match &mut self.source {
            Source::Seed(state) => {
                *state ^= *state << 13;
                *state ^= *state >> 7;
                *state ^= *state << 17;
                u32::try_from(*state >> 32).expect("half of it")
            }
            Source::Replay(made, next) => {
                let raw = made.get(*next).copied().unwrap_or(0);
                *next += 1;
                raw
            }
        };
        let choice = raw % bound.max(1);
        self.made.push(choice);
        choice
    }

    /// True once in `times`; the plainest is false.
    pub(crate) fn once_in(&mut self, times: u32) -> bool {
        self.below(times) + 1 == times
    }

    /// One of them.
    pub(crate) fn pick<T: Clone>(&mut self, from: &[T]) -> T {
        let bound = u32::try_from(from.len()).expect("few");
        from[self.below(bound) as usize].clone()
    }

    /// Each of them or not.
    pub(crate) fn subset<T: Clone>(&mut self, from: &[T]) -> Vec<T> {
        let chosen = self.below(1 << from.len());
        let is_chosen = |(index, _): &(usize, &T)| chosen & (1 << index) != 0;
        from.iter()
            .enumerate()
            .filter(is_chosen)
            .map(|(_, one)| one.clone())
            .collect()
    }

    /// Up to `most` of what `make` makes.
    pub(crate) fn several<T>(&mut self, most: u32, mut make: impl FnMut(&mut Self) -> T) -> Vec<T> {
        let count = self.below(most + 1);
        (0..count).map(|_| make(self)).collect()
    }
}
