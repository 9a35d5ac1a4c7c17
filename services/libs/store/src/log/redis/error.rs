//! Why a log in Redis cannot be opened.

use std::path::PathBuf;

/// Why a log in Redis cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The feature `redis` of this crate is not on.
    #[error(
        "the event log is to be in Redis, and this program was built without it: build it with --features redis, or take \
         the container image"
    )]
    Absent,
    /// It is none; it may hold a password, so it is not shown.
    #[error("redis.url is not the address of a Redis, such as rediss://user:password@host:6379/0")]
    Url,
    /// Redis cannot be reached, or does not let us do what has to be done.
    #[error("failed to open the event log at {address}")]
    Redis {
        /// The server.
        address: PathBuf,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The server cannot keep a log.
    #[error("the Redis at {address} cannot keep the event log: {why}")]
    Unfit {
        /// The server.
        address: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// Another orchestrator leads.
    #[error(
        "another orchestrator ({holder}) leads on the event log at {address}; if it has died, its lease ends in {} s",
        .left_ms.div_ceil(1_000)
    )]
    Held {
        /// The server.
        address: PathBuf,
        /// The other one.
        holder: String,
        /// How long its lease lasts unless it renews it.
        left_ms: u64,
    },
    /// It is not there, though it was.
    #[error("there is no event log at {address}, but {beside} is there; it is not started empty")]
    Missing {
        /// The server.
        address: PathBuf,
        /// What shows that it was there.
        beside: PathBuf,
    },
    /// It is not there, because it is in a file of the state directory.
    #[error(
        "there is no event log at {address}, but {file} is there; conductor migrate redis moves it there"
    )]
    InFile {
        /// The server.
        address: PathBuf,
        /// The log's file.
        file: PathBuf,
    },
    /// The state directory belongs to another log.
    #[error("the event log at {address} is another one than {mark} belongs to")]
    Other {
        /// The server.
        address: PathBuf,
        /// What says which one it was.
        mark: PathBuf,
    },
    /// It ends before what was acknowledged.
    #[error(
        "the event log at {address} ends with event {last}, but event {acknowledged} was acknowledged: Redis lost what \
         came after"
    )]
    Lost {
        /// The server.
        address: PathBuf,
        /// Where the log ends.
        last: u64,
        /// Where it ended.
        acknowledged: u64,
    },
    /// What is there is not what was written.
    #[error("the event log at {address} is damaged at {place}: {what}")]
    Damaged {
        /// The server.
        address: PathBuf,
        /// Where in it.
        place: String,
        /// What is wrong.
        what: String,
    },
    /// Another release wrote it.
    #[error("the event log at {address} has format {found:?}, which this release does not read")]
    Format {
        /// The server.
        address: PathBuf,
        /// Its format.
        found: String,
    },
    /// The state directory cannot be used, or the system gives no thread.
    #[error("failed to use {path}")]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}
