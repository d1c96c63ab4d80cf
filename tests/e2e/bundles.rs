//! Signed bundles, from the commands to a running gateway: what is signed comes into force, what isn't never does, and
//! evidence says which was which.

use std::{fs, os::unix::fs::PermissionsExt as _, path::PathBuf, process::Command};

use crate::support::{House, Person, client::Connected, python, s3::S3, succeeded, text};

/// Agents read orders, as the house's rules say.
const OPEN: &str = "";
/// They don't.
const CLOSED: &str =
    "rule orders-are-closed\n  deny read on public.orders for agents\n  because \"stocktaking\"\n";
const QUERY: &str = "SELECT id FROM orders ORDER BY id LIMIT 1";

/// A house whose gateway takes bundles from `location`, signed by its key.
fn house_with_bundles(location: impl FnOnce(&House) -> String) -> House {
    let house = House::without_gateway();
    succeeded(house.provost(&["bundle", "keygen", "--out", &path(&house, "keys")]));
    let lines = format!(
        "bundle = \"{}\"\ntrusted_keys = [\"keys/bundle-signing.pub\"]\npoll_interval_ms = 100",
        location(&house)
    );
    house.write_config(|config| {
        let unsigned = format!("folder = \"{}\"\nunsigned = true", path(&house, "policies"));
        assert!(config.contains(&unsigned), "{config}");
        config.replace(&unsigned, &lines)
    });
    house
}

fn path(house: &House, name: &str) -> String {
    house.path(name).to_str().unwrap().to_owned()
}

/// Builds a bundle of the house's rules and `more`, not signed; its file and its digest.
fn build(house: &House, sequence: u64, more: &str, arguments: &[&str]) -> (PathBuf, String) {
    fs::write(house.path("policies/more.pol"), more).unwrap();
    let file = house.path("built.tar.gz");
    let (folder, out) = (path(house, "policies"), file.to_str().unwrap());
    let sequence = sequence.to_string();
    let mut command = vec![
        "bundle",
        "build",
        &folder,
        "--out",
        out,
        "--sequence",
        &sequence,
    ];
    command.extend(arguments);
    let said = succeeded(house.provost(&command));
    let digest = said
        .lines()
        .last()
        .unwrap()
        .strip_prefix("digest ")
        .unwrap();
    (file, digest.to_owned())
}

/// The same, signed by the house's key.
fn signed(house: &House, sequence: u64, more: &str, arguments: &[&str]) -> (Vec<u8>, String) {
    let (file, digest) = build(house, sequence, more, arguments);
    let key = path(house, "keys/bundle-signing.pem");
    succeeded(house.provost(&["bundle", "sign", file.to_str().unwrap(), "--key", &key]));
    (fs::read(file).unwrap(), digest)
}

/// Puts a bundle where the gateway looks, all at once.
fn publish(house: &House, bytes: &[u8]) {
    fs::write(house.path("next"), bytes).unwrap();
    fs::rename(house.path("next"), house.path("bundle.tar.gz")).unwrap();
}

#[track_caller]
fn in_force(house: &House, sequence: u64) {
    let sequence = format!("bundle sequence {sequence},");
    house.wait_for_log(&["a policy came into force", &sequence], 1);
}

/// The session answers by the policy in force: with rows, or with a denial for this reason.
async fn check(session: &Connected, denied: Option<&str>) {
    let answer = session.client.query(QUERY, &[]).await;
    match (answer, denied) {
        (Ok(rows), None) => assert_eq!(rows.len(), 1),
        (Err(error), Some(reason)) => {
            let error = error.as_db_error().unwrap_or_else(|| panic!("{error:?}"));
            assert_eq!(error.code().code(), "42501");
            let said = format!("{error} {}", error.detail().unwrap_or_default());
            assert!(said.contains(reason), "{said}");
        }
        (answer, _) => panic!("{answer:?}, expected {denied:?}"),
    }
}

