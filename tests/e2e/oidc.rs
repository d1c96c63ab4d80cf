//! A real OpenID Connect provider (npm's oidc-provider): its discovery document, its keys, its access tokens.
//!
//! `tests/run.sh` installs it beside the build and names the folder in `PROVOST_TEST_OIDC`.

use std::{
    collections::BTreeMap,
    io::{BufReader, Write as _},
    path::PathBuf,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

use crate::support::{House, TARGET, free_port, succeeded, text};

/// Machine identities: RS256 where the name says so, ES256 else.
const CLIENT_GROUPS: &str = r#"{"devin@corp": ["ai-agents"], "dora@corp": ["db-admins"], "rsa-dora@corp": ["db-admins"], "stan@corp": []}"#;

pub(crate) struct Provider {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
    pub(crate) issuer: String,
}

impl Provider {
    fn start() -> Self {
        Self::start_with(&[])
    }

    pub(crate) fn start_with(environment: &[(&str, &str)]) -> Self {
        let folder = std::env::var_os("PROVOST_TEST_OIDC").map(PathBuf::from);
        let folder = folder
            .filter(|folder| folder.join("node_modules/oidc-provider").is_dir())
            .unwrap_or_else(|| panic!("npm's oidc-provider is not installed: run `sh tests/run.sh`, which installs it beside the build"));
        let mut child = Command::new("node")
            .arg(folder.join("provider.mjs"))
            .env("CLIENT_GROUPS", CLIENT_GROUPS)
            .envs(environment.iter().copied())
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
    pub(crate) fn token(&mut self, client: &str) -> String {
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

/// A browser that keeps cookies and goes where it is sent; gives the page it ends at, and its URL.
async fn browse(
    client: &reqwest::Client,
    jar: &mut BTreeMap<String, String>,
    mut url: reqwest::Url,
) -> (reqwest::Url, String) {
    for _ in 0..10 {
        let cookies: Vec<String> = jar
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        let request = client.get(url.clone()).header("cookie", cookies.join("; "));
        let response = request.send().await.unwrap();
        for line in response.headers().get_all("set-cookie") {
            let pair = line.to_str().unwrap().split(';').next().unwrap();
            let (name, value) = pair.split_once('=').unwrap();
            jar.insert(name.to_owned(), value.to_owned());
        }
        match response.headers().get("location") {
            Some(to) => url = url.join(to.to_str().unwrap()).unwrap(),
            None => return (url, response.text().await.unwrap()),
        }
    }
    panic!("sent around in circles, last to {url}");
}

#[test]
fn people_log_in_to_the_console_at_a_real_provider() {
    let port = free_port();
    let console = format!("https://127.0.0.1:{port}");
    let callback = format!("{console}/callback");
    let provider = Provider::start_with(&[
        ("REDIRECT_URI", &callback),
        ("PEOPLE", r#"{"dora@corp": ["db-admins"]}"#),
    ]);
    let mut house = House::without_gateway();
    let ours = house.issuer.url();
    std::fs::write(house.path("client-secret"), "only-for-tests").unwrap();
    house.write_config(|config| {
        let config = config.replace(&format!("\"{ours}\""), &format!("\"{}\"", provider.issuer));
        format!(
            "{config}\n[console]\nlisten = \"127.0.0.1:{port}\"\nclient_id = \"console\"\nclient_secret = \"file:client-secret\"\nscopes = [\"openid\", \"groups\"]\n"
        )
    });
    house.start_gateway();
    let pem = std::fs::read(house.path("certificate.pem")).unwrap();
    let client = reqwest::Client::builder()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .add_root_certificate(reqwest::Certificate::from_pem(&pem).unwrap())
        .build()
        .unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let mut jar = BTreeMap::new();
    let url = |path: &str| format!("{console}{path}").parse().unwrap();
    let (at, page) = runtime.block_on(browse(&client, &mut jar, url("/")));
    assert!(page.contains("href=\"/login\""), "{at}: {page}");
    let (at, page) = runtime.block_on(browse(&client, &mut jar, url("/login")));
    assert_eq!(at.as_str(), format!("{console}/"), "{page}");
    assert!(
        page.contains("dora@corp") && page.contains("Log out"),
        "{page}"
    );
    house.stop_gateway();
}
