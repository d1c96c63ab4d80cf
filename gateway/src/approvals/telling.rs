//! The loop by which everybody is told, whatever the way: what this gateway asks for, what becomes of it, and broken glass.
//!
//! Each at least once: again after a failure, and what is still open again after a restart. Must never let what is never taken keep the
//! rest from being told.

use std::{
    collections::{HashMap, HashSet},
    fmt,
    sync::Arc,
    time::Duration,
};

use provost_evidence::approvals::ApprovalId;
use tokio::time::sleep;

use super::{Approvals, BrokenGlass, Case, Standing, glass::Untold};

/// How often is looked whether there is something to tell.
const LOOK_PAUSE: Duration = Duration::from_millis(500);
/// Pauses after rounds that failed, one after the other; the last one stays.
const RETRY_PAUSES: [u64; 7] = [1, 2, 4, 8, 15, 30, 60];
/// So much broken glass is told of in one round.
const GLASS_AT_ONCE: usize = 16;
/// After so many messages that broke off in a round, the rest waits for the next; there it comes first.
const BROKEN_MAX: usize = 3;

/// Somebody who is told.
pub(super) trait Receiver {
    /// Who it is, as the gateway's own log may have it.
    fn name(&self) -> String;

    /// Tells it.
    async fn tell(&self, tidings: &Tidings) -> Sent;
}

/// One thing to be told.
#[derive(Debug, Clone)]
pub(super) enum Tidings {
    /// A session broke glass.
    Glass(Arc<BrokenGlass>),
    /// An approval stands so.
    Case(Arc<Case>, Standing),
}

/// What became of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Sent {
    /// The receiver has it.
    Taken,
    /// The receiver will never have it.
    GivenUp(String),
    /// It may have it later; others it may have now.
    Later(String),
    /// It broke off: whether that is for the message, nobody can say.
    Broken(String),
    /// There is nobody to be told.
    Down(String),
}

/// What tidings are known by.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Key {
    /// The number of the glass.
    Glass(u64),
    /// Of which approval, that it stands so.
    Case(ApprovalId, &'static str),
}

impl fmt::Display for Key {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Glass(number) => write!(formatter, "broken glass {number}"),
            Self::Case(id, standing) => write!(formatter, "approval {id}, {standing}"),
        }
    }
}

/// Tells one receiver, for ever.
pub(super) async fn tell_for_ever(approvals: Arc<Approvals>, receiver: impl Receiver) {
    let mut backlog = Backlog::default();
    let mut failures = 0;
    loop {
        let mut pause = LOOK_PAUSE;
        match backlog.tell(&approvals, &receiver).await {
            Ok(()) => failures = 0,
            Err(problem) => {
                if failures == 0 {
                    tracing::warn!(to = receiver.name(), %problem, "a message could not be delivered; it is sent again");
                }
                pause = retry_pause(failures);
                failures = failures.saturating_add(1);
            }
        }
        sleep(pause).await;
    }
}

/// How long to wait after so many failures, and one more.
fn retry_pause(failures: usize) -> Duration {
    let seconds = RETRY_PAUSES.get(failures).or(RETRY_PAUSES.last());
    Duration::from_secs(seconds.copied().unwrap_or(1))
}

