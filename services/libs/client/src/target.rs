//! Where an orchestrator listens.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use conductor_protocol::control::StatusView;
use conductor_runtime::credentials::StartKey;
use conductor_runtime::paths::Home;
use tokio::net::UnixStream;

use crate::control::{Control, Options};
use crate::error::Error;
use crate::raw::Raw;
use crate::remote::Remote;

/// How long an orchestrator has to let a client in.
const OPENING_TIME: Duration = Duration::from_secs(10);

/// Where an orchestrator is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// By its control socket, on the same host.
    Socket {
        /// The socket.
        socket: PathBuf,
        /// The file that holds its key, new at each start of the orchestrator.
        key_file: PathBuf,
    },
    /// By an API, with a token.
    Remote(Remote),
}

impl Target {
    /// Names the control socket of a home.
    #[must_use]
    pub fn of_home(home: &Home) -> Self {
        Self::Socket { socket: home.control_socket(), key_file: home.control_key() }
    }

    /// Names a socket by its path; the key lies beside it as `control.key`.
    #[must_use]
    pub fn of_socket(socket: &Path) -> Self {
        Self::Socket { socket: socket.to_owned(), key_file: socket.with_extension("key") }
    }

    /// Connects. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// When nothing listens, the key cannot be read, or the orchestrator refuses.
    pub async fn connect(&self, options: Options) -> Result<Control, Error> {
        let connect = async {
            match self {
                Self::Socket { socket, key_file } => {
                    let (stream, key) = open(socket, key_file).await?;
                    Control::over(stream, key.reveal(), options).await
                }
                Self::Remote(remote) => remote.connect(options).await,
            }
        };
        in_time(connect).await
    }

    /// Opens a connection whose messages the caller passes on as they are; also gives what the orchestrator said of itself.
    ///
    /// # Errors
    /// As [`Target::connect`]; a remote one is not passed on.
    pub async fn connect_raw(&self, client: &str) -> Result<(Raw, StatusView), Error> {
        match self {
            Self::Socket { socket, key_file } => {
                in_time(async {
                    let (stream, key) = open(socket, key_file).await?;
                    Raw::over(stream, key.reveal(), client).await
                })
                .await
            }
            Self::Remote(_) => Err(Error::lost("a remote orchestrator is not passed on")),
        }
    }
}

async fn open(socket: &Path, key_file: &Path) -> Result<(UnixStream, StartKey), Error> {
    let address = socket.display().to_string();
    let stream = UnixStream::connect(socket)
        .await
        .map_err(|source| Error::Unreachable { address: address.clone(), source: Arc::new(source) })?;
    // Read after connecting: who listens has written its key before.
    let key = StartKey::read(key_file).map_err(|source| Error::Key { address, source: Arc::new(source) })?;
    Ok((stream, key))
}

async fn in_time<T>(opening: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    match tokio::time::timeout(OPENING_TIME, opening).await {
        Ok(opened) => opened,
        Err(_) => Err(Error::lost(format!("no answer within {} s", OPENING_TIME.as_secs()))),
    }
}
