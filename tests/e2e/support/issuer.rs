//! A token issuer on loopback: discovery document, keys, and tokens as good or as bad as a test wants them.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    net::{TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{SystemTime, UNIX_EPOCH},
};

use jsonwebtoken::{Algorithm, EncodingKey, Header, jwk::Jwk};
use serde_json::{Value, json};

use super::{AUDIENCE, Person};

/// The key's id in the published set.
const KEY_ID: &str = "key-1";

pub(crate) struct Issuer {
    port: u16,
    key: EncodingKey,
    stop: Arc<AtomicBool>,
}

/// What a token says.
#[derive(Debug, Clone)]
pub(crate) struct TokenRequest {
    pub(crate) subject: String,
    pub(crate) groups: Vec<String>,
    pub(crate) audience: String,
    /// From now, in seconds.
    pub(crate) expires_in: i64,
    pub(crate) not_before_in: i64,
    pub(crate) issuer: Option<String>,
    pub(crate) key_id: String,
}

impl TokenRequest {
    pub(crate) fn for_person(person: Person) -> Self {
        Self {
            subject: person.id().to_owned(),
            groups: person
                .groups()
                .iter()
                .map(|group| (*group).to_owned())
                .collect(),
            audience: AUDIENCE.to_owned(),
            expires_in: 3_600,
            not_before_in: -5,
            issuer: None,
            key_id: KEY_ID.to_owned(),
        }
    }
}

impl Issuer {
    pub(crate) fn start() -> Self {
        let key = random_key();
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let url = format!("http://127.0.0.1:{port}");
        let mut jwk = Jwk::from_encoding_key(&key, Algorithm::ES256).unwrap();
        jwk.common.key_id = Some(KEY_ID.to_owned());
        let keys = json!({ "keys": [jwk] });
        let discovery = json!({
            "issuer": url,
            "jwks_uri": format!("{url}/jwks"),
            "authorization_endpoint": format!("{url}/authorize"),
            "token_endpoint": format!("{url}/token"),
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["ES256"],
        });
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        thread::spawn(move || {
            for stream in listener.incoming() {
                if stopped.load(Ordering::Relaxed) {
                    return;
                }
                if let Ok(stream) = stream {
                    let (discovery, keys) = (discovery.clone(), keys.clone());
                    thread::spawn(move || drop(answer(&stream, &discovery, &keys)));
                }
            }
        });
        Self { port, key, stop }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    pub(crate) fn token(&self, request: &TokenRequest) -> String {
        self.sign(request, &self.key)
    }

    /// A token signed by a key that nobody published.
    pub(crate) fn forged_token(&self, request: &TokenRequest) -> String {
        self.sign(request, &random_key())
    }

    /// A token whose header says that no signature is needed.
    pub(crate) fn unsigned_token(&self, request: &TokenRequest) -> String {
        let signed = self.token(request);
        let claims = signed.split('.').nth(1).unwrap();
        // {"alg":"none","typ":"at+jwt"}
        format!("eyJhbGciOiJub25lIiwidHlwIjoiYXQrand0In0.{claims}.")
    }

    fn sign(&self, request: &TokenRequest, key: &EncodingKey) -> String {
        let now = i64::try_from(
            SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .unwrap()
                .as_secs(),
        )
        .unwrap();
        let mut header = Header::new(Algorithm::ES256);
        header.typ = Some("at+jwt".to_owned());
        header.kid = Some(request.key_id.clone());
        let claims = json!({
            "iss": request.issuer.clone().unwrap_or_else(|| self.url()),
            "sub": request.subject,
            "aud": request.audience,
            "iat": now,
            "nbf": now + request.not_before_in,
            "exp": now + request.expires_in,
            "groups": request.groups,
        });
        jsonwebtoken::encode(&header, &claims, key).unwrap()
    }
}

impl Drop for Issuer {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        // Wakes the accept loop, which then ends.
        drop(TcpStream::connect(("127.0.0.1", self.port)));
    }
}

fn random_key() -> EncodingKey {
    EncodingKey::from_ec_der(&rcgen::KeyPair::generate().unwrap().serialize_der())
}

/// One request, one answer.
fn answer(mut stream: &TcpStream, discovery: &Value, keys: &Value) -> std::io::Result<()> {
    let mut lines = BufReader::new(stream).lines();
    let request = lines.next().transpose()?.unwrap_or_default();
    for line in lines {
        if line?.is_empty() {
            break;
        }
    }
    let (status, body) = match request.split(' ').nth(1) {
        Some("/.well-known/openid-configuration") => ("200 OK", discovery.to_string()),
        Some("/jwks") => ("200 OK", keys.to_string()),
        _ => ("404 Not Found", "{}".to_owned()),
    };
    write!(
        stream,
        "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    )
}
