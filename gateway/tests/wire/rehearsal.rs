//! What people are shown of a held statement before it runs: the planner's estimate, a dry run; and that it then changes no more than twice
//! as many rows.

use std::{thread, time::Duration};

use provost_engine::verdict::HeldTransaction;
use provost_evidence::approvals::{ApprovalId, Rows, VoteKind};
use provost_gateway::approvals::{DryRunRefused, Standing};
use serde_json::Value;
use tokio::runtime::Runtime;

use crate::{
    held::{ONE_DBA, World, dba, person},
    house::cluster,
    raw::{Raw, ask, bind, execute, message, parse, query},
};

/// Runs SQL at the server itself.
fn server(sql: &str) {
    cluster().execute("postgres", sql).unwrap();
}

impl World {
    /// A gateway that holds changes, with a table whose rows the planner knows, and keeps to.
    fn planned(table: &'static str) -> Self {
        let world = Self::new(table, &ONE_DBA);
        server(&format!(
            "ALTER TABLE public.{table} SET (autovacuum_enabled = off); ANALYZE public.{table};"
        ));
        world
    }

    fn estimate(&self, id: &ApprovalId) -> Rows {
        let (case, _) = self.house.approvals.show(id).unwrap();
        case.request.estimate.clone().unwrap()
    }

    fn dry_run(&self, id: &ApprovalId, person: &str) -> Result<Rows, DryRunRefused> {
        let runtime = Runtime::new().unwrap();
        let made = runtime.block_on(self.house.approvals.dry_run(id, &dba(person)));
        made.map(|(case, _)| case.dry_run.clone().unwrap().rows)
    }

    /// Holds this, and gives what people are shown: the estimate and a dry run. Nothing of it runs.
    fn shown(&self, raw: &mut Raw, sql: &str) -> (Rows, Rows) {
        raw.send(&query(sql));
        let id = self.held(raw);
        let told = (self.estimate(&id), self.dry_run(&id, "dora").unwrap());
        self.vote(&id, &dba("carl"), VoteKind::Deny).unwrap();
        let answer = raw.answer();
        assert!(answer.contains("was refused by carl"), "{answer}");
        told
    }
}

fn why(rows: &Rows) -> &str {
    match rows {
        Rows::Count(_) => panic!("{rows:?}"),
        Rows::Unknown { why } => why,
    }
}

/// Ruling 17: what changed since it was looked at is seen once it has run, and undone.
#[test]
fn twice_the_rows_that_were_shown_and_no_more() {
    let world = World::planned("rehearsal_twice");
    let mut raw = world.session("ann");
    let delete = format!("DELETE FROM public.{}", world.table);
    raw.send(&query(&delete));
    let id = world.held(&mut raw);
    assert_eq!(world.estimate(&id), Rows::Count(9));
    server(&format!(
        "INSERT INTO public.{} SELECT n, '' FROM generate_series(10, 19) n",
        world.table
    ));
    world.approve(&id);
    let answer = raw.answer();
    assert!(answer.starts_with("54000 "), "{answer}");
    assert_eq!(
        (world.standing(&id), world.rows().as_str()),
        (Standing::Used, "19"),
        "it is spent, and nothing is gone"
    );
    // 18 are twice 9.
    server(&format!("DELETE FROM public.{} WHERE id = 19", world.table));
    raw.send(&query(&delete));
    let id = world.held(&mut raw);
    world.approve(&id);
    assert_eq!((raw.answer().as_str(), world.rows().as_str()), ("I", "0"));
}

