//! Processes that are killed while they write.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::mpsc::sync_channel;

use conductor_core::{Seq, Wall};

use super::{append_durably, batch, everything, payload, write_snapshot};
use crate::conformance::samples;
use crate::log::{Appended, BatchId, EventLog, PayloadKey};

/// How often a child is killed.
const KILLS: usize = 8;

/// The test that the killed process runs, and what it is told.
#[derive(Debug)]
pub(in crate::log) struct Writing<'a> {
    pub(in crate::log) test: &'a str,
    pub(in crate::log) environment: &'a [(&'a str, &'a OsStr)],
}

/// What the killed process does: it appends, two batches at a time, and says what was acknowledged.
pub(in crate::log) fn write_until_killed(open: impl Fn() -> Box<dyn EventLog>) {
    let mut log = open();
    let (permit, permits) = sync_channel(2);
    for _ in 0..2 {
        permit.send(()).unwrap();
    }
    let mut next = batch(&*log, 0, 0);
    for round in 1.. {
        permits.recv().unwrap();
        let first = next.expected_seq.0 + 1;
        let count = 1 + round % 5;
        let seqs = first..first + count;
        let mut batch = next.clone();
        batch.id = BatchId(first.into());
        batch.events = seqs.clone().map(|seq| samples::submitted(seq.into(), Wall(7))).collect();
        batch.payloads = seqs.map(|seq| payload(seq, 300)).collect();
        next.expected_seq = batch.last_seq();
        let (last, permit) = (batch.last_seq(), permit.clone());
        let done = move |appended| {
            assert!(matches!(appended, Appended::Durable), "{appended:?}");
            // One write each, so that a line is whole or not there.
            std::io::stdout().write_all(format!("acknowledged {last}\n").as_bytes()).unwrap();
            let _ = permit.send(());
        };
        log.append(Arc::new(batch), Box::new(done));
        // Now and then a snapshot and a trim are under way when the end comes.
        if round % 40 == 0 {
            let seq = log.status().last;
            write_snapshot(&*log, seq, 2_000).unwrap();
            log.trim(Seq(seq.0 / 2)).unwrap();
        }
        // Or it is being closed, or opened.
        if round % 7 == 0 {
            log.close();
            drop(log);
            log = open();
            next.fence = log.fence();
        }
    }
}

/// Kills it again and again, and looks at what it left.
pub(in crate::log) fn kill_and_check(writing: &Writing<'_>, open: impl Fn() -> Box<dyn EventLog>) {
    let mut acknowledged = 0;
    for kill in 0..KILLS {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", writing.test, "--nocapture"])
            .envs(writing.environment.iter().copied())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut number = |line: std::io::Result<String>| {
            let line = line.unwrap();
            let number = line.rsplit_once("acknowledged ")?.1.parse::<u64>().ok()?;
            acknowledged = acknowledged.max(number);
            Some(number)
        };
        // The moment of the kill differs: at once, in the midst of things, during snapshots.
        let enough = 1 + kill * 37;
        assert_eq!(lines.by_ref().filter_map(&mut number).take(enough).count(), enough, "the child writes");
        child.kill().unwrap();
        lines.filter_map(&mut number).for_each(drop);
        child.wait().unwrap();

        let log = open();
        let last = log.status().last.0;
        assert!(last >= acknowledged, "{acknowledged} was acknowledged, but the log ends with {last}");
        everything(&*log, 0).unwrap();
        let keys: Vec<PayloadKey> = (1..=last).map(|seq| PayloadKey(seq.into())).collect();
        for (seq, found) in (1..).zip(log.payloads(&keys).unwrap()) {
            assert_eq!(found.as_ref(), Some(&payload(seq, 300).bytes), "payload {seq} of {last}");
        }
        append_durably(&*log, 1, 300);
        acknowledged = log.status().last.0;
        // Half of the times the next child finds what a clean end leaves.
        if kill % 2 == 0 {
            log.close();
        }
    }
}
