//! Bundles as a whole: equal builds, every refusal, and that no corruption ever passes for other content.

use std::{fs, io::Write as _, path::Path};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use flate2::{Compression, write::GzEncoder};
use jiff::Timestamp;
use proptest::prelude::*;
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
    let baseline = include_str!("../../../policies/baseline/baseline.pol");
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

#[test]
fn changed_files_are_refused() {
    let house = House::new();
    let good = entries(&house.signed());
    house.check("as it was", &pack(&good), "verified");
    for (position, (name, _, content)) in good.iter().enumerate() {
        if name == ".signatures.json" {
            continue;
        }
        for byte in [0, content.len() / 2, content.len() - 1] {
            let mut changed = good.clone();
            changed[position].2[byte] ^= 1;
            let found = verify(&pack(&changed), std::slice::from_ref(&house.trusted));
            let error = found.map(|bundle| bundle.digest().clone()).unwrap_err();
            let expected = match name.as_str() {
                ".manifest" => matches!(
                    error,
                    Error::Json { .. } | Error::Changed { .. } | Error::NotUtf8 { .. }
                ),
                _ => matches!(error, Error::Changed { .. }),
            };
            assert!(expected, "byte {byte} of {name}: {error}");
        }
    }
    let without = |name: &str| -> Vec<Entry> {
        good.iter()
            .filter(|entry| entry.0 != name)
            .cloned()
            .collect()
    };
    let mut renamed = good.clone();
    renamed
        .iter_mut()
        .find(|entry| entry.0 == "rules.pol")
        .unwrap()
        .0 = "rules2.pol".to_owned();
    let mut other_sequence = good.clone();
    let manifest = entry(&mut other_sequence, ".manifest");
    *manifest = String::from_utf8(manifest.clone())
        .unwrap()
        .replace("7", "8")
        .into_bytes();
    let mut spaced = good.clone();
    entry(&mut spaced, ".manifest").extend_from_slice(b" \n");
    let cases: &[(&str, Vec<Entry>, &str)] = &[
        (
            "added",
            add(good.clone(), "more.pol", b'0', b""),
            "`more.pol` is in the bundle and not in its signature",
        ),
        (
            "missing",
            without("rules.pol"),
            "`rules.pol` is in the bundle's signature and not in the bundle",
        ),
        (
            "renamed",
            renamed,
            "`rules2.pol` is in the bundle and not in its signature",
        ),
        (
            "no manifest",
            without(".manifest"),
            "the bundle has no `.manifest`",
        ),
        (
            "no signature",
            without(".signatures.json"),
            "the bundle is not signed",
        ),
        (
            "manifest",
            other_sequence,
            "`.manifest` is not what was signed",
        ),
        ("manifest, white space", spaced, "verified"),
        (
            "a file twice",
            add(good.clone(), "rules.pol", b'0', RULES.as_bytes()),
            "`rules.pol` is in the bundle twice",
        ),
        (
            "a file twice, by another name",
            add(good.clone(), "./rules.pol", b'0', RULES.as_bytes()),
            "`rules.pol` is in the bundle twice",
        ),
    ];
    for (what, entries, expected) in cases {
        house.check(what, &pack(entries), expected);
    }
}

