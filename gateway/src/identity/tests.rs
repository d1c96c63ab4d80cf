//! Tests of token checks: every way to be refused, with keys made here. No clock, no network.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{EncodingKey, Header, jwk::Jwk};
use provost_engine::principal::PrincipalKind;
use rsa::{pkcs1::EncodeRsaPrivateKey as _, rand_core::OsRng};
use serde_json::{Value, json};

use super::{
    Algorithm, ClaimRules, Delegation, Error, Issuer, IssuerSettings, KindRule,
    keys::KeySet,
    token::{TOKEN_BYTES_MAX, Verified, principal_of, verify},
};

const ISSUER: &str = "https://login.example.com";
const AUDIENCE: &str = "provost";
const NOW: u64 = 1_800_000_000;

fn at(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(seconds)
}

fn settings() -> IssuerSettings {
    let mut settings = IssuerSettings::new(ISSUER.to_owned(), vec![AUDIENCE.to_owned()]);
    settings.claims = ClaimRules {
        principal: "email".to_owned(),
        groups: "groups".to_owned(),
        kind: KindRule {
            claim: Some("provost_kind".to_owned()),
            agent_groups: vec!["ai-agents".to_owned()],
            service_groups: vec!["batch".to_owned()],
        },
        delegation: Delegation::None,
    };
    settings
}

/// One private key with the public half as a JWK of a given id.
struct Pair {
    algorithm: Algorithm,
    private: EncodingKey,
    public: Value,
}

impl Pair {
    fn new(algorithm: Algorithm, private: EncodingKey, id: &str) -> Self {
        let mut public =
            serde_json::to_value(Jwk::from_encoding_key(&private, algorithm.to_library()).unwrap())
                .unwrap();
        public["kid"] = json!(id);
        Self {
            algorithm,
            private,
            public,
        }
    }

    fn rsa(bits: usize, id: &str) -> Self {
        let key = rsa::RsaPrivateKey::new(&mut OsRng, bits).unwrap();
        let der = key.to_pkcs1_der().unwrap();
        Self::new(
            Algorithm::Rs256,
            EncodingKey::from_rsa_der(der.as_bytes()),
            id,
        )
    }

    fn p256(id: &str) -> Self {
        let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
        Self::new(
            Algorithm::Es256,
            EncodingKey::from_ec_der(&key.serialize_der()),
            id,
        )
    }

    fn ed25519(id: &str) -> Self {
        // The library wants PKCS#8 version 1: a fixed header and 32 bytes.
        let mut der = vec![
            0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22,
            0x04, 0x20,
        ];
        let mut seed = [0_u8; 32];
        getrandom::fill(&mut seed).unwrap();
        der.extend_from_slice(&seed);
        Self::new(Algorithm::EdDsa, EncodingKey::from_ed_der(&der), id)
    }

    /// A token with a header changed by `edit`.
    fn sign(&self, claims: &Value, edit: impl Fn(&mut Header)) -> String {
        let mut header = Header::new(self.algorithm.to_library());
        header.kid = self.public["kid"].as_str().map(str::to_owned);
        edit(&mut header);
        jsonwebtoken::encode(&header, claims, &self.private).unwrap()
    }

    fn token(&self, claims: &Value) -> String {
        self.sign(claims, |_| {})
    }
}

fn key_set(pairs: &[&Pair]) -> KeySet {
    let keys: Vec<&Value> = pairs.iter().map(|pair| &pair.public).collect();
    let json = json!({ "keys": keys }).to_string();
    KeySet::from_json(json.as_bytes(), &settings().algorithms).unwrap()
}

fn claims() -> Value {
    json!({
        "iss": ISSUER,
        "aud": AUDIENCE,
        "sub": "7f3a",
        "email": "devin@corp",
        "groups": ["ai-agents", "staff"],
        "iat": NOW - 10,
        "nbf": NOW - 10,
        "exp": NOW + 600,
        "department": "sales",
    })
}

/// The claims with one changed; `Value::Null` takes it away.
fn with(claim: &str, value: Value) -> Value {
    let mut claims = claims();
    if value.is_null() {
        claims.as_object_mut().unwrap().remove(claim);
    } else {
        claims[claim] = value;
    }
    claims
}

/// A raw token from raw parts, for what no library signs.
fn raw(header: &str, claims: &Value, signature: &str) -> String {
    format!(
        "{}.{}.{signature}",
        URL_SAFE_NO_PAD.encode(header),
        URL_SAFE_NO_PAD.encode(claims.to_string())
    )
}

