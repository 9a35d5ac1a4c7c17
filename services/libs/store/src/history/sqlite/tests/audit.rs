//! Somebody writes into the audit behind History's back.

use conductor_core::{Event, EventKind, Seq, Wall};
use rusqlite::Connection;

use super::{TempPlace, open};
use crate::conformance;
use crate::history::sqlite::{FILE, SqliteHistory};
use crate::history::{AuditQuery, AuditStretch, History as _};
use crate::log::{LogId, Stretch};

const TASKS: u64 = 20;

/// A history whose audit has some records, and a connection to its file.
struct Case {
    history: SqliteHistory,
    file: Connection,
    seqs: Vec<u64>,
    place: TempPlace,
}

impl Case {
    fn new() -> Self {
        let place = TempPlace::new();
        let history = open(&place.dir).unwrap();
        let (events, kept) = conformance::lives(TASKS, 1);
        // One event at a time, so that submits are records of their own.
        for (first, event) in (1..).zip(events) {
            let stretch = Stretch { first: Seq(first), events: vec![event] };
            history.apply(LogId(1), &stretch, &kept).unwrap();
        }
        let records = history.audit(&AuditQuery::default()).unwrap().records;
        let seqs: Vec<u64> = records.iter().rev().map(|record| record.seq.0).collect();
        assert!(seqs.len() as u64 >= TASKS, "{seqs:?}");
        let file = Connection::open(place.dir.path().join(FILE)).unwrap();
        Self { history, file, seqs, place }
    }

    fn fault(&self) -> Option<u64> {
        let found = self.history.verify_audit(&AuditStretch::default()).unwrap();
        assert!(!found.more);
        found.fault.map(|fault| fault.seq.0)
    }

    fn write(&self, sql: &str) {
        assert!(self.file.execute(sql, []).unwrap() > 0, "{sql}");
    }
}

#[test]
fn an_audit_that_nobody_touched_is_as_it_was_written() {
    let case = Case::new();
    let found = case.history.verify_audit(&AuditStretch::default()).unwrap();
    assert_eq!((found.records, found.undigested, &found.fault), (case.seqs.len() as u64, 0, &None));
    assert_eq!(found.through.0, *case.seqs.last().unwrap());
    // In two calls the row ends with the same digest.
    let until = Some(Seq(case.seqs[7]));
    let half = case.history.verify_audit(&AuditStretch { until, ..AuditStretch::default() }).unwrap();
    assert_eq!((half.records, half.through.0), (8, case.seqs[7]));
    let rest = AuditStretch { after: half.through, digest: half.digest, until: None };
    let rest = case.history.verify_audit(&rest).unwrap();
    assert_eq!((rest.records + 8, rest.digest), (found.records, found.digest));
    // And it goes on after a start.
    let Case { history, place, .. } = case;
    history.close();
    drop(history);
    let again = open(&place.dir).unwrap().verify_audit(&AuditStretch::default()).unwrap();
    assert_eq!(again, found);
}

#[test]
fn a_record_that_was_changed_is_named() {
    let case = Case::new();
    let (seq, other) = (case.seqs[5], case.seqs[6]);
    // Its body is that of another record, with the checksum that belongs to it.
    case.write(&format!(
        "UPDATE audit SET (body, crc) = (SELECT body, crc FROM audit WHERE seq = {other}) WHERE seq = {seq}"
    ));
    assert_eq!(case.fault(), Some(seq));
}

#[test]
fn a_record_that_is_listed_under_another_name_is_named() {
    for column in ["actor = 'nobody'", "action = 'nothing'", "at = at + 1"] {
        let case = Case::new();
        case.write(&format!("UPDATE audit SET {column} WHERE seq = {}", case.seqs[4]));
        assert_eq!(case.fault(), Some(case.seqs[4]), "{column}");
    }
}

#[test]
fn a_record_that_was_taken_out_shows_at_the_next_and_the_last_one_at_the_end() {
    let case = Case::new();
    case.write(&format!("DELETE FROM audit WHERE seq = {}", case.seqs[3]));
    assert_eq!(case.fault(), Some(case.seqs[4]));

    let case = Case::new();
    let last = *case.seqs.last().unwrap();
    case.write(&format!("DELETE FROM audit WHERE seq = {last}"));
    assert_eq!(case.fault(), Some(last));

    let case = Case::new();
    case.write("DELETE FROM audit");
    assert_eq!(case.fault(), case.seqs.last().copied());
}

#[test]
fn a_record_that_was_put_in_is_named() {
    let case = Case::new();
    let (last, free) = (*case.seqs.last().unwrap(), case.seqs.last().unwrap() + 1_000);
    let columns = "at, actor, action, crc, body, digest";
    case.write(&format!(
        "INSERT INTO audit (seq, {columns}) SELECT {free}, {columns} FROM audit WHERE seq = {last}"
    ));
    assert_eq!(case.fault(), Some(free));
    // Without a digest it is not taken for one of an earlier build.
    case.write(&format!("UPDATE audit SET digest = NULL WHERE seq = {free}"));
    assert_eq!(case.fault(), Some(free));
}

#[test]
fn a_new_row_of_digests_shows_against_one_that_was_kept() {
    let case = Case::new();
    let kept = case.history.verify_audit(&AuditStretch::default()).unwrap();
    // All is written anew without one of the records.
    let mut records = case.history.audit(&AuditQuery::default()).unwrap().records;
    records.reverse();
    records.remove(2);
    case.write("DELETE FROM audit");
    case.write("DELETE FROM audit_head");
    crate::history::sqlite::audit::write(&case.file, &records).unwrap();
    let found = case.history.verify_audit(&AuditStretch::default()).unwrap();
    assert_eq!(found.fault, None);
    assert_eq!(found.through, kept.through);
    assert_ne!(found.digest, kept.digest);
}

#[test]
fn a_file_of_an_earlier_build_goes_on_with_digests() {
    let case = Case::new();
    let Case { history, file, seqs, place } = case;
    file.execute_batch("ALTER TABLE audit DROP COLUMN digest; DROP TABLE audit_head;").unwrap();
    drop(file);
    history.close();
    drop(history);
    let history = open(&place.dir).unwrap();
    let found = history.verify_audit(&AuditStretch::default()).unwrap();
    assert_eq!((found.records, found.undigested, found.fault), (0, seqs.len() as u64, None));
    let (_, kept) = conformance::lives(0, 1);
    let kind = EventKind::QueuePaused { paused: true, by: conformance::samples::actor() };
    let events = vec![Event { at: Wall(1), kind }];
    history.apply(LogId(1), &Stretch { first: history.applied().next(), events }, &kept).unwrap();
    let found = history.verify_audit(&AuditStretch::default()).unwrap();
    assert_eq!((found.records, found.undigested, found.fault), (1, seqs.len() as u64, None));
}