/// What one receiver was told and is still to be told. No queue beside what is held, which has a limit, and the glass that is kept.
#[derive(Debug, Default)]
struct Backlog {
    told: HashSet<(ApprovalId, &'static str)>,
    glass: Untold,
    /// How often what waits could not be told.
    failures: HashMap<Key, usize>,
}

impl Backlog {
    /// Tells what was not told yet: what failed least often first, and the oldest of that; the first failure, where there is one.
    async fn tell(
        &mut self,
        approvals: &Approvals,
        receiver: &impl Receiver,
    ) -> Result<(), String> {
        let mut failed = Ok(());
        let mut broken = 0;
        for (key, tidings) in self.waiting(approvals) {
            let problem = match receiver.tell(&tidings).await {
                Sent::Taken => {
                    self.told(key);
                    continue;
                }
                Sent::GivenUp(problem) => {
                    tracing::error!(to = receiver.name(), what = %key, %problem, "a message was refused for good; it is not sent again");
                    self.told(key);
                    continue;
                }
                // What follows would meet the same.
                Sent::Down(problem) => return Err(problem),
                Sent::Later(problem) => problem,
                Sent::Broken(problem) => {
                    broken += 1;
                    problem
                }
            };
            *self.failures.entry(key).or_default() += 1;
            failed = failed.and(Err(problem));
            if broken == BROKEN_MAX {
                break;
            }
        }
        failed
    }

    /// What is to be told, in order. What is known no more is forgotten.
    fn waiting(&mut self, approvals: &Approvals) -> Vec<(Key, Tidings)> {
        self.glass.take(&approvals.news);
        let glass = self.glass.waiting().map(|(number, broken)| {
            let tidings = Tidings::Glass(Arc::clone(broken));
            (Key::Glass(number), tidings)
        });
        let mut glass: Vec<(Key, Tidings)> = glass.collect();
        let mut cases = news(approvals, &mut self.told);
        let known: HashSet<&Key> = glass.iter().chain(&cases).map(|(key, _)| key).collect();
        self.failures.retain(|key, _| known.contains(key));
        let failures =
            |(key, _): &(Key, Tidings)| self.failures.get(key).copied().unwrap_or_default();
        glass.sort_by_key(failures);
        glass.truncate(GLASS_AT_ONCE);
        glass.append(&mut cases);
        glass.sort_by_key(failures);
        glass
    }

