//! Inputs that are made to cost: nesting, length, numbers of parameters. Each ends soon, takes little memory, and gets a clear
//! refusal or the server's own answer; the session lives.

use std::time::{Duration, Instant};

use crate::support::{
    House, Person,
    raw::{Message, Raw, execute, message, parse, sqlstate, sync, tags},
};

/// The protocol's count has 16 bits.
const PARAMETERS_MAX: usize = 65_535;
/// How long any of them may take, on a slow machine without optimisation.
const TIME_MAX: Duration = Duration::from_secs(60);
/// How much more memory than before the gateway may have held, in KiB: the messages themselves have up to ten million bytes.
const MEMORY_KIB_MAX: u64 = 300 * 1024;

/// The tags of an answer, or an error's SQLSTATE and a word of its message.
type Expected = Result<&'static str, (&'static str, &'static str)>;

fn number_of_parameters(count: usize) -> String {
    let places: Vec<String> = (1..=count).map(|place| format!("${place}")).collect();
    format!(
        "SELECT count(*) FROM orders WHERE id IN ({})",
        places.join(",")
    )
}

/// Parse, Bind with as many texts, Execute, Sync.
fn with_parameters(sql: &str, count: usize) -> Vec<u8> {
    let mut body = vec![0, 0, 0, 0];
    body.extend(u16::try_from(count).unwrap().to_be_bytes());
    for place in 0..count {
        let value = place.to_string();
        body.extend(u32::try_from(value.len()).unwrap().to_be_bytes());
        body.extend(value.as_bytes());
    }
    body.extend([0, 0]);
    [parse("", sql), message(b'B', &body), execute("", 0), sync()].concat()
}

fn simple(sql: &str) -> Vec<u8> {
    message(b'Q', format!("{sql}\0").as_bytes())
}

/// The refusal's message and hint.
fn words(messages: &[Message]) -> String {
    let error = messages.iter().find(|message| message.tag == b'E');
    let field = |code| {
        error
            .and_then(|error| error.field(code))
            .unwrap_or_default()
    };
    format!("{} {}", field(b'M'), field(b'H'))
}

#[test]
fn hard_inputs_take_bounded_time_and_memory() {
    let house = House::new();
    let (mut raw, _) = Raw::logged_in(&house, Person::Agent);
    assert_eq!(tags(&raw.query("SELECT 1")), "TDCZ");
    let before = house.gateway_memory_kib();
    let nested = format!("SELECT {}1{}", "(".repeat(10_000), ")".repeat(10_000));
    let subqueries = format!(
        "SELECT id FROM orders WHERE id = {}1{}",
        "(SELECT ".repeat(10_000),
        ")".repeat(10_000)
    );
    let literal = format!(
        "SELECT count(*) FROM orders WHERE item = '{}'",
        "x".repeat(10_000_000)
    );
    let many = number_of_parameters(PARAMETERS_MAX);
    let cases: [(&str, Vec<u8>, Expected); 8] = [
        (
            "10,000 parentheses",
            simple(&nested),
            Err(("54001", "nests too deeply")),
        ),
        (
            "10,000 subqueries",
            simple(&subqueries),
            Err(("54001", "nests too deeply")),
        ),
        (
            "a literal of 10 MB",
            simple(&literal),
            Err(("54000", "longer than")),
        ),
        (
            "the same, prepared",
            with_parameters(&literal, 0),
            Err(("54000", "longer than")),
        ),
        (
            "65,535 parameters",
            with_parameters(&many, PARAMETERS_MAX),
            Ok("12DCZ"),
        ),
        (
            "fewer values than parameters",
            with_parameters(&many, 1),
            Err(("08P01", "bind message supplies")),
        ),
        (
            "65,535 parameters for a statement with one",
            with_parameters("SELECT count(*) FROM orders WHERE id = $1", PARAMETERS_MAX),
            Err(("08P01", "bind message supplies")),
        ),
        (
            "one parameter more than the protocol can carry",
            with_parameters(&number_of_parameters(PARAMETERS_MAX + 1), 1),
            Err(("08P01", "bind message supplies")),
        ),
    ];
    for (name, bytes, expected) in cases {
        let began = Instant::now();
        raw.write(&bytes);
        let messages = raw.read_until_ready();
        let took = began.elapsed();
        eprintln!("{name}: {took:?}");
        let found = (sqlstate(&messages), words(&messages));
        match expected {
            Ok(expected) => assert_eq!(tags(&messages), expected, "{name}: {found:?}"),
            Err((state, word)) => {
                let given = found.0.as_deref().unwrap_or_default();
                assert!(
                    given == state && found.1.contains(word),
                    "{name}: {found:?}"
                );
            }
        }
        assert!(took < TIME_MAX, "{name}: {took:?}");
        assert_eq!(tags(&raw.query("SELECT 1")), "TDCZ", "{name}");
    }
    if let (Some(before), Some(after)) = (before, house.gateway_memory_kib()) {
        assert!(
            after - before < MEMORY_KIB_MAX,
            "the gateway held {before} KiB before, and {after} KiB at most"
        );
    }
}
