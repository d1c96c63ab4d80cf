//! The console's section: where it listens, who encrypts, who sees everything.

use std::{net::SocketAddr, path::Path, str::FromStr as _};

use url::Url;

use super::Problems;
use crate::config::{ClientTls, Console, ConsoleLogin, ConsoleTls, raw};

/// The scope that makes an authorization a login.
const OPENID: &str = "openid";
/// Groups of one role; more are refused.
const GROUPS_MAX: usize = 64;

/// Checks the section; `gateway` is how clients of the gateway itself encrypt, relative paths are taken from `folder`.
pub(super) fn console(
    raw: &raw::Console,
    (gateway, folder): (Option<&ClientTls>, &Path),
    problems: &mut Problems,
) -> Option<Console> {
    let listen = SocketAddr::from_str(&raw.listen).ok();
    if listen.is_none() {
        problems.add(
            "console.listen",
            format!(
                "`{}` is no address and port: give one like `127.0.0.1:7443`",
                raw.listen
            ),
        );
    }
    let known = [
        ("gateway", ConsoleTls::Gateway),
        ("off", ConsoleTls::Off),
        ("in-front", ConsoleTls::InFront),
    ];
    let tls = problems.choice(
        "console.tls",
        raw.tls.as_deref(),
        &known,
        ConsoleTls::Gateway,
    );
    match tls {
        ConsoleTls::Gateway if matches!(gateway, Some(ClientTls::Off)) => problems.add(
            "console.tls",
            "needs the certificate of `[gateway.tls]`, which is off: give one there, or say `tls = \"off\"` (loopback only)",
        ),
        ConsoleTls::Off if listen.is_some_and(|listen| !listen.ip().is_loopback()) => problems.add(
            "console.tls",
            "`off` lets tokens travel in the clear, which is for loopback only: say `in-front` if something in front encrypts",
        ),
        ConsoleTls::Gateway | ConsoleTls::Off | ConsoleTls::InFront => {}
    }
    let origin = origin(raw, (listen, tls), problems);
    for (key, groups) in [
        ("viewers", &raw.viewers),
        ("auditors", &raw.auditors),
        ("admins", &raw.admins),
    ] {
        for (index, group) in groups.iter().enumerate() {
            problems.text(&format!("console.{key}[{index}]"), group);
        }
        if groups.len() > GROUPS_MAX {
            problems.add(
                format!("console.{key}"),
                format!("names more than {GROUPS_MAX} groups"),
            );
        }
    }
    let login = login(raw, folder, problems);
    Some(Console {
        listen: listen?,
        tls,
        origin,
        viewers: raw.viewers.clone(),
        auditors: raw.auditors.clone(),
        admins: raw.admins.clone(),
        login,
    })
}

/// How people log in with a browser, where they do.
fn login(raw: &raw::Console, folder: &Path, problems: &mut Problems) -> Option<ConsoleLogin> {
    let Some(client_id) = &raw.client_id else {
        let without = [
            ("client_secret", raw.client_secret.is_some()),
            ("scopes", raw.scopes.is_some()),
        ];
        for (key, _) in without.iter().filter(|(_, is_given)| *is_given) {
            problems.add(
                format!("console.{key}"),
                "says how people log in with a browser, which needs `client_id`, too",
            );
        }
        return None;
    };
    problems.text("console.client_id", client_id);
    let scopes = raw
        .scopes
        .clone()
        .unwrap_or_else(|| vec![OPENID.to_owned()]);
    if !scopes.iter().any(|scope| scope == OPENID) {
        problems.add(
            "console.scopes",
            "must have `openid` among them: people are known by ID tokens",
        );
    }
    for (index, scope) in scopes.iter().enumerate() {
        if scope.is_empty() || !scope.bytes().all(|byte| byte.is_ascii_graphic()) {
            problems.add(
                format!("console.scopes[{index}]"),
                "must be one word of visible ASCII",
            );
        }
    }
    let client_secret = raw.client_secret.as_ref();
    Some(ConsoleLogin {
        client_id: client_id.clone(),
        client_secret: client_secret
            .and_then(|secret| problems.secret("console.client_secret", secret, folder)),
        scopes,
    })
}