#[test]
fn other_signatures_are_refused() {
    let house = House::new();
    let stranger = SigningKey::generate().unwrap();
    let good = house.signed();
    house.check(
        "another key",
        &sign(&good, &stranger).unwrap(),
        "no trusted key made the bundle's signature (it names key `",
    );
    let with = |signatures: Vec<u8>| {
        let mut changed = entries(&good);
        *entry(&mut changed, ".signatures.json") = signatures;
        pack(&changed)
    };
    let token = |bytes: &[u8]| {
        let read: Value =
            serde_json::from_slice(entry(&mut entries(bytes), ".signatures.json")).unwrap();
        read["signatures"][0].as_str().unwrap().to_owned()
    };
    let good_token = token(&good);
    let (message, signature) = good_token.rsplit_once('.').unwrap();
    let other_token = token(&sign(&good, &stranger).unwrap());
    house.check(
        "none at all",
        &with(signatures_of(&[])),
        "the bundle has 0 signatures",
    );
    house.check(
        "an empty object",
        &with(b"{}".to_vec()),
        "the bundle has 0 signatures",
    );
    house.check(
        "two",
        &with(signatures_of(&[good_token.clone(), other_token.clone()])),
        "the bundle has 2 signatures",
    );
    house.check(
        "the same twice",
        &with(signatures_of(&[good_token.clone(), good_token.clone()])),
        "the bundle has 2 signatures",
    );
    house.check(
        "a plugin's",
        &with(
            json!({"plugin": "kms", "signatures": [good_token]})
                .to_string()
                .into(),
        ),
        "the bundle is signed by plugin `kms`",
    );
    house.check(
        "OPA's own plugin",
        &with(
            json!({"plugin": "_default", "signatures": [good_token]})
                .to_string()
                .into(),
        ),
        "verified",
    );
    house.check(
        "no JSON",
        &with(b"signatures".to_vec()),
        "`.signatures.json` is not plain JSON",
    );
    house.check(
        "twice the same name",
        &with(br#"{"signatures":[],"signatures":[]}"#.to_vec()),
        "`.signatures.json` is not plain JSON",
    );
    for (what, token) in [
        ("no signature part", message.to_owned()),
        ("an empty signature", format!("{message}.")),
        ("a padded signature", format!("{message}.{signature}==")),
        ("four parts", format!("{good_token}.x")),
        ("no token", "x".to_owned()),
        (
            "another's signature",
            format!("{message}.{}", other_token.rsplit_once('.').unwrap().1),
        ),
    ] {
        let found = verify(
            &with(signatures_of(&[token])),
            std::slice::from_ref(&house.trusted),
        );
        assert!(
            matches!(
                found,
                Err(Error::Untrusted { .. }
                    | Error::Token {
                        fault: TokenFault::Malformed
                    })
            ),
            "{what}: {found:?}"
        );
    }
    let nobody = verify(&good, &[]).unwrap_err().to_string();
    assert!(nobody.ends_with("trusted: none)"), "{nobody}");
}

#[test]
fn tokens_that_say_something_else_are_refused() {
    let house = House::new();
    let check = |what: &str, change: fn(&mut Value, &mut Value), expected: &str| {
        house.check(what, &house.forged(change), expected);
    };
    check("unchanged", |_, _| {}, "verified");
    for algorithm in [
        "none", "None", "", "HS256", "HS384", "HS512", "PS256", "ES384", "eddsa",
    ] {
        let bytes = house.forged(|header, _| header["alg"] = algorithm.into());
        house.check(
            algorithm,
            &bytes,
            &format!(
                "the bundle's signature can't be used: its algorithm is `{algorithm}`; accepted are"
            ),
        );
    }
    check(
        "another key's algorithm",
        |header, _| header["alg"] = "RS256".into(),
        "the bundle's signature can't be used: its algorithm is `RS256`, trusted key",
    );
    check(
        "another key's algorithm and name",
        |header, _| {
            header["alg"] = "ES256".into();
            header["kid"] = "x".into();
        },
        "no trusted key made",
    );
    check(
        "no algorithm",
        |header, _| drop(header.as_object_mut().unwrap().remove("alg")),
        "the bundle's signature can't be used: it is not a JWT",
    );
    check(
        "critical",
        |header, _| header["crit"] = json!(["b64"]),
        "the bundle's signature can't be used: its header has critical extensions",
    );
    check(
        "a name of the signer's own",
        |header, _| header["kid"] = "ours".into(),
        "verified",
    );
    check(
        "no name",
        |header, payload| {
            header.as_object_mut().unwrap().remove("kid");
            payload.as_object_mut().unwrap().remove("keyid");
        },
        "verified",
    );
    check(
        "a key beside",
        |header, _| header["jwk"] = json!({"kty": "oct", "k": "AA"}),
        "verified",
    );
    check(
        "a scope",
        |_, payload| payload["scope"] = "write".into(),
        "the bundle's signature can't be used: it is for scope `write`",
    );
    check(
        "informational claims",
        |_, payload| {
            payload["iat"] = 1592248027.into();
            payload["iss"] = "ci".into();
        },
        "verified",
    );
    check(
        "another hash",
        |_, payload| payload["files"][0]["algorithm"] = "MD5".into(),
        "the bundle's signature can't be used: it hashes `.manifest` by `MD5`",
    );
    check(
        "no hash",
        |_, payload| {
            drop(
                payload["files"][0]
                    .as_object_mut()
                    .unwrap()
                    .remove("algorithm"),
            )
        },
        "the bundle's signature can't be used: it hashes `.manifest` by ``",
    );
    check(
        "a short hash",
        |_, payload| payload["files"][0]["hash"] = "ab".into(),
        "the bundle's signature can't be used: it is not a JWT",
    );
    check(
        "a signed hash",
        |_, payload| payload["files"][0]["hash"] = "+a".repeat(32).into(),
        "the bundle's signature can't be used: it is not a JWT",
    );
    check(
        "a hash in capitals",
        |_, payload| {
            let hash = payload["files"][0]["hash"].as_str().unwrap().to_uppercase();
            payload["files"][0]["hash"] = hash.into();
        },
        "verified",
    );
    check(
        "twice",
        |_, payload| {
            let first = payload["files"][0].clone();
            payload["files"].as_array_mut().unwrap().push(first);
        },
        "the bundle's signature can't be used: it lists `.manifest` twice",
    );
    check(
        "twice, by another name",
        |_, payload| {
            let mut first = payload["files"][0].clone();
            first["name"] = "/.manifest".into();
            payload["files"].as_array_mut().unwrap().push(first);
        },
        "the bundle's signature can't be used: it lists `.manifest` twice",
    );
    check(
        "no files",
        |_, payload| payload["files"] = json!([]),
        "`.manifest` is in the bundle and not in its signature",
    );
    check(
        "files that are none",
        |_, payload| payload["files"] = json!({}),
        "the bundle's signature can't be used: it is not a JWT",
    );
}

#[test]
fn archives_that_are_more_or_less_are_refused() {
    let house = House::new();
    let signed = house.signed();
    let good = entries(&signed);
    let plain_tar = tar(&good);
    let joined = |parts: &[&[u8]]| parts.concat();
    let zeros = vec![0; usize::try_from(UNPACKED_BYTES_MAX).unwrap() + 1];
    let big = vec![b' '; (1 << 20) + 1];
    let many: Vec<Entry> = (0..=FILES_MAX)
        .map(|number| (format!("{number}.pol"), b'0', Vec::new()))
        .collect();
    let mut no_end = plain_tar.clone();
    no_end.truncate(plain_tar.len() - 1024);
    let mut checksum = plain_tar.clone();
    checksum[0] ^= 1;
    let cases: &[(&str, Vec<u8>, &str)] = &[
        ("nothing", Vec::new(), "the bundle is no complete gzip file"),
        (
            "no gzip",
            plain_tar.clone(),
            "the bundle is no complete gzip file",
        ),
        (
            "garbage after",
            joined(&[&signed, b"x"]),
            "the bundle has bytes after its end",
        ),
        (
            "a second member",
            joined(&[&signed, &signed]),
            "the bundle has bytes after its end",
        ),
        (
            "garbage in the archive",
            gzip(&joined(&[&plain_tar, b"x"])),
            "the bundle has bytes after its end",
        ),
        (
            "a second archive",
            gzip(&joined(&[&plain_tar, &plain_tar])),
            "the bundle has bytes after its end",
        ),
        (
            "padding, as tar writes it",
            gzip(&joined(&[&plain_tar, &[0; 4096]])),
            "verified",
        ),
        (
            "no end",
            gzip(&no_end),
            "the bundle is no complete tar archive",
        ),
        (
            "an empty archive",
            gzip(&[0; 1024]),
            "the bundle has no `.manifest`",
        ),
        (
            "a header's checksum",
            gzip(&checksum),
            "the bundle is no complete tar archive",
        ),
        (
            "a bomb",
            gzip(&zeros),
            "the bundle unpacks to more than 67108864 bytes",
        ),
        (
            "too large",
            vec![0; BUNDLE_BYTES_MAX + 1],
            "the bundle is larger than 16777216 bytes",
        ),
        (
            "a file too large",
            pack(&add(good.clone(), "big.pol", b'0', &big)),
            "`big.pol` is larger than",
        ),
        (
            "too many files",
            pack(&many),
            "the bundle has more than 10000 files",
        ),
        (
            "a folder",
            pack(&add(good.clone(), "below/", b'5', b"")),
            "verified",
        ),
        (
            "the folder that tar writes",
            pack(&add(good.clone(), "./", b'5', b"")),
            "verified",
        ),
        (
            "a folder with content",
            pack(&add(good.clone(), "below/", b'5', b"x")),
            "`below/` is a tar entry of type `5`",
        ),
        (
            "a folder outside",
            pack(&add(good.clone(), "../x/", b'5', b"")),
            "`../x` is no name for a file",
        ),
    ];
    for (what, bytes, expected) in cases {
        house.check(what, bytes, expected);
    }
    // Hard link, symbolic link, devices, pipe, contiguous, GNU's and PAX's extensions, sparse, unknown.
    for kind in *b"123467LKSxgXZ" {
        let bytes = pack(&add(good.clone(), "x.pol", kind, b""));
        house.check(
            "a kind",
            &bytes,
            &format!("`x.pol` is a tar entry of type `{}`", char::from(kind)),
        );
    }
    for length in 0..signed.len() {
        assert!(
            Contents::read(&signed[..length]).is_err(),
            "cut at {length}"
        );
    }
}

#[test]
fn names_are_plain() {
    let house = House::new();
    let good = entries(&house.signed());
    let long = format!("{}.pol", "x".repeat(96));
    for (name, expected) in [
        (
            "../x.pol",
            "`../x.pol` is no name for a file of a bundle: it has an empty step, `.` or `..`",
        ),
        ("a/../x.pol", "`a/../x.pol` is no name"),
        ("/../x.pol", "`/../x.pol` is no name"),
        ("//x.pol", "`//x.pol` is no name"),
        ("/./x.pol", "`/./x.pol` is no name"),
        ("a//x.pol", "`a//x.pol` is no name"),
        ("a/./x.pol", "`a/./x.pol` is no name"),
        ("", "`` is no name"),
        ("x.pol/", "`x.pol/` is no name"),
        (
            "a\\x.pol",
            "`a\\x.pol` is no name for a file of a bundle: it has a backslash",
        ),
        (
            "a\nx.pol",
            "`a?x.pol` is no name for a file of a bundle: it has a backslash or a control",
        ),
        (
            ".x.pol",
            "`.x.pol` is no name for a file of a bundle: it has a step that begins with a dot",
        ),
        ("..data/x.pol", "`..data/x.pol` is no name"),
        ("a/.manifest", "`a/.manifest` is no name"),
        ("a/.signatures.json", "`a/.signatures.json` is no name"),
        (
            "signatures.json",
            "`signatures.json` is no part of a policy",
        ),
        ("x.manifest", "`x.manifest` is no part of a policy"),
        ("patch.json", "`patch.json` is no part of a policy"),
        ("policy.wasm", "`policy.wasm` is no part of a policy"),
        ("data.yaml", "`data.yaml` is no part of a policy"),
        ("x.pol.txt", "`x.pol.txt` is no part of a policy"),
        ("README.md", "`README.md` is no part of a policy"),
        // Plain, and not signed.
        ("/x.pol", "`x.pol` is in the bundle and not"),
        ("./x.pol", "`x.pol` is in the bundle and not"),
        ("a b/é.pol", "`a b/é.pol` is in the bundle and not"),
        (&long, "`xxx"),
    ] {
        house.check(name, &pack(&add(good.clone(), name, b'0', b"")), expected);
    }
    let mut raw = tar(&add(good, "x?.pol", b'0', b""));
    let at = raw
        .windows(6)
        .position(|window| window == b"x?.pol")
        .unwrap();
    // Not UTF-8, with a checksum that fits: 0x3f becomes 0xff, the sum grows by 0xc0.
    raw[at + 1] = 0xff;
    let sum: u32 = raw[at..at + 512]
        .iter()
        .enumerate()
        .map(|(position, byte)| {
            if (148..156).contains(&position) {
                32
            } else {
                u32::from(*byte)
            }
        })
        .sum();
    raw[at + 148..at + 156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    house.check(
        "not UTF-8",
        &gzip(&raw),
        "`x\u{fffd}.pol` is no name for a file of a bundle: it is not UTF-8",
    );
}

/// A bundle whose manifest is changed, and signed again by the trusted key.
#[track_caller]
fn check_terms(change: impl FnOnce(&mut Value), expected: &str) {
    let house = House::new();
    let mut changed = entries(&house.build(&options(7)));
    let manifest = entry(&mut changed, ".manifest");
    let mut value: Value = serde_json::from_slice(manifest).unwrap();
    change(&mut value);
    *manifest = value.to_string().into_bytes();
    let shown = sign(&pack(&changed), &house.key)
        .and_then(|signed| {
            verify(&signed, std::slice::from_ref(&house.trusted))?.compile(RegoLimits::default())
        })
        .map_or_else(
            |error| error.to_string(),
            |compiled| format!("{} files", compiled.files),
        );
    assert!(shown.starts_with(expected), "{value}: {shown}");
}

#[test]
fn terms_that_cannot_be_met_are_refused() {
    let ours =
        |change: fn(&mut Value)| move |value: &mut Value| change(&mut value["metadata"]["provost"]);
    check_terms(|_| {}, "3 files");
    check_terms(
        |value| value["metadata"]["somebody"] = json!({"else": 1}),
        "3 files",
    );
    check_terms(|value| value["roots"] = json!([""]), "3 files");
    check_terms(
        |value| drop(value.as_object_mut().unwrap().remove("metadata")),
        "the manifest has no `provost` metadata",
    );
    check_terms(
        ours(|terms| terms["sequence"] = 0.into()),
        "sequence 0 is out of range",
    );
    check_terms(
        ours(|terms| terms["sequence"] = SEQUENCE_MAX.into()),
        "3 files",
    );
    check_terms(
        ours(|terms| terms["sequence"] = (SEQUENCE_MAX + 1).into()),
        "sequence 9007199254740992 is out of range",
    );
    check_terms(
        ours(|terms| terms["sequence"] = json!(7.5)),
        "`.manifest` is not plain JSON",
    );
    check_terms(
        ours(|terms| terms["sequence"] = json!(-7)),
        "`.manifest` is not plain JSON",
    );
    check_terms(
        ours(|terms| terms["expires_at"] = "soon".into()),
        "`.manifest` is not plain JSON",
    );
    check_terms(
        ours(|terms| terms["expire_at"] = "2020-01-01T00:00:00Z".into()),
        "`.manifest` is not plain JSON: unknown field `expire_at`",
    );
    check_terms(
        ours(|terms| terms["language"] = 2.into()),
        "the bundle is written in language version 2, this version reads up to 1",
    );
    check_terms(
        ours(|terms| terms["features"] = json!(["approvals-2"])),
        "the bundle needs `approvals-2`",
    );
    check_terms(
        ours(|terms| terms["observe"] = true.into()),
        "the bundle is marked `observe`",
    );
    check_terms(
        |value| value["wasm"] = json!([{"module": "x"}]),
        "the manifest asks for WebAssembly",
    );
    check_terms(
        |value| value["rego_version"] = 0.into(),
        "the manifest asks for another version of Rego",
    );
    check_terms(
        |value| value["file_rego_versions"] = json!({"/x.rego": 0}),
        "the manifest asks for another version of Rego",
    );
}

#[test]
fn folders_that_make_no_bundle() {
    let check = |files: &[(&str, &str)], expected: &str| {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), files);
        let shown = build(folder.path(), &options(1)).map_or_else(
            |error| error.to_string(),
            |built| format!("{} files", built.compiled.files),
        );
        assert!(shown.contains(expected), "{files:?}: {shown}");
    };
    check(&[("a.pol", RULES)], "the policy is not valid");
    check(&[("a.txt", RULES)], "no `*.pol` or `*.rego` file under");
    check(
        &[
            ("a.pol", "rule a allow read for anyone"),
            ("<built-in>/baseline.pol", ""),
        ],
        "`<built-in>/baseline.pol` is in the bundle twice",
    );
    check(
        &[("a.pol", "rule a allow read for anyone\nexclude baseline")],
        "1 files",
    );
    check(
        &[("a\\b.pol", "rule a allow read for anyone")],
        "it has a backslash",
    );
    let long = format!("{}/{}.pol", "x".repeat(150), "y".repeat(150));
    check(
        &[(&long, "rule a allow read for anyone")],
        "is longer than 255 bytes",
    );
    let house = House::new();
    let error = build(house.folder.path(), &options(0)).unwrap_err();
    assert!(matches!(error, Error::Sequence { sequence: 0 }), "{error}");
    write(house.folder.path(), &[("x.rego", "package provost")]);
    assert!(matches!(
        build(house.folder.path(), &options(1)),
        Err(Error::Policy(_))
    ));
}

