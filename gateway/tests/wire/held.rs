//! Held statements: they wait, go on by an approval of exactly them, once, or fail as people, time or their own client say.

use std::{
    net::Shutdown,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use provost_engine::{
    principal::{Delegator, Principal, PrincipalKind},
    verdict::HeldTransaction,
};
use provost_evidence::approvals::{ApprovalId, VoteKind};
use provost_gateway::{
    approvals::{Standing, VoteRefused},
    settings::{ClientTls, Target},
};
use tokio::runtime::Runtime;

use crate::{
    house::{
        House, PATIENCE, allow_everything, cluster, hold_changes, settings_for, target, tokens,
    },
    raw::{Raw, ask, bind, cancel_request, execute, message, parse, query},
};

const MINUTE: u64 = 60_000;
pub(crate) const ONE_DBA: [(&str, u16, u64); 1] = [("dbas", 1, 15 * MINUTE)];

/// A gateway that holds changes, with a table of the test's own.
pub(crate) struct World {
    pub(crate) house: House,
    pub(crate) table: &'static str,
}

impl World {
    pub(crate) fn new(table: &'static str, needs: &[(&str, u16, u64)]) -> Self {
        Self::keeping(table, needs, HeldTransaction::Fail)
    }

    pub(crate) fn keeping(
        table: &'static str,
        needs: &[(&str, u16, u64)],
        transaction: HeldTransaction,
    ) -> Self {
        let server: Target = target(cluster());
        let house = House::start(settings_for(ClientTls::Off, server));
        Self::in_house(house, table, needs, transaction)
    }

    /// With a table of its own, in a house that nobody else uses.
    pub(crate) fn in_house(
        house: House,
        table: &'static str,
        needs: &[(&str, u16, u64)],
        transaction: HeldTransaction,
    ) -> Self {
        let sql = format!(
            "CREATE TABLE public.{table} (id int PRIMARY KEY, note text);
             INSERT INTO public.{table} SELECT n, 'note ' || n FROM generate_series(1, 9) n;"
        );
        cluster().execute("postgres", &sql).unwrap();
        let world = Self { house, table };
        // The gateway knows the table.
        let mut raw = world.session("ann");
        let deadline = Instant::now() + PATIENCE;
        while ask(&mut raw, &format!("SELECT count(*) FROM public.{table}")) != "9 I" {
            assert!(Instant::now() < deadline, "the table is not known");
            thread::sleep(Duration::from_millis(50));
        }
        world
            .house
            .policy
            .swap(hold_changes("held", needs, transaction));
        world
    }

    pub(crate) fn session(&self, user: &str) -> Raw {
        self.session_with(user, &[])
    }

    pub(crate) fn session_with(&self, user: &str, more: &[(&str, &str)]) -> Raw {
        self.session_and_key(user, more).0
    }

    pub(crate) fn session_and_key(&self, user: &str, more: &[(&str, &str)]) -> (Raw, Vec<u8>) {
        let mut parameters = vec![("user", user), ("database", "shop")];
        parameters.extend(more);
        let mut raw = Raw::log_in(self.house.address, &parameters, &tokens().good(user));
        let key = raw.until(b'K');
        raw.until(b'Z');
        (raw, key)
    }

    pub(crate) fn delete(&self, id: u32) -> String {
        format!("DELETE FROM public.{} WHERE id = {id}", self.table)
    }

    /// How many rows are left, as the server has it.
    pub(crate) fn rows(&self) -> String {
        let sql = format!("SELECT count(*) FROM public.{}", self.table);
        cluster()
            .execute("postgres", &sql)
            .unwrap()
            .trim()
            .to_owned()
    }

    /// The notice that a statement is held, and the approval's id.
    pub(crate) fn held(&self, raw: &mut Raw) -> ApprovalId {
        let (kind, body) = raw.message();
        let text = String::from_utf8_lossy(&body).into_owned();
        assert_eq!(char::from(kind), 'N', "{text}");
        assert!(
            text.contains("held by policy until it is approved"),
            "{text}"
        );
        id_in(&text)
    }

    pub(crate) fn vote(
        &self,
        id: &ApprovalId,
        voter: &Principal,
        vote: VoteKind,
    ) -> Result<Standing, VoteRefused> {
        let runtime = Runtime::new().unwrap();
        let voted = self.house.approvals.vote(id, voter, (vote, "looked at it"));
        runtime.block_on(voted).map(|(_, standing)| standing)
    }

    pub(crate) fn approve(&self, id: &ApprovalId) {
        let standing = self.vote(id, &dba("dora"), VoteKind::Approve).unwrap();
        assert_eq!(standing, Standing::Approved);
    }

    pub(crate) fn standing(&self, id: &ApprovalId) -> Standing {
        self.house.approvals.show(id).unwrap().1
    }

    pub(crate) fn comes_to(&self, id: &ApprovalId, expected: &Standing) {
        let deadline = Instant::now() + PATIENCE;
        while self.standing(id) != *expected {
            assert!(Instant::now() < deadline, "{:?}", self.standing(id));
            thread::sleep(Duration::from_millis(20));
        }
    }
}

/// The approval's id in a message of the gateway's.
pub(crate) fn id_in(text: &str) -> ApprovalId {
    let (_, rest) = text
        .split_once("approval ")
        .unwrap_or_else(|| panic!("{text}"));
    ApprovalId::parse(rest.get(..25).unwrap()).unwrap_or_else(|| panic!("{text}"))
}

pub(crate) fn person(id: &str, groups: &[&str]) -> Principal {
    Principal {
        id: id.into(),
        kind: PrincipalKind::Human,
        groups: groups.iter().map(|group| Arc::from(*group)).collect(),
        on_behalf_of: None,
        issuer: "test".into(),
        claims: Default::default(),
    }
}

pub(crate) fn dba(id: &str) -> Principal {
    person(id, &["dbas"])
}

#[test]
fn a_held_statement_waits_and_others_do_not() {
    let world = World::new("held_waits", &ONE_DBA);
    let mut raw = world.session("ann");
    raw.send(&query(&world.delete(1)));
    let id = world.held(&mut raw);
    let mut other = world.session("ben");
    assert_eq!(ask(&mut other, "SELECT 1"), "1 I");
    raw.set_patience(Duration::from_millis(300));
    assert_eq!((raw.arrived(), world.rows().as_str()), (0, "9"));
    raw.set_patience(PATIENCE);
    world.approve(&id);
    assert_eq!(raw.answer(), "I");
    assert_eq!(
        (world.standing(&id), world.rows().as_str()),
        (Standing::Used, "8")
    );
    assert_eq!(ask(&mut raw, "SELECT 1"), "1 I");
    // The next one is another.
    raw.send(&query(&world.delete(1)));
    assert_ne!(world.held(&mut raw), id);
    drop(raw);
    let records = world.house.stop();
    let of_it: Vec<serde_json::Value> = records
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .filter(|record: &serde_json::Value| record["approval_id"] == id.as_str())
        .collect();
    let said: Vec<String> = of_it
        .iter()
        .map(|record| match record["entry"].as_str() {
            Some("approval") => format!("{} by {}", record["event"], record["actor"]),
            _ => format!("{} {}", record["verdict"], record["rules"]),
        })
        .collect();
    assert_eq!(
        said,
        [
            // The planner is asked first.
            r#""allow" ["changes-are-approved","everything"]"#,
            r#""requested" by "ann""#,
            r#""approved" by "dora""#,
            r#""used" by "ann""#,
            r#""hold" ["changes-are-approved","everything"]"#,
        ]
    );
    assert_eq!(of_it[3]["statement_id"], of_it[4]["statement_id"]);
}

#[test]
fn people_are_people_and_others_than_who_asks() {
    let needs = [("dbas", 2, 15 * MINUTE)];
    let world = World::new("held_people", &needs);
    let mut raw = world.session("ann");
    raw.send(&query(&world.delete(1)));
    let id = world.held(&mut raw);
    let refused = |voter: &Principal| {
        let refused = world.vote(&id, voter, VoteKind::Approve).unwrap_err();
        refused.to_string()
    };
    assert!(refused(&dba("ann")).contains("nobody approves their own request"));
    assert!(refused(&person("carl", &["ops"])).contains("none of the groups"));
    let bot = Principal {
        kind: PrincipalKind::Agent,
        ..dba("bot")
    };
    assert!(refused(&bot).contains("only people vote"));
    let by_agent = Principal {
        on_behalf_of: Some(Delegator {
            id: "eve".into(),
            groups: vec!["dbas".into()],
        }),
        ..dba("dave")
    };
    assert!(refused(&by_agent).contains("only people vote"));
    let standing = world.vote(&id, &dba("dora"), VoteKind::Approve).unwrap();
    assert_eq!(standing, Standing::Waiting);
    assert!(refused(&dba("dora")).contains("voted on it already"));
    assert_eq!(world.rows(), "9");
    let standing = world.vote(&id, &dba("carl"), VoteKind::Approve).unwrap();
    assert_eq!(standing, Standing::Approved);
    assert_eq!((raw.answer().as_str(), world.rows().as_str()), ("I", "8"));
    assert!(refused(&dba("eve")).contains("used already"));
}

#[test]
fn a_no_is_a_no() {
    let world = World::new("held_no", &ONE_DBA);
    let mut raw = world.session("ann");
    raw.send(&query(&world.delete(1)));
    let id = world.held(&mut raw);
    world.vote(&id, &dba("dora"), VoteKind::Deny).unwrap();
    let answer = raw.answer();
    assert_eq!(
        answer,
        format!("42501 approval {id} was refused by dora dora: looked at it I")
    );
    assert_eq!(
        (ask(&mut raw, "SELECT 1").as_str(), world.rows().as_str()),
        ("1 I", "9")
    );
    let records = world.house.stop();
    assert!(records.contains(r#""outcome":"denied""#), "{records}");
}

#[test]
fn its_client_takes_it_back() {
    let world = World::new("held_back", &ONE_DBA);
    let (mut raw, key) = world.session_and_key("ann", &[]);
    raw.send(&query(&world.delete(1)));
    let id = world.held(&mut raw);
    Raw::connect(world.house.address)
        .send(&cancel_request(&key))
        .closes();
    let answer = raw.answer();
    assert!(
        answer.starts_with("57014 canceling statement due to user request"),
        "{answer}"
    );
    assert_eq!(world.standing(&id), Standing::Withdrawn);
    // By going away, with a goodbye or without.
    for goodbye in [message(b'X', b""), Vec::new()] {
        raw = world.session("ann");
        raw.send(&query(&world.delete(1)));
        let id = world.held(&mut raw);
        raw.send(&goodbye).shutdown(Shutdown::Both);
        world.comes_to(&id, &Standing::Withdrawn);
    }
    assert_eq!(world.rows(), "9");
    let records = world.house.stop();
    assert!(records.contains(r#""outcome":"withdrawn""#), "{records}");
}

#[test]
fn who_does_not_wait_comes_again() {
    let world = World::new("held_again", &ONE_DBA);
    let off = [("provost.wait", "off")];
    let mut raw = world.session_with("ann", &off);
    let delete = world.delete(1);
    let answer = ask(&mut raw, &delete);
    assert!(
        answer.starts_with("42501 held by policy: it needs 1 of dbas within 15 min approval "),
        "{answer}"
    );
    let id = id_in(&answer);
    assert_eq!(id_in(&ask(&mut raw, &delete)), id, "it is asked for once");
    world.approve(&id);
    // What is another statement, or another's, is not approved.
    let others = [
        world.delete(2),
        format!("{delete} "),
        format!("{delete}; SELECT 1"),
    ];
    for other in others {
        assert_ne!(id_in(&ask(&mut raw, &other)), id, "{other}");
    }
    let path = [("provost.wait", "off"), ("search_path", "pg_catalog")];
    for (user, settings) in [("ben", &off[..]), ("ann", &path)] {
        let mut other = world.session_with(user, settings);
        assert_ne!(id_in(&ask(&mut other, &delete)), id, "{user} {settings:?}");
    }
    assert_eq!(world.rows(), "9");
    // Another session of the same principal may use it: once.
    let mut later = world.session_with("ann", &off);
    assert_eq!(ask(&mut later, &delete), "I");
    assert_eq!(
        (world.standing(&id), world.rows().as_str()),
        (Standing::Used, "8")
    );
    assert_ne!(id_in(&ask(&mut raw, &delete)), id);
}

#[test]
fn what_may_wait_is_on_or_off() {
    let world = World::new("held_settings", &ONE_DBA);
    for (name, value) in [("provost.wait", "maybe"), ("provost.waits", "off")] {
        let parameters = [("user", "ann"), ("database", "shop"), (name, value)];
        let mut raw = Raw::log_in(world.house.address, &parameters, &tokens().good("ann"));
        let error = raw.last_error();
        assert!(
            error.starts_with("42501 start-up setting `provost.wait"),
            "{error}"
        );
    }
    // In `options`, as psql's PGOPTIONS has it.
    let mut raw = world.session_with("ann", &[("options", "-c provost.wait=off")]);
    id_in(&ask(&mut raw, &world.delete(1)));
}

#[test]
fn values_are_a_part_of_what_is_approved() {
    let world = World::new("held_values", &ONE_DBA);
    let mut raw = world.session("ann");
    let sql = format!("DELETE FROM public.{} WHERE id = $1", world.table);
    let flush = message(b'H', b"");
    raw.send(&[parse("d", &sql), flush.clone()].concat())
        .until(b'1');
    // The whole pipeline is on its way; the Bind waits.
    let pipeline = [bind("", "d", &["3"], 0), execute(""), message(b'S', b"")].concat();
    raw.send(&pipeline);
    let id = world.held(&mut raw);
    let (case, _) = world.house.approvals.show(&id).unwrap();
    assert_eq!(case.request.parameters, Some(vec![Some("3".to_owned())]));
    assert_eq!(case.request.sql.as_deref(), Some(sql.as_str()));
    world.approve(&id);
    assert_eq!((raw.answer().as_str(), world.rows().as_str()), ("I", "8"));
    let mut off = world.session_with("ann", &[("provost.wait", "off")]);
    let mut attempt = |value: &str| {
        let run = [
            parse("", &sql),
            bind("", "", &[value], 0),
            execute(""),
            message(b'S', b""),
        ];
        off.send(&run.concat()).answer()
    };
    let id = id_in(&attempt("4"));
    world.approve(&id);
    assert_ne!(id_in(&attempt("5")), id);
    assert_eq!((attempt("4").as_str(), world.rows().as_str()), ("I", "7"));
    assert_ne!(id_in(&attempt("4")), id);
}

#[test]
fn an_open_transaction_is_not_kept_waiting() {
    let world = World::new("held_transaction", &ONE_DBA);
    let mut raw = world.session("ann");
    // Sent at once: whether a transaction is open is known only when the first is answered.
    raw.send(&[query("BEGIN"), query(&world.delete(1))].concat());
    assert_eq!(raw.answer(), "T");
    let answer = raw.answer();
    assert!(
        answer.ends_with(" E") && answer.contains("held by policy"),
        "{answer}"
    );
    let id = id_in(&answer);
    assert_eq!(ask(&mut raw, "ROLLBACK"), "I");
    // The same within a segment that has not ended.
    let segment = [
        parse("", "SELECT 1"),
        bind("", "", &[], 0),
        execute(""),
        parse("", &world.delete(1)),
        bind("", "", &[], 0),
        execute(""),
        message(b'S', b""),
    ];
    let answer = raw.send(&segment.concat()).answer();
    assert!(answer.starts_with("1 42501 held by policy"), "{answer}");
    assert_eq!(id_in(&answer), id);
    world.approve(&id);
    for sql in ["BEGIN", &world.delete(1), "COMMIT"] {
        let answer = ask(&mut raw, sql);
        assert!(["I", "T"].contains(&answer.as_str()), "{sql}: {answer}");
    }
    assert_eq!(world.rows(), "8");
}

#[test]
fn a_rule_may_keep_the_transaction() {
    let world = World::keeping("held_kept", &ONE_DBA, HeldTransaction::Keep);
    let mut raw = world.session("ann");
    assert_eq!(ask(&mut raw, "BEGIN"), "T");
    raw.send(&query(&world.delete(1)));
    let id = world.held(&mut raw);
    world.approve(&id);
    assert_eq!(raw.answer(), "T");
    assert_eq!(
        (ask(&mut raw, "COMMIT").as_str(), world.rows().as_str()),
        ("I", "8")
    );
}

#[test]
fn a_string_of_statements_is_one_thing() {
    let world = World::new("held_string", &ONE_DBA);
    let mut raw = world.session("ann");
    let sql = format!("{}; {}; SELECT 7", world.delete(1), world.delete(2));
    raw.send(&query(&sql));
    let id = world.held(&mut raw);
    let (case, _) = world.house.approvals.show(&id).unwrap();
    assert_eq!(case.request.statements.len(), 3);
    world.approve(&id);
    assert_eq!((raw.answer().as_str(), world.rows().as_str()), ("7 I", "7"));
}

#[test]
fn another_policy_asks_anew() {
    let world = World::new("held_policy", &ONE_DBA);
    let mut raw = world.session("ann");
    raw.send(&query(&world.delete(1)));
    let first = world.held(&mut raw);
    let two = hold_changes("two", &ONE_DBA, HeldTransaction::Fail);
    world.house.policy.swap(two);
    // The vote wakes it, and it may be taken back before the voter hears of it.
    world.vote(&first, &dba("dora"), VoteKind::Approve).unwrap();
    let second = world.held(&mut raw);
    assert_ne!(second, first);
    assert_eq!(
        (world.standing(&first), world.rows().as_str()),
        (Standing::Withdrawn, "9")
    );
    // Nobody need be asked any more.
    world.house.policy.swap(allow_everything("three"));
    world
        .vote(&second, &dba("dora"), VoteKind::Approve)
        .unwrap();
    assert_eq!((raw.answer().as_str(), world.rows().as_str()), ("I", "8"));
    assert_eq!(world.standing(&second), Standing::Withdrawn);
}

#[test]
fn nobody_answers_in_time() {
    let world = World::new("held_time", &[("dbas", 1, 1_500)]);
    let mut raw = world.session("ann");
    raw.send(&query(&world.delete(1)));
    let id = world.held(&mut raw);
    let answer = raw.answer();
    assert_eq!(
        answer,
        format!("42501 approval {id} was not given in time I")
    );
    let late = world.vote(&id, &dba("dora"), VoteKind::Approve);
    assert!(late.unwrap_err().to_string().contains("expired already"));
    assert_eq!(world.rows(), "9");
}

/// A Parse runs nothing; a Describe of it is answered.
#[test]
fn what_is_only_prepared_is_not_held() {
    let world = World::new("held_prepared", &ONE_DBA);
    let mut raw = world.session("ann");
    let describe = message(b'D', b"Sd\0");
    let sync = message(b'S', b"");
    raw.send(&[parse("d", &world.delete(1)), describe, sync].concat());
    assert_eq!(raw.answer(), "I");
    assert!(world.house.approvals.list().is_empty());
}

/// A role that may be another than the session's first is nothing to bind an approval to.
#[test]
fn a_role_that_may_have_changed_is_not_approved_for() {
    let world = World::new("held_role", &ONE_DBA);
    let mut raw = world.session("ann");
    assert_eq!(ask(&mut raw, "SET ROLE NONE"), "I");
    let answer = ask(&mut raw, &world.delete(1));
    assert!(
        answer.contains("the session's role may be another than it started in"),
        "{answer}"
    );
    assert_eq!(world.rows(), "9");
}

/// What people are asked of must be what runs, and all of it in their sight.
#[test]
fn what_they_could_not_see_is_not_asked_for() {
    let world = World::new("held_unseen", &ONE_DBA);
    let mut raw = world.session_with("ann", &[("provost.wait", "off")]);
    let delete = world.delete(1);
    // A name that can be given to another statement afterwards.
    let answer = ask(&mut raw, &format!("PREPARE p AS {delete}"));
    assert!(answer.contains("stands behind a name"), "{answer}");
    raw.send(&[parse("q", &delete), message(b'S', b"")].concat());
    assert_eq!(raw.answer(), "I");
    for sql in ["EXECUTE q", "EXPLAIN ANALYZE EXECUTE q"] {
        let answer = ask(&mut raw, sql);
        assert!(answer.contains("stands behind a name"), "{sql}: {answer}");
    }
    // A text that nobody would read to its end.
    let spaces = " ".repeat(40 * 1024);
    let long = format!("{delete}{spaces}OR true");
    let answer = ask(&mut raw, &long);
    assert!(answer.contains("too large to be shown"), "{answer}");
    let sql = format!("DELETE FROM public.{} WHERE note = $1", world.table);
    let large = [
        parse("", &sql),
        bind("", "", &[&"x".repeat(40 * 1024)], 0),
        execute(""),
        message(b'S', b""),
    ];
    let answer = raw.send(&large.concat()).answer();
    assert!(answer.contains("too large to be shown"), "{answer}");
    assert!(world.house.approvals.list().is_empty());
    assert_eq!(world.rows(), "9");
}

/// Settings decide what a text means, and so do definitions: an approval under others is for something else.
#[test]
fn what_a_text_means_is_a_part_of_what_is_approved() {
    let world = World::new("held_meaning", &ONE_DBA);
    let off = ("provost.wait", "off");
    let delete = world.delete(1);
    let approved = |raw: &mut Raw| {
        let id = id_in(&ask(raw, &delete));
        world.approve(&id);
        id
    };
    let mut raw = world.session_with("ann", &[off]);
    let id = approved(&mut raw);
    // Begun with another setting; set since.
    let mut other = world.session_with("ann", &[off, ("datestyle", "ISO, DMY")]);
    assert_ne!(id_in(&ask(&mut other, &delete)), id);
    let mut other = world.session_with("ann", &[off]);
    assert_eq!(ask(&mut other, "SET datestyle = 'ISO, DMY'"), "I");
    assert_ne!(id_in(&ask(&mut other, &delete)), id);
    // Other people would have to approve: of the policy's needs now, not then.
    let strict = hold_changes("held", &[("dbas", 2, 15 * MINUTE)], HeldTransaction::Fail);
    world.house.policy.swap(strict);
    assert_ne!(id_in(&ask(&mut raw, &delete)), id);
    let one = hold_changes("held", &ONE_DBA, HeldTransaction::Fail);
    world.house.policy.swap(one);
    // A definition that changed: nobody knows which of them were looked at.
    let sql = "CREATE FUNCTION public.held_meaning() RETURNS int LANGUAGE sql AS 'SELECT 1'";
    cluster().execute("postgres", sql).unwrap();
    // The gateway may not have seen it yet: it looks again before it lets the statement through.
    let answer = ask(&mut raw, &delete);
    assert!(
        answer.contains("the catalog changed, meanwhile") || id_in(&answer) != id,
        "{answer}"
    );
    assert_eq!(world.rows(), "9");
}

#[test]
fn one_principal_does_not_keep_others_from_asking() {
    let world = World::new("held_many", &ONE_DBA);
    let off = [("provost.wait", "off")];
    let mut raw = world.session_with("ann", &off);
    for number in 0..100 {
        id_in(&ask(&mut raw, &world.delete(number)));
    }
    let answer = ask(&mut raw, &world.delete(100));
    assert!(answer.contains("too many approvals"), "{answer}");
    let mut other = world.session_with("ben", &off);
    id_in(&ask(&mut other, &world.delete(1)));
}
