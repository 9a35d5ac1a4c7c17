//! What a listener does not bear with.

use std::time::Duration;

use conductor_web::Options;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::place::{LIMIT, Place, read};

const SHORT: Duration = Duration::from_millis(150);

async fn place(change: impl FnOnce(&mut Options)) -> Place {
    Place::with(change).await
}

/// Writes the beginning of something, and waits until the connection is closed.
async fn stall(place: &Place, begin: &str) -> String {
    let mut stream = place.connect().await;
    stream.write_all(begin.as_bytes()).await.unwrap();
    read(&mut stream).await.text
}

#[tokio::test]
async fn a_head_that_never_ends_is_cut() {
    let place = place(|options| options.limits.header_time = SHORT).await;
    for begin in ["", "G", "GET /open HTTP/1.1\r\nHost: localhost\r\nX: ", "PRI * HTTP/2.0\r\n\r\n"] {
        let said = stall(&place, begin).await;
        assert!(!said.contains(" 200 "), "{begin:?}: {said}");
    }
    place.ask("GET", "/open", &[]).await.ok();
}

#[tokio::test]
async fn a_head_that_drips_is_cut_all_the_same() {
    let place = place(|options| options.limits.header_time = SHORT).await;
    let mut stream = place.connect().await;
    stream.write_all(b"GET /open HTTP/1.1\r\nHost: localhost\r\n").await.unwrap();
    let drip = async {
        while stream.write_all(b"X: y\r\n").await.is_ok() {
            tokio::time::sleep(SHORT / 10).await;
        }
    };
    tokio::time::timeout(LIMIT, drip).await.expect("it is cut in time");
}

