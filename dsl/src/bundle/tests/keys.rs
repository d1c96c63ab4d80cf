//! Keys, and bundles of the Open Policy Agent's tools: each kind verifies its own algorithm only.

use super::*;

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
