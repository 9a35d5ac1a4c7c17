//! Keeping secrets out of what comes in pieces.

use std::borrow::Cow;
use std::sync::Arc;

use crate::redactor::{MARK, Redactor};

/// From so many characters of a secret on, what has begun is held back until it is known what it becomes. With fewer it
/// passes at once, so that a reader never waits for the end of an ordinary line; what follows is then still kept out.
const HOLD_FROM: usize = 4;

/// Keeps secrets out of one stream of bytes. At most what is left of the longest secret is held back.
#[derive(Debug)]
pub struct Stream {
    redactor: Arc<Redactor>,
    /// The last bytes, from where something begins that may become a secret.
    kept: Vec<u8>,
    /// How many of them have passed already.
    passed: usize,
    /// The plain form of what is looked at; kept so that its memory is.
    form: Vec<u8>,
}

impl Stream {
    /// A stream of which nothing has come.
    #[must_use]
    pub fn new(redactor: Arc<Redactor>) -> Self {
        Self { redactor, kept: Vec::new(), passed: 0, form: Vec::new() }
    }

    /// Takes the next bytes and gives what can pass.
    pub fn push<'a>(&mut self, bytes: &'a [u8]) -> Cow<'a, [u8]> {
        self.take(bytes, false)
    }

    /// Gives what was held back, when nothing more comes. The stream can be used again.
    pub fn finish(&mut self) -> Vec<u8> {
        self.take(&[], true).into_owned()
    }

    fn take<'a>(&mut self, bytes: &'a [u8], is_end: bool) -> Cow<'a, [u8]> {
        let Some(known) = self.redactor.known() else { return Cow::Borrowed(bytes) };
        let passed = self.passed;
        let had = !self.kept.is_empty();
        let all: Cow<'a, [u8]> = if had {
            let mut all = std::mem::take(&mut self.kept);
            all.extend_from_slice(bytes);
            Cow::Owned(all)
        } else {
            Cow::Borrowed(bytes)
        };
        let found = known.look(&all, &mut self.form);
        let length = all.len();
        let (mut holds, mut keeps) = match found.begun {
            _ if is_end => (length, length),
            Some((at, count)) if count >= HOLD_FROM => (at, at),
            Some((at, _)) => (length, at),
            None => (length, length),
        };
        keeps = if is_end { length } else { keeps.min(found.cut) };
        if length - keeps > known.most_kept() {
            (holds, keeps) = (length, length);
        }
        let mut until = holds.max(passed);
        let mut out = Vec::new();
        let mut at = passed;
        for (start, end) in found.ranges {
            if end <= passed || start >= until {
                continue;
            }
            out.extend_from_slice(&all[at..start.max(at)]);
            out.extend_from_slice(MARK.as_bytes());
            at = end;
            // What has begun within a secret goes with it.
            until = until.max(end);
        }
        if !had && out.is_empty() && at == 0 {
            // Nothing was kept and nothing is found: what passes is what came.
            let Cow::Borrowed(bytes) = all else { unreachable!("nothing was kept") };
            self.keep(bytes, keeps.min(until), until);
            return Cow::Borrowed(&bytes[..until]);
        }
        out.extend_from_slice(&all[at..until]);
        self.keep(&all, keeps.min(until), until);
        Cow::Owned(out)
    }

    fn keep(&mut self, all: &[u8], from: usize, passed: usize) {
        self.kept.clear();
        self.kept.extend_from_slice(&all[from..]);
        self.passed = passed - from;
    }
}
