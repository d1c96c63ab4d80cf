//! One held statement: how it stands, from what was asked and said and from the time. Pure.
//!
//! Must never count a voice of the requester, of the person behind it, of one person twice, of another group, or of too late.

use std::collections::BTreeSet;
use std::sync::Arc;

use provost_evidence::{
    approvals::{DryRun, End, EndKind, Need, Request, Rows, Vote, VoteKind},
    record::Micros,
};

/// How far the clocks of gateways may be apart (ruling 8).
const SKEW_MICROS_MAX: i64 = 5_000_000;

/// How a held statement stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// People are yet to answer.
    Waiting,
    /// It may run, once.
    Approved,
    /// Somebody said no.
    Refused {
        /// Who; absent where only the end is known.
        by: Option<String>,
        /// Why.
        reason: Option<String>,
    },
    /// Nobody answered in time, or nobody used it.
    Expired,
    /// Whoever asked took it back.
    Withdrawn,
    /// It ran.
    Used,
}

impl Standing {
    /// The name in messages and interfaces.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Approved => "approved",
            Self::Refused { .. } => "refused",
            Self::Expired => "expired",
            Self::Withdrawn => "withdrawn",
            Self::Used => "used",
        }
    }

    /// Whether nothing more can come of it.
    #[must_use]
    pub const fn is_over(&self) -> bool {
        !matches!(self, Self::Waiting | Self::Approved)
    }
}

/// What is asked for, and who has said yes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tally {
    /// What is asked for.
    pub need: Need,
    /// Who approved, sorted.
    pub approved_by: Vec<String>,
}

impl Tally {
    /// Whether that is enough.
    #[must_use]
    pub fn is_enough(&self) -> bool {
        self.approved_by.len() >= usize::from(self.need.count.max(1))
    }
}

/// What is known of a held statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Case {
    /// What was asked.
    pub request: Arc<Request>,
    /// What people said, in no order of weight; not all of it need count.
    pub votes: Vec<Vote>,
    /// What a dry run of it did, where somebody asked for one.
    pub dry_run: Option<DryRun>,
    /// How it ended.
    pub end: Option<End>,
}

impl Case {
    /// One that was just asked for.
    #[must_use]
    pub fn new(request: Arc<Request>) -> Self {
        Self {
            request,
            votes: Vec::new(),
            dry_run: None,
            end: None,
        }
    }

    /// The rows that whoever looks at it now is shown: those of the dry run, else the estimate.
    #[must_use]
    pub fn rows_shown(&self) -> Option<u64> {
        let dry_run = self.dry_run.as_ref().filter(|dry_run| {
            dry_run.binding_digest == self.request.binding_digest
                && dry_run.gateway == self.request.gateway
        });
        dry_run
            .and_then(|dry_run| dry_run.rows.count())
            .or_else(|| self.rows_asked())
    }

    /// The rows that people were told of when they were asked: the estimate.
    #[must_use]
    pub fn rows_asked(&self) -> Option<u64> {
        self.request.estimate.as_ref().and_then(Rows::count)
    }

    /// How many rows it may change once it is approved: twice what was shown to whoever saw the least (ruling 17). `None` where no number
    /// was shown to any of them.
    #[must_use]
    pub fn rows_max(&self) -> Option<u64> {
        let approved = self.counted().filter(|vote| vote.vote == VoteKind::Approve);
        let least = approved.filter_map(|vote| vote.rows_shown).min()?;
        Some(least.saturating_mul(2))
    }

    /// Why this person's voice would count for nothing, whatever it says.
    #[must_use]
    pub fn objection(&self, person: &str, groups: &[String]) -> Option<Objection> {
        if self.is_of(person) {
            return Some(Objection::OwnRequest);
        }
        let needs = &self.request.needs;
        let is_asked = needs.iter().any(|need| is_of(groups, need));
        (!is_asked).then_some(Objection::NotAsked)
    }

