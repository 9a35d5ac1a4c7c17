//! What every request has to pass before anything looks at it.

use std::net::SocketAddr;

use axum::http::request::Parts;
use axum::http::uri::PathAndQuery;
use axum::http::{HeaderMap, Method, Uri, header};
use conductor_protocol::{Code, Problem};

use crate::client::Client;
use crate::hosts::Authority;
use crate::site::Site;

/// Checks whom a request is for and where it comes from, and takes the public path from its own.
pub(crate) fn check(
    site: &Site,
    local: SocketAddr,
    parts: &mut Parts,
    client: &mut Client,
) -> Result<(), Problem> {
    let host = host(parts)?;
    if !site.hosts().answers_to(&host, local) {
        let detail =
            "this server does not answer to the name in Host; allowed_hosts in its configuration adds names";
        return Err(Problem::new(Code::Forbidden, detail));
    }
    if (is_change(&parts.method) || is_upgrade(parts)) && !is_from_here(site, &host, &parts.headers) {
        let detail =
            "pages of another site may not do this; public_url in the server's configuration names its own";
        return Err(Problem::new(Code::Forbidden, detail));
    }
    // Who asks for the name that is public by https came by https, also through a proxy that does not say so.
    client.https |= site.public_url().is_some_and(|url| site.hosts().is_public(&host, url));
    if let Some(uri) = below(site.prefix(), &parts.uri) {
        parts.uri = uri;
    }
    Ok(())
}

/// The name that a request is for: HTTP/2 has it in the URI.
fn host(parts: &Parts) -> Result<Authority, Problem> {
    let mut said = parts.headers.get_all(header::HOST).iter();
    let text = match (parts.uri.authority(), said.next(), said.next()) {
        (Some(authority), _, _) => Some(authority.as_str()),
        (None, Some(value), None) => value.to_str().ok(),
        (None, _, _) => None,
    };
    text.and_then(Authority::parse)
        .ok_or_else(|| Problem::new(Code::InvalidRequest, "the request needs one Host header that is a host"))
}

fn is_change(method: &Method) -> bool {
    !matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS)
}

fn is_upgrade(parts: &Parts) -> bool {
    parts.headers.contains_key(header::UPGRADE) || parts.method == Method::CONNECT
}

/// Whether a browser says that one of our own pages asks, or nothing says that a browser asks.
fn is_from_here(site: &Site, host: &Authority, headers: &HeaderMap) -> bool {
    if let Some(origin) = headers.get(header::ORIGIN) {
        let origin = origin.to_str().ok().and_then(Authority::of_origin);
        return origin.is_some_and(|origin| site.hosts().is_ours(&origin, host));
    }
    match headers.get("sec-fetch-site") {
        Some(site) => site == "same-origin" || site == "none",
        None => true,
    }
}

/// The same URI without the prefix; nothing when it does not begin with it.
fn below(prefix: &str, uri: &Uri) -> Option<Uri> {
    let rest = uri.path().strip_prefix(prefix).filter(|_| !prefix.is_empty())?;
    if !rest.is_empty() && !rest.starts_with('/') {
        return None;
    }
    let slash = if rest.is_empty() { "/" } else { "" };
    let query = uri.query().map(|query| format!("?{query}")).unwrap_or_default();
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(PathAndQuery::try_from(format!("{slash}{rest}{query}")).ok()?);
    Uri::from_parts(parts).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stripped(prefix: &str, uri: &str) -> Option<String> {
        below(prefix, &uri.parse().unwrap()).map(|uri| uri.to_string())
    }

    #[test]
    fn the_public_path_is_taken_from_the_beginning_alone() {
        assert_eq!(stripped("/c", "/c/v1/me?a=b").as_deref(), Some("/v1/me?a=b"));
        assert_eq!(stripped("/c", "/c").as_deref(), Some("/"));
        assert_eq!(stripped("/c", "/c?x").as_deref(), Some("/?x"));
        assert_eq!(stripped("/c", "/cat"), None);
        assert_eq!(stripped("/c", "/v1/c/me"), None, "a proxy may have taken it already");
        assert_eq!(stripped("", "/v1/me"), None);
        assert_eq!(stripped("/c", "/c//evil.example/x").as_deref(), Some("//evil.example/x"));
    }
}
