//! `provost replay`: a recorded session, told from sealed evidence, decided again, or run again in a sandbox. It changes no evidence; text that clients chose is shown with whatever
//! would move a cursor escaped.

mod again;
mod against;
mod compare;
mod told;

use std::{collections::HashMap, sync::Arc, time::Duration};

use provost_evidence::{
    Tables,
    replay::{Moment, Story, answered, asked, catalog, story},
};
use serde_json::{Value, json};

use super::{block_on, evidence};
use crate::{
    cli,
    error::Error,
    output::{Shape, Tone, complain, line, toned},
};

/// Runs the command.
///
/// # Errors
/// [`Error`]; [`Error::NoSession`] where no sealed row names the session.
pub(crate) fn run(command: &cli::Replay) -> Result<(), Error> {
    block_on(async {
        let store = evidence::open(&command.store.store)?;
        let tables = Tables::open(Arc::clone(&store)).await?;
        let story = story(&tables, &command.session).await?;
        if story.moments.is_empty() {
            return Err(Error::NoSession {
                session: told::plain(&command.session),
            });
        }
        if let Some(folder) = &command.policy {
            let asked = asked(&tables, &command.session).await?;
            let mut catalogs = HashMap::new();
            for digest in asked.iter().filter_map(|one| one.catalog_digest.as_ref()) {
                if !catalogs.contains_key(digest) {
                    let text = catalog(store.as_ref(), digest).await?;
                    catalogs.insert(digest.clone(), text);
                }
            }
            return again::run(&story, &asked, &catalogs, (folder, command));
        }
        if let Some(url) = &command.against {
            let asked = asked(&tables, &command.session).await?;
            let answered = answered(&tables, &command.session).await?;
            let recorded = against::Recorded::new(&story, &asked, &answered);
            return against::run(store.as_ref(), &recorded, (url, command)).await;
        }
        tell(&story, command).await;
        Ok(())
    })
}

/// Tells a story, at once or as time went by in it.
async fn tell(story: &Story, command: &cli::Replay) {
    let shape = Shape::of(command.json);
    if let (Shape::Text, Some(first)) = (shape, story.moments.first()) {
        let heading = format!(
            "session {}, {}",
            told::plain(&story.session_id),
            told::time(first)
        );
        line(&toned(Tone::Bold, &heading));
    }
    let mut before = 0;
    for moment in &story.moments {
        if let Some(speed) = command.speed {
            tokio::time::sleep(pause(moment.offset_us - before, speed)).await;
        }
        before = moment.offset_us;
        match shape {
            Shape::Text => line(&told::moment(moment)),
            Shape::Json => line(&as_json(story, moment).to_string()),
        }
    }
    if story.is_cut {
        complain(
            "the session is longer than what is told: ask `provost evidence query` for the rest",
        );
    }
}

/// How long it takes to come from one moment to the next.
fn pause(micros: i64, speed: f64) -> Duration {
    let seconds = micros.max(0) as f64 / 1e6 / speed;
    Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)
}

fn as_json(story: &Story, moment: &Moment) -> Value {
    // Plain data, all of whose keys are texts: it has a form in JSON.
    let mut value = serde_json::to_value(moment).unwrap_or(Value::Null);
    if let Value::Object(fields) = &mut value {
        fields.insert("session_id".to_owned(), json!(story.session_id));
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_are_as_long_as_it_took_divided_by_the_speed() {
        let check = |micros, speed, expected| {
            assert_eq!(pause(micros, speed), Duration::from_millis(expected));
        };
        check(2_000_000, 4.0, 500);
        check(2_000_000, 0.5, 4_000);
        check(0, 1.0, 0);
        check(-5, 1.0, 0);
    }
}
