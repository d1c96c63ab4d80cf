//! Bundles as a whole: equal builds, every refusal, and that no corruption ever passes for other content.

mod corrupted;
mod keys;
mod refused;
mod terms;

use std::{fs, io::Write as _, path::Path};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use flate2::{Compression, write::GzEncoder};
use jiff::Timestamp;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::rego::RegoLimits;

use super::{
    archive::{self, FILES_MAX, UNPACKED_BYTES_MAX},
    contents::hex,
    *,
};

const RULES: &str = "rule agents-read\n  allow read on public.* for agents\n";
const GROUPS: &str = "group agents = \"ai-agents\"\n";

/// An entry of an archive: name, tar's letter for its type, content.
type Entry = (String, u8, Vec<u8>);

struct House {
    folder: TempDir,
    key: SigningKey,
    trusted: TrustedKey,
}

impl House {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        write(
            folder.path(),
            &[("rules.pol", RULES), ("below/groups.pol", GROUPS)],
        );
        let key = SigningKey::generate().unwrap();
        let trusted = TrustedKey::from_pem(&key.public_pem().unwrap()).unwrap();
        Self {
            folder,
            key,
            trusted,
        }
    }

    fn build(&self, options: &Options) -> Vec<u8> {
        build(self.folder.path(), options).unwrap().bytes
    }

    fn signed(&self) -> Vec<u8> {
        sign(&self.build(&options(7)), &self.key).unwrap()
    }

    /// Signed with what the token's header and payload are changed to.
    fn forged(&self, change: impl FnOnce(&mut Value, &mut Value)) -> Vec<u8> {
        let mut entries = entries(&self.signed());
        let signatures = entry(&mut entries, ".signatures.json");
        let read: Value = serde_json::from_slice(signatures).unwrap();
        let token = read["signatures"][0].as_str().unwrap();
        let mut parts = token
            .split('.')
            .map(|part| token::decode(part).unwrap_or_default());
        let mut part = || serde_json::from_slice::<Value>(&parts.next().unwrap()).unwrap();
        let (mut header, mut payload) = (part(), part());
        change(&mut header, &mut payload);
        let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let message = format!("{}.{}", encode(&header), encode(&payload));
        let signature = URL_SAFE_NO_PAD.encode(self.key.sign(message.as_bytes()));
        *signatures = signatures_of(&[format!("{message}.{signature}")]);
        pack(&entries)
    }

    #[track_caller]
    fn check(&self, what: &str, bytes: &[u8], expected: &str) {
        let found = match verify(bytes, std::slice::from_ref(&self.trusted)) {
            Ok(bundle) => format!("verified {}", bundle.digest().0),
            Err(error) => error.to_string(),
        };
        assert!(found.starts_with(expected), "{what}: {found}");
    }
}

fn options(sequence: u64) -> Options {
    Options {
        sequence,
        revision: "r1".to_owned(),
        built_at: None,
        expires_at: None,
        observe: false,
    }
}

fn write(folder: &Path, files: &[(&str, &str)]) {
    for (name, text) in files {
        let path = folder.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
}

fn signatures_of(tokens: &[String]) -> Vec<u8> {
    json!({ "signatures": tokens }).to_string().into_bytes()
}

fn entries(bytes: &[u8]) -> Vec<Entry> {
    let files = archive::read(bytes).unwrap();
    files
        .into_iter()
        .map(|(name, content)| (name.to_string(), b'0', content))
        .collect()
}

fn entry<'a>(entries: &'a mut [Entry], name: &str) -> &'a mut Vec<u8> {
    &mut entries.iter_mut().find(|entry| entry.0 == name).unwrap().2
}

fn add(mut entries: Vec<Entry>, name: &str, kind: u8, content: &[u8]) -> Vec<Entry> {
    entries.push((name.to_owned(), kind, content.to_vec()));
    entries
}

