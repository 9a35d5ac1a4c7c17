//! Calls of the scripts, and what their answers and errors mean.

use std::sync::LazyLock;

use redis::aio::ConnectionLike;
use redis::{Cmd, ErrorKind, RedisError, RedisResult, ServerErrorKind, ToRedisArgs};

use super::keys::Keys;

/// A script. Redis knows it by its digest once it was sent.
#[derive(Debug)]
pub(super) struct Script {
    text: &'static str,
    digest: LazyLock<String>,
}

macro_rules! scripts {
    ($($name:ident $file:literal),* $(,)?) => {$(
        pub(super) static $name: Script = {
            const TEXT: &str = include_str!(concat!("scripts/", $file));
            Script { text: TEXT, digest: LazyLock::new(|| redis::Script::new(TEXT).get_hash().to_owned()) }
        };
    )*};
}

scripts! {
    OPEN "open.lua",
    RENEW "renew.lua",
    RELEASE "release.lua",
    APPEND "append.lua",
    TRIM "trim.lua",
    BEGIN_SNAPSHOT "begin_snapshot.lua",
    WRITE_CHUNK "write_chunk.lua",
    COMMIT_SNAPSHOT "commit_snapshot.lua",
}

/// A script with its keys and arguments.
#[derive(Debug, Clone)]
pub(super) struct Call {
    script: &'static Script,
    command: Cmd,
}

impl Call {
    /// Begins a call.
    pub(super) fn new(script: &'static Script, keys: &[&str]) -> Self {
        let mut command = redis::cmd("EVALSHA");
        command.arg(script.digest.as_str()).arg(keys.len()).arg(keys);
        Self { script, command }
    }

    /// Adds an argument.
    pub(super) fn arg(mut self, argument: impl ToRedisArgs) -> Self {
        self.command.arg(argument);
        self
    }

    /// Adds an argument in place.
    pub(super) fn add(&mut self, argument: impl ToRedisArgs) {
        self.command.arg(argument);
    }

    /// Runs the script, and sends it first where Redis does not know it.
    pub(super) async fn run(&self, connection: &mut impl ConnectionLike) -> RedisResult<Answer> {
        match self.command.query_async(connection).await {
            Err(error) if error.kind() == ErrorKind::Server(ServerErrorKind::NoScript) => {
                redis::cmd("SCRIPT").arg("LOAD").arg(self.script.text).exec_async(connection).await?;
                self.command.query_async(connection).await
            }
            answered => answered,
        }
        .map(Answer)
    }
}

/// What the calls of one opening have in common.
#[derive(Debug, Clone)]
pub(super) struct Opening {
    pub(super) keys: Keys,
    /// The log's id.
    pub(super) log: String,
    /// Names the opening: whoever opens the log after it has another one.
    pub(super) name: String,
}

impl Opening {
    /// Begins a call that is refused once somebody else leads.
    pub(super) fn call(&self, script: &'static Script, keys: &[&str]) -> Call {
        Call::new(script, keys).arg(&self.log).arg(&self.name)
    }
}

/// What a script answered: a word, and what belongs to it.
#[derive(Debug)]
pub(super) struct Answer(Vec<Vec<u8>>);

impl Answer {
    /// The word.
    pub(super) fn word(&self) -> &str {
        self.0.first().and_then(|word| std::str::from_utf8(word).ok()).unwrap_or_default()
    }

    /// The text at a place after the word, from 0.
    pub(super) fn text(&self, place: usize) -> &str {
        self.0.get(place + 1).and_then(|text| std::str::from_utf8(text).ok()).unwrap_or_default()
    }

    /// The number at a place after the word, if it is one.
    pub(super) fn number(&self, place: usize) -> Option<u64> {
        self.text(place).parse().ok()
    }
}

/// What an error means for whoever asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// Redis cannot be reached or does not work now. What was asked may have been done.
    Away,
    /// There is no memory, or no disk, for more. Nothing was done.
    Full,
    /// Redis refuses what was asked.
    Refused,
}

impl Fault {
    /// Tells what an error means.
    pub(super) fn of(error: &RedisError) -> Self {
        match error.code() {
            Some("OOM") => return Self::Full,
            Some("MISCONF") if error.to_string().contains("No space left") => return Self::Full,
            // Redis comes up, is a replica for now, runs a script for too long, or lost its disk, login or replicas.
            Some(
                "MISCONF" | "LOADING" | "READONLY" | "BUSY" | "TRYAGAIN" | "CLUSTERDOWN" | "MASTERDOWN"
                | "NOAUTH" | "WRONGPASS" | "NOREPLICAS",
            ) => return Self::Away,
            _ => {}
        }
        match error.kind() {
            ErrorKind::Server(
                ServerErrorKind::BusyLoading
                | ServerErrorKind::ReadOnly
                | ServerErrorKind::TryAgain
                | ServerErrorKind::ClusterDown
                | ServerErrorKind::MasterDown,
            )
            | ErrorKind::Io
            | ErrorKind::AuthenticationFailed => Self::Away,
            _ if error.is_io_error() || error.is_timeout() || error.is_connection_dropped() => Self::Away,
            _ => Self::Refused,
        }
    }
}
