//! Stamps by `openssl ts`, and what must not be taken for one.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use bytes::Bytes;
use tempfile::TempDir;

use super::elements::{Element, INTEGER, OBJECT_IDENTIFIER, OCTET_STRING, SEQUENCE, SET, context};
use super::request::Request;
use super::token::Token;
use super::*;
use crate::testing::{GATEWAY, filled, key as signing_key, store};
use crate::verify::{Course, Fault, Report, verify_by};

const CONTENT: &[u8] = b"a checkpoint";
const CONFIG: &str = "[req]\ndistinguished_name = dn\nprompt = no\n[dn]\nCN = unused\n\
[ca]\nbasicConstraints = critical,CA:TRUE\nkeyUsage = critical,keyCertSign\nsubjectKeyIdentifier = hash\n\
[tsa]\nbasicConstraints = critical,CA:FALSE\nkeyUsage = critical,digitalSignature\nextendedKeyUsage = critical,timeStamping\nsubjectKeyIdentifier = hash\n\
[mild]\nbasicConstraints = critical,CA:FALSE\nextendedKeyUsage = timeStamping\n\
[wide]\nbasicConstraints = critical,CA:FALSE\nextendedKeyUsage = critical,timeStamping,codeSigning\n\
[other]\nbasicConstraints = critical,CA:FALSE\nextendedKeyUsage = critical,codeSigning\n\
[none]\nbasicConstraints = critical,CA:FALSE\n";

fn openssl(folder: &Path, arguments: &str) -> Vec<u8> {
    let run = Command::new("openssl")
        .args(arguments.split(' ').filter(|word| !word.is_empty()))
        .current_dir(folder)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&run.stderr);
    assert!(run.status.success(), "openssl {arguments}: {said}");
    run.stdout
}

/// An authority: `ca.pem` stands behind `tsa.pem`.
struct Authority {
    folder: TempDir,
}

impl Authority {
    /// `key`: how `openssl genpkey` makes one; `usage`: a section of [`CONFIG`].
    fn new(key: &str, digest: &str, usage: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        let stamps = format!(
            "[stamps]\nserial = serial\ncrypto_device = builtin\ndigests = sha256\ndefault_policy = 1.2.3.4\n\
             signer_digest = {digest}\naccuracy = secs:1\nclock_precision_digits = 3\ness_cert_id_alg = sha256\ntsa_name = yes\nordering = yes\n\
             [picky]\nserial = serial\ncrypto_device = builtin\ndigests = sha512\ndefault_policy = 1.2.3.4\nsigner_digest = {digest}\n"
        );
        std::fs::write(path.join("config"), format!("{CONFIG}{stamps}")).unwrap();
        std::fs::write(path.join("serial"), "01\n").unwrap();
        openssl(
            path,
            "genpkey -quiet -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out ca.key",
        );
        openssl(
            path,
            "req -x509 -new -key ca.key -config config -extensions ca -subj /CN=ca -days 30 -out ca.pem",
        );
        openssl(path, &format!("genpkey -quiet {key} -out tsa.key"));
        openssl(
            path,
            "req -new -key tsa.key -config config -subj /O=clocks/CN=The\u{a0}clock -utf8 -out tsa.csr",
        );
        openssl(
            path,
            &format!(
                "x509 -req -in tsa.csr -CA ca.pem -CAkey ca.key -set_serial 7 -days 10 -extfile config -extensions {usage} -out tsa.pem"
            ),
        );
        Self { folder }
    }

    fn usual() -> Self {
        Self::new(P256, "sha256", "tsa")
    }

    /// What it answers.
    fn answer(&self, request: &[u8], section: &str) -> Vec<u8> {
        let path = self.folder.path();
        std::fs::write(path.join("request"), request).unwrap();
        openssl(
            path,
            &format!(
                "ts -reply -config config -section {section} -queryfile request -signer tsa.pem -inkey tsa.key -chain ca.pem -out answer"
            ),
        );
        std::fs::read(path.join("answer")).unwrap()
    }

    fn stamp(&self) -> Vec<u8> {
        self.answer(&Request::of(CONTENT).unwrap().bytes, "stamps")
    }