#[tokio::test]
async fn a_bundle_swaps_in_under_a_session_and_bad_ones_do_not() {
    let mut house = house_with_bundles(|house| path(house, "bundle.tar.gz"));
    let (seven, digest_seven) = signed(&house, 7, OPEN, &["--revision", "r7"]);
    publish(&house, &seven);
    house.start_gateway();
    let session = house.connect(Person::Agent).await;
    check(&session, None).await;

    let (eight, digest_eight) = signed(&house, 8, CLOSED, &["--revision", "r8"]);
    publish(&house, &eight);
    in_force(&house, 8);
    check(&session, Some("stocktaking")).await;

    // Each of these would open the orders again.
    let (nine, _) = signed(&house, 9, OPEN, &[]);
    let mut tampered = nine.clone();
    let middle = tampered.len() / 2;
    tampered[middle] ^= 1;
    let grown = [&nine[..], b"x"].concat();
    let (unsigned, _) = build(&house, 9, OPEN, &[]);
    let unsigned = fs::read(unsigned).unwrap();
    let (again, digest_again) = signed(&house, 8, OPEN, &[]);
    let (observing, digest_observing) = signed(&house, 9, OPEN, &["--observe"]);
    let (expired, digest_expired) = signed(&house, 9, OPEN, &["--expires", "2020-01-01"]);
    succeeded(house.provost(&["bundle", "keygen", "--out", &path(&house, "other")]));
    fs::write(house.path("stranger.tar.gz"), &nine).unwrap();
    let stranger = path(&house, "stranger.tar.gz");
    let key = path(&house, "other/bundle-signing.pem");
    succeeded(house.provost(&["bundle", "sign", &stranger, "--key", &key]));
    let stranger = fs::read(stranger).unwrap();
    let bad: Vec<(&str, &[u8], Option<&str>)> = vec![
        ("no complete gzip file", &tampered, None),
        ("no complete gzip file", &nine[..nine.len() - 9], None),
        ("bytes after its end", &grown, None),
        ("is not signed", &unsigned, None),
        ("no trusted key made", &stranger, None),
        ("sequence 7 is older than 8", &seven, Some(&digest_seven)),
        (
            "sequence 8 was accepted before with other content",
            &again,
            Some(&digest_again),
        ),
        ("is marked `observe`", &observing, Some(&digest_observing)),
        (
            "expired at 2020-01-01T00:00:00Z",
            &expired,
            Some(&digest_expired),
        ),
    ];
    for (position, (reason, bytes, _)) in bad.iter().enumerate() {
        publish(&house, bytes);
        house.wait_for_log(&["a policy was refused"], position + 1);
        house.wait_for_log(&["a policy was refused", reason], 1);
        check(&session, Some("stocktaking")).await;
    }
    fs::remove_file(house.path("bundle.tar.gz")).unwrap();
    house.wait_for_log(
        &["a policy was refused", "there is no bundle at its source"],
        1,
    );
    check(&session, Some("stocktaking")).await;

    let (ten, digest_ten) = signed(&house, 10, OPEN, &[]);
    publish(&house, &ten);
    in_force(&house, 10);
    check(&session, None).await;
    drop(session);
    house.stop_gateway();
    succeeded(house.verify());

    let loaded =
        house.query("SELECT * FROM changes WHERE what = 'bundle-loaded' ORDER BY log_index");
    let digests: Vec<&str> = loaded
        .iter()
        .map(|row| row["digest"].as_str().unwrap())
        .collect();
    assert_eq!(digests, [&digest_seven, &digest_eight, &digest_ten]);
    assert!(
        loaded[0]["after"]
            .as_str()
            .unwrap()
            .starts_with("bundle sequence 7, revision r7, key "),
        "{loaded:?}"
    );
    assert_eq!(loaded[1]["before"], loaded[0]["after"]);
    let refused =
        house.query("SELECT * FROM changes WHERE what = 'bundle-refused' ORDER BY log_index");
    assert_eq!(refused.len(), bad.len() + 1, "each cause once: {refused:?}");
    for (row, (reason, _, digest)) in refused.iter().zip(&bad) {
        let after = row["after"].as_str().unwrap();
        assert!(
            after.starts_with("refused: ") && after.contains(reason),
            "{after}"
        );
        assert_eq!(row["before"], loaded[1]["after"]);
        assert_eq!(
            row.get("digest").map(|digest| digest.as_str().unwrap()),
            *digest,
            "{after}"
        );
    }
    let statements = house.query("SELECT bundle_digest, verdict FROM statements WHERE sql LIKE '%FROM orders%' AND phase = 'execute' ORDER BY log_index");
    let allowed: Vec<&str> = statements
        .iter()
        .filter(|row| row["verdict"] == "allow")
        .map(|row| row["bundle_digest"].as_str().unwrap())
        .collect();
    assert_eq!(allowed, [&digest_seven, &digest_ten]);
    let by = |digest: &str, verdict: &str| {
        house.count(&format!("SELECT count(*) FROM statements WHERE bundle_digest = '{digest}' AND verdict = '{verdict}'"))
    };
    assert_eq!(by(&digest_seven, "deny"), 0);
    assert_eq!(by(&digest_eight, "deny"), bad.len() as u64 + 2);
    assert_eq!(by(&digest_eight, "allow"), 0);

    // A restart opens no way back: the bundle accepted last decides, from its copy, until its source has a good one again.
    publish(&house, &eight);
    house.start_gateway();
    let session = house.connect(Person::Agent).await;
    check(&session, None).await;
    let (eleven, digest_eleven) = signed(&house, 11, CLOSED, &[]);
    publish(&house, &eleven);
    in_force(&house, 11);
    check(&session, Some("stocktaking")).await;
    drop(session);
    house.stop_gateway();
    let changes = house.query(
        "SELECT what, before, after, digest FROM changes WHERE what LIKE 'bundle-%' ORDER BY log_index DESC LIMIT 3",
    );
    let told: Vec<_> = changes
        .iter()
        .map(|row| {
            (
                row["what"].as_str().unwrap(),
                row["digest"].as_str().unwrap(),
            )
        })
        .collect();
    assert_eq!(
        told,
        [
            ("bundle-loaded", digest_eleven.as_str()),
            ("bundle-loaded", &digest_ten),
            ("bundle-refused", &digest_eight)
        ]
    );
    assert!(
        changes[1]["after"]
            .as_str()
            .unwrap()
            .ends_with("log/accepted-bundle.tar.gz"),
        "{changes:?}"
    );
    succeeded(house.verify());

    // Without a copy that is good, nothing starts.
    publish(&house, &ten);
    for damage in [b"".as_slice(), &ten, &nine] {
        fs::write(house.path("log/accepted-bundle.tar.gz"), damage).unwrap();
        let output = house.provost(&["serve", "--config", house.config_path().to_str().unwrap()]);
        assert_eq!(output.status.code(), Some(1));
        assert!(
            text(&output.stderr).contains("sequence 10 is older than 11"),
            "{}",
            text(&output.stderr)
        );
    }
}

