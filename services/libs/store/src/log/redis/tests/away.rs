//! Redis is away, has no memory left, or is no server for a log.

use std::time::{Duration, Instant};

use super::{OpenError, Options, Place};
use crate::conformance::redis_server::RedisServer;
use crate::log::trial::{append, append_durably, batch, everything, scratch, write_snapshot};
use crate::log::{Appended, Batch, EventLog, Payloads};

use conductor_core::Seq;

#[test]
fn while_redis_is_away_batches_are_of_unknown_fate_and_those_behind_them_too() {
    let temp = scratch();
    let Some(mut server) = RedisServer::start(temp.path(), &[]) else { return };
    let place = Place::new(&server);
    let log = place.log();
    append_durably(&log, 2, 10);
    let first = batch(&log, 1, 10);
    let second = Batch { id: crate::log::BatchId(77), expected_seq: first.last_seq(), ..first.clone() };
    server.kill();
    for _ in 0..2 {
        assert!(matches!(append(&log, first.clone()), Appended::Unknown));
        let asked = Instant::now();
        assert!(matches!(append(&log, second.clone()), Appended::Unknown));
        assert!(asked.elapsed() < Duration::from_secs(1), "what builds on it is answered at once");
    }
    assert!(log.payloads(&[crate::log::PayloadKey(1)]).is_err());
    let space = log.space().unwrap();
    assert!(!space.is_reachable && space.reserve_held, "the last look counts");
    server.restart();
    assert!(matches!(append(&log, first), Appended::Durable));
    assert!(matches!(append(&log, second), Appended::Durable));
    assert!(log.space().unwrap().is_reachable);
    assert_eq!(log.status().last, Seq(4));
    everything(&log, 3).unwrap();
}

#[test]
fn without_memory_nothing_is_applied_and_with_it_the_same_batch_is() {
    let temp = scratch();
    let Some(server) = RedisServer::start(temp.path(), &[]) else { return };
    let place = Place::new(&server);
    let log = place.log();
    append_durably(&log, 2, 10);
    assert!(log.space().unwrap().reserve_held);
    assert_eq!(server.ask("CONFIG SET maxmemory 1mb"), "+OK");
    let next = batch(&log, 5, 1 << 20);
    let appended = append(&log, next.clone());
    assert!(matches!(appended, Appended::NoSpace), "{appended:?}");
    assert!(!log.space().unwrap().reserve_held, "submits are refused, so that what is left serves the rest");
    assert!(write_snapshot(&log, Seq(2), 10).is_err());
    assert_eq!(log.status().last, Seq(2));
    assert_eq!(server.ask("CONFIG SET maxmemory 0"), "+OK");
    assert!(matches!(append(&log, next), Appended::Durable));
    assert!(log.space().unwrap().reserve_held);
    everything(&log, 7).unwrap();
}

#[test]
fn a_server_that_evicts_is_refused() {
    let temp = scratch();
    let Some(server) = RedisServer::start(temp.path(), &[("maxmemory-policy", "allkeys-lru")]) else {
        return;
    };
    let error = Place::new(&server).try_open().unwrap_err();
    assert!(matches!(&error, OpenError::Unfit { why, .. } if why.contains("allkeys-lru")), "{error}");
}

#[test]
fn a_server_that_may_lose_something_is_refused_where_that_is_asked_for() {
    let temp = scratch();
    let Some(server) = RedisServer::start(temp.path(), &[("appendfsync", "everysec")]) else { return };
    let mut place = Place::new(&server);
    drop(place.log());
    place.options.require_fsync = true;
    let error = place.try_open().unwrap_err();
    assert!(
        matches!(&error, OpenError::Unfit { why, .. } if why.contains("appendfsync everysec")),
        "{error}"
    );
    assert_eq!(server.ask("CONFIG SET appendfsync always"), "+OK");
    drop(place.log());
}

#[test]
fn a_user_with_a_password_and_few_rights_is_enough() {
    let temp = scratch();
    let Some(server) = RedisServer::start(temp.path(), &[]) else { return };
    // As docs/redis.md says.
    let user = "ACL SETUSER conductor on >hidden ~{conductor}:* +@read +@write +@scripting +@connection +unwatch \
                +info +config|get";
    assert_eq!(server.ask(user), "+OK");
    let mut place = Place::called(&server, super::super::PREFIX);
    place.options = Options::new(server.url().replace("redis://", "redis://conductor:hidden@"));
    let log = place.log();
    append_durably(&log, 5, 10);
    write_snapshot(&log, Seq(3), 10).unwrap();
    assert_eq!(log.trim(Seq(3)).unwrap(), Seq(1), "the one batch is half held");
    everything(&log, 5).unwrap();
    assert!(log.space().unwrap().is_reachable);
    log.close();
    assert_eq!(server.ask("ACL LOG"), "*0", "nothing was asked that is not granted");
    // Those who host Redis for others refuse CONFIG.
    assert_eq!(server.ask("ACL SETUSER conductor -config|get"), "+OK");
    drop(place.log());
    place.options = Options::new(server.url().replace("redis://", "redis://conductor:wrong@"));
    let asked = Instant::now();
    let error = place.try_open().unwrap_err();
    assert!(matches!(error, OpenError::Redis { .. }), "{error}");
    assert!(asked.elapsed() < Duration::from_secs(5), "a wrong password is not waited for");
    assert!(!format!("{error:?} {error}").contains("wrong@"));
}
