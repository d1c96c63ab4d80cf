//! The documents of all approvals, as one gateway writes and reads them.

use std::collections::HashSet;
use std::sync::Arc;

use futures::TryStreamExt as _;
use object_store::{ObjectStore, PutMode, path::Path};
use tokio::sync::Mutex;

use super::documents::{ApprovalId, Document, DryRun, End, Request, Vote};
use crate::error::Error;
use crate::key::{PublicKey, SigningKey};
use crate::store;

/// Documents larger than this are none of ours: a text of 1 MB, escaped at its worst.
const DOCUMENT_BYTES_MAX: u64 = 8 * 1024 * 1024;

/// What became of a vote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Voted {
    /// It is in the store.
    Taken,
    /// The person said something before, which stays.
    Before(Box<Vote>),
}

/// What became of an end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ended {
    /// It is ours: the first.
    Ours,
    /// Another was first.
    Before(Box<End>),
}

/// What is new in the store.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct News {
    /// Documents, signed as they must be, in the order of their keys.
    pub documents: Vec<Document>,
    /// Keys of what is no document of a gateway that is trusted. Told once each.
    pub strange: Vec<String>,
}

/// The documents of all approvals.
pub struct Docket {
    store: Arc<dyn ObjectStore>,
    gateway: String,
    key: SigningKey,
    /// Our own key first.
    trusted: Vec<PublicKey>,
    seen: Mutex<Seen>,
}

/// What was read before.
struct Seen {
    /// Approvals before this one are not looked at again.
    from: ApprovalId,
    keys: HashSet<String>,
}

impl std::fmt::Debug for Docket {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Docket")
            .field("gateway", &self.gateway)
            .field("trusted", &self.trusted)
            .finish_non_exhaustive()
    }
}

impl Docket {
    /// The approvals of this store from `from` on, as the gateway of this name reads and writes them. What the gateways of `others` wrote
    /// is believed, too.
    #[must_use]
    pub fn new(
        store: Arc<dyn ObjectStore>,
        (gateway, key): (&str, SigningKey),
        others: Vec<PublicKey>,
        from: ApprovalId,
    ) -> Self {
        let mut trusted = vec![key.public(gateway)];
        // A key of our own name that is not ours could speak for us.
        trusted.extend(
            others
                .into_iter()
                .filter(|other| other.gateway() != gateway),
        );
        Self {
            store,
            gateway: gateway.to_owned(),
            key,
            trusted,
            seen: Mutex::new(Seen {
                from,
                keys: HashSet::new(),
            }),
        }
    }

    /// The gateway's name.
    #[must_use]
    pub fn gateway(&self) -> &str {
        &self.gateway
    }

    /// Asks.
    ///
    /// # Errors
    /// [`Error::Store`]; [`Error::Conflict`] where somebody has the id: both are no request.
    pub async fn request(&self, request: Request) -> Result<(), Error> {
        let document = Document::Request(Box::new(request));
        match self.put(&document).await? {
            None => Ok(()),
            Some(_) => Err(Error::Conflict {
                key: document.key(),
            }),
        }
    }

    /// Says what a dry run did; gives the one that was said before instead.
    ///
    /// # Errors
    /// As [`Docket::vote`].
    pub async fn dry_run(&self, dry_run: DryRun) -> Result<DryRun, Error> {
        let document = Document::DryRun(dry_run.clone());
        match self.put(&document).await? {
            None => Ok(dry_run),
            Some(Document::DryRun(before)) => Ok(before),
            Some(Document::Request(_) | Document::Vote(_) | Document::End(_)) => {
                Err(Error::Approval {
                    key: document.key(),
                })
            }
        }
    }

    /// Says what a person said.
    ///
    /// # Errors
    /// [`Error::Store`]; [`Error::Approval`] where what is there can't be believed.
    pub async fn vote(&self, vote: Vote) -> Result<Voted, Error> {
        let document = Document::Vote(vote);
        match self.put(&document).await? {
            None => Ok(Voted::Taken),
            Some(Document::Vote(before)) => Ok(Voted::Before(Box::new(before))),
            Some(Document::Request(_) | Document::DryRun(_) | Document::End(_)) => {
                Err(Error::Approval {
                    key: document.key(),
                })
            }
        }
    }

    /// Ends an approval, unless it has ended.
    ///
    /// # Errors
    /// As [`Docket::vote`]; then it may not be used.
    pub async fn end(&self, end: End) -> Result<Ended, Error> {
        let document = Document::End(end);
        match self.put(&document).await? {
            None => Ok(Ended::Ours),
            Some(Document::End(before)) => Ok(Ended::Before(Box::new(before))),
            Some(Document::Request(_) | Document::DryRun(_) | Document::Vote(_)) => {
                Err(Error::Approval {
                    key: document.key(),
                })
            }
        }
    }

    /// Puts a document that is written once; gives the one that is there instead.
    async fn put(&self, document: &Document) -> Result<Option<Document>, Error> {
        let key = document.key();
        let bytes = document.sign(&self.key)?;
        let put = self
            .store
            .put_opts(
                &Path::from(key.as_str()),
                bytes.into(),
                PutMode::Create.into(),
            )
            .await;
        match put {
            Ok(_) => Ok(None),
            Err(object_store::Error::AlreadyExists { .. }) => {
                let there = store::read(&*self.store, &key).await?;
                let there = there.and_then(|bytes| Document::open(&key, &bytes, &self.trusted));
                match there {
                    // Our own: an acknowledgement was lost.
                    Some(there) if there == *document => Ok(None),
                    Some(there) => Ok(Some(there)),
                    None => Err(Error::Approval { key }),
                }
            }
            Err(source) => Err(Error::Store {
                action: "put",
                key,
                source,
            }),
        }
    }

    /// Reads what is new. One listing, and a read for each new key.
    ///
    /// # Errors
    /// [`Error::Store`]; what was read before it is told next time.
    pub async fn news(&self) -> Result<News, Error> {
        let mut seen = self.seen.lock().await;
        let offset = Path::from(format!("{}{}", super::PREFIX, seen.from));
        let prefix = Path::from(super::PREFIX);
        let listed = self.store.list_with_offset(Some(&prefix), &offset);
        let mut listed: Vec<(String, u64)> = listed
            .map_ok(|meta| (meta.location.to_string(), meta.size))
            .try_filter(|(key, _)| std::future::ready(!seen.keys.contains(key)))
            .try_collect()
            .await
            .map_err(|source| Error::Store {
                action: "list",
                key: super::PREFIX.to_owned(),
                source,
            })?;
        listed.sort_unstable();
        let mut news = News::default();
        let mut keys = Vec::new();
        for (key, bytes) in listed {
            let document = match bytes {
                0..=DOCUMENT_BYTES_MAX => store::read(&*self.store, &key)
                    .await?
                    .and_then(|bytes| Document::open(&key, &bytes, &self.trusted)),
                _ => None,
            };
            match document {
                Some(document) => news.documents.push(document),
                None => news.strange.push(key.clone()),
            }
            keys.push(key);
        }
        seen.keys.extend(keys);
        Ok(news)
    }

    /// Approvals before this one ended: they are not looked at again.
    pub async fn forget_before(&self, id: &ApprovalId) {
        let mut seen = self.seen.lock().await;
        if *id > seen.from {
            seen.from = id.clone();
            let from = format!("{}{id}", super::PREFIX);
            seen.keys.retain(|key| *key > from);
        }
    }
}