#[tokio::test]
async fn an_expired_bundle_denies_until_a_newer_one_comes() {
    let mut house = house_with_bundles(|house| path(house, "."));
    let at = jiff::Timestamp::now() + jiff::SignedDuration::from_secs(15);
    let (one, digest) = signed(&house, 1, OPEN, &["--expires", &at.to_string()]);
    publish(&house, &one);
    house.start_gateway();
    let session = house.connect(Person::Agent).await;
    check(&session, None).await;
    house.wait_for_log(&["the policy bundle expired"], 1);
    check(&session, Some("the policy bundle expired at")).await;
    // Masks and classes go on: what the denial says and what evidence keeps stays without values.
    let error = session
        .client
        .query("SELECT id FROM customers WHERE ssn = '907-91-5433'", &[])
        .await;
    assert!(!format!("{error:?}").contains("907-91"), "{error:?}");
    let (two, _) = signed(&house, 2, OPEN, &[]);
    publish(&house, &two);
    in_force(&house, 2);
    check(&session, None).await;
    drop(session);
    house.stop_gateway();
    let expired = house.query("SELECT * FROM changes WHERE what = 'bundle-expired'");
    assert_eq!(expired.len(), 1, "{expired:?}");
    assert_eq!(expired[0]["digest"], digest.as_str());
    assert_eq!(
        house.count("SELECT count(*) FROM statements WHERE sql LIKE '%907-91%'"),
        0
    );
    assert!(house.count("SELECT count(*) FROM statements WHERE verdict = 'deny' AND array_has(rules, 'policy-bundle-expired')") >= 2);
    // It is no start for a gateway either.
    fs::remove_file(house.path("log/accepted-bundle.json")).unwrap();
    fs::remove_file(house.path("log/accepted-bundle.tar.gz")).unwrap();
    publish(&house, &one);
    let output = house.provost(&["serve", "--config", house.config_path().to_str().unwrap()]);
    assert!(
        text(&output.stderr).contains("the bundle expired at"),
        "{}",
        text(&output.stderr)
    );
}

