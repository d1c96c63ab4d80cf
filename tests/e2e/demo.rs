//! The demo as a newcomer meets it: its story, its psql lines, its end, and nothing left behind however it ends.

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    thread,
    time::{Duration, Instant},
};

use crate::support::{succeeded, text};

/// Starting everything may take this long, and so may stopping it.
const DEADLINE: Duration = Duration::from_secs(60);

fn demo(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_provost"));
    command
        .arg("demo")
        .args(arguments)
        .env("NO_COLOR", "1")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

fn output(arguments: &[&str]) -> Output {
    demo(arguments).output().unwrap()
}

/// An interactive demo, its invitation read.
struct Running {
    child: Child,
    lines: Vec<String>,
    rest: BufReader<std::process::ChildStdout>,
}

impl Running {
    fn start(arguments: &[&str]) -> Self {
        let mut child = demo(&[&["--interactive"], arguments].concat())
            .spawn()
            .unwrap();
        let rest = BufReader::new(child.stdout.take().unwrap());
        let mut running = Self {
            child,
            lines: Vec::new(),
            rest,
        };
        while !running
            .lines
            .last()
            .is_some_and(|line| line.contains("Ctrl-C"))
        {
            let mut line = String::new();
            if running.rest.read_line(&mut line).unwrap() == 0 {
                let mut error = String::new();
                let mut stderr = running.child.stderr.take().unwrap();
                stderr.read_to_string(&mut error).unwrap();
                panic!("the demo ended:\n{}\n{error}", running.lines.concat());
            }
            running.lines.push(line);
        }
        running
    }

    /// The line to paste for somebody.
    fn psql_line(&self, user: &str) -> &str {
        let marker = format!("user={user} ");
        self.lines
            .iter()
            .find(|line| line.contains(&marker))
            .unwrap()
    }

    /// What follows `word` on the first line that has it, up to white space.
    fn after(&self, word: &str) -> &str {
        let line = self.lines.iter().find(|line| line.contains(word)).unwrap();
        line.split(word)
            .nth(1)
            .unwrap()
            .split_whitespace()
            .next()
            .unwrap()
    }

    /// The temporary folder of everything.
    fn folder(&self) -> PathBuf {
        let store = PathBuf::from(self.after("--store "));
        store.parent().unwrap().parent().unwrap().to_owned()
    }

    fn signal(&self, name: &str) {
        let status = Command::new("kill")
            .args([format!("-{name}"), self.child.id().to_string()])
            .status();
        assert!(status.unwrap().success());
    }

    /// Waits for its end: exit code and the rest of what it printed.
    fn end(mut self) -> (Option<i32>, String) {
        let mut rest = String::new();
        self.rest.read_to_string(&mut rest).unwrap();
        (self.child.wait().unwrap().code(), rest)
    }
}

impl Drop for Running {
    /// A test that failed leaves no demo running.
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Pastes a line into a shell, with one statement.
fn paste(line: &str, sql: &str) -> Output {
    Command::new("sh")
        .args([
            "-c",
            &format!("{} --no-psqlrc -At -c \"$1\"", line.trim_end()),
            "sh",
            sql,
        ])
        .output()
        .unwrap()
}

fn gone(folder: &Path) -> bool {
    let deadline = Instant::now() + DEADLINE;
    while folder.exists() {
        if Instant::now() > deadline {
            return false;
        }
        thread::sleep(Duration::from_millis(50));
    }
    true
}

#[test]
fn the_story_does_what_it_says() {
    let told = succeeded(output(&[]));
    for words in [
        "SELECT id, name, email, phone, ssn, card_number FROM customers",
        "masked    email (keep domain)",
        "ERROR 42501: denied by policy",
        "nist-800-53:AC-3(11)",
        "login refused: the token expired",
        "intact: complete and unchanged",
        "content does not match its pinned SHA-256",
        "All 18 steps did what they said; nothing is left behind.",
    ] {
        assert!(told.contains(words), "`{words}` is not in:\n{told}");
    }
    assert!(
        !told.contains('\u{1b}'),
        "colours without a terminal:\n{told}"
    );
}

#[test]
fn the_lines_can_be_pasted_and_nothing_stays() {
    let demo = Running::start(&[]);
    let sql = "SELECT ssn FROM customers WHERE id = 7";
    for (user, expected) in [
        ("devin@corp", "*******5433\n"),
        ("ana@corp", "*******5433\n"),
        ("dora@corp", "907-91-5433\n"),
    ] {
        assert_eq!(
            succeeded(paste(demo.psql_line(user), sql)),
            expected,
            "{user}"
        );
    }
    let denied = paste(demo.psql_line("devin@corp"), "DROP TABLE orders");
    assert!(
        text(&denied.stderr).contains("agents-never-change-schema"),
        "{}",
        text(&denied.stderr)
    );

    let issuer = demo.after("--issuer ").to_owned();
    let token = succeeded(output(&["token", "ana", "--issuer", &issuer]));
    assert_eq!(token.trim().split('.').count(), 3, "{token}");
    let nobody = output(&["token", "bob", "--issuer", &issuer]);
    assert!(
        !nobody.status.success() && text(&nobody.stderr).contains("devin, ana, dora"),
        "{}",
        text(&nobody.stderr)
    );

    let folder = demo.folder();
    assert!(folder.exists());
    demo.signal("INT");
    let (code, told) = demo.end();
    assert_eq!(code, Some(0), "{told}");
    assert!(
        told.contains("What was decided")
            && told.contains("devin@corp")
            && told.contains("intact:"),
        "{told}"
    );
    assert!(gone(&folder), "{} is left behind", folder.display());
}

#[test]
fn what_is_kept_can_be_verified_later() {
    let kept = tempfile::tempdir().unwrap();
    let folder = kept.path().to_str().unwrap().to_owned();
    let told = succeeded(output(&["--script", "--folder", &folder]));
    assert!(told.contains(&format!("Kept in {folder}")), "{told}");
    let provost = |arguments: &[&str]| {
        Command::new(env!("CARGO_BIN_EXE_provost"))
            .args(arguments)
            .output()
            .unwrap()
    };
    let (store, key) = (format!("{folder}/store"), format!("{folder}/evidence.pub"));
    succeeded(provost(&[
        "evidence",
        "verify",
        "--store",
        &store,
        "--public-key",
        &key,
    ]));
    succeeded(provost(&["policy", "check", &format!("{folder}/policy")]));
    succeeded(provost(&[
        "config",
        "check",
        &format!("{folder}/provost.toml"),
    ]));
    let printed = succeeded(provost(&[
        "evidence",
        "public-key",
        "--config",
        &format!("{folder}/provost.toml"),
    ]));
    assert_eq!(printed, fs::read_to_string(&key).unwrap());
    // A second demo would mix two ledgers.
    let again = output(&["--script", "--folder", &folder]);
    assert!(
        text(&again.stderr).contains("is not empty"),
        "{}",
        text(&again.stderr)
    );
}

#[test]
fn nothing_stays_when_it_is_killed() {
    let mut demo = Running::start(&[]);
    let folder = demo.folder();
    demo.child.kill().unwrap();
    demo.child.wait().unwrap();
    assert!(gone(&folder), "{} is left behind", folder.display());
}

#[test]
fn a_policy_with_mistakes_ends_it_with_3() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(
        folder.path().join("bad.pol"),
        "rule x\n  alow read on public.* for anyone\n",
    )
    .unwrap();
    let refused = output(&["--interactive", "--policy", folder.path().to_str().unwrap()]);
    assert_eq!(refused.status.code(), Some(3), "{}", text(&refused.stderr));
    assert!(text(&refused.stderr).contains("did you mean `allow`"));
}
