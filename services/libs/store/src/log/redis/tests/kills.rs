//! Redis is killed and started again while batches are written.

use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use conductor_core::Seq;

use super::Place;
use crate::conformance::redis_server::RedisServer;
use crate::log::trial::{append, batch, everything, payload, scratch};
use crate::log::{Appended, Batch, EventLog, PayloadKey, Payloads};

/// How often Redis is killed.
const KILLS: u32 = 6;

/// How long a batch may take, with all that happens to Redis.
const PATIENCE: Duration = Duration::from_secs(60);

/// The pause before a batch of unknown fate is sent again.
const PAUSE: Duration = Duration::from_millis(5);

/// Appends until it is durable, as the engine does.
fn append_whatever_happens(log: &dyn EventLog, batch: &Batch) {
    let begin = Instant::now();
    loop {
        match append(log, batch.clone()) {
            Appended::Durable => return,
            Appended::Unknown if begin.elapsed() < PATIENCE => std::thread::sleep(PAUSE),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn nothing_is_lost_and_nothing_is_there_twice_when_redis_is_killed_under_load() {
    let temp = scratch();
    let Some(mut server) = RedisServer::start(temp.path(), &[]) else { return };
    let place = Place::new(&server);
    let log = Arc::new(place.log());
    let (tell, told) = channel();
    let writing = std::thread::spawn({
        let log = Arc::clone(&log);
        move || {
            let mut written = 0;
            // It ends when nobody listens any more.
            while tell.send(written).is_ok() {
                let next = batch(&*log, 1 + written % 4, 300);
                written += next.events.len() as u64;
                append_whatever_happens(&*log, &next);
            }
            written
        }
    });
    for kill in 0..KILLS {
        let at_least = u64::from(kill + 1) * 150;
        assert!(told.iter().any(|written| written >= at_least), "batches are written between the kills");
        server.restart();
    }
    drop(told);
    let written = writing.join().unwrap();
    assert_eq!(log.status().last, Seq(written));
    drop(log);
    let log = place.log();
    assert_eq!(log.status().last, Seq(written));
    everything(&log, 0).unwrap();
    let keys: Vec<PayloadKey> = (1..=written).map(|seq| PayloadKey(seq.into())).collect();
    for (seq, found) in (1..).zip(log.payloads(&keys).unwrap()) {
        assert_eq!(found.as_ref(), Some(&payload(seq, 300).bytes), "payload {seq}");
    }
}

#[test]
fn a_batch_whose_answer_was_lost_is_applied_once() {
    let temp = scratch();
    let Some(mut server) = RedisServer::start(temp.path(), &[]) else { return };
    let place = Place::new(&server);
    let log = place.log();
    let next = batch(&log, 3, 10);
    assert!(matches!(append(&log, next.clone()), Appended::Durable));
    server.restart();
    // The same batch, as after an answer that never came, over a connection that has broken meanwhile.
    assert!(matches!(append(&log, next.clone()), Appended::Durable));
    assert_eq!(log.status().last, next.last_seq());
    assert!(matches!(append(&log, batch(&log, 1, 10)), Appended::Durable));
    everything(&log, 4).unwrap();
}
