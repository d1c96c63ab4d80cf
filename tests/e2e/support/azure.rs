//! A server of Azure Blob Storage on loopback (npm's azurite, which `tests/run.sh` installs), with one container.

use std::{
    fs,
    net::TcpStream,
    path::PathBuf,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use super::{House, free_port, succeeded};

/// How long it may take to listen.
const DEADLINE: Duration = Duration::from_secs(60);
/// The one container.
const CONTAINER: &str = "evidence";

pub(crate) struct Azure {
    child: Child,
    port: u16,
}

impl Azure {
    pub(crate) fn start(house: &House) -> Self {
        let (port, folder) = (free_port(), folder());
        let output = fs::File::create(house.path("azure.log")).unwrap();
        let child = Command::new("node")
            .arg(folder.join("node_modules/.bin/azurite-blob"))
            .args(["--blobHost", "127.0.0.1", "--blobPort", &port.to_string()])
            .args(["--inMemoryPersistence", "--skipApiVersionCheck"])
            .arg("--disableTelemetry")
            .current_dir(house.folder.path())
            .stdin(Stdio::null())
            .stdout(output.try_clone().unwrap())
            .stderr(output)
            .spawn()
            .unwrap();
        let mut server = Self { child, port };
        let deadline = Instant::now() + DEADLINE;
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            let log = || fs::read_to_string(house.path("azure.log")).unwrap_or_default();
            assert!(server.child.try_wait().unwrap().is_none(), "{}", log());
            assert!(Instant::now() < deadline, "{}", log());
            thread::sleep(Duration::from_millis(50));
        }
        let made = Command::new("node")
            .arg(folder.join("container.mjs"))
            .args([&server.endpoint(), CONTAINER])
            .output();
        succeeded(made.unwrap());
        server
    }

    fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// What a client finds it by; the account is the emulator's own.
    pub(crate) fn environment(&self) -> Vec<(String, String)> {
        [
            ("AZURE_STORAGE_USE_EMULATOR", "true".to_owned()),
            ("AZURITE_BLOB_STORAGE_URL", self.endpoint()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .to_vec()
    }

    /// The location of a store.
    pub(crate) fn location(prefix: &str) -> String {
        format!("az://{CONTAINER}/{prefix}")
    }
}

impl Drop for Azure {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Where `tests/run.sh` installs it.
fn folder() -> PathBuf {
    let target = std::env::var("CARGO_TARGET_DIR")
        .unwrap_or_else(|_| concat!(env!("CARGO_MANIFEST_DIR"), "/target").to_owned());
    let folder = PathBuf::from(target).join("azure");
    assert!(
        folder.join("node_modules").exists(),
        "{} is missing: run `sh tests/run.sh` once, it makes it",
        folder.display()
    );
    folder
}
