//! The right to act. Made from a [`Receipt`] (the proof that the decision is in the log) and from nothing else.

use provost_evidence::Receipt;

/// The right to send one decided statement's bytes to the server.
///
/// `// INVARIANT:` the field is private and [`From<Receipt>`] the only constructor: no receipt, no effect.
#[derive(Debug)]
pub struct Permit {
    receipt: Receipt,
}

impl Permit {
    /// The receipt this permit was made from.
    #[must_use]
    pub fn receipt(&self) -> &Receipt {
        &self.receipt
    }
}

impl From<Receipt> for Permit {
    fn from(receipt: Receipt) -> Self {
        Self { receipt }
    }
}
