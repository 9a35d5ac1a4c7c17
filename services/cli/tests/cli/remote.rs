//! A server elsewhere, over HTTP.

use std::fs;
use std::path::PathBuf;

use crate::place::{Ended, Going, Place};

/// A server, and a home of its own for who asks it.
struct Far {
    server: Place,
    here: Place,
    _up: Going,
    url: String,
    token: String,
}

impl Far {
    fn new() -> Self {
        Self::of(Place::new())
    }

    fn of(server: Place) -> Self {
        let up = server.up(&[]);
        server.until("it says where it is", || up.out().contains("try: "));
        let said = up.out();
        let line = said.lines().find(|line| line.trim_start().starts_with("API")).unwrap();
        let url = line.split_whitespace().last().unwrap().to_owned();
        let token =
            server.run(&["token", "create", "far", "--role", "operator"]).with(0).text().trim().to_owned();
        Self { server, here: Place::new(), _up: up, url, token }
    }

    fn with(&self, token: &str, args: &[&str]) -> Ended {
        let mut command = self.here.command(args);
        command.env("CONDUCTOR_URL", &self.url).env("CONDUCTOR_TOKEN", token);
        self.here.begin(command).end()
    }

    fn run(&self, args: &[&str]) -> Ended {
        self.with(&self.token, args)
    }
}

#[test]
fn everything_works_over_http_with_a_token() {
    let far = Far::new();
    fs::create_dir(far.here.path("project")).unwrap();
    fs::write(far.here.path("project/a.txt"), "one\n").unwrap();
    fs::write(far.here.path("project/big"), vec![b'x'; 6 << 20]).unwrap();
    let script = "sed -i s/one/two/ a.txt; wc -c < big";
    let args = ["run", "--output", "json", "--dir", "project", "--", "sh", "-c", script];
    let ended = far.run(&args).with(0);
    let task = ended.json();
    let id = task["id"].as_str().unwrap();
    assert_eq!((&task["created_by"]["name"], &task["created_by"]["via"]), (&"far".into(), &"http".into()));
    assert_eq!(far.run(&["logs", id]).with(0).text(), "6291456\n");
    assert!(far.run(&["list"]).with(0).text().contains(id));
    assert!(far.run(&["diff", id]).with(0).text().contains("+two"));
    far.run(&["apply", id, "--to", "project"]).with(0);
    assert_eq!(fs::read_to_string(far.here.path("project/a.txt")).unwrap(), "two\n");
    let events = far.run(&["events", "--since", "0"]).with(0).text();
    assert!(events.contains(id), "{events}");
    far.run(&["top"]).with(0);
    let failed = far.run(&["run", "--runner", "mock", "print before; exit 3"]).with(1);
    assert!(failed.text().contains("before"), "{failed:?}");
    assert!(far.server.run(&["list"]).with(0).text().contains(id), "it is the same server");
}

/// The certificate of an authority, and a server on 127.0.0.1 that it vouches for.
fn vouched_for() -> (Far, PathBuf) {
    let mut server = Place::new();
    let authority_key = rcgen::KeyPair::generate().unwrap();
    let mut authority = rcgen::CertificateParams::new([]).unwrap();
    authority.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let authority = rcgen::CertifiedIssuer::self_signed(authority, authority_key).unwrap();
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate = rcgen::CertificateParams::new(["127.0.0.1".to_owned()]).unwrap();
    let certificate = certificate.signed_by(&key, &authority).unwrap();
    let [ca_file, cert_file, key_file] = ["ca.pem", "cert.pem", "key.pem"].map(|name| server.path(name));
    fs::write(&ca_file, authority.pem()).unwrap();
    fs::write(&cert_file, certificate.pem()).unwrap();
    fs::write(&key_file, key.serialize_pem()).unwrap();
    server.set_variable("CONDUCTOR__TLS__CERT_FILE", &cert_file);
    server.set_variable("CONDUCTOR__TLS__KEY_FILE", &key_file);
    (Far::of(server), ca_file)
}

#[test]
fn over_https_a_server_is_believed_when_the_named_authority_vouches_for_it() {
    let (mut far, ca_file) = vouched_for();
    assert!(far.url.starts_with("https://127.0.0.1:"), "{}", far.url);
    let doubted = far.run(&["list"]).with(3);
    assert!(doubted.err.contains("UnknownIssuer"), "{doubted:?}");
    far.here.set_variable("SSL_CERT_FILE", &ca_file);
    let ended = far.run(&["run", "--runner", "mock", "print over https"]).with(0);
    assert!(ended.text().contains("over https"), "{ended:?}");
    // The name counts as well as the authority.
    far.url = far.url.replace("127.0.0.1", "localhost");
    let doubted = far.run(&["list"]).with(3);
    assert!(doubted.err.contains("localhost"), "{doubted:?}");
}

#[test]
fn a_token_may_no_more_than_it_may_and_a_wrong_address_is_told() {
    let far = Far::new();
    let refused = far.run(&["pause"]).with(4);
    assert!(refused.err.contains("role admin"), "{refused:?}");
    let wrong = far.with("wrong", &["list"]).with(4);
    assert!(wrong.err.contains("token"), "{wrong:?}");
    let mut command = far.here.command(&["list"]);
    command.env("CONDUCTOR_URL", "http://127.0.0.1:1").env("CONDUCTOR_TOKEN", "x");
    let away = far.here.begin(command).end().with(3);
    assert!(away.err.contains("CONDUCTOR_URL is http://127.0.0.1:1"), "{away:?}");
    let mut command = far.here.command(&["list"]);
    command.env("CONDUCTOR_URL", "localhost:8081");
    far.here.begin(command).end().with(2);
}
