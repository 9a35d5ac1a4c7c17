//! Listening: connections are counted, and those beyond are told so.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use conductor_runtime::lifecycle::Shutdown;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::connection::{Peer, Served};
use crate::listener::Listener;
use crate::site::Site;

/// The pause after the system could not accept a connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// How long the writing of a refusal may take.
const REFUSAL_TIME: Duration = Duration::from_secs(1);
/// What a connection beyond the limit is told.
const FULL: &str = concat!(
    "HTTP/1.1 503 Service Unavailable\r\n",
    "content-type: application/problem+json\r\n",
    "content-length: 199\r\n",
    "retry-after: 1\r\n",
    "connection: close\r\n",
    "\r\n",
    "{\"type\":\"urn:conductor:problem:unavailable\",\"title\":\"This is not available\",\"status\":503,",
    "\"detail\":\"there are too many connections at the moment; api.max_connections bounds them\",",
    "\"code\":\"unavailable\"}",
);

/// Serves a router until the program drains, and then until its connections have ended.
pub async fn serve(listener: Listener, site: Site, router: Router, shutdown: Shutdown) {
    let limits = site.limits().clone();
    let open = Arc::new(Semaphore::new(limits.connections));
    let refusals = Arc::new(Semaphore::new(limits.refusals));
    let served = Served {
        site,
        router,
        shutdown: shutdown.clone(),
        local: listener.address(),
        tls: listener.certificate.is_some(),
    };
    loop {
        let accepted = tokio::select! {
            () = shutdown.draining() => return,
            accepted = listener.inner.accept() => accepted,
        };
        let (stream, address) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        match Arc::clone(&open).try_acquire_owned() {
            Ok(permit) => accept(&listener, &served, stream, address, permit),
            Err(_) => {
                let Ok(permit) = Arc::clone(&refusals).try_acquire_owned() else { continue };
                if listener.certificate.is_none() {
                    shutdown.spawn("http refusal", refuse(stream, permit));
                }
            }
        }
    }
}

fn accept(
    listener: &Listener,
    served: &Served,
    stream: TcpStream,
    address: SocketAddr,
    permit: OwnedSemaphorePermit,
) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "a connection broke off at once");
        return;
    }
    let (served, shutdown) = (served.clone(), served.shutdown.clone());
    let peer = Peer { address, permit: Arc::new(permit) };
    let Some(certificate) = &listener.certificate else {
        shutdown.spawn("http connection", served.serve(stream, peer));
        return;
    };
    let (handshake, time) = (certificate.acceptor().accept(stream), served.site.limits().header_time);
    shutdown.spawn("https connection", async move {
        match tokio::time::timeout(time, handshake).await {
            Ok(Ok(stream)) => served.serve(stream, peer).await,
            Ok(Err(error)) => tracing::debug!(%error, %address, "no TLS"),
            Err(_) => tracing::debug!(%address, "the TLS handshake took too long"),
        }
    });
}

async fn refuse(mut stream: TcpStream, _permit: OwnedSemaphorePermit) {
    let write = async {
        stream.write_all(FULL.as_bytes()).await?;
        stream.shutdown().await
    };
    // Who is not there any more needs no refusal.
    let _told = tokio::time::timeout(REFUSAL_TIME, write).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_refusal_says_its_own_length() {
        let (head, body) = FULL.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(&format!("content-length: {}\r\n", body.len())), "{}", body.len());
        serde_json::from_str::<serde_json::Value>(body).unwrap();
    }
}
