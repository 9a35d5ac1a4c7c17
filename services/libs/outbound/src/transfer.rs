//! Large bodies, which come and go in pieces and are never in memory as a whole.

use std::fs::File;
use std::io::{self, Read as _};
use std::pin::Pin;
use std::task::{Context, Poll};

use http_body_util::{BodyExt as _, Full};
use hyper::body::{Body, Bytes, Frame, Incoming, SizeHint};
use hyper::{Method, Response};
use url::Url;

use super::send::{Answer, Head, Outbound, Refused, limited};

/// How much of a file is read at once.
const PIECE_BYTES: usize = 64 << 10;

/// Where something lies or goes, and the headers that go with it. They may hold a credential, so it has no Debug.
#[derive(Clone)]
#[expect(missing_debug_implementations, reason = "its headers may hold a credential")]
pub struct At {
    /// The address.
    pub url: Url,
    /// Further headers.
    pub headers: Vec<(String, String)>,
}

impl Outbound {
    /// Fetches something and gives each piece of it to `take`, where the answer is a success; answers the status.
    ///
    /// # Errors
    /// When there is no whole answer, or a piece is not taken.
    pub async fn fetch(&self, at: At, mut take: impl FnMut(&[u8]) -> io::Result<()>) -> Result<u16, Refused> {
        let At { url, headers } = at;
        let head = Head { method: Method::GET, content_type: None, headers };
        let fetched = async {
            let request = head.request(&url, Full::new(Bytes::new()))?;
            let read = |mut answer: Response<Incoming>| async move {
                let status = answer.status();
                while status.is_success()
                    && let Some(frame) = answer.body_mut().frame().await
                {
                    let frame = frame.map_err(|error| Refused::new(format!("it broke off: {error}")))?;
                    if let Some(piece) = frame.data_ref() {
                        take(piece).map_err(|error| Refused::hopeless(error.to_string()))?;
                    }
                }
                Ok(status.as_u16())
            };
            self.exchange(&url, request, read).await
        };
        self.in_time(fetched).await
    }

    /// Puts a file somewhere, as far as `bytes` of it, and gives the answer, whatever its status is.
    ///
    /// # Errors
    /// When there is no answer, or a longer one than is wanted.
    pub async fn put(
        &self,
        at: At,
        file: File,
        bytes: u64,
        max_answer_bytes: usize,
    ) -> Result<Answer, Refused> {
        let At { url, headers } = at;
        let head = Head { method: Method::PUT, content_type: None, headers };
        let put = async {
            let request = head.request(&url, Pieces { file, left: bytes })?;
            self.exchange(&url, request, |answer| limited(answer, max_answer_bytes)).await
        };
        self.in_time(put).await
    }
}

/// A file as the body of a request. A slot's thread reads it, which has nothing else to do meanwhile.
struct Pieces {
    file: File,
    left: u64,
}

impl Body for Pieces {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        if self.left == 0 {
            return Poll::Ready(None);
        }
        let mut piece = vec![0; PIECE_BYTES.min(usize::try_from(self.left).unwrap_or(PIECE_BYTES))];
        Poll::Ready(Some(match self.file.read(&mut piece) {
            Ok(0) => Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(count) => {
                piece.truncate(count);
                self.left -= count as u64;
                Ok(Frame::data(piece.into()))
            }
            Err(error) => Err(error),
        }))
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}
