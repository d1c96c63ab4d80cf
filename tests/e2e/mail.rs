//! Mail about held statements, to a real mail server, as the real gateway sends it: encrypted or not at all, again where it is put off,
//! and never in a statement's way.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{Shutdown, TcpListener, TcpStream},
    process::{Command, Output},
    sync::{Arc, Mutex},
    thread,
};

use crate::support::{
    House, Person, free_port,
    smtp::{PASSWORD, Smtp, Way},
    succeeded, text,
};

/// Deletes of agents wait for one DBA.
const HELD: &str = r#"
rule deletes-need-people
  hold delete on public.orders for agents
  until 1 of dbas approve within 2 min
  because "a DBA looks at what an agent deletes"
"#;

/// A gateway that holds deletes, has a console, and mails.
struct Desk {
    house: House,
    console: u16,
}

impl Desk {
    /// One that is not started yet.
    fn new() -> Self {
        let mut house = House::without_gateway();
        std::fs::write(house.path("policies/held.pol"), HELD).unwrap();
        let password = ("MAIL_PASSWORD".to_owned(), PASSWORD.to_owned());
        house.environment.push(password);
        let everything = ("PROVOST_LOG".to_owned(), "debug".to_owned());
        house.environment.push(everything);
        Self {
            house,
            console: free_port(),
        }
    }

    fn start(&mut self, mail: &[String]) {
        self.house.write_config(|config| {
            let console = format!("[console]\nlisten = \"127.0.0.1:{}\"\n", self.console);
            format!("{config}\n{console}\n{}", mail.join("\n"))
        });
        self.house.start_gateway();
    }

    /// Sends SQL as the agent, with these options of the session.
    fn send(&self, options: &str, sql: &str) -> Output {
        let mut command = Command::new(self.house.cluster.program("psql"));
        command.args(["--no-psqlrc", "--command", sql]);
        let token = self.house.token(Person::Agent);
        (self.house).client_environment(&mut command, Person::Agent.id(), &token, "shop");
        command.env("PGOPTIONS", options).output().unwrap()
    }

    /// `provost approvals`, as the DBA.
    fn approvals(&self, arguments: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_provost"))
            .arg("approvals")
            .args(arguments)
            .arg("--ca")
            .arg(self.house.path("certificate.pem"))
            .env(
                "PROVOST_CONSOLE",
                format!("https://127.0.0.1:{}", self.console),
            )
            .env("PROVOST_TOKEN", self.house.token(Person::Dba))
            .env("NO_COLOR", "1")
            .output()
            .unwrap()
    }

    /// Waits until there is a statement that waits; its id.
    fn held(&self) -> String {
        self.house.wait_until("a statement that waits", |_| {
            let listed = self.approvals(&["list", "--json", "--standing", "waiting"]);
            let listed: serde_json::Value = serde_json::from_slice(&listed.stdout).unwrap();
            !listed[0].is_null()
        });
        let listed = succeeded(self.approvals(&["list", "--json", "--standing", "waiting"]));
        let listed: serde_json::Value = serde_json::from_str(&listed).unwrap();
        listed[0]["id"].as_str().unwrap().to_owned()
    }
}

/// A section `[[approvals.mail]]`.
fn section(server: &str, to: &[&str], more: &str) -> String {
    format!(
        "[[approvals.mail]]\nserver = \"{server}\"\nuser = \"provost\"\npassword = \"env:MAIL_PASSWORD\"\n\
         from = \"Provost <provost@example.com>\"\nto = {to:?}\n{more}\n"
    )
}

