//! Results and COPY data larger than any buffer, and a peer that does not take them: the gateway's memory stays flat, and whoever
//! sends is held up, end to end.
//!
//! `PROVOST_STREAM_BYTES` makes the streams longer (`sh tests/faults.sh` gives 10 GB).

use std::{
    env, thread,
    time::{Duration, Instant},
};

use crate::support::{
    House, Person,
    raw::{Raw, bind, execute, message, parse, sync},
};

/// How long each stream is unless the environment says otherwise.
const STREAM_BYTES: u64 = 200_000_000;
/// How much the gateway's memory may grow by one stream: its buffers (256 KiB a side), those of TLS, and what the allocator keeps.
const GROWTH_KIB_MAX: u64 = 48 * 1024;
/// How much may be taken from a peer before the other reads: buffers of four sockets, which the system may make large.
const HELD_BYTES_MAX: u64 = 64_000_000;
/// The value of each row.
const VALUE_BYTES: u64 = 1_000;

fn stream_bytes() -> u64 {
    env::var("PROVOST_STREAM_BYTES").map_or(STREAM_BYTES, |bytes| bytes.parse().unwrap())
}

/// Runs `stream`, and checks what the gateway's memory grew by.
fn flat(house: &House, what: &str, stream: impl FnOnce()) {
    let before = house.gateway_memory_kib();
    let start = Instant::now();
    stream();
    if let (Some(before), Some(after)) = (before, house.gateway_memory_kib()) {
        let grown = after.saturating_sub(before);
        println!(
            "{what}: {} MB in {:.1} s, the gateway's memory grew by {grown} KiB to {after} KiB",
            stream_bytes() / 1_000_000,
            start.elapsed().as_secs_f64()
        );
        assert!(grown < GROWTH_KIB_MAX, "{what}: {grown} KiB");
    }
}

/// Waits until the server waits for somebody to take what it sends.
fn server_is_held_up(house: &House) {
    house.wait_until("the server to be held up", |house| {
        let sql = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'ClientWrite'";
        house.cluster.execute("shop", sql).unwrap().trim() == "1"
    });
}

/// Reads messages of this kind until another but a row's description comes; how many there were, and what came.
fn take(raw: &mut Raw, kind: u8) -> (u64, u8) {
    let mut count = 0;
    loop {
        let message = raw.try_read().unwrap();
        match message.tag {
            tag if tag == kind => count += 1,
            b'T' | b'1' | b'2' | b'H' => {}
            other => return (count, other),
        }
    }
}

#[test]
fn a_slow_reader_of_a_large_result_costs_no_memory() {
    let mut house = House::new();
    let rows = stream_bytes() / VALUE_BYTES;
    let value = format!("repeat('x', {VALUE_BYTES})");
    let plain = format!("SELECT {value} FROM generate_series(1, {rows})");
    // The shop has few customers: each of one's rows is masked anew.
    let masked = format!(
        "SELECT c.ssn, {value} FROM customers c, generate_series(1, {rows}) WHERE c.id = 1"
    );
    let copied = format!("COPY (SELECT {value} FROM generate_series(1, {rows})) TO STDOUT");
    let extended = |sql: &str| [parse("", sql), bind("", "", 1), execute("", 0), sync()].concat();
    let simple = |sql: &str| message(b'Q', format!("{sql}\0").as_bytes());
    let streams = [
        ("rows", Person::Dba, simple(&plain), b'D'),
        (
            "rows of the extended protocol",
            Person::Dba,
            extended(&plain),
            b'D',
        ),
        ("masked rows", Person::Analyst, simple(&masked), b'D'),
        ("COPY out", Person::Dba, simple(&copied), b'd'),
    ];
    // What the first session costs for good is not the streams'.
    drop(
        Raw::logged_in(&house, Person::Analyst)
            .0
            .query(&masked.replace(&rows.to_string(), "9")),
    );
    for (what, person, frames, kind) in streams {
        flat(&house, what, || {
            let (mut raw, _) = Raw::logged_in(&house, person);
            raw.write(&frames);
            server_is_held_up(&house);
            let (mut other, _) = Raw::logged_in(&house, Person::Dba);
            assert_eq!(other.query("SELECT 1").len(), 4, "others are served");
            let (count, then) = take(&mut raw, kind);
            let last = if kind == b'd' { b'c' } else { b'C' };
            assert_eq!(
                (count, char::from(then)),
                (rows, char::from(last)),
                "{what}"
            );
        });
    }
    house.stop_gateway();
    let completed = house.count(&format!(
        "SELECT count(*) FROM statements WHERE outcome = 'completed' AND rows = {rows}"
    ));
    assert_eq!(completed, 4);
}

#[test]
fn a_server_that_takes_copy_data_slowly_holds_its_client_up() {
    let mut house = House::new();
    house
        .cluster
        .execute(
            "shop",
            "CREATE UNLOGGED TABLE public.taken (body text);
             CREATE FUNCTION public.slowly() RETURNS trigger LANGUAGE plpgsql AS
               $$BEGIN IF NEW.body = 'wait' THEN PERFORM pg_sleep(3); END IF; RETURN NULL; END$$;
             CREATE TRIGGER slowly BEFORE INSERT ON public.taken FOR EACH ROW EXECUTE FUNCTION public.slowly();",
        )
        .unwrap();
    let (mut raw, _) = Raw::logged_in(&house, Person::Dba);
    raw.query("SELECT 1");
    let row = [vec![b'x'; VALUE_BYTES as usize], b"\n".to_vec()].concat();
    let chunk = message(b'd', &row.repeat(50));
    let chunks = stream_bytes() / (50 * VALUE_BYTES);
    flat(&house, "COPY in", || {
        raw.send(b'Q', b"COPY taken FROM STDIN\0");
        assert_eq!(raw.try_read().unwrap().tag, b'G');
        let start = Instant::now();
        raw.send(b'd', b"wait\n");
        let mut held_up = false;
        let mut at_wait = 0;
        for number in 0..chunks {
            raw.write(&chunk);
            if start.elapsed() < Duration::from_secs(2) {
                at_wait = number * chunk.len() as u64;
            } else if !held_up {
                held_up = true;
                assert!(
                    at_wait < HELD_BYTES_MAX,
                    "{at_wait} bytes were taken while the server slept"
                );
            }
        }
        assert!(held_up, "nobody was held up");
        raw.send(b'c', b"");
        let tags: Vec<u8> = raw
            .read_until_ready()
            .iter()
            .map(|message| message.tag)
            .collect();
        assert_eq!(tags, b"CZ");
    });
    drop(raw);
    thread::sleep(Duration::from_millis(100));
    house.stop_gateway();
    let copied = house
        .count("SELECT count(*) FROM statements WHERE outcome = 'completed' AND sql LIKE 'COPY%'");
    assert_eq!(copied, 1);
}