#[test]
fn a_dry_run_tells_the_rows_and_changes_none() {
    let world = World::planned("rehearsal_dry");
    let mut raw = world.session("ann");
    let delete = format!(
        "DELETE FROM public.{} WHERE id > 4 RETURNING note",
        world.table
    );
    raw.send(&query(&delete));
    let id = world.held(&mut raw);
    for (who, words) in [
        (dba("ann"), "nobody approves their own request"),
        (person("carl", &["ops"]), "none of the groups"),
    ] {
        let runtime = Runtime::new().unwrap();
        let asked = world.house.approvals.dry_run(&id, &who);
        let refused = runtime.block_on(asked).unwrap_err().to_string();
        assert!(refused.contains(words), "{refused}");
    }
    assert_eq!(world.dry_run(&id, "dora").unwrap(), Rows::Count(5));
    assert_eq!(
        (world.standing(&id), world.rows().as_str()),
        (Standing::Waiting, "9")
    );
    // The first stands, and nobody runs it again.
    server(&format!("DELETE FROM public.{} WHERE id = 9", world.table));
    assert_eq!(world.dry_run(&id, "carl").unwrap(), Rows::Count(5));
    raw.set_patience(Duration::from_millis(300));
    assert_eq!(raw.arrived(), 0, "its client hears nothing of it");
    raw.set_patience(crate::house::PATIENCE);
    world.approve(&id);
    assert_eq!(raw.answer(), "note 5 note 6 note 7 note 8 I");
    let (case, _) = world.house.approvals.show(&id).unwrap();
    assert_eq!(case.votes[0].rows_shown, Some(5));
    drop(raw);
    let records = world.house.stop();
    let records: Vec<Value> = records
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let of_it = |record: &&Value| record["approval_id"] == id.as_str();
    let said: Vec<String> = records
        .iter()
        .filter(of_it)
        .map(|record| match record["entry"].as_str() {
            Some("approval") => {
                format!(
                    "{} {} {}",
                    record["event"], record["actor"], record["reason"]
                )
            }
            _ => format!(
                "{} {} {}",
                record["verdict"], record["kind"], record["reason"]
            ),
        })
        .collect();
    assert_eq!(
        said,
        [
            r#""allow" "explain" "the planner is asked how many rows it expects, for whoever is asked to approve""#,
            r#""requested" "ann" null"#,
            r#""allow" "delete" "a dry run that somebody who is asked to approve asked for: it is rolled back""#,
            r#""dry-run" "dora" "it changes 5 rows""#,
            r#""approved" "dora" "looked at it""#,
            r#""used" "ann" null"#,
            r#""hold" "delete" null"#,
        ]
    );
    // Each of the three has an end of its own, and the dry run's is what its approval's row names.
    let ends = |statement: &Value| {
        let ended = records.iter().filter(|record| record["entry"] == "end");
        let of_it: Vec<&Value> = ended
            .filter(|end| end["statement_id"] == *statement)
            .collect();
        assert_eq!(of_it.len(), 1, "{statement}");
        (of_it[0]["outcome"].clone(), of_it[0]["rows"].clone())
    };
    let all: Vec<&Value> = records.iter().filter(of_it).collect();
    assert_eq!(
        ends(&all[0]["statement_id"]),
        ("completed".into(), 0.into())
    );
    assert_eq!(
        ends(&all[2]["statement_id"]),
        ("completed".into(), 5.into())
    );
    assert_eq!(all[2]["statement_id"], all[3]["statement_id"]);
    assert_eq!(
        ends(&all[6]["statement_id"]),
        ("completed".into(), 4.into())
    );
}