fn outcome(result: Result<Verified, super::Refused>) -> String {
    match result {
        Ok(verified) => format!("accepted {}", verified.principal.id),
        Err(refused) => format!(
            "{} {} [{}]",
            refused.error.sqlstate(),
            refused.error.client_message(),
            refused
                .principal
                .map_or_else(|| "-".to_owned(), |principal| principal.id.to_string())
        ),
    }
}

#[test]
fn each_algorithm_is_accepted_with_its_own_key() {
    let pairs = [Pair::rsa(2048, "r"), Pair::p256("e"), Pair::ed25519("d")];
    let keys = key_set(&pairs.iter().collect::<Vec<_>>());
    for pair in &pairs {
        let verified = verify(&pair.token(&claims()), &keys, &settings(), at(NOW)).unwrap();
        assert_eq!(&*verified.principal.id, "devin@corp");
        assert_eq!(verified.principal.kind, PrincipalKind::Agent);
        assert_eq!(verified.principal.issuer.as_ref(), ISSUER);
        assert_eq!(
            verified.expires_at,
            at(NOW + 600 + IssuerSettings::LEEWAY_SECONDS)
        );
        assert_eq!(
            verified.principal.claims.keys().collect::<Vec<_>>(),
            ["department", "email", "sub"]
        );
    }
}

#[test]
fn claims_that_must_refuse_do() {
    let pair = Pair::p256("e");
    let keys = key_set(&[&pair]);
    let cases: &[(Value, &str)] = &[
        (claims(), "accepted devin@corp"),
        (
            with("exp", json!(NOW - 30)),
            "28000 the token expired 30 s ago: get a new one from `https://login.example.com` [devin@corp]",
        ),
        (with("exp", json!(NOW - 29)), "accepted devin@corp"),
        (
            with("exp", json!(0)),
            "28000 the token expired 1800000000 s ago: get a new one from `https://login.example.com` [devin@corp]",
        ),
        (with("exp", json!(1_800_000_600.5)), "accepted devin@corp"),
        (
            with("exp", Value::Null),
            "28000 the token has no claim `exp`: ask the issuer's administrator to add it [devin@corp]",
        ),
        (
            with("exp", json!("tomorrow")),
            "28000 the token's claim `exp` is not a time: ask the issuer's administrator [devin@corp]",
        ),
        (
            with("exp", json!(-1)),
            "28000 the token's claim `exp` is not a time: ask the issuer's administrator [devin@corp]",
        ),
        (
            with("exp", json!(u64::MAX)),
            "28000 the token's claim `exp` is not a time: ask the issuer's administrator [devin@corp]",
        ),
        (
            with("exp", json!(1e300)),
            "28000 the token's claim `exp` is not a time: ask the issuer's administrator [devin@corp]",
        ),
        (with("nbf", json!(NOW + 30)), "accepted devin@corp"),
        (
            with("nbf", json!(NOW + 31)),
            "28000 the token is not valid yet (claim `nbf` is 31 s ahead): wait, or check the clocks of issuer and gateway [devin@corp]",
        ),
        (
            with("iat", json!(NOW + 31)),
            "28000 the token is not valid yet (claim `iat` is 31 s ahead): wait, or check the clocks of issuer and gateway [devin@corp]",
        ),
        (
            with("aud", json!("payroll")),
            "28000 the token is for `payroll`, not for `provost`: ask the issuer for a token with that audience [devin@corp]",
        ),
        (
            with("aud", json!(["payroll", "provost"])),
            "accepted devin@corp",
        ),
        (
            with("aud", json!([])),
            "28000 the token is for ``, not for `provost`: ask the issuer for a token with that audience [devin@corp]",
        ),
        (
            with("aud", json!([1])),
            "28000 the token's claim `aud` is not a list of texts: ask the issuer's administrator [devin@corp]",
        ),
        (
            with("aud", Value::Null),
            "28000 the token has no claim `aud`: ask the issuer's administrator to add it [devin@corp]",
        ),
        (
            with("aud", json!("provost ")),
            "28000 the token is for `provost `, not for `provost`: ask the issuer for a token with that audience [devin@corp]",
        ),
        (
            with("iss", json!("https://login.example.com/")),
            "28000 the token is from issuer `https://login.example.com/`, this gateway trusts `https://login.example.com`: get a token there [-]",
        ),
        (
            with("iss", json!([ISSUER])),
            "28000 the token's claim `iss` is not text: ask the issuer's administrator [-]",
        ),
        (
            with("iss", Value::Null),
            "28000 the token has no claim `iss`: ask the issuer's administrator to add it [-]",
        ),
        (
            with("email", Value::Null),
            "28000 the token has no claim `email`: ask the issuer's administrator to add it [-]",
        ),
        (
            with("email", json!("")),
            "28000 the token's claim `email` is empty, too long or has control characters: ask the issuer's administrator [-]",
        ),
        (
            with("email", json!("a\u{0}b")),
            "28000 the token's claim `email` is empty, too long or has control characters: ask the issuer's administrator [-]",
        ),
        (
            with("email", json!("x".repeat(257))),
            "28000 the token's claim `email` is empty, too long or has control characters: ask the issuer's administrator [-]",
        ),
        (
            with("email", json!(7)),
            "28000 the token's claim `email` is not text: ask the issuer's administrator [-]",
        ),
        (
            with("groups", json!([7])),
            "28000 the token's claim `groups` is not a list of texts: ask the issuer's administrator [-]",
        ),
        (
            with("groups", json!({})),
            "28000 the token's claim `groups` is not a list of texts: ask the issuer's administrator [-]",
        ),
        (
            with("groups", json!(vec!["g"; 513])),
            "28000 the token's claim `groups` names too many groups: ask the issuer's administrator [-]",
        ),
        (
            with("groups", json!(["g".repeat(257)])),
            "28000 the token's claim `groups` has a group name that is too long: ask the issuer's administrator [-]",
        ),
        (
            with("_claim_names", json!({ "groups": "src1" })),
            "28000 the token's claim `groups` did not fit into the token: ask the issuer's administrator [-]",
        ),
        (
            with("provost_kind", json!("robot")),
            "28000 the token's claim `provost_kind` is not `human`, `agent` or `service`: ask the issuer's administrator [-]",
        ),
    ];
    for (claims, expected) in cases {
        let result = verify(&pair.token(claims), &keys, &settings(), at(NOW));
        assert_eq!(outcome(result), *expected, "{claims}");
    }
}

