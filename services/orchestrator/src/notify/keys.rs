//! The keys that tasks name for their webhooks: secrets that people keep beside the orchestrator.

use std::path::PathBuf;

use conductor_protocol::Problem;
use conductor_runtime::secrets::{self, Name, Secret, Secrets};

/// What such a secret begins with. So no key of a model signs what its finder could guess it from.
const PREFIX: &str = "whsec_";

/// The keys that tasks can name.
#[derive(Debug, Clone)]
pub(crate) struct Keys {
    folder: PathBuf,
}

/// Why a key cannot be had.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error(transparent)]
    Name(#[from] secrets::NameError),
    #[error(transparent)]
    Secret(#[from] secrets::Error),
    #[error("there is no secret {0}; `conductor secret set {0}` on the orchestrator's host keeps one")]
    Unknown(Name),
    #[error("the secret {0} signs no webhooks: it does not begin with {PREFIX}")]
    OtherUse(Name),
}

impl Keys {
    pub(crate) fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// Reads a key as it is now. Blocks.
    pub(crate) fn get(&self, name: &str) -> Result<Secret, Error> {
        let name: Name = name.parse()?;
        let Some(secret) = Secrets::open(&self.folder)?.get(&name)? else { return Err(Error::Unknown(name)) };
        if secret.reveal().starts_with(PREFIX) { Ok(secret) } else { Err(Error::OtherUse(name)) }
    }

    /// Checks the keys that tasks name, each with its place.
    pub(crate) async fn check(&self, named: Vec<(String, String)>) -> Result<(), Problem> {
        if named.is_empty() {
            return Ok(());
        }
        let keys = self.clone();
        let look = move || {
            named.into_iter().find_map(|(at, name)| Some(Problem::at(at, keys.get(&name).err()?.to_string())))
        };
        match tokio::task::spawn_blocking(look).await {
            Ok(None) => Ok(()),
            Ok(Some(problem)) => Err(problem),
            Err(_) => {
                Err(Problem::new(conductor_protocol::Code::Internal, "the reading of secrets panicked"))
            }
        }
    }
}
