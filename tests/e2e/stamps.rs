//! Time stamps of checkpoints by a real authority (`openssl ts` behind HTTP): asked for, checked, kept, and believed by others; and an authority
//! that fails stops nothing.

use std::{
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Command, Output},
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

use crate::support::{House, Person, python, succeeded, text};

const CONFIG: &str = "[req]\ndistinguished_name = dn\nprompt = no\n[dn]\nCN = unused\n\
[ca]\nbasicConstraints = critical,CA:TRUE\nkeyUsage = critical,keyCertSign\n\
[tsa]\nbasicConstraints = critical,CA:FALSE\nextendedKeyUsage = critical,timeStamping\n\
[stamps]\nserial = serial\ncrypto_device = builtin\ndigests = sha256\ndefault_policy = 1.2.3.4\nsigner_digest = sha256\ness_cert_id_alg = sha256\n";

/// What an authority does with a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mood {
    /// It stamps.
    Fair,
    /// It answers with this status.
    Status(u16),
    /// It never stops answering.
    Endless,
    /// It never answers.
    Silent,
}

/// An authority on loopback.
struct Authority {
    folder: tempfile::TempDir,
    port: u16,
    state: Arc<Mutex<(Mood, u64)>>,
}

impl Authority {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().to_owned();
        std::fs::write(path.join("config"), CONFIG).unwrap();
        std::fs::write(path.join("serial"), "01\n").unwrap();
        for arguments in [
            "req -x509 -newkey rsa:2048 -nodes -keyout ca.key -config config -extensions ca -subj /CN=ca -days 30 -out ca.pem",
            "req -new -newkey rsa:2048 -nodes -keyout tsa.key -config config -subj /CN=clock.example -out tsa.csr",
            "x509 -req -in tsa.csr -CA ca.pem -CAkey ca.key -set_serial 7 -days 10 -extfile config -extensions tsa -out tsa.pem",
        ] {
            succeeded(openssl(&path, arguments));
        }
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let state = Arc::new(Mutex::new((Mood::Fair, 0)));
        let shared = Arc::clone(&state);
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let (path, state) = (path.clone(), Arc::clone(&shared));
                // A client that goes is what some of this is for.
                thread::spawn(move || drop(answer(client, &path, &state)));
            }
        });
        Self {
            folder,
            port,
            state,
        }
    }

    fn set(&self, mood: Mood) {
        self.state.lock().unwrap().0 = mood;
    }

    /// How often it was asked.
    fn asked(&self) -> u64 {
        self.state.lock().unwrap().1
    }

    fn roots(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }
}

fn openssl(folder: &Path, arguments: &str) -> Output {
    let mut command = Command::new("openssl");
    command.args(arguments.split(' ')).current_dir(folder);
    command.output().unwrap()
}

fn answer(mut client: TcpStream, folder: &Path, state: &Mutex<(Mood, u64)>) -> std::io::Result<()> {
    let mut request = Vec::new();
    let (head, length) = loop {
        let mut chunk = [0; 4096];
        let read = client.read(&mut chunk)?;
        request.extend_from_slice(&chunk[..read]);
        let end = request.windows(4).position(|four| four == b"\r\n\r\n");
        let Some(end) = end else { continue };
        let head = text(&request[..end]).to_lowercase();
        let length = head.split("content-length: ").nth(1).unwrap();
        let length: usize = length.lines().next().unwrap().parse().unwrap();
        if request.len() >= end + 4 + length {
            request.drain(..end + 4);
            break (head, length);
        }
    };
    assert!(head.starts_with("post /tsa "), "{head}");
    assert!(
        head.contains("content-type: application/timestamp-query"),
        "{head}"
    );
    assert_eq!(request.len(), length);
    let mood = {
        let mut state = state.lock().unwrap();
        state.1 += 1;
        state.0
    };
    let head = "Content-Type: application/timestamp-reply\r\nConnection: close";
    match mood {
        Mood::Fair => {
            std::fs::write(folder.join("request"), &request)?;
            succeeded(openssl(
                folder,
                "ts -reply -config config -section stamps -queryfile request -signer tsa.pem -inkey tsa.key -out answer",
            ));
            let stamp = std::fs::read(folder.join("answer"))?;
            write!(
                client,
                "HTTP/1.1 200 OK\r\n{head}\r\nContent-Length: {}\r\n\r\n",
                stamp.len()
            )?;
            client.write_all(&stamp)
        }
        Mood::Status(status) => {
            write!(
                client,
                "HTTP/1.1 {status} No\r\n{head}\r\nContent-Length: 0\r\n\r\n"
            )
        }
        Mood::Endless => {
            write!(client, "HTTP/1.1 200 OK\r\n{head}\r\n\r\n")?;
            loop {
                client.write_all(&[0x30; 8192])?;
            }
        }
        Mood::Silent => {
            thread::sleep(Duration::from_secs(120));
            Ok(())
        }
    }
}