    /// Whether it is this person's own request, or an agent's that works for them.
    #[must_use]
    pub fn is_of(&self, person: &str) -> bool {
        let Request {
            requester,
            on_behalf_of,
            ..
        } = &*self.request;
        // Issuers may write one id in two ways: who is alike is taken for the same.
        let is = |other: &str| folded(other) == folded(person);
        is(requester) || on_behalf_of.as_deref().is_some_and(is)
    }

    /// The votes that count: of people who may vote, in time, on this very thing; the first of each person.
    fn counted(&self) -> impl Iterator<Item = &Vote> {
        let Request {
            requested_at,
            expires_at,
            ..
        } = *self.request;
        let mut people = BTreeSet::new();
        self.votes.iter().filter(move |vote| {
            let is_in_time = vote.at.0 >= requested_at.0 - SKEW_MICROS_MAX
                && vote.at.0 < expires_at.0 + SKEW_MICROS_MAX;
            is_in_time
                && vote.binding_digest == self.request.binding_digest
                && self.objection(&vote.person, &vote.groups).is_none()
                && people.insert(folded(&vote.person))
        })
    }

    /// Who has approved what is asked for.
    #[must_use]
    pub fn tallies(&self) -> Vec<Tally> {
        let tally = |need: &Need| {
            let approved = self.counted().filter(|vote| {
                let is_in_time = vote.at.0 - self.request.requested_at.0
                    < micros(need.within_ms) + SKEW_MICROS_MAX;
                vote.vote == VoteKind::Approve && is_in_time && is_of(&vote.groups, need)
            });
            let people: BTreeSet<&String> = approved.map(|vote| &vote.person).collect();
            Tally {
                need: need.clone(),
                approved_by: people.into_iter().cloned().collect(),
            }
        };
        self.request.needs.iter().map(tally).collect()
    }

    /// How it stands at this time.
    #[must_use]
    pub fn standing(&self, now: Micros) -> Standing {
        let no = self.counted().find(|vote| vote.vote == VoteKind::Deny);
        let refused = || Standing::Refused {
            by: no.map(|vote| vote.person.clone()),
            reason: no.map(|vote| vote.reason.clone()),
        };
        match self.end.as_ref().map(|end| end.end) {
            Some(EndKind::Used) => return Standing::Used,
            Some(EndKind::Refused) => return refused(),
            Some(EndKind::Expired) => return Standing::Expired,
            Some(EndKind::Withdrawn) => return Standing::Withdrawn,
            None => {}
        }
        if no.is_some() {
            return refused();
        }
        if now >= self.request.expires_at {
            return Standing::Expired;
        }
        let tallies = self.tallies();
        // What nobody is asked for, nobody approved.
        if !tallies.is_empty() && tallies.iter().all(Tally::is_enough) && !self.shares_people() {
            return Standing::Approved;
        }
        Standing::Waiting
    }

    /// Whether the groups asked can't each be given people of their own: one person in two of them is one person. Groups are few: each
    /// selection of people is looked for by augmenting paths.
    fn shares_people(&self) -> bool {
        let tallies = self.tallies();
        let places: Vec<&Tally> = tallies
            .iter()
            .flat_map(|tally| (0..tally.need.count.max(1)).map(move |_| tally))
            .collect();
        let mut taken: Vec<(&str, usize)> = Vec::new();
        (0..places.len()).any(|place| !seat(place, &places, &mut taken, &mut BTreeSet::new()))
    }
}

/// Finds a person for the place, moving those who sit elsewhere.
fn seat<'a>(
    place: usize,
    places: &[&'a Tally],
    taken: &mut Vec<(&'a str, usize)>,
    tried: &mut BTreeSet<&'a str>,
) -> bool {
    let Some(tally) = places.get(place) else {
        return false;
    };
    for person in &tally.approved_by {
        if !tried.insert(person) {
            continue;
        }
        let sits = taken.iter().position(|(one, _)| one == person);
        match sits.and_then(|at| taken.get(at).map(|(_, elsewhere)| (at, *elsewhere))) {
            None => {
                taken.push((person, place));
                return true;
            }
            Some((at, elsewhere)) => {
                if seat(elsewhere, places, taken, tried) {
                    if let Some(seat) = taken.get_mut(at) {
                        seat.1 = place;
                    }
                    return true;
                }
            }
        }
    }
    false
}

/// Why somebody may not vote.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Objection {
    /// It is their own.
    #[error("nobody approves their own request, nor one that an agent made for them")]
    OwnRequest,
    /// They are in none of the groups that are asked.
    #[error("you are in none of the groups that are asked")]
    NotAsked,
}

