//! How streams and programs end.

use std::time::Duration;

use conductor_protocol::control::Role;
use conductor_runtime::lifecycle::Ended;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::place::{LIMIT, Place, read};

const TOKEN: &str = "cdr_0123456789abcdef";

/// Opens a stream and reads its beginning.
async fn follow(place: &Place) -> TcpStream {
    place.people.let_in(TOKEN, "ci", Role::Viewer);
    let mut stream = place.connect().await;
    let request = format!("GET /stream HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {TOKEN}\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut said = Vec::new();
    while !said.ends_with(b"hello\n\r\n") {
        said.push(stream.read_u8().await.unwrap());
    }
    stream
}

#[tokio::test]
async fn a_stream_ends_when_its_reader_is_nobody_any_more() {
    let place = Place::with(|options| options.limits.idle_time = Duration::from_millis(100)).await;
    let mut stream = follow(&place).await;
    place.people.put_out(TOKEN);
    place.clock.advance(Duration::from_secs(1));
    assert!(read(&mut stream).await.text.contains("bye"));
}

#[tokio::test]
async fn a_stream_ends_when_its_reader_may_do_other_things() {
    let place = Place::with(|options| options.limits.idle_time = Duration::from_millis(100)).await;
    let mut stream = follow(&place).await;
    place.people.let_in(TOKEN, "ci", Role::Operator);
    place.clock.advance(Duration::from_secs(1));
    assert!(read(&mut stream).await.text.contains("bye"));
}

#[tokio::test]
async fn a_drain_ends_streams_and_idle_connections_and_then_the_program() {
    let place = Place::new().await;
    let mut stream = follow(&place).await;
    let mut idle = place.connect().await;
    idle.write_all(b"GET /open HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    let mut begin = [0; 12];
    idle.read_exact(&mut begin).await.unwrap();
    place.shutdown.drain();
    assert!(read(&mut stream).await.text.contains("bye"), "the stream came to its end");
    read(&mut idle).await;
    assert_eq!(place.shutdown.finish(LIMIT).await, Ended::Drained);
    assert!(TcpStream::connect(place.address).await.is_err(), "nobody listens any more");
}

#[tokio::test]
async fn a_request_under_way_is_answered_before_the_end() {
    let place = Place::new().await;
    let mut stream = place.connect().await;
    let head = b"POST /whole HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\na";
    stream.write_all(head).await.unwrap();
    place.until_under_way().await;
    place.shutdown.drain();
    stream.write_all(b"b").await.unwrap();
    let said = read(&mut stream).await;
    assert!(said.text.contains(" 200 ") && said.text.ends_with('2'), "{said:?}");
}
