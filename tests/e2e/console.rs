//! The console of the real gateway, over TLS, through `provost approvals`: a held statement waits, people see it and vote, it goes on.

use std::{
    io::{BufRead as _, BufReader},
    process::{Child, ChildStdout, Command, Output, Stdio},
    thread,
};

use serde_json::Value;

use crate::support::{House, Person, free_port, succeeded, text};

/// Deletes of agents wait for one DBA.
const HELD: &str = r#"
rule deletes-need-people
  hold delete on public.orders for agents
  until 1 of dbas approve within 1 min
  because "a DBA looks at what an agent deletes"
"#;

/// A gateway that holds deletes and has a console.
struct Desk {
    house: House,
    url: String,
}

impl Desk {
    fn new() -> Self {
        let mut house = House::without_gateway();
        let port = free_port();
        let policy = house.path("policies/held.pol");
        std::fs::write(policy, HELD).unwrap();
        house.write_config(|config| {
            format!(
                "{config}\n[console]\nlisten = \"127.0.0.1:{port}\"\nviewers = [\"analysts\"]\n"
            )
        });
        house.start_gateway();
        Self {
            house,
            url: format!("https://127.0.0.1:{port}"),
        }
    }

    /// `provost approvals`, with this token in its environment.
    fn command(&self, token: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_provost"));
        command
            .arg("approvals")
            .args(arguments)
            .arg("--ca")
            .arg(self.house.path("certificate.pem"))
            .env("PROVOST_CONSOLE", &self.url)
            .env("PROVOST_TOKEN", token)
            .env("NO_COLOR", "1");
        command
    }

    fn provost(&self, person: Person, arguments: &[&str]) -> Output {
        let token = self.house.token(person);
        self.command(&token, arguments).output().unwrap()
    }

    /// What the API says to somebody: status and JSON.
    fn api(&self, person: Person, path: &str) -> (u16, Value) {
        let pem = std::fs::read(self.house.path("certificate.pem")).unwrap();
        let client = reqwest::Client::builder()
            .no_proxy()
            .add_root_certificate(reqwest::Certificate::from_pem(&pem).unwrap())
            .build()
            .unwrap();
        let request = client.get(format!("{}/api/v1/{path}", self.url));
        let request = request.bearer_auth(self.house.token(person));
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(async {
            let response = request.send().await.unwrap();
            let status = response.status().as_u16();
            let text = response.text().await.unwrap();
            (status, serde_json::from_str(&text).unwrap())
        })
    }

    fn list(&self, person: Person) -> Vec<Value> {
        let listed = succeeded(self.provost(person, &["list", "--json"]));
        serde_json::from_str(&listed).unwrap()
    }

