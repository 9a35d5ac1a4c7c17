//! What a listener bears with.

use std::time::Duration;

/// What a listener bears with.
#[derive(Debug, Clone)]
pub struct Limits {
    /// The most connections at the same time; those beyond are told so and closed.
    pub connections: usize,
    /// The most connections beyond those that are told so at the same time; further ones are closed without a word.
    pub refusals: usize,
    /// How long a connection has until its first request is there.
    pub header_time: Duration,
    /// How long a connection is kept between two requests, the reading of the second one's head among it.
    pub idle_time: Duration,
    /// How long a body may stand still.
    pub body_pause: Duration,
    /// How long a body that is read as a whole may take.
    pub body_time: Duration,
    /// How long a reader may stand still before the connection is closed.
    pub write_pause: Duration,
    /// How long open connections have to end when the program does.
    pub end_time: Duration,
    /// The most headers of a request.
    pub headers: usize,
    /// The most bytes of a request's head.
    pub header_bytes: usize,
    /// The most requests at the same time on one HTTP/2 connection.
    pub streams: u32,
    /// The most bytes of a body that is not an upload.
    pub body_bytes: usize,
    /// The most bytes of an upload.
    pub upload_bytes: u64,
    /// The most wrong secrets a minute that begin alike and come from one address.
    pub failures: u32,
    /// The most bytes of all bodies that are being read as wholes at the same time, the first piece of each left out.
    pub reading_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 1_024,
            refusals: 64,
            header_time: Duration::from_secs(10),
            idle_time: Duration::from_secs(75),
            body_pause: Duration::from_secs(20),
            body_time: Duration::from_secs(300),
            write_pause: Duration::from_secs(120),
            end_time: Duration::from_secs(10),
            headers: 100,
            header_bytes: 32 << 10,
            streams: 128,
            body_bytes: conductor_protocol::limits::MAX_MESSAGE_BYTES,
            upload_bytes: 1 << 30,
            failures: 10,
            reading_bytes: 256 << 20,
        }
    }
}
