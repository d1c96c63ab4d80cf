//! Drafts for statements of which all but the wording is recorded alike: their facts differ in nothing but what columns equal, and an
//! equal decision was made of them by the same policy.
//!
//! Must never be found for a statement whose record would say something else. A record is made of text, facts, decision and policy
//! alone (`record::decision`); of equalities it has nothing but their digest, which is the wording's.

use std::{
    collections::HashMap,
    hash::BuildHasher as _,
    rc::Rc,
    sync::{self, Arc},
};

use foldhash::quality::RandomState;
use provost_engine::{
    facts::Facts,
    graph::Policy,
    recent::{Seen, oldest_quarter},
    verdict::Decision,
};
use provost_evidence::draft::Wordless;

use crate::record::{Pattern, Undated};

/// Shapes of statements of which patterns are kept; at the limit the quarter least recently used makes room.
const SHAPES_MAX: usize = 256;
/// Patterns of one shape: of several principals, relations, catalogs.
const PATTERNS_MAX: usize = 4;
/// How many statements of any pattern come before one that none of them was of makes room.
const IDLE_MAX: u64 = 1_024;
/// Most accesses, columns, outputs and the like of facts that are kept.
const PARTS_MAX: usize = 1_024;
/// A longer draft is not kept.
const DRAFT_BYTES_MAX: usize = 8 * 1024;

/// One thread's patterns.
#[derive(Debug, Default)]
pub(super) struct Patterns {
    /// By fingerprint.
    kept: HashMap<Arc<str>, Vec<Kept>, RandomState>,
    /// Fingerprints that came once.
    seen: Seen,
    clock: u64,
}

#[derive(Debug)]
struct Kept {
    /// Not kept alive by this; its memory is not given to another one.
    policy: sync::Weak<Policy>,
    facts: Facts,
    decision: Decision,
    pattern: Pattern,
    draft: Rc<Wordless>,
    used: u64,
}

impl Kept {
    /// Whether an equal decision of this policy on such a statement is recorded alike.
    fn is_of(&self, policy: &Arc<Policy>, facts: &Facts, decision: &Decision) -> bool {
        std::ptr::eq(self.policy.as_ptr(), Arc::as_ptr(policy))
            && self.decision == *decision
            && self.facts.differ_in_equalities_alone(facts)
    }
}

impl Patterns {
    /// The draft for an equal decision on a statement that differs in its wording alone, and what its wording is made with.
    pub(super) fn find(
        &mut self,
        policy: &Arc<Policy>,
        facts: &Facts,
        decision: &Decision,
    ) -> Option<(Rc<Wordless>, Pattern)> {
        self.clock += 1;
        let mut kept = self.kept.get_mut(&facts.fingerprint)?.iter_mut();
        let kept = kept.find(|kept| kept.is_of(policy, facts, decision))?;
        kept.used = self.clock;
        Some((Rc::clone(&kept.draft), kept.pattern))
    }

    /// Keeps what is recorded of a statement that no pattern was found of, if its shape came before: most that come once do not come again.
    pub(super) fn keep(
        &mut self,
        policy: &Arc<Policy>,
        facts: &Facts,
        decision: &Decision,
        undated: &Undated,
    ) {
        if facts.parts() > PARTS_MAX || !self.has_room(&facts.fingerprint) {
            return;
        }
        let Ok(draft) = undated.clone().wordless() else {
            return;
        };
        if draft.bytes() > DRAFT_BYTES_MAX {
            return;
        }
        let kept = Kept {
            policy: Arc::downgrade(policy),
            facts: facts.without_equalities(),
            decision: decision.clone(),
            pattern: undated.pattern(),
            draft: Rc::new(draft),
            used: self.clock,
        };
        if let Some(of_shape) = self.kept.get_mut(&facts.fingerprint) {
            of_shape.push(kept);
            return;
        }
        if self.kept.len() >= SHAPES_MAX {
            self.make_room();
        }
        let fingerprint = Arc::clone(&facts.fingerprint);
        self.kept.insert(fingerprint, vec![kept]);
    }

    /// Whether there is room for one more pattern of the shape: makes it where some of them are idle.
    fn has_room(&mut self, fingerprint: &Arc<str>) -> bool {
        let clock = self.clock;
        let Some(kept) = self.kept.get_mut(fingerprint) else {
            let hash = self.kept.hasher().hash_one(fingerprint);
            return self.seen.came(hash);
        };
        if kept.len() >= PATTERNS_MAX {
            kept.retain(|kept| {
                kept.policy.strong_count() > 0 && clock.saturating_sub(kept.used) < IDLE_MAX
            });
        }
        kept.len() < PATTERNS_MAX
    }

