//! What several tests of this module need.

use std::sync::Arc;

use provost_engine::{
    graph::{
        self, Policy,
        rule::{Mode, RuleSet},
    },
    verdict::BundleDigest,
};

/// A policy of no rules, which is enforced: each is another one.
pub(super) fn policy() -> Arc<Policy> {
    let policy = graph::compile(RuleSet {
        digest: BundleDigest("bundle".into()),
        mode: Mode::Enforce,
        classes: Vec::new(),
        rules: Vec::new(),
        invariants: Vec::new(),
    });
    Arc::new(policy.unwrap())
}
