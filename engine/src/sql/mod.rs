//! Text to facts.
