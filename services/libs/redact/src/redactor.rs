//! What is looked for, and finding it in something whole.

use std::borrow::Cow;
use std::fmt;

use aho_corasick::{AhoCorasick, MatchKind};

use crate::pattern::{Patterns, Unfit};
use crate::plain::{Places, places, plain};

/// What stands in the place of a secret.
pub const MARK: &str = "[redacted]";

/// Knows secrets, and keeps them out of what is whole; [`crate::Stream`] does so for what comes in pieces.
#[derive(Default)]
pub struct Redactor {
    known: Option<Known>,
}

pub(crate) struct Known {
    raw: Search,
    plain: Search,
    /// The longest of all that is looked for.
    longest: usize,
}

/// One automaton, and what it looks for, sorted.
struct Search {
    automaton: AhoCorasick,
    patterns: Vec<Vec<u8>>,
    longest: usize,
}

/// What is in some bytes.
pub(crate) struct Found {
    /// Where secrets are: raw ranges in order, none in another.
    pub ranges: Vec<(usize, usize)>,
    /// Where something begins that may be a secret when more comes, and how much of one is there at most.
    pub begun: Option<(usize, usize)>,
    /// Where an escape begins whose end is not there.
    pub cut: usize,
}

impl fmt::Debug for Redactor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Redactor").field("knows_secrets", &self.known.is_some()).finish()
    }
}

impl Redactor {
    /// Learns secrets; with none of them everything passes as it is.
    ///
    /// # Errors
    /// Says which of them cannot be kept out.
    pub fn new<'a>(secrets: impl IntoIterator<Item = &'a [u8]>) -> Result<Self, Unfit> {
        let secrets: Vec<&[u8]> = secrets.into_iter().collect();
        if secrets.is_empty() {
            return Ok(Self::default());
        }
        let Patterns { raw, plain } = Patterns::of(&secrets)?;
        let (raw, plain) = (Search::new(raw), Search::new(plain));
        let longest = raw.longest.max(plain.longest);
        Ok(Self { known: Some(Known { raw, plain, longest }) })
    }

    /// Tells whether it knows any secret.
    #[must_use]
    pub fn knows_secrets(&self) -> bool {
        self.known.is_some()
    }

    /// Gives bytes without secrets.
    #[must_use]
    pub fn bytes<'a>(&self, bytes: &'a [u8]) -> Cow<'a, [u8]> {
        let Some(known) = &self.known else { return Cow::Borrowed(bytes) };
        let ranges = known.ranges(bytes);
        if ranges.is_empty() {
            return Cow::Borrowed(bytes);
        }
        let mut kept = Vec::with_capacity(bytes.len());
        let mut at = 0;
        for (start, end) in ranges {
            kept.extend_from_slice(&bytes[at..start]);
            kept.extend_from_slice(MARK.as_bytes());
            at = end;
        }
        kept.extend_from_slice(&bytes[at..]);
        Cow::Owned(kept)
    }

    /// Gives a text without secrets.
    #[must_use]
    pub fn text<'a>(&self, text: &'a str) -> Cow<'a, str> {
        match self.bytes(text.as_bytes()) {
            Cow::Borrowed(_) => Cow::Borrowed(text),
            Cow::Owned(bytes) => Cow::Owned(String::from_utf8_lossy(&bytes).into_owned()),
        }
    }

    pub(crate) fn known(&self) -> Option<&Known> {
        self.known.as_ref()
    }
}

impl Search {
    fn new(patterns: Vec<Vec<u8>>) -> Self {
        let automaton = AhoCorasick::builder()
            .match_kind(MatchKind::Standard)
            .build(&patterns)
            .expect("the patterns are bounded");
        let longest = patterns.iter().map(Vec::len).max().unwrap_or(0);
        Self { automaton, patterns, longest }
    }

    fn ranges(&self, bytes: &[u8]) -> Vec<(usize, usize)> {
        // Most bytes hold nothing, which is told faster than where all is that they hold.
        let Some(first) = self.automaton.find(bytes) else { return Vec::new() };
        let from = first.end().saturating_sub(self.longest);
        let matches = self.automaton.find_overlapping_iter(&bytes[from..]);
        matches.map(|found| (from + found.start(), from + found.end())).collect()
    }

    /// Where the longest end of `bytes` begins with which something that is looked for begins too.
    fn begun(&self, bytes: &[u8]) -> Option<usize> {
        let from = bytes.len().saturating_sub(self.longest.saturating_sub(1));
        (from..bytes.len()).find(|at| {
            let end = &bytes[*at..];
            let place = self.patterns.partition_point(|pattern| pattern.as_slice() <= end);
            self.patterns.get(place).is_some_and(|pattern| pattern.starts_with(end))
        })
    }
}

impl Known {
    /// The most bytes that are kept back because something may come of them; more, as of a secret with a thousand spaces
    /// in it, is let go.
    pub fn most_kept(&self) -> usize {
        4 * self.longest + 1_024
    }

    fn ranges(&self, bytes: &[u8]) -> Vec<(usize, usize)> {
        let mut form = Vec::with_capacity(bytes.len());
        plain(bytes, &mut form);
        self.ranges_in(bytes, &form, &mut None)
    }

    fn ranges_in(&self, bytes: &[u8], form: &[u8], known: &mut Option<Places>) -> Vec<(usize, usize)> {
        let mut all = self.raw.ranges(bytes);
        for range in &mut all {
            widen(bytes, range);
        }
        let in_form = self.plain.ranges(form);
        if !in_form.is_empty() {
            let places = known.get_or_insert_with(|| places(bytes));
            all.extend(in_form.into_iter().map(|(start, end)| places.raw(start, end)));
        }
        joined(all)
    }

    /// Looks at bytes after which more may come.
    pub fn look(&self, bytes: &[u8], form: &mut Vec<u8>) -> Found {
        form.clear();
        let cut = plain(bytes, form);
        let mut known = None;
        let ranges = self.ranges_in(bytes, form, &mut known);
        let raw = self.raw.begun(bytes).map(|at| (at, bytes.len() - at));
        let plain = self.plain.begun(form).map(|at| {
            let places = known.get_or_insert_with(|| places(bytes));
            (places.raw(at, at + 1).0, form.len() - at)
        });
        let begun = match (raw, plain) {
            (Some(raw), Some(plain)) => Some((raw.0.min(plain.0), raw.1.max(plain.1))),
            (one, other) => one.or(other),
        };
        Found { ranges, begun, cut }
    }
}

/// Takes the backslashes beside a secret that begins or ends with one along: half an escape would spoil JSON.
fn widen(bytes: &[u8], (start, end): &mut (usize, usize)) {
    if bytes[*start] == b'\\' {
        *start -= bytes[..*start].iter().rev().take_while(|byte| **byte == b'\\').count();
    }
    if bytes[*end - 1] == b'\\' {
        *end += bytes[*end..].iter().take_while(|byte| **byte == b'\\').count();
    }
}

/// Makes one range of those that overlap.
fn joined(mut ranges: Vec<(usize, usize)>) -> Vec<(usize, usize)> {
    ranges.sort_unstable();
    let mut all: Vec<(usize, usize)> = Vec::with_capacity(ranges.len());
    for (start, end) in ranges {
        match all.last_mut() {
            Some(last) if start < last.1 => last.1 = last.1.max(end),
            _ => all.push((start, end)),
        }
    }
    all
}
