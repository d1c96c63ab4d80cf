//! The demo's files: rules, certificate, keys and a configuration that `provost serve` would take too.
//!
//! Keys are made new at every start; nothing of them may outlive the demo unless it is told to keep its folder.

use std::{
    fs,
    io::Write as _,
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use provost_evidence::key::SigningKey;

use super::{Error, people::AUDIENCE, postgres::Cluster, tls};

/// What the gateway is called in the demo's evidence.
pub(super) const GATEWAY: &str = "demo";
/// The role that only the gateway logs in as.
pub(super) const ROLE: &str = "provost";
/// The shop's database, and the target's name.
pub(super) const DATABASE: &str = "shop";
/// The demo's rules, part of the program: file name and text.
pub(super) const POLICY: &[(&str, &str)] = &[(
    "shop.pol",
    include_str!("../../examples/demo/policy/shop.pol"),
)];

/// Where everything lies.
#[derive(Debug, Clone)]
pub(super) struct Files {
    /// The folder of all of it.
    pub(super) folder: PathBuf,
    /// The configuration.
    pub(super) config: PathBuf,
    /// The rules.
    pub(super) policy: PathBuf,
    /// Sealed evidence.
    pub(super) store: PathBuf,
    /// The key that verifies it.
    pub(super) public_key: PathBuf,
    /// The gateway's certificate, PEM.
    pub(super) certificate: String,
    /// The file of that certificate.
    pub(super) certificate_file: PathBuf,
}

/// What the configuration needs to know.
pub(super) struct Surroundings<'a> {
    pub(super) cluster: &'a Cluster,
    pub(super) issuer_url: &'a str,
    /// The gateway's port; 0 takes a free one.
    pub(super) port: u16,
    /// The role's password.
    pub(super) password: &'a str,
    /// Rules to use instead of the demo's own.
    pub(super) policy: Option<&'a Path>,
}

/// Writes everything below `folder`, which must be empty or not exist.
pub(super) fn write(folder: &Path, around: &Surroundings<'_>) -> Result<Files, Error> {
    make_folder(folder)?;
    for name in ["tls", "keys", "policy", "log", "store"] {
        make_folder(&folder.join(name))?;
    }
    let made = tls::certificate().map_err(Error::Certificate)?;
    let signing_key = SigningKey::generate().map_err(Error::Evidence)?;
    let public_key = folder.join("evidence.pub");
    let mut digest_key = [0_u8; 32];
    getrandom::fill(&mut digest_key).map_err(|cause| Error::Randomness { cause })?;

    write_private(&folder.join("tls/server.pem"), made.certificate.as_bytes())?;
    write_private(&folder.join("tls/server.key"), made.key.as_bytes())?;
    let signing_pem = signing_key.to_pem().map_err(Error::Evidence)?;
    write_private(&folder.join("keys/signing.pem"), signing_pem.as_bytes())?;
    write_private(&folder.join("keys/digest.key"), hex(&digest_key).as_bytes())?;
    write_private(
        &folder.join("keys/database.password"),
        around.password.as_bytes(),
    )?;
    write_private(&public_key, signing_key.public(GATEWAY).file().as_bytes())?;
    let policy = match around.policy {
        Some(folder) => absolute(folder)?,
        None => {
            for (name, text) in POLICY {
                write_private(&folder.join("policy").join(name), text.as_bytes())?;
            }
            folder.join("policy")
        }
    };
    let config = folder.join("provost.toml");
    write_private(&config, configuration(around, &policy).as_bytes())?;
    Ok(Files {
        folder: folder.to_owned(),
        config,
        policy,
        store: folder.join("store"),
        public_key,
        certificate: made.certificate,
        certificate_file: folder.join("tls/server.pem"),
    })
}

/// The configuration's text.
fn configuration(around: &Surroundings<'_>, policy: &Path) -> String {
    let port = around.port;
    let policy = quoted(&policy.to_string_lossy());
    let issuer = quoted(around.issuer_url);
    let host = quoted(&around.cluster.socket_folder().to_string_lossy());
    let database_port = around.cluster.port();
    format!(
        r#"# Written by `provost demo`; `provost config example` explains every key.
[gateway]
listen = "127.0.0.1:{port}"

[gateway.tls]
mode = "required"
certificate = "tls/server.pem"
key = "file:tls/server.key"

[policy]
folder = {policy}
unsigned = true

[console]
listen = "127.0.0.1:0"

[issuer]
url = {issuer}
audiences = ["{AUDIENCE}"]
algorithms = ["ES256"]
principal_claim = "email"
groups_claim = "groups"
kind_claim = "provost_kind"
on_behalf_of_claim = "on_behalf_of"

[evidence]
gateway = "{GATEWAY}"
folder = "log"
store = "store"
signing_key = "file:keys/signing.pem"
digest_key = "file:keys/digest.key"
seal_interval_ms = 5000

[[target]]
name = "{DATABASE}"
host = {host}
port = {database_port}
database = "{DATABASE}"
user = "{ROLE}"
password = "file:keys/database.password"
tls = "off"
"#
    )
}

pub(super) fn make_folder(folder: &Path) -> Result<(), Error> {
    if folder.is_dir() {
        let mut entries = fs::read_dir(folder).map_err(|source| file_error(folder, source))?;
        return match entries.next() {
            None => Ok(()),
            Some(_) => Err(Error::FolderInUse {
                folder: folder.to_owned(),
            }),
        };
    }
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
        .map_err(|source| file_error(folder, source))
}

/// Writes a person's token to a file of its own, in the place of an earlier one.
pub(super) fn write_token(files: &Files, person: &str, token: &str) -> Result<PathBuf, Error> {
    let path = files.folder.join(format!("{person}.token"));
    match fs::remove_file(&path) {
        Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
            return Err(file_error(&path, source));
        }
        Ok(()) | Err(_) => {}
    }
    write_private(&path, token.as_bytes())?;
    Ok(path)
}

fn write_private(path: &Path, content: &[u8]) -> Result<(), Error> {
    fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .and_then(|mut file| file.write_all(content))
        .map_err(|source| file_error(path, source))
}

fn absolute(path: &Path) -> Result<PathBuf, Error> {
    path.canonicalize()
        .map_err(|source| file_error(path, source))
}

fn file_error(path: &Path, source: std::io::Error) -> Error {
    Error::File {
        path: path.to_owned(),
        source,
    }
}

/// A TOML basic string.
fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

/// Lower-case hex digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
