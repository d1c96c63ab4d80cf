//! The role that a session works in, and what it tells its server of the principal: who gets which, and that no client changes either.

use provost_engine::facts::Operation;
use provost_gateway::settings::{ClientTls, RoleOfGroup, Roles, Secret, Target};

use crate::{
    house::{
        House, allow_anything, allow_everything, allow_operations, settings_for, start_cluster,
        target, tokens,
    },
    postgres::Cluster,
    raw::{Raw, ask, bind, execute, message, parse, query, run},
};

/// The gateway's own log-in is `gate`, which may be `agents`, `analysts` and `readers`, and not `strangers`.
const SCHEMA: &str = "
    CREATE ROLE gate LOGIN PASSWORD 'gate';
    CREATE ROLE agents; CREATE ROLE analysts; CREATE ROLE readers; CREATE ROLE strangers;
    GRANT agents, analysts, readers TO gate;
    GRANT CREATE ON SCHEMA public TO gate, agents;
    CREATE SCHEMA agents; CREATE SCHEMA analysts;
    CREATE TABLE agents.thing AS SELECT 'of agents' AS v;
    CREATE TABLE analysts.thing AS SELECT 'of analysts' AS v;
    GRANT USAGE ON SCHEMA agents TO agents; GRANT USAGE ON SCHEMA analysts TO analysts;
    GRANT SELECT ON agents.thing TO agents; GRANT SELECT ON analysts.thing TO analysts;
    CREATE TABLE notes (owner text, team text, note text);
    INSERT INTO notes VALUES ('ann', 'red', 'hers'), ('bob', 'blue', 'his'), ('eve', 'red', 'theirs');
    ALTER TABLE notes ENABLE ROW LEVEL SECURITY;
    CREATE POLICY own ON notes USING (owner = current_setting('provost.principal', true)
        OR current_setting('provost.groups', true)::jsonb ? team);
    GRANT SELECT, INSERT ON notes TO gate, agents, analysts, readers;";

fn world() -> (Cluster, House) {
    let cluster = start_cluster();
    cluster.execute("postgres", SCHEMA).unwrap();
    let house = House::start(settings_for(ClientTls::Off, gate(&cluster)));
    (cluster, house)
}

/// The target as `gate`, with roles for two groups.
fn gate(cluster: &Cluster) -> Target {
    let role = |group: &str, role: &str| RoleOfGroup {
        group: group.into(),
        role: role.into(),
    };
    Target {
        user: "gate".into(),
        password: Some(Secret::new(&b"gate"[..]).into()),
        roles: Roles {
            by_group: vec![
                role("bots", "agents"),
                role("lab", "analysts"),
                role("lost", "nobody"),
                role("strange", "strangers"),
            ],
            otherwise: Some("readers".into()),
        },
        ..target(cluster)
    }
}

fn session(house: &House, name: &str, groups: &[&str]) -> Raw {
    let mut raw = log_in(house, name, groups);
    raw.until(b'Z');
    raw
}

fn log_in(house: &House, name: &str, groups: &[&str]) -> Raw {
    let parameters = [("user", name), ("database", "shop")];
    Raw::log_in(
        house.address,
        &parameters,
        &tokens().in_groups(name, groups),
    )
}

const WHO: &str = "SELECT current_user || ' ' || session_user";
const OWN: &str = "SELECT concat_ws('|', current_setting('provost.principal'), current_setting('provost.kind'), \
     current_setting('provost.person'), current_setting('provost.groups'))";

#[test]
fn the_first_entry_of_a_principals_groups_counts() {
    let (_cluster, house) = world();
    for (groups, expected) in [
        (&["bots"][..], "agents gate I"),
        (&["lab"], "analysts gate I"),
        (&["lab", "bots"], "agents gate I"),
        (&["staff"], "readers gate I"),
        (&["Bots"], "readers gate I"),
        (&[], "readers gate I"),
    ] {
        assert_eq!(
            ask(&mut session(&house, "ann", groups), WHO),
            expected,
            "{groups:?}"
        );
    }
    let records = house.stop();
    for role in ["agents", "analysts", "readers"] {
        let of_role = format!("\"role\":\"{role}\"");
        assert!(records.contains(&of_role), "{role}: {records}");
    }
}

