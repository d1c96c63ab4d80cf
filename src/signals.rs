//! The wish to stop: SIGTERM and SIGINT (Ctrl-C); the wish to reload: SIGHUP.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// Listens for both from the moment it is made.
pub(crate) struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

/// SIGHUP, for each who reads something anew.
pub(crate) struct Hangups {
    pub(crate) policy: Signal,
    pub(crate) certificates: Signal,
}

impl Signals {
    /// Starts to listen.
    ///
    /// # Errors
    /// The operating system's.
    pub(crate) fn listen() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    /// Listens for the wish to look for a later policy and other certificates: SIGHUP, which ends the process where nobody listens.
    ///
    /// # Errors
    /// The operating system's.
    pub(crate) fn reload() -> io::Result<Hangups> {
        Ok(Hangups {
            policy: signal(SignalKind::hangup())?,
            certificates: signal(SignalKind::hangup())?,
        })
    }

    /// Resolves at the next of them.
    pub(crate) async fn wait(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// Resolves at a SIGHUP; never where nobody listens for it.
pub(crate) async fn hangup(signal: &mut Option<Signal>) {
    match signal {
        Some(signal) => {
            if signal.recv().await.is_none() {
                std::future::pending::<()>().await;
            }
        }
        None => std::future::pending().await,
    }
}