    fn told(&mut self, key: Key) {
        self.failures.remove(&key);
        match key {
            Key::Glass(number) => self.glass.told(number),
            Key::Case(id, standing) => {
                self.told.insert((id, standing));
            }
        }
    }
}

/// What was not told yet of approvals, the oldest first: that it waits, or how it ended.
fn news(
    approvals: &Approvals,
    told: &mut HashSet<(ApprovalId, &'static str)>,
) -> Vec<(Key, Tidings)> {
    let mut cases = approvals.list();
    let known: HashSet<&ApprovalId> = cases.iter().map(|(case, _)| &case.request.id).collect();
    told.retain(|(id, _)| known.contains(id));
    cases.reverse();
    let is_news = |(case, standing): &(Arc<Case>, Standing)| {
        let request = &case.request;
        let begun = (request.id.clone(), Standing::Waiting.name());
        let now = (request.id.clone(), standing.name());
        // Others tell what others ask; and of what was over before we came, there is nothing to tell.
        request.gateway == approvals.gateway()
            && match standing.is_over() {
                true => told.contains(&begun) && !told.contains(&now),
                false => !told.contains(&begun),
            }
    };
    let as_told = |(case, standing): (Arc<Case>, Standing)| {
        let standing = match standing.is_over() {
            true => standing,
            false => Standing::Waiting,
        };
        let key = Key::Case(case.request.id.clone(), standing.name());
        (key, Tidings::Case(case, standing))
    };
    let cases = cases.into_iter().filter(is_news);
    cases.map(as_told).collect()
}

#[cfg(test)]
mod tests {
    use std::{
        cell::RefCell,
        collections::{BTreeMap, BTreeSet},
    };

    use super::{
        super::tests::{Desk, Gateways, broken_glass},
        *,
    };

    const LONG: Duration = Duration::from_secs(900);

    /// One that says of each what `answer` says, and keeps what it was told of.
    struct Hearer<F> {
        names: BTreeMap<ApprovalId, String>,
        answer: F,
        told: RefCell<Vec<String>>,
    }

    impl<F: Fn(&str) -> Sent> Receiver for Hearer<F> {
        fn name(&self) -> String {
            "test".to_owned()
        }

        async fn tell(&self, tidings: &Tidings) -> Sent {
            let name = match tidings {
                Tidings::Glass(broken) => &broken.session,
                Tidings::Case(case, _) => &self.names[&case.request.id],
            };
            self.told.borrow_mut().push(name.clone());
            (self.answer)(name)
        }
    }

    /// What a receiver is told in each of some rounds, of this glass and these requests.
    async fn rounds(
        (glass, asked): (&[&str], &[&str]),
        answer: impl Fn(&str) -> Sent,
    ) -> [Vec<String>; 3] {
        let gateways = Gateways::new(1);
        let desk: Desk = gateways.start(0, "one");
        for session in glass {
            desk.approvals.tell_of_glass(broken_glass(session));
        }
        let mut ids = BTreeSet::new();
        for _ in asked {
            ids.insert(desk.ask("this", LONG).await);
        }
        let names = ids
            .into_iter()
            .zip(asked.iter().copied().map(str::to_owned));
        let receiver = Hearer {
            names: names.collect(),
            answer,
            told: RefCell::default(),
        };
        let mut backlog = Backlog::default();
        let mut told = [const { Vec::new() }; 3];
        for round in &mut told {
            let _ = backlog.tell(&desk.approvals, &receiver).await;
            *round = receiver.told.take();
        }
        told
    }

    #[tokio::test]
    async fn what_breaks_goes_behind_the_others() {
        let breaks = |name: &str| match name.starts_with("bad") {
            true => Sent::Broken("gone".to_owned()),
            false => Sent::Taken,
        };
        let [first, second, third] = rounds(
            (&[], &["bad-1", "bad-2", "bad-3", "good-1", "good-2"]),
            breaks,
        )
        .await;
        assert_eq!(first, ["bad-1", "bad-2", "bad-3"]);
        assert_eq!(second, ["good-1", "good-2", "bad-1", "bad-2", "bad-3"]);
        assert_eq!(third, ["bad-1", "bad-2", "bad-3"]);
        // Nor does glass keep what waits for people, or the other way round.
        let [_, second, third] =
            rounds((&["bad-1", "bad-2", "bad-3", "glass"], &["good"]), breaks).await;
        assert_eq!(second, ["glass", "good", "bad-1", "bad-2", "bad-3"]);
        assert_eq!(third, ["bad-1", "bad-2", "bad-3"]);
        let [first, second, _] = rounds(
            (&["glass"], &["bad-1", "bad-2", "bad-3", "bad-4", "good"]),
            breaks,
        )
        .await;
        assert_eq!(first, ["glass", "bad-1", "bad-2", "bad-3"]);
        assert_eq!(second, ["bad-4", "good", "bad-1", "bad-2"]);
    }

    #[tokio::test]
    async fn what_is_put_off_keeps_nobody_and_what_is_refused_is_over() {
        let [first, second, third] = rounds((&["glass"], &["later", "refused", "good"]), |name| {
            let problem = name.to_owned();
            match name {
                "later" => Sent::Later(problem),
                "refused" => Sent::GivenUp(problem),
                _ => Sent::Taken,
            }
        })
        .await;
        assert_eq!(first, ["glass", "later", "refused", "good"]);
        assert_eq!(second, ["later"]);
        assert_eq!(third, ["later"]);
    }

    #[tokio::test]
    async fn nobody_there_is_asked_once_a_round() {
        let told = rounds((&["glass"], &["one", "two"]), |_| {
            Sent::Down("away".to_owned())
        });
        assert_eq!(told.await, [["glass"], ["glass"], ["glass"]]);
    }

    #[test]
    fn pauses_grow_and_stay() {
        let seconds = [0, 1, 6, 7, usize::MAX].map(|failures| retry_pause(failures).as_secs());
        assert_eq!(seconds, [1, 2, 60, 60, 60]);
    }
}
