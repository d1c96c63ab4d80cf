//! What a bundle and the folder of one must be: its names, its terms, its files.

use super::*;

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
