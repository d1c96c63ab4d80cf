//! A development token issuer on loopback: discovery document, keys, and a token for whoever of the demo's people is asked for.
//!
//! It gives tokens to anyone on this machine, so it must never be used for anything but the demo's made-up data; its key
//! lives in memory and dies with it.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use axum::{
    Json, Router,
    extract::{Path, State},
    http::StatusCode,
    routing::get,
};
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode, jwk::Jwk};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

use super::people::{AUDIENCE, PEOPLE, Person};

/// How long a token lives; `provost demo token` gives a fresh one.
const TOKEN_LIFETIME: Duration = Duration::from_secs(12 * 60 * 60);
/// Asking a running demo for a token may take this long.
const ASK_TIMEOUT: Duration = Duration::from_secs(5);
/// The largest answer read from a running demo, in bytes; the rest is ignored.
const ANSWER_BYTES_MAX: u64 = 64 * 1024;
/// The key's id.
const KEY_ID: &str = "demo-1";

/// Why the issuer failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// No key could be made.
    #[error("could not make the demo issuer's key: {0}")]
    Key(#[source] rcgen::Error),
    /// No token could be made.
    #[error("could not make a token: {0}")]
    Token(#[source] jsonwebtoken::errors::Error),
    /// It can't listen, or a running one can't be reached.
    #[error("could not reach the demo's issuer at `{at}`: {source}; is `provost demo` running?")]
    Reach {
        /// Where.
        at: String,
        /// Why.
        source: std::io::Error,
    },
    /// It answered with something else than a token.
    #[error("the issuer at `{at}` gave no token for `{person}`: {answer}")]
    Refused {
        /// Where.
        at: String,
        /// Who.
        person: String,
        /// What it said.
        answer: String,
    },
    /// The URL is not one of a demo.
    #[error(
        "`{url}` is not a demo issuer's URL: give it as `provost demo` prints it, like `http://127.0.0.1:41234`"
    )]
    Url {
        /// As given.
        url: String,
    },
}

/// Makes tokens.
pub(crate) struct Mint {
    url: String,
    key: EncodingKey,
    public: Value,
}

impl Mint {
    fn new(url: String) -> Result<Self, Error> {
        let pair = rcgen::KeyPair::generate().map_err(Error::Key)?;
        let key = EncodingKey::from_ec_der(&pair.serialize_der());
        let mut jwk = Jwk::from_encoding_key(&key, Algorithm::ES256).map_err(Error::Token)?;
        jwk.common.key_id = Some(KEY_ID.to_owned());
        Ok(Self {
            url,
            key,
            public: json!({ "keys": [jwk] }),
        })
    }

    /// A token for a person, made at `now` and living `lifetime`.
    ///
    /// # Errors
    /// [`Error::Token`].
    pub(crate) fn token(
        &self,
        person: &Person,
        now: SystemTime,
        lifetime: Duration,
    ) -> Result<String, Error> {
        self.token_for(person, AUDIENCE, now, lifetime)
    }

    /// A token for another audience: the story shows that it is refused.
    ///
    /// # Errors
    /// [`Error::Token`].
    pub(crate) fn token_for(
        &self,
        person: &Person,
        audience: &str,
        now: SystemTime,
        lifetime: Duration,
    ) -> Result<String, Error> {
        let seconds = |time: SystemTime| {
            time.duration_since(UNIX_EPOCH)
                .unwrap_or_default()
                .as_secs()
        };
        let mut claims: BTreeMap<&str, Value> = person.claims().into_iter().collect();
        claims.insert("iss", json!(self.url));
        claims.insert("aud", json!(audience));
        claims.insert("iat", json!(seconds(now)));
        claims.insert("exp", json!(seconds(now + lifetime)));
        let mut header = Header::new(Algorithm::ES256);
        header.typ = Some("at+jwt".to_owned());
        header.kid = Some(KEY_ID.to_owned());
        encode(&header, &claims, &self.key).map_err(Error::Token)
    }
}

/// A running issuer; dropping it stops it.
pub(crate) struct Issuer {
    /// Its URL: what tokens carry as `iss`.
    pub(crate) url: String,
    /// Makes its tokens.
    pub(crate) mint: Arc<Mint>,
    server: JoinHandle<()>,
}

