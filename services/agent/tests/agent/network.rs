//! Where runs connect to, tried from inside a task: with a network of its own, and with rules on ports.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::sync::mpsc;
use std::time::Duration;

use conductor_agent::sandbox::escapes::{ESCAPED, HELD, NETWORK, TARGETS, UNTRIED};
use serde_json::json;

use crate::lab::{Lab, Setting};

const PATIENCE: Duration = Duration::from_secs(30);
const STRANGER: u32 = 54_321;
/// Asks the proxy for a URL and prints what it says.
const ASK: &str = r#"perl -MSocket -e 'alarm 20; ($user, $host, $port) = $ENV{http_proxy} =~ m{^http://([^@]*)@([^:]*):(\d+)} or die "no proxy";
    $b = pack("u", $user); $b =~ s/^.//mg; $b =~ s/\n//g; $b =~ tr|` -_|AA-Za-z0-9+/|;
    $pad = (3 - length($user) % 3) % 3; substr($b, -$pad) = "=" x $pad if $pad;
    socket(S, PF_INET, SOCK_STREAM, 0); connect(S, sockaddr_in($port, inet_aton($host))) or die "connect: $!";
    syswrite S, "GET $ARGV[0] HTTP/1.1\r\nHost: x\r\nProxy-Authorization: Basic $b\r\n\r\n"; print while <S>' "$0""#;

/// A server that stands for the proxy of the owner's network, and for all that is behind it.
fn outside() -> (String, mpsc::Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (said, heard) = mpsc::channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut head = Vec::new();
            let mut read_head = |stream: &mut std::net::TcpStream| {
                head.clear();
                let mut byte = [0];
                while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).unwrap_or(0) == 1 {
                    head.push(byte[0]);
                }
                String::from_utf8(head.clone()).unwrap()
            };
            let _ = said.send(read_head(&mut stream));
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n");
            read_head(&mut stream);
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello");
        }
    });
    (url, heard)
}

fn setting(egress: &str, own_network: bool, proxy: &str) -> Setting {
    Setting {
        sandbox: Some("required:99".into()),
        env: vec![
            ("LAB_EGRESS", egress.into()),
            ("LAB_HOSTS", "allowed.example".into()),
            ("LAB_PROXY", proxy.into()),
            ("LAB_OWN_NETWORK", u8::from(own_network).to_string()),
        ],
        ..Setting::default()
    }
}

fn try_all(setting: &Setting, is_held: bool) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut lab = Lab::with(setting);
    for escape in &NETWORK {
        let env = json!([[TARGETS, listener.local_addr().unwrap().to_string()]]);
        let task = lab.run(0, json!({"command": escape.command(), "env": env}));
        let outcome = lab.finished(0);
        let code = outcome["exit_code"].as_i64().map_or(-1, |code| i32::try_from(code).unwrap());
        let told =
            format!("{} {setting:?}: {outcome}\n{}", escape.name, lab.read(&task, "attempts/1/output.log"));
        if is_held {
            assert!([HELD, UNTRIED].contains(&code), "{told}");
        } else if ["past the proxy", "of its own making"].iter().any(|part| escape.name.contains(part)) {
            // So the test tells something. The others need a network that may not be there.
            let needs_root = escape.name.contains("making");
            assert!([ESCAPED, UNTRIED].contains(&code) || needs_root, "{told}");
        }
    }
    listener.set_nonblocking(true).unwrap();
    assert_eq!(listener.accept().is_ok(), !is_held, "{setting:?}");
}

#[test]
fn no_way_past_the_proxy_is_open() {
    let (proxy, heard) = outside();
    for own_network in [false, true] {
        for egress in ["model", "allowlist"] {
            try_all(&setting(egress, own_network, &proxy), true);
        }
    }
    assert!(heard.try_recv().is_err(), "nothing was asked of the owner's network");
    try_all(&setting("open", false, &proxy), false);
}

#[test]
fn no_way_past_the_proxy_is_open_to_another_user() {
    if !rustix::process::getuid().is_root() {
        eprintln!("skipped: only root can be somebody else");
        return;
    }
    for own_network in [false, true] {
        try_all(&Setting { user: Some(STRANGER), ..setting("allowlist", own_network, "") }, true);
    }
}

