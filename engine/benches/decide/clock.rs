//! Interleaved rounds: every contender answers some requests, then the next one does, again and again, so that what else
//! the machine does meets all of them alike. Rounds are so short that most are not interrupted, and the median one counts.

use std::{hint::black_box, time::Instant};

/// How many rounds there are.
const ROUNDS: usize = 201;
/// About how long a round lasts for one contender, in seconds.
const ROUND_SECONDS: f64 = 0.001;

/// Something that answers requests by their numbers.
pub(crate) struct Contender<'a> {
    answer: &'a mut dyn FnMut(usize) -> bool,
    /// Requests in a round.
    requests: usize,
    /// The next request.
    next: usize,
    /// Nanoseconds for a request, of each round.
    times: Vec<f64>,
}

impl<'a> Contender<'a> {
    pub(crate) fn new(answer: &'a mut dyn FnMut(usize) -> bool) -> Self {
        Self {
            answer,
            requests: 1,
            next: 0,
            times: Vec::new(),
        }
    }

    /// Answers that many requests; nanoseconds for one.
    fn run(&mut self, requests: usize, of: usize) -> f64 {
        let start = Instant::now();
        for _ in 0..requests {
            black_box((self.answer)(black_box(self.next)));
            self.next = (self.next + 1) % of;
        }
        start.elapsed().as_secs_f64() * 1e9 / requests as f64
    }
}

/// Nanoseconds for one of `requests` requests, of each contender.
pub(crate) fn rounds(requests: usize, contenders: &mut [Contender<'_>]) -> Vec<f64> {
    for contender in contenders.iter_mut() {
        // Some requests warm caches, and the least of a few times says how many fit into a round. All requests are asked
        // equally often where that is possible.
        let some = requests.min(32);
        let times = (0..3).map(|_| contender.run(some, requests));
        let once = times.fold(f64::INFINITY, f64::min);
        let fitting = (ROUND_SECONDS * 1e9 / once) as usize;
        contender.requests = match fitting / requests {
            0 => fitting.max(1),
            around => around * requests,
        };
    }
    for _ in 0..ROUNDS {
        for contender in contenders.iter_mut() {
            let time = contender.run(contender.requests, requests);
            contender.times.push(time);
        }
    }
    contenders
        .iter_mut()
        .map(|contender| {
            contender.times.sort_by(f64::total_cmp);
            let middle = contender.times.get(ROUNDS / 2);
            middle.copied().unwrap_or(f64::NAN)
        })
        .collect()
}

/// `12,345`.
pub(crate) fn count(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `1.25 s`, `3.1 ms`, `42 us`, `7 ns`.
pub(crate) fn duration(seconds: f64) -> String {
    if seconds >= 1.0 {
        format!("{seconds:.2} s")
    } else if seconds >= 1e-3 {
        format!("{:.1} ms", seconds * 1e3)
    } else if seconds >= 1e-6 {
        format!("{:.1} us", seconds * 1e6)
    } else {
        format!("{:.0} ns", seconds * 1e9)
    }
}
