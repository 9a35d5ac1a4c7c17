//! Where things are kept.

use serde::{Deserialize, Deserializer};

use crate::credentials::Secret;

/// `storage.*`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Storage {
    /// Where the event log is.
    pub event_log: EventLogStorage,
    /// Whether an empty state folder stops the start, as that of a volume on the wrong node.
    pub expect_state: bool,
}

/// `storage.event_log`
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EventLogStorage {
    /// In a file of the state folder.
    Sqlite,
    /// In the Redis that `redis.url` names.
    Redis,
}

/// `redis.*`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Redis {
    /// Its address with user and password; set where the event log is in Redis.
    #[serde(deserialize_with = "optional_secret")]
    pub url: Option<Secret>,
    /// Whether a Redis is refused that may lose what it acknowledged.
    pub require_fsync: bool,
}

pub(super) fn optional_secret<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Secret>, D::Error> {
    Ok(Option::<String>::deserialize(deserializer)?.map(Secret::new))
}