#[test]
fn headers_and_forgeries_are_refused() {
    let signer = Pair::p256("e");
    let stranger = Pair::p256("e");
    let unknown = Pair::p256("other");
    let keys = key_set(&[&signer]);
    let good = signer.token(&claims());
    let (signed, signature) = good.rsplit_once('.').unwrap();
    let (header, payload) = signed.split_once('.').unwrap();
    let typed = |typ: &str| signer.sign(&claims(), |header| header.typ = Some(typ.to_owned()));
    let from_elsewhere = with("iss", json!("https://evil.example.com"));
    let cases: Vec<(String, &str)> = vec![
        (good.clone(), "accepted"),
        (typed("at+jwt"), "accepted"),
        (typed("application/AT+JWT"), "accepted"),
        (
            signer.sign(&claims(), |header| header.typ = None),
            "accepted",
        ),
        (
            signer.sign(&claims(), |header| header.kid = None),
            "accepted",
        ),
        (
            typed("logout+jwt"),
            "28P01 a token of type `logout+jwt` is not accepted",
        ),
        (typed("dpop+jwt"), "28P01 a token of type `dpop+jwt`"),
        (String::new(), "28P01 no token"),
        (
            "hunter2".to_owned(),
            "28P01 the password is not a valid token (it has no three parts)",
        ),
        (
            "a.b".to_owned(),
            "28P01 the password is not a valid token (it has no three parts)",
        ),
        (
            "a.b.c.d".to_owned(),
            "28P01 the password is not a valid token (it has no three parts)",
        ),
        (
            "a.b.c.d.e".to_owned(),
            "28P01 the password is not a valid token (it has no three parts)",
        ),
        (
            "..".to_owned(),
            "28P01 the password is not a valid token (its header is unreadable)",
        ),
        (
            format!("{good}="),
            "28P01 the password is not a valid token (its signature is unreadable)",
        ),
        (format!("{signed}."), "28P01 the token's signature is wrong"),
        (
            format!("{header}.{payload}x.{signature}"),
            "28P01 the token's signature is wrong",
        ),
        (
            "x".repeat(TOKEN_BYTES_MAX + 1),
            "28P01 the password is not a valid token (it is too long)",
        ),
        (
            stranger.token(&claims()),
            "28P01 the token's signature is wrong",
        ),
        (
            unknown.token(&claims()),
            "28P01 the token was signed with a key that `https://login.example.com` does not publish (key `other`)",
        ),
        (
            unknown.token(&from_elsewhere),
            "28000 the token is from issuer `https://evil.example.com`",
        ),
        (
            raw(r#"{"alg":"none"}"#, &claims(), ""),
            "28P01 tokens signed with `none` are not accepted (allowed: RS256, ES256, EdDSA)",
        ),
        (
            raw(r#"{"alg":"None","kid":"e"}"#, &claims(), ""),
            "28P01 tokens signed with `None`",
        ),
        (
            raw(r#"{"alg":"HS256","kid":"e"}"#, &claims(), "AAAA"),
            "28P01 tokens signed with `HS256` are not accepted",
        ),
        (
            raw(r#"{"alg":"ES384","kid":"e"}"#, &claims(), "AAAA"),
            "28P01 tokens signed with `ES384` are not accepted (allowed: RS256",
        ),
        (
            raw(r#"{"alg":"RS256","kid":"e"}"#, &claims(), signature),
            "28P01 tokens signed with `RS256` are not accepted (allowed: what the key's type signs)",
        ),
        (
            raw(
                r#"{"alg":"ES256","kid":"e","crit":["b64"],"b64":false}"#,
                &claims(),
                signature,
            ),
            "28P01 the password is not a valid token (it has critical header extensions)",
        ),
        (
            raw(r#"{"alg":["ES256"]}"#, &claims(), signature),
            "28P01 the password is not a valid token (its header is unreadable)",
        ),
        (
            raw("{\"alg\":\"x`\\u001b[2J\"}", &claims(), ""),
            "28P01 tokens signed with `x??[2J`",
        ),
    ];
    for (token, expected) in cases {
        let result = outcome(verify(&token, &keys, &settings(), at(NOW)));
        assert!(result.starts_with(expected), "`{token}`: {result}");
        assert!(!result.contains('\n') && result.len() < 400, "{result}");
    }
}

/// The classic confusion: the RSA public key as an HMAC secret, and an EC key under an RSA name.
#[test]
fn keys_are_not_confused() {
    let pair = Pair::rsa(2048, "r");
    let keys = key_set(&[&pair]);
    let secret = URL_SAFE_NO_PAD
        .decode(pair.public["n"].as_str().unwrap())
        .unwrap();
    let mut header = Header::new(jsonwebtoken::Algorithm::HS256);
    header.kid = Some("r".to_owned());
    let forged =
        jsonwebtoken::encode(&header, &claims(), &EncodingKey::from_secret(&secret)).unwrap();
    let result = verify(&forged, &keys, &settings(), at(NOW)).unwrap_err();
    assert!(matches!(result.error, Error::AlgorithmNotAllowed { .. }));
}

/// A truncated token is refused at every byte, and never accepted nor a panic.
#[test]
fn truncation_at_every_byte_is_refused() {
    let pair = Pair::ed25519("d");
    let keys = key_set(&[&pair]);
    let token = pair.token(&claims());
    for end in 0..token.len() {
        assert!(
            verify(&token[..end], &keys, &settings(), at(NOW)).is_err(),
            "{end}"
        );
    }
}

#[test]
fn unfit_keys_are_not_used() {
    let usable = |edit: &dyn Fn(&mut Value)| {
        let mut pair = Pair::p256("e");
        edit(&mut pair.public);
        let json = json!({ "keys": [pair.public] }).to_string();
        KeySet::from_json(json.as_bytes(), &settings().algorithms).is_ok()
    };
    assert!(usable(&|_| {}));
    assert!(usable(&|key| key["use"] = json!("sig")));
    assert!(usable(&|key| key["x5c"] = json!(["AAAA"])));
    assert!(!usable(&|key| key["use"] = json!("enc")));
    assert!(!usable(&|key| key["key_ops"] = json!(["sign"])));
    assert!(!usable(&|key| key["alg"] = json!("ES384")));
    assert!(!usable(&|key| key["alg"] = json!("HS256")));
    assert!(!usable(&|key| key["crv"] = json!("P-521")));
    assert!(!usable(&|key| key["kty"] = json!("oct")));
    let small = Pair::rsa(1024, "small");
    let json = json!({ "keys": [small.public, { "kty": "oct", "k": "c2VjcmV0", "kid": "s" }] });
    assert!(KeySet::from_json(json.to_string().as_bytes(), &settings().algorithms).is_err());
    for bad in ["", "{}", "[]", r#"{"keys":[]}"#, r#"{"keys":[7]}"#] {
        assert!(
            KeySet::from_json(bad.as_bytes(), &settings().algorithms).is_err(),
            "{bad}"
        );
    }
}

/// Two keys that fit a token without a key id: neither is guessed.
#[test]
fn an_ambiguous_key_is_refused() {
    let (one, two) = (Pair::p256("1"), Pair::p256("2"));
    let keys = key_set(&[&one, &two]);
    let token = one.sign(&claims(), |header| header.kid = None);
    let refused = verify(&token, &keys, &settings(), at(NOW)).unwrap_err();
    assert!(matches!(
        refused.error,
        Error::UnknownKey { key_id: None, .. }
    ));
}

fn check_principal(delegation: Delegation, claims: &Value, expected: &str) {
    let mut settings = settings();
    settings.claims.delegation = delegation;
    let found = match principal_of(claims.as_object().unwrap(), &settings) {
        Ok(principal) => format!(
            "{} {} {:?} for {}",
            principal.kind.name(),
            principal.id,
            principal.groups,
            principal.on_behalf_of.map_or_else(
                || "-".to_owned(),
                |person| format!("{} {:?}", person.id, person.groups)
            )
        ),
        Err(error) => error.to_string(),
    };
    assert_eq!(found, expected, "{claims}");
}

#[test]
fn who_it_is_and_for_whom() {
    let act =
        json!({ "email": "devin@corp", "groups": ["ai-agents"], "act": { "email": "older@corp" } });
    let person = json!({ "email": "ana@corp", "groups": ["analysts"] });
    let mut for_ana = person.clone();
    for_ana["act"] = act;
    check_principal(
        Delegation::Actor,
        &for_ana,
        r#"agent devin@corp ["ai-agents"] for ana@corp ["analysts"]"#,
    );
    check_principal(
        Delegation::Actor,
        &person,
        r#"human ana@corp ["analysts"] for -"#,
    );
    check_principal(
        Delegation::Actor,
        &json!({ "email": "ana@corp", "act": { "sub": "devin" } }),
        "the token has no claim `act.email`: ask the issuer's administrator to add it",
    );
    check_principal(
        Delegation::Actor,
        &json!({ "email": "ana@corp", "act": "devin" }),
        "the token's claim `act` is not an object: ask the issuer's administrator",
    );
    let claim = || Delegation::Claim("on_behalf_of".to_owned());
    let agent = |value: Value| json!({ "email": "devin@corp", "groups": "ai-agents", "on_behalf_of": value });
    check_principal(
        claim(),
        &agent(person),
        r#"agent devin@corp ["ai-agents"] for ana@corp ["analysts"]"#,
    );
    check_principal(
        claim(),
        &agent(json!("ana@corp")),
        r#"agent devin@corp ["ai-agents"] for ana@corp []"#,
    );
    check_principal(
        claim(),
        &agent(json!({ "name": "Ana" })),
        "the token has no claim `on_behalf_of.email`: ask the issuer's administrator to add it",
    );
    check_principal(
        Delegation::None,
        &json!({ "email": "n@corp", "groups": ["batch"], "provost_kind": "human" }),
        r#"human n@corp ["batch"] for -"#,
    );
    check_principal(
        Delegation::None,
        &json!({ "email": "n@corp", "groups": ["batch"] }),
        r#"service n@corp ["batch"] for -"#,
    );
    // Group names are exact bytes.
    check_principal(
        Delegation::None,
        &json!({ "email": "n@corp", "groups": ["AI-Agents"] }),
        r#"human n@corp ["AI-Agents"] for -"#,
    );
}

/// An issuer that can't be reached: known keys keep working, not for ever; an unknown key stays unknown.
#[tokio::test]
async fn known_keys_work_for_a_bounded_time() {
    let pair = Pair::p256("e");
    let json = json!({ "keys": [pair.public] }).to_string();
    let issuer = Issuer::with_keys(settings(), json.as_bytes(), at(NOW));
    let token_at = |now: u64| {
        let mut claims = claims();
        claims["exp"] = json!(now + 60);
        pair.token(&claims)
    };
    for (later, accepted) in [(0, true), (3_600, true), (86_400, true), (86_401, false)] {
        let now = NOW + later;
        let result = issuer.verify(&token_at(now), at(now)).await;
        assert_eq!(result.is_ok(), accepted, "{later}: {result:?}");
    }
    let refused = issuer
        .verify(&token_at(NOW + 86_401), at(NOW + 86_401))
        .await
        .unwrap_err();
    assert!(matches!(refused.error, Error::KeysStale { hours: 24 }));
    let unknown = Pair::p256("other").token(&claims());
    let refused = issuer.verify(&unknown, at(NOW)).await.unwrap_err();
    assert!(matches!(refused.error, Error::UnknownKey { .. }));
}
