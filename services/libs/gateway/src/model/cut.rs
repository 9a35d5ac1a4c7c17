//! An answer on its way: it passes as it comes, is counted, and is ended where a limit is passed.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf as _, Bytes};
use hyper::body::{Body, Frame, Incoming, SizeHint};
use tokio::time::{Instant, Sleep};

use super::Wire;
use super::meter::{Answered, Exceeded, Meter};
use super::service::refusal;
use super::usage::Reader;

/// The longest event that is read; of a longer one only its length counts.
const MAX_EVENT_BYTES: usize = 4 << 20;
/// How long a model may say nothing in the middle of an answer.
const SILENCE: Duration = Duration::from_secs(600);

/// What breaks an answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum Broken {
    #[error(transparent)]
    Upstream(#[from] hyper::Error),
    #[error("the model said nothing for a long time")]
    Silent,
}

/// An answer on its way.
pub(super) struct Passing {
    body: Incoming,
    wire: Wire,
    /// Whether it comes in events, between which it can be ended.
    is_stream: bool,
    meter: Arc<Meter>,
    reader: Reader,
    counted: Answered,
    /// The event, or the whole answer, that has not come to its end.
    held: Vec<u8>,
    /// Whether it is too long to be read.
    is_skipped: bool,
    /// Whether the last byte that came ended a line.
    ended_line: bool,
    is_over: bool,
    silent: Pin<Box<Sleep>>,
}

impl Passing {
    pub fn new(body: Incoming, wire: Wire, is_stream: bool, meter: Arc<Meter>) -> Self {
        Self {
            body,
            wire,
            is_stream,
            meter,
            reader: Reader::default(),
            counted: Answered::default(),
            held: Vec::new(),
            is_skipped: false,
            ended_line: false,
            is_over: false,
            silent: Box::pin(tokio::time::sleep(SILENCE)),
        }
    }

    /// Looks at bytes that pass; gives where they are to be cut, and why.
    fn look(&mut self, bytes: &[u8]) -> Option<(usize, Exceeded)> {
        if !self.is_stream {
            self.hold(bytes);
            return None;
        }
        let mut from = 0;
        for (at, byte) in bytes.iter().enumerate() {
            match byte {
                // An empty line ends an event.
                b'\n' if self.ended_line => {
                    self.hold(&bytes[from..=at]);
                    from = at + 1;
                    if let Some(exceeded) = self.event() {
                        return Some((from, exceeded));
                    }
                }
                b'\n' => self.ended_line = true,
                b'\r' => {}
                _ => self.ended_line = false,
            }
        }
        self.hold(&bytes[from..]);
        None
    }

    fn hold(&mut self, bytes: &[u8]) {
        if self.is_skipped {
            return self.reader.skip(bytes.len());
        }
        if self.held.len() + bytes.len() > MAX_EVENT_BYTES {
            self.is_skipped = true;
            let length = self.held.len() + bytes.len();
            self.held = Vec::new();
            return self.reader.skip(length);
        }
        self.held.extend_from_slice(bytes);
    }

    /// Reads the event that is at its end.
    fn event(&mut self) -> Option<Exceeded> {
        let held = std::mem::take(&mut self.held);
        if !std::mem::take(&mut self.is_skipped) {
            let data = held.split(|byte| *byte == b'\n').filter_map(|line| line.strip_prefix(b"data:"));
            for data in data {
                if let Ok(event) = serde_json::from_slice(data) {
                    self.reader.event(self.wire, &event);
                }
            }
        }
        // Its memory serves the next one.
        self.held = held;
        self.held.clear();
        self.count()
    }

    fn count(&mut self) -> Option<Exceeded> {
        let now = self.reader.answered();
        if *now == self.counted {
            return self.meter.exceeded();
        }
        let exceeded = self.meter.count(&self.counted, now);
        self.counted.clone_from(now);
        exceeded
    }

    /// Counts what came last; nothing more comes.
    fn finish(&mut self) {
        if std::mem::replace(&mut self.is_over, true) {
            return;
        }
        if self.is_stream {
            self.event();
        } else {
            if let Ok(whole) = serde_json::from_slice(&self.held) {
                self.reader.event(self.wire, &whole);
            }
            self.held = Vec::new();
            self.count();
        }
    }
}

impl Drop for Passing {
    fn drop(&mut self) {
        self.finish();
    }
}

impl Body for Passing {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        let this = &mut *self;
        if this.is_over {
            return Poll::Ready(None);
        }
        let frame = match Pin::new(&mut this.body).poll_frame(context) {
            Poll::Pending => {
                ready!(this.silent.as_mut().poll(context));
                this.finish();
                return Poll::Ready(Some(Err(Broken::Silent)));
            }
            Poll::Ready(frame) => frame,
        };
        this.silent.as_mut().reset(Instant::now() + SILENCE);
        let frame = match frame {
            None => {
                this.finish();
                return Poll::Ready(None);
            }
            Some(Err(error)) => {
                this.finish();
                return Poll::Ready(Some(Err(error.into())));
            }
            Some(Ok(frame)) => frame,
        };
        let mut data = match frame.into_data() {
            Ok(data) => data,
            // Trailers say nothing that anybody reads.
            Err(trailers) => return Poll::Ready(Some(Ok(trailers))),
        };
        let Some((at, exceeded)) = this.look(&data) else {
            return Poll::Ready(Some(Ok(Frame::data(data))));
        };
        this.is_over = true;
        let last = refusal::event(this.wire, &exceeded.to_string());
        let kept = data.copy_to_bytes(at);
        Poll::Ready(Some(Ok(Frame::data([&kept[..], last.as_bytes()].concat().into()))))
    }

    fn is_end_stream(&self) -> bool {
        self.is_over
    }

    fn size_hint(&self) -> SizeHint {
        // A stream may be cut, so its length is not known.
        if self.is_stream { SizeHint::default() } else { self.body.size_hint() }
    }
}
