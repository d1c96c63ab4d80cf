//! The example, whole; and what is wrong with others, each said where it stands.

use super::*;

#[test]
fn the_example_is_valid() {
    let config = parse(EXAMPLE, Path::new("/etc/provost")).unwrap();
    assert_eq!(config.targets.len(), 2);
    let Policy::Bundle(bundle) = config.policy else {
        panic!("the example has signed bundles");
    };
    assert_eq!(
        bundle.trusted_keys,
        [Path::new("/etc/provost/keys/bundle-signing.pub")]
    );
}

/// Every key of the format stands in the example, so that nobody must read code to find one.
#[test]
fn the_example_is_complete() {
    for key in raw::KEYS {
        assert!(
            EXAMPLE.lines().any(|line| {
                let line = line.trim_start_matches("# ");
                line.split_once(" = ").is_some_and(|(name, _)| name == *key)
            }),
            "`{key}` is missing from the example"
        );
    }
}

fn check(from: &str, to: &str, expected: &str) {
    assert!(EXAMPLE.contains(from), "`{from}` is not in the example");
    let text = EXAMPLE.replacen(from, to, 1);
    let problems = match parse(&text, Path::new("/etc/provost")) {
        Ok(_) => String::from("valid"),
        Err(problems) => problems
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join("\n"),
    };
    assert!(
        problems.contains(expected),
        "`{to}`: expected `{expected}`, got `{problems}`"
    );
    assert!(problems.lines().all(|line| line.len() < 200), "{problems}");
}