#[test]
fn without_roles_a_session_is_the_gateways_own() {
    let cluster = start_cluster();
    cluster.execute("postgres", SCHEMA).unwrap();
    let target = Target {
        roles: Roles::default(),
        ..gate(&cluster)
    };
    let house = House::start(settings_for(ClientTls::Off, target));
    assert_eq!(
        ask(&mut session(&house, "ann", &["bots"]), WHO),
        "gate gate I"
    );
    assert!(house.stop().contains("\"role\":\"gate\""));
}

#[test]
fn a_role_that_can_not_be_had_refuses_the_log_in_and_says_what_to_grant() {
    let (cluster, house) = world();
    for (groups, expected) in [
        (
            &["lost"],
            "0P000 target `shop` gave no session in the role of this principal: role \"nobody\" does not exist; tell the gateway's operator: the role must be there, and GRANT \"nobody\" TO \"gate\"",
        ),
        (
            &["strange"],
            "0P000 target `shop` gave no session in the role of this principal: permission denied to set role \"strangers\"; tell the gateway's operator: the role must be there, and GRANT \"strangers\" TO \"gate\"",
        ),
    ] {
        assert_eq!(log_in(&house, "ann", groups).last_error(), expected);
    }
    cluster
        .execute("postgres", "GRANT strangers TO gate")
        .unwrap();
    assert_eq!(
        ask(&mut session(&house, "ann", &["strange"]), WHO),
        "strangers gate I"
    );
}

/// The same text means something else in each role: `$user` is in the search path.
#[test]
fn what_names_mean_is_the_roles() {
    let (_cluster, house) = world();
    let mut agent = session(&house, "bot", &["bots"]);
    let mut analyst = session(&house, "ann", &["lab"]);
    let mut reader = session(&house, "eve", &[]);
    for _ in 0..3 {
        assert_eq!(ask(&mut agent, "SELECT v FROM thing"), "of agents I");
        assert_eq!(ask(&mut analyst, "SELECT v FROM thing"), "of analysts I");
        let answer = ask(&mut reader, "SELECT v FROM thing");
        assert!(answer.contains("\"thing\" does not exist"), "{answer}");
    }
    // With a right of the server's own in between, nothing is the gateway's to allow.
    let answer = ask(&mut agent, "SELECT v FROM analysts.thing");
    assert!(
        answer.starts_with("42501 permission denied for schema"),
        "{answer}"
    );
}

#[test]
fn what_a_session_is_reset_to_is_its_own_role() {
    let (_cluster, house) = world();
    let mut raw = session(&house, "bot", &["bots"]);
    for (statement, expected) in [
        ("SET ROLE analysts", "analysts gate I"),
        ("RESET ROLE", "agents gate I"),
        // Whom a rule allows to set the role gets the gateway's own, too.
        ("SET ROLE NONE", "gate gate I"),
        ("RESET ALL", "gate gate I"),
        ("DISCARD ALL", "agents gate I"),
        ("SET SESSION AUTHORIZATION DEFAULT", "agents gate I"),
        ("SET SESSION AUTHORIZATION gate", "gate gate I"),
        ("RESET SESSION AUTHORIZATION", "agents gate I"),
    ] {
        assert_eq!(ask(&mut raw, statement), "I", "{statement}");
        assert_eq!(ask(&mut raw, WHO), expected, "{statement}");
        assert_eq!(ask(&mut raw, OWN), "bot|human||[\"bots\"] I", "{statement}");
    }
}

