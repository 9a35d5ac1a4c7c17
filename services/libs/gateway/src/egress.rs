//! The proxy through which a run reaches other hosts.

mod head;
mod rules;

use std::io;
use std::net::{IpAddr, TcpListener};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use conductor_runtime::credentials::Secret;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::watch;

use head::{Head, Target};
pub use rules::{EgressRules, HostRule, NoRule};

use crate::places::{self, CONNECT_TIMEOUT};
use crate::thread::{Error, Gateways, Open};

/// The most connections of one run at the same time; more wait to be taken.
const MAX_CONNECTIONS: usize = 256;
/// How long a request's head may take.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);
/// How long nothing may pass, in either direction.
const SILENCE: Duration = Duration::from_secs(900);
/// How much is read at once.
const READ_BYTES: usize = 16 << 10;

/// A proxy on loopback. It serves one run after another, each with a token of its own; between them it serves nobody.
#[derive(Debug)]
pub struct Egress {
    open: Open,
    run: Current,
}

type Current = Arc<Mutex<Option<Arc<Run>>>>;

#[derive(Debug)]
struct Run {
    token: Secret,
    rules: EgressRules,
    /// Turns false with the run's end.
    goes_on: watch::Sender<bool>,
}

impl Gateways {
    /// Opens a proxy that serves nobody yet.
    ///
    /// # Errors
    /// When there is no port, or the thread of gateways is gone.
    pub fn egress(&self) -> Result<Egress, Error> {
        self.egress_on(None)
    }

    /// The same on a listener, which may be in another network than this process.
    ///
    /// # Errors
    /// When it cannot be listened on, or the thread of gateways is gone.
    pub fn egress_on(&self, listener: Option<TcpListener>) -> Result<Egress, Error> {
        let run = Current::default();
        let current = Arc::clone(&run);
        let open = self.open(listener, MAX_CONNECTIONS, move |stream| serve(stream, Arc::clone(&current)))?;
        Ok(Egress { open, run })
    }
}

impl Egress {
    /// Its port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.open.address().port()
    }

    /// The URL by which a run with this token uses it.
    #[must_use]
    pub fn url(&self, token: &Secret) -> String {
        format!("http://conductor:{}@{}", token.reveal(), self.open.address())
    }

    /// Serves a run from now on.
    pub fn begin(&self, token: Secret, rules: EgressRules) {
        let run = Arc::new(Run { token, rules, goes_on: watch::Sender::new(true) });
        self.change(Some(run));
    }

    /// Serves it no more: its connections end, and its token is good for nothing.
    pub fn end(&self) {
        self.change(None);
    }

    fn change(&self, run: Option<Arc<Run>>) {
        let before = std::mem::replace(&mut *self.run.lock().unwrap_or_else(PoisonError::into_inner), run);
        if let Some(before) = before {
            before.goes_on.send_replace(false);
        }
    }
}

async fn serve(mut stream: TcpStream, current: Current) {
    let Ok(Ok(Some(head))) = tokio::time::timeout(HEAD_TIMEOUT, Head::read(&mut stream)).await else {
        return;
    };
    let run = current.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let Some(run) = run.filter(|run| head.shows(&run.token)) else {
        let answer = "HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic realm=\"conductor\"\r\n\
                      Content-Length: 0\r\nConnection: close\r\n\r\n";
        // Who hangs up does not hear it.
        let _ = stream.write_all(answer.as_bytes()).await;
        return;
    };
    let mut goes_on = run.goes_on.subscribe();
    tokio::select! {
        () = pass(&mut stream, head, &run.rules) => {}
        _ = goes_on.wait_for(|goes_on| !goes_on) => {}
    }
}