#[test]
fn what_is_wrong_is_said() {
    check(
        "listen = ",
        "lisen = ",
        "unknown key `lisen`, did you mean `listen`?",
    );
    check(
        "[issuer]",
        "[isuer]",
        "unknown key `isuer`, did you mean `issuer`?",
    );
    check(
        "audiences = [\"provost\"]",
        "audiences = []",
        "`issuer.audiences`: needs at least one",
    );
    check(
        "listen = \"127.0.0.1:6432\"",
        "listen = \"localhost\"",
        "`gateway.listen`",
    );
    check("port = 5432", "port = 0", "`target[0].port`");
    check(
        "[issuer]",
        "[[approvals.webhook]]\nurl = \"env:A\"\nsecret = \"env:B\"\ntemplate = \"a.txt\"\n[issuer]",
        "`approvals.webhook[0].template`: is for `form = \"slack\"`",
    );
    check(
        "port = 5432",
        "port = \"5432\"",
        "invalid type: string, expected u16",
    );
    check(
        "name = \"shop\"",
        "name = \"reports\"",
        "two targets are called `reports`",
    );
    check(
        "url = \"https://login.example.com\"",
        "url = \"http://login.example.com\"",
        "`issuer.url`",
    );
    check(
        "tls = \"verify-full\"",
        "tls = \"verify\"",
        "`target[0].tls`",
    );
    check(
        "tls = \"verify-full\"",
        "tls = \"off\"",
        "`target[0].tls`: a password must not travel unencrypted",
    );
    check(
        "algorithms = [\"RS256\"",
        "algorithms = [\"HS256\"",
        "`issuer.algorithms`",
    );
    check(
        "password = \"env:SHOP",
        "password = \"SHOP",
        "`target[0].password`",
    );
    check(
        "password = \"env:SHOP_PASSWORD\"",
        "password = \"aws-rds-iam\"",
        "`target[0].password`: must name the server's region",
    );
    check(
        "password = \"env:SHOP_PASSWORD\"\n# \"verify-full\": encrypted and checked. \"require\": encrypted only. \"off\": Unix sockets and loopback.\ntls = \"verify-full\"",
        "password = \"aws-rds-iam:eu-central-1\"\ntls = \"require\"",
        "`target[0].password`: is a token that travels inside TLS as it is",
    );
    check("mode = \"required\"", "mode = \"on\"", "`gateway.tls.mode`");
    check(
        "leeway_seconds = 30",
        "leeway_seconds = 3000",
        "`issuer.leeway_seconds`",
    );
    check(
        "store = \"s3://evidence/production\"",
        "store = \"ftp://evidence\"",
        "`evidence.store`: is no folder, and no URL that begins with",
    );
    check(
        "store = \"s3://evidence/production\"",
        "store = \"evidence\"\nstore_settings = { aws_region = \"env:REGION\" }",
        "`evidence.store_settings.aws_region`: is a folder, which has no settings",
    );
    check(
        "# store_settings = { aws_secret_access_key =",
        "store_settings = { aws_secret =",
        "`evidence.store_settings.aws_secret`: `aws_secret` is no setting of such a store",
    );
    check(
        "# store_settings = { aws_secret_access_key = \"file:",
        "store_settings = { aws_secret_access_key = \"",
        "`evidence.store_settings.aws_secret_access_key`: is not a source of a secret",
    );
    check(
        "# log_bytes_max = 8589934592",
        "log_bytes_max = 1024",
        "`evidence.log_bytes_max`: 1024 is out of range",
    );
    check(
        "# log_bytes_warn = 1073741824",
        "log_bytes_warn = 9000000000",
        "`evidence.log_bytes_warn`: is above `log_bytes_max`",
    );
    check(
        "# retention_days = 400",
        "retention_days = 0",
        "`evidence.retention_days`: 0 is out of range",
    );
    check(
        "# stamp_url = \"http://timestamp.example.com\"",
        "stamp_url = \"ftp://timestamp.example.com\"",
        "`evidence.stamp_url`: must be the `http://` or `https://` address",
    );
    check(
        "# stamp_url = \"http://timestamp.example.com\"",
        "stamp_url = \"http://user:secret@timestamp.example.com\"",
        "`evidence.stamp_url`: must be the `http://` or `https://` address",
    );
    check(
        "# stamp_interval_s = 3600",
        "stamp_interval_s = 3600",
        "`evidence.stamp_interval_s`: says how often",
    );
    check(
        "# stamp_url = \"http://timestamp.example.com\"",
        "stamp_url = \"http://timestamp.example.com\"\nstamp_interval_s = 0",
        "`evidence.stamp_interval_s`: 0 is out of range",
    );
    check(
        "# object_lock = \"governance 400d\"",
        "object_lock = \"for ever\"",
        "`evidence.object_lock`: must be a mode and days, such as `governance 400d`",
    );
    check(
        "store = \"s3://evidence/production\"",
        "store = \"az://evidence/production\"\nobject_lock = \"compliance 400d\"",
        "`evidence.object_lock`: has no object lock that a put could ask for",
    );
    check(
        "durability = \"writes\"",
        "durability = \"none\"",
        "`evidence.durability`",
    );
    let bundle = "bundle = \"s3://policies/production/bundle.tar.gz\"";
    check(
        bundle,
        "folder = \"policies\"",
        "`policy.unsigned`: a folder is not signed: say `unsigned = true` to trust whoever can write to it, or give `bundle` and `trusted_keys`",
    );
    check(
        bundle,
        "folder = \"policies\"\nunsigned = true",
        "`policy.trusted_keys`: says something about signed bundles, and `folder` is none",
    );
    check(
        bundle,
        "",
        "`policy`: needs `bundle` and `trusted_keys`, or `folder` and `unsigned = true`",
    );
    check(
        bundle,
        "bundle = \"b\"\nfolder = \"policies\"",
        "`policy.folder`: and `bundle` are both given: leave one out",
    );
    check(
        bundle,
        "bundle = \"b\"\nunsigned = true",
        "`policy.unsigned`: is for `folder`; bundles must be signed",
    );
    check(
        "# [masks]\n# key = \"env:PROVOST_MASK_KEY\"\n# key_id = ",
        "[masks]\nkey = \"hunter2\"\nkey_id = ",
        "`masks.key`: is not a source of a secret",
    );
    check(
        "# [masks]\n# key = \"env:PROVOST_MASK_KEY\"\n# key_id = \"masks-1\"",
        "[masks]\nkey = \"env:PROVOST_MASK_KEY\"\nkey_id = \"a b\"",
        "`masks.key_id`",
    );
    check(
        "# [rego]\n# instructions = 25000",
        "[rego]\ninstructions = 0",
        "`rego.instructions`: 0 is out of range",
    );
    check(
        bundle,
        "bundle = \"https://example.com/b.tar.gz\"",
        "`policy.bundle`",
    );
    check(
        "trusted_keys = [\"keys/bundle-signing.pub\"]",
        "trusted_keys = []",
        "`policy.trusted_keys`: needs at least one",
    );
    check(
        "# poll_interval_ms = 30000",
        "poll_interval_ms = 5",
        "`policy.poll_interval_ms`",
    );
    let user = "user = \"provost\"\npassword";
    for (roles, expected) in [
        (
            "roles = [{ group = \"a\", role = \"none\" }]",
            "`target[0].roles[0].role`: `none` is no role",
        ),
        (
            "roles = [{ group = \"a\", role = \"\" }]",
            "`target[0].roles[0].role`: must be text",
        ),
        (
            "roles = [{ group = \"\", role = \"b\" }]",
            "`target[0].roles[0].group`: must be text",
        ),
        (
            "roles = [{ group = \"a\", role = \"b\" }, { group = \"a\", role = \"c\" }]",
            "`target[0].roles[1].group`: `a` has an entry before",
        ),
        ("roles = [{ group = \"a\" }]", "missing key `role`"),
        (
            "roles = [{ groups = \"a\", role = \"b\" }]",
            "unknown key `groups`, did you mean `group`?",
        ),
        (
            "default_role = \"a role of sixty-four bytes which is one more than the server takes\"",
            "`target[0].default_role`: is longer than 63 bytes",
        ),
    ] {
        check(user, &format!("{roles}\n{user}"), expected);
    }
    for (key, expected) in [
        (
            "warm_connections = 1001",
            "`target[0].warm_connections`: 1001 is out of range: give 0 to 1000",
        ),
        (
            "warm_idle_ms = 0",
            "`target[0].warm_idle_ms`: 0 is out of range: give 100 to 3600000",
        ),
        ("replication = \"yes\"", "expected a boolean"),
    ] {
        check(user, &format!("{key}\n{user}"), expected);
    }
    check("listen = \"127.0.0.1:6432\"\n", "", "missing key `listen`");
    check("[gateway]", "[gateway", "line 10");
}

/// A password written into the file by mistake isn't repeated in the error.
#[test]
fn a_secret_is_never_printed() {
    for wrong in [
        "\"hunter2\"",
        "[\"hunter2\"]",
        "7202702",
        "{ value = \"hunter2\" }",
    ] {
        let wrong = format!("password = {wrong}");
        let text = EXAMPLE.replacen("password = \"env:SHOP_PASSWORD\"", &wrong, 1);
        let problems = parse(&text, Path::new("/etc/provost")).unwrap_err();
        let shown = format!("{problems:?}");
        assert!(
            !shown.contains("hunter2") && !shown.contains("7202702"),
            "{shown}"
        );
    }
}