/// An id without its capitals.
fn folded(id: &str) -> String {
    id.to_lowercase()
}

fn is_of(groups: &[String], need: &Need) -> bool {
    need.members.iter().any(|member| groups.contains(member))
}

fn micros(millis: u64) -> i64 {
    i64::try_from(millis.saturating_mul(1_000)).unwrap_or(i64::MAX - SKEW_MICROS_MAX)
}

#[cfg(test)]
mod tests {
    use provost_evidence::approvals::ApprovalId;

    use super::*;

    const MINUTE: i64 = 60_000_000;

    fn case(needs: &[(&str, u16)]) -> Case {
        let id = ApprovalId::first_of(Micros(0));
        let needs = needs
            .iter()
            .map(|(group, count)| Need {
                group: (*group).to_owned(),
                members: vec![(*group).to_owned()],
                count: *count,
                within_ms: 15 * 60_000,
            })
            .collect();
        Case::new(Arc::new(Request {
            expires_at: Micros(15 * MINUTE),
            requester: "bot".to_owned(),
            requester_kind: "agent".to_owned(),
            on_behalf_of: Some("ann".to_owned()),
            binding_digest: "this".to_owned(),
            ..Request::new(id, "g", Micros(0), needs)
        }))
    }

    /// `person/groups` that approves, with `!` before it that refuses, each behind a space.
    fn votes(text: &str) -> Vec<Vote> {
        text.split_whitespace()
            .map(|word| {
                let (vote, word) = match word.strip_prefix('!') {
                    Some(word) => (VoteKind::Deny, word),
                    None => (VoteKind::Approve, word),
                };
                let (person, groups) = word.split_once('/').unwrap();
                Vote {
                    id: ApprovalId::first_of(Micros(0)),
                    binding_digest: "this".to_owned(),
                    gateway: "g".to_owned(),
                    at: Micros(MINUTE),
                    person: person.to_owned(),
                    groups: groups.split(',').map(str::to_owned).collect(),
                    vote,
                    reason: "because".to_owned(),
                    rows_shown: None,
                }
            })
            .collect()
    }

    fn check(needs: &[(&str, u16)], said: &str, expected: &str) {
        let mut case = case(needs);
        case.votes = votes(said);
        let standing = case.standing(Micros(2 * MINUTE));
        assert_eq!(standing.name(), expected, "{needs:?}: {said}");
    }

    #[test]
    fn people_count_once_and_only_those_who_are_asked() {
        let two = [("dbas", 2)];
        check(&two, "", "waiting");
        check(&two, "dora/dbas", "waiting");
        check(&two, "dora/dbas dora/dbas", "waiting");
        check(&two, "dora/dbas carl/dbas", "approved");
        check(&two, "dora/dbas carl/ops", "waiting");
        check(&two, "dora/dbas bot/dbas", "waiting");
        check(&two, "dora/dbas ann/dbas", "waiting");
        check(&two, "dora/dbas Ann/dbas", "waiting");
        check(&two, "dora/dbas BOT/dbas", "waiting");
        check(&two, "dora/dbas Dora/dbas", "waiting");
        check(&two, "dora/dbas carl/dbas !eve/dbas", "refused");
        check(&two, "dora/dbas carl/dbas !eve/ops", "approved");
        check(&two, "dora/dbas carl/dbas !ann/dbas", "approved");
        check(&two, "dora/dbas,x carl/y,dbas", "approved");
        check(&[], "dora/dbas", "waiting");
        check(&[("dbas", 0)], "", "waiting");
    }

