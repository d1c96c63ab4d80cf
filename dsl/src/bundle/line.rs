//! Which bundle may follow which: sequences only ever rise.

use super::{error::Error, manifest::check_sequence};

/// A bundle's place: its number and its content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Its sequence.
    pub sequence: u64,
    /// Its digest.
    pub digest: String,
}

/// What a bundle is to the ones before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// A later one: it may be loaded.
    Next,
    /// The very one that was accepted last.
    Same,
}

/// The bundles that were accepted so far, by the last of them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Line {
    /// The least sequence that the configuration accepts; 0 accepts all.
    pub minimum: u64,
    /// The highest place ever accepted.
    pub highest: Option<Place>,
}

impl Line {
    /// What a bundle is to the ones before it.
    ///
    /// # Errors
    /// [`Error::Sequence`], [`Error::BelowMinimum`], [`Error::Downgrade`], [`Error::Reused`].
    pub fn check(&self, place: &Place) -> Result<Step, Error> {
        let sequence = place.sequence;
        check_sequence(sequence)?;
        if sequence < self.minimum {
            return Err(Error::BelowMinimum {
                sequence,
                minimum: self.minimum,
            });
        }
        match &self.highest {
            Some(highest) if sequence < highest.sequence => Err(Error::Downgrade {
                sequence,
                highest: highest.sequence,
            }),
            Some(highest) if sequence == highest.sequence => {
                if highest.digest == place.digest {
                    Ok(Step::Same)
                } else {
                    Err(Error::Reused { sequence })
                }
            }
            Some(_) | None => Ok(Step::Next),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(minimum: u64, highest: Option<(u64, &str)>, next: (u64, &str), expected: &str) {
        let place = |(sequence, digest): (u64, &str)| Place {
            sequence,
            digest: digest.to_owned(),
        };
        let line = Line {
            minimum,
            highest: highest.map(place),
        };
        let step = match line.check(&place(next)) {
            Ok(step) => format!("{step:?}"),
            Err(error) => error.to_string(),
        };
        assert!(step.starts_with(expected), "{step}");
    }

    #[test]
    fn sequences_only_rise() {
        check(0, None, (1, "a"), "Next");
        check(0, None, (0, "a"), "sequence 0 is out of range");
        check(
            0,
            None,
            (1 << 53, "a"),
            "sequence 9007199254740992 is out of range",
        );
        check(5, None, (5, "a"), "Next");
        check(
            5,
            None,
            (4, "a"),
            "sequence 4 is below the configured minimum of 5",
        );
        check(0, Some((3, "a")), (4, "b"), "Next");
        check(0, Some((3, "a")), (9, "a"), "Next");
        check(0, Some((3, "a")), (3, "a"), "Same");
        check(
            0,
            Some((3, "a")),
            (3, "b"),
            "sequence 3 was accepted before with other content",
        );
        check(0, Some((3, "a")), (2, "a"), "sequence 2 is older than 3");
        check(
            4,
            Some((3, "a")),
            (3, "a"),
            "sequence 3 is below the configured minimum of 4",
        );
    }
}
