//! Certificates read anew on SIGHUP, from the files and secrets that the configuration named at the start.
//!
//! INVARIANT: a change is in the log before the certificate is shown, or the roots are trusted. What can't be used is told and recorded, and
//! what is in use stays.

use std::{path::PathBuf, sync::Arc, time::SystemTime};

use provost_evidence::{
    Durability, Log,
    record::{ChangeRecord, Record},
};
use provost_gateway::{
    certificate::{Certificate, CertificateHandle},
    console::Console,
    record::micros,
    serve::Gateway,
    upstream::RootsHandle,
};
use tokio::{signal::unix::Signal, sync::watch, task::spawn_blocking};

use crate::{
    config::{ClientTls, Config, SecretSource, ServerTls, read_file},
    error::Error,
    signals::hangup,
};

/// Reads certificates anew.
pub(crate) struct Renewal {
    shown: Option<ShownFiles>,
    trusted: Vec<TrustedFile>,
    log: Arc<Log>,
}

/// Where the gateway's own certificate comes from, and who shows it.
struct ShownFiles {
    certificate: PathBuf,
    key: SecretSource,
    /// At least one; all show the same.
    handles: Vec<Arc<CertificateHandle>>,
}

/// Where a target's roots come from.
struct TrustedFile {
    target: String,
    path: PathBuf,
    handle: RootsHandle,
    /// What was trusted last, PEM.
    in_use: Vec<u8>,
}

impl Renewal {
    /// What the configuration names, as it was read at the start.
    pub(crate) fn new(
        config: &Config,
        (gateway, console): (&Gateway, Option<&Console>),
        log: &Arc<Log>,
    ) -> Self {
        let handles = [
            gateway.certificate(),
            console.and_then(Console::certificate),
        ];
        let handles: Vec<_> = handles.into_iter().flatten().collect();
        let shown = match &config.tls {
            ClientTls::Required { certificate, key } if !handles.is_empty() => Some(ShownFiles {
                certificate: certificate.clone(),
                key: key.clone(),
                handles,
            }),
            ClientTls::Required { .. } | ClientTls::Off => None,
        };
        let trusted = config.targets.iter().filter_map(|target| {
            let ServerTls::VerifyFull { roots } = &target.tls else {
                return None;
            };
            let handle = gateway.roots(&target.name)?;
            Some(TrustedFile {
                target: target.name.clone(),
                path: roots.clone(),
                in_use: handle.first().to_vec(),
                handle,
            })
        });
        Self {
            shown,
            trusted: trusted.collect(),
            log: Arc::clone(log),
        }
    }

    /// Reads anew at each signal, until `stopped` changes.
    ///
    /// # Errors
    /// [`Error::Evidence`]: what can't be recorded must not happen, so the gateway must stop.
    pub(crate) async fn run(
        mut self,
        mut reload: Option<Signal>,
        mut stopped: watch::Receiver<()>,
    ) -> Result<(), Error> {
        loop {
            tokio::select! {
                () = hangup(&mut reload) => {}
                _ = stopped.changed() => return Ok(()),
            }
            // A command that gives the key may take its time: the gateway's end does not wait for it.
            tokio::select! {
                renewed = self.renew() => renewed?,
                _ = stopped.changed() => return Ok(()),
            }
        }
    }

    async fn renew(&mut self) -> Result<(), Error> {
        if let Some(shown) = &self.shown {
            shown.renew(&self.log).await?;
        }
        for trusted in &mut self.trusted {
            trusted.renew(&self.log).await?;
        }
        Ok(())
    }
}

impl ShownFiles {
    async fn renew(&self, log: &Log) -> Result<(), Error> {
        let (path, key) = (self.certificate.clone(), self.key.clone());
        let read = off_the_runtime(move || {
            let chain = read_file(&path).map_err(told)?;
            let key = key.read().map_err(told)?;
            Certificate::read(&chain, &key).map_err(told)
        });
        let current = self.handles.first().map(|handle| handle.current());
        let before = current.as_ref().map(Certificate::fingerprint);
        let next = match read.await {
            Ok(next) if current.as_ref() == Some(&next) => {
                tracing::info!("the certificate is the one that is shown already");
                return Ok(());
            }
            Ok(next) => next,
            Err(reason) => {
                let path = self.certificate.display();
                tracing::error!(%path, reason, "the certificate was refused; the one that is shown stays");
                return record(log, "certificate-refused", before, &refused(&reason)).await;
            }
        };
        record(log, "certificate-loaded", before, next.fingerprint()).await?;
        for handle in &self.handles {
            handle.replace(next.clone());
        }
        tracing::info!(
            sha256 = next.fingerprint(),
            "clients that come are shown another certificate"
        );
        Ok(())
    }
}

impl TrustedFile {
    async fn renew(&mut self, log: &Log) -> Result<(), Error> {
        let (path, handle) = (self.path.clone(), self.handle.clone());
        let read = off_the_runtime(move || {
            let pem = read_file(&path).map_err(told)?;
            let roots = handle.read(&pem).map_err(told)?;
            Ok((pem, roots))
        });
        let (pem, roots) = match read.await {
            Ok((pem, _)) if pem == self.in_use => return Ok(()),
            Ok(read) => read,
            Err(reason) => {
                let path = self.path.display();
                tracing::error!(target_name = self.target, %path, reason, "a target's roots were refused; those that are trusted stay");
                let said = refused(&reason);
                return record(log, "roots-refused", Some(&self.target), &said).await;
            }
        };
        let said = format!("{} bytes of PEM", pem.len());
        record(log, "roots-loaded", Some(&self.target), &said).await?;
        self.handle.replace(roots);
        self.in_use = pem;
        tracing::info!(
            target_name = self.target,
            "a target's server must lead to other roots from here on"
        );
        Ok(())
    }
}

/// Reads files, or a command's output, where that keeps nobody waiting. The error is a line for people, which never holds a secret.
async fn off_the_runtime<T: Send + 'static>(
    read: impl FnOnce() -> Result<T, String> + Send + 'static,
) -> Result<T, String> {
    // A reader that broke off has read nothing.
    spawn_blocking(read).await.map_err(told)?
}

fn told(error: impl std::error::Error) -> String {
    error.to_string()
}

fn refused(reason: &str) -> String {
    format!("refused: {reason}")
}

async fn record(log: &Log, what: &str, before: Option<&str>, after: &str) -> Result<(), Error> {
    let change = Record::Change(ChangeRecord {
        at: micros(SystemTime::now()),
        actor: "gateway".to_owned(),
        what: what.to_owned(),
        before: before.map(str::to_owned),
        after: Some(after.to_owned()),
        digest: None,
    });
    log.append(&change, Durability::Power).await?;
    Ok(())
}