/// A tar archive of anything at all, names unchecked.
fn tar(entries: &[Entry]) -> Vec<u8> {
    let mut archive = ::tar::Builder::new(Vec::new());
    for (name, kind, content) in entries {
        let mut header = ::tar::Header::new_ustar();
        header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
        header.set_entry_type(::tar::EntryType::new(*kind));
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        header.set_cksum();
        archive.append(&header, content.as_slice()).unwrap();
    }
    archive.into_inner().unwrap()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut packer = GzEncoder::new(Vec::new(), Compression::fast());
    packer.write_all(bytes).unwrap();
    packer.finish().unwrap()
}

fn pack(entries: &[Entry]) -> Vec<u8> {
    gzip(&tar(entries))
}

#[test]
fn equal_folders_give_equal_bytes() {
    let house = House::new();
    let other = tempfile::tempdir().unwrap();
    // The same files, made in another order, at another time, in another place.
    write(
        other.path(),
        &[
            ("below/groups.pol", GROUPS),
            ("notes.txt", "not a policy"),
            ("rules.pol", RULES),
        ],
    );
    let one = house.build(&options(7));
    let two = build(other.path(), &options(7)).unwrap().bytes;
    assert_eq!(one, two);
    assert_eq!(
        sign(&one, &house.key).unwrap(),
        sign(&two, &house.key).unwrap()
    );
    assert_ne!(one, house.build(&options(8)));
    // What packs it does not change what it is called, and signing does not either.
    let repacked = pack(&entries(&one).into_iter().rev().collect::<Vec<_>>());
    let digest = |bytes: &[u8]| Contents::read(bytes).unwrap().digest().0.to_string();
    assert_ne!(one, repacked);
    assert_eq!(digest(&one), digest(&repacked));
    assert_eq!(digest(&one), digest(&house.signed()));
}

#[test]
fn a_signed_bundle_is_verified_and_compiles() {
    let house = House::new();
    let expires_at: Timestamp = "2030-01-01T00:00:00Z".parse().unwrap();
    let options = Options {
        expires_at: Some(expires_at),
        ..options(7)
    };
    let built = build(house.folder.path(), &options).unwrap();
    let signed = sign(&built.bytes, &house.key).unwrap();
    let bundle = verify(&signed, std::slice::from_ref(&house.trusted)).unwrap();
    assert_eq!(bundle.key(), house.trusted.id());
    assert_eq!(
        bundle.place().unwrap(),
        Place {
            sequence: 7,
            digest: built.digest.0.to_string()
        }
    );
    assert_eq!(bundle.manifest().revision, "r1");
    let compiled = bundle.compile(RegoLimits::default()).unwrap();
    assert_eq!(compiled.rules, built.compiled.rules);
    assert_eq!(
        compiled.files, 3,
        "with the built-in pack, which is in the bundle"
    );
    assert_eq!(compiled.policy.digest(), bundle.digest());
    let expired = bundle.compile_expired(RegoLimits::default()).unwrap();
    assert_eq!(expired.rules, compiled.rules + 1);
    let before: Timestamp = "2029-12-31T23:59:59Z".parse().unwrap();
    assert!(bundle.check_time(before).is_ok());
    let error = bundle.check_time(expires_at).unwrap_err().to_string();
    assert_eq!(
        error,
        "the bundle expired at 2030-01-01T00:00:00Z; build and sign a newer one"
    );
}

/// The digest as `docs/bundles.md` says it: SHA-256 over the lines of `sha256sum`.
#[test]
fn the_digest_is_what_the_documentation_says() {
    use sha2::{Digest as _, Sha256};
    let house = House::new();
    let bytes = house.build(&options(7));
    let manifest = r#"{"metadata":{"provost":{"language":1,"sequence":7,"time_zones":"ZONES"}},"revision":"r1","roots":["provost"]}"#;
    let manifest = manifest.replace("ZONES", TIME_ZONES);
    let baseline = include_str!("../../../../policies/baseline/baseline.pol");
    let files = [
        (".manifest", manifest.as_str()),
        ("<built-in>/baseline.pol", baseline),
        ("below/groups.pol", GROUPS),
        ("rules.pol", RULES),
    ];
    let lines: String = files
        .iter()
        .map(|(name, text)| format!("{}  {name}\n", hex(&Sha256::digest(text))))
        .collect();
    assert_eq!(
        &*Contents::read(&bytes).unwrap().digest().0,
        hex(&Sha256::digest(lines))
    );
}
