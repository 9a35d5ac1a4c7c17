//! `migrate`: moves the event log to another storage, while no orchestrator runs, and compares both before the old one is
//! put out of use.

use std::fs;
use std::sync::Arc;

use conductor_core::{Part, State};
use conductor_protocol::{Code, Problem};
use conductor_store::history::{self, History, Query};
use conductor_store::log::transfer::{Counts, Image};
use conductor_store::log::{EventLog, Payload, PayloadKey, Read, ReadError, redis, sqlite};
use conductor_store::state_dir::{LockError, StateDir};

use crate::args::{self, EventLogPlace};
use crate::context::Context;
use crate::exit::{Exit, Failure, chain};
use crate::server;

/// Events that the history takes in together.
const MAX_STRETCH: usize = 20_000;
/// Payloads that are read together.
const MAX_TOGETHER: usize = 128;

/// `migrate`
pub fn run(context: &mut Context<'_>, args: &args::Migrate) -> Result<Exit, Failure> {
    server::refuse_far()?;
    let state = context.loaded.home.state.clone();
    let redis = redis_options(context)?;
    let trace = match args.to {
        EventLogPlace::Redis => state.join(sqlite::FILE),
        EventLogPlace::Sqlite => state.join(redis::MARK_FILE),
    };
    if !trace.exists() {
        return Err(Failure::Failed(format!("there is nothing to move: {} is not there", trace.display())));
    }
    let dir = Arc::new(lock(&state)?);
    let from = match args.to {
        EventLogPlace::Redis => open_file(&dir)?,
        EventLogPlace::Sqlite => redis::open(&dir, &redis).map_err(failed)?,
    };
    context.screen.progress("letting the history catch up");
    let keys = payload_keys(&dir, &*from)?;
    context.screen.progress("moving the state");
    let loaded = conductor_orchestrator::load(&*from).map_err(failed)?;
    let image = Image { log: from.status().log, fence: from.fence(), seq: from.status().last };
    let schedules = loaded.schedules().map(|schedule| PayloadKey::from(schedule.id));
    let keys: Vec<PayloadKey> = keys.into_iter().chain(schedules).collect();
    let counts = make(args.to, &dir, &redis, image, &loaded, &keys, &*from)?;
    context.screen.progress("comparing both");
    let made = match args.to {
        EventLogPlace::Redis => redis::open(&dir, &redis).map_err(failed)?,
        EventLogPlace::Sqlite => open_file(&dir)?,
    };
    let same = compare(&loaded, &keys, &*from, &*made);
    made.close();
    from.close();
    same?;
    retire(args.to, &dir, &redis)?;
    context.screen.clear_progress();
    let Counts { parts, payloads, payload_bytes } = counts;
    let tasks = loaded.len();
    if context.screen.is_json() {
        context.screen.json(&serde_json::json!({
            "to": args.to.word(), "seq": image.seq.0, "live_tasks": tasks, "parts": parts, "payloads": payloads,
            "payload_bytes": payload_bytes,
        }))?;
    } else {
        let word = args.to.word();
        context.screen.line(format!(
            "moved everything up to event {}: {tasks} live tasks, {payloads} bodies; both were compared and are the same",
            image.seq
        ))?;
        context.screen.note(format!("now set storage.event_log: {word}, and start the orchestrator"));
    }
    Ok(Exit::Succeeded)
}

/// A failure with all that led to it.
pub fn failed(error: impl std::error::Error) -> Failure {
    Failure::Failed(chain(&error))
}

fn lock(state: &std::path::Path) -> Result<StateDir, Failure> {
    StateDir::lock(state).map_err(|error| match error {
        LockError::Held { .. } => {
            Failure::Refused(Problem::new(Code::Conflict, format!("{}; end it first", chain(&error))))
        }
        LockError::Io { .. } => failed(error),
    })
}

/// Where the Redis is.
pub fn redis_options(context: &Context<'_>) -> Result<redis::Options, Failure> {
    let config = &context.loaded.config.redis;
    let Some(url) = &config.url else {
        return Err(Failure::Usage("redis.url is not set; it says where the Redis is".to_owned()));
    };
    Ok(redis::Options { require_fsync: config.require_fsync, ..redis::Options::new(url.reveal()) })
}

/// Opens the file without setting room aside.
pub fn open_file(dir: &Arc<StateDir>) -> Result<Arc<dyn EventLog>, Failure> {
    let options = sqlite::Options { reserve_bytes: 0, free_floor_bytes: 0 };
    Ok(Arc::new(sqlite::open(dir, &options).map_err(failed)?))
}

