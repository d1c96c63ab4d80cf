//! The `provost` command line: parses arguments and wires the crates together, nothing else.
fn main() {}