fn insert(house: &House, number: u32) {
    let sql = format!("INSERT INTO scratch VALUES ({number}, 'stamped');\n");
    succeeded(house.psql(Person::Agent, &["-qAt", "-v", "ON_ERROR_STOP=1"], &sql));
}

/// `provost evidence verify`, believing the authorities behind these roots.
fn verify(house: &House, roots: &Path) -> Output {
    let key = house.path("public-key");
    let arguments = ["evidence", "verify", "--json", "--store", &house.store];
    let trust = [
        "--public-key",
        key.to_str().unwrap(),
        "--stamp-roots",
        roots.to_str().unwrap(),
    ];
    house.provost(&[arguments.as_slice(), trust.as_slice()].concat())
}

#[test]
fn checkpoints_are_stamped_and_an_authority_that_fails_stops_nothing() {
    let authority = Authority::start();
    let mut house = House::without_gateway();
    house.evidence_settings = format!(
        "seal_interval_ms = 200\nstamp_url = \"http://127.0.0.1:{}/tsa\"\nstamp_interval_s = 1",
        authority.port
    );
    house.write_config(|config| config);
    house.start_gateway();
    house.wait_for_log(&["INFO", "time stamp", "clock.example"], 1);

    authority.set(Mood::Status(503));
    insert(&house, 1);
    house.wait_for_log(&["WARN", "no time stamp", "status 503"], 2);
    authority.set(Mood::Endless);
    insert(&house, 2);
    house.wait_for_log(&["WARN", "no time stamp", "more than 65536 bytes"], 1);
    authority.set(Mood::Fair);
    house.wait_for_log(&["INFO", "time stamp", "clock.example"], 2);
    let changes = || {
        house.query("SELECT what, after FROM changes WHERE what LIKE 'stamp-%' ORDER BY log_index")
    };
    house.wait_until("the change to be sealed", |_| changes().len() == 2);

    authority.set(Mood::Silent);
    let asked = authority.asked();
    insert(&house, 3);
    house.wait_until("a request that nobody answers", |_| {
        authority.asked() > asked
    });
    insert(&house, 4);
    house.stop_gateway();

    let told =
        house.query("SELECT what, after FROM changes WHERE what LIKE 'stamp-%' ORDER BY log_index");
    assert_eq!(told.len(), 2, "{told:?}");
    assert_eq!(told[0]["what"], "stamp-failed");
    assert_eq!(told[0]["after"], "was answered with status 503");
    assert_eq!(told[1]["what"], "stamp-resumed");
    believed(&house, &authority);
}

/// What was kept is believed by us and by others, and by nobody with other roots.
fn believed(house: &House, authority: &Authority) {
    let said = succeeded(house.verify());
    assert!(
        said.contains("stamped by clock.example, whose certificate was not checked"),
        "{said}"
    );
    let report: serde_json::Value =
        serde_json::from_str(&succeeded(verify(house, &authority.roots()))).unwrap();
    let stamps = report["stamps"].as_array().unwrap();
    assert!(stamps.len() >= 2, "{report}");
    assert!(
        stamps.iter().all(|stamp| stamp["chain_checked"] == true),
        "{report}"
    );

    let other = Authority::start();
    let refused = verify(house, &other.roots());
    assert_eq!(refused.status.code(), Some(1));
    let said = text(&refused.stdout);
    assert!(said.contains("the given roots do not lead to"), "{said}");

    let ledger = Path::new(&house.store).join("ledger/gateway-1");
    for stamp in stamps {
        let number = format!("{:020}", stamp["seal"].as_u64().unwrap());
        let checked = |data: &str| {
            let roots = authority.roots();
            openssl(
                &ledger,
                &format!(
                    "ts -verify -in stamps/{number}.tsr -data {data} -CAfile {}",
                    roots.display()
                ),
            )
        };
        succeeded(checked(&format!("checkpoints/{number}")));
        assert!(!checked("key.pub").status.success());
    }

    let mut stranger = Command::new(python());
    stranger.arg(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/examples/auditor/verify.py"
    ));
    stranger.arg("--public-key").arg(house.path("public-key"));
    let said = succeeded(stranger.arg("--store").arg(&house.store).output().unwrap());
    assert!(
        said.contains("not checked here: ledger/gateway-1/stamps/"),
        "{said}"
    );
}
