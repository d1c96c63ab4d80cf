//! Limits on statements and messages: what is over one is refused before it is kept, what is within passes.

use provost_gateway::settings::ClientTls;

use crate::{
    house::{House, settings, tokens},
    raw::{Raw, ask, bind, message, parse, query},
};

const STATEMENT_BYTES_MAX: usize = 1_000;
const MESSAGE_BYTES_MAX: usize = 4_000;

fn house() -> House {
    let mut settings = settings(ClientTls::Off);
    settings.limits.statement_bytes_max = STATEMENT_BYTES_MAX;
    settings.limits.message_bytes_max = MESSAGE_BYTES_MAX;
    House::start(settings)
}

fn session(house: &House) -> Raw {
    let shop = [("user", "ann"), ("database", "shop")];
    let mut raw = Raw::log_in(house.address, &shop, &tokens().good("ann"));
    raw.until(b'Z');
    raw
}

/// A statement of so many bytes.
fn of_bytes(bytes: usize) -> String {
    format!("{:bytes$}", "SELECT 1")
}

#[test]
fn a_statement_has_its_limit_and_the_session_lives() {
    let house = house();
    let mut raw = session(&house);
    let extended = |sql: &str| {
        let execute = message(b'E', &[0; 5]);
        let sync = message(b'S', b"");
        [parse("", sql), bind("", "", &[], 0), execute, sync].concat()
    };
    let (longest, too_long) = (
        of_bytes(STATEMENT_BYTES_MAX),
        of_bytes(STATEMENT_BYTES_MAX + 1),
    );
    assert_eq!(ask(&mut raw, &longest), "1 I");
    raw.send(&extended(&longest));
    assert_eq!(raw.answer(), "1 I");
    for frames in [query(&too_long), extended(&too_long)] {
        let answer = raw.send(&frames).answer();
        assert!(answer.starts_with("54000 "), "{answer}");
        assert!(answer.ends_with(" I"), "{answer}");
    }
    assert_eq!(ask(&mut raw, "SELECT 1"), "1 I");
    // Values are none of it.
    let value = "x".repeat(3 * STATEMENT_BYTES_MAX);
    let frames = [
        parse("", "SELECT length($1::text)"),
        bind("", "", &[&value], 0),
        message(b'E', &[0; 5]),
        message(b'S', b""),
    ];
    raw.send(&frames.concat());
    assert_eq!(raw.answer(), "3000 I");
}

#[test]
fn a_message_has_its_limit_whether_it_comes_or_not_and_copied_data_has_none() {
    let house = house();
    let mut raw = session(&house);
    assert_eq!(ask(&mut raw, "CREATE TABLE limited (line text)"), "I");
    raw.send(&query("COPY limited FROM STDIN"));
    raw.until(b'G');
    let line = [&[b'x'; 3 * MESSAGE_BYTES_MAX][..], b"\n"].concat();
    raw.send(&[message(b'd', &line), message(b'c', b"")].concat());
    raw.until(b'Z');
    let count = "SELECT sum(length(line)) FROM limited";
    assert_eq!(ask(&mut raw, count), "12000 I");
    assert_eq!(ask(&mut raw, "DROP TABLE limited"), "I");

    let whole = query(&of_bytes(MESSAGE_BYTES_MAX));
    // Its length is enough: nobody waits for the rest, or keeps it.
    for frame in [&whole[..], &whole[..5]] {
        let mut raw = session(&house);
        let error = raw.send(frame).last_error();
        assert!(error.starts_with("08P01 "), "{error}");
    }
    assert_eq!(ask(&mut raw, "SELECT 1"), "1 I");
}
