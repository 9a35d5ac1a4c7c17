//! Listeners that say who holds the address when it is taken.

mod holder;
mod tcp;
mod unix;

use std::io;
use std::path::PathBuf;

pub use holder::Holder;
pub use tcp::tcp;
pub use unix::UnixListener;

/// Why a program cannot listen.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("another Conductor{} is listening on {path}", holder.as_ref().map(|h| format!(", {h},")).unwrap_or_default())]
    SocketBusy { path: PathBuf, holder: Option<Holder> },
    #[error("{path} is in the way: it is not a socket")]
    NotASocket { path: PathBuf },
    #[error(
        "the socket path {path} is {length} bytes long and may have at most {max}; set CONDUCTOR_HOME or paths.run to a shorter folder"
    )]
    PathTooLong { path: PathBuf, length: usize, max: usize },
    #[error(transparent)]
    Folder(#[from] crate::paths::Error),
    #[error("the folder of {path} belongs to another user (uid {uid})")]
    ForeignFolder { path: PathBuf, uid: u32 },
    #[error("cannot listen on {path}")]
    Socket { path: PathBuf, source: io::Error },
    #[error("{address} is taken{}", holder.as_ref().map(|h| format!(" by {h}")).unwrap_or_default())]
    AddressTaken { address: String, holder: Option<Holder> },
    #[error("cannot listen on {address}")]
    Address { address: String, source: io::Error },
}
