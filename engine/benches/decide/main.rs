//! `cargo bench -p provost-engine --bench decide`: what deciding costs, beside two rivals on the same toy task, and by
//! itself on mixed and adversarial policies. Prints tables; ends with an error where a figure that must be reached is not.
//!
//! | part | holds |
//! |---|---|
//! | `toy` | a task that all three can do: allow and deny rules over groups, two actions, schemas and tables |
//! | `rivals` | Cedar and regorus on it, prepared as an expert would |
//! | `policies` | mixed rules with every effect, and boxes that overlap as badly as they can |
//! | `clock` | interleaved rounds, medians, numbers in words |

#![expect(
    clippy::expect_used,
    clippy::panic,
    reason = "a bench whose preparation fails has nothing to say"
)]

mod clock;
mod policies;
mod rivals;
mod toy;

use std::{process::ExitCode, sync::Arc, time::Instant};

use jiff::Timestamp;
use provost_engine::{
    graph::{Policy, SessionView, compile, rule::RuleSet},
    principal::Circumstances,
    verdict::{Decision, Verdict},
};

use self::{
    clock::{Contender, count, duration, rounds},
    policies::{Case, Shape},
    toy::Toy,
};

/// How many rules policies have.
const SIZES: [usize; 4] = [10, 100, 1_000, 10_000];

fn main() -> ExitCode {
    let mut goals = Goals::default();
    let toy = SIZES.map(|size| against_rivals(size, &mut goals));
    println!("\nToy task, nanoseconds for one decision (median of interleaved rounds)\n");
    println!("| rules | provost | regorus | Cedar | regorus / provost | Cedar / provost |");
    println!("|---:|---:|---:|---:|---:|---:|");
    toy.iter().for_each(|row| println!("{row}"));

    for shape in [Shape::Mixed, Shape::Boxes] {
        println!("\n{}\n", shape.title());
        println!(
            "| rules | allowed | held or denied | view | compile | nodes | cells | states | of budget | KB |"
        );
        println!("|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|");
        let mut allowed = Vec::new();
        for size in SIZES {
            let (row, time) = by_itself(shape, size, &mut goals);
            println!("{row}");
            allowed.push((size, time));
        }
        if shape == Shape::Mixed {
            goals.growth(&allowed);
        }
    }
    goals.report()
}

/// What must be reached, and whether it is.
#[derive(Debug, Default)]
struct Goals(Vec<(String, bool)>);

impl Goals {
    fn add(&mut self, what: String, is_reached: bool) {
        self.0.push((what, is_reached));
    }

    fn growth(&mut self, allowed: &[(usize, f64)]) {
        let at = |wanted| {
            let found = allowed.iter().find(|(size, _)| *size == wanted);
            found.map_or(f64::NAN, |(_, time)| *time)
        };
        let ratio = at(10_000) / at(1_000);
        self.add(
            format!("10,000 mixed rules take {ratio:.2} times what 1,000 take (at most 4)"),
            ratio <= 4.0,
        );
    }

    fn report(self) -> ExitCode {
        println!();
        for (what, is_reached) in &self.0 {
            println!(
                "{} {what}",
                if *is_reached { "reached:" } else { "MISSED: " }
            );
        }
        if self.0.iter().all(|(_, is_reached)| *is_reached) {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        }
    }
}

/// The toy task before all three: answers compared first, then timed.
fn against_rivals(size: usize, goals: &mut Goals) -> String {
    let toy = Toy::new(size);
    let policy = compile(toy.rule_set()).expect("the toy compiles");
    let cases = toy.cases(&policy);
    let cedar = rivals::Cedar::new(&toy);
    let mut rego = rivals::Rego::new(&toy);
    for (number, case) in cases.iter().enumerate() {
        let expected = toy.answer(number);
        let decided = case.decide(&policy).verdict == Verdict::Allow;
        assert_eq!(decided, expected, "provost, request {number}");
        assert_eq!(cedar.decide(number), expected, "cedar, request {number}");
        assert_eq!(rego.decide(number), expected, "regorus, request {number}");
    }
    let times = rounds(
        cases.len(),
        &mut [
            Contender::new(&mut |number| {
                case_at(&cases, number).decide(&policy).verdict == Verdict::Allow
            }),
            Contender::new(&mut |number| rego.decide(number)),
            Contender::new(&mut |number| cedar.decide(number)),
        ],
    );
    let [provost, rego, cedar] = times[..] else {
        panic!("three contenders have three times");
    };
    if size == 1_000 {
        let ratio = rego / provost;
        goals.add(
            format!("{ratio:.0} times as fast as expert regorus at 1,000 rules (at least 20)"),
            ratio >= 20.0,
        );
        let ratio = cedar / provost;
        goals.add(
            format!("{ratio:.0} times as fast as Cedar at 1,000 rules (at least 1,000)"),
            ratio >= 1_000.0,
        );
    }
    format!(
        "| {} | {provost:.0} | {} | {} | {:.0} | {} |",
        count(size),
        count(rego as usize),
        count(cedar as usize),
        rego / provost,
        count((cedar / provost) as usize),
    )
}

