//! A client of the console's API.
//!
//! It must never send a token unencrypted over a network, nor follow a redirect with it, nor print it.

use std::{net::IpAddr, path::PathBuf, time::Duration};

use provost_evidence::approvals::ApprovalId;
use provost_gateway::console::{Approval, Ballot, List, Problem, StandingName, Summary, visible};
use reqwest::{Method, RequestBuilder};
use serde::de::DeserializeOwned;
use url::{Host, Url};

use crate::{
    cli::ConsoleAt,
    config::{FileError, read_file},
};

/// Connecting may take this long; then it failed.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// A request with its answer may take this long; then it failed.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(60);
/// The largest answer read, in bytes: a text of 1 MB, escaped at its worst, and what stands around it.
const ANSWER_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Held statements of one page.
const PAGE_LENGTH: usize = 500;
/// Pages read of one list; what is older is not shown.
const PAGES_MAX: usize = 20;

/// Why the console could not be asked, or did not do it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The URL is none that a token may go to.
    #[error("`{url}` is no console's URL: give `https://` and a host (`http://` on loopback only)")]
    Url {
        /// As given.
        url: String,
    },
    /// There is no token.
    #[error(
        "no token: give --token-file, or set PROVOST_TOKEN to an access token of the gateway's issuer"
    )]
    NoToken,
    /// A file can't be read.
    #[error(transparent)]
    File(FileError),
    /// The token can't stand in a header.
    #[error("the token is not one line of visible characters")]
    Token,
    /// The certificate authority is not PEM.
    #[error("`{}` is not a PEM certificate", path.display())]
    Ca {
        /// The file.
        path: PathBuf,
    },
    /// The HTTP client could not be made.
    #[error("could not make an HTTP client")]
    Client(#[source] reqwest::Error),
    /// It can't be reached, or breaks off.
    #[error("could not ask `{url}`: {}", innermost(.source))]
    Http {
        /// The console's.
        url: String,
        /// Why.
        source: reqwest::Error,
    },
    /// It refused.
    #[error("{}", visible(&problem.detail))]
    Refused {
        /// What it says.
        problem: Problem,
    },
    /// Its answer is not what a console says.
    #[error(
        "`{url}` answered with status {status}, and not as a console does: is it the right URL?"
    )]
    Strange {
        /// The console's.
        url: String,
        /// The HTTP status.
        status: u16,
    },
    /// Its answer is too large.
    #[error("the answer is larger than {ANSWER_BYTES_MAX} bytes")]
    TooLarge,
    /// JSON could not be written.
    #[error("could not write JSON: {0}")]
    Json(#[source] serde_json::Error),
}

impl Error {
    /// Whether the same request may succeed later.
    pub(super) fn may_pass(&self) -> bool {
        match self {
            Self::Http { .. } => true,
            Self::Refused { problem } => problem.status >= 500,
            Self::Strange { status, .. } => *status >= 500,
            Self::Url { .. }
            | Self::NoToken
            | Self::File(_)
            | Self::Token
            | Self::Ca { .. }
            | Self::Client(_)
            | Self::TooLarge
            | Self::Json(_) => false,
        }
    }
}

/// The last source of an error: reqwest's own text repeats the URL and hides the reason.
fn innermost(error: &reqwest::Error) -> String {
    let mut source: &dyn std::error::Error = error;
    while let Some(next) = source.source() {
        source = next;
    }
    visible(&source.to_string())
}

/// Asks one console, as whoever the token says.
pub(super) struct Client {
    http: reqwest::Client,
    url: Url,
    token_file: Option<PathBuf>,
}

impl Client {
    /// Sends nothing yet.
    ///
    /// # Errors
    /// [`Error::Url`], [`Error::File`], [`Error::Ca`], [`Error::Client`].
    pub(super) fn new(at: &ConsoleAt) -> Result<Self, Error> {
        let url = console_url(&at.gateway).ok_or_else(|| Error::Url {
            url: visible(&at.gateway),
        })?;
        let mut builder = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(REQUEST_TIMEOUT);
        if is_loopback(&url) {
            builder = builder.no_proxy();
        }
        if let Some(path) = &at.ca {
            let unfit = || Error::Ca { path: path.clone() };
            let pem = read_file(path).map_err(Error::File)?;
            let certificates = reqwest::Certificate::from_pem_bundle(&pem).map_err(|_| unfit())?;
            if certificates.is_empty() {
                return Err(unfit());
            }
            for certificate in certificates {
                builder = builder.add_root_certificate(certificate);
            }
        }
        Ok(Self {
            http: builder.build().map_err(Error::Client)?,
            url,
            token_file: at.token_file.clone(),
        })
    }

