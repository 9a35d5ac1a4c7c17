//! A gateway between a run and a small server that stands for the model.
#![expect(clippy::unwrap_used, reason = "a helper that fails fails its test")]

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use conductor_gateway::{Exceeded, Gateways, Limit, Model, ModelOrder, Wire};
use conductor_runtime::credentials::Secret;

const PATIENCE: Duration = Duration::from_secs(20);
const TOKEN: &str = "token-of-the-attempt";
const KEY: &str = "sk-the-real-key";

/// A server that answers each request on connections of their own; gives what it was asked, head and body.
fn model(answer: impl Fn(&str, &mut TcpStream) + Send + 'static) -> (String, Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (said, heard) = channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            stream.set_read_timeout(Some(PATIENCE)).unwrap();
            while let Some(request) = request(&mut stream) {
                let head = request.clone();
                if said.send(request).is_err() {
                    return;
                }
                answer(&head, &mut stream);
            }
        }
    });
    (url, heard)
}

/// Reads one request with a content-length.
fn request(stream: &mut TcpStream) -> Option<String> {
    let mut bytes = Vec::new();
    while !bytes.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        if stream.read(&mut byte).ok()? == 0 {
            return None;
        }
        bytes.push(byte[0]);
    }
    let head = String::from_utf8(bytes).unwrap();
    let length =
        head.to_lowercase().lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
    let mut body = vec![0; length.unwrap_or(0)];
    stream.read_exact(&mut body).ok()?;
    Some(head + &String::from_utf8(body).unwrap())
}

fn open(gateways: &Gateways, wire: Wire, upstream: &str, limit: Limit) -> Model {
    let order = ModelOrder {
        wire,
        upstream: upstream.parse().unwrap(),
        key: Secret::new(KEY),
        token: Secret::new(TOKEN),
        limit,
        prices: Vec::new(),
        proxy: None,
        authorities: None,
    };
    gateways.model(order).unwrap()
}

fn send(gateway: &Model, request: &str) -> TcpStream {
    let mut stream = TcpStream::connect(("127.0.0.1", gateway.port())).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    stream
}

fn ask(gateway: &Model, path: &str, token: &str) -> String {
    let request = format!(
        "POST {path} HTTP/1.1\r\nHost: x\r\nx-api-key: {token}\r\nanthropic-version: 2023-06-01\r\n\
         Accept-Encoding: gzip\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{{}}"
    );
    let mut answer = String::new();
    send(gateway, &request).read_to_string(&mut answer).unwrap();
    answer
}

fn whole(stream: &mut TcpStream, status: &str, headers: &str, body: &str) {
    let length = body.len();
    let answer = format!(
        "HTTP/1.1 {status}\r\nContent-Type: application/json\r\n{headers}Content-Length: {length}\r\n\r\n{body}"
    );
    stream.write_all(answer.as_bytes()).unwrap();
}

#[test]
fn a_request_goes_on_with_the_real_key_and_the_answer_comes_back_as_it_is() {
    let message = r#"{"type":"message","model":"m","usage":{"input_tokens":7,"output_tokens":3}}"#;
    let (url, heard) = model(move |_, stream| whole(stream, "200 OK", "request-id: r1\r\n", message));
    let gateways = Gateways::default();
    let gateway = open(&gateways, Wire::Anthropic, &format!("{url}/base/"), Limit::default());
    let answer = ask(&gateway, "/v1/messages?beta=true", TOKEN);
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with(message), "{answer}");
    assert!(answer.contains("request-id: r1\r\n"), "{answer}");
    let asked = heard.recv_timeout(PATIENCE).unwrap();
    assert!(asked.starts_with("POST /base/v1/messages?beta=true HTTP/1.1\r\n"), "{asked}");
    assert!(
        asked.contains(&format!("x-api-key: {KEY}\r\n")) && asked.contains("anthropic-version"),
        "{asked}"
    );
    assert!(!asked.contains(TOKEN) && !asked.contains("gzip") && asked.ends_with("{}"), "{asked}");
    let used = gateway.used();
    assert_eq!((used.requests, used.input_tokens, used.output_tokens), (1, 7, 3));
}

#[test]
fn a_refusal_of_the_model_passes_with_its_headers() {
    let body = r#"{"type":"error","error":{"type":"rate_limit_error","message":"slow down"}}"#;
    let (url, _heard) =
        model(move |_, stream| whole(stream, "429 Too Many Requests", "retry-after: 17\r\n", body));
    let gateways = Gateways::default();
    let gateway = open(&gateways, Wire::Anthropic, &url, Limit::default());
    let answer = ask(&gateway, "/v1/messages", TOKEN);
    assert!(answer.starts_with("HTTP/1.1 429 ") && answer.contains("retry-after: 17\r\n"), "{answer}");
    assert!(answer.ends_with(body), "{answer}");
}

