//! The differential oracle: a plain interpreter of the rules and the decision graph agree on random policies, principals,
//! statements and times. Nothing here may look inside the graph: both sides get the same rules and the same facts.
//!
//! | part | holds |
//! |---|---|
//! | `interpreter` | the rules as they read |
//! | `generate`, `choices` | random cases from a seed, replayable and shrinkable |
//! | `compare` | one case before both |
//! | `agreement` | many cases; a failing one made small and printed |
//! | `laziness` | which dear facts are asked for, and how often |
//! | `properties` | what holds of every policy, whatever it says |
//! | `glass` | what of it holds where glass may be broken |

// Helpers are tests too: what clippy leaves to tests (clippy.toml) holds for all of this.
#![cfg(test)]

mod agreement;
mod choices;
mod compare;
mod generate;
mod glass;
mod interpreter;
mod laziness;
mod properties;