/// Everything that would change the role, for somebody whom no rule allows `session`.
#[test]
fn nobody_gets_another_role_without_a_rule() {
    let (_cluster, house) = world();
    house.policy.swap(allow_operations("two", |operation| {
        !matches!(
            operation,
            Operation::Session
                | Operation::Opaque
                | Operation::Grant
                | Operation::Alter
                | Operation::Maintain
        )
    }));
    let mut raw = session(&house, "bot", &["bots"]);
    for statement in [
        "SET ROLE analysts",
        "SET LOCAL ROLE analysts",
        "SET \"role\" = analysts",
        "SET U&\"\\0072ole\" = analysts",
        "SET ROLE NONE",
        "RESET ROLE",
        "SET SESSION AUTHORIZATION gate",
        "SET SESSION AUTHORIZATION DEFAULT",
        "SELECT set_config('role', 'analysts', false)",
        "SELECT pg_catalog.set_config('ro' || 'le', 'analysts', false)",
        "UPDATE pg_settings SET setting = 'analysts' WHERE name = 'role'",
        "ALTER ROLE gate SET role = analysts",
        "ALTER DATABASE postgres SET role = analysts",
        "ALTER ROLE CURRENT_USER SET role = analysts",
        "DO $$BEGIN SET ROLE analysts; END$$",
        "DO $$BEGIN EXECUTE 'SET ROLE analysts'; END$$",
        "CREATE FUNCTION sneaky() RETURNS text LANGUAGE sql SET role = analysts AS 'SELECT current_user::text'",
        "CREATE AGGREGATE sneaky(text, bool) (sfunc = set_config, stype = text, initcond = 'role')",
        "PREPARE p AS SELECT set_config('role', $1, false)",
        "DECLARE c CURSOR WITH HOLD FOR SELECT set_config('role', 'analysts', false)",
        "EXPLAIN ANALYZE SELECT set_config('role', 'analysts', false)",
        "COPY (SELECT set_config('role', 'analysts', false)) TO STDOUT",
        "CREATE TABLE sneaky AS SELECT set_config('role', 'analysts', false)",
        "SELECT 1; SET ROLE analysts; SELECT 2",
        "BEGIN; SET LOCAL ROLE analysts; COMMIT",
    ] {
        let answer = ask(&mut raw, statement);
        // An aggregate is made and does nothing; calling it is what would.
        let is_made = statement.starts_with("CREATE AGGREGATE") && answer == "I";
        // That view's rule sets what a column says: its definition is not read.
        let is_unread = statement.contains("pg_settings") && answer.starts_with("0A000");
        assert!(
            is_made || is_unread || answer.contains("42501"),
            "{statement}: {answer}"
        );
        assert_eq!(ask(&mut raw, WHO), "agents gate I", "{statement}");
    }
    let answer = ask(&mut raw, "SELECT sneaky('analysts', false)");
    assert!(answer.starts_with("42"), "{answer}");
    // The same in one pipeline: what comes behind is skipped, and the session is who it was.
    let mut frames = run("SET ROLE analysts");
    frames.extend(run(WHO));
    frames.extend(message(b'S', b""));
    let answer = raw.send(&frames).answer();
    assert!(answer.contains("42501"), "{answer}");
    assert_eq!(ask(&mut raw, WHO), "agents gate I");
}