    fn roots(&self) -> Roots {
        let pem = std::fs::read(self.folder.path().join("ca.pem")).unwrap();
        Roots::from_pem(&pem).unwrap()
    }

    /// Signs what a stamp says without asking whether it may, as a liar would.
    fn signed(&self, info: &[u8], options: &str) -> Vec<u8> {
        let path = self.folder.path();
        std::fs::write(path.join("info"), info).unwrap();
        openssl(
            path,
            &format!(
                "cms -sign -binary -nodetach -econtent_type 1.2.840.113549.1.9.16.1.4 -outform DER -signer tsa.pem -inkey tsa.key -md sha256 -nosmimecap {options} -in info -out cms"
            ),
        );
        let cms = std::fs::read(path.join("cms")).unwrap();
        let body = [&[0x30, 3, 2, 1, 0], cms.as_slice()].concat();
        let length = u16::try_from(body.len()).unwrap().to_be_bytes();
        [&[0x30, 0x82, length[0], length[1]], body.as_slice()].concat()
    }
}

const P256: &str = "-algorithm EC -pkeyopt ec_paramgen_curve:P-256";
const P384: &str = "-algorithm EC -pkeyopt ec_paramgen_curve:P-384";
const RSA: &str = "-algorithm RSA -pkeyopt rsa_keygen_bits:2048";

/// What a stamp says: its `TSTInfo`.
fn info(stamp: &[u8]) -> Vec<u8> {
    let mut parts = Element::whole(stamp, SEQUENCE).unwrap().elements().unwrap();
    parts.take(SEQUENCE).unwrap();
    let mut token = parts.take(SEQUENCE).unwrap().elements().unwrap();
    token.take(OBJECT_IDENTIFIER).unwrap();
    let signed = token.take(context(0)).unwrap().only(SEQUENCE).unwrap();
    let mut signed = signed.elements().unwrap();
    signed.take(INTEGER).unwrap();
    signed.take(SET).unwrap();
    let mut inner = signed.take(SEQUENCE).unwrap().elements().unwrap();
    inner.take(OBJECT_IDENTIFIER).unwrap();
    let content = inner.take(context(0)).unwrap();
    content.only(OCTET_STRING).unwrap().value.to_vec()
}

fn check(stamp: &[u8], expected: Result<(), Problem>) {
    assert_eq!(Token::read(stamp, CONTENT).map(|_| ()), expected);
}

#[test]
fn stamps_are_taken_by_each_kind_of_key_and_digest() {
    for key in [P256, P384, RSA] {
        for digest in ["sha256", "sha384", "sha512"] {
            let authority = Authority::new(key, digest, "tsa");
            let request = Request::of(CONTENT).unwrap();
            let stamp = authority.answer(&request.bytes, "stamps");
            let token = Token::read(&stamp, CONTENT).unwrap_or_else(|problem| {
                panic!("{key} {digest}: {problem}");
            });
            token.check_nonce(&request.nonce).unwrap();
            token.check_chain(&authority.roots()).unwrap();
            assert_eq!(token.signer.subject().unwrap(), "The\u{a0}clock");
            assert!(token.at > Duration::from_secs(1_700_000_000));
        }
    }
}

#[test]
fn what_is_stamped_must_be_what_was_asked() {
    let authority = Authority::usual();
    let (request, other) = (Request::of(CONTENT).unwrap(), Request::of(CONTENT).unwrap());
    let stamp = authority.answer(&request.bytes, "stamps");
    let token = Token::read(&stamp, CONTENT).unwrap();
    assert_eq!(token.check_nonce(&other.nonce), Err(Problem::Nonce));
    let of_other = Token::read(&stamp, b"another checkpoint");
    assert_eq!(of_other.map(|_| ()), Err(Problem::Imprint));

    let path = authority.folder.path();
    std::fs::write(path.join("content"), CONTENT).unwrap();
    openssl(
        path,
        "ts -query -data content -sha256 -cert -no_nonce -out query",
    );
    let query = std::fs::read(path.join("query")).unwrap();
    let stamp = authority.answer(&query, "stamps");
    let token = Token::read(&stamp, CONTENT).unwrap();
    assert_eq!(token.check_nonce(&request.nonce), Err(Problem::Nonce));

    // Without `-cert` the answer has no certificate.
    openssl(path, "ts -query -data content -sha256 -out query");
    let query = std::fs::read(path.join("query")).unwrap();
    check(
        &authority.answer(&query, "stamps"),
        Err(Problem::Certificate),
    );
    check(
        &authority.answer(&request.bytes, "picky"),
        Err(Problem::Refused { status: 2 }),
    );
}

