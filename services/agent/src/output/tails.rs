//! The outputs that are being sent: how much of each was read, sent and taken.

use std::collections::{BTreeMap, VecDeque};
use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::time::Duration;

use conductor_core::Lease;
use conductor_protocol::frame::OutputFrame;
use conductor_protocol::limits::MAX_OUTPUT_FRAME_BYTES;
use tokio::time::Instant;

use super::{Order, Source};

/// All outputs that are being sent on the connection.
#[derive(Debug, Default)]
pub(super) struct Tails {
    tails: BTreeMap<Lease, Tail>,
    /// Whose turn was last.
    last: Option<Lease>,
    /// How many bytes may still be sent.
    credit: u64,
    /// What was sent and not yet taken, in order.
    under_way: VecDeque<(Lease, u64)>,
    /// Bytes granted that do not make up the first one under way.
    granted: u64,
}

#[derive(Debug)]
struct Tail {
    source: Source,
    file: Option<File>,
    sent: u64,
    taken: u64,
    /// Its whole length, once that is known.
    end: Option<u64>,
    /// When the frame that marks its end was sent.
    end_sent: Option<Instant>,
}

impl Tails {
    pub fn is_empty(&self) -> bool {
        self.tails.is_empty()
    }

    pub fn order(&mut self, order: Order) {
        match order {
            Order::Follow(source) => {
                let tail = Tail { source, file: None, sent: 0, taken: 0, end: None, end_sent: None };
                self.tails.insert(tail.source.lease, tail);
            }
            Order::Finish { lease, bytes } => {
                if let Some(tail) = self.tails.get_mut(&lease) {
                    tail.end = Some(bytes);
                }
            }
            Order::Forget(lease) => {
                self.tails.remove(&lease);
            }
        }
    }

    /// Begins a connection: what was not taken on the one before is sent again.
    pub fn begin(&mut self, grant: u64) {
        self.credit = grant;
        self.under_way.clear();
        self.granted = 0;
        for tail in self.tails.values_mut() {
            tail.sent = tail.taken;
            tail.end_sent = None;
        }
    }

    /// Takes a grant: as many bytes were taken, in the order in which they were sent.
    pub fn grant(&mut self, bytes: u64) {
        self.credit += bytes;
        self.granted += bytes;
        while let Some((lease, sent)) = self.under_way.front().copied() {
            if self.granted < sent {
                break;
            }
            self.granted -= sent;
            self.under_way.pop_front();
            if let Some(tail) = self.tails.get_mut(&lease) {
                tail.taken += sent;
            }
        }
    }

    /// The next part to send, as the grant and the outputs have it; every output in its turn.
    pub fn next_frame(&mut self) -> Option<Vec<u8>> {
        let after = self.last.map_or(0, |last| self.tails.keys().filter(|lease| **lease <= last).count());
        let turns: Vec<Lease> = self.tails.keys().copied().collect();
        let (before, next) = turns.split_at(after.min(turns.len()));
        for lease in next.iter().chain(before) {
            let tail = self.tails.get_mut(lease)?;
            if let Some(bytes) = tail.read(self.credit) {
                let offset = tail.sent;
                let count = u64::try_from(bytes.len()).expect("a part of an output is short");
                tail.sent += count;
                self.credit -= count;
                self.under_way.push_back((*lease, count));
                self.last = Some(*lease);
                return Some(tail.frame(offset, &bytes));
            }
            if tail.end == Some(tail.sent) && tail.end > Some(tail.taken) && tail.end_sent.is_none() {
                tail.end_sent = Some(Instant::now());
                return Some(tail.frame(tail.sent, &[]));
            }
        }
        None
    }

    /// Takes out the outputs of which all was taken, or of which nobody says so.
    pub fn finished(&mut self, now: Instant, patience: Duration) -> Vec<Lease> {
        let finished = |tail: &Tail| {
            let impatient = tail.end_sent.is_some_and(|sent| sent + patience <= now);
            tail.end.is_some_and(|end| tail.taken >= end) || impatient
        };
        self.tails.extract_if(.., |_, tail| finished(tail)).map(|(lease, _)| lease).collect()
    }
}

impl Tail {
    /// The next bytes, at most as many as may be sent; none when there are none.
    fn read(&mut self, credit: u64) -> Option<Vec<u8>> {
        let length = self.end.unwrap_or_else(|| self.source.progress.borrow().output_bytes);
        let most = u64::try_from(MAX_OUTPUT_FRAME_BYTES).expect("a frame is short");
        let count = length.saturating_sub(self.sent).min(credit).min(most);
        if count == 0 {
            return None;
        }
        if self.file.is_none() {
            self.file = File::open(&self.source.path).ok();
        }
        let mut bytes = vec![0; usize::try_from(count).expect("a frame is short")];
        let read = self.file.as_ref().map(|file| file.read_at(&mut bytes, self.sent));
        match read {
            Some(Ok(read)) if read > 0 => {
                bytes.truncate(read);
                Some(bytes)
            }
            // The file is shorter than was said, or gone: there is no more to send.
            Some(Ok(_)) | Some(Err(_)) | None => {
                self.end = self.end.map(|_| self.sent);
                None
            }
        }
    }