/// Whoever is allowed everything can't change who the server thinks that it is.
#[test]
fn nobody_changes_what_the_server_is_told_of_the_principal() {
    let (cluster, house) = world();
    cluster
        .execute(
            "postgres",
            "CREATE FUNCTION made() RETURNS int LANGUAGE sql AS 'SELECT 1';
             ALTER FUNCTION made() OWNER TO agents;",
        )
        .unwrap();
    for policy in [allow_everything("two"), allow_anything("three")] {
        house.policy.swap(policy);
        let mut raw = session(&house, "ann", &["bots"]);
        for statement in [
            "SET provost.principal = 'root'",
            "SET SESSION provost.principal TO 'root'",
            "SET LOCAL provost.principal = 'root'",
            "SET Provost.Principal = 'root'",
            "SET \"provost.principal\" = 'root'",
            "SET \"provost\".\"principal\" = 'root'",
            "SET provost /* x */ . principal = 'root'",
            "SET U&\"\\0070rovost\".principal = 'root'",
            "SET U&\"!0070rovost.principal\" UESCAPE '!' = 'root'",
            "SET provost.principal FROM CURRENT",
            "SET provost.principal TO DEFAULT",
            "SET provost.other = 'x'",
            "RESET provost.principal",
            "RESET provost.groups",
            "SELECT set_config('provost.principal', 'root', false)",
            "SELECT set_config('PROVOST.principal', 'root', true)",
            "SELECT set_config(E'pro\\u0076ost.principal', 'root', true)",
            "ALTER ROLE gate SET provost.principal = 'root'",
            "ALTER ROLE gate RESET provost.principal",
            "ALTER DATABASE postgres SET provost.principal = 'root'",
            "ALTER SYSTEM SET provost.principal = 'root'",
            "CREATE FUNCTION sneaky() RETURNS int LANGUAGE sql SET provost.principal = 'root' AS 'SELECT 1'",
            "CREATE PROCEDURE sneaky() LANGUAGE sql SET \"provost\".kind = 'human' AS 'SELECT 1'",
            "ALTER FUNCTION made() SET provost.principal = 'root'",
            "ALTER FUNCTION made() SET U&\"\\0070rovost\".kind = 'root'",
            "ALTER ROUTINE made() SET provost.kind FROM CURRENT",
            "PREPARE p AS SELECT set_config('provost.principal', 'root', false)",
            "SELECT nothing FROM nowhere; SET provost.principal = 'root'",
            "SET \"provost\".principal = 'root'; SELECT nothing FROM nowhere",
        ] {
            let answer = ask(&mut raw, statement);
            assert!(answer.starts_with("42"), "{statement}: {answer}");
            // What analysis can't read says what it can't; the rest says why nobody may.
            let is_read = answer.contains("only the gateway")
                || answer.contains("tell the server who the principal is");
            assert!(
                is_read || statement.contains("nowhere"),
                "{statement}: {answer}"
            );
            assert_eq!(ask(&mut raw, OWN), "ann|human||[\"bots\"] I", "{statement}");
        }
        assert_eq!(ask(&mut raw, "SHOW provost.principal"), "ann I");
        for statement in ["RESET ALL", "DISCARD ALL"] {
            assert_eq!(ask(&mut raw, statement), "I");
            assert_eq!(ask(&mut raw, OWN), "ann|human||[\"bots\"] I", "{statement}");
        }
    }
}

#[test]
fn a_value_that_comes_with_bind_changes_nothing_either() {
    let (_cluster, house) = world();
    house.policy.swap(allow_operations("two", |operation| {
        !matches!(operation, Operation::Opaque)
    }));
    let mut raw = session(&house, "ann", &["bots"]);
    let frames = [
        parse("s", "SELECT set_config($1, $2, false)"),
        bind("", "s", &["provost.principal", "root"], 0),
        execute(""),
        message(b'S', b""),
    ]
    .concat();
    let answer = raw.send(&frames).answer();
    assert!(answer.contains("42501"), "{answer}");
    assert_eq!(ask(&mut raw, OWN), "ann|human||[\"bots\"] I");
}

/// Whoever may run what analysis can't bound is trusted with that for one statement: then the session ends.
#[test]
fn what_is_changed_behind_the_gateways_back_ends_the_session() {
    let (_cluster, house) = world();
    house.policy.swap(allow_anything("two"));
    for (statement, expected) in [
        (
            "DO $$BEGIN EXECUTE 'SET pro' || 'vost.principal = ''root'''; END$$",
            "42501 the session ends: `provost.principal`",
        ),
        (
            "SELECT set_config('provost' || '.groups', '[\"dba\"]', false)",
            "42501 the session ends: `provost.groups`",
        ),
        (
            "DO $$BEGIN EXECUTE 'SET RO' || 'LE analysts'; END$$",
            "42501 the session ends: `role`",
        ),
    ] {
        for behind in [
            query("SELECT note FROM notes"),
            [run("SELECT note FROM notes"), message(b'S', b"")].concat(),
        ] {
            let mut raw = session(&house, "ann", &["bots"]);
            raw.send(&query(statement));
            raw.until(b'Z');
            let error = raw.send(&behind).last_error_of_many();
            assert!(error.starts_with(expected), "{statement}: {error}");
        }
        // Sent at once, both.
        let mut raw = session(&house, "ann", &["bots"]);
        raw.send(&[query(statement), query("SELECT note FROM notes")].concat());
        let error = raw.last_error_of_many();
        assert!(error.starts_with(expected), "{statement}: {error}");
    }
}