#[tokio::test]
async fn a_connection_that_asks_nothing_more_is_closed() {
    let place = place(|options| options.limits.idle_time = SHORT).await;
    let said = stall(&place, "GET /open HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
    assert!(said.contains(" 200 "), "{said}");
}

#[tokio::test]
async fn a_second_head_that_drips_is_cut() {
    let place = place(|options| options.limits.idle_time = SHORT).await;
    let mut stream = place.connect().await;
    stream.write_all(b"GET /open HTTP/1.1\r\nHost: localhost\r\n\r\nGET /open HTTP/1.1\r\n").await.unwrap();
    let drip = async {
        while stream.write_all(b"X: y\r\n").await.is_ok() {
            tokio::time::sleep(SHORT / 10).await;
        }
    };
    tokio::time::timeout(LIMIT, drip).await.expect("it is cut in time");
}

#[tokio::test]
async fn a_connection_in_use_is_kept_beyond_the_time_for_its_first_request() {
    let place = place(|options| options.limits.header_time = SHORT).await;
    let mut stream = place.connect().await;
    for _ in 0..3 {
        stream.write_all(b"GET /open HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
        let mut said = Vec::new();
        while !said.ends_with(b"\r\n\r\nopen") {
            said.push(stream.read_u8().await.expect("the connection is kept"));
        }
        tokio::time::sleep(SHORT).await;
    }
}

#[tokio::test]
async fn a_body_that_stands_still_is_refused() {
    let place = place(|options| options.limits.body_pause = SHORT).await;
    let head =
        "POST /whole HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: 9\r\n\r\nhalf";
    let said = stall(&place, head).await;
    assert!(said.contains(" 400 ") && said.contains("did not come within"), "{said}");
}

#[tokio::test]
async fn a_body_that_drips_is_refused_when_its_time_is_up() {
    let place = place(|options| options.limits.body_time = SHORT).await;
    let stream = place.connect().await;
    let (mut reader, mut writer) = stream.into_split();
    writer
        .write_all(
            b"POST /whole HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\nConnection: close\r\n\r\n",
        )
        .await
        .unwrap();
    let drip = async {
        while writer.write_all(b"x").await.is_ok() {
            tokio::time::sleep(SHORT / 10).await;
        }
    };
    let said = tokio::select! {
        said = read(&mut reader) => said,
        () = drip => panic!("it was cut without an answer"),
    };
    assert!(said.problem(400, "invalid_request").body().contains("did not come within"));
}

#[tokio::test]
async fn a_body_beyond_its_limit_is_refused_with_or_without_a_length() {
    let place = place(|options| {
        options.limits.body_bytes = 1_000;
        options.limits.upload_bytes = 5_000;
    })
    .await;
    let post = async |path: &str, bytes: usize, chunked: bool| {
        let (head, body) = match chunked {
            true => (
                "Transfer-Encoding: chunked".to_owned(),
                format!("{bytes:x}\r\n{}\r\n0\r\n\r\n", "x".repeat(bytes)),
            ),
            false => (format!("Content-Length: {bytes}"), "x".repeat(bytes)),
        };
        let head = format!("POST {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{head}");
        place.send(&format!("{head}\r\n\r\n{body}")).await
    };
    for chunked in [false, true] {
        assert_eq!(post("/whole", 1_000, chunked).await.ok(), "1000");
        post("/whole", 1_001, chunked).await.problem(413, "payload_too_large");
        assert_eq!(post("/upload", 5_000, chunked).await.ok(), "5000");
        post("/upload", 5_001, chunked).await.problem(413, "payload_too_large");
    }
}

#[tokio::test]
async fn bodies_that_are_read_at_the_same_time_have_bounded_room_together() {
    let place = place(|options| options.limits.reading_bytes = 1 << 20).await;
    let body = "x".repeat(2 << 20);
    let head = format!("POST /whole HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}", body.len());
    let refused = place.send(&format!("{head}\r\nConnection: close\r\n\r\n{body}")).await;
    refused.problem(503, "unavailable");
    for _ in 0..3 {
        let body = "x".repeat(600 << 10);
        let head = format!("POST /whole HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}", body.len());
        let taken = place.send(&format!("{head}\r\nConnection: close\r\n\r\n{body}")).await;
        assert_eq!(taken.ok(), body.len().to_string(), "the room is given back");
    }
}

#[tokio::test]
async fn a_head_beyond_its_limits_is_refused() {
    let place = place(|_| {}).await;
    let many = vec!["X: y"; 200];
    assert_eq!(place.ask("GET", "/open", &many).await.status(), 431);
    let long = format!("X: {}", "y".repeat(64 << 10));
    assert_eq!(place.ask("GET", "/open", &[&long]).await.status(), 431);
}

#[tokio::test]
async fn connections_beyond_the_limit_are_told_so_and_later_ones_are_served() {
    let place = place(|options| {
        options.limits.connections = 2;
        options.open = true;
    })
    .await;
    let held = [hold(&place).await, hold(&place).await];
    let refused = place.ask("GET", "/open", &[]).await.problem(503, "unavailable");
    assert!(refused.header("retry-after").is_some());
    drop(held);
    let served = async {
        while place.ask("GET", "/open", &[]).await.status() != 200 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(LIMIT, served).await.expect("room is made");
}

/// Opens a stream and reads its beginning.
async fn hold(place: &Place) -> TcpStream {
    let mut stream = place.connect().await;
    stream.write_all(b"GET /stream HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    let mut begin = [0; 12];
    stream.read_exact(&mut begin).await.unwrap();
    assert_eq!(&begin, b"HTTP/1.1 200");
    stream
}

#[tokio::test]
async fn a_reader_that_stops_reading_is_let_go() {
    let place = place(|options| {
        options.limits.write_pause = SHORT;
        options.limits.connections = 1;
    })
    .await;
    let mut stalled = place.connect().await;
    stalled.write_all(b"GET /large HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    let served = async {
        while !place.send("GET /open HTTP/1.0\r\nHost: localhost\r\n\r\n").await.text.contains(" 200 ") {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(LIMIT, served).await.expect("its place is given to another");
    drop(stalled);
}

#[tokio::test]
async fn a_panic_ends_its_own_request_alone() {
    let place = place(|_| {}).await;
    place.ask("GET", "/panic", &[]).await.problem(500, "internal");
    let torn = place.ask("GET", "/panic-later", &[]).await;
    assert!(!torn.text.contains("0\r\n\r\n"), "a torn answer does not look whole: {torn:?}");
    place.ask("GET", "/open", &[]).await.ok();
    assert!(!place.shutdown.is_draining(), "the program goes on");
}

#[tokio::test]
async fn paths_and_methods_that_are_none_are_problems() {
    let place = place(|_| {}).await;
    place.ask("GET", "/nothing", &[]).await.problem(404, "not_found");
    let refused = place.ask("DELETE", "/open", &[]).await.problem(405, "invalid_request");
    assert!(refused.header("allow").unwrap().contains("GET"));
}