impl Issuer {
    /// Listens on a free port of loopback.
    ///
    /// # Errors
    /// [`Error::Reach`], [`Error::Key`], [`Error::Token`].
    pub(crate) async fn start() -> Result<Self, Error> {
        let failed = |source| Error::Reach {
            at: "127.0.0.1".to_owned(),
            source,
        };
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.map_err(failed)?;
        let address: SocketAddr = listener.local_addr().map_err(failed)?;
        let url = format!("http://{address}");
        let mint = Arc::new(Mint::new(url.clone())?);
        let router = Router::new()
            .route("/.well-known/openid-configuration", get(discovery))
            .route("/jwks", get(keys))
            .route("/token/{person}", get(token))
            .with_state(Arc::clone(&mint));
        let server = tokio::spawn(async move {
            // It serves until it is aborted; a failing accept loop shows as an unreachable issuer.
            let _ = axum::serve(listener, router).await;
        });
        Ok(Self { url, mint, server })
    }
}

impl Drop for Issuer {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn discovery(State(mint): State<Arc<Mint>>) -> Json<Value> {
    let url = &mint.url;
    Json(json!({
        "issuer": url,
        "authorization_endpoint": format!("{url}/authorize"),
        "token_endpoint": format!("{url}/token"),
        "jwks_uri": format!("{url}/jwks"),
        "response_types_supported": ["code"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["ES256"],
    }))
}

async fn keys(State(mint): State<Arc<Mint>>) -> Json<Value> {
    Json(mint.public.clone())
}

async fn token(State(mint): State<Arc<Mint>>, Path(name): Path<String>) -> (StatusCode, String) {
    let Some(person) = PEOPLE.iter().find(|person| person.name == name) else {
        let names: Vec<&str> = PEOPLE.iter().map(|person| person.name).collect();
        return (
            StatusCode::NOT_FOUND,
            format!("there are {}", names.join(", ")),
        );
    };
    match mint.token(person, SystemTime::now(), TOKEN_LIFETIME) {
        Ok(token) => (StatusCode::OK, token),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()),
    }
}

/// A token for everyday use of a running demo's gateway.
///
/// # Errors
/// [`Error::Token`].
pub(crate) fn token_now(issuer: &Issuer, person: &Person) -> Result<String, Error> {
    issuer.mint.token(person, SystemTime::now(), TOKEN_LIFETIME)
}

/// Asks a running demo's issuer for a token.
///
/// # Errors
/// [`Error::Url`], [`Error::Reach`], [`Error::Refused`].
pub(crate) async fn ask(url: &str, person: &str) -> Result<String, Error> {
    let bad_url = || Error::Url {
        url: url.to_owned(),
    };
    let address: SocketAddr = url
        .strip_prefix("http://")
        .map(|rest| rest.trim_end_matches('/'))
        .and_then(|rest| rest.parse().ok())
        .filter(|address: &SocketAddr| address.ip().is_loopback())
        .ok_or_else(bad_url)?;
    if person.is_empty() || !person.chars().all(|letter| letter.is_ascii_alphanumeric()) {
        return Err(Error::Refused {
            at: url.to_owned(),
            person: person
                .chars()
                .filter(|letter| !letter.is_control())
                .collect(),
            answer: "that is nobody's name".to_owned(),
        });
    }
    let exchange = async {
        let mut stream = TcpStream::connect(address).await?;
        let request =
            format!("GET /token/{person} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut answer = String::new();
        stream
            .take(ANSWER_BYTES_MAX)
            .read_to_string(&mut answer)
            .await?;
        Ok(answer)
    };
    let answer = tokio::time::timeout(ASK_TIMEOUT, exchange)
        .await
        .unwrap_or_else(|_| Err(std::io::ErrorKind::TimedOut.into()))
        .map_err(|source| Error::Reach {
            at: url.to_owned(),
            source,
        })?;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    if !head.starts_with("HTTP/1.1 200") {
        return Err(Error::Refused {
            at: url.to_owned(),
            person: person.to_owned(),
            answer: body.lines().next().unwrap_or_default().to_owned(),
        });
    }
    Ok(body.trim().to_owned())
}
