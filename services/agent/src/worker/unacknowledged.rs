//! The results that are in the outbox and not acknowledged.

use std::collections::BTreeMap;

use conductor_core::Lease;

use crate::outbox::Entry;

/// How many results may wait for their acknowledgement, and about how many bytes of them, before no further tasks are
/// asked for.
const MAX_RESULTS: usize = 1_000;
const MAX_BYTES: usize = 64 << 20;

/// The results that are in the outbox and not acknowledged.
#[derive(Debug, Default)]
pub(super) struct Unacknowledged {
    entries: BTreeMap<Lease, Entry>,
    bytes: usize,
}

impl Unacknowledged {
    pub fn insert(&mut self, entry: Entry) {
        self.bytes += weight(&entry);
        if let Some(before) = self.entries.insert(entry.lease, entry) {
            self.bytes -= weight(&before);
        }
    }

    /// Takes a result out; false when it was not in.
    pub fn remove(&mut self, lease: Lease) -> bool {
        let Some(entry) = self.entries.remove(&lease) else { return false };
        self.bytes -= weight(&entry);
        true
    }

    pub fn get(&self, lease: Lease) -> Option<&Entry> {
        self.entries.get(&lease)
    }

    pub fn contains(&self, lease: Lease) -> bool {
        self.entries.contains_key(&lease)
    }

    pub fn leases(&self) -> impl Iterator<Item = Lease> {
        self.entries.keys().copied()
    }

    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Whether there are as many as may be.
    pub fn is_full(&self) -> bool {
        self.entries.len() >= MAX_RESULTS || self.bytes >= MAX_BYTES
    }
}

/// About how long a result is as JSON.
pub(super) fn weight(entry: &Entry) -> usize {
    let result = entry.result.as_ref();
    let summary = result.and_then(|result| result.summary.as_ref()).map_or(0, String::len);
    let files = result.map_or(0, |result| result.files.iter().map(|file| file.path.len() + 128).sum());
    512 + summary + files
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use conductor_core::Incarnation;
    use conductor_protocol::agent::{End, Finished};
    use conductor_protocol::task::Resultant;

    use super::*;

    fn entry(number: u64, summary: usize) -> Entry {
        let result = Resultant { summary: Some("s".repeat(summary)), ..Resultant::default() };
        Arc::new(Finished {
            lease: Lease { incarnation: Incarnation(1), number },
            end: End::Succeeded,
            exit_code: None,
            simulated: false,
            usage: None,
            result: Some(result),
            lane: None,
            told: 0,
        })
    }

    #[test]
    fn many_small_or_a_few_large_results_are_enough() {
        let mut small = Unacknowledged::default();
        (0..999).for_each(|number| small.insert(entry(number, 0)));
        assert!(!small.is_full());
        small.insert(entry(999, 0));
        assert!(small.is_full());
        let mut large = Unacknowledged::default();
        (0..4).for_each(|number| large.insert(entry(number, 16 << 20)));
        assert!(large.is_full());
        large.insert(entry(0, 0));
        assert!(!large.is_full(), "what takes another's place counts alone");
        for number in 0..4 {
            assert!(large.remove(entry(number, 0).lease));
        }
        assert!(large.is_empty() && large.bytes == 0 && !large.remove(entry(0, 0).lease));
    }
}
