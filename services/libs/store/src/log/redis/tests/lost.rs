//! Redis comes back with less than it acknowledged, with nothing, or with something else.

use conductor_core::Seq;

use super::{OpenError, Place};
use crate::conformance::redis_server::RedisServer;
use crate::log::trial::{append, append_durably, batch, everything, scratch, write_snapshot};
use crate::log::{AppendError, Appended, EventLog};

/// A server that keeps what it was told to save, and nothing else.
const FORGETFUL: &[(&str, &str)] = &[("appendonly", "no")];

#[test]
fn a_redis_that_came_back_with_less_is_noticed_at_the_next_append_and_at_the_start() {
    let temp = scratch();
    let Some(mut server) = RedisServer::start(temp.path(), FORGETFUL) else { return };
    let place = Place::new(&server);
    let log = place.log();
    append_durably(&log, 3, 10);
    assert_eq!(server.ask("SAVE"), "+OK");
    append_durably(&log, 2, 10);
    server.restart();
    match append(&log, batch(&log, 1, 10)) {
        Appended::Failed(AppendError::Lost { last, acknowledged, .. }) => {
            assert_eq!((last, acknowledged), (Seq(3), Seq(5)));
        }
        other => panic!("{other:?}"),
    }
    assert!(matches!(append(&log, batch(&log, 1, 10)), Appended::Failed(_)), "nothing is taken any more");
    drop(log);
    for _ in 0..2 {
        let error = place.try_open().unwrap_err();
        assert!(matches!(error, OpenError::Lost { last: 3, acknowledged: 5, .. }), "{error}");
    }
}

#[test]
fn a_redis_that_came_back_empty_is_not_started_anew() {
    let temp = scratch();
    let Some(mut server) = RedisServer::start(temp.path(), FORGETFUL) else { return };
    let place = Place::new(&server);
    let log = place.log();
    append_durably(&log, 3, 10);
    server.restart();
    let appended = append(&log, batch(&log, 1, 10));
    assert!(
        matches!(appended, Appended::Failed(AppendError::Lost { last: Seq(0), acknowledged: Seq(3), .. })),
        "{appended:?}"
    );
    drop(log);
    let error = place.try_open().unwrap_err();
    assert!(matches!(error, OpenError::Missing { .. }), "{error}");
}

#[test]
fn a_state_directory_and_a_log_that_do_not_belong_together_are_refused() {
    let temp = scratch();
    let Some(server) = RedisServer::start(temp.path(), &[]) else { return };
    let (mut one, two) = (Place::new(&server), Place::new(&server));
    append_durably(&one.log(), 1, 10);
    append_durably(&two.log(), 1, 10);
    one.options.prefix.clone_from(&two.options.prefix);
    let error = one.try_open().unwrap_err();
    assert!(matches!(error, OpenError::Other { .. }), "{error}");
    // A history without its log is refused as well.
    let fresh = Place::new(&server);
    std::fs::write(fresh.dir.path().join(crate::history::sqlite::FILE), "").unwrap();
    let error = fresh.try_open().unwrap_err();
    assert!(matches!(error, OpenError::Missing { .. }), "{error}");
}

#[test]
fn keys_that_somebody_removed_or_changed_are_noticed() {
    let changes = [
        "DEL {p}:events",
        "XDEL {p}:events 6-2",
        "XDEL {p}:events 14-2",
        "HSET {p}:meta last 99",
        "HSET {p}:meta first 4",
        "DEL {p}:snapshot:1",
        "HSET {p}:snapshot:1 0 damaged",
        "DEL {p}:snapshot:0 {p}:snapshot:1",
        "HSET {p}:payloads 0123456789abcdef damaged",
        "HDEL {p}:meta first",
        "HSET {p}:meta format 2",
    ];
    let temp = scratch();
    let Some(server) = RedisServer::start(temp.path(), &[]) else { return };
    for change in changes {
        let place = Place::new(&server);
        let log = place.log();
        for _ in 0..10 {
            append_durably(&log, 2, 10);
        }
        write_snapshot(&log, Seq(4), 10).unwrap();
        log.close();
        let log = place.log();
        let before = everything(&log, 20).unwrap();
        assert_eq!(everything(&log, 20).unwrap(), before);
        log.close();
        let prefix = &place.options.prefix;
        let said = server.ask(&change.replace("{p}", prefix));
        assert!(said.starts_with(':'), "{change}: {said}");
        let noticed = match place.try_open() {
            Err(_) => true,
            Ok(log) => {
                let key = u128::from_be_bytes(*b"0123456789abcdef");
                let payloads = crate::log::Payloads::payloads(&log, &[crate::log::PayloadKey(key)]);
                everything(&log, 20).map(|_| ()).and(payloads.map(|_| ())).is_err()
            }
        };
        assert!(noticed, "{change}");
    }
}
