//! Secrets: named by where they come from, never printed. A password is read anew when the server refuses it, the rest once.

use std::{
    fmt,
    io::Read as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use provost_gateway::settings::{Asked, Secret, Source, Unavailable};

/// The largest secret, in bytes; a longer one is refused.
const SECRET_BYTES_MAX: usize = 64 * 1024;

/// Where a secret comes from.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum SecretSource {
    /// An environment variable.
    Environment(String),
    /// A file; its last line's end is not part of the secret.
    File(PathBuf),
    /// The standard output of a shell command; its last line's end is not part of the secret.
    Command(String),
}

/// Why a secret, or a file beside it, could not be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The variable is not set.
    #[error("environment variable `{name}` is not set")]
    NotSet {
        /// Which.
        name: String,
    },
    /// The file can't be read.
    #[error("could not read `{}`: {source}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The command could not be run.
    #[error("could not run its command: {0}")]
    Run(#[source] std::io::Error),
    /// The command failed.
    #[error("its command failed ({status}); run it by hand to see why")]
    Failed {
        /// How.
        status: std::process::ExitStatus,
    },
    /// There is nothing.
    #[error("is empty")]
    Empty,
    /// There is too much.
    #[error("is longer than {SECRET_BYTES_MAX} bytes")]
    TooLong,
    /// It is not what it must be.
    #[error("{what}")]
    Unfit {
        /// What is wrong, without the secret.
        what: String,
    },
}

impl SecretSource {
    /// Reads `env:NAME`, `file:PATH` or `command:...`; paths are taken from `folder`. `None` for anything else, which may be a
    /// secret itself and is not to be repeated.
    pub(crate) fn parse(text: &str, folder: &Path) -> Option<Self> {
        let (scheme, rest) = text.split_once(':')?;
        if rest.is_empty() {
            return None;
        }
        match scheme {
            "env" => Some(Self::Environment(rest.to_owned())),
            "file" => Some(Self::File(folder.join(rest))),
            "command" => Some(Self::Command(rest.to_owned())),
            _ => None,
        }
    }

    /// Reads the secret.
    ///
    /// # Errors
    /// [`Error`], which never holds the secret.
    pub(crate) fn read(&self) -> Result<Secret, Error> {
        let bytes = match self {
            Self::Environment(name) => std::env::var_os(name)
                .ok_or_else(|| Error::NotSet { name: name.clone() })?
                .into_encoded_bytes(),
            Self::File(path) => read_file(path)?,
            Self::Command(command) => output_of(command)?,
        };
        let bytes = trimmed(&bytes);
        if bytes.is_empty() {
            return Err(Error::Empty);
        }
        if bytes.len() > SECRET_BYTES_MAX {
            return Err(Error::TooLong);
        }
        Ok(Secret::new(bytes))
    }
}

/// Reads it anew.
impl Source for SecretSource {
    fn password(&self) -> Asked<'_> {
        let source = self.clone();
        Box::pin(async move {
            // A command may take its time.
            let read = tokio::task::spawn_blocking(move || source.read());
            let unavailable = |what: String| Unavailable { what };
            read.await
                .map_err(|error| unavailable(error.to_string()))?
                .map_err(|error| unavailable(error.to_string()))
        })
    }
}

/// Shows where, never what: a command may carry a secret in its arguments.
impl fmt::Debug for SecretSource {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Environment(name) => write!(formatter, "env:{name}"),
            Self::File(path) => write!(formatter, "file:{}", path.display()),
            Self::Command(_) => formatter.write_str("command:<hidden>"),
        }
    }
}

/// Reads a file that the configuration names.
pub(crate) fn read_file(path: &Path) -> Result<Vec<u8>, Error> {
    std::fs::read(path).map_err(|source| Error::File {
        path: path.to_owned(),
        source,
    })
}

fn output_of(command: &str) -> Result<Vec<u8>, Error> {
    let mut child = Command::new("sh")
        .args(["-c", command])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(Error::Run)?;
    let mut bytes = Vec::new();
    if let Some(output) = child.stdout.take() {
        // One byte more than the limit tells that there is more; the command then meets a closed pipe.
        output
            .take(SECRET_BYTES_MAX as u64 + 2)
            .read_to_end(&mut bytes)
            .map_err(Error::Run)?;
    }
    let status = child.wait().map_err(Error::Run)?;
    if !status.success() {
        return Err(Error::Failed { status });
    }
    Ok(bytes)
}

/// Without the last line's end.
fn trimmed(bytes: &[u8]) -> &[u8] {
    let bytes = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    bytes.strip_suffix(b"\r").unwrap_or(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_is_read_and_anything_else_is_not() {
        let folder = Path::new("/etc/provost");
        let cases = [
            ("env:NAME", Some("env:NAME")),
            ("file:key.pem", Some("file:/etc/provost/key.pem")),
            ("file:/run/key.pem", Some("file:/run/key.pem")),
            ("command:pass show db", Some("command:<hidden>")),
            ("env:", None),
            ("hunter2", None),
            ("vault:x", None),
        ];
        for (text, expected) in cases {
            let shown = SecretSource::parse(text, folder).map(|source| format!("{source:?}"));
            assert_eq!(shown.as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn a_command_gives_its_output() {
        let read = |command: &str| SecretSource::Command(command.to_owned()).read();
        assert_eq!(read("printf 'a b\\n'").unwrap().reveal(), b"a b");
        assert!(matches!(read("true"), Err(Error::Empty)));
        assert!(matches!(read("exit 3"), Err(Error::Failed { .. })));
        let long = format!("head -c {} /dev/zero", SECRET_BYTES_MAX + 1);
        assert!(matches!(read(&long), Err(Error::TooLong)));
    }
}
