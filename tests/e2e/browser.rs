//! The console in a real browser (Chromium, driven by playwright-core), against a real OpenID Connect provider and stock psql.
//!
//! What people do there is in `tests/browser/console.mjs`; `tests/run.sh` installs what it needs and names the folder in
//! `PROVOST_TEST_BROWSER`. With `PROVOST_TEST_PICTURES` the pages' pictures are kept in that folder.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use crate::{
    oidc::Provider,
    support::{House, TARGET, free_port, succeeded},
};

/// Deletes of agents wait for one DBA, updates of anybody for two.
const HELD: &str = r#"
rule deletes-need-people
  hold delete on public.orders for agents
  until 1 of dbas approve within 2 min
  because "rows of orders are gone for good"

rule updates-need-two
  hold update on public.orders for anyone
  until 2 of dbas approve within 2 min
"#;
/// Who can log in to the console.
const PEOPLE: &str =
    r#"{"dora@corp": ["db-admins"], "emil@corp": ["db-admins"], "olga@corp": ["operators"]}"#;

/// The browser: where the environment says, or where systems have it.
fn chromium() -> PathBuf {
    let named = std::env::var_os("PROVOST_TEST_CHROMIUM").map(PathBuf::from);
    let folders: Vec<PathBuf> =
        std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()).collect();
    let names = ["chromium", "chromium-browser", "google-chrome"];
    let on_path = folders
        .iter()
        .flat_map(|folder| names.map(|name| folder.join(name)));
    let elsewhere = [
        "/Applications/Chromium.app/Contents/MacOS/Chromium",
        "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    ];
    named
        .into_iter()
        .chain(on_path)
        .chain(elsewhere.map(PathBuf::from))
        .find(|path| path.is_file())
        .unwrap_or_else(|| {
            panic!("there is no Chromium: run `sh tests/run.sh`, which installs it, or name one in PROVOST_TEST_CHROMIUM")
        })
}

/// Where playwright-core is, and the scripts that use it.
fn folder() -> PathBuf {
    let folder = std::env::var_os("PROVOST_TEST_BROWSER").map(PathBuf::from);
    folder
        .filter(|folder| folder.join("node_modules/playwright-core").is_dir())
        .unwrap_or_else(|| panic!("playwright-core is not installed: run `sh tests/run.sh`, which installs it beside the build"))
}

#[test]
fn people_use_the_console_in_a_browser() {
    let port = free_port();
    let console = format!("https://127.0.0.1:{port}");
    let callback = format!("{console}/callback");
    let mut provider = Provider::start_with(&[("REDIRECT_URI", &callback), ("PEOPLE", PEOPLE)]);
    let mut house = House::without_gateway();
    let ours = house.issuer.url();
    std::fs::write(house.path("client-secret"), "only-for-tests").unwrap();
    std::fs::write(house.path("policies/held.pol"), HELD).unwrap();
    house.write_config(|config| {
        let config = config.replace(&format!("\"{ours}\""), &format!("\"{}\"", provider.issuer));
        format!(
            "{config}\n[console]\nlisten = \"127.0.0.1:{port}\"\nclient_id = \"console\"\nclient_secret = \"file:client-secret\"\nscopes = [\"openid\", \"groups\"]\nadmins = [\"operators\"]\n"
        )
    });
    house.start_gateway();
    let mut script = Command::new("node");
    house.client_environment(&mut script, "", "", TARGET);
    script
        .arg(folder().join("console.mjs"))
        .env("CONSOLE", &console)
        .env("CHROMIUM", chromium())
        .env("PSQL", house.cluster.program("psql"))
        .env("AGENT_TOKEN", provider.token("devin@corp"))
        .env("DORA_TOKEN", provider.token("dora@corp"));
    if let Some(pictures) = std::env::var_os("PROVOST_TEST_PICTURES") {
        assert!(Path::new(&pictures).is_dir(), "{pictures:?} is no folder");
        script.env("PICTURES", pictures);
    }
    let said = succeeded(script.output().unwrap());
    assert!(said.ends_with("browser: done\n"), "{said}");
    house.stop_gateway();
    let votes = "SELECT count(*) FROM approvals WHERE event IN ('approved', 'refused')";
    assert_eq!(house.count(votes), 7);
    let ended = "SELECT c.actor, c.after, s.reason FROM changes c JOIN sessions s ON s.session_id = c.before AND s.event = 'closed' WHERE c.what = 'session-ended'";
    let ended = house.query(ended);
    assert_eq!(ended.len(), 1);
    assert_eq!(ended[0]["actor"], "olga@corp");
    assert_eq!(ended[0]["after"], "it was forgotten");
    assert_eq!(
        ended[0]["reason"],
        "terminating connection: olga@corp ended this session: it was forgotten"
    );
    succeeded(house.verify());
}