async fn pass(stream: &mut TcpStream, head: Head, rules: &EgressRules) {
    let target = match head.target() {
        Ok(target) => target,
        Err(why) => return refuse(stream, "400 Bad Request", why).await,
    };
    let Target { host, port, .. } = &target;
    if !rules.allow(host, *port) {
        let why = format!("Conductor: {host}:{port} is not among the hosts that this run may reach");
        tracing::info!(%host, port, "a run asked for a host that it may not reach");
        return refuse(stream, "403 Forbidden", &why).await;
    }
    let connected = tokio::time::timeout(CONNECT_TIMEOUT, connect(host, *port, rules)).await;
    let mut other = match connected {
        Ok(Ok(other)) => other,
        Ok(Err(error)) if error.kind() == io::ErrorKind::PermissionDenied => {
            let why = format!("Conductor: {host} is on this machine or in a private network");
            return refuse(stream, "403 Forbidden", &why).await;
        }
        Ok(Err(error)) => {
            return refuse(stream, "502 Bad Gateway", &format!("Conductor: {host}: {error}")).await;
        }
        Err(_) => return refuse(stream, "504 Gateway Timeout", "Conductor: it does not answer").await,
    };
    // Where it fails the other side says so by hanging up.
    let begun = match head.onward(&target) {
        None => stream.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await,
        Some(request) => other.write_all(&request).await,
    };
    if begun.is_ok() && other.write_all(head.rest()).await.is_ok() {
        copy(stream, &mut other).await;
    }
}

/// Connects to an address that was checked; the name is resolved this once.
async fn connect(host: &str, port: u16, rules: &EgressRules) -> io::Result<TcpStream> {
    if let Some(proxy) = rules.proxy.as_ref().filter(|proxy| proxy.serves(host)) {
        // The proxy of the owner's network resolves the name. An address is held to the same rules here.
        return match host.parse::<IpAddr>() {
            Ok(at) if !conductor_outbound::may_reach(&rules.private, host, at) => Err(denied()),
            Ok(_) | Err(_) => proxy.connect(host, port).await,
        };
    }
    let found = places::resolve(host, port, &rules.private).await?;
    let found: Vec<_> = found.into_iter().filter(|at| !is_own(at.ip())).collect();
    if found.is_empty() {
        return Err(denied());
    }
    places::connect_any(&found).await
}

fn denied() -> io::Error {
    io::ErrorKind::PermissionDenied.into()
}

/// Whether an address is this machine's or its link's: no rule opens these.
fn is_own(at: IpAddr) -> bool {
    match at.to_canonical() {
        IpAddr::V4(at) => at.is_loopback() || at.is_link_local() || at.is_unspecified(),
        IpAddr::V6(at) => at.is_loopback() || at.is_unspecified() || at.is_unicast_link_local(),
    }
}

async fn refuse(stream: &mut TcpStream, status: &str, why: &str) {
    let length = why.len() + 1;
    let answer = format!(
        "HTTP/1.1 {status}\r\nContent-Type: text/plain\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{why}\n"
    );
    // Who hangs up does not hear it.
    let _ = stream.write_all(answer.as_bytes()).await;
}

/// Copies both ways until both are done, one breaks, or nothing passes for a long time.
pub(crate) async fn copy(one: &mut TcpStream, other: &mut TcpStream) {
    let (mut one_read, mut one_write) = one.split();
    let (mut other_read, mut other_write) = other.split();
    let (mut up, mut down) = (vec![0; READ_BYTES], vec![0; READ_BYTES]);
    let (mut up_ends, mut down_ends) = (false, false);
    while !(up_ends && down_ends) {
        let moved = tokio::select! {
            read = one_read.read(&mut up), if !up_ends => match read {
                Ok(0) => { up_ends = true; other_write.shutdown().await }
                Ok(count) => other_write.write_all(&up[..count]).await,
                Err(error) => Err(error),
            },
            read = other_read.read(&mut down), if !down_ends => match read {
                Ok(0) => { down_ends = true; one_write.shutdown().await }
                Ok(count) => one_write.write_all(&down[..count]).await,
                Err(error) => Err(error),
            },
            () = tokio::time::sleep(SILENCE) => return,
        };
        if moved.is_err() {
            return;
        }
    }
}