/// Scheme, host and port of `url`, as browsers say them.
fn origin(
    raw: &raw::Console,
    (listen, tls): (Option<SocketAddr>, ConsoleTls),
    problems: &mut Problems,
) -> Option<String> {
    let key = "console.url";
    let Some(text) = &raw.url else {
        let is_told_otherwise =
            tls == ConsoleTls::InFront || listen.is_some_and(|listen| listen.ip().is_unspecified());
        if is_told_otherwise {
            problems.add(
                key,
                "is needed where people don't come by the address listened on: `https://approvals.example.com`",
            );
        }
        return None;
    };
    let is_bare = |url: &Url| {
        url.path() == "/"
            && url.query().is_none()
            && url.fragment().is_none()
            && url.username().is_empty()
            && url.password().is_none()
    };
    let scheme = if tls == ConsoleTls::Off {
        "http"
    } else {
        "https"
    };
    let found = Url::parse(text)
        .ok()
        .filter(|url| url.scheme() == scheme && url.has_host() && is_bare(url));
    if found.is_none() {
        problems.add(
            key,
            format!("`{text}` must be `{scheme}://`, a host and perhaps a port, nothing more"),
        );
    }
    found.map(|url| url.origin().ascii_serialization())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use crate::config::{EXAMPLE, parse};

    /// The section that stands in the example as a comment, with some lines of it changed.
    fn check(lines: &str, expected: &str) {
        let text = format!("{EXAMPLE}\n[console]\n{lines}\n");
        let found = match parse(&text, Path::new("/etc/provost")) {
            Ok(config) => {
                let console = config.console.unwrap();
                format!("{} {:?} {:?}", console.listen, console.tls, console.origin)
            }
            Err(problems) => {
                let problems: Vec<String> = problems.iter().map(ToString::to_string).collect();
                problems.join("\n")
            }
        };
        assert!(found.contains(expected), "{lines}: {found}");
    }

    #[test]
    fn the_console_is_encrypted_or_says_why_not() {
        check("listen = \"127.0.0.1:7443\"", "127.0.0.1:7443 Gateway None");
        check(
            "listen = \"[::1]:7443\"\ntls = \"off\"",
            "[::1]:7443 Off None",
        );
        check(
            "listen = \"10.0.0.1:7443\"\ntls = \"off\"",
            "`console.tls`: `off` lets tokens travel in the clear",
        );
        check(
            "listen = \"0.0.0.0:80\"\ntls = \"in-front\"\nurl = \"https://A.example.com:443/\"",
            "0.0.0.0:80 InFront Some(\"https://a.example.com\")",
        );
        check(
            "listen = \"10.0.0.1:80\"\ntls = \"in-front\"",
            "`console.url`: is needed",
        );
        check("listen = \"0.0.0.0:7443\"", "`console.url`: is needed");
        check("listen = \"localhost:7443\"", "`console.listen`");
        check(
            "listen = \"127.0.0.1:7443\"\ntls = \"required\"",
            "`console.tls`",
        );
        check(
            "listen = \"127.0.0.1:7443\"\nviewers = [\"\"]",
            "`console.viewers[0]`",
        );
        for (lines, expected) in [
            (
                "client_secret = \"env:SECRET\"",
                "`console.client_secret`: says how",
            ),
            (
                "client_id = \"p\"\nclient_secret = \"hunter2\"",
                "`console.client_secret`: is not a source",
            ),
            (
                "client_id = \"p\"\nscopes = [\"email\"]",
                "`console.scopes`: must have `openid`",
            ),
            (
                "client_id = \"p\"\nscopes = [\"openid\", \"a b\"]",
                "`console.scopes[1]`",
            ),
            ("client_id = \"\"", "`console.client_id`"),
            ("client_id = \"p\"", "127.0.0.1:7443 Gateway None"),
        ] {
            check(&format!("listen = \"127.0.0.1:7443\"\n{lines}"), expected);
        }
        check("tls = \"off\"", "missing key `listen`");
        for url in [
            "http://a.example.com",
            "https://a.example.com/x",
            "https://a.example.com/?x",
            "https://me@a.example.com",
            "https://",
            "a.example.com",
        ] {
            check(
                &format!("listen = \"127.0.0.1:7443\"\nurl = \"{url}\""),
                "`console.url`: `",
            );
        }
    }

    #[test]
    fn a_gateway_without_a_certificate_gives_the_console_none() {
        let text = EXAMPLE
            .replace("mode = \"required\"", "mode = \"off\"")
            .replace("certificate = \"tls/server.pem\"\n", "")
            .replace("key = \"file:tls/server.key\"\n", "");
        let with = |lines: &str| {
            let text = format!("{text}\n[console]\nlisten = \"127.0.0.1:7443\"\n{lines}\n");
            parse(&text, Path::new("/etc/provost"))
        };
        assert!(
            with("").unwrap_err()[0]
                .message
                .contains("needs the certificate")
        );
        assert!(with("tls = \"off\"").is_ok());
    }
}
