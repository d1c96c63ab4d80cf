//! Approvals that gateways share, in a bucket of a real server of the S3 protocol (moto).

use std::{
    process::{Command, Output},
    sync::Barrier,
    thread,
};

use crate::support::{
    House, Person, TARGET, free_port, public_key, run_with_input, s3::S3, succeeded, text,
};

/// Deletes of agents wait for one DBA.
const HELD: &str = r#"
rule deletes-need-people
  hold delete on public.orders for agents
  until 1 of dbas approve within 5 min
"#;

/// How often two gateways race for an approval.
const ROUNDS: u64 = 12;

/// Two gateways over one bucket, that believe each other.
struct Pair {
    house: House,
    /// Where clients find each.
    ports: [u16; 2],
    /// The consoles of each.
    consoles: [u16; 2],
    _s3: S3,
}

impl Pair {
    fn new() -> Self {
        let mut house = House::without_gateway();
        let rows = format!(
            "INSERT INTO orders SELECT n, 1, 1, 'raced for' FROM generate_series(5, {ROUNDS}) n"
        );
        house.cluster.execute("shop", &rows).unwrap();
        let s3 = S3::start(&house);
        house.environment = s3.environment();
        house.store = S3::location("evidence");
        std::fs::write(house.path("policies/held.pol"), HELD).unwrap();
        for (name, file) in [("gateway-1", "first.pub"), ("gateway-2", "second.pub")] {
            std::fs::write(house.path(file), public_key(name) + "\n").unwrap();
        }
        let consoles = [free_port(), free_port()];
        let settings = |console: u16| {
            format!(
                "seal_interval_ms = 200\n[approvals]\ntrusted_gateways = [\"first.pub\", \"second.pub\"]\n\
                 [console]\nlisten = \"127.0.0.1:{console}\"\n"
            )
        };
        house.evidence_settings = settings(consoles[0]);
        house.write_config(|config| config);
        house.start_gateway();
        let first = house.port;
        house.evidence_settings = settings(consoles[1]);
        house.start_another();
        let ports = [first, house.port];
        Self {
            house,
            ports,
            consoles,
            _s3: s3,
        }
    }

    /// Sends SQL as the agent through one of them, and does not wait for people.
    fn send(&self, of: usize, sql: &str) -> Output {
        let mut command = Command::new(self.house.cluster.program("psql"));
        command.args(["--no-psqlrc", "--file=-"]);
        let (person, token) = (Person::Agent, self.house.token(Person::Agent));
        self.house
            .client_environment(&mut command, person.id(), &token, TARGET);
        command
            .env("PGPORT", self.ports[of].to_string())
            .env("PGOPTIONS", "-c provost.wait=off");
        run_with_input(command, sql)
    }

    /// `provost approvals` at the console of one of them, as the DBA.
    fn approvals(&self, of: usize, arguments: &[&str]) -> String {
        let mut command = Command::new(env!("CARGO_BIN_EXE_provost"));
        command
            .arg("approvals")
            .args(arguments)
            .arg("--ca")
            .arg(self.house.path("certificate.pem"))
            .env(
                "PROVOST_CONSOLE",
                format!("https://127.0.0.1:{}", self.consoles[of]),
            )
            .env("PROVOST_TOKEN", self.house.token(Person::Dba))
            .env("NO_COLOR", "1");
        text(&command.output().unwrap().stdout)
    }
}

/// Issue: two gateways that both know that a statement may run; one of them runs it.
#[test]
fn two_gateways_race_for_an_approval_and_one_runs_it() {
    let mut pair = Pair::new();
    for round in 1..=ROUNDS {
        let sql = format!("DELETE FROM orders WHERE id = {round};");
        // Asked for through the one, approved at the other.
        let held = text(&pair.send(0, &sql).stderr);
        let (_, id) = held
            .split_once("approval ")
            .unwrap_or_else(|| panic!("{held}"));
        let id = id.get(..25).unwrap();
        pair.house.wait_until("the other to hear of it", |_| {
            pair.approvals(1, &["show", id]).contains("waiting")
        });
        let approved = pair.approvals(1, &["approve", id, "--reason", "fine"]);
        assert!(approved.contains("approved; it is approved"), "{approved}");
        pair.house.wait_until("the first to hear of it", |_| {
            pair.approvals(0, &["show", id]).contains("approved by")
        });
        let start = Barrier::new(2);
        let race = |of: usize| {
            start.wait();
            pair.send(of, &sql)
        };
        let sent = thread::scope(|scope| {
            let other = scope.spawn(|| race(1));
            [race(0), other.join().unwrap()]
        });
        let told = sent.each_ref().map(|output| text(&output.stdout));
        let ran = told.iter().filter(|told| **told == "DELETE 1\n").count();
        assert_eq!(ran, 1, "round {round}: {sent:?}");
        // Whoever came late changed nothing, and reads so.
        let late = sent.iter().find(|output| output.stdout.is_empty());
        let late = late.unwrap_or_else(|| panic!("round {round}: {told:?}"));
        let late = text(&late.stderr);
        assert!(
            late.contains("meanwhile") || late.contains("held by policy"),
            "{late}"
        );
    }
    pair.house.stop_gateway();
    pair.house.stop_others();
    let used = "SELECT count(*) FROM approvals WHERE event = 'used'";
    assert_eq!(pair.house.count(used), ROUNDS);
    let ran = "SELECT count(*) FROM statements WHERE verdict = 'hold' AND outcome = 'completed'";
    assert_eq!(pair.house.count(ran), ROUNDS);
    let verified = succeeded(pair.house.verify_all(&["gateway-1", "gateway-2"]));
    assert!(verified.contains("intact"), "{verified}");
}
