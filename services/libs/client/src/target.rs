//! Where an orchestrator listens.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use conductor_runtime::credentials::StartKey;
use conductor_runtime::paths::Home;
use tokio::net::UnixStream;

use crate::control::{Control, Options};
use crate::error::Error;

/// How long an orchestrator has to let a client in.
const OPENING_TIME: Duration = Duration::from_secs(10);

/// A control socket and the file of its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The socket.
    pub socket: PathBuf,
    /// The file that holds its key, new at each start of the orchestrator.
    pub key_file: PathBuf,
}

impl Target {
    /// Names the control socket of a home.
    #[must_use]
    pub fn of_home(home: &Home) -> Self {
        Self { socket: home.control_socket(), key_file: home.control_key() }
    }

    /// Names a socket by its path; the key lies beside it as `control.key`.
    #[must_use]
    pub fn of_socket(socket: &Path) -> Self {
        Self { socket: socket.to_owned(), key_file: socket.with_extension("key") }
    }

    /// Connects. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// When nothing listens, the key cannot be read, or the orchestrator refuses.
    pub async fn connect(&self, options: Options) -> Result<Control, Error> {
        let address = self.socket.display().to_string();
        let stream = UnixStream::connect(&self.socket)
            .await
            .map_err(|source| Error::Unreachable { address: address.clone(), source: Arc::new(source) })?;
        // Read after connecting: who listens has written its key before.
        let key = StartKey::read(&self.key_file)
            .map_err(|source| Error::Key { address, source: Arc::new(source) })?;
        match tokio::time::timeout(OPENING_TIME, Control::over(stream, key.reveal(), options)).await {
            Ok(opened) => opened,
            Err(_) => Err(Error::lost(format!("no answer within {} s", OPENING_TIME.as_secs()))),
        }
    }
}