#[test]
fn a_bundle_in_the_way_of_opas_tools_is_read() {
    let house = House::new();
    // What `opa build` writes: names with a slash in front, an empty document, the manifest last.
    let mut made: Vec<Entry> = vec![("/data.json".to_owned(), b'0', b"{}\n".to_vec())];
    let mut ours = entries(&house.build(&options(7)));
    ours.reverse();
    made.extend(
        ours.into_iter()
            .map(|(name, kind, content)| (format!("/{name}"), kind, content)),
    );
    let signed = sign(&pack(&made), &house.key).unwrap();
    let bundle = verify(&signed, std::slice::from_ref(&house.trusted)).unwrap();
    assert_eq!(bundle.compile(RegoLimits::default()).unwrap().files, 3);
    // Data that rules could read would have to be there for them.
    made[0].2 = b"{\"a\": 1}".to_vec();
    let signed = sign(&pack(&made), &house.key).unwrap();
    let bundle = verify(&signed, std::slice::from_ref(&house.trusted)).unwrap();
    assert_eq!(
        bundle
            .compile(RegoLimits::default())
            .unwrap_err()
            .to_string(),
        "the bundle needs `data in `data.json``, which this version does not have"
    );
}

#[test]
fn keys_of_opas_kinds_verify_their_own_algorithm_only() {
    use jsonwebtoken::{EncodingKey, Header};
    use rsa::pkcs8::{EncodePrivateKey as _, EncodePublicKey as _, LineEnding};
    let house = House::new();
    let ec = rcgen::KeyPair::generate().unwrap();
    let rsa = rsa::RsaPrivateKey::new(&mut rsa::rand_core::OsRng, 2048).unwrap();
    let rsa_public = rsa
        .to_public_key()
        .to_public_key_pem(LineEnding::LF)
        .unwrap();
    let rsa_private = rsa.to_pkcs8_pem(LineEnding::LF).unwrap();
    let ec_key = TrustedKey::from_pem(&ec.public_key_pem()).unwrap();
    let rsa_key = TrustedKey::from_pem(&rsa_public).unwrap();
    assert_eq!(
        (ec_key.algorithm(), rsa_key.algorithm()),
        (Algorithm::Es256, Algorithm::Rs256)
    );
    let hashes: Vec<Value> = Contents::read(&house.signed())
        .unwrap()
        .files()
        .map(|(name, _, hash)| json!({"name": name.as_str(), "hash": hash, "algorithm": "SHA-256"}))
        .collect();
    let made = |algorithm, key: &EncodingKey| {
        let header = Header {
            kid: Some("default".to_owned()),
            ..Header::new(algorithm)
        };
        let token =
            jsonwebtoken::encode(&header, &json!({"files": hashes, "keyid": "default"}), key)
                .unwrap();
        let mut entries = entries(&house.signed());
        *entry(&mut entries, ".signatures.json") =
            json!({"plugin": "_default", "signatures": [token]})
                .to_string()
                .into_bytes();
        pack(&entries)
    };
    let es256 = made(
        jsonwebtoken::Algorithm::ES256,
        &EncodingKey::from_ec_pem(ec.serialize_pem().as_bytes()).unwrap(),
    );
    let rsa_encoding = EncodingKey::from_rsa_pem(rsa_private.as_bytes()).unwrap();
    let rs256 = made(jsonwebtoken::Algorithm::RS256, &rsa_encoding);
    let rs512 = made(jsonwebtoken::Algorithm::RS512, &rsa_encoding);
    // The old trick: the public key as the secret of an HMAC.
    let hs256 = made(
        jsonwebtoken::Algorithm::HS256,
        &EncodingKey::from_secret(rsa_public.as_bytes()),
    );
    let all = [house.trusted.clone(), ec_key.clone(), rsa_key.clone()];
    assert_eq!(verify(&es256, &all).unwrap().key(), ec_key.id());
    assert_eq!(verify(&rs256, &all).unwrap().key(), rsa_key.id());
    assert!(matches!(
        verify(&es256, &all[..1]),
        Err(Error::Untrusted { .. })
    ));
    assert!(matches!(
        verify(&rs256, &all[..2]),
        Err(Error::Untrusted { .. })
    ));
    assert!(matches!(
        verify(&rs512, &all),
        Err(Error::Token {
            fault: TokenFault::Algorithm { .. }
        })
    ));
    assert!(matches!(
        verify(&hs256, &all),
        Err(Error::Token {
            fault: TokenFault::Algorithm { .. }
        })
    ));
}

