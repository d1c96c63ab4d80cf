//! Runs scripts through the gateway and says what is wrong with the bytes that come back.

use std::io;

use crate::{
    house::{House, Place},
    numbers::Numbers,
    script::Script,
    support::Person,
    tally::Tally,
    wire::{Answer, Client, rounds},
};

/// Scripts after which the session is made anew by DISCARD ALL.
const LINGERING: &[&str] = &[
    "SET", "config", "PREPARE", "DECLARE", "LISTEN", "TEMP", "NAMES", "DISCARD", "INTO", "pg_temp",
];
/// After one of these that was kept, the rows are made anew.
const WRITES: &[&str] = &[
    "INSERT", "UPDATE", "DELETE", "MERGE", "COPY", "TRUNCATE", "CALL", "DO ", "CREATE", "ALTER",
    "REFRESH", "CLUSTER", "VACUUM",
];
/// After so many they are made anew anyway: what is left in the pages of writes that were rolled back decides the order in
/// which later rows come, and longer values fill pages sooner.
const SCRIPTS_PER_RESET: u64 = 25;
/// After so many scripts the sessions are opened anew.
const SCRIPTS_PER_SESSION: u64 = 200;

/// What is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Bytes of a masked value, and the answer that held them.
    Leak(Vec<String>, String),
    /// Two databases that differ in masked values only gave different bytes.
    Difference(String, String),
    /// The session ended.
    Lost(String),
}

impl Fault {
    /// Whether it is the same sort of fault, for making a script smaller.
    pub(crate) const fn is_like(&self, other: &Self) -> bool {
        matches!(
            (self, other),
            (Self::Leak(..), Self::Leak(..))
                | (Self::Difference(..), Self::Difference(..))
                | (Self::Lost(_), Self::Lost(_))
        )
    }

    pub(crate) fn told(&self) -> String {
        match self {
            Self::Leak(found, answer) => {
                format!("raw values arrived: {found:?} in\n      {answer}")
            }
            Self::Difference(left, right) => format!(
                "the answer depends on masked values:\n      {left}\n    against\n      {right}"
            ),
            Self::Lost(error) => format!("the session was lost: {error}"),
        }
    }
}

/// The sessions of one principal: both sides where answers must be equal.
pub(crate) struct Runner<'h> {
    house: &'h House,
    person: Person,
    pub(crate) places: &'static [Place],
    clients: Vec<Client>,
    scripts: u64,
    scripts_per_session: u64,
}

impl<'h> Runner<'h> {
    fn new(house: &'h House, person: Person, places: &'static [Place]) -> Self {
        Self {
            house,
            person,
            places,
            clients: Vec::new(),
            scripts: 0,
            scripts_per_session: SCRIPTS_PER_SESSION,
        }
    }

    /// Sessions that know of nothing.
    fn connect(&mut self) -> Option<Fault> {
        self.clients.clear();
        for place in self.places {
            let (client, answer) = self.house.connect(self.person, *place);
            self.clients.push(client);
            if let Some(fault) = self.leak(&answer) {
                return Some(fault);
            }
        }
        None
    }

    fn leak(&self, answer: &Answer) -> Option<Fault> {
        let mut found = self.house.search.find(&answer.bytes);
        found.extend(self.house.search.find(&answer.bodies()));
        (!found.is_empty()).then(|| {
            let found = found.into_iter().map(str::to_owned).collect();
            Fault::Leak(found, answer.told())
        })
    }

    /// Runs one script and leaves everything as it was.
    pub(crate) fn run(&mut self, script: &Script, tally: &mut Tally) -> Option<Fault> {
        if self.scripts.is_multiple_of(self.scripts_per_session)
            && let Some(fault) = self.connect()
        {
            return Some(fault);
        }
        self.scripts += 1;
        let mut wrote = false;
        let fault = self
            .run_rounds(script, tally, &mut wrote)
            .unwrap_or_else(|error| Some(Fault::Lost(error.to_string())));
        if matches!(fault, Some(Fault::Lost(_))) {
            self.scripts = 0;
        }
        let lingers = script.steps.iter().any(|step| {
            matches!(step.way, crate::script::Way::Extended(way) | crate::script::Way::Piped(way) if way.named)
                || LINGERING.iter().any(|word| step.sql.contains(word))
        });
        if self.scripts > 0 && self.clean(lingers).is_err() {
            self.scripts = 0;
        }
        if self.scripts == 0 {
            self.clients.clear();
        }
        if self.scripts.is_multiple_of(SCRIPTS_PER_RESET) {
            self.house.reset(self.places);
        } else if wrote {
            let texts: Vec<&str> = script.steps.iter().map(|step| step.sql.as_str()).collect();
            self.house.reset_after(self.places, &texts.join(";"));
        }
        fault
    }

    /// Both sides are under way at once.
    fn exchange(&mut self, round: &crate::wire::Round) -> io::Result<Vec<Answer>> {
        for client in &mut self.clients {
            client.send(round)?;
        }
        self.clients
            .iter_mut()
            .map(|client| client.receive(round))
            .collect()
    }

    fn run_rounds(
        &mut self,
        script: &Script,
        tally: &mut Tally,
        wrote: &mut bool,
    ) -> io::Result<Option<Fault>> {
        if !script.keeps {
            for client in &mut self.clients {
                client.query("BEGIN")?;
            }
        }
        let (mut fault, mut committed) = (None, false);
        let mut numbers = Numbers::new(self.house.schema_oid_max);
        for round in rounds(script) {
            let answers = self.exchange(&round)?;
            tally.add(script.name, round.statements, &answers[0]);
            let completed = answers.iter().flat_map(Answer::completed);
            *wrote |= completed
                .into_iter()
                .any(|tag| WRITES.iter().any(|word| tag.starts_with(word)));
            committed |= self.clients.iter().any(|client| client.status == b'I');
            for answer in &answers {
                fault = fault.or_else(|| self.leak(answer));
            }
            let timed_out = answers
                .iter()
                .any(|answer| answer.errors().iter().any(|(state, _)| state == "57014"));
            if let [left, right] = answers.as_slice()
                && script.repeatable
                && !timed_out
                && !numbers.agree(left, right)
            {
                fault = fault.or_else(|| Some(Fault::Difference(left.told(), right.told())));
            }
        }
        // A WITH that writes is completed as a SELECT.
        *wrote |= script
            .steps
            .iter()
            .any(|step| WRITES.iter().any(|word| step.sql.contains(word)));
        *wrote &= committed;
        Ok(fault)
    }

    fn clean(&mut self, lingers: bool) -> io::Result<()> {
        for client in &mut self.clients {
            if client.status != b'I' {
                client.query("ROLLBACK")?;
            }
            if lingers {
                client.query("DISCARD ALL")?;
            }
        }
        Ok(())
    }
}

/// A principal whose masks give the same for every value, on both sides.
pub(crate) fn agent(house: &House) -> Runner<'_> {
    Runner::new(house, Person::Agent, &[Place::Left, Place::Right])
}

/// A session for each script: without masks, what a function may have done to a session's path outlives the script.
pub(crate) fn fresh_agent(house: &House) -> Runner<'_> {
    Runner {
        scripts_per_session: 1,
        ..agent(house)
    }
}

/// The same principal on a server of its own: for statements whose results depend on more than the rows.
pub(crate) fn lone_agent(house: &House) -> Runner<'_> {
    Runner::new(house, Person::Agent, &[Place::Lone])
}

/// One whose masks tell something, and who may look values up: canaries only.
pub(crate) fn analyst(house: &House) -> Runner<'_> {
    Runner::new(house, Person::Analyst, &[Place::Lone])
}