/// Lets the history take in all of the log, since a new log begins after it, and lists whose bodies there may be.
fn payload_keys(dir: &Arc<StateDir>, log: &dyn EventLog) -> Result<Vec<PayloadKey>, Failure> {
    let history = history::sqlite::open(dir).map_err(failed)?;
    let status = log.status();
    while history.applied() < status.last {
        match log.read_after(history.applied(), MAX_STRETCH).map_err(failed)? {
            Read::Events(stretch) if !stretch.events.is_empty() => {
                history.apply(status.log, &stretch, log).map_err(failed)?;
            }
            Read::Events(_) | Read::Trimmed { .. } => {
                return Err(Failure::Failed(format!(
                    "the history ends with event {}, and the event log does not have what follows",
                    history.applied()
                )));
            }
        }
    }
    history.sync().map_err(failed)?;
    let keys = listed(&history)?;
    history.close();
    Ok(keys)
}

/// The keys of all tasks that a history knows.
pub fn listed(history: &dyn History) -> Result<Vec<PayloadKey>, Failure> {
    let mut keys = Vec::new();
    let mut query = Query { limit: history::MAX_PAGE, ..Query::default() };
    loop {
        let page = history.list(&query).map_err(failed)?;
        keys.extend(page.tasks.iter().map(|record| PayloadKey::from(record.task.id)));
        match page.next {
            Some(cursor) => query.cursor = Some(cursor),
            None => return Ok(keys),
        }
    }
}

fn make(
    to: EventLogPlace,
    dir: &StateDir,
    redis: &redis::Options,
    image: Image,
    state: &State,
    keys: &[PayloadKey],
    from: &dyn EventLog,
) -> Result<Counts, Failure> {
    let mut parts = state.parts();
    let mut payloads = payloads(keys, from);
    let made = match to {
        EventLogPlace::Redis => redis::make(redis, image, &mut parts, &mut payloads),
        EventLogPlace::Sqlite => sqlite::make(dir.path(), image, &mut parts, &mut payloads),
    };
    made.map_err(failed)
}

/// Reads the payloads that are there, one after the other.
pub fn payloads<'a>(
    keys: &'a [PayloadKey],
    from: &'a dyn EventLog,
) -> impl Iterator<Item = Result<Payload, ReadError>> + Send + 'a {
    keys.chunks(MAX_TOGETHER).flat_map(|keys| read(keys, from))
}

fn read(keys: &[PayloadKey], from: &dyn EventLog) -> Vec<Result<Payload, ReadError>> {
    match from.payloads(keys) {
        Ok(found) => {
            let each = keys.iter().zip(found);
            each.filter_map(|(key, bytes)| Some(Ok(Payload { key: *key, bytes: bytes? }))).collect()
        }
        Err(error) => vec![Err(error)],
    }
}

/// Compares what both hold, part by part and body by body.
fn compare(
    state: &State,
    keys: &[PayloadKey],
    from: &dyn EventLog,
    made: &dyn EventLog,
) -> Result<(), Failure> {
    let differ = |what: &str| {
        Failure::Failed(format!(
            "{what} of the new event log is not what was moved; the old one stays in use"
        ))
    };
    if (made.status().log, made.status().last) != (from.status().log, from.status().last) {
        return Err(differ("the end"));
    }
    let again = conductor_orchestrator::load(made).map_err(failed)?;
    let sorted = |state: &State| {
        let mut parts: Vec<Part> = state.parts().collect();
        parts.sort_by_cached_key(|part| format!("{part:?}"));
        parts
    };
    if again.len() != state.len() || sorted(&again) != sorted(state) {
        return Err(differ("the state"));
    }
    for keys in keys.chunks(MAX_TOGETHER) {
        if from.payloads(keys).map_err(failed)? != made.payloads(keys).map_err(failed)? {
            return Err(differ("a body"));
        }
    }
    Ok(())
}

/// Puts the old log out of use: nothing starts with it any more.
fn retire(to: EventLogPlace, dir: &StateDir, redis: &redis::Options) -> Result<(), Failure> {
    match to {
        EventLogPlace::Redis => {
            let file = dir.path().join(sqlite::FILE);
            fs::rename(&file, file.with_extension("db.moved"))?;
            for suffix in ["-mark", "-wal", "-shm"] {
                // Not all of them are there.
                drop(fs::remove_file(dir.path().join(format!("{}{suffix}", sqlite::FILE))));
            }
        }
        EventLogPlace::Sqlite => {
            redis::retire(redis).map_err(failed)?;
            fs::remove_file(dir.path().join(redis::MARK_FILE))?;
        }
    }
    Ok(())
}
