//! Opening: the server is looked at, the lease taken, and what is there compared with what was acknowledged.

use std::path::Path;
use std::time::{Duration, Instant};

use conductor_core::Seq;

use super::address::Address;
use super::call::{self, Call, Fault, Opening};
use super::keys::Keys;
use super::mark::{self, Mark};
use super::wire::Wire;
use super::{OpenError, Options, row, server};
use crate::log::{Fence, LogId, Status, sqlite};

/// The format that is written.
pub(super) const FORMAT: &str = "1";

/// How long a Redis that comes up is waited for.
const PATIENCE: Duration = Duration::from_secs(20);

/// How often it is looked at meanwhile.
const LOOK: Duration = Duration::from_millis(250);

/// What was opened.
pub(super) struct Opened {
    pub(super) opening: Opening,
    pub(super) lease: Lease,
    pub(super) mark: Mark,
    pub(super) fence: Fence,
    pub(super) status: Status,
}

/// What the lease says.
#[derive(Debug, Clone)]
pub(super) struct Lease {
    /// Names the state directory.
    pub(super) place: String,
    /// Names the process, for people.
    pub(super) holder: String,
    /// How long it lasts unless it is renewed.
    pub(super) lasts: Duration,
}

impl Lease {
    pub(super) fn ms(&self) -> u64 {
        u64::try_from(self.lasts.as_millis()).unwrap_or(u64::MAX)
    }
}

/// Opens the log, or makes it where there was none and should be none.
pub(super) fn open(
    dir: &Path,
    address: &Address,
    wire: &mut Wire,
    options: &Options,
) -> Result<Opened, OpenError> {
    wait_for(wire, address)?;
    server::check(wire, address, options.require_fsync)?;
    let io = |source| OpenError::Io { path: mark::path(dir), source };
    let traces = [dir.join(crate::history::sqlite::FILE), dir.join(sqlite::FILE)];
    let beside = traces.into_iter().find(|trace| trace.exists());
    let mut mark = Mark::open(dir).map_err(io)?;
    let known = mark.reading();
    let beside = if known.log.is_some() { Some(mark::path(dir)) } else { beside };
    let keys = Keys::new(&options.prefix);
    let random = || random_hex().map_err(io);
    let name = random()?;
    let lease = Lease { place: format!("{:032x}", known.place), holder: holder(), lasts: options.lease };
    let call = Call::new(&call::OPEN, &[&keys.meta, &keys.lease, &keys.events])
        .arg(FORMAT)
        .arg(&lease.place)
        .arg(&name)
        .arg(&lease.holder)
        .arg(lease.ms())
        .arg(random()?)
        .arg(known.fence.0)
        .arg(u8::from(beside.is_none()))
        .arg(known.log.map(|log| format!("{:032x}", log.0)).unwrap_or_default());
    let answer = wire.call(&call).map_err(|source| address.failed(source))?;
    let shown = || address.shown().to_owned();
    match answer.word() {
        "opened" => {}
        "held" => {
            let (holder, left_ms) = (answer.text(0).to_owned(), answer.number(1).unwrap_or_default());
            return Err(OpenError::Held { address: shown(), holder, left_ms });
        }
        "missing" if known.log.is_none() && dir.join(sqlite::FILE).exists() => {
            return Err(OpenError::InFile { address: shown(), file: dir.join(sqlite::FILE) });
        }
        "missing" => {
            // Without a trace there are events that belong to no log.
            let beside = beside.unwrap_or_else(|| keys.events.into());
            return Err(OpenError::Missing { address: shown(), beside });
        }
        "other" => return Err(OpenError::Other { address: shown(), mark: mark::path(dir) }),
        _ => return Err(OpenError::Format { address: shown(), found: answer.text(0).to_owned() }),
    }
    let damaged =
        |place: &str, what: String| OpenError::Damaged { address: shown(), place: place.to_owned(), what };
    let opening = Opening { keys, log: answer.text(0).to_owned(), name };
    let taken = Taken { wire, opening: Some(opening) };
    let bad_meta = || damaged(&taken.keys().meta, "it does not read".to_owned());
    let log = u128::from_str_radix(answer.text(0), 16).map(LogId).map_err(|_| bad_meta())?;
    let number = |place| answer.number(place).ok_or_else(bad_meta);
    let (fence, first, last) = (Fence(number(1)?), Seq(number(2)?), Seq(number(3)?));
    let snapshot = match answer.text(4) {
        "" => None,
        _ => Some(Seq(number(4)?)),
    };
    let status = Status { log, first, last, snapshot };
    check(status, answer.text(5), answer.text(6)).map_err(|what| damaged(&taken.keys().events, what))?;
    if last < known.seq {
        return Err(OpenError::Lost { address: shown(), last: last.0, acknowledged: known.seq.0 });
    }
    mark.opened(log, fence, last).map_err(io)?;
    Ok(Opened { opening: taken.keep(), lease, mark, fence, status })
}

