//! Logs that are made from a state, as when one moves from another backend.

use conductor_core::{Part, Seq};

use super::{OPTIONS, open_in};
use crate::database::mark_path;
use crate::log::transfer::{Error, Image};
use crate::log::trial::{append_durably, everything, scratch, write_snapshot};
use crate::log::{EventLog, Fence, LogId, Payload, PayloadKey, Payloads, ReadError, sqlite};

/// Tasks whose payloads are moved.
const TASKS: u64 = 60;

#[test]
fn a_log_that_is_made_from_a_state_goes_on_under_its_id_and_numbers() {
    let (old, new) = (scratch(), scratch());
    let log = open_in(old.path(), &OPTIONS).unwrap();
    for _ in 0..10 {
        append_durably(&log, 3, 200);
    }
    let last = log.status().last;
    write_snapshot(&log, last, 50).unwrap();
    let told = everything(&log, TASKS).unwrap();
    let keys: Vec<PayloadKey> = (1..=TASKS).map(|task| PayloadKey(task.into())).collect();
    let make = || {
        let parts: Vec<Part> = log.load().unwrap().snapshot.unwrap().1.map(Result::unwrap).collect();
        let found = log.payloads(&keys).unwrap();
        let payloads = keys.iter().zip(found).filter_map(|(key, bytes)| Some((*key, bytes?)));
        let mut payloads = payloads.map(|(key, bytes)| Ok::<_, ReadError>(Payload { key, bytes }));
        let image = Image { log: LogId(9), fence: Fence(4), seq: last };
        sqlite::make(new.path(), image, &mut parts.into_iter(), &mut payloads)
    };
    let counts = make().unwrap();
    assert!(counts.payloads > 0 && counts.parts > 1, "{counts:?}");
    assert!(matches!(make(), Err(Error::Taken(_))), "what is there is not replaced");
    assert!(mark_path(&new.path().join(sqlite::FILE)).exists());
    let made = open_in(new.path(), &OPTIONS).unwrap();
    let status = made.status();
    assert_eq!((status.log, status.first, status.last), (LogId(9), last.next(), last));
    assert!(made.fence() > Fence(4));
    // All but the events, which only the history has from here on.
    let kept = everything(&made, TASKS).unwrap();
    assert!(kept.iter().all(|line| told.contains(line)), "{kept:?}\n{told:?}");
    append_durably(&made, 3, 200);
    assert_eq!(made.status().last, Seq(last.0 + 3));
}

#[test]
fn a_log_whose_making_failed_is_not_there() {
    let new = scratch();
    let image = Image { log: LogId(9), fence: Fence(1), seq: Seq(1) };
    let none = sqlite::make(new.path(), image, &mut std::iter::empty(), &mut std::iter::empty());
    assert!(matches!(none, Err(Error::Shape(_))), "{none:?}");
    let unread = || std::iter::once(Err(ReadError::Closed));
    let old = scratch();
    let log = open_in(old.path(), &OPTIONS).unwrap();
    append_durably(&log, 1, 10);
    write_snapshot(&log, Seq(1), 1).unwrap();
    let mut parts = log.load().unwrap().snapshot.unwrap().1.map(Result::unwrap);
    let failed = sqlite::make(new.path(), image, &mut parts, &mut unread());
    assert!(matches!(failed, Err(Error::Read(_))), "{failed:?}");
    assert!(!new.path().join(sqlite::FILE).exists());
}
