//! Many statements that wait for people, and many people who look at them with a browser: nobody else's statements wait. Here that it
//! works; how long statements take meanwhile is what `sh tests/approvals-load.sh` prints.

use std::{
    io,
    str::FromStr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use reqwest::{Certificate, Client, Response, header, redirect};
use tokio::{
    runtime::Runtime,
    task::JoinSet,
    time::{sleep, timeout},
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
/// How often something becomes of what is held.
const STIR_PAUSE: Duration = Duration::from_millis(500);
/// How many times as long half of somebody else's statements may take. Viewers, gateway and server share this machine's processors, so it
/// is wide: what it finds is a statement that waits for a page.
const RATIO_MAX: u128 = 20;

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
    /// How long each viewer waits between two looks at what does not tell of news by itself.
    pause: Duration,
}

/// How often viewers looked.
#[derive(Debug, Default, Clone, Copy)]
struct Looks {
    /// At the list of approvals, because they were told that something became of one.
    told: usize,
    /// At one of the others.
    others: usize,
    /// How long one of those took at most.
    longest: Duration,
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
            format!(
                "{config}\n[console]\nlisten = \"127.0.0.1:{console}\"\nclient_id = \"console\"\nviewers = [\"platform\"]\n"
            )
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

    /// Takes one held statement after the other back and asks for it again, until it is over.
    fn stir(&self, held: &mut [Raw], is_over: &AtomicBool) {
        for number in (0..held.len()).cycle() {
            if is_over.load(Ordering::Relaxed) {
                return;
            }
            held[number] = self.held(number);
            thread::sleep(STIR_PAUSE);
        }
    }

    /// Somebody who sees everything, logged in with a browser.
    async fn viewer(&self, number: usize) -> Viewer {
        let pem = std::fs::read(self.house.path("certificate.pem")).unwrap();
        let client = Client::builder()
            .no_proxy()
            .redirect(redirect::Policy::none())
            .add_root_certificate(Certificate::from_pem(&pem).unwrap())
            .build()
            .unwrap();
        let mut viewer = Viewer {
            number,
            client,
            console: format!("https://127.0.0.1:{}", self.console),
            cookie: String::new(),
        };
        let begun = viewer.ask("/login").await;
        viewer.cookie = cookie(&begun, "__Host-provost-login");
        let at_issuer = format!("{}&person=viewer-{number}&group=platform", location(&begun));
        let back = viewer.client.get(at_issuer).send().await.unwrap();
        let back = location(&back);
        let path = back.strip_prefix(&viewer.console).unwrap();
        viewer.cookie = cookie(&viewer.ask(path).await, "__Host-provost");
        viewer
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

/// Pages that are loaded by turns, and what is on them.
const OTHERS: [(&str, &str); 2] = [("/sessions", "agent-0"), ("/decisions", "article")];

/// A browser of somebody who looks at the console.
struct Viewer {
    number: usize,
    client: Client,
    console: String,
    cookie: String,
}

impl Viewer {
    async fn ask(&self, path: &str) -> Response {
        let request = self.client.get(format!("{}{path}", self.console));
        let request = request.header(header::COOKIE, &self.cookie);
        request.send().await.unwrap()
    }

    /// A page, which must be there.
    async fn page(&self, path: &str) -> String {
        let response = self.ask(path).await;
        let status = response.status();
        let text = response.text().await.unwrap();
        assert_eq!(status, 200, "{path}: {text}");
        text
    }

    /// Looks by two windows: at the list whenever it is told of news, and at one of the others each pause.
    async fn watch(self, pause: Duration, is_over: Arc<AtomicBool>) -> Looks {
        let (told, (others, longest)) =
            tokio::join!(self.list(&is_over), self.others(pause, &is_over));
        Looks {
            told,
            others,
            longest,
        }
    }

    async fn list(&self, is_over: &AtomicBool) -> usize {
        let mut events = self.ask("/events").await;
        assert_eq!(events.status(), 200);
        let mut told = 0;
        while !is_over.load(Ordering::Relaxed) {
            let Ok(event) = timeout(STIR_PAUSE, events.chunk()).await else {
                continue;
            };
            assert!(event.unwrap().is_some(), "the console tells nothing more");
            let list = self.page("/?standing=waiting").await;
            assert!(list.contains("DELETE FROM orders"), "{list}");
            told += 1;
        }
        told
    }

    async fn others(&self, pause: Duration, is_over: &AtomicBool) -> (usize, Duration) {
        let (mut count, mut longest) = (0, Duration::ZERO);
        while !is_over.load(Ordering::Relaxed) {
            let (path, expected) = OTHERS[(self.number + count) % OTHERS.len()];
            let since = Instant::now();
            let page = self.page(path).await;
            assert!(page.contains(expected), "{page}");
            longest = longest.max(since.elapsed());
            count += 1;
            sleep(pause).await;
        }
        (count, longest)
    }
}

/// Where an answer sends to.
fn location(response: &Response) -> String {
    let to = response.headers().get(header::LOCATION);
    to.unwrap_or_else(|| panic!("{response:?} leads nowhere"))
        .to_str()
        .unwrap()
        .to_owned()
}

/// The cookie of this name that an answer sets.
fn cookie(response: &Response, name: &str) -> String {
    let lines = response.headers().get_all(header::SET_COOKIE).iter();
    let mut pairs = lines.map(|line| line.to_str().unwrap().split(';').next().unwrap());
    let is_it = |pair: &&str| {
        pair.split_once('=')
            .is_some_and(|(found, value)| found == name && !value.is_empty())
    };
    let found = pairs.find(is_it);
    found
        .unwrap_or_else(|| panic!("{response:?} sets no `{name}`"))
        .to_owned()
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

/// Runs it: the time of somebody else's statements without and with the load in turns. Gives each viewer's looks of each round.
fn run(load: &Load) -> Vec<Looks> {
    let desk = Desk::new(load.held);
    let runtime = Runtime::new().unwrap();
    let token = desk.house.token(Person::Dba);
    let (mut probe, _) = Raw::logged_in(&desk.house, Person::Dba);
    let mut looks = Vec::new();
    for round in 1..=load.rounds {
        let without = desk.times(&mut probe, load.time);
        let since = Instant::now();
        let mut held = desk.all_held(load.held);
        println!(
            "round {round}: {} held within {:.1} s",
            held.len(),
            since.elapsed().as_secs_f64()
        );
        assert_eq!(desk.waiting(&token).unwrap(), load.held.min(500));
        let viewers = (0..load.viewers).map(|number| desk.viewer(number));
        let viewers = runtime.block_on(futures::future::join_all(viewers));
        let is_over = Arc::new(AtomicBool::new(false));
        let mut watching = JoinSet::new();
        for viewer in viewers {
            let watch = viewer.watch(load.pause, Arc::clone(&is_over));
            watching.spawn_on(watch, runtime.handle());
        }
        let with = thread::scope(|scope| {
            scope.spawn(|| desk.stir(&mut held, &is_over));
            let with = desk.times(&mut probe, load.time);
            is_over.store(true, Ordering::Relaxed);
            with
        });
        looks.extend(runtime.block_on(watching.join_all()));
        println!("round {round}: without {}", told(&without));
        println!("round {round}: with    {}", told(&with));
        let [half, before] = [&with, &without].map(|times| percentile(times, 50));
        assert!(half <= before * RATIO_MAX, "{half} us, {before} us before");
        drop(held);
        desk.house.wait_until("everything to be taken back", |_| {
            desk.waiting(&token).unwrap() == 0
        });
    }
    looks
}

#[test]
fn many_wait_and_many_look_and_others_go_on() {
    let load = Load {
        held: number("PROVOST_HELD", 60),
        viewers: number("PROVOST_VIEWERS", 50),
        rounds: number("PROVOST_LOAD_ROUNDS", 1),
        time: Duration::from_secs(number("PROVOST_LOAD_SECONDS", 8)),
        pause: Duration::from_millis(number("PROVOST_LOAD_PAUSE_MS", 2_000)),
    };
    let looks = run(&load);
    let told: usize = looks.iter().map(|one| one.told).sum();
    let others: usize = looks.iter().map(|one| one.others).sum();
    let longest = looks.iter().map(|one| one.longest).max().unwrap();
    println!(
        "{} viewers: {told} times told of news, {others} times sessions or decisions ({:.1} s at most), no error",
        load.viewers,
        longest.as_secs_f64()
    );
    assert_eq!(looks.len(), load.viewers * load.rounds);
    assert!(
        looks.iter().all(|one| one.told > 0 && one.others > 0),
        "{looks:?}"
    );
}