/// Issue: mail with a template, encrypted both ways; what is put off comes later, what is refused is not sent again.
#[test]
fn people_are_told_by_mail_and_of_the_end() {
    let mut desk = Desk::new();
    let by_command = Smtp::start(&desk.house, Way::StartTls);
    let wrapped = Smtp::start(&desk.house, Way::Wrapped);
    let template = "Please look, {requester} asks {needs}\nIt is {standing}: {link}\n";
    std::fs::write(desk.house.path("mail.txt"), template).unwrap();
    let ca = "ca = \"certificate.pem\"\nlink = \"https://approvals.example.com/\"";
    desk.start(&[
        section(
            &format!("smtp://localhost:{}", by_command.port()),
            &["dba@example.com", "busy@example.com", "nobody@example.com"],
            ca,
        ),
        section(
            &format!("smtps://127.0.0.1:{}", wrapped.port()),
            &["owner@example.com"],
            &format!("{ca}\ntemplate = \"mail.txt\""),
        ),
    ]);
    let house = &desk.house;
    thread::scope(|scope| {
        let sql = "DELETE FROM orders /*\n.\nMAIL FROM:<x@example.com>\n\n.\nBcc: y@example.com\n*/ WHERE id = 1;";
        let deleting = scope.spawn(|| house.psql(Person::Agent, &[], sql));
        let id = desk.held();
        house.wait_until("the mails", |_| {
            by_command.mails("dba@example.com").len() == 1
                && wrapped.mails("owner@example.com").len() == 1
                // After two refusals.
                && by_command.mails("busy@example.com").len() == 1
                && by_command.asked("nobody@example.com") == 1
        });
        succeeded(desk.approvals(&["approve", &id, "--reason", "fine"]));
        assert_eq!(succeeded(deleting.join().unwrap()), "DELETE 1\n");
        house.wait_until("the mails of the end", |_| {
            by_command.mails("dba@example.com").len() == 2
                && wrapped.mails("owner@example.com").len() == 2
                && by_command.mails("busy@example.com").len() == 2
                && by_command.asked("nobody@example.com") == 2
        });
        let told = by_command.mails("dba@example.com");
        let (asked, ended) = (&told[0], &told[1]);
        assert_eq!(asked["subject"], format!("Approval wanted: {id}"));
        assert_eq!(ended["subject"], format!("Approval used: {id}"));
        assert_eq!(ended["answers"], asked["id"]);
        for mail in &told {
            assert_eq!(
                (&mail["encrypted"], &mail["user"]),
                (&true.into(), &"provost".into())
            );
            assert_eq!(mail["from"], "provost@example.com");
            let headers = mail["headers"].as_array().unwrap();
            assert!(headers.iter().all(|name| name != "Bcc"), "{mail}");
        }
        let text = asked["text"].as_str().unwrap();
        for words in [
            "devin@corp wants to run this on shop as ",
            "DELETE FROM orders",
            "Wanted: 1 of dbas within 2 min",
            "a DBA looks at what an agent deletes",
            &format!("https://approvals.example.com/approvals/{id}\n"),
        ] {
            assert!(text.contains(words), "{words}: {text}");
        }
        let text = wrapped.mails("owner@example.com")[1]["text"].to_string();
        assert!(
            text.contains(
                "Please look, devin@corp asks 1 of dbas within 2 min\\nIt is used: https://"
            ),
            "{text}"
        );
    });
    // Twice put off, then taken; at the end at once.
    assert_eq!(by_command.asked("busy@example.com"), 4);
    assert_eq!(by_command.asked("dba@example.com"), 2);
    house.wait_for_log(&["nobody@example.com", "550", "not sent again"], 2);
    let log = house.gateway_log();
    // A log-in goes out encoded: nothing of it is in the log, either.
    assert!(log.contains("DEBUG") && !log.contains("AUTH ") && !log.contains(PASSWORD));
    desk.house.stop_gateway();
}

/// Answers to EHLO, AUTH, MAIL, RCPT, DATA and to the mail itself.
const INJECTED: &[u8] =
    b"250-mail\r\n250 AUTH PLAIN\r\n235 ok\r\n250 ok\r\n250 ok\r\n354 go on\r\n250 ok\r\n";

/// What somebody between the gateway and a mail server does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Meddler {
    /// Tells the gateway of no STARTTLS.
    Strips,
    /// Puts [`INJECTED`] behind the answer to STARTTLS, before all that is encrypted.
    Injects,
}

