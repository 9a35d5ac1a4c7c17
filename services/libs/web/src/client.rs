//! Who is at the other end of a connection, and how it came.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use axum::http::HeaderMap;
use conductor_runtime::config::Network;
use tokio::sync::OwnedSemaphorePermit;

const FORWARDED_FOR: &str = "x-forwarded-for";
const FORWARDED_PROTO: &str = "x-forwarded-proto";
/// The most proxies in a row that are looked at.
const MAX_PROXIES: usize = 32;

/// Who is at the other end of a connection, and how it came. It is an extension of every request.
#[derive(Debug, Clone)]
pub struct Client {
    /// Its address; behind trusted proxies that of who asked the outermost.
    pub address: IpAddr,
    /// Whether it came by https, to us or to a trusted proxy.
    pub https: bool,
    /// Keeps its connection counted, also while a WebSocket outlives the request.
    #[expect(dead_code, reason = "it counts by being there")]
    pub(crate) permit: Option<Arc<OwnedSemaphorePermit>>,
}

impl Default for Client {
    fn default() -> Self {
        Self { address: IpAddr::V4(Ipv4Addr::UNSPECIFIED), https: false, permit: None }
    }
}

impl Client {
    /// Tells who asks, from the peer of the connection and, where that is a trusted proxy, from what it says.
    pub(crate) fn of(
        peer: IpAddr,
        tls: bool,
        headers: &HeaderMap,
        trusted: &[Network],
        permit: Arc<OwnedSemaphorePermit>,
    ) -> Self {
        let is_proxy = |address: IpAddr| trusted.iter().any(|network| network.contains(address));
        let peer = peer.to_canonical();
        let mut client = Self { address: peer, https: tls, permit: Some(permit) };
        if !is_proxy(peer) {
            return client;
        }
        if let Some(protocol) = last(headers, FORWARDED_PROTO) {
            client.https = protocol.eq_ignore_ascii_case("https");
        }
        let said = headers.get_all(FORWARDED_FOR).iter().filter_map(|value| value.to_str().ok());
        let hops: Vec<&str> = said.flat_map(|list| list.split(',')).map(str::trim).collect();
        // From the right: each proxy adds who asked it, and only what trusted ones added is true.
        for hop in hops.iter().rev().take(MAX_PROXIES) {
            let Some(address) = address_of(hop) else { break };
            client.address = address;
            if !is_proxy(address) {
                break;
            }
        }
        client
    }
}

fn last<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let value = headers.get_all(name).iter().next_back()?.to_str().ok()?;
    value.rsplit(',').next().map(str::trim)
}

/// An address as proxies write it: alone, with a port, or in brackets.
fn address_of(text: &str) -> Option<IpAddr> {
    let bare = match text.strip_prefix('[') {
        Some(rest) => rest.split(']').next()?,
        None if text.matches(':').count() == 1 => text.split(':').next()?,
        None => text,
    };
    bare.parse().ok().map(|address: IpAddr| address.to_canonical())
}