#[test]
fn a_certificate_must_lead_to_the_roots() {
    let (authority, other) = (Authority::usual(), Authority::usual());
    let stamp = authority.stamp();
    let token = Token::read(&stamp, CONTENT).unwrap();
    token.check_chain(&authority.roots()).unwrap();
    assert_eq!(token.check_chain(&other.roots()), Err(Problem::Chain));
    for bad in [
        "",
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
        "nonsense",
    ] {
        assert!(
            matches!(Roots::from_pem(bad.as_bytes()), Err(Problem::Roots)),
            "{bad}"
        );
    }
}

#[test]
fn a_certificate_must_be_for_time_stamps_alone() {
    for (usage, expected) in [
        ("tsa", Ok(())),
        ("mild", Err(Problem::Usage)),
        ("wide", Err(Problem::Usage)),
        ("other", Err(Problem::Usage)),
        ("none", Err(Problem::Usage)),
    ] {
        let authority = Authority::new(P256, "sha256", usage);
        // Said after the certificate was made, for it is valid from then on.
        let said = info(&Authority::usual().stamp());
        check(&authority.signed(&said, "-cades"), expected);
        // Whoever checks the chain alone must see it, too, but for what only the stamp's own check looks at.
        if ["other", "none"].contains(&usage) {
            let pem = std::fs::read(authority.folder.path().join("tsa.pem")).unwrap();
            let der = <rustls_pki_types::CertificateDer<'_> as rustls_pki_types::pem::PemObject>::from_pem_slice(&pem).unwrap();
            let element = Element::whole(&der, SEQUENCE).unwrap();
            let certificate = super::certificate::Certificate::read(element).unwrap();
            let at = std::time::SystemTime::now()
                .duration_since(std::time::UNIX_EPOCH)
                .unwrap();
            let chain = certificate.check_chain(&[], &authority.roots(), at);
            assert_eq!(chain, Err(Problem::Chain), "{usage}");
        }
    }
}

#[test]
fn a_certificate_must_be_named_and_valid_and_the_signature_right() {
    let authority = Authority::usual();
    let stamp = authority.stamp();
    let said = info(&stamp);
    // Nobody says which certificate was meant.
    check(&authority.signed(&said, ""), Err(Problem::Certificate));
    check(
        &authority.signed(&said, "-cades -nocerts"),
        Err(Problem::Certificate),
    );
    check(&authority.signed(&said, "-cades -keyid"), Ok(()));
    // Before the certificate was valid, and after.
    let year = said
        .windows(4)
        .position(|four| four.starts_with(b"20"))
        .unwrap();
    for (digits, expected) in [(b"2016", Problem::Expired), (b"2096", Problem::Expired)] {
        let mut then = said.clone();
        then[year..year + 4].copy_from_slice(digits);
        check(&authority.signed(&then, "-cades"), Err(expected));
        // Said afterwards, it isn't signed.
        let place = stamp
            .windows(said.len())
            .position(|part| part == said)
            .unwrap();
        let mut changed = stamp.clone();
        changed[place + year..place + year + 4].copy_from_slice(digits);
        check(&changed, Err(Problem::Signature));
    }
}

#[test]
fn no_flipped_byte_makes_a_stamp_say_something_else() {
    let authority = Authority::usual();
    let stamp = authority.stamp();
    let roots = authority.roots();
    let token = Token::read(&stamp, CONTENT).unwrap();
    let right = (token.at, token.signer.bytes);
    for position in 0..stamp.len() {
        for mask in [0x01, 0x80, 0xff] {
            let mut flipped = stamp.clone();
            flipped[position] ^= mask;
            let Ok(token) = Token::read(&flipped, CONTENT) else {
                continue;
            };
            // Unsigned parts of the message, other certificates: what it says is as it was.
            assert_eq!((token.at, token.signer.bytes), right, "byte {position}");
            let _ = token.check_chain(&roots);
        }
        let cut = Token::read(&stamp[..position], CONTENT).map(|_| ());
        assert!(cut.is_err(), "cut at {position}");
    }
    check(&[stamp.as_slice(), &[0]].concat(), Err(Problem::Malformed));
}