/// Somebody in between, on a port of their own; and what the gateway said to them.
fn between(server: u16, meddler: Meddler) -> (u16, Arc<Mutex<Vec<u8>>>) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let said = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&said);
    thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let server = TcpStream::connect(("127.0.0.1", server)).unwrap();
            let (mut from, mut to) = (client.try_clone().unwrap(), server.try_clone().unwrap());
            let kept = Arc::clone(&kept);
            thread::spawn(move || {
                let mut bytes = [0; 4096];
                while let Ok(count @ 1..) = from.read(&mut bytes) {
                    kept.lock().unwrap().extend_from_slice(&bytes[..count]);
                    if to.write_all(&bytes[..count]).is_err() {
                        return;
                    }
                }
                let _ = to.shutdown(Shutdown::Both);
            });
            thread::spawn(move || {
                let _ = meddle(server, &client, meddler);
                let _ = client.shutdown(Shutdown::Both);
            });
        }
    });
    (port, said)
}

/// Gives the gateway what the server says, changed.
fn meddle(server: TcpStream, mut client: &TcpStream, meddler: Meddler) -> std::io::Result<()> {
    let mut server = BufReader::new(server);
    let mut readies = 0;
    loop {
        let mut line = Vec::new();
        if server.read_until(b'\n', &mut line)? == 0 {
            return Ok(());
        }
        readies += usize::from(line.starts_with(b"220"));
        match meddler {
            Meddler::Strips if String::from_utf8_lossy(&line).contains("STARTTLS") => {}
            // The greeting is the first.
            Meddler::Injects if readies == 2 => {
                client.write_all(&[&line[..], INJECTED].concat())?;
                return std::io::copy(&mut server, &mut client).map(drop);
            }
            Meddler::Strips | Meddler::Injects => client.write_all(&line)?,
        }
    }
}

/// Who stands between reads no mail and no password, and says nothing in the server's place; nor is a server trusted that nobody vouches for.
#[test]
fn mail_is_not_sent_where_somebody_could_read_it() {
    let mut desk = Desk::new();
    let by_command = Smtp::start(&desk.house, Way::StartTls);
    let wrapped = Smtp::start(&desk.house, Way::Wrapped);
    let other = rcgen::generate_simple_self_signed(["mail.example.com".to_owned()]).unwrap();
    let files = ["elsewhere.pem", "elsewhere-key.pem"];
    std::fs::write(desk.house.path(files[0]), other.cert.pem()).unwrap();
    std::fs::write(desk.house.path(files[1]), other.signing_key.serialize_pem()).unwrap();
    let elsewhere = Smtp::start_with(&desk.house, Way::Wrapped, files);
    let (stripped, said) = between(by_command.port(), Meddler::Strips);
    let (injected, _) = between(by_command.port(), Meddler::Injects);
    let ca = "ca = \"certificate.pem\"";
    desk.start(&[
        section(
            &format!("smtp://127.0.0.1:{stripped}"),
            &["stripped@example.com"],
            ca,
        ),
        // The server would refuse it: whoever is between says that it is taken.
        section(
            &format!("smtp://127.0.0.1:{injected}"),
            &["nobody@example.com"],
            ca,
        ),
        section(
            &format!("smtp://127.0.0.1:{}", by_command.port()),
            &["unknown@example.com"],
            "",
        ),
        section(
            &format!("smtps://127.0.0.1:{}", wrapped.port()),
            &["stranger@example.com"],
            "",
        ),
        // Another name than the certificate's.
        section(
            &format!("smtps://127.0.0.1:{}", elsewhere.port()),
            &["elsewhere@example.com"],
            "ca = \"elsewhere.pem\"",
        ),
        section(
            &format!("smtp://127.0.0.1:{}", by_command.port()),
            &["good@example.com"],
            ca,
        ),
    ]);
    let house = &desk.house;
    let held = desk.send("-c provost.wait=off", "DELETE FROM orders WHERE id = 1");
    let held = text(&held.stderr);
    assert!(held.contains("approval "), "{held}");
    house.wait_until("the one mail that may go", |_| {
        by_command.mails("good@example.com").len() == 1
    });
    for (to, why) in [
        ("stripped@example.com", "STARTTLS"),
        ("nobody@example.com", ""),
        ("unknown@example.com", "certificate"),
        ("stranger@example.com", "certificate"),
        ("elsewhere@example.com", "certificate not valid for name"),
    ] {
        house.wait_for_log(&["could not be delivered", to, why], 1);
        for server in [&by_command, &wrapped, &elsewhere] {
            assert_eq!(server.asked(to), 0, "{to}");
        }
    }
    // It asked what the server can do, more than once, and said nothing else.
    house.wait_until("another try", |_| {
        let said = said.lock().unwrap();
        String::from_utf8_lossy(&said).matches("EHLO").count() >= 2
    });
    let said = said.lock().unwrap();
    let said = String::from_utf8_lossy(&said);
    let others: Vec<&str> = said
        .lines()
        .filter(|line| !line.starts_with("EHLO") && !line.starts_with("QUIT"))
        .collect();
    assert!(others.is_empty(), "{others:?}");
}

