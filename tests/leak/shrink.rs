//! Makes a script that found something as small as it can be: steps first, then pieces of each text.

use crate::{
    house::House,
    run::{Fault, Runner},
    script::{Script, Step, Way},
    tally::Tally,
};

/// How many smaller scripts are tried.
const TRIES_MAX: usize = 400;

pub(crate) struct Shrinker<'h> {
    house: &'h House,
    make: fn(&'h House) -> Runner<'h>,
    runner: Runner<'h>,
    tries: usize,
}

impl<'h> Shrinker<'h> {
    pub(crate) fn new(house: &'h House, make: fn(&'h House) -> Runner<'h>) -> Self {
        Self {
            house,
            make,
            runner: make(house),
            tries: 0,
        }
    }

    fn fails(&mut self, script: &Script, like: &Fault) -> bool {
        self.tries += 1;
        self.house.reset(self.runner.places);
        let fault = self.runner.run(script, &mut Tally::default());
        if matches!(fault, Some(Fault::Lost(_))) {
            self.runner = (self.make)(self.house);
        }
        fault.is_some_and(|fault| fault.is_like(like))
    }

    /// The smallest script found that still has such a fault; `None` where it did not happen again by itself.
    pub(crate) fn shrink(&mut self, script: &Script, like: &Fault) -> Option<Script> {
        self.tries = 0;
        // A session of its own: nothing of what ran before is in it.
        self.runner = (self.make)(self.house);
        if !self.fails(script, like) {
            return None;
        }
        let mut best = script.clone();
        self.drop_steps(&mut best, like);
        self.plain_ways(&mut best, like);
        for place in 0..best.steps.len() {
            self.drop_pieces(&mut best, place, like);
        }
        Some(best)
    }

    fn accept(&mut self, best: &mut Script, steps: Vec<Step>, like: &Fault) -> bool {
        let tried = Script {
            steps,
            ..best.clone()
        };
        let better = self.tries < TRIES_MAX && !tried.steps.is_empty() && self.fails(&tried, like);
        if better {
            *best = tried;
        }
        better
    }

    fn drop_steps(&mut self, best: &mut Script, like: &Fault) {
        let mut place = 0;
        while place < best.steps.len() {
            let mut steps = best.steps.clone();
            steps.remove(place);
            if !self.accept(best, steps, like) {
                place += 1;
            }
        }
    }

    fn plain_ways(&mut self, best: &mut Script, like: &Fault) {
        for place in 0..best.steps.len() {
            if best.steps[place].parameters.is_empty() {
                let mut steps = best.steps.clone();
                steps[place].way = Way::Simple;
                self.accept(best, steps, like);
            }
        }
    }

    fn drop_pieces(&mut self, best: &mut Script, place: usize, like: &Fault) {
        let mut pieces = split(&best.steps[place].sql);
        let mut size = pieces.len().div_ceil(2);
        while size > 0 {
            let mut start = 0;
            while start < pieces.len() && self.tries < TRIES_MAX {
                let mut fewer = pieces.clone();
                fewer.drain(start..(start + size).min(pieces.len()));
                let mut steps = best.steps.clone();
                steps[place].sql = fewer.concat();
                if self.accept(best, steps, like) {
                    pieces = fewer;
                } else {
                    start += size;
                }
            }
            size = if size == 1 { 0 } else { size.div_ceil(2) };
        }
    }
}

/// Words, quoted texts and single signs; a blank stays with what is before it.
fn split(sql: &str) -> Vec<String> {
    let mut pieces: Vec<String> = Vec::new();
    let mut quote: Option<char> = None;
    for letter in sql.chars() {
        let joins = quote.is_some()
            || letter.is_whitespace()
            || pieces
                .last()
                .and_then(|piece| piece.chars().last())
                .is_some_and(|last| {
                    (last.is_alphanumeric() || last == '_')
                        && (letter.is_alphanumeric() || letter == '_')
                });
        match pieces.last_mut() {
            Some(last) if joins => last.push(letter),
            _ => pieces.push(letter.to_string()),
        }
        if letter == '\'' || letter == '"' {
            quote = match quote {
                None => Some(letter),
                Some(open) if open == letter => None,
                open => open,
            };
        }
    }
    pieces
}