#[test]
fn keys_are_read_and_others_refused() {
    let key = SigningKey::generate().unwrap();
    let (private, public) = (key.to_pem().unwrap(), key.public_pem().unwrap());
    let again = SigningKey::from_pem(&private).unwrap();
    assert_eq!(again.public_pem().unwrap(), public);
    assert_eq!(
        &again.id().unwrap(),
        TrustedKey::from_pem(&public).unwrap().id()
    );
    assert_eq!(again.id().unwrap().as_str().len(), 16);
    assert_eq!(format!("{key:?}"), "SigningKey(..)");
    // RFC 8410, section 10: its example's public key, and the id as `openssl pkey -pubin -outform der | sha256sum` has it.
    let rfc = "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n-----END PUBLIC KEY-----\n";
    assert_eq!(
        TrustedKey::from_pem(rfc).unwrap().id().as_str(),
        "a1e9156054e04fac"
    );
    let fault = |found: Result<TrustedKey, Error>| match found {
        Err(Error::Key { fault }) => fault,
        other => panic!("{other:?}"),
    };
    use rsa::pkcs8::{EncodePublicKey as _, LineEnding};
    let short = rsa::RsaPrivateKey::new(&mut rsa::rand_core::OsRng, 1024).unwrap();
    let short = short
        .to_public_key()
        .to_public_key_pem(LineEnding::LF)
        .unwrap();
    let p384 = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384)
        .unwrap()
        .public_key_pem();
    // A point of small order would verify signatures that nobody made.
    let weak = format!(
        "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEA{}=\n-----END PUBLIC KEY-----\n",
        "A".repeat(43)
    );
    assert_eq!(fault(TrustedKey::from_pem(&short)), KeyFault::Kind);
    assert_eq!(fault(TrustedKey::from_pem(&p384)), KeyFault::Kind);
    assert_eq!(fault(TrustedKey::from_pem(&private)), KeyFault::NotPublic);
    assert_eq!(fault(TrustedKey::from_pem("")), KeyFault::NotPublic);
    assert_eq!(fault(TrustedKey::from_pem(&weak)), KeyFault::NotPublic);
    assert!(matches!(
        SigningKey::from_pem(&public),
        Err(Error::Key {
            fault: KeyFault::NotPrivate
        })
    ));
}