    fn frame(&self, offset: u64, bytes: &[u8]) -> Vec<u8> {
        OutputFrame { lease: self.source.lease, attempt: self.source.attempt, offset, bytes }.encode()
    }
}

#[cfg(test)]
mod tests {
    use conductor_core::Incarnation;
    use tempfile::TempDir;
    use tokio::sync::watch;

    use super::*;
    use crate::runner::Progress;

    fn lease(number: u64) -> Lease {
        Lease { incarnation: Incarnation(1), number }
    }

    fn follow(folder: &TempDir, number: u64, content: &[u8]) -> (Order, watch::Sender<Progress>) {
        let path = folder.path().join(number.to_string());
        std::fs::write(&path, content).unwrap();
        let output_bytes = content.len() as u64;
        let (sender, progress) = watch::channel(Progress { output_bytes, ..Progress::default() });
        (Order::Follow(Source { lease: lease(number), attempt: 2, path, progress }), sender)
    }

    /// Sends until nothing more may be sent.
    fn sent(tails: &mut Tails) -> Vec<(u64, u64, Vec<u8>)> {
        std::iter::from_fn(|| tails.next_frame())
            .map(|frame| {
                let frame = OutputFrame::decode(&frame).unwrap();
                assert_eq!(frame.attempt, 2);
                (frame.lease.number, frame.offset, frame.bytes.to_vec())
            })
            .collect()
    }

    fn finished(tails: &mut Tails) -> Vec<u64> {
        tails
            .finished(Instant::now(), Duration::from_secs(60))
            .into_iter()
            .map(|lease| lease.number)
            .collect()
    }

    #[test]
    fn no_more_is_sent_than_was_granted_and_what_was_not_taken_is_sent_again() {
        let folder = tempfile::tempdir().unwrap();
        let mut tails = Tails::default();
        let (order, _progress) = follow(&folder, 1, b"0123456789");
        tails.order(order);
        tails.begin(4);
        assert_eq!(sent(&mut tails), [(1, 0, b"0123".to_vec())]);
        tails.grant(4);
        assert_eq!(sent(&mut tails), [(1, 4, b"4567".to_vec())]);
        tails.begin(100);
        assert_eq!(sent(&mut tails), [(1, 4, b"456789".to_vec())]);
        tails.order(Order::Finish { lease: lease(1), bytes: 10 });
        assert_eq!(sent(&mut tails), [(1, 10, Vec::new())], "the end is marked once");
        assert!(sent(&mut tails).is_empty() && finished(&mut tails).is_empty());
        tails.grant(6);
        assert_eq!(finished(&mut tails), [1]);
        assert!(tails.is_empty());
    }

    #[test]
    fn a_long_output_does_not_hold_up_a_short_one() {
        let folder = tempfile::tempdir().unwrap();
        let mut tails = Tails::default();
        let (long, _long) = follow(&folder, 1, &vec![b'x'; 3 * MAX_OUTPUT_FRAME_BYTES]);
        let (short, _short) = follow(&folder, 2, b"short");
        tails.order(long);
        tails.order(short);
        tails.begin(1 << 20);
        let turns: Vec<u64> = sent(&mut tails).into_iter().map(|(lease, ..)| lease).collect();
        assert_eq!(turns, [1, 2, 1, 1]);
    }

    #[test]
    fn an_output_that_is_gone_or_empty_holds_up_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let mut tails = Tails::default();
        let (gone, _gone) = follow(&folder, 1, b"gone");
        let (empty, _empty) = follow(&folder, 2, b"");
        std::fs::remove_file(folder.path().join("1")).unwrap();
        tails.order(gone);
        tails.order(empty);
        tails.begin(100);
        tails.order(Order::Finish { lease: lease(1), bytes: 4 });
        tails.order(Order::Finish { lease: lease(2), bytes: 0 });
        assert!(sent(&mut tails).is_empty());
        assert_eq!(finished(&mut tails), [1, 2]);
    }

    #[test]
    fn an_orchestrator_that_never_says_it_took_the_end_is_not_waited_for_forever() {
        let folder = tempfile::tempdir().unwrap();
        let mut tails = Tails::default();
        let (order, _progress) = follow(&folder, 1, b"0123");
        tails.order(order);
        tails.begin(100);
        tails.order(Order::Finish { lease: lease(1), bytes: 4 });
        assert_eq!(sent(&mut tails).len(), 2);
        let now = Instant::now();
        assert!(tails.finished(now, Duration::from_secs(5)).is_empty());
        assert_eq!(tails.finished(now + Duration::from_secs(6), Duration::from_secs(5)), [lease(1)]);
    }
}
