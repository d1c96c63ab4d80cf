//! A server of the S3 protocol on loopback (PyPI's moto, which `tests/run.sh` installs), and what was asked of it.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::TcpStream,
    path::PathBuf,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use super::{House, free_port, python};

/// How long it may take to listen.
const DEADLINE: Duration = Duration::from_secs(60);
/// Moto, that takes one PUT after the other: by itself it looks whether an object is there in one step and puts it in a later one, and so
/// lets two requests create one object once in some hundred races (4 at once, 400 rounds: 1), which S3 never does.
const PROGRAM: &str = "
import sys, threading
from moto.s3.responses import S3Response
from moto.server import main
turn, put = threading.Lock(), S3Response._key_response_put
def one_at_a_time(self, *given):
    with turn:
        return put(self, *given)
S3Response._key_response_put = one_at_a_time
main(sys.argv[1:])
";
/// The one bucket.
const BUCKET: &str = "policies";

/// Who puts objects; moto looks at the name only.
const AUTHORIZATION: &str = "AWS4-HMAC-SHA256 Credential=tests/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0";

pub(crate) struct S3 {
    child: Child,
    port: u16,
    log: PathBuf,
}

impl S3 {
    pub(crate) fn start(house: &House) -> Self {
        let server = Self::listening(house);
        server.put("", b"");
        server
    }

    /// A server whose bucket keeps versions, which can be locked.
    pub(crate) fn start_locking(house: &House) -> Self {
        let server = Self::listening(house);
        let (status, answer) =
            server.ask("PUT", "", "x-amz-bucket-object-lock-enabled: true\r\n", b"");
        assert_eq!(status, 200, "{answer}");
        server
    }

    fn listening(house: &House) -> Self {
        let (port, log) = (free_port(), house.path("s3.log"));
        let output = fs::File::create(&log).unwrap();
        let child = Command::new(python())
            .args(["-c", PROGRAM, "-H", "127.0.0.1", "-p", &port.to_string()])
            .env("NO_COLOR", "1")
            .stdin(Stdio::null())
            .stdout(output.try_clone().unwrap())
            .stderr(output)
            .spawn()
            .unwrap();
        let mut server = Self { child, port, log };
        let deadline = Instant::now() + DEADLINE;
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(
                server.child.try_wait().unwrap().is_none(),
                "moto ended:\n{}",
                server.log()
            );
            assert!(
                Instant::now() < deadline,
                "moto does not listen:\n{}",
                server.log()
            );
            thread::sleep(Duration::from_millis(50));
        }
        server
    }

    /// What a client finds it by.
    pub(crate) fn environment(&self) -> Vec<(String, String)> {
        [
            ("AWS_ACCESS_KEY_ID", "tests"),
            ("AWS_SECRET_ACCESS_KEY", "not a secret"),
            ("AWS_DEFAULT_REGION", "us-east-1"),
            (
                "AWS_ENDPOINT_URL",
                &format!("http://127.0.0.1:{}", self.port),
            ),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .to_vec()
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// The location of an object.
    pub(crate) fn location(key: &str) -> String {
        format!("s3://{BUCKET}/{key}")
    }

    /// Puts an object; the empty key makes the bucket.
    pub(crate) fn put(&self, key: &str, bytes: &[u8]) {
        let (status, answer) = self.ask("PUT", key, "", bytes);
        assert_eq!(status, 200, "{answer}");
    }

    /// Asks something of an object, or of the bucket: the status, and what was answered.
    pub(crate) fn ask(
        &self,
        method: &str,
        key: &str,
        headers: &str,
        bytes: &[u8],
    ) -> (u16, String) {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        let slash = if key.is_empty() || key.starts_with('?') {
            ""
        } else {
            "/"
        };
        let head = format!(
            "{method} /{BUCKET}{slash}{key} HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nAuthorization: {AUTHORIZATION}\r\n{headers}Content-Length: {}\r\nConnection: close\r\n\r\n",
            self.port,
            bytes.len()
        );
        stream.write_all(head.as_bytes()).unwrap();
        stream.write_all(bytes).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        let answer = String::from_utf8_lossy(&answer).into_owned();
        let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
        (status, answer)
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// How many reads of an object were answered so.
    pub(crate) fn gets(&self, key: &str, status: u16) -> usize {
        let (path, status) = (format!("GET /{BUCKET}/{key} "), format!(" {status} -"));
        self.log()
            .lines()
            .filter(|line| line.contains(&path) && line.ends_with(&status))
            .count()
    }
}

impl Drop for S3 {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