#[test]
fn values_are_estimated_and_tried_as_they_are_bound() {
    let world = World::planned("rehearsal_values");
    server(&format!(
        "INSERT INTO public.{0} SELECT n, '' FROM generate_series(10, 100) n; ANALYZE public.{0};",
        world.table
    ));
    let mut raw = world.session("ann");
    let sql = format!("DELETE FROM public.{} WHERE id <= $1::int", world.table);
    raw.send(&[parse("d", &sql), message(b'H', b"")].concat())
        .until(b'1');
    let mut hold = |value: &str| {
        let run = [bind("", "d", &[value], 0), execute(""), message(b'S', b"")];
        raw.send(&run.concat());
        let id = world.held(&mut raw);
        let told = (world.estimate(&id), world.dry_run(&id, "dora").unwrap());
        world.vote(&id, &dba("carl"), VoteKind::Deny).unwrap();
        raw.answer();
        told
    };
    for (value, expected) in [("10", 10), ("90", 90)] {
        let (estimate, dry_run) = hold(value);
        assert_eq!(dry_run, Rows::Count(expected));
        let estimate = estimate.count().unwrap();
        assert!(estimate.abs_diff(expected) <= 5, "{value}: {estimate}");
    }
    assert_eq!(world.rows(), "100");
}

/// What could have an effect that no rollback takes back, or whose rows nobody counts, is neither estimated nor tried: people read why.
#[test]
fn what_reaches_beyond_its_transaction_is_not_tried() {
    let world = World::planned("rehearsal_beyond");
    let table = world.table;
    server(&format!(
        "CREATE FUNCTION public.{table}_f() RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN PERFORM pg_notify('x', ''); RETURN 1; END $$;
         CREATE TABLE public.{table}_id (id int PRIMARY KEY GENERATED BY DEFAULT AS IDENTITY, n int);
         CREATE TABLE public.{table}_serial (id serial PRIMARY KEY, n int REFERENCES public.{table} ON DELETE CASCADE);
         INSERT INTO public.{table}_id (n) VALUES (1), (2);"
    ));
    let mut raw = world.session("ann");
    // A name that is not known has the catalog read again, and with it all of this.
    let known = format!("SELECT count(*) FROM public.{table}_serial");
    assert_eq!(ask(&mut raw, &known), "0 I");
    let cases = [
        (
            format!("DELETE FROM public.{table} WHERE id = public.{table}_f()"),
            "more than a change of rows: listen".to_owned(),
            "more than a change of rows: listen".to_owned(),
        ),
        (
            format!("DELETE FROM public.{table} WHERE id = 1"),
            "does not count all".to_owned(),
            "does not count all".to_owned(),
        ),
        (
            format!("UPDATE public.{table}_serial SET id = DEFAULT"),
            String::new(),
            "numbers from a sequence".to_owned(),
        ),
        (
            format!("UPDATE public.{table}_serial SET n = nextval('{table}_serial_id_seq')"),
            "calls pg_catalog.nextval()".to_owned(),
            "calls pg_catalog.nextval()".to_owned(),
        ),
        (
            format!("DELETE FROM public.{table}_serial; SELECT 1"),
            "several statements".to_owned(),
            "several statements".to_owned(),
        ),
        (
            format!("UPDATE public.{table} SET id = 2, note = 'secret' WHERE id = 1"),
            String::new(),
            "the server refused it (23505)".to_owned(),
        ),
        (
            format!("UPDATE public.{table}_id SET id = DEFAULT"),
            String::new(),
            "numbers from a sequence".to_owned(),
        ),
    ];
    for (sql, no_estimate, no_dry_run) in cases {
        let (estimate, dry_run) = world.shown(&mut raw, &sql);
        let all = format!("{sql}: {estimate:?}, {dry_run:?}");
        assert_eq!(dry_run.count(), None, "{all}");
        match no_estimate.as_str() {
            "" => assert!(estimate.count().is_some(), "{all}"),
            words => assert!(why(&estimate).contains(words), "{all}"),
        }
        assert!(why(&dry_run).contains(&no_dry_run), "{all}");
        assert!(!why(&dry_run).contains("secret"), "{all}");
    }
    // A number taken would be gone for good.
    let sequence = format!("SELECT is_called FROM public.{table}_serial_id_seq");
    assert_eq!(
        cluster().execute("postgres", &sequence).unwrap().trim(),
        "f"
    );
    let (_, dry_run) = world.shown(&mut raw, &format!("UPDATE public.{table}_id SET n = 3"));
    assert_eq!(dry_run, Rows::Count(2), "an identity that is not set");
}

