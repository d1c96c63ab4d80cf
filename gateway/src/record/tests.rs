//! Tests of records: no raw literal of a classed statement in any of them.
