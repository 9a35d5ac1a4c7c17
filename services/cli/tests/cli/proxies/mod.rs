//! Behind nginx and Caddy, with TLS and the configurations of `deploy/proxy`: on a host name and below a path.

mod front;

use std::fs;

use serde_json::Value;

use self::front::{Front, Kind, Shape};

const UPLOAD_BYTES: usize = 9 << 20;
/// The address that a person comes from; the proxy and the programs have another.
const PERSON: &str = "127.0.0.77";

/// Everything that people do, through a proxy.
fn everything_works(kind: Kind, shape: Shape) {
    let Some(front) = Front::start(kind, shape) else { return };
    let base = front.base();

    // Who is nobody is sent to the login, below the path, and the link of the start leads there too.
    let first = front.curl(&[&format!("{base}/")]);
    assert_eq!(first.status, 303, "{first:?}");
    assert!(first.header("location").starts_with(&format!("{}/login?next=", shape.path())), "{first:?}");
    let link = front.login_link();
    assert!(link.starts_with(&format!("{base}/login?code=")), "{link}");
    let code = link.rsplit('=').next().unwrap();
    let form = format!("code={code}&next=%2Ftasks");
    let origin = format!("Origin: {}", front.origin());
    let login = front.curl(&["-d", &form, "-H", &origin, &format!("{base}/login")]);
    assert_eq!(
        (login.status, login.header("location")),
        (303, format!("{}/tasks", shape.path())),
        "{login:?}"
    );
    let cookie = login.header("set-cookie");
    assert!(cookie.starts_with("__Host-conductor=") && cookie.contains("Secure"), "{cookie}");
    let cookie = format!("Cookie: {}", cookie.split(';').next().unwrap());
    let page = front.curl(&["-H", &cookie, &format!("{base}/")]);
    assert_eq!(page.status, 200, "{page:?}");
    let sheet = page.text().split('"').find(|text| text.ends_with("/style.css")).unwrap().to_owned();
    assert!(sheet.starts_with(&format!("{}/assets/", shape.path())), "{sheet}");
    assert_eq!(front.curl(&[&format!("{}{sheet}", front.origin())]).status, 200);
    let foreign = front.curl(&["-d", &form, "-H", "Origin: https://evil.example", &format!("{base}/login")]);
    assert_eq!(foreign.status, 403, "{foreign:?}");

    // An upload becomes a file of a task, and its address is one that leads through the proxy.
    let file = front.place.path("upload");
    fs::write(&file, vec![b'u'; UPLOAD_BYTES]).unwrap();
    let file = format!("@{}", file.display());
    let upload = front.api(&["--data-binary", &file, &format!("{base}/v1/uploads")]);
    assert_eq!(upload.status, 201, "{upload:?}");
    let id = upload.json()["id"].as_str().unwrap().to_owned();
    let task = format!(
        r#"{{"command":["sh","-c","wc -c < big; echo kept > kept.txt"],"files":[{{"path":"big","upload":"{id}"}}]}}"#
    );
    let url = format!("{base}/v1/tasks");
    let lie = "X-Forwarded-For: 192.0.2.9";
    let task = front.api(&["-H", "Content-Type: application/json", "-H", lie, "--data", &task, &url]);
    assert_eq!(task.status, 201, "{task:?}");
    let location = task.header("location");
    let id = task.json()["id"].as_str().unwrap().to_owned();
    assert_eq!(location, format!("{}/v1/tasks/{id}", shape.path()));
    let ended = front.api(&[&format!("{}{location}?wait_seconds=60", front.origin())]).json();
    assert_eq!(ended["state"], "succeeded", "{ended}");

    // Streams: output and state changes as events, the page's WebSocket, and the API's.
    let output =
        front.api(&["-H", "Accept: text/event-stream", &format!("{base}/v1/tasks/{id}/output?follow=true")]);
    assert!(output.text().contains(&UPLOAD_BYTES.to_string()), "{output:?}");
    front.hears(&format!("{base}/v1/events?since=0"), &["Accept: text/event-stream"], "task_finished");
    let shake = ["Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13"];
    let shake = [&shake[..], &["Sec-WebSocket-Key: c29tZXRoaW5nIHJhbmRvbQ==", &origin, &cookie]].concat();
    front.hears(&format!("{base}/live?since=0"), &shake, "task_finished");
    front.hears(&format!("{base}/v1/ws"), &shake, "101 Switching Protocols");
    let run = front.cli(&["run", "print through the proxy"]);
    assert!(run.with(0).text().contains("through the proxy"), "the control protocol goes both ways");

    // Files: of the API, of the dashboard, and of the file server under the dashboard's session.
    for url in [format!("{base}/v1/tasks/{id}/files/kept.txt"), format!("{base}/tasks/{id}/files/kept.txt")] {
        let read = front.curl(&["-H", &cookie, &url]);
        assert_eq!((read.status, read.text()), (200, "kept\n".to_owned()), "{url}");
    }
    if let Some(files) = front.files() {
        let url = format!("{files}/tasks/{id}/work/kept.txt");
        let read = front.curl(&["-H", &cookie, &url]);
        assert_eq!((read.status, read.text()), (200, "kept\n".to_owned()), "{read:?}");
        assert_eq!(front.curl(&[&url]).status, 401);
        let login = front.curl(&["-H", "Accept: text/html", &url]);
        assert!(login.header("location").starts_with(&format!("{base}/login?")), "{login:?}");
    }

    // The audit has the address of who came, whatever it said of itself.
    let audit = front.api(&[&format!("{base}/v1/audit")]).json();
    let entries = audit["items"].as_array().unwrap();
    let of = |entry: &&Value| entry["subject"] == Value::String(id.clone()) && entry["via"] == "http";
    let entry = entries.iter().find(of).unwrap_or_else(|| panic!("{audit}"));
    assert_eq!(entry["address"], PERSON, "{entry}");
}

#[test]
fn everything_works_behind_nginx_on_a_host_name() {
    everything_works(Kind::Nginx, Shape::Host);
}

#[test]
fn everything_works_behind_nginx_below_a_path() {
    everything_works(Kind::Nginx, Shape::Path);
}

#[test]
fn everything_works_behind_caddy_on_a_host_name() {
    everything_works(Kind::Caddy, Shape::Host);
}

#[test]
fn everything_works_behind_caddy_below_a_path() {
    everything_works(Kind::Caddy, Shape::Path);
}
