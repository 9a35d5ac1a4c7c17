//! Whom a trusted proxy speaks for.

use conductor_runtime::config::Network;

use crate::place::Place;

async fn trusting(networks: &[&str]) -> Place {
    let trusted = networks.iter().map(|network| Network::parse(network).unwrap()).collect();
    Place::with(|options| options.trusted_proxies = trusted).await
}

async fn seen(place: &Place, headers: &[&str]) -> String {
    let answer = place.ask("GET", "/where", headers).await;
    answer.ok().strip_prefix("/where /next ").unwrap().to_owned()
}

#[tokio::test]
async fn what_a_stranger_says_of_itself_is_not_believed() {
    let place = trusting(&["192.0.2.0/24"]).await;
    let headers = ["X-Forwarded-For: 203.0.113.7", "X-Forwarded-Proto: https"];
    assert_eq!(seen(&place, &headers).await, "127.0.0.1 false");
}

#[tokio::test]
async fn the_rightmost_address_that_is_no_proxys_counts() {
    let place = trusting(&["127.0.0.0/8", "10.0.0.0/8"]).await;
    for (said, expected) in [
        ("X-Forwarded-For: 203.0.113.7", "203.0.113.7"),
        ("X-Forwarded-For: 198.51.100.1, 203.0.113.7, 10.1.1.1", "203.0.113.7"),
        ("X-Forwarded-For: 203.0.113.7:4711", "203.0.113.7"),
        ("X-Forwarded-For: [2001:db8::1]:80", "2001:db8::1"),
        ("X-Forwarded-For: 10.0.0.1, 10.0.0.2", "10.0.0.1"),
        ("X-Forwarded-For: 203.0.113.7, garbage, 10.0.0.2", "10.0.0.2"),
        ("X-Forwarded-For: garbage", "127.0.0.1"),
        ("X-Other: x", "127.0.0.1"),
    ] {
        assert_eq!(seen(&place, &[said]).await, format!("{expected} false"), "{said}");
    }
    let two = ["X-Forwarded-For: 198.51.100.1", "X-Forwarded-For: 203.0.113.7"];
    assert_eq!(seen(&place, &two).await, "203.0.113.7 false", "lines count from the last");
    assert_eq!(seen(&place, &["X-Forwarded-Proto: https"]).await, "127.0.0.1 true");
}
