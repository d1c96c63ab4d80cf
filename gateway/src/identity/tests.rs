//! Tests of token checks.