/// The lease, which is given back when the rest of the opening fails.
struct Taken<'a> {
    wire: &'a mut Wire,
    opening: Option<Opening>,
}

impl Taken<'_> {
    fn keys(&self) -> &Keys {
        &self.opening.as_ref().expect("it is kept at the end").keys
    }

    fn keep(mut self) -> Opening {
        self.opening.take().expect("it is kept once")
    }
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        if let Some(opening) = &self.opening {
            release(self.wire, opening);
        }
    }
}

/// Gives the lease back.
pub(super) fn release(wire: &mut Wire, opening: &Opening) {
    let call = opening.call(&call::RELEASE, &[&opening.keys.meta, &opening.keys.lease]);
    if let Err(error) = wire.call(&call) {
        tracing::debug!(%error, "the lease on the event log ends by itself");
    }
}

/// Waits for a Redis that comes up, as it does beside an orchestrator that starts with it.
fn wait_for(wire: &mut Wire, address: &Address) -> Result<(), OpenError> {
    let begin = Instant::now();
    let mut told = false;
    loop {
        match wire.query::<String>(&redis::cmd("PING")) {
            Ok(_) => return Ok(()),
            Err(error)
                if Fault::of(&error) == Fault::Away && is_coming(&error) && begin.elapsed() < PATIENCE =>
            {
                if !std::mem::replace(&mut told, true) {
                    let address = address.shown().display();
                    tracing::warn!(%address, %error, "the Redis does not answer yet; waiting for it");
                }
                std::thread::sleep(LOOK);
            }
            Err(source) => return Err(address.failed(source)),
        }
    }
}

/// Whether waiting helps: a wrong password stays wrong, and so does a certificate.
fn is_coming(error: &redis::RedisError) -> bool {
    error.kind() != redis::ErrorKind::AuthenticationFailed
        && !error.to_string().contains("certificate")
        && !matches!(error.code(), Some("NOAUTH" | "WRONGPASS"))
}

/// Compares what the meta key says with the two ends of the stream.
fn check(status: Status, first: &str, last: &str) -> Result<(), String> {
    let held = status.snapshot.unwrap_or_default();
    if status.first > held.next() || status.last < held || status.first > status.last.next() {
        return Err(format!(
            "events {} to {} are said to be there, and the snapshot ends with {held}",
            status.first, status.last
        ));
    }
    if status.first == status.last.next() && first.is_empty() {
        return Ok(());
    }
    let begins = row::parse_id(first).map(|(last, count)| last - count + 1);
    let ends = row::parse_id(last).map(|(last, _)| last);
    if begins == Some(status.first.0) && ends == Some(status.last.0) {
        return Ok(());
    }
    let found = |seq: Option<u64>| seq.map_or_else(|| "none".to_owned(), |seq| format!("event {seq}"));
    Err(format!(
        "it begins with {} and ends with {}, where {} to {} were written",
        found(begins),
        found(ends),
        status.first,
        status.last
    ))
}

fn holder() -> String {
    let host = rustix::system::uname();
    format!("process {} on {}", std::process::id(), host.nodename().to_string_lossy())
}

fn random_hex() -> std::io::Result<String> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(std::io::Error::other)?;
    Ok(format!("{:032x}", u128::from_be_bytes(bytes)))
}