    /// Follows what is held, as somebody sees it.
    fn watch(&self, person: Person) -> Watch {
        let mut child = self
            .command(&self.house.token(person), &["watch", "--json"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap());
        Watch { child, lines }
    }
}

/// A running `provost approvals watch --json`.
struct Watch {
    child: Child,
    lines: BufReader<ChildStdout>,
}

impl Watch {
    fn next(&mut self) -> Value {
        let mut line = String::new();
        self.lines.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap_or_else(|_| panic!("`{line}` is no JSON"))
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[track_caller]
fn fails_with(output: &Output, words: &str) {
    let told = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(told.contains(words), "{told}");
    assert_eq!(told.lines().count(), 1, "{told}");
}

#[test]
fn a_held_statement_waits_is_seen_and_goes_on() {
    let mut desk = Desk::new();
    let sql = "DELETE FROM orders WHERE id = 1;";
    thread::scope(|scope| {
        let mut watch = desk.watch(Person::Dba);
        let deleting = scope.spawn(|| desk.house.psql(Person::Agent, &[], sql));
        let held = watch.next();
        assert_eq!(held["standing"], "waiting");
        assert_eq!(held["requester"], "devin@corp");
        assert_eq!(held["application"], "psql");
        let id = held["id"].as_str().unwrap();

        let shown = succeeded(desk.provost(Person::Dba, &["show", id]));
        for words in [
            "| DELETE FROM orders WHERE id = 1",
            "delete on public.orders",
            "deletes-need-people",
            "a DBA looks at what an agent deletes",
            "1 of dbas",
            "estimated rows",
            "never before in 7 days",
        ] {
            assert!(shown.contains(words), "{shown}");
        }
        // Whoever asks learns nothing of rows that way.
        let own = succeeded(desk.provost(Person::Agent, &["show", id]));
        assert!(
            !own.contains("rows") && !own.contains("never before"),
            "{own}"
        );
        fails_with(
            &desk.provost(Person::Agent, &["dry-run", id]),
            "only people vote",
        );
        let tried = succeeded(desk.provost(Person::Dba, &["dry-run", id]));
        assert_eq!(
            tried,
            "changes 1 rows (rolled back; asked for by dora@corp)\n"
        );

        let listed = succeeded(desk.provost(Person::Dba, &["list", "--standing", "waiting"]));
        assert!(
            listed.contains(id) && listed.contains("0/1 dbas"),
            "{listed}"
        );

        // Who sees it, and who only may see it.
        assert_eq!(desk.list(Person::Agent).len(), 1);
        assert_eq!(desk.list(Person::Analyst).len(), 1);
        assert!(desk.list(Person::Stranger).is_empty());
        let approve = ["approve", id, "--reason", "fine"];
        fails_with(&desk.provost(Person::Agent, &approve), "only people vote");
        fails_with(
            &desk.provost(Person::Analyst, &approve),
            "none of the groups that are asked",
        );
        fails_with(
            &desk.provost(Person::Stranger, &approve),
            "there is no such approval",
        );
        let silent = ["approve", id, "--reason", " "];
        fails_with(&desk.provost(Person::Dba, &silent), "give a reason");
        assert!(!deleting.is_finished(), "nobody approved yet");

        let taken = succeeded(desk.provost(Person::Dba, &approve));
        assert!(taken.starts_with("approved; it is "), "{taken}");
        assert_eq!(succeeded(deleting.join().unwrap()), "DELETE 1\n");
        fails_with(&desk.provost(Person::Dba, &approve), "used already");
        while watch.next()["standing"] != "used" {}
    });
    desk.house.stop_gateway();
    let events = desk
        .house
        .query("SELECT event, actor FROM approvals ORDER BY log_index");
    let told: Vec<String> = events
        .iter()
        .map(|row| {
            format!(
                "{} {}",
                row["event"].as_str().unwrap(),
                row["actor"].as_str().unwrap()
            )
        })
        .collect();
    assert_eq!(
        told,
        [
            "requested devin@corp",
            "dry-run dora@corp",
            "approved dora@corp",
            "used devin@corp"
        ]
    );
    succeeded(desk.house.verify());
}

#[test]
fn one_no_is_what_the_client_reads() {
    let desk = Desk::new();
    thread::scope(|scope| {
        let mut watch = desk.watch(Person::Dba);
        let deleting = scope.spawn(|| desk.house.psql(Person::Agent, &[], "DELETE FROM orders;"));
        let held = watch.next();
        let id = held["id"].as_str().unwrap();
        let deny = ["deny", id, "--reason", "all of them?", "--json"];
        let told = succeeded(desk.provost(Person::Dba, &deny));
        let told: Value = serde_json::from_str(&told).unwrap();
        assert_eq!(told["standing"], "refused");
        let refused = deleting.join().unwrap();
        let read = text(&refused.stderr);
        assert!(read.contains("was refused by dora@corp"), "{read}");
        assert!(read.contains("all of them?"), "{read}");
    });
}

#[test]
fn what_keeps_somebody_out_is_said() {
    let desk = Desk::new();
    let run = |token: &str| desk.command(token, &["list"]).output().unwrap();
    fails_with(&run(""), "no token: give --token-file");
    fails_with(&run("a b"), "not one line of visible characters");
    fails_with(&run("hunter2"), "the bearer token is not valid");
    let token = desk.house.token(Person::Dba);
    let elsewhere = |url: &str| {
        let mut command = desk.command(&token, &["list"]);
        command.env("PROVOST_CONSOLE", url).output().unwrap()
    };
    fails_with(
        &elsewhere("http://approvals.example.com"),
        "is no console's URL",
    );
    let nobody = format!("https://127.0.0.1:{}", free_port());
    fails_with(&elsewhere(&nobody), "could not ask");
    // Without its certificate, the console is anybody.
    let mut stranger = Command::new(env!("CARGO_BIN_EXE_provost"));
    stranger
        .args(["approvals", "list", "--gateway", &desk.url])
        .env("PROVOST_TOKEN", &token)
        .env("NO_COLOR", "1");
    fails_with(&stranger.output().unwrap(), "could not ask");
    // A token of a file, which the environment's does not replace.
    let file = desk.house.path("token");
    std::fs::write(&file, format!("{token}\n")).unwrap();
    let mut command = desk.command("hunter2", &["list"]);
    let listed = succeeded(command.arg("--token-file").arg(&file).output().unwrap());
    assert_eq!(listed, "nothing is held that you may see\n");
    let usage = desk.provost(Person::Dba, &["show", "../../healthz"]);
    assert_eq!(usage.status.code(), Some(64));
}

/// An analyst is a viewer here, the agent and the stranger have no role.
#[test]
fn the_api_tells_of_sessions_and_decisions_what_evidence_has() {
    let mut desk = Desk::new();
    let statements = "SELECT name, ssn FROM customers WHERE id = 1;\nDROP TABLE orders;\n";
    desk.house.psql(Person::Agent, &["-qAt"], statements);
    desk.house
        .psql(Person::Dba, &["-qAt"], "SELECT count(*) FROM customers;");
    // Whoever looked a moment ago may see what was there then.
    desk.house.wait_until("the last statement", |_| {
        let (_, told) = desk.api(Person::Analyst, "decisions?text=count&outcome=completed");
        told["decisions"]
            .as_array()
            .is_some_and(|all| all.len() == 1)
    });

    let (_, all) = desk.api(Person::Analyst, "decisions?table=public.customers");
    let all = all["decisions"].as_array().unwrap().clone();
    assert_eq!(all.len(), 2, "{all:#?}");
    let (_, own) = desk.api(Person::Agent, "decisions?table=public.customers");
    assert_eq!(own["decisions"].as_array().unwrap().len(), 1, "{own:#}");
    let (_, none) = desk.api(Person::Stranger, "decisions?span=all");
    assert_eq!(none["decisions"].as_array().unwrap().len(), 0, "{none:#}");
    let (_, denied) = desk.api(Person::Analyst, "decisions?verdict=deny");
    assert_eq!(denied["decisions"][0]["outcome"], "denied", "{denied:#}");
    assert_eq!(
        denied["decisions"][0]["rules"][0],
        "agents-never-change-schema"
    );

    let id = own["decisions"][0]["statement_id"].as_str().unwrap();
    let path = format!("decisions/{id}");
    assert_eq!(desk.api(Person::Stranger, &path).0, 404);
    let (status, whole) = desk.api(Person::Agent, &path);
    assert_eq!(status, 200, "{whole:#}");
    assert_eq!(whole["masked"][0]["output_column"], "ssn", "{whole:#}");
    assert_eq!(
        whole["masked"][0]["source_columns"][0],
        "public.customers.ssn"
    );
    assert_eq!(whole["rows"][0]["rows"], 1);

    let session = whole["rows"][0]["session_id"].as_str().unwrap();
    let path = format!("sessions/{session}");
    assert_eq!(desk.api(Person::Stranger, &path).0, 404);
    for person in [Person::Agent, Person::Analyst] {
        let (_, story) = desk.api(person, &path);
        let moments = story["moments"].as_array().unwrap();
        assert_eq!(moments[0]["event"], "opened", "{story:#}");
        assert!(
            moments.iter().any(|one| one["verdict"] == "deny"),
            "{story:#}"
        );
    }
    let (_, listed) = desk.api(Person::Analyst, "sessions");
    assert_eq!(listed["past"].as_array().unwrap().len(), 2, "{listed:#}");
    assert_eq!(desk.api(Person::Agent, "health").0, 403);
    assert_eq!(desk.api(Person::Analyst, "controls").0, 403);
    let (_, health) = desk.api(Person::Analyst, "health");
    assert_eq!(health["targets"][0]["target"], "shop", "{health:#}");
    assert_eq!(health["gateways"][0]["gateway"], "gateway-1", "{health:#}");
    desk.house.stop_gateway();
    // What it said of the statement is what is sealed.
    let sealed =
        format!("SELECT sql FROM statements WHERE statement_id = '{id}' AND outcome = 'completed'");
    assert_eq!(desk.house.query(&sealed)[0]["sql"], whole["rows"][0]["sql"]);
}