/// What a corruption does to some bytes.
fn corrupt(bytes: &[u8], changes: &[(prop::sample::Index, u8, u8)]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for (index, how, value) in changes {
        if bytes.is_empty() {
            break;
        }
        let at = index.index(bytes.len());
        match how % 5 {
            0 => bytes[at] ^= value | 1,
            1 => bytes.insert(at, *value),
            2 => drop(bytes.remove(at)),
            3 => bytes.truncate(at),
            _ => {
                let end = (at + usize::from(*value)).min(bytes.len());
                let piece = bytes[at..end].to_vec();
                bytes.splice(at..at, piece);
            }
        }
    }
    bytes
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever is done to a bundle, packed or unpacked: it is refused, or it is still the same content.
    #[test]
    fn no_corruption_passes_for_other_content(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), any::<u8>()), 1..4),
        unpacked in any::<bool>(),
    ) {
        thread_local! {
            static GOOD: (House, Vec<u8>, String) = {
                let house = House::new();
                let signed = house.signed();
                let digest = verify(&signed, std::slice::from_ref(&house.trusted)).unwrap().digest().0.to_string();
                (house, signed, digest)
            };
        }
        GOOD.with(|(house, signed, digest)| {
            let corrupted = if unpacked {
                gzip(&corrupt(&tar(&entries(signed)), &changes))
            } else {
                corrupt(signed, &changes)
            };
            if let Ok(bundle) = verify(&corrupted, std::slice::from_ref(&house.trusted)) {
                prop_assert_eq!(&*bundle.digest().0, digest);
                prop_assert_eq!(bundle.terms().unwrap().sequence, 7);
            }
            Ok(())
        })?;
    }

    /// Bytes of anybody's are refused, never a panic.
    #[test]
    fn anything_is_read_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..2048)) {
        prop_assert!(Contents::read(&bytes).is_err());
        prop_assert!(Contents::read(&gzip(&bytes)).is_err());
    }
}
