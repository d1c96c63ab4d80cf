//! Bundles that somebody changed: files, signatures, tokens, archives. Each is refused, and says why.

use super::*;

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