#[test]
fn hosts_on_the_list_are_reached_through_the_proxy_and_others_are_refused_by_name() {
    for own_network in [false, true] {
        let (proxy, heard) = outside();
        let mut lab = Lab::with(&setting("allowlist", own_network, &proxy));
        let task = lab.run(0, json!({"command": ["sh", "-c", ASK, "http://allowed.example/x"]}));
        let outcome = lab.finished(0);
        let said = lab.read(&task, "attempts/1/output.log");
        assert!(said.contains("hello"), "{own_network}: {said} {outcome}");
        let asked = heard.recv_timeout(PATIENCE).unwrap();
        assert!(asked.starts_with("CONNECT allowed.example:80 "), "{asked}");
        let task = lab.run(0, json!({"command": ["sh", "-c", ASK, "http://other.example/x"]}));
        lab.finished(0);
        let said = lab.read(&task, "attempts/1/output.log");
        assert!(said.contains("403 Forbidden") && said.contains("other.example:80 is not among"), "{said}");
        // With its model alone there is no proxy, and the list is nothing.
        let mut lab = Lab::with(&setting("model", own_network, &proxy));
        let task = lab.run(0, json!({"command": ["sh", "-c", "env; true"]}));
        lab.finished(0);
        let said = lab.read(&task, "attempts/1/output.log");
        assert!(!said.to_lowercase().contains("_proxy="), "{said}");
        assert!(heard.try_recv().is_err());
    }
}

#[test]
fn the_proxy_of_one_run_is_nothing_to_the_next() {
    let (proxy, _heard) = outside();
    for own_network in [false, true] {
        let mut lab = Lab::with(&setting("allowlist", own_network, &proxy));
        let task = lab.run(0, json!({"command": ["sh", "-c", "printf %s \"$http_proxy\""]}));
        lab.finished(0);
        let old = lab.read(&task, "attempts/1/output.log");
        assert!(old.starts_with("http://conductor:"), "{old}");
        let stolen = format!("http_proxy={old}; export http_proxy\n{ASK}");
        let task = lab.run(0, json!({"command": ["sh", "-c", stolen, "http://allowed.example/"]}));
        lab.finished(0);
        let said = lab.read(&task, "attempts/1/output.log");
        assert!(said.contains("407 Proxy Authentication Required"), "{own_network}: {said}");
    }
}

#[test]
fn a_run_that_may_submit_reaches_the_api_and_one_that_may_not_does_not() {
    let api = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", api.local_addr().unwrap());
    let answering = std::thread::spawn(move || {
        let mut count = 0;
        for stream in api.incoming().take(2) {
            stream.unwrap().write_all(b"the api\n").unwrap();
            count += 1;
        }
        count
    });
    let connect = r#"perl -MSocket -e 'alarm 20; ($host, $port) = $ENV{URL} =~ m{^http://([^:]*):(\d+)} or die;
        socket(S, PF_INET, SOCK_STREAM, 0); connect(S, sockaddr_in($port, inet_aton($host))) or die "connect: $!"; print <S>'"#;
    for own_network in [false, true] {
        let mut lab = Lab::with(&setting("model", own_network, ""));
        let may = format!("URL=$CONDUCTOR_URL; export URL\n{connect}");
        let task = lab.run(0, json!({"command": ["sh", "-c", may], "api": url}));
        let outcome = lab.finished(0);
        let said = lab.read(&task, "attempts/1/output.log");
        assert!(said.contains("the api"), "{own_network}: {said} {outcome}");
        let task = lab.run(0, json!({"command": ["sh", "-c", connect], "env": [["URL", url]]}));
        assert_eq!(lab.finished(0)["outcome"], "failed");
        assert!(lab.read(&task, "attempts/1/output.log").contains("connect: "));
    }
    assert_eq!(answering.join().unwrap(), 2);
}

#[test]
fn a_run_with_a_network_of_its_own_has_servers_in_there() {
    let serve = r#"perl -MSocket -e 'alarm 20; socket(L, PF_INET, SOCK_STREAM, 0); setsockopt(L, SOL_SOCKET, SO_REUSEADDR, 1);
        bind(L, sockaddr_in(8080, INADDR_LOOPBACK)) or die "bind: $!"; listen(L, 1);
        if (fork) { accept(C, L); syswrite C, "own server\n"; close C; wait; }
        else { socket(S, PF_INET, SOCK_STREAM, 0); connect(S, sockaddr_in(8080, INADDR_LOOPBACK)) or die "connect: $!"; print <S> }'"#;
    let mut lab = Lab::with(&setting("allowlist", true, ""));
    for _ in 0..2 {
        let (task, outcome) = lab.sh(serve);
        let said = lab.read(&task, "attempts/1/output.log");
        assert!(said.contains("own server"), "{said} {outcome}");
    }
    lab.assert_nothing_left();
}

#[test]
fn what_is_only_to_be_read_is_not_written() {
    let mut lab = Lab::with(&setting("open", false, ""));
    let script = "(echo x > new) 2>/dev/null; (echo x >> given) 2>/dev/null; echo fine > \"$TMPDIR/own\" && cat \"$TMPDIR/own\" given";
    let job =
        json!({"command": ["sh", "-c", script], "files": [["given", "as it was\n"]], "read_only": true});
    let task = lab.run(0, job);
    let outcome = lab.finished(0);
    assert_eq!(lab.read(&task, "attempts/1/output.log"), "fine\nas it was\n", "{outcome}");
    assert_eq!(
        (lab.read(&task, "work/given").as_str(), lab.read(&task, "work/new").as_str()),
        ("as it was\n", "")
    );
}