#[tokio::test]
async fn bundles_come_from_an_object_store_by_etag() {
    const KEY: &str = "production/bundle.tar.gz";
    let mut house = house_with_bundles(|_| S3::location(KEY));
    let store = S3::start(&house);
    house.environment = store.environment();
    let (one, _) = signed(&house, 1, OPEN, &[]);
    store.put(KEY, &one);
    house.start_gateway();
    let session = house.connect(Person::Agent).await;
    check(&session, None).await;
    // Polled, and not fetched again.
    house.wait_until("answers 304", |_| store.gets(KEY, 304) >= 5);
    assert_eq!(store.gets(KEY, 200), 1, "{}", store.log());
    let (two, _) = signed(&house, 2, CLOSED, &[]);
    store.put(KEY, &two);
    in_force(&house, 2);
    check(&session, Some("stocktaking")).await;
    store.put(KEY, &one);
    house.wait_for_log(&["a policy was refused", "sequence 1 is older than 2"], 1);
    let polls = store.gets(KEY, 304);
    house.wait_until("more answers 304", |_| store.gets(KEY, 304) >= polls + 3);
    // What was refused is not fetched again either.
    assert_eq!(store.gets(KEY, 200), 3, "{}", store.log());
    check(&session, Some("stocktaking")).await;
    // The store goes away: what is in force stays.
    drop(store);
    house.wait_for_log(&["a policy was refused", "could not be fetched"], 1);
    check(&session, Some("stocktaking")).await;
    drop(session);
    house.stop_gateway();
    let refused =
        house.query("SELECT after FROM changes WHERE what = 'bundle-refused' ORDER BY log_index");
    assert_eq!(refused.len(), 2, "{refused:?}");
    assert_eq!(
        house.count("SELECT count(*) FROM changes WHERE what = 'bundle-loaded'"),
        2
    );
    assert!(!house.gateway_log().contains("not a secret"));
}

