//! Where the Redis is and how it is reached. The password stays in here.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use redis::{AsyncConnectionConfig, Client, ConnectionAddr, IntoConnectionInfo, RedisError};

use super::OpenError;

/// How long a connection may take, with TLS and the login.
const CONNECT: Duration = Duration::from_secs(3);

/// A Redis.
#[derive(Clone)]
pub(super) struct Address {
    client: Client,
    shown: PathBuf,
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The client knows the password.
        f.debug_tuple("Address").field(&self.shown).finish()
    }
}

impl Address {
    /// Reads `redis://`, `rediss://` or `unix://`. An error says nothing of the text.
    pub(super) fn parse(url: &str) -> Result<Self, OpenError> {
        let info = url.into_connection_info().map_err(|_| OpenError::Url)?;
        let database = info.redis_settings().db();
        let shown = match info.addr() {
            ConnectionAddr::Tcp(host, port) => format!("redis://{host}:{port}/{database}"),
            ConnectionAddr::TcpTls { insecure: true, .. } => return Err(OpenError::Url),
            ConnectionAddr::TcpTls { host, port, .. } => format!("rediss://{host}:{port}/{database}"),
            ConnectionAddr::Unix(path) => format!("unix://{}?db={database}", path.display()),
            _ => return Err(OpenError::Url),
        };
        let client = Client::open(info).map_err(|_| OpenError::Url)?;
        Ok(Self { client, shown: shown.into() })
    }

    /// How it is called in messages, without the password.
    pub(super) fn shown(&self) -> &Path {
        &self.shown
    }

    /// Says that the log cannot be opened there.
    pub(super) fn failed(&self, source: RedisError) -> OpenError {
        OpenError::Redis { address: self.shown.clone(), source: source.into() }
    }

    /// Opens connections.
    pub(super) fn client(&self) -> &Client {
        &self.client
    }
}

/// How a connection waits: for an answer as long as `response` says, or for ever.
pub(super) fn waiting(response: Option<Duration>) -> AsyncConnectionConfig {
    AsyncConnectionConfig::new().set_connection_timeout(Some(CONNECT)).set_response_timeout(response)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_shown_without_its_password() {
        for (url, shown) in [
            ("redis://:hidden@10.0.0.1", "redis://10.0.0.1:6379/0"),
            ("redis://conductor:hidden@redis:6380/2", "redis://redis:6380/2"),
            ("rediss://conductor:hidden@redis.example/1", "rediss://redis.example:6379/1"),
            ("unix:///run/redis.sock?db=3&pass=hidden", "unix:///run/redis.sock?db=3"),
        ] {
            let address = Address::parse(url).unwrap();
            assert_eq!(address.shown(), Path::new(shown));
            assert!(!format!("{address:?}").contains("hidden"));
        }
    }

    #[test]
    fn what_is_no_address_is_refused_without_being_shown() {
        for url in ["", "hidden", "http://hidden@redis", "rediss://:hidden@redis/0#insecure"] {
            let error = Address::parse(url).unwrap_err();
            assert!(!format!("{error} {error:?}").contains("hidden"), "{url}");
        }
    }
}