/// What its session sees and nobody else does, a second connection can't tell.
#[test]
fn what_only_its_session_sees_is_not_tried() {
    let world = World::keeping("rehearsal_own", &ONE_DBA, HeldTransaction::Keep);
    let mut raw = world.session("ann");
    assert_eq!(ask(&mut raw, "BEGIN"), "T");
    let delete = world.delete(1);
    raw.send(&query(&delete));
    let id = world.held(&mut raw);
    assert!(world.estimate(&id).count().is_some());
    let dry_run = world.dry_run(&id, "dora").unwrap();
    assert!(why(&dry_run).contains("transaction is open"), "{dry_run:?}");
    // Where there is no dry run, the estimate is what was shown.
    world.approve(&id);
    assert_eq!(raw.answer(), "T");
    assert_eq!(ask(&mut raw, "COMMIT"), "I");
    assert_eq!(ask(&mut raw, "SET work_mem = '1MB'"), "I");
    let (estimate, dry_run) = world.shown(&mut raw, &world.delete(2));
    for rows in [estimate, dry_run] {
        assert!(why(&rows).contains("may have changed settings"), "{rows:?}");
    }
}

/// A trigger that came to be a moment ago, which the gateway need not know of yet.
#[test]
fn what_changed_a_moment_ago_is_not_tried() {
    let world = World::planned("rehearsal_trigger");
    let mut raw = world.session("ann");
    let (estimate, dry_run) = world.shown(&mut raw, &world.delete(1));
    assert!(estimate.count().is_some() && dry_run.count().is_some());
    server(&format!(
        "CREATE FUNCTION public.{0}_f() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NOTIFY x; RETURN NULL; END $$;
         CREATE TRIGGER t AFTER DELETE ON public.{0} EXECUTE FUNCTION public.{0}_f();",
        world.table
    ));
    raw.send(&query(&world.delete(1)));
    let id = world.held(&mut raw);
    let estimate = world.estimate(&id);
    assert_eq!(estimate.count(), None, "{estimate:?}");
}

/// A lock of somebody else's is waited for briefly; the session that waits for people is none the worse.
#[test]
fn a_locked_table_has_no_number() {
    let world = World::planned("rehearsal_locked");
    let mut raw = world.session("ann");
    let mut other = world.session("ben");
    assert_eq!(ask(&mut other, "BEGIN"), "T");
    let lock = format!("LOCK TABLE public.{} IN SHARE MODE", world.table);
    assert_eq!(ask(&mut other, &lock), "T");
    let (estimate, dry_run) = world.shown(&mut raw, &world.delete(1));
    for rows in [estimate, dry_run] {
        assert_eq!(why(&rows), "it took too long");
    }
    assert_eq!(ask(&mut other, "ROLLBACK"), "I");
    assert_eq!(ask(&mut raw, "SELECT 1"), "1 I");
}

/// Nobody waits any more by the time somebody wants it tried.
#[test]
fn a_dry_run_needs_a_session_that_waits() {
    let world = World::planned("rehearsal_gone");
    let mut raw = world.session_with("ann", &[("provost.wait", "off")]);
    let answer = ask(&mut raw, &world.delete(1));
    let id = crate::held::id_in(&answer);
    assert!(world.estimate(&id).count().is_some(), "{answer}");
    let refused = world.dry_run(&id, "dora").unwrap_err();
    assert!(matches!(refused, DryRunRefused::NobodyWaits), "{refused}");
    thread::scope(|scope| {
        let mut waits = world.session("ann");
        waits.send(&query(&world.delete(1)));
        assert_eq!(world.held(&mut waits), id, "the same request");
        let made = scope.spawn(|| world.dry_run(&id, "dora"));
        assert_eq!(made.join().unwrap().unwrap(), Rows::Count(1));
    });
}