    /// Every held statement of this standing, the newest first, up to [`PAGES_MAX`] pages.
    pub(super) async fn list(&self, standing: Option<StandingName>) -> Result<Vec<Summary>, Error> {
        let mut found: Vec<Summary> = Vec::new();
        let mut before: Option<String> = None;
        for _ in 0..PAGES_MAX {
            let mut url = self.at("api/v1/approvals")?;
            {
                let mut query = url.query_pairs_mut();
                query.append_pair("limit", &PAGE_LENGTH.to_string());
                if let Some(standing) = standing {
                    query.append_pair("standing", standing.name());
                }
                if let Some(before) = &before {
                    query.append_pair("before", before);
                }
            }
            let page: List = self.ask(self.http.request(Method::GET, url)).await?;
            found.extend(page.approvals);
            before = page.next;
            if before.is_none() {
                break;
            }
        }
        Ok(found)
    }

    /// One of them.
    pub(super) async fn show(&self, id: &ApprovalId) -> Result<Approval, Error> {
        let url = self.at(&format!("api/v1/approvals/{id}"))?;
        self.ask(self.http.request(Method::GET, url)).await
    }

    /// Votes; gives how it stands then.
    pub(super) async fn vote(&self, id: &ApprovalId, ballot: &Ballot) -> Result<Approval, Error> {
        let url = self.at(&format!("api/v1/approvals/{id}/votes"))?;
        let body = serde_json::to_string(ballot).map_err(Error::Json)?;
        let request = self.http.request(Method::POST, url);
        let request = request.header("content-type", "application/json");
        self.ask(request.body(body)).await
    }

    /// Has it tried; gives what is known of it then.
    pub(super) async fn dry_run(&self, id: &ApprovalId) -> Result<Approval, Error> {
        let url = self.at(&format!("api/v1/approvals/{id}/dry-run"))?;
        self.ask(self.http.request(Method::POST, url)).await
    }

    fn at(&self, path: &str) -> Result<Url, Error> {
        self.url.join(path).map_err(|_| Error::Url {
            url: self.url.to_string(),
        })
    }

    async fn ask<T: DeserializeOwned>(&self, request: RequestBuilder) -> Result<T, Error> {
        let http = |source| Error::Http {
            url: self.url.to_string(),
            source,
        };
        let request = request.bearer_auth(self.token()?);
        let mut response = request.send().await.map_err(http)?;
        let status = response.status();
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(http)? {
            if body.len() + chunk.len() > ANSWER_BYTES_MAX {
                return Err(Error::TooLarge);
            }
            body.extend_from_slice(&chunk);
        }
        let strange = |_| Error::Strange {
            url: self.url.to_string(),
            status: status.as_u16(),
        };
        if status.is_success() {
            return serde_json::from_slice(&body).map_err(strange);
        }
        let problem = serde_json::from_slice(&body).map_err(strange)?;
        Err(Error::Refused { problem })
    }

    /// The token, read anew each time: a file's may have been replaced.
    fn token(&self) -> Result<String, Error> {
        let text = match &self.token_file {
            Some(path) => {
                let bytes = read_file(path).map_err(Error::File)?;
                String::from_utf8(bytes).map_err(|_| Error::Token)?
            }
            None => std::env::var("PROVOST_TOKEN").unwrap_or_default(),
        };
        let token = text.trim();
        if token.is_empty() {
            return Err(Error::NoToken);
        }
        if !token.chars().all(|character| character.is_ascii_graphic()) {
            return Err(Error::Token);
        }
        Ok(token.to_owned())
    }
}

/// The URL, ending in `/`, if a token may go there.
fn console_url(text: &str) -> Option<Url> {
    let mut url = Url::parse(text).ok()?;
    let is_safe = url.scheme() == "https" || (url.scheme() == "http" && is_loopback(&url));
    let is_plain = url.query().is_none()
        && url.fragment().is_none()
        && url.username().is_empty()
        && url.password().is_none();
    if !is_safe || !is_plain || !url.has_host() {
        return None;
    }
    let path = format!("{}/", url.path().trim_end_matches('/'));
    url.set_path(&path);
    Some(url)
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => IpAddr::V4(address).is_loopback(),
        Some(Host::Ipv6(address)) => IpAddr::V6(address).is_loopback(),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_go_where_nobody_listens() {
        let cases = [
            (
                "https://approvals.example.com",
                Some("https://approvals.example.com/"),
            ),
            (
                "https://example.com/provost/",
                Some("https://example.com/provost/"),
            ),
            ("http://127.0.0.1:7443", Some("http://127.0.0.1:7443/")),
            ("http://localhost:7443", Some("http://localhost:7443/")),
            ("http://[::1]:7443", Some("http://[::1]:7443/")),
            ("http://approvals.example.com", None),
            ("http://127.0.0.1.example.com", None),
            ("https://me:secret@example.com", None),
            ("https://example.com/?x", None),
            ("ftp://127.0.0.1", None),
            ("approvals.example.com", None),
            ("", None),
        ];
        for (text, expected) in cases {
            let found = console_url(text).map(|url| url.to_string());
            assert_eq!(found.as_deref(), expected, "{text}");
        }
    }
}
