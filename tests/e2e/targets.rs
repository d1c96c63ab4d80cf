//! What docs/targets.md promises, by stock psql: roles by groups, rows by principals.

use std::fs;

use crate::support::{House, Person, succeeded};

const PAGE: &str = include_str!("../../docs/targets.md");

/// The page's example of row-level security.
fn example() -> &'static str {
    let (_, behind) = PAGE.split_once("```sql\n").unwrap();
    behind.split_once("```").unwrap().0
}

const ROWS: &str = "
    INSERT INTO notes VALUES (1, 'devin@corp', 'red', 'of devin'), (2, 'ana@corp', 'red', 'of ana'),
        (3, 'x@corp', 'analysts', 'of all analysts'), (4, 'x@corp', 'red', 'of x');
    CREATE ROLE shop_agents; CREATE ROLE shop_readers; CREATE ROLE provost LOGIN PASSWORD 'gateway';
    GRANT shop_agents, shop_readers TO provost;
    GRANT SELECT ON notes TO shop_agents, shop_readers;
    GRANT INSERT ON notes TO shop_agents;";

const ROLES: &str = r#"
roles = [{ group = "ai-agents", role = "shop_agents" }]
default_role = "shop_readers"
"#;

const RULES: &str = r#"
rule who-it-is
  allow read on { "provost.principal", "provost.groups" } for anyone
"#;

#[test]
fn rows_and_rights_are_those_of_the_principal() {
    let mut house = House::without_gateway();
    let sql = format!("{}{ROWS}", example());
    house.cluster.execute("shop", &sql).unwrap();
    fs::write(house.path("policies/targets.pol"), RULES).unwrap();
    fs::write(house.path("server-password"), "gateway").unwrap();
    house
        .write_config(|config| config.replace("user = \"postgres\"", "user = \"provost\"") + ROLES);
    house.start_gateway();
    let psql =
        |person: Person, sql: &str| house.psql(person, &["--tuples-only", "--no-align"], sql);
    for (person, expected) in [
        (Person::Agent, "shop_agents\nof devin\n"),
        (Person::Analyst, "shop_readers\nof ana\nof all analysts\n"),
    ] {
        for _ in 0..3 {
            let output = psql(
                person,
                "SELECT current_user; SELECT note FROM notes ORDER BY id;",
            );
            assert_eq!(succeeded(output), expected, "{person:?}");
        }
    }
    let insert = "INSERT INTO notes VALUES (5, 'devin@corp', 'red', 'new')";
    succeeded(psql(Person::Agent, insert));
    let foreign = psql(
        Person::Agent,
        "INSERT INTO notes VALUES (6, 'ana@corp', 'red', 'new')",
    );
    let words = String::from_utf8_lossy(&foreign.stderr).into_owned();
    // Masks bind agents: of the server's words only what they are about is left.
    assert!(words.contains("insufficient privilege"), "{words}");
    let posing = psql(
        Person::Agent,
        "SET provost.principal = 'ana@corp'; SELECT note FROM notes WHERE id = 2;",
    );
    let words = String::from_utf8_lossy(&posing.stderr).into_owned();
    assert!(
        words.contains("they tell the server who the principal is"),
        "{words}"
    );
    assert_eq!(String::from_utf8_lossy(&posing.stdout), "");
    house.stop_gateway();
    for (principal, role) in [("devin@corp", "shop_agents"), ("ana@corp", "shop_readers")] {
        let sql = format!(
            "SELECT count(*) FROM sessions WHERE event = 'opened' AND principal = '{principal}' AND role = '{role}'"
        );
        assert!(house.count(&sql) >= 3, "{principal}");
    }
}
