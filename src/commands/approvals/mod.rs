//! `provost approvals`: what a gateway holds, seen and voted on through its console.
//!
//! It must never print what others wrote but as text, and never send a token where the network could read it.

mod client;
mod told;

use std::{collections::BTreeMap, time::Duration};

use jiff::Timestamp;
use provost_evidence::approvals::ApprovalId;
use provost_gateway::console::{Ballot, StandingName, Summary, VoteName};
use serde::Serialize;

use self::client::Client;
pub(crate) use self::client::Error as ConsoleError;
use super::block_on;
use crate::{
    cli::{Approvals, ConsoleAt, StandingOption, Vote},
    error::Error,
    output::{Shape, complain, line},
    signals::Signals,
};

/// How often `watch` looks.
const WATCH_PAUSE: Duration = Duration::from_secs(2);

/// How often is looked for something that waits, by who does nothing else.
const NEXT_PAUSE: Duration = Duration::from_millis(100);

/// Runs the command.
///
/// # Errors
/// [`Error`].
pub(crate) fn run(command: &Approvals) -> Result<(), Error> {
    match command {
        Approvals::List {
            console,
            standing,
            json,
        } => {
            let standing = standing.map(StandingOption::name);
            let found = block_on(async {
                let client = Client::new(console)?;
                Ok(client.list(standing).await?)
            })?;
            match Shape::of(*json) {
                Shape::Json => print_json(&found),
                Shape::Text => {
                    line(&told::list(&found, Timestamp::now()));
                    Ok(())
                }
            }
        }
        Approvals::Show { console, id, json } => {
            let found = block_on(async {
                let client = Client::new(console)?;
                Ok(client.show(id).await?)
            })?;
            match Shape::of(*json) {
                Shape::Json => print_json(&found),
                Shape::Text => {
                    line(&told::whole(&found, Timestamp::now()));
                    Ok(())
                }
            }
        }
        Approvals::DryRun { console, id, json } => {
            let found = block_on(async {
                let client = Client::new(console)?;
                Ok(client.dry_run(id).await?)
            })?;
            match Shape::of(*json) {
                Shape::Json => print_json(&found),
                Shape::Text => {
                    line(&told::after_dry_run(&found));
                    Ok(())
                }
            }
        }
        Approvals::Approve(given) => vote(given, VoteName::Approve),
        Approvals::Deny(given) => vote(given, VoteName::Deny),
        Approvals::Watch { console, json } => {
            let shape = Shape::of(*json);
            block_on(async {
                let client = Client::new(console)?;
                let mut signals = Signals::listen().map_err(Error::Runtime)?;
                tokio::select! {
                    () = signals.wait() => Ok(()),
                    ended = watch(&client, shape) => ended,
                }
            })
        }
    }
}

fn vote(given: &Vote, vote: VoteName) -> Result<(), Error> {
    let ballot = Ballot {
        vote,
        reason: given.reason.clone(),
    };
    let found = block_on(async {
        let client = Client::new(&given.console)?;
        Ok(client.vote(&given.id, &ballot).await?)
    })?;
    match Shape::of(given.json) {
        Shape::Json => print_json(&found),
        Shape::Text => {
            line(&told::after_vote(&found, vote));
            Ok(())
        }
    }
}

/// Waits until something waits, and approves it.
///
/// # Errors
/// [`Error::Console`].
pub(crate) async fn approve_next(console: &ConsoleAt, reason: &str) -> Result<(), Error> {
    let client = Client::new(console)?;
    loop {
        let found = client.list(Some(StandingName::Waiting)).await?;
        let first = found.first().and_then(|one| ApprovalId::parse(&one.id));
        if let Some(id) = first {
            let ballot = Ballot {
                vote: VoteName::Approve,
                reason: reason.to_owned(),
            };
            client.vote(&id, &ballot).await?;
            return Ok(());
        }
        tokio::time::sleep(NEXT_PAUSE).await;
    }
}

/// Prints what is new, for ever; a console that can't be reached is said once and asked again.
async fn watch(client: &Client, shape: Shape) -> Result<(), Error> {
    let mut known: BTreeMap<String, (StandingName, usize)> = BTreeMap::new();
    let mut is_down = false;
    loop {
        match client.list(None).await {
            Ok(found) => {
                is_down = false;
                let mut now = BTreeMap::new();
                for summary in found.iter().rev() {
                    let state = (summary.standing, voices(summary));
                    // What was over before we came is no news.
                    let is_old = known.is_empty() && is_over(summary.standing);
                    if known.get(&summary.id) != Some(&state) && !is_old {
                        print_change(summary, shape)?;
                    }
                    now.insert(summary.id.clone(), state);
                }
                known = now;
            }
            Err(error) if error.may_pass() => {
                if !is_down {
                    complain(&format!("{error}; trying again"));
                }
                is_down = true;
            }
            Err(error) => return Err(error.into()),
        }
        tokio::time::sleep(WATCH_PAUSE).await;
    }
}

fn print_change(summary: &Summary, shape: Shape) -> Result<(), Error> {
    match shape {
        Shape::Json => print_json(summary),
        Shape::Text => {
            line(&told::change(summary, Timestamp::now()));
            Ok(())
        }
    }
}

fn voices(summary: &Summary) -> usize {
    let needs = summary.needs.iter();
    needs.map(|need| need.approved_by.len()).sum()
}

const fn is_over(standing: StandingName) -> bool {
    !matches!(standing, StandingName::Waiting | StandingName::Approved)
}

fn print_json(value: &impl Serialize) -> Result<(), Error> {
    let json = serde_json::to_string(value).map_err(ConsoleError::Json)?;
    line(&json);
    Ok(())
}

impl StandingOption {
    const fn name(self) -> StandingName {
        match self {
            Self::Waiting => StandingName::Waiting,
            Self::Approved => StandingName::Approved,
            Self::Refused => StandingName::Refused,
            Self::Expired => StandingName::Expired,
            Self::Withdrawn => StandingName::Withdrawn,
            Self::Used => StandingName::Used,
        }
    }
}