/// The same by a FunctionCall message, which names `set_config` by its number.
#[test]
fn a_function_call_changes_it_for_nobody_to_use() {
    let (_cluster, house) = world();
    let text = |value: &str| {
        let length = u32::try_from(value.len()).unwrap().to_be_bytes();
        [&length[..], value.as_bytes()].concat()
    };
    let body = [
        &2078_u32.to_be_bytes()[..],
        &[0, 0, 0, 3],
        &text("provost.principal"),
        &text("root"),
        &text("f"),
        &[0, 0],
    ]
    .concat();
    let call = message(b'F', &body);
    let mut raw = session(&house, "ann", &["bots"]);
    let answer = raw.send(&call).answer();
    assert!(answer.starts_with("42501 function calls"), "{answer}");
    assert_eq!(ask(&mut raw, OWN), "ann|human||[\"bots\"] I");
    house.policy.swap(allow_anything("two"));
    let mut raw = session(&house, "ann", &["bots"]);
    let error = raw
        .send(&[call, query("SELECT note FROM notes")].concat())
        .last_error_of_many();
    assert!(
        error.starts_with("42501 the session ends: `provost.principal`"),
        "{error}"
    );
}

#[test]
fn row_level_security_goes_by_the_principal() {
    let (_cluster, house) = world();
    const NOTES: &str = "SELECT string_agg(note, ' ' ORDER BY note) FROM notes";
    for (name, groups, expected) in [
        ("ann", &["bots"][..], "hers I"),
        ("bob", &["lab"], "his I"),
        ("bob", &["lab", "red"], "hers his theirs I"),
        ("zoe", &["blue"], "his I"),
        ("zoe", &[], "NULL I"),
    ] {
        assert_eq!(ask(&mut session(&house, name, groups), NOTES), expected);
    }
    let mut raw = session(&house, "ann", &[]);
    assert_eq!(
        ask(&mut raw, "INSERT INTO notes VALUES ('ann', 'x', 'new')"),
        "I"
    );
    let answer = ask(&mut raw, "INSERT INTO notes VALUES ('bob', 'x', 'new')");
    assert!(
        answer.starts_with("42501 new row violates row-level security"),
        "{answer}"
    );
}

#[test]
fn a_principal_of_too_many_groups_is_told() {
    let (_cluster, house) = world();
    let many: Vec<String> = (0..500)
        .map(|number| format!("a-group-of-many-{number:03}"))
        .collect();
    let groups = |count: usize| -> Vec<&str> { many[..count].iter().map(String::as_str).collect() };
    session(&house, "ann", &groups(300));
    let error = log_in(&house, "ann", &groups(500)).last_error();
    assert!(
        error.starts_with("54000 no session can start so on target `shop`"),
        "{error}"
    );
}

/// A client can't have it that a start-up parameter of its own comes in the place of the gateway's.
#[test]
fn start_up_parameters_change_nothing() {
    let (_cluster, house) = world();
    for (name, value) in [
        ("provost.principal", "root"),
        ("Provost.Groups", "[]"),
        ("role", "analysts"),
        ("ROLE", "analysts"),
        ("options", "-c role=analysts"),
        ("options", "--provost.kind=human"),
        ("options", "-c provost.principal=root"),
        ("session_authorization", "gate"),
    ] {
        let parameters = [("user", "ann"), ("database", "shop"), (name, value)];
        let error = Raw::log_in(house.address, &parameters, &tokens().good("ann")).last_error();
        assert!(
            error.starts_with("42501 start-up setting"),
            "{name}: {error}"
        );
    }
    // A name and a value are told apart by their ends, and by nothing within.
    let parameters = [
        ("user", "ann"),
        ("database", "shop"),
        ("application_name", "x provost.principal=root role=analysts"),
    ];
    let mut raw = Raw::log_in(house.address, &parameters, &tokens().good("ann"));
    raw.until(b'Z');
    assert_eq!(ask(&mut raw, OWN), "ann|human||[\"staff\"] I");
    assert_eq!(ask(&mut raw, WHO), "readers gate I");
    assert_eq!(
        ask(&mut raw, "SHOW application_name"),
        "x provost.principal=root role=analysts I"
    );
}
