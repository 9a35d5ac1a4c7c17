//! What can go wrong between a program and its orchestrator.

use std::io;
use std::sync::Arc;

use conductor_protocol::Problem;

/// Why a request brought no answer.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// Nothing answers there.
    #[error("no orchestrator is reachable at {address}")]
    Unreachable {
        /// Where it was looked for.
        address: String,
        /// What the system said.
        source: Arc<io::Error>,
    },
    /// The key of the socket cannot be had.
    #[error("cannot get the key for {address}")]
    Key {
        /// The socket.
        address: String,
        /// What is wrong with the key file.
        source: Arc<conductor_runtime::credentials::Error>,
    },
    /// The orchestrator refused, and says why.
    #[error("{0}")]
    Refused(Problem),
    /// The connection ended before the answer came. The request may have been carried out.
    #[error("the connection to the orchestrator was lost: {0}")]
    Lost(Arc<str>),
    /// The orchestrator said something that this release does not understand.
    #[error("the orchestrator's answer was not understood: {0}")]
    Malformed(Arc<str>),
    /// A stream was not read as fast as it came, and was ended. It can be asked for again from where it ended.
    #[error("the stream was read too slowly and was ended")]
    Slow,
}

impl Error {
    /// Whether a new connection may bring the answer that this one did not.
    #[must_use]
    pub fn is_of_the_connection(&self) -> bool {
        match self {
            // A key that does not fit belongs to an earlier start: the next attempt reads it anew.
            Self::Unreachable { .. } | Self::Key { .. } | Self::Lost(_) => true,
            Self::Refused(_) | Self::Malformed(_) | Self::Slow => false,
        }
    }

    pub(crate) fn lost(reason: impl AsRef<str>) -> Self {
        Self::Lost(reason.as_ref().into())
    }

    pub(crate) fn malformed(what: impl std::fmt::Display) -> Self {
        Self::Malformed(what.to_string().into())
    }
}