async fn verified(folder: &Path, roots: Option<&Roots>) -> Report {
    let course = Course {
        stamp_roots: roots,
        ..Course::default()
    };
    let keys = [signing_key().public(GATEWAY)];
    verify_by(store(folder).as_ref(), &keys, &course)
        .await
        .unwrap()
}

#[tokio::test]
async fn the_newest_checkpoint_is_stamped_once_and_verified() {
    let folder = tempfile::tempdir().unwrap();
    filled(folder.path()).await;
    let (store, public) = (store(folder.path()), signing_key().public(GATEWAY));
    let authority = Authority::usual();

    let unasked = due(store.as_ref(), &public).await.unwrap().unwrap();
    let stale = Bytes::from(authority.answer(unasked.request(), "stamps"));
    let asked = due(store.as_ref(), &public).await.unwrap().unwrap();
    let kept = asked.clone().keep(store.as_ref(), stale).await;
    assert!(
        matches!(
            kept,
            Err(Error::Stamp {
                problem: Problem::Nonce
            })
        ),
        "{kept:?}"
    );
    let large = Bytes::from(vec![0; RESPONSE_BYTES_MAX + 1]);
    let kept = asked.clone().keep(store.as_ref(), large).await;
    assert!(
        matches!(
            kept,
            Err(Error::Stamp {
                problem: Problem::TooLarge
            })
        ),
        "{kept:?}"
    );
    let report = verified(folder.path(), None).await;
    assert!(report.is_intact() && report.stamps.is_empty(), "{report}");

    let answer = Bytes::from(authority.answer(asked.request(), "stamps"));
    let kept = asked.keep(store.as_ref(), answer.clone()).await.unwrap();
    assert!(due(store.as_ref(), &public).await.unwrap().is_none());

    let report = verified(folder.path(), None).await;
    assert!(report.is_intact(), "{report}");
    assert_eq!(report.stamps, std::slice::from_ref(&kept));
    assert_eq!(kept.rows, report.ledgers[0].rows);
    let said = report.to_string();
    assert!(said.contains("whose certificate was not checked"), "{said}");
    let report = verified(folder.path(), Some(&authority.roots())).await;
    assert!(
        report.is_intact() && report.stamps[0].is_chain_checked,
        "{report}"
    );
    let said = report.to_string();
    assert!(!said.contains("not checked"), "{said}");
    assert!(said.contains("rows existed before 20"), "{said}");

    let report = verified(folder.path(), Some(&Authority::usual().roots())).await;
    assert_eq!(
        faults(&report),
        [Fault::Stamp {
            problem: Problem::Chain
        }]
    );

    // As another checkpoint's, as none's, and beside the stamps.
    let put = |name: String| {
        let path = folder.path().join("store").join(name);
        std::fs::write(&path, &answer).unwrap();
        path
    };
    for (name, fault) in [
        (
            key(GATEWAY, 0),
            Fault::Stamp {
                problem: Problem::Imprint,
            },
        ),
        (
            key(GATEWAY, 77_777),
            Fault::Stamp {
                problem: Problem::NoCheckpoint,
            },
        ),
        (format!("{}1.tsr", prefix(GATEWAY)), Fault::Uncovered),
        (format!("{}note", prefix(GATEWAY)), Fault::Uncovered),
    ] {
        let path = put(name);
        let report = verified(folder.path(), None).await;
        assert_eq!(faults(&report), [fault]);
        std::fs::remove_file(path).unwrap();
    }
    assert!(verified(folder.path(), None).await.is_intact());
}

fn faults(report: &Report) -> Vec<Fault> {
    let problems = report.problems.iter();
    problems.map(|problem| problem.fault.clone()).collect()
}