/// Whoever breaks glass, as the agent may.
const GLASS: &str = r#"
rule incident
  break-glass delete on public.orders for agents
  because "an order that blocks the shop"
"#;

/// Mails that break every connection they are sent over keep the rest waiting for one round; and broken glass is told by mail, too.
#[test]
fn a_mail_that_breaks_keeps_no_other_and_glass_is_told() {
    let mut desk = Desk::new();
    std::fs::write(desk.house.path("policies/glass.pol"), GLASS).unwrap();
    let server = Smtp::start(&desk.house, Way::Wrapped);
    desk.start(&[section(
        &format!("smtps://127.0.0.1:{}", server.port()),
        &["dba@example.com"],
        "ca = \"certificate.pem\"",
    )]);
    let house = &desk.house;
    for id in 1..4 {
        let sql = format!("DELETE FROM orders WHERE id = {id} /* break the connection */");
        let held = text(&desk.send("-c provost.wait=off", &sql).stderr);
        assert!(held.contains("approval "), "{held}");
    }
    house.wait_until("three broken connections", |_| server.broken() >= 3);
    let held = desk.send("-c provost.wait=off", "DELETE FROM orders WHERE id = 4");
    assert!(text(&held.stderr).contains("approval "), "{held:?}");
    let glass = desk.send(
        r"-c provost.wait=off -c provost.reason=INC-7:\ blocked\ orders",
        "DELETE FROM orders WHERE id = 5",
    );
    assert!(text(&glass.stderr).contains("glass is broken"), "{glass:?}");
    house.wait_until("the mails that break nothing", |_| {
        server.mails("dba@example.com").len() >= 2
    });
    let mails = server.mails("dba@example.com");
    let with = |subject: &str| {
        let of = |mail: &&serde_json::Value| mail["subject"].as_str().unwrap().starts_with(subject);
        let mail = mails.iter().find(of).unwrap_or_else(|| panic!("{mails:?}"));
        mail["text"].as_str().unwrap().to_owned()
    };
    let wanted = with("Approval wanted: ");
    assert!(wanted.contains("WHERE id = 4"), "{wanted}");
    let broken = with("Glass is broken");
    for words in [
        "Glass is broken by devin@corp\non shop, by rule incident\n",
        "INC-7: blocked orders (an order that blocks the shop)\n",
        "\nSession: ",
    ] {
        assert!(broken.contains(words), "{words}: {broken}");
    }
    desk.house.stop_gateway();
}

/// A mail server that takes connections and never says a word, for longer than all of this takes, and one that is not there.
#[test]
fn a_mail_server_that_is_away_delays_nobody() {
    let mut desk = Desk::new();
    let silent = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = silent.local_addr().unwrap().port();
    desk.start(&[
        section(
            &format!("smtps://127.0.0.1:{port}"),
            &["a@example.com", "b@example.com"],
            "",
        ),
        section(
            &format!("smtp://127.0.0.1:{}", free_port()),
            &["c@example.com"],
            "",
        ),
    ]);
    let house = &desk.house;
    thread::scope(|scope| {
        let deleting =
            scope.spawn(|| house.psql(Person::Agent, &[], "DELETE FROM orders WHERE id = 1;"));
        let id = desk.held();
        house.wait_for_log(&["could not be delivered", "c@example.com"], 1);
        let read = house.psql(
            Person::Agent,
            &["--tuples-only"],
            "SELECT count(*) FROM orders;",
        );
        assert!(succeeded(read).contains('4'));
        succeeded(desk.approvals(&["approve", &id, "--reason", "fine"]));
        assert_eq!(succeeded(deleting.join().unwrap()), "DELETE 1\n");
    });
    // Nor does it delay the end.
    desk.house.stop_gateway();
}
