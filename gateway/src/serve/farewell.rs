//! How a connection that can't go on ends: one FATAL error, then a close that lets it arrive.

use std::time::Duration;

use bytes::BytesMut;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    time::timeout,
};

use crate::{
    judge::Fatal,
    protocol::backend::{self, Severity},
    stream::Stream,
};

/// How long the client may take to take the error; then the connection is cut.
const LINGER: Duration = Duration::from_secs(2);
/// How much unread input is thrown away while lingering; then the connection is cut.
const LINGER_BYTES_MAX: usize = 256 * 1024;

/// A FATAL error.
pub(crate) fn fatal(sqlstate: &'static str, message: impl Into<String>) -> Fatal {
    Fatal {
        sqlstate,
        message: message.into(),
    }
}

/// Appends the error to `out`.
pub(crate) fn write(out: &mut BytesMut, fatal: &Fatal) {
    backend::write_error(
        out,
        Severity::Fatal,
        fatal.sqlstate,
        &[(b'M', fatal.message.as_str())],
    );
}

/// Sends what is in `out`, closes our side, and waits a moment for the client to close: unread input would else make the
/// system reset the connection, and the error would be lost.
pub(crate) async fn close(mut stream: Stream, out: &[u8]) {
    let farewell = async {
        if stream.write_all(out).await.is_err() || stream.shutdown().await.is_err() {
            return;
        }
        // Not a part of the future: every session's holds this one.
        let mut bytes = vec![0_u8; 4096];
        let mut thrown = 0;
        while thrown < LINGER_BYTES_MAX {
            match stream.read(&mut bytes).await {
                Ok(count) if count > 0 => thrown += count,
                _ => return,
            }
        }
    };
    // A client that doesn't listen is cut: nothing is owed to it.
    let _ = timeout(LINGER, farewell).await;
}
