//! The proxy between a run and other hosts.
#![expect(clippy::unwrap_used, reason = "a helper that fails fails its test")]

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use base64::Engine as _;
use conductor_gateway::{Egress, EgressRules, Gateways, Proxy};
use conductor_runtime::credentials::Secret;

const PATIENCE: Duration = Duration::from_secs(20);

fn rules(hosts: &[&str]) -> EgressRules {
    let hosts = hosts.iter().map(|host| host.parse().unwrap()).collect();
    EgressRules { hosts, ..EgressRules::default() }
}

fn ask(egress: &Egress, token: &str, request: &str) -> (TcpStream, String) {
    let mut stream = TcpStream::connect(("127.0.0.1", egress.port())).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let user = base64::engine::general_purpose::STANDARD.encode(format!("conductor:{token}"));
    write!(stream, "{request} HTTP/1.1\r\nHost: x\r\nProxy-Authorization: Basic {user}\r\n\r\n").unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        if stream.read(&mut byte).unwrap_or(0) == 0 {
            break;
        }
        head.push(byte[0]);
    }
    (stream, String::from_utf8(head).unwrap())
}

#[test]
fn this_machine_and_private_networks_are_never_reached() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let gateways = Gateways::default();
    let egress = gateways.egress().unwrap();
    let private = vec!["127.0.0.0/8".parse().unwrap(), "169.254.0.0/16".parse().unwrap()];
    egress.begin(Secret::new("t"), EgressRules { open: true, private, ..EgressRules::default() });
    for host in [
        "127.0.0.1",
        "localhost",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "169.254.169.254",
        "0.0.0.0",
        "10.0.0.1",
        "2130706433",
    ] {
        let (_, said) = ask(&egress, "t", &format!("CONNECT {host}:{port}"));
        assert!(said.starts_with("HTTP/1.1 403 ") || said.starts_with("HTTP/1.1 502 "), "{host}: {said}");
        let (_, said) = ask(&egress, "t", &format!("GET http://{host}:{port}/"));
        assert!(said.starts_with("HTTP/1.1 4") || said.starts_with("HTTP/1.1 502 "), "{host}: {said}");
    }
    listener.set_nonblocking(true).unwrap();
    assert!(listener.accept().is_err(), "nobody reached it");
}

#[test]
fn only_the_run_itself_and_only_while_it_runs_is_served() {
    let gateways = Gateways::default();
    let egress = gateways.egress().unwrap();
    let (_, said) = ask(&egress, "t", "CONNECT crates.io:443");
    assert!(said.starts_with("HTTP/1.1 407 "), "nobody's: {said}");
    egress.begin(Secret::new("t"), rules(&["crates.io"]));
    let (_, said) = ask(&egress, "other", "CONNECT crates.io:443");
    assert!(said.starts_with("HTTP/1.1 407 "), "{said}");
    let (_, said) = ask(&egress, "t", "CONNECT evil.example:443");
    assert!(said.starts_with("HTTP/1.1 403 "), "{said}");
    egress.begin(Secret::new("next"), rules(&[]));
    let (_, said) = ask(&egress, "t", "CONNECT evil.example:443");
    assert!(said.starts_with("HTTP/1.1 407 "), "the token of the run before: {said}");
}

/// A server that stands for the owner's own proxy: it says what it was asked, connects nowhere, and repeats what it hears.
fn outer() -> (Proxy, std::sync::mpsc::Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://me:pw@{}", listener.local_addr().unwrap());
    let (said, heard) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                if stream.read(&mut byte).unwrap_or(0) == 0 {
                    break;
                }
                head.push(byte[0]);
            }
            said.send(String::from_utf8(head).unwrap()).unwrap();
            stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").unwrap();
            let mut other = stream.try_clone().unwrap();
            std::thread::spawn(move || std::io::copy(&mut stream, &mut other));
        }
    });
    (Proxy::new(&url, "").unwrap(), heard)
}

#[test]
fn bytes_pass_both_ways_until_the_run_is_over() {
    let (proxy, heard) = outer();
    let gateways = Gateways::default();
    let egress = gateways.egress().unwrap();
    egress.begin(Secret::new("t"), EgressRules { proxy: Some(proxy), ..rules(&["crates.io"]) });
    let (mut stream, said) = ask(&egress, "t", "CONNECT crates.io:443");
    assert!(said.starts_with("HTTP/1.1 200 "), "{said}");
    let asked = heard.recv_timeout(PATIENCE).unwrap();
    assert!(
        asked.starts_with("CONNECT crates.io:443 HTTP/1.1\r\n")
            && asked.contains("Proxy-Authorization: Basic bWU6cHc="),
        "{asked}"
    );
    stream.write_all(b"hello").unwrap();
    let mut back = [0; 5];
    stream.read_exact(&mut back).unwrap();
    assert_eq!(&back, b"hello");
    let (mut plain, said) = ask(&egress, "t", "GET http://crates.io/x");
    assert!(said.starts_with("GET /x HTTP/1.1\r\n"), "the head as it was sent on comes back: {said}");
    egress.end();
    let mut rest = Vec::new();
    assert_eq!(stream.read_to_end(&mut rest).unwrap_or(0), 0, "it is cut with its run");
    let _ = plain.read_to_end(&mut rest);
}
