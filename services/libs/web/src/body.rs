//! Bodies that are bounded in size and in the time they may take.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use axum::extract::{FromRef, FromRequest, Request};
use axum::http::header;
use bytes::{Bytes, BytesMut};
use conductor_protocol::{Code, Problem};
use futures_util::StreamExt as _;
use hyper::body::{Body as _, Frame, SizeHint};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Sleep;

use crate::refusal::Refusal;
use crate::site::Site;

/// A body that was read as a whole, at most `api.max_body_bytes`.
#[derive(Debug, Clone)]
pub struct Whole(pub Bytes);

impl<S> FromRequest<S> for Whole
where
    Site: FromRef<S>,
    S: Send + Sync,
{
    type Rejection = Refusal;

    async fn from_request(request: Request, state: &S) -> Result<Self, Refusal> {
        let site = Site::from_ref(state);
        let most = u64::try_from(site.limits().body_bytes).unwrap_or(u64::MAX);
        let mut body = Streamed::below(request, most)?;
        let read = async {
            let mut first = body.next().await?.unwrap_or_default();
            let Some(second) = body.next().await? else { return Ok(first) };
            let mut room = Room { of_all: site.reading(), held: None };
            room.take(second.len())?;
            let mut whole = BytesMut::with_capacity(first.len() + second.len());
            whole.extend_from_slice(&std::mem::take(&mut first));
            whole.extend_from_slice(&second);
            while let Some(more) = body.next().await? {
                room.take(more.len())?;
                whole.extend_from_slice(&more);
            }
            Ok(whole.freeze())
        };
        match tokio::time::timeout(site.limits().body_time, read).await {
            Ok(whole) => whole.map(Self),
            Err(_) => Err(slow(site.limits().body_time)),
        }
    }
}

/// What one body holds of the room for all.
struct Room {
    of_all: Arc<Semaphore>,
    held: Option<OwnedSemaphorePermit>,
}

impl Room {
    fn take(&mut self, bytes: usize) -> Result<(), Refusal> {
        let kib = u32::try_from(bytes.div_ceil(1 << 10)).unwrap_or(u32::MAX);
        let more = Arc::clone(&self.of_all).try_acquire_many_owned(kib).map_err(|_| {
            let detail = "there are too many large requests at the moment";
            Refusal(Problem::new(Code::Unavailable, detail).retry_after(1))
        })?;
        match &mut self.held {
            Some(held) => held.merge(more),
            held @ None => *held = Some(more),
        }
        Ok(())
    }
}

/// A body that is read piece by piece, at most `api.max_upload_bytes` of it.
#[derive(Debug)]
pub struct Streamed {
    body: axum::body::BodyDataStream,
    left: u64,
    most: u64,
}

impl<S> FromRequest<S> for Streamed
where
    Site: FromRef<S>,
    S: Send + Sync,
{
    type Rejection = Refusal;

    async fn from_request(request: Request, state: &S) -> Result<Self, Refusal> {
        Self::below(request, Site::from_ref(state).limits().upload_bytes)
    }
}

impl Streamed {
    fn below(request: Request, most: u64) -> Result<Self, Refusal> {
        let said = request.headers().get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok());
        if said.and_then(|said| said.parse::<u64>().ok()).is_some_and(|said| said > most) {
            return Err(large(most));
        }
        Ok(Self { body: request.into_body().into_data_stream(), left: most, most })
    }

    /// Waits for the next piece; nothing at the end.
    ///
    /// # Errors
    /// `payload_too_large` beyond the limit; `invalid_request` when the body breaks off or stands still.
    pub async fn next(&mut self) -> Result<Option<Bytes>, Refusal> {
        let Some(piece) = self.body.next().await else { return Ok(None) };
        let piece = piece.map_err(|error| match stalled(&error) {
            Some(pause) => slow(pause),
            None => Refusal::new(Code::InvalidRequest, "the body broke off"),
        })?;
        let length = u64::try_from(piece.len()).unwrap_or(u64::MAX);
        self.left = self.left.checked_sub(length).ok_or_else(|| large(self.most))?;
        Ok(Some(piece))
    }
}

fn large(most: u64) -> Refusal {
    Refusal(Problem::new(Code::PayloadTooLarge, format!("the body has more than {most} bytes")))
}

fn slow(limit: Duration) -> Refusal {
    let detail = format!("the body did not come within {} s", limit.as_secs_f32());
    Refusal(Problem::new(Code::InvalidRequest, detail))
}

/// A body stood still for too long.
#[derive(Debug, thiserror::Error)]
#[error("the body stood still for {} s", .0.as_secs_f32())]
struct Stalled(Duration);

fn stalled(error: &axum::Error) -> Option<Duration> {
    let mut error: Option<&dyn std::error::Error> = Some(error);
    while let Some(found) = error {
        if let Some(Stalled(pause)) = found.downcast_ref() {
            return Some(*pause);
        }
        error = found.source();
    }
    None
}

/// A request's body that breaks off when it stands still.
#[derive(Debug)]
struct Paced {
    inner: hyper::body::Incoming,
    pause: Duration,
    /// When it has stood still for too long; none while it does not stand still.
    deadline: Option<Pin<Box<Sleep>>>,
}

/// Bounds how long a body may stand still.
pub(crate) fn paced(inner: hyper::body::Incoming, pause: Duration) -> Body {
    match inner.is_end_stream() {
        true => Body::empty(),
        false => Body::new(Paced { inner, pause, deadline: None }),
    }
}

impl hyper::body::Body for Paced {
    type Data = Bytes;
    type Error = Box<dyn std::error::Error + Send + Sync>;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        match Pin::new(&mut self.inner).poll_frame(cx) {
            Poll::Ready(frame) => {
                self.deadline = None;
                Poll::Ready(frame.map(|frame| frame.map_err(Into::into)))
            }
            Poll::Pending => {
                let pause = self.pause;
                let deadline = self.deadline.get_or_insert_with(|| Box::pin(tokio::time::sleep(pause)));
                match deadline.as_mut().poll(cx) {
                    Poll::Ready(()) => Poll::Ready(Some(Err(Box::new(Stalled(pause))))),
                    Poll::Pending => Poll::Pending,
                }
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// A response's body that keeps something until it is over.
pub(crate) struct Keeping<T> {
    inner: Body,
    kept: Option<T>,
}

impl<T> Keeping<T> {
    pub(crate) fn new(inner: Body, kept: T) -> Self {
        Self { inner, kept: Some(kept) }
    }
}

impl<T: Unpin> hyper::body::Body for Keeping<T> {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let frame = Pin::new(&mut self.inner).poll_frame(cx);
        if matches!(frame, Poll::Ready(None | Some(Err(_)))) {
            self.kept = None;
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
