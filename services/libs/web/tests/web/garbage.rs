//! Bytes that are no HTTP, or strange HTTP.

use proptest::prelude::*;
use tokio::io::AsyncWriteExt as _;

use crate::place::{Place, read};

/// Parts of requests, put together at random.
const WORDS: [&str; 24] = [
    "GET ",
    "POST ",
    "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "/open",
    "/me",
    "/%",
    "/%2e%2e/",
    "/whole",
    " HTTP/1.1\r\n",
    " HTTP/1.0\r\n",
    "\r\n",
    "Host: localhost\r\n",
    "Host: \r\n",
    "Host: [::1\r\n",
    "Authorization: Bearer ",
    "Cookie: conductor=;;=\r\n",
    "Content-Length: 5\r\n",
    "Content-Length: -1\r\n",
    "Content-Length: 99999999999999999999\r\n",
    "Transfer-Encoding: chunked\r\n",
    "fffffffffffffffff\r\n",
    "Upgrade: websocket\r\nConnection: upgrade\r\n",
    "X-Forwarded-For: ,,[,::\r\n",
    "Origin: ://\r\n",
];

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    let word = prop::sample::select(&WORDS[..]).prop_map(|word| word.as_bytes().to_vec());
    let noise = prop::collection::vec(any::<u8>(), 0..40);
    prop::collection::vec(prop_oneof![4 => word, 1 => noise], 0..12).prop_map(|parts| parts.concat())
}

#[test]
fn no_bytes_take_the_server_down_or_make_it_fail() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let place = runtime.block_on(Place::with(|options| {
        options.limits.header_time = std::time::Duration::from_millis(50);
        options.limits.body_pause = std::time::Duration::from_millis(50);
        options.limits.idle_time = std::time::Duration::from_millis(50);
        options.trusted_proxies = vec![conductor_runtime::config::Network::parse("127.0.0.1").unwrap()];
    }));
    let config = ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(128) };
    proptest!(config, |(bytes in bytes())| {
        let said = runtime.block_on(async {
            let mut stream = place.connect().await;
            let _closed = stream.write_all(&bytes).await;
            let _closed = stream.shutdown().await;
            read(&mut stream).await
        });
        prop_assert!(!said.text.contains("HTTP/1.1 5"), "{said:?}");
    });
    runtime.block_on(async { place.ask("GET", "/open", &[]).await.ok().to_owned() });
    assert!(!place.shutdown.is_draining());
}
