//! A mail server on loopback (PyPI's aiosmtpd, which `tests/run.sh` installs), what it was told, and what it was asked.

use std::{
    fs,
    net::TcpStream,
    path::PathBuf,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;

use super::{House, free_port, python};

/// How long it may take to listen.
const DEADLINE: Duration = Duration::from_secs(60);
/// The password of the user `provost`.
pub(crate) const PASSWORD: &str = "mail secret";
/// Mail for `busy@` is put off twice, mail for `nobody@` refused; where a mail has the words `break the connection`, it does. Each recipient that is named to it, and each mail, is a line of JSON.
const PROGRAM: &str = r#"
import asyncio, email, email.policy, json, ssl, sys
from aiosmtpd.smtp import SMTP, AuthResult
way, port, certificate, key, password, told = sys.argv[1:]
asked = {}
def tell(what):
    with open(told, "a") as file:
        file.write(json.dumps(what) + "\n")
class Handler:
    async def handle_RCPT(self, server, session, envelope, address, options):
        asked[address] = asked.get(address, 0) + 1
        tell({"asked": address})
        if address.startswith("busy@") and asked[address] <= 2:
            return "451 4.3.0 come back later"
        if address.startswith("nobody@"):
            return "550 5.1.1 nobody is called so"
        envelope.rcpt_tos.append(address)
        return "250 OK"
    async def handle_DATA(self, server, session, envelope):
        mail = email.message_from_bytes(envelope.content, policy=email.policy.default)
        if "break the connection" in mail.get_content():
            tell({"broken": mail["subject"]})
            server.transport.abort()
            return "451 gone"
        tell({"to": envelope.rcpt_tos, "from": envelope.mail_from, "subject": mail["subject"], "id": mail["message-id"],
              "answers": mail["in-reply-to"], "headers": mail.keys(), "text": mail.get_content().replace("\r\n", "\n"), "user": session.auth_data,
              "encrypted": session.ssl is not None or way == "wrapped"})
        return "250 OK"
def log_in(server, session, envelope, mechanism, data):
    if (data.login, data.password) == (b"provost", password.encode()):
        return AuthResult(success=True, auth_data=data.login.decode())
    return AuthResult(success=False, handled=False)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(certificate, key)
by_command = way == "starttls"
async def main():
    loop = asyncio.get_running_loop()
    def talk():
        return SMTP(Handler(), tls_context=context if by_command else None, require_starttls=by_command, auth_required=True,
                    auth_require_tls=by_command, authenticator=log_in, hostname="mail.example.com")
    server = await loop.create_server(talk, "127.0.0.1", int(port), ssl=context if way == "wrapped" else None)
    await server.serve_forever()
asyncio.run(main())
"#;

/// How it is talked to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// Encrypted after STARTTLS, which it demands.
    StartTls,
    /// Encrypted from the first byte.
    Wrapped,
}

pub(crate) struct Smtp {
    child: Child,
    port: u16,
    told: PathBuf,
}

impl Smtp {
    /// One with the house's certificate.
    pub(crate) fn start(house: &House, way: Way) -> Self {
        Self::start_with(house, way, ["certificate.pem", "key.pem"])
    }

    /// One with these files of the house's: certificate and key.
    pub(crate) fn start_with(house: &House, way: Way, files: [&str; 2]) -> Self {
        let port = free_port();
        let (told, log) = (
            house.path(&format!("mail-{port}")),
            house.path(&format!("mail-{port}.log")),
        );
        let output = fs::File::create(&log).unwrap();
        let child = Command::new(python())
            .args(["-c", PROGRAM])
            .arg(match way {
                Way::StartTls => "starttls",
                Way::Wrapped => "wrapped",
            })
            .arg(port.to_string())
            .args(files.map(|file| house.path(file)))
            .arg(PASSWORD)
            .arg(&told)
            .stdin(Stdio::null())
            .stdout(output.try_clone().unwrap())
            .stderr(output)
            .spawn()
            .unwrap();
        let mut server = Self { child, port, told };
        let deadline = Instant::now() + DEADLINE;
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            let log = fs::read_to_string(&log).unwrap();
            let ended = server.child.try_wait().unwrap();
            assert!(ended.is_none(), "the mail server ended:\n{log}");
            assert!(
                Instant::now() < deadline,
                "the mail server does not listen:\n{log}"
            );
            thread::sleep(Duration::from_millis(50));
        }
        server
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    fn lines(&self) -> Vec<Value> {
        let text = fs::read_to_string(&self.told).unwrap_or_default();
        // The last line may not be whole yet.
        let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
        whole
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    /// How often this recipient was named to it.
    pub(crate) fn asked(&self, address: &str) -> usize {
        let lines = self.lines();
        lines.iter().filter(|line| line["asked"] == address).count()
    }

    /// How often it broke a connection in the midst of a mail.
    pub(crate) fn broken(&self) -> usize {
        let lines = self.lines();
        lines
            .iter()
            .filter(|line| line["broken"].is_string())
            .count()
    }

    /// The mails that it took for them.
    pub(crate) fn mails(&self, address: &str) -> Vec<Value> {
        let lines = self.lines().into_iter();
        lines.filter(|line| line["to"][0] == address).collect()
    }
}

impl Drop for Smtp {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
