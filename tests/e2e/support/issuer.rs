//! A token issuer on loopback: discovery document, keys, tokens as good or as bad as a test wants them, and log-ins with a browser for
//! whoever says who they are.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
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
use url::form_urlencoded;

use super::{AUDIENCE, Person};

/// The key's id in the published set.
const KEY_ID: &str = "key-1";

pub(crate) struct Issuer {
    port: u16,
    key: EncodingKey,
    stop: Arc<AtomicBool>,
}

/// What answers rest on.
struct Desk {
    url: String,
    discovery: Value,
    keys: Value,
    key: EncodingKey,
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
        let desk = Arc::new(Desk {
            url,
            discovery,
            keys,
            key: key.clone(),
        });
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        thread::spawn(move || {
            for stream in listener.incoming() {
                if stopped.load(Ordering::Relaxed) {
                    return;
                }
                if let Ok(stream) = stream {
                    let desk = Arc::clone(&desk);
                    thread::spawn(move || drop(answer(&stream, &desk)));
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
        let now = now();
        let claims = json!({
            "iss": request.issuer.clone().unwrap_or_else(|| self.url()),
            "sub": request.subject,
            "aud": request.audience,
            "iat": now,
            "nbf": now + request.not_before_in,
            "exp": now + request.expires_in,
            "groups": request.groups,
        });
        encode(key, (&request.key_id, "at+jwt"), &claims)
    }
}

fn encode(key: &EncodingKey, (key_id, kind): (&str, &str), claims: &Value) -> String {
    let mut header = Header::new(Algorithm::ES256);
    header.typ = Some(kind.to_owned());
    header.kid = Some(key_id.to_owned());
    jsonwebtoken::encode(&header, claims, key).unwrap()
}

/// Seconds since 1970.
fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    i64::try_from(since.as_secs()).unwrap()
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
fn answer(mut stream: &TcpStream, desk: &Desk) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream);
    let mut request = String::new();
    reader.read_line(&mut request)?;
    let mut length = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(':') else {
            break;
        };
        if name.eq_ignore_ascii_case("content-length") {
            length = value.trim().parse().unwrap_or(0);
        }
    }
    let mut form = vec![0; length];
    reader.read_exact(&mut form)?;
    let target = request.split(' ').nth(1).unwrap_or_default();
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let (status, more, body) = match path {
        "/.well-known/openid-configuration" => {
            ("200 OK", String::new(), desk.discovery.to_string())
        }
        "/jwks" => ("200 OK", String::new(), desk.keys.to_string()),
        "/authorize" => (
            "302 Found",
            format!("location: {}\r\n", desk.way_back(query)),
            String::new(),
        ),
        "/token" => (
            "200 OK",
            String::new(),
            desk.id_token(&String::from_utf8_lossy(&form)).to_string(),
        ),
        _ => ("404 Not Found", String::new(), "{}".to_owned()),
    };
    write!(
        stream,
        "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n{more}connection: close\r\n\r\n{body}",
        body.len()
    )
}

impl Desk {
    /// Where the browser goes back to. Whoever it is has added their `person` and `group` to the query; both are in the code.
    fn way_back(&self, query: &str) -> String {
        let asked = Pairs::of(query);
        let code = [
            asked.value("person"),
            asked.value("group"),
            asked.value("nonce"),
        ]
        .join(" ");
        let answer = form_urlencoded::Serializer::new(String::new())
            .append_pair("code", &code)
            .append_pair("state", asked.value("state"))
            .finish();
        format!("{}?{answer}", asked.value("redirect_uri"))
    }

    /// The ID token of a code.
    fn id_token(&self, form: &str) -> Value {
        let given = Pairs::of(form);
        let code: Vec<&str> = given.value("code").split(' ').collect();
        let claims = json!({
            "iss": self.url,
            "sub": code[0],
            "aud": given.value("client_id"),
            "iat": now(),
            "exp": now() + 3_600,
            "nonce": code[2],
            "groups": [code[1]],
        });
        let token = encode(&self.key, (KEY_ID, "JWT"), &claims);
        json!({ "id_token": token, "token_type": "Bearer" })
    }
}

/// Names and values of a query or a form.
struct Pairs(Vec<(String, String)>);

impl Pairs {
    fn of(text: &str) -> Self {
        Self(
            form_urlencoded::parse(text.as_bytes())
                .into_owned()
                .collect(),
        )
    }

    fn value(&self, name: &str) -> &str {
        let found = self.0.iter().find(|(found, _)| found == name);
        found.map_or("", |(_, value)| value)
    }
}