    #[test]
    fn somebody_in_two_groups_is_one_person() {
        let both = [("dbas", 1), ("owners", 1)];
        check(&both, "dora/dbas,owners", "waiting");
        check(&both, "dora/dbas,owners carl/dbas", "approved");
        check(&both, "carl/dbas dora/dbas,owners", "approved");
        check(&both, "dora/dbas,owners carl/dbas,owners", "approved");
        check(&both, "dora/dbas carl/dbas", "waiting");
        let three = [("a", 1), ("b", 1), ("c", 1)];
        check(&three, "x/a,b y/b,c z/a", "approved");
        check(&three, "x/a,b,c y/a,b,c", "waiting");
        check(&[("a", 2), ("b", 1)], "x/a,b y/a z/a", "approved");
        check(&[("a", 2), ("b", 1)], "x/a,b y/a", "waiting");
    }

    #[test]
    fn time_and_binding_are_looked_at() {
        let mut one = case(&[("dbas", 1)]);
        one.votes = votes("dora/dbas");
        assert_eq!(one.standing(Micros(15 * MINUTE - 1)), Standing::Approved);
        assert_eq!(one.standing(Micros(15 * MINUTE)), Standing::Expired);
        for at in [-MINUTE, 16 * MINUTE] {
            one.votes[0].at = Micros(at);
            assert_eq!(one.standing(Micros(2 * MINUTE)), Standing::Waiting, "{at}");
        }
        one.votes[0].at = Micros(MINUTE);
        one.votes[0].binding_digest = "other".to_owned();
        assert_eq!(one.standing(Micros(2 * MINUTE)), Standing::Waiting);
    }

    /// Whoever saw the least decides; a no, and a voice that does not count, saw nothing.
    #[test]
    fn twice_what_was_shown_and_no_more() {
        let mut one = case(&[("dbas", 2)]);
        one.votes = votes("dora/dbas carl/dbas !eve/ops mallory/ops");
        assert_eq!(one.rows_max(), None);
        for (vote, shown) in [(0, Some(30)), (2, Some(1)), (3, Some(2))] {
            one.votes[vote].rows_shown = shown;
        }
        assert_eq!(one.rows_max(), Some(60));
        one.votes[1].rows_shown = Some(0);
        assert_eq!(one.rows_max(), Some(0));
        one.votes[1].rows_shown = Some(u64::MAX);
        one.votes[0].rows_shown = None;
        assert_eq!(one.rows_max(), Some(u64::MAX));
    }

    #[test]
    fn a_dry_run_is_shown_in_the_place_of_the_estimate_and_only_of_this() {
        let mut one = case(&[("dbas", 1)]);
        assert_eq!(one.rows_shown(), None);
        Arc::make_mut(&mut one.request).estimate = Some(Rows::Count(5));
        assert_eq!(one.rows_shown(), Some(5));
        let why = "it calls f()".to_owned();
        for (binding, gateway, rows, expected) in [
            ("this", "g", Rows::Count(2), 2),
            ("this", "g", Rows::Unknown { why }, 5),
            ("other", "g", Rows::Count(2), 5),
            ("this", "another", Rows::Count(2), 5),
        ] {
            one.dry_run = Some(DryRun {
                id: one.request.id.clone(),
                binding_digest: binding.to_owned(),
                gateway: gateway.to_owned(),
                at: Micros(1),
                person: "dora".to_owned(),
                rows,
            });
            assert_eq!(one.rows_shown(), Some(expected), "{binding} {gateway}");
        }
    }

    #[test]
    fn an_end_is_the_end() {
        for (end, expected) in [
            (EndKind::Used, Standing::Used),
            (EndKind::Expired, Standing::Expired),
            (EndKind::Withdrawn, Standing::Withdrawn),
            (
                EndKind::Refused,
                Standing::Refused {
                    by: None,
                    reason: None,
                },
            ),
        ] {
            let mut one = case(&[("dbas", 1)]);
            one.votes = votes("dora/dbas");
            one.end = Some(End {
                id: one.request.id.clone(),
                gateway: "g".to_owned(),
                at: Micros(MINUTE),
                end,
                writer: "w".to_owned(),
            });
            let standing = one.standing(Micros(2 * MINUTE));
            assert!(standing.is_over());
            assert_eq!(standing, expected);
        }
    }
}
