//! `[[approvals.mail]]`: the mail server, and who is told by it.

use std::path::Path;

use provost_gateway::settings::{MailAddress, MailTls};
use url::{Host, Url};

use super::{
    super::{Mail, SecretSource, raw},
    Problems, approvals,
};

/// The port of mail that is encrypted from the first byte (RFC 8314).
const WRAPPED_PORT: u16 = 465;
/// The port of mail that is submitted (RFC 6409).
const SUBMISSION_PORT: u16 = 587;
/// Who is told by one server; more are refused: let the mail server keep such a list.
const RECIPIENTS_MAX: usize = 16;

pub(super) fn mail(
    key: &str,
    raw: &raw::Mail,
    folder: &Path,
    problems: &mut Problems,
) -> Option<Mail> {
    let server = server(key, raw, problems);
    let login = login(key, raw, folder, problems);
    let mut address = |key: String, text: &str| {
        let address = MailAddress::parse(text);
        if address.is_none() {
            problems.add(
                key,
                "is no address: give one like `DBAs <dba@example.com>`, the address in ASCII",
            );
        }
        address
    };
    let from = address(format!("{key}.from"), &raw.from);
    let to = raw.to.iter().enumerate();
    let to: Option<Vec<MailAddress>> = to
        .map(|(index, text)| address(format!("{key}.to[{index}]"), text))
        .collect();
    if raw.to.is_empty() || raw.to.len() > RECIPIENTS_MAX {
        problems.add(
            format!("{key}.to"),
            format!("must have 1 to {RECIPIENTS_MAX} addresses"),
        );
    }
    approvals::link(key, raw.link.as_deref(), problems);
    let (host, port, tls) = server?;
    Some(Mail {
        host,
        port,
        tls,
        ca: raw.ca.as_ref().map(|path| folder.join(path)),
        login,
        from: from?,
        to: to?,
        link: raw.link.clone(),
        template: raw.template.as_ref().map(|path| folder.join(path)),
    })
}

/// Host, port and encryption.
fn server(key: &str, raw: &raw::Mail, problems: &mut Problems) -> Option<(String, u16, MailTls)> {
    #[derive(Clone, Copy, PartialEq, Eq)]
    enum Wish {
        Required,
        Off,
    }
    let wish = problems.choice(
        &format!("{key}.tls"),
        raw.tls.as_deref(),
        &[("required", Wish::Required), ("off", Wish::Off)],
        Wish::Required,
    );
    let Some((scheme, host, port)) = place(&raw.server.0) else {
        // It may hold a password: it is not repeated.
        problems.add(
            format!("{key}.server"),
            "must be `smtps://HOST` or `smtp://HOST`, perhaps with a port; `user` and `password` have keys of their own",
        );
        return None;
    };
    let is_loopback = match &host {
        Host::Domain(name) => name == "localhost",
        Host::Ipv4(address) => address.is_loopback(),
        Host::Ipv6(address) => address.is_loopback(),
    };
    let tls = match (scheme, wish) {
        (Scheme::Wrapped, Wish::Required) => MailTls::Wrapped,
        (Scheme::Plain, Wish::Required) => MailTls::StartTls,
        (Scheme::Plain, Wish::Off) if is_loopback => MailTls::Off,
        (Scheme::Wrapped | Scheme::Plain, Wish::Off) => {
            problems.add(
                format!("{key}.tls"),
                "`off` is for `smtp://` on loopback: mail and its password must not travel unencrypted",
            );
            return None;
        }
    };
    // Without the brackets of IPv6, which only URLs have.
    let host = match host {
        Host::Domain(name) => name,
        Host::Ipv4(address) => address.to_string(),
        Host::Ipv6(address) => address.to_string(),
    };
    let default = match scheme {
        Scheme::Wrapped => WRAPPED_PORT,
        Scheme::Plain => SUBMISSION_PORT,
    };
    Some((host, port.unwrap_or(default), tls))
}

/// What a server's URL begins with.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Scheme {
    /// `smtps`.
    Wrapped,
    /// `smtp`.
    Plain,
}

/// Scheme, host and port of a URL that says no more.
fn place(text: &str) -> Option<(Scheme, Host, Option<u16>)> {
    let url = Url::parse(text).ok()?;
    let scheme = match url.scheme() {
        "smtps" => Scheme::Wrapped,
        "smtp" => Scheme::Plain,
        _ => return None,
    };
    let is_bare = matches!(url.path(), "" | "/")
        && url.query().is_none()
        && url.fragment().is_none()
        && url.username().is_empty()
        && url.password().is_none();
    // URLs of schemes that the crate does not know keep their host as it was written.
    let host = Host::parse(url.host_str()?).ok()?;
    (is_bare && url.port() != Some(0)).then_some((scheme, host, url.port()))
}

