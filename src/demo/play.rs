//! Plays the story through the gateway with a stock client and keeps what was seen, for [`super::proof`] to check.

use std::{
    collections::BTreeMap,
    time::{Duration, SystemTime},
};

use tokio::task::block_in_place;

use super::{
    Demo, Error,
    client::{Client, Seen},
    files::DATABASE,
    issuer,
    people::{AUDIENCE, DEVIN, Person},
    story::{Expected, Protocol, STEPS, Step},
};
use crate::{
    commands::approvals,
    output::{Tone, line, toned},
};

/// One step with what came of it and when.
pub(super) struct Played {
    pub(super) step: &'static Step,
    pub(super) seen: Seen,
    /// Microseconds since 1970: decisions of the step are in here.
    pub(super) window: (i64, i64),
}

/// A login that had to fail.
pub(super) struct Refused {
    /// What is wrong with the token.
    pub(super) says: &'static str,
    /// Whose it is.
    pub(super) who: &'static Person,
    /// What the client saw.
    pub(super) seen: Seen,
}

/// Everything that was played.
pub(super) struct Story {
    pub(super) steps: Vec<Played>,
    pub(super) logins: Vec<Refused>,
    /// The shop's raw secrets: none may be where a mask is.
    pub(super) secrets: Vec<String>,
}

/// Plays all of it.
pub(super) async fn play(demo: &Demo) -> Result<Story, Error> {
    let secrets = block_in_place(|| {
        demo.cluster.execute(
            DATABASE,
            "SELECT ssn FROM customers UNION ALL SELECT card_number FROM customers UNION ALL SELECT phone FROM customers UNION ALL SELECT email FROM customers",
        )
    })?;
    line(&toned(
        Tone::Dim,
        &format!("Sending {} statements of three people ...", STEPS.len()),
    ));
    let mut clients: BTreeMap<&str, Client> = BTreeMap::new();
    let mut steps = Vec::new();
    for step in STEPS {
        let client = match clients.remove(step.who.id) {
            Some(client) => client,
            None => log_in(demo, step.who).await?,
        };
        let from = now_us();
        let seen = match step.protocol {
            Protocol::Simple => match step.expected {
                Expected::Approved { by, .. } => {
                    let sent = async { Ok(client.simple(step.sql).await?) };
                    tokio::try_join!(sent, approve(demo, by))?.0
                }
                Expected::Rows { .. }
                | Expected::RawRows { .. }
                | Expected::Done { .. }
                | Expected::Denied { .. } => client.simple(step.sql).await?,
            },
            Protocol::Extended(parameters) => client.extended(step.sql, parameters).await?,
        };
        steps.push(Played {
            step,
            seen,
            window: (from, now_us()),
        });
        clients.insert(step.who.id, client);
    }
    for (_, client) in clients {
        client.close().await;
    }
    Ok(Story {
        steps,
        logins: failing_logins(demo).await?,
        secrets: secrets.lines().map(str::to_owned).collect(),
    })
}

/// Approves what waits, as `provost approvals approve` does.
async fn approve(demo: &Demo, person: &Person) -> Result<(), Error> {
    let console = demo.console(person)?;
    let approved = approvals::approve_next(&console, "looked at the order: it is a duplicate");
    approved.await.map_err(Error::from)
}

async fn log_in(demo: &Demo, person: &Person) -> Result<Client, Error> {
    let token = issuer::token_now(&demo.issuer, person)?;
    match Client::connect(demo.port, &demo.files.certificate, person, &token).await? {
        Ok(client) => Ok(client),
        Err(seen) => Err(Error::Story {
            what: format!("{} could not log in: {seen:?}", person.id),
        }),
    }
}

/// Tokens that are genuine and yet not good enough.
async fn failing_logins(demo: &Demo) -> Result<Vec<Refused>, Error> {
    let mint = &demo.issuer.mint;
    let (now, hour) = (SystemTime::now(), Duration::from_secs(3600));
    let cases = [
        (
            "An expired token opens nothing.",
            mint.token_for(&DEVIN, AUDIENCE, now - 2 * hour, hour)?,
        ),
        (
            "Nor does one that was made for another service.",
            mint.token_for(&DEVIN, "payroll", now, hour)?,
        ),
    ];
    let mut logins = Vec::new();
    for (says, token) in cases {
        match Client::connect(demo.port, &demo.files.certificate, &DEVIN, &token).await? {
            Err(seen) => logins.push(Refused {
                says,
                who: &DEVIN,
                seen,
            }),
            Ok(client) => {
                client.close().await;
                return Err(Error::Story {
                    what: format!("{says} But it did."),
                });
            }
        }
    }
    Ok(logins)
}

fn now_us() -> i64 {
    provost_gateway::record::micros(SystemTime::now()).0
}
