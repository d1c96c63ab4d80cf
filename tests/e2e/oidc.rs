//! A real OpenID Connect provider (npm's oidc-provider): its discovery document, its keys, its access tokens.
//!
//! `tests/run.sh` installs it beside the build and names the folder in `PROVOST_TEST_OIDC`.

use std::{
    io::{BufReader, Write as _},
    path::PathBuf,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

use crate::support::{House, TARGET, succeeded, text};

/// Machine identities: RS256 where the name says so, ES256 else.
const CLIENT_GROUPS: &str =
    r#"{"devin@corp": ["ai-agents"], "rsa-dora@corp": ["db-admins"], "stan@corp": []}"#;

struct Provider {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
    issuer: String,
}

impl Provider {
    fn start() -> Self {
        let folder = std::env::var_os("PROVOST_TEST_OIDC").map(PathBuf::from);
        let folder = folder
            .filter(|folder| folder.join("node_modules/oidc-provider").is_dir())
            .unwrap_or_else(|| panic!("npm's oidc-provider is not installed: run `sh tests/run.sh`, which installs it beside the build"));
        let mut child = Command::new("node")
            .arg(folder.join("provider.mjs"))
            .env("CLIENT_GROUPS", CLIENT_GROUPS)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        let issuer = line(&mut output);
        Self {
            input: child.stdin.take(),
            child,
            output,
            issuer,
        }
    }

    /// A fresh access token for a client.
    fn token(&mut self, client: &str) -> String {
        writeln!(self.input.as_mut().unwrap(), "{client}").unwrap();
        let token = line(&mut self.output);
        assert!(!token.is_empty(), "the provider gave no token");
        token
    }
}

impl Drop for Provider {
    fn drop(&mut self) {
        // The provider ends with its input.
        drop(self.input.take());
        let _ = self.child.wait();
    }
}

fn line(output: &mut impl std::io::BufRead) -> String {
    let mut line = String::new();
    output.read_line(&mut line).unwrap();
    line.trim_end().to_owned()
}

#[test]
fn access_tokens_of_a_real_provider_open_sessions() {
    let mut provider = Provider::start();
    let mut house = House::without_gateway();
    let ours = house.issuer.url();
    house.write_config(|config| {
        config
            .replace(&format!("\"{ours}\""), &format!("\"{}\"", provider.issuer))
            .replace(
                r#"algorithms = ["ES256"]"#,
                r#"algorithms = ["ES256", "RS256"]"#,
            )
    });
    house.start_gateway();
    let quiet = ["--quiet", "--tuples-only", "--no-align"];

    let agent = provider.token("devin@corp");
    let masked = house.psql_with(
        "devin@corp",
        &agent,
        TARGET,
        &quiet,
        "SELECT ssn FROM customers WHERE id = 1;",
    );
    let masked = succeeded(masked);
    assert!(masked.starts_with('*'), "{masked}");

    let dba = provider.token("rsa-dora@corp");
    let raw = house.psql_with(
        "rsa-dora@corp",
        &dba,
        TARGET,
        &quiet,
        "SELECT count(*) FROM hr.salaries;",
    );
    assert!(succeeded(raw).trim().parse::<u64>().unwrap() > 0);

    // The token says who it is, and nobody else.
    let other = house.psql_with("rsa-dora@corp", &agent, TARGET, &quiet, "SELECT 1;");
    assert!(!other.status.success());
    assert!(
        text(&other.stderr).contains("the token is of `devin@corp`"),
        "{}",
        text(&other.stderr)
    );

    // A token of another issuer, with the right audience, is not of this one.
    let foreign = house.token(crate::support::Person::Agent);
    let refused = house.psql_with("devin@corp", &foreign, TARGET, &quiet, "SELECT 1;");
    assert!(!refused.status.success());

    house.stop_gateway();
    assert_eq!(
        house.count("SELECT count(*) FROM sessions WHERE event = 'opened'"),
        2
    );
    assert_eq!(
        house.count("SELECT count(*) FROM sessions WHERE event = 'refused'"),
        2
    );
    succeeded(house.verify());
}
