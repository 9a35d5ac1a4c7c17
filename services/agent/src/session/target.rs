//! Where the orchestrator is, and how to get a byte stream to it.

use std::fmt;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use conductor_runtime::credentials::{self, StartKey};
use tokio::net::UnixStream;

/// Where an orchestrator listens for agents.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// A Unix socket, and the file of the key that is said there.
    Unix { socket: PathBuf, key_file: PathBuf },
}

/// Why a text names no orchestrator.
#[derive(Debug, thiserror::Error)]
pub enum ParseError {
    #[error("connecting to {0} is not available in this release; give the path of an agent socket")]
    Unavailable(String),
}

/// Tells a socket file from another one that took its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp(Option<(u64, u64, i64, i64)>);

impl Target {
    /// Reads the path of a socket (`unix:` may stand before it). Its key is in the file beside it that ends in `.key`.
    ///
    /// # Errors
    /// When the text is the address of another host.
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        let path = text.strip_prefix("unix://").or_else(|| text.strip_prefix("unix:")).unwrap_or(text);
        let is_address = path.contains("://")
            || (!path.contains('/')
                && path.rsplit(':').next().is_some_and(|port| port.parse::<u16>().is_ok()));
        if is_address {
            return Err(ParseError::Unavailable(text.to_owned()));
        }
        Ok(Self::unix(Path::new(path)))
    }

    /// The orchestrator behind a socket.
    #[must_use]
    pub fn unix(socket: &Path) -> Self {
        let socket = std::path::absolute(socket).unwrap_or_else(|_| socket.to_owned());
        let key_file = socket.with_extension("key");
        Self::Unix { socket, key_file }
    }

    /// Reads the key as it is now: every start of the orchestrator makes another.
    pub(crate) fn key(&self) -> Result<String, credentials::Error> {
        match self {
            Self::Unix { key_file, .. } => Ok(StartKey::read(key_file)?.reveal().to_owned()),
        }
    }

    /// Connects.
    pub(crate) async fn connect(&self) -> std::io::Result<UnixStream> {
        match self {
            Self::Unix { socket, .. } => UnixStream::connect(socket).await,
        }
    }

    /// What stands at the address now; another value means that a new orchestrator may be there.
    pub(super) fn stamp(&self) -> Stamp {
        match self {
            Self::Unix { socket, .. } => Stamp(
                std::fs::symlink_metadata(socket)
                    .ok()
                    .map(|file| (file.dev(), file.ino(), file.ctime(), file.ctime_nsec())),
            ),
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix { socket, .. } => write!(f, "{}", socket.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_is_a_path_and_its_key_lies_beside_it() {
        for text in [
            "/run/conductor/agent.sock",
            "unix:/run/conductor/agent.sock",
            "unix:///run/conductor/agent.sock",
        ] {
            let Target::Unix { socket, key_file } = Target::parse(text).unwrap();
            assert_eq!(socket, Path::new("/run/conductor/agent.sock"));
            assert_eq!(key_file, Path::new("/run/conductor/agent.key"));
        }
        let Target::Unix { socket, .. } = Target::parse("agent.sock").unwrap();
        assert!(socket.is_absolute());
    }

    #[test]
    fn other_hosts_are_refused_by_name() {
        for text in ["https://conductor.example:9000", "tcp://10.0.0.1:9000", "localhost:9000"] {
            let error = Target::parse(text).unwrap_err().to_string();
            assert!(error.contains(text) && error.contains("not available"), "{error}");
        }
    }
}
