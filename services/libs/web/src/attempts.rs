//! Failed attempts to be let in, counted so that guessing is slow.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, PoisonError};

/// How long failures count.
const WINDOW_MS: u64 = 60_000;
/// How many times as many failures one address may have in all as with secrets that begin alike.
const BEGINNINGS: u32 = 10;
/// How many characters of a secret make it alike.
const PREFIX_CHARS: usize = 8;
/// The most entries of each table.
const MAX_ENTRIES: usize = 4_096;

/// Failed attempts by address, and by address and the beginning of what was tried.
#[derive(Debug)]
pub(crate) struct Attempts {
    /// The most failures of one address with secrets that begin alike.
    most_alike: u32,
    tables: Mutex<Tables>,
}

#[derive(Debug, Default)]
struct Tables {
    alike: HashMap<(String, IpAddr), Count>,
    addresses: HashMap<IpAddr, Count>,
}

#[derive(Debug, Clone, Copy)]
struct Count {
    since_ms: u64,
    failures: u32,
}

impl Attempts {
    /// Counts from nothing, and holds up after so many failures that are alike.
    pub(crate) fn new(most_alike: u32) -> Self {
        Self { most_alike, tables: Mutex::default() }
    }

    /// How many seconds to wait before this may be tried; nothing when it may be now. What was good before is held up
    /// only by failures with the same beginning.
    pub(crate) fn wait(&self, secret: &str, address: IpAddr, was_good: bool, now_ms: u64) -> Option<u64> {
        let address = network(address);
        let tables = self.tables.lock().unwrap_or_else(PoisonError::into_inner);
        let alike = left(tables.alike.get(&(prefix(secret), address)), self.most_alike, now_ms);
        let of_address = match was_good {
            true => None,
            false => left(tables.addresses.get(&address), self.most_alike.saturating_mul(BEGINNINGS), now_ms),
        };
        alike.max(of_address)
    }

    /// Counts a failure.
    pub(crate) fn failed(&self, secret: &str, address: IpAddr, now_ms: u64) {
        let address = network(address);
        let mut tables = self.tables.lock().unwrap_or_else(PoisonError::into_inner);
        count(&mut tables.alike, (prefix(secret), address), now_ms);
        count(&mut tables.addresses, address, now_ms);
    }
}

/// One host often has a whole /64 of IPv6 addresses.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() >> 64 << 64)),
        address @ IpAddr::V4(_) => address,
    }
}

fn prefix(secret: &str) -> String {
    secret.chars().take(PREFIX_CHARS).collect()
}

fn left(count: Option<&Count>, most: u32, now_ms: u64) -> Option<u64> {
    let count = count.filter(|count| count.failures >= most)?;
    let left_ms = (count.since_ms + WINDOW_MS).saturating_sub(now_ms);
    (left_ms > 0).then(|| left_ms.div_ceil(1_000))
}

fn count<K: Eq + Hash + Clone>(table: &mut HashMap<K, Count>, key: K, now_ms: u64) {
    let is_live = |count: &Count| now_ms.saturating_sub(count.since_ms) < WINDOW_MS;
    if table.len() >= MAX_ENTRIES && !table.contains_key(&key) {
        table.retain(|_, count| is_live(count));
        if table.len() >= MAX_ENTRIES
            && let Some(least) =
                table.iter().min_by_key(|(_, count)| count.failures).map(|(key, _)| key.clone())
        {
            table.remove(&least);
        }
    }
    let entry = table.entry(key).or_insert(Count { since_ms: now_ms, failures: 0 });
    if !is_live(entry) {
        *entry = Count { since_ms: now_ms, failures: 0 };
    }
    entry.failures = entry.failures.saturating_add(1);
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "cdr_0123456789";

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn ten_failures_with_one_beginning_close_it_for_the_rest_of_the_minute() {
        let attempts = Attempts::new(10);
        let here = address("192.0.2.1");
        for n in 0..10 {
            assert_eq!(attempts.wait(SECRET, here, true, n), None);
            attempts.failed(SECRET, here, n);
        }
        assert_eq!(attempts.wait(SECRET, here, true, 30_000), Some(30));
        assert_eq!(attempts.wait("cdr_0123 other end", here, true, 30_000), Some(30));
        assert_eq!(attempts.wait("cdr_9", here, false, 30_000), None, "another beginning");
        assert_eq!(attempts.wait(SECRET, address("192.0.2.2"), false, 30_000), None, "another address");
        assert_eq!(attempts.wait(SECRET, here, false, 60_000), None, "the minute is over");
    }

    #[test]
    fn an_address_that_guesses_widely_is_closed_but_not_to_who_was_let_in_before() {
        let attempts = Attempts::new(10);
        let here = address("2001:db8::1");
        for n in 0..100 {
            attempts.failed(&format!("{n:08}"), here, 0);
        }
        assert_eq!(attempts.wait("somebody", address("2001:db8::2"), false, 0), Some(60), "the same /64");
        assert_eq!(attempts.wait("somebody", here, true, 0), None);
    }

    #[test]
    fn the_tables_are_bounded_and_keep_who_failed_most() {
        let attempts = Attempts::new(10);
        let here = address("192.0.2.1");
        for _ in 0..10 {
            attempts.failed(SECRET, here, 0);
        }
        for n in 0..2 * MAX_ENTRIES {
            let address = IpAddr::V4(std::net::Ipv4Addr::from_bits(u32::try_from(n).unwrap()));
            attempts.failed("x", address, 0);
        }
        let tables = attempts.tables.lock().unwrap();
        assert!(tables.alike.len() <= MAX_ENTRIES && tables.addresses.len() <= MAX_ENTRIES);
        drop(tables);
        assert!(attempts.wait(SECRET, here, true, 0).is_some());
    }
}
