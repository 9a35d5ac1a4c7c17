//! Logs that move from the one backend to the other and back.

use conductor_core::Part;

use super::Place;
use crate::conformance::redis_server::RedisServer;
use crate::log::redis::{OpenError, make, retire};
use crate::log::transfer::{Counts, Error, Image};
use crate::log::trial::{append_durably, everything, scratch, write_snapshot};
use crate::log::{EventLog, Payload, PayloadKey, ReadError, sqlite};

/// Tasks whose payloads are moved.
const TASKS: u64 = 1_500;

/// Hands over what a log holds.
fn hand_over<T>(
    from: &dyn EventLog,
    to: impl FnOnce(
        Image,
        &mut (dyn Iterator<Item = Part> + Send),
        &mut (dyn Iterator<Item = Result<Payload, ReadError>> + Send),
    ) -> Result<T, Error>,
) -> Result<T, Error> {
    let status = from.status();
    let mut parts = from.load().unwrap().snapshot.unwrap().1.map(Result::unwrap);
    let keys: Vec<PayloadKey> = (1..=TASKS).map(|task| PayloadKey(task.into())).collect();
    let found = from.payloads(&keys).unwrap();
    let payloads = keys.iter().zip(found).filter_map(|(key, bytes)| Some((*key, bytes?)));
    let mut payloads = payloads.map(|(key, bytes)| Ok(Payload { key, bytes }));
    to(Image { log: status.log, fence: from.fence(), seq: status.last }, &mut parts, &mut payloads)
}

/// What a log holds beside its events.
fn state(log: &dyn EventLog) -> Vec<String> {
    let told = everything(log, TASKS).unwrap();
    told.into_iter().filter(|line| !line.contains("TaskSubmitted")).collect()
}

#[test]
fn a_log_moves_from_a_file_to_redis_and_back_under_its_id() {
    let temp = scratch();
    let Some(server) = RedisServer::start(temp.path(), &[]) else { return };
    let (file, redis, again) = (Place::new(&server), Place::new(&server), Place::new(&server));
    let options = sqlite::Options { reserve_bytes: 1 << 20, free_floor_bytes: 0 };
    let log = sqlite::open(&file.dir, &options).unwrap();
    append_durably(&log, 1_000, 2_000);
    append_durably(&log, 10, 100);
    let last = log.status().last;
    write_snapshot(&log, last, 50).unwrap();
    let made: Counts =
        hand_over(&log, |image, parts, payloads| make(&redis.options, image, parts, payloads)).unwrap();
    assert_eq!(made.payloads, 1_010);
    let taken = hand_over(&log, |image, parts, payloads| make(&redis.options, image, parts, payloads));
    assert!(matches!(taken, Err(Error::Taken(_))), "{taken:?}");

    let moved = redis.log();
    assert_eq!((moved.status().log, moved.status().last), (log.status().log, last));
    assert!(moved.fence() > log.fence());
    assert_eq!(state(&moved), state(&log));
    append_durably(&moved, 3, 100);
    let last = moved.status().last;
    write_snapshot(&moved, last, 60).unwrap();
    hand_over(&moved, |image, parts, payloads| sqlite::make(again.dir.path(), image, parts, payloads))
        .unwrap();
    let back = sqlite::open(&again.dir, &options).unwrap();
    assert_eq!((back.status().log, back.status().last), (log.status().log, last));
    assert_eq!(state(&back), state(&moved));

    moved.close();
    retire(&redis.options).unwrap();
    let refused = redis.try_open().unwrap_err();
    assert!(matches!(refused, OpenError::Format { .. }), "{refused}");
    // One may come back.
    hand_over(&log, |image, parts, payloads| make(&redis.options, image, parts, payloads)).unwrap();
}
