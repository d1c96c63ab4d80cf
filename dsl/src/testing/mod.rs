//! The language's `test` blocks: each runs its statements through the real analyser and the compiled policy, against a
//! schema read from a file, and compares what was decided with what the test expects.

mod case;

pub use self::case::{
    DEFAULT_MOMENT, Expectation, Expected, ExpectedLimit, ExpectedRecording, Given, PolicyTest,
    Run, TestPerson, TestPrincipal, TestSession,
};
