//! The names of the keys.

/// What all keys begin with. The braces keep them on one node of a cluster.
pub const PREFIX: &str = "{conductor}";

/// The names of the keys; the module above says what lies there.
#[cfg(feature = "redis")]
#[derive(Debug, Clone)]
pub(super) struct Keys {
    pub(super) meta: String,
    pub(super) lease: String,
    pub(super) events: String,
    pub(super) payloads: String,
    pub(super) snapshots: [String; 2],
}

#[cfg(feature = "redis")]
impl Keys {
    /// The names that begin with this.
    pub(super) fn new(prefix: &str) -> Self {
        let key = |name: &str| format!("{prefix}:{name}");
        Self {
            meta: key("meta"),
            lease: key("lease"),
            events: key("events"),
            payloads: key("payloads"),
            snapshots: [key("snapshot:0"), key("snapshot:1")],
        }
    }
}
