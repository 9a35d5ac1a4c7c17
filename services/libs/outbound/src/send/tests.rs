use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::FutureExt as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::*;

const LONG: Duration = Duration::from_secs(20);

fn loopback() -> Vec<Reachable> {
    vec!["127.0.0.1".parse().expect("an address")]
}

fn reaching(allowed: Vec<Reachable>, resolve: Resolve, timeout: Duration) -> Outbound {
    Outbound::new(Reach { allowed, key: "webhooks.allow_private" }, resolve, timeout, None)
}

fn post(url: &str) -> Post {
    let url = url.parse().expect("a URL");
    Post {
        url,
        content_type: "text/plain",
        headers: vec![("x-test", "1".to_owned())],
        body: b"hello".to_vec(),
    }
}

/// Answers one connection with these bytes, or with silence; gives what was asked.
async fn receiver(answer: Option<String>) -> (SocketAddr, tokio::task::JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let at = listener.local_addr().expect("an address");
    let served = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.expect("a connection");
        let mut asked = Vec::new();
        while !asked.ends_with(b"hello") {
            let mut buffer = [0; 1024];
            match stream.read(&mut buffer).await.expect("bytes") {
                0 => break,
                count => asked.extend(&buffer[..count]),
            }
        }
        match answer {
            // The other side may have seen enough before the end.
            Some(answer) => drop(stream.write_all(answer.as_bytes()).await),
            None => std::future::pending().await,
        }
        String::from_utf8(asked).expect("text")
    });
    (at, served)
}

fn says(answer: &str) -> Option<String> {
    Some(format!("HTTP/1.1 {answer}\r\ncontent-length: 0\r\n\r\n"))
}

/// A resolver that gives these addresses, one list a call, and how often it was asked.
fn resolver(answers: Vec<Vec<SocketAddr>>) -> (Resolve, Arc<AtomicUsize>) {
    let count = Arc::new(AtomicUsize::new(0));
    let asked = count.clone();
    let resolve = move |_: String, _: u16| -> BoxFuture<'static, io::Result<Vec<SocketAddr>>> {
        let answer = answers[asked.fetch_add(1, Ordering::SeqCst).min(answers.len() - 1)].clone();
        Box::pin(async move { Ok(answer) })
    };
    (Arc::new(resolve), count)
}

#[tokio::test]
async fn what_is_taken_arrives_whole() {
    let (at, served) = receiver(says("204 No Content")).await;
    let outbound = reaching(loopback(), system(), LONG);
    assert_eq!(outbound.send(post(&format!("http://{at}/a?b=c"))).await, Ok(204));
    let asked = served.await.expect("served");
    assert!(asked.starts_with("POST /a?b=c HTTP/1.1\r\n"), "{asked}");
    assert!(asked.contains(&format!("host: {at}\r\n")) && asked.contains("x-test: 1\r\n"), "{asked}");
    assert!(asked.ends_with("\r\n\r\nhello"), "{asked}");
}

#[tokio::test]
async fn a_redirect_is_refused_and_not_followed() {
    let (elsewhere, mut other) = receiver(says("200 OK")).await;
    let (at, _served) = receiver(says(&format!("307 Moved\r\nlocation: http://{elsewhere}/"))).await;
    let outbound = reaching(loopback(), system(), LONG);
    let refused = outbound.send(post(&format!("http://{at}/"))).await.expect_err("not followed");
    assert_eq!((refused.status, refused.hopeless), (Some(307), false));
    assert!((&mut other).now_or_never().is_none(), "nobody asked there");
}

#[tokio::test]
async fn a_receiver_that_is_gone_is_not_asked_again() {
    let (at, _served) = receiver(says("410 Gone")).await;
    let outbound = reaching(loopback(), system(), LONG);
    assert!(outbound.send(post(&format!("http://{at}/"))).await.expect_err("gone").hopeless);
}

#[tokio::test]
async fn a_receiver_that_says_nothing_is_given_up_in_time() {
    let (at, served) = receiver(None).await;
    let outbound = reaching(loopback(), system(), Duration::from_millis(50));
    let refused = outbound.send(post(&format!("http://{at}/"))).await.expect_err("silence");
    assert!(refused.why.contains("within"), "{}", refused.why);
    served.abort();
}

#[tokio::test]
async fn a_head_without_end_is_not_read() {
    let (at, _served) = receiver(says(&format!("200 OK\r\nx: {}", "y".repeat(1 << 20)))).await;
    let outbound = reaching(loopback(), system(), LONG);
    let refused = outbound.send(post(&format!("http://{at}/"))).await.expect_err("too long");
    assert!(refused.why.contains("as HTTP has it"), "{}", refused.why);
}

#[tokio::test]
async fn private_addresses_are_refused_however_they_are_written() {
    let (at, mut served) = receiver(says("200 OK")).await;
    let port = at.port();
    let outbound = reaching(Vec::new(), system(), LONG);
    for host in ["127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "0.0.0.0", "2130706433", "0x7f.1"] {
        let refused = outbound.send(post(&format!("http://{host}:{port}/"))).await.expect_err(host);
        assert!(refused.why.contains("allow_private"), "{host}: {}", refused.why);
    }
    assert!((&mut served).now_or_never().is_none(), "nobody connected");
}

#[tokio::test]
async fn a_name_that_points_elsewhere_the_second_time_gains_nothing() {
    let (at, served) = receiver(says("200 OK")).await;
    let url = format!("http://rebind.example:{}/", at.port());
    let private = vec![at];
    let (resolve, asked) = resolver(vec![private.clone()]);
    let outbound = reaching(Vec::new(), resolve, LONG);
    let refused = outbound.send(post(&url)).await.expect_err("private");
    assert!(refused.why.contains("no public address"), "{}", refused.why);
    assert_eq!(asked.load(Ordering::SeqCst), 1);
    // What was checked is what is connected to: the name is not asked for a second time.
    let (resolve, asked) = resolver(vec![private, vec![([10, 255, 255, 1], 9).into()]]);
    let outbound = reaching(loopback(), resolve, LONG);
    assert_eq!(outbound.send(post(&url)).await, Ok(200));
    assert_eq!(asked.load(Ordering::SeqCst), 1);
    served.await.expect("served");
}

#[tokio::test]
async fn an_answer_is_read_whole_or_not_at_all() {
    let call = |at: SocketAddr, max_answer_bytes| Call {
        method: Method::PUT,
        post: post(&format!("http://{at}/x")),
        max_answer_bytes,
    };
    let says = || Some("HTTP/1.1 422 No\r\ncontent-length: 5\r\n\r\nhello".to_owned());
    let outbound = reaching(loopback(), system(), LONG);
    let (at, served) = receiver(says()).await;
    let answer = outbound.call(call(at, 5)).await.expect("an answer");
    assert_eq!(answer, Answer { status: 422, body: b"hello".to_vec() });
    assert!(served.await.expect("served").starts_with("PUT /x HTTP/1.1\r\n"));
    let (at, _served) = receiver(says()).await;
    let refused = outbound.call(call(at, 4)).await.expect_err("it is too long");
    assert!(refused.why.contains("cannot be read"), "{}", refused.why);
}