#[test]
fn without_the_token_or_to_another_place_nothing_reaches_the_model() {
    let (url, heard) = model(|_, stream| whole(stream, "200 OK", "", "{}"));
    let gateways = Gateways::default();
    for (wire, path, kind) in [
        (Wire::Anthropic, "/v1/messages", "authentication_error"),
        (Wire::OpenAi, "/v1/responses", "invalid_api_key"),
        (Wire::Gemini, "/v1beta/models/m:generateContent", "UNAUTHENTICATED"),
    ] {
        let gateway = open(&gateways, wire, &url, Limit::default());
        let answer = ask(&gateway, path, "another-token");
        assert!(answer.starts_with("HTTP/1.1 401 ") && answer.contains(kind), "{answer}");
        let answer = ask(&gateway, "/v1/files", TOKEN);
        assert!(answer.starts_with("HTTP/1.1 404 "), "{answer}");
    }
    assert!(heard.try_recv().is_err(), "something reached it");
}

#[test]
fn events_pass_as_they_come_and_a_stream_that_passes_its_limit_is_ended_in_its_own_words() {
    let (go, wait) = channel::<()>();
    let wait = std::sync::Mutex::new(wait);
    let (url, _heard) = model(move |_, stream| {
        let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n";
        stream.write_all(head.as_bytes()).unwrap();
        let start = r#"{"type":"message_start","message":{"model":"m","usage":{"input_tokens":10,"output_tokens":1}}}"#;
        stream.write_all(format!("event: message_start\ndata: {start}\n\n").as_bytes()).unwrap();
        wait.lock().unwrap().recv_timeout(PATIENCE).unwrap();
        loop {
            let delta = r#"{"type":"content_block_delta","delta":{"type":"text_delta","text":"forty characters, forty characters, forty"}}"#;
            // Cut anywhere, as networks do; who ends the stream hangs up.
            for part in format!("event: content_block_delta\ndata: {delta}\n\n").as_bytes().chunks(7) {
                if stream.write_all(part).is_err() {
                    return;
                }
            }
        }
    });
    let gateways = Gateways::default();
    let gateway = open(&gateways, Wire::Anthropic, &url, Limit { tokens: Some(100), usd_micros: None });
    let request = format!(
        "POST /v1/messages HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    );
    let mut stream = send(&gateway, &request);
    let mut answer = Vec::new();
    while !String::from_utf8_lossy(&answer).contains("message_start\"") {
        let mut part = [0; 1024];
        let count = stream.read(&mut part).unwrap();
        assert!(count > 0, "the first event comes before the second is sent");
        answer.extend_from_slice(&part[..count]);
    }
    go.send(()).unwrap();
    stream.read_to_end(&mut answer).unwrap();
    let answer = String::from_utf8(answer).unwrap();
    let error = answer.rfind("event: error\ndata: {").expect("it ends with an error");
    assert!(answer[error..].contains("Conductor: the run used its 100 tokens"), "{answer}");
    assert!(answer.matches("forty characters").count() < 40, "{answer}");
    assert_eq!(gateway.exceeded(), Some(Exceeded::Tokens(100)));
    let again = ask(&gateway, "/v1/messages", TOKEN);
    assert!(again.starts_with("HTTP/1.1 400 ") && again.contains("may use no more"), "{again}");
    gateway.set_limit(Limit::default());
    assert_eq!(gateway.exceeded(), None);
}

#[test]
fn a_gateway_that_is_closed_lets_no_stream_go_on() {
    let (url, heard) = model(|_, stream| {
        let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: {}\n\n";
        stream.write_all(head.as_bytes()).unwrap();
        // It says no more and does not hang up.
        let _ = stream.read(&mut [0]);
    });
    let gateways = Gateways::default();
    let gateway = open(&gateways, Wire::OpenAi, &url, Limit::default());
    let request = format!(
        "POST /v1/responses HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\nContent-Length: 0\r\n\r\n"
    );
    let mut stream = send(&gateway, &request);
    heard.recv_timeout(PATIENCE).unwrap();
    gateway.close();
    let mut rest = Vec::new();
    // It ends, with or without an error, well before the model says anything.
    let _ = stream.read_to_end(&mut rest);
    let port = gateway.port();
    drop(gateway);
    let since = std::time::Instant::now();
    while TcpStream::connect(("127.0.0.1", port)).is_ok() {
        assert!(since.elapsed() < PATIENCE, "a stolen token still finds somebody");
        std::thread::yield_now();
    }
}

#[test]
fn a_model_that_is_not_there_is_told_in_the_words_of_the_format() {
    let gateways = Gateways::default();
    let gateway = open(&gateways, Wire::Gemini, "http://127.0.0.1:1", Limit::default());
    let answer = ask(&gateway, "/v1beta/models/m:generateContent", TOKEN);
    assert!(answer.starts_with("HTTP/1.1 502 ") && answer.contains("UNAVAILABLE"), "{answer}");
    assert!(!answer.contains(KEY), "{answer}");
}