    fn make_room(&mut self) {
        let last_used = |kept: &[Kept]| kept.iter().map(|kept| kept.used).max().unwrap_or(0);
        let times = self.kept.values().map(|kept| last_used(kept));
        if let Some(last) = oldest_quarter(times) {
            self.kept.retain(|_, kept| last_used(kept) > last);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use provost_engine::{
        facts::Column,
        schema,
        sql::{self, Context, Statement, Witness},
        verdict::{BundleDigest, Reason},
    };

    use super::*;
    use crate::{
        judgement::{analysis::STACK_BYTES, names::NO_NAMES, testing::policy},
        record::{Determining, EvidenceKey, decision},
        settings::Secret,
    };

    fn deny(because: &str) -> Decision {
        let reason = Reason {
            rule: None,
            message: because.into(),
            hint: None,
        };
        Decision::deny(vec![reason], false)
    }

    fn statements(texts: &'static [&str]) -> Vec<Statement> {
        let read = move || {
            let schema = "CREATE TABLE t (id integer PRIMARY KEY, name text, note text)";
            let catalog = schema::read(schema, "shop").unwrap();
            let context = Context {
                catalog: &catalog,
                search_path: &["public".into()],
                parameter_types: &[],
                witness: Witness::Deny,
                names: &NO_NAMES,
            };
            let read = |text: &&str| sql::analyse(text.as_bytes(), &context).unwrap().remove(0);
            texts.iter().map(read).collect()
        };
        let thread = thread::Builder::new().stack_size(STACK_BYTES).spawn(read);
        thread.unwrap().join().unwrap()
    }

    fn undated(text: &str, statement: &Statement, decided: &Decision, is_classed: bool) -> Undated {
        let key = key();
        let determining = Determining {
            rules: Vec::new(),
            controls: Vec::new(),
            observed: None,
            mask_key_id: None,
        };
        let bundle = BundleDigest("bundle".into());
        decision(
            &key,
            (text.as_bytes(), &bundle),
            statement,
            decided,
            &determining,
            &|_: &Column| is_classed,
        )
    }

    fn key() -> EvidenceKey {
        EvidenceKey::new(Secret::new([7; 32])).unwrap()
    }

    const TEXTS: [&str; 7] = [
        "SELECT name FROM t WHERE id = 1 LIMIT 5",
        "SELECT name FROM t WHERE id = 4711 LIMIT 5",
        // One fingerprint, and not recorded alike.
        "SELECT name FROM t WHERE id = 1 LIMIT 6",
        "SELECT name FROM t WHERE id = 1 AND 1 = 1 LIMIT 5",
        "SELECT note FROM t WHERE id = 1 LIMIT 5",
        "SELECT name FROM t WHERE name = 'x' LIMIT 5",
        "SELECT name, name FROM t WHERE id = 1 LIMIT 5",
    ];

    #[test]
    fn only_statements_that_are_recorded_alike_are_found() {
        let statements = statements(&TEXTS);
        for is_classed in [false, true] {
            let (policy, because) = (policy(), deny("no rule"));
            let facts = |at: usize| &statements[at].facts;
            let of = |at: usize| undated(TEXTS[at], &statements[at], &because, is_classed);
            let mut patterns = Patterns::default();
            for is_known in [false, false, true] {
                let found = patterns.find(&policy, facts(0), &because);
                assert_eq!(found.is_some(), is_known);
                if !is_known {
                    patterns.keep(&policy, facts(0), &because, &of(0));
                }
            }
            for (at, text) in TEXTS.iter().enumerate() {
                let found = patterns.find(&policy, facts(at), &because);
                assert_eq!(found.is_some(), at < 2, "{text}");
                let Some((draft, pattern)) = found else {
                    assert_ne!(of(at).pattern(), of(0).pattern(), "{text}");
                    continue;
                };
                let wording = pattern.wording(&key(), text.as_bytes(), &statements[at]);
                assert_eq!(of(at), of(at).reworded(&wording));
                assert_eq!(of(at), of(0).reworded(&wording));
                assert_eq!(of(at).wordless().unwrap(), *draft);
                let sql = wording.sql.unwrap();
                assert_eq!(sql.contains("hmac:"), is_classed, "{sql}");
                assert_eq!(sql == *text, !is_classed, "{sql}");
            }
            let wordings: Vec<_> = (0..2)
                .map(|at| {
                    of(at)
                        .pattern()
                        .wording(&key(), TEXTS[at].as_bytes(), &statements[at])
                })
                .collect();
            assert_ne!(wordings[0].sql_digest, wordings[1].sql_digest);
            assert_ne!(wordings[0].facts_digest, wordings[1].facts_digest);
            assert!(
                patterns
                    .find(&policy, facts(0), &deny("another rule"))
                    .is_none()
            );
            assert!(patterns.find(&self::policy(), facts(0), &because).is_none());
        }
    }

    /// Each decision has a pattern of its own, up to four, and what is not used makes room for another policy's.
    #[test]
    fn what_is_idle_makes_room() {
        let statements = statements(&TEXTS[..1]);
        let facts = &statements[0].facts;
        let policy = policy();
        let mut patterns = Patterns::default();
        let keep = |patterns: &mut Patterns, policy: &Arc<Policy>, because: &str| {
            let decided = deny(because);
            if patterns.find(policy, facts, &decided).is_none() {
                let undated = undated(TEXTS[0], &statements[0], &decided, false);
                patterns.keep(policy, facts, &decided, &undated);
            }
            patterns.find(policy, facts, &decided).is_some()
        };
        assert!(!keep(&mut patterns, &policy, "first"), "it came once");
        for _ in 0..2 * PATTERNS_MAX {
            assert!(keep(&mut patterns, &policy, "0"), "kept once");
        }
        for number in 0..PATTERNS_MAX {
            assert!(keep(&mut patterns, &policy, &number.to_string()));
        }
        assert!(!keep(&mut patterns, &policy, "one too many"));
        for _ in 0..IDLE_MAX {
            assert!(patterns.find(&policy, facts, &deny("1")).is_some());
        }
        assert!(keep(&mut patterns, &policy, "one more"));
        assert!(patterns.find(&policy, facts, &deny("1")).is_some());
        assert!(patterns.find(&policy, facts, &deny("0")).is_none());
    }
}
