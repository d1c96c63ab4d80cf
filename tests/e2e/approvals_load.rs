//! Many statements that wait for people, and many people who look at them: nobody else's statements wait. Here that it works, with few;
//! how long statements take meanwhile is what `sh tests/approvals-load.sh` prints.

use std::{
    io,
    str::FromStr,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    thread,
    time::{Duration, Instant},
};

use crate::support::{House, Person, TARGET, free_port, issuer::TokenRequest, raw::Raw};

/// Deletes of agents wait for one DBA.
const HELD: &str = r#"
rule deletes-need-people
  hold delete on public.orders for agents
  until 1 of dbas approve within 30 min
"#;
/// Held statements of one agent; the gateway takes 100.
const OF_ONE: usize = 50;
/// The statement of somebody else whose time is taken.
const PROBE: &str = "SELECT count(*) FROM orders WHERE id = 1";

/// A number that the environment gives, as `tests/approvals-load.sh` does.
fn number<T: FromStr>(name: &str, otherwise: T) -> T {
    let given = std::env::var(name).ok();
    given.map_or(otherwise, |text| {
        text.parse()
            .unwrap_or_else(|_| panic!("{name}: `{text}` is no number"))
    })
}

/// What is done.
struct Load {
    held: usize,
    viewers: usize,
    rounds: usize,
    /// How long statements' times are taken, with and without the load, each round.
    time: Duration,
    /// How long each viewer waits between two looks.
    pause: Duration,
}

/// A gateway that holds deletes, with a console.
struct Desk {
    house: House,
    console: u16,
}

impl Desk {
    fn new(held: usize) -> Self {
        let connections = (held + 100).to_string();
        let mut house = House::over(&[("max_connections", &connections)]);
        let console = free_port();
        std::fs::write(house.path("policies/held.pol"), HELD).unwrap();
        house.write_config(|config| {
            format!("{config}\n[console]\nlisten = \"127.0.0.1:{console}\"\n")
        });
        house.start_gateway();
        Self { house, console }
    }

    /// A session of an agent whose statement waits.
    fn held(&self, number: usize) -> Raw {
        let user = format!("agent-{}", number / OF_ONE);
        let token = self.house.issuer.token(&TokenRequest {
            subject: user.clone(),
            ..TokenRequest::for_person(Person::Agent)
        });
        let (mut raw, _) = Raw::logged_in_as(&self.house, (&user, &token), TARGET);
        raw.send(
            b'Q',
            format!("DELETE FROM orders WHERE id = {number}\0").as_bytes(),
        );
        let notice = raw.read();
        assert_eq!(notice.tag, b'N', "{:?}", notice.field(b'M'));
        raw
    }

    fn all_held(&self, count: usize) -> Vec<Raw> {
        const AT_ONCE: usize = 8;
        thread::scope(|scope| {
            let some = |of: usize| {
                move || {
                    let numbers = (of..count).step_by(AT_ONCE);
                    numbers
                        .map(|number| self.held(number))
                        .collect::<Vec<Raw>>()
                }
            };
            let threads: Vec<_> = (0..AT_ONCE).map(|of| scope.spawn(some(of))).collect();
            let all = threads.into_iter().map(|thread| thread.join().unwrap());
            all.flatten().collect()
        })
    }

    /// What the API says waits, as the DBA sees it.
    fn waiting(&self, token: &str) -> io::Result<usize> {
        let mut raw = Raw::tls_to(&self.house, self.console);
        let request = format!(
            "GET /api/v1/approvals?standing=waiting&limit=500 HTTP/1.1\r\nhost: 127.0.0.1:{}\r\nauthorization: Bearer {token}\r\nconnection: close\r\n\r\n",
            self.console
        );
        raw.try_write(request.as_bytes())?;
        let answer = raw.read_to_end();
        let answer = String::from_utf8_lossy(&answer);
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        Ok(answer.matches("\"standing\":\"waiting\"").count())
    }

    /// How long statements of somebody else take, in microseconds, sorted.
    fn times(&self, raw: &mut Raw, time: Duration) -> Vec<u128> {
        let end = Instant::now() + time;
        let mut times = Vec::new();
        while Instant::now() < end {
            let since = Instant::now();
            let messages = raw.query(PROBE);
            times.push(since.elapsed().as_micros());
            assert!(messages.iter().any(|message| message.tag == b'D'));
        }
        times.sort_unstable();
        times
    }
}

/// The time that this part of them, in hundredths, does not exceed.
fn percentile(times: &[u128], hundredths: usize) -> u128 {
    times[(times.len() - 1) * hundredths / 100]
}

fn told(times: &[u128]) -> String {
    format!(
        "p50 {} us, p99 {} us of {} statements",
        percentile(times, 50),
        percentile(times, 99),
        times.len()
    )
}

/// Runs it: the time of somebody else's statements without and with the load in turns. Gives how often a viewer looked.
fn run(load: &Load) -> usize {
    let desk = Desk::new(load.held);
    let token = desk.house.token(Person::Dba);
    let (mut probe, _) = Raw::logged_in(&desk.house, Person::Dba);
    let looks = AtomicUsize::new(0);
    for round in 1..=load.rounds {
        let without = desk.times(&mut probe, load.time);
        let since = Instant::now();
        let held = desk.all_held(load.held);
        println!(
            "round {round}: {} held within {:.1} s",
            held.len(),
            since.elapsed().as_secs_f64()
        );
        assert_eq!(desk.waiting(&token).unwrap(), load.held.min(500));
        let is_over = AtomicBool::new(false);
        let with = thread::scope(|scope| {
            for _ in 0..load.viewers {
                scope.spawn(|| {
                    while !is_over.load(Ordering::Relaxed) {
                        assert_eq!(desk.waiting(&token).unwrap(), load.held.min(500));
                        looks.fetch_add(1, Ordering::Relaxed);
                        thread::sleep(load.pause);
                    }
                });
            }
            let with = desk.times(&mut probe, load.time);
            is_over.store(true, Ordering::Relaxed);
            with
        });
        println!("round {round}: without {}", told(&without));
        println!("round {round}: with    {}", told(&with));
        drop(held);
        desk.house.wait_until("everything to be taken back", |_| {
            desk.waiting(&token).unwrap() == 0
        });
    }
    looks.into_inner()
}

#[test]
fn many_wait_and_many_look_and_others_go_on() {
    let load = Load {
        held: number("PROVOST_HELD", 60),
        viewers: number("PROVOST_VIEWERS", 5),
        rounds: number("PROVOST_LOAD_ROUNDS", 1),
        time: Duration::from_secs(number("PROVOST_LOAD_SECONDS", 2)),
        pause: Duration::from_millis(number("PROVOST_LOAD_PAUSE_MS", 200)),
    };
    let looks = run(&load);
    println!("{} viewers looked {looks} times", load.viewers);
    assert!(looks >= load.viewers);
}