fn login(
    key: &str,
    raw: &raw::Mail,
    folder: &Path,
    problems: &mut Problems,
) -> Option<(String, SecretSource)> {
    match (&raw.user, &raw.password) {
        (None, None) => None,
        (Some(user), Some(password)) => {
            problems.text(&format!("{key}.user"), user);
            let password = problems.secret(&format!("{key}.password"), password, folder)?;
            Some((user.clone(), password))
        }
        (Some(_), None) | (None, Some(_)) => {
            problems.add(
                format!("{key}.user"),
                "and `password` belong together: give both or neither",
            );
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use crate::config::{EXAMPLE, parse};

    /// A section of these lines, and `from` and `to`.
    fn check(lines: &str, expected: &str) {
        let section = format!(
            "[[approvals.mail]]\n{lines}\nfrom = \"a@example.com\"\nto = [\"b@example.com\"]\n"
        );
        whole(&section, expected);
    }

    fn whole(section: &str, expected: &str) {
        let text = format!("{EXAMPLE}\n{section}");
        let found = match parse(&text, Path::new("/etc/provost")) {
            Ok(config) => {
                let mail = config.approvals.mails.first().unwrap().clone();
                format!(
                    "{} {} {:?} {:?}",
                    mail.host, mail.port, mail.tls, mail.login
                )
            }
            Err(problems) => {
                let problems: Vec<String> = problems.iter().map(ToString::to_string).collect();
                problems.join("\n")
            }
        };
        assert!(found.contains(expected), "{section}: {found}");
        assert!(!found.contains("hunter2"), "{found}");
    }

    #[test]
    fn mail_is_encrypted_or_stays_at_home() {
        let login = "user = \"p\"\npassword = \"env:MAIL\"";
        check(
            &format!("server = \"smtps://Mail.example.com\"\n{login}"),
            "mail.example.com 465 Wrapped Some((\"p\", env:MAIL))",
        );
        check(
            "server = \"smtp://[2001:db8::1]\"",
            "2001:db8::1 587 StartTls None",
        );
        check(
            "server = \"smtp://localhost:2525/\"",
            "localhost 2525 StartTls None",
        );
        check(
            "server = \"smtp://127.0.0.1:25\"\ntls = \"off\"",
            "127.0.0.1 25 Off None",
        );
        for server in ["smtp://mail.example.com", "smtps://127.0.0.1"] {
            check(
                &format!("server = \"{server}\"\ntls = \"off\""),
                "`approvals.mail[0].tls`: `off` is for",
            );
        }
        check(
            "server = \"smtps://m\"\ntls = \"starttls\"",
            "`approvals.mail[0].tls`: `starttls` is not one of",
        );
        for server in [
            "mail.example.com",
            "smtp://",
            "https://mail.example.com",
            "smtps://provost:hunter2@mail.example.com",
            "smtps://p@mail.example.com",
            "smtps://mail.example.com/x",
            "smtps://mail.example.com?tls=off",
            "smtps://mail.example.com:0",
            "smtps://a b",
        ] {
            check(
                &format!("server = \"{server}\""),
                "`approvals.mail[0].server`: must be",
            );
        }
        let server = "server = \"smtps://m\"\n";
        for (lines, expected) in [
            ("user = \"p\"", "`approvals.mail[0].user`: and `password`"),
            (
                "password = \"env:MAIL\"",
                "`approvals.mail[0].user`: and `password`",
            ),
            (
                "user = \"p\"\npassword = \"hunter2\"",
                "`approvals.mail[0].password`: is not a source",
            ),
            ("link = \"ftp://a\"", "`approvals.mail[0].link`"),
            ("subject = \"x\"", "unknown key `subject`"),
        ] {
            check(&format!("{server}{lines}"), expected);
        }
    }

    #[test]
    fn addresses_are_some() {
        let section = |from: &str, to: &str| {
            format!("[[approvals.mail]]\nserver = \"smtps://m\"\nfrom = \"{from}\"\nto = [{to}]\n")
        };
        whole(
            &section("a", "\"b@example.com\""),
            "`approvals.mail[0].from`: is no address",
        );
        whole(
            &section("a@b.example", ""),
            "`approvals.mail[0].to`: must have 1 to 16",
        );
        whole(
            &section("a@b.example", "\"b@example.com\", \"x\\ny@b.example\""),
            "`approvals.mail[0].to[1]`: is no address",
        );
        let many = "\"b@example.com\", ".repeat(17);
        whole(&section("a@b.example", &many), "must have 1 to 16");
    }
}