#[tokio::test]
async fn a_folder_must_be_called_unsigned_and_is_read_again_on_sighup() {
    let mut house = House::without_gateway();
    house.write_config(|config| config.replace("unsigned = true\n", ""));
    let output = house.provost(&["serve", "--config", house.config_path().to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        text(&output.stderr).contains("say `unsigned = true`"),
        "{}",
        text(&output.stderr)
    );
    house.write_config(|config| config);
    house.start_gateway();
    let session = house.connect(Person::Agent).await;
    check(&session, None).await;
    fs::write(house.path("policies/more.pol"), CLOSED).unwrap();
    house.signal_gateway("HUP");
    house.wait_for_log(&["a policy came into force"], 1);
    check(&session, Some("stocktaking")).await;
    fs::write(house.path("policies/more.pol"), "rule broken").unwrap();
    house.signal_gateway("HUP");
    house.wait_for_log(&["a policy was refused"], 1);
    check(&session, Some("stocktaking")).await;
    drop(session);
    house.stop_gateway();
    assert_eq!(house.count("SELECT count(*) FROM changes WHERE what = 'bundle-loaded' AND after LIKE 'unsigned folder %'"), 2);
    assert_eq!(
        house.count("SELECT count(*) FROM changes WHERE what = 'bundle-refused'"),
        1
    );
}

#[test]
fn the_commands_do_what_they_say() {
    let house = House::without_gateway();
    let run = |arguments: &[&str]| {
        let output = house.provost(&[&["bundle"], arguments].concat());
        (
            output.status.code().unwrap(),
            text(&output.stdout),
            text(&output.stderr),
        )
    };
    let (keys, folder, file) = (
        path(&house, "keys"),
        path(&house, "policies"),
        path(&house, "b.tar.gz"),
    );
    let (private, public) = (
        format!("{keys}/bundle-signing.pem"),
        format!("{keys}/bundle-signing.pub"),
    );
    assert_eq!(run(&["keygen", "--out", &keys]).0, 0);
    let before = (fs::read(&private).unwrap(), fs::read(&public).unwrap());
    assert_eq!(
        fs::metadata(&private).unwrap().permissions().mode() & 0o777,
        0o600
    );
    let (code, _, error) = run(&["keygen", "--out", &keys]);
    assert_eq!(code, 1, "{error}");
    assert_eq!(
        (fs::read(&private).unwrap(), fs::read(&public).unwrap()),
        before
    );
    fs::rename(&public, format!("{public}.away")).unwrap();
    assert_eq!(
        run(&["keygen", "--out", &keys]).0,
        1,
        "the private key is there"
    );
    assert!(!fs::exists(&public).unwrap(), "no half of another pair");
    fs::rename(format!("{public}.away"), &public).unwrap();

    let build = [
        "build",
        &folder,
        "--out",
        &file,
        "--sequence",
        "42",
        "--revision",
        "r42",
        "--expires",
        "2100-01-01",
    ];
    let (code, said, error) = run(&build);
    assert_eq!(code, 0, "{error}");
    let digest = said
        .lines()
        .last()
        .unwrap()
        .strip_prefix("digest ")
        .unwrap()
        .to_owned();
    let unsigned = fs::read(&file).unwrap();
    assert_eq!(run(&build).0, 0);
    assert_eq!(
        fs::read(&file).unwrap(),
        unsigned,
        "equal builds give equal bytes"
    );
    let verify = ["verify", &file, "--trust", &public];
    let (code, _, error) = run(&verify);
    assert!(code == 1 && error.contains("is not signed"), "{error}");
    assert_eq!(run(&["sign", &file, "--key", &private]).0, 0);
    let (code, said, error) = run(&verify);
    assert!(
        code == 0 && said.contains("verified") && said.contains("42"),
        "{said}{error}"
    );
    let (code, said, _) = run(&[&verify[..], &["--json", "--minimum-sequence", "42"]].concat());
    let value: serde_json::Value = serde_json::from_str(&said).unwrap();
    assert_eq!(code, 0);
    assert_eq!(
        (&value["verified"], &value["digest"]),
        (&true.into(), &digest.clone().into())
    );
    assert_eq!(value["manifest"]["metadata"]["provost"]["sequence"], 42);
    let (code, said, _) = run(&[&verify[..], &["--json", "--minimum-sequence", "43"]].concat());
    assert!(
        code == 1 && said.contains("below the configured minimum"),
        "{said}"
    );
    let (code, said, _) = run(&["inspect", &file]);
    assert!(
        code == 0
            && said.contains("not verified")
            && said.contains(&digest)
            && said.contains("EdDSA"),
        "{said}"
    );
    assert_eq!(run(&["inspect", &file, "--json"]).0, 0);

    // A stranger's verifier, written from the documentation, comes to the same digest; and sees a change.
    let stranger = |bundle: &str| {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/bundle/verify.py");
        Command::new(python())
            .args([script, bundle, &public])
            .output()
            .unwrap()
    };
    assert_eq!(succeeded(stranger(&file)).trim(), digest);
    let mut bytes = fs::read(&file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    let changed = path(&house, "changed.tar.gz");
    fs::write(&changed, bytes).unwrap();
    assert!(!stranger(&changed).status.success());

    let (code, _, error) = run(&["sign", &file, "--key", &public]);
    assert!(
        code == 1 && error.contains("no Ed25519 private key"),
        "{error}"
    );
    let (code, _, error) = run(&["verify", &file, "--trust", &private]);
    assert!(
        code == 1 && error.contains("no public key") && !error.contains("BEGIN PRIVATE"),
        "{error}"
    );
    assert_eq!(
        run(&["build", &folder, "--out", &file, "--sequence", "0"]).0,
        1
    );
    assert_eq!(
        run(&[
            "build",
            &folder,
            "--out",
            &file,
            "--sequence",
            "1",
            "--expires",
            "soon"
        ])
        .0,
        64
    );
    fs::write(house.path("policies/broken.pol"), "rule broken").unwrap();
    let (code, _, error) = run(&["build", &folder, "--out", &file, "--sequence", "43"]);
    assert!(code == 3 && error.contains("broken.pol"), "{error}");
    assert_eq!(run(&verify).0, 0, "the bundle before is still there");
}