/// One statement of one session.
struct Prepared {
    view: SessionView,
    case: Case,
}

impl Prepared {
    fn new(policy: &Policy, case: Case) -> Self {
        Self {
            view: policy.view(&case.session, Timestamp::UNIX_EPOCH),
            case,
        }
    }

    fn decide(&self, policy: &Policy) -> Decision {
        policy.decide(&self.view, &self.case.facts, &Circumstances::default())
    }
}

fn case_at(cases: &[Prepared], number: usize) -> &Prepared {
    cases.get(number).expect("one of the cases")
}

/// A row of figures, and the time of an allowed statement.
fn by_itself(shape: Shape, size: usize, goals: &mut Goals) -> (String, f64) {
    let set = shape.rule_set(size);
    let (policy, compile_seconds) = timed_compile(&set);
    let cases: Vec<Prepared> = shape
        .cases(size)
        .into_iter()
        .map(|case| Prepared::new(&policy, case))
        .collect();
    let (allowed, others): (Vec<Prepared>, Vec<Prepared>) = cases
        .into_iter()
        .partition(|case| case.decide(&policy).verdict == Verdict::Allow);
    assert!(
        allowed.len() >= 20 && others.len() >= 20,
        "dull statements: {} allowed, {} not",
        allowed.len(),
        others.len()
    );
    let time = |cases: &[Prepared]| {
        let mut decide = |number| case_at(cases, number).decide(&policy).verdict == Verdict::Deny;
        let times = rounds(cases.len(), &mut [Contender::new(&mut decide)]);
        times.first().copied().unwrap_or(f64::NAN)
    };
    let (allowed_ns, others_ns) = (time(&allowed), time(&others));
    let mut view = |number| {
        let session = &case_at(&allowed, number).case.session;
        policy.view(session, Timestamp::UNIX_EPOCH).until() == Timestamp::MAX
    };
    let views = rounds(allowed.len(), &mut [Contender::new(&mut view)]);
    let view_ns = views.first().copied().unwrap_or(f64::NAN);
    let extent = policy.extent();
    let (limit, wanted) = match shape {
        Shape::Mixed => (2.0, 10_000),
        Shape::Boxes => (5.0, 1_000),
    };
    if size == wanted {
        let name = shape.name();
        goals.add(
            format!(
                "{} {name} rules compile in {} (at most {limit} s)",
                count(size),
                duration(compile_seconds)
            ),
            compile_seconds <= limit,
        );
        goals.add(
            format!(
                "{} {name} rules have {} states of a budget of {}",
                count(size),
                count(extent.states),
                count(extent.states_max)
            ),
            extent.states <= extent.states_max,
        );
    }
    let row = format!(
        "| {} | {allowed_ns:.0} ns | {others_ns:.0} ns | {} | {} | {} | {} | {} | {:.0} % | {} |",
        count(size),
        duration(view_ns / 1e9),
        duration(compile_seconds),
        count(extent.nodes),
        count(extent.cells),
        count(extent.states),
        100.0 * extent.states as f64 / extent.states_max.max(1) as f64,
        count(extent.bytes / 1_024),
    );
    (row, allowed_ns)
}

/// The least of three times: what else runs on the machine only adds.
fn timed_compile(set: &RuleSet) -> (Arc<Policy>, f64) {
    let mut least = f64::INFINITY;
    let mut made = None;
    for _ in 0..3 {
        let set = set.clone();
        let start = Instant::now();
        let policy = compile(set).expect("bench policies compile");
        least = least.min(start.elapsed().as_secs_f64());
        made = Some(Arc::new(policy));
    }
    (made.expect("three were made"), least)
}
