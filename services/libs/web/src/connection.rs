//! One connection: its requests, and how long it is kept.

use std::any::Any;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use axum::response::{IntoResponse, Response};
use conductor_protocol::Code;
use conductor_runtime::lifecycle::Shutdown;
use futures_util::FutureExt as _;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;
use tower::ServiceExt as _;

use crate::body::{Keeping, paced};
use crate::client::Client;
use crate::limits::Limits;
use crate::patient::Patient;
use crate::refusal::Refusal;
use crate::site::Site;
use crate::{guard, headers};

/// What all connections of a listener share.
#[derive(Debug, Clone)]
pub(crate) struct Served {
    pub(crate) site: Site,
    pub(crate) router: Router,
    pub(crate) shutdown: Shutdown,
    pub(crate) local: SocketAddr,
    pub(crate) tls: bool,
}

/// Where a connection comes from, and what keeps it counted.
#[derive(Debug, Clone)]
pub(crate) struct Peer {
    pub(crate) address: SocketAddr,
    pub(crate) permit: Arc<OwnedSemaphorePermit>,
}

/// Runs HTTP/2's own tasks among those that a program ends with.
#[derive(Debug, Clone)]
struct Tracked(Shutdown);

impl<F> hyper::rt::Executor<F> for Tracked
where
    F: Future<Output: Send + 'static> + Send + 'static,
{
    fn execute(&self, future: F) {
        // A panic in one stream ends that stream alone.
        drop(self.0.spawn("http stream", AssertUnwindSafe(future).catch_unwind()));
    }
}

/// What a connection does at the moment.
#[derive(Debug)]
struct Activity {
    begun: AtomicBool,
    under_way: AtomicUsize,
    last: Mutex<Instant>,
}

/// Counts a request as under way until its answer is written.
struct UnderWay(Arc<Activity>);

impl UnderWay {
    fn begin(activity: &Arc<Activity>) -> Self {
        activity.begun.store(true, Ordering::Relaxed);
        activity.under_way.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(activity))
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        *self.0.last.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
        self.0.under_way.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Served {
    /// Serves a connection to its end. A panic in it ends it alone.
    pub(crate) async fn serve<S>(self, stream: S, peer: Peer)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let address = peer.address;
        if let Err(panic) = AssertUnwindSafe(self.converse(stream, peer)).catch_unwind().await {
            tracing::error!(%address, panic = message_of(&*panic), "a connection panicked");
        }
    }

    async fn converse<S>(self, stream: S, peer: Peer)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let limits = self.site.limits().clone();
        let now = Instant::now();
        let activity = Arc::new(Activity {
            begun: AtomicBool::new(false),
            under_way: AtomicUsize::new(0),
            last: Mutex::new(now),
        });
        let mut builder = auto::Builder::new(Tracked(self.shutdown.clone()));
        builder
            .http1()
            .timer(TokioTimer::new())
            .header_read_timeout(limits.idle_time)
            .max_headers(limits.headers)
            .max_buf_size(limits.header_bytes.max(8_192));
        builder
            .http2()
            .timer(TokioTimer::new())
            .max_header_list_size(u32::try_from(limits.header_bytes).unwrap_or(u32::MAX))
            .max_concurrent_streams(limits.streams)
            .keep_alive_interval(limits.idle_time)
            .keep_alive_timeout(limits.header_time);
        let (served, counted) = (self.clone(), Arc::clone(&activity));
        let answer = service_fn(move |request| {
            let under_way = UnderWay::begin(&counted);
            served.clone().answer(request, peer.clone(), under_way)
        });
        let io = TokioIo::new(Patient::new(stream, limits.write_pause));
        let mut connection = std::pin::pin!(builder.serve_connection_with_upgrades(io, answer));
        let mut ending = false;
        let mut next = now + limits.header_time.min(limits.idle_time);
        loop {
            tokio::select! {
                ended = connection.as_mut() => {
                    if let Err(error) = ended {
                        tracing::trace!(error, "a connection broke off");
                    }
                    return;
                }
                () = self.shutdown.killed() => return,
                () = self.shutdown.draining(), if !ending => {
                    ending = true;
                    connection.as_mut().graceful_shutdown();
                    next = Instant::now() + limits.end_time;
                }
                () = tokio::time::sleep_until(next) => match activity.look(&limits, now) {
                    Look::Keep(until) if !ending => next = until,
                    // What is on its way at this moment is still answered.
                    Look::Idle if !ending => {
                        ending = true;
                        connection.as_mut().graceful_shutdown();
                        next = Instant::now() + limits.end_time;
                    }
                    Look::Keep(_) | Look::Idle | Look::Silent => return,
                },
            }
        }
    }

    async fn answer(
        self,
        request: Request<Incoming>,
        peer: Peer,
        under_way: UnderWay,
    ) -> Result<Response<Body>, Infallible> {
        let began = Instant::now();
        let (mut parts, body) = request.into_parts();
        let trusted = &self.site.options().trusted_proxies;
        let mut client = Client::of(peer.address.ip(), self.tls, &parts.headers, trusted, peer.permit);
        let (method, path, address) = (parts.method.clone(), parts.uri.path().to_owned(), client.address);
        let mut response = match guard::check(&self.site, self.local, &mut parts, &mut client) {
            Err(problem) => Refusal(problem).into_response(),
            Ok(()) => {
                parts.extensions.insert(client);
                let body = paced(body, self.site.limits().body_pause);
                let routed = self.router.oneshot(Request::from_parts(parts, body));
                match AssertUnwindSafe(routed).catch_unwind().await {
                    Ok(Ok(response)) => response,
                    Ok(Err(never)) => match never {},
                    Err(panic) => {
                        tracing::error!(%method, path, panic = message_of(&*panic), "a handler panicked");
                        Refusal::new(Code::Internal, "this request met a bug; the server's logs say more")
                            .into_response()
                    }
                }
            }
        };
        headers::secure(&mut response);
        let (status, seconds) = (response.status().as_u16(), began.elapsed().as_secs_f64());
        tracing::debug!(%method, path, status, seconds, %address, "answered");
        Ok(response.map(|body| Body::new(Keeping::new(body, under_way))))
    }
}

/// What a connection looks like at a moment.
#[derive(Debug, Clone, Copy)]
enum Look {
    /// It is in use, or was a moment ago: look again then.
    Keep(Instant),
    /// It asks nothing any more.
    Idle,
    /// It never asked anything.
    Silent,
}

impl Activity {
    fn look(&self, limits: &Limits, opened: Instant) -> Look {
        let now = Instant::now();
        let until = match (self.begun.load(Ordering::Relaxed), self.under_way.load(Ordering::Relaxed)) {
            (false, _) => opened + limits.header_time,
            (true, 0) => *self.last.lock().unwrap_or_else(PoisonError::into_inner) + limits.idle_time,
            (true, _) => now + limits.idle_time,
        };
        match self.begun.load(Ordering::Relaxed) {
            _ if until > now => Look::Keep(until),
            true => Look::Idle,
            false => Look::Silent,
        }
    }
}

pub(crate) fn message_of(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("it gave no message")
}
