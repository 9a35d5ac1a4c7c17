//! What runs print and report, in whole, in parts and as it comes.

use serde_json::json;

use crate::place::Place;

#[tokio::test]
async fn output_is_read_in_whole_and_in_parts() {
    let place = Place::new().await;
    let id = place.run("print hello; print wörld").await;
    let path = format!("/v1/tasks/{id}/output");
    let whole = place.get(&path).await.with(200);
    assert_eq!(whole.text(), "hello\nwörld\n");
    assert_eq!(
        (whole.header("x-content-type-options"), whole.header("accept-ranges")),
        (Some("nosniff"), Some("bytes"))
    );
    assert!(whole.header("content-security-policy").unwrap().contains("sandbox"));
    assert_eq!(place.get(&format!("{path}?offset=6")).await.with(200).text(), "wörld\n");
    let part = place.ask("GET", &path).header("Range: bytes=1-4").send().await.with(206);
    assert_eq!((part.text().as_str(), part.header("content-range")), ("ello", Some("bytes 1-4/13")));
    let tail = place.ask("GET", &path).header("Range: bytes=-2").send().await.with(206);
    assert_eq!(tail.text(), "d\n");
    let beyond = place.ask("GET", &path).header("Range: bytes=13-").send().await;
    assert_eq!(beyond.header("content-range"), Some("bytes */13"));
    assert_eq!(beyond.with(416).json()["status"], 416);
    place.get(&format!("{path}?attempt=2")).await.problem(404, "not_found");
    place.get(&format!("{path}?attempt=0")).await.problem(400, "invalid_request");
}

#[tokio::test]
async fn more_output_than_fits_a_window_is_read_whole_and_in_order() {
    let place = Place::new().await;
    let id = place.run("print 3MB").await;
    let task = place.get(&format!("/v1/tasks/{id}")).await.json();
    assert_eq!(task["state"], "succeeded");
    let whole = place.get(&format!("/v1/tasks/{id}/output")).await.with(200);
    assert!(whole.body.len() >= 3_000_000, "{}", whole.body.len());
    assert_eq!(whole.header("content-length"), Some(whole.body.len().to_string().as_str()));
    let followed = place.get(&format!("/v1/tasks/{id}/output?follow=true&offset=1000000")).await.with(200);
    assert!(followed.body == whole.body[1_000_000..], "{} bytes", followed.body.len());
    let mut told =
        place.ask("GET", &format!("/v1/tasks/{id}/output")).header("Accept: text/event-stream").open().await;
    let (mut text, mut at) = (String::new(), 0);
    loop {
        let event = told.event().await.expect("an end");
        let data = event.json();
        if event.kind == "end" {
            assert_eq!(data["offset"].as_u64(), Some(at));
            break;
        }
        assert_eq!(data["offset"].as_u64(), Some(at));
        at = data["next_offset"].as_u64().unwrap();
        text.push_str(data["text"].as_str().unwrap());
    }
    assert!(text.as_bytes() == whole.body, "{} bytes", text.len());
}

#[tokio::test]
async fn output_is_followed_as_it_is_printed_and_no_character_is_torn() {
    let place = Place::new().await;
    let id = place.submit(json!({"prompt": "print früh; ask Go on?; print späť"})).await;
    let path = format!("/v1/tasks/{id}/output?follow=true");
    let mut told = place.ask("GET", &path).header("Accept: text/event-stream").open().await;
    let first = told.until(|event| event.data.contains("früh")).await.json();
    assert_eq!(first["offset"], 0);
    let text = first["text"].as_str().unwrap();
    assert_eq!(first["next_offset"].as_u64(), Some(text.len() as u64));
    assert!(text.starts_with("früh\n"), "{text}");
    // From within the ü it goes on behind it.
    let mut within =
        place.ask("GET", &format!("{path}&offset=3")).header("Accept: text/event-stream").open().await;
    let rest = within.event().await.unwrap().json();
    assert_eq!(rest["offset"], 4);
    assert!(rest["text"].as_str().unwrap().starts_with("h\n"), "{rest}");
    let mut raw = place.ask("GET", &path).open().await;
    assert_eq!(raw.line().await.as_deref(), Some("früh"));
    place.post(&format!("/v1/tasks/{id}/answer"), json!({"answer": "yes"})).await.with(204);
    let last = told.until(|event| event.data.contains("späť")).await;
    let resumed = last.id.clone().unwrap();
    assert_eq!(told.event().await.unwrap().kind, "end");
    assert_eq!(told.event().await, None);
    let again = place
        .ask("GET", &path)
        .header("Accept: text/event-stream")
        .header(&format!("Last-Event-ID: {resumed}"));
    assert_eq!(again.open().await.event().await.unwrap().kind, "end");
}

#[tokio::test]
async fn what_the_runner_reported_is_read_as_lines_and_as_events() {
    let place = Place::new().await;
    let steps = vec!["tool grep"; 600].join("; ");
    let id = place.run(&steps).await;
    let path = format!("/v1/tasks/{id}/events");
    let lines = place.get(&path).await.with(200);
    assert_eq!(lines.header("content-type"), Some("application/x-ndjson"));
    let lines: Vec<String> = lines.text().lines().map(ToOwned::to_owned).collect();
    assert!(lines.len() >= 600, "{}", lines.len());
    let events = async |from: Option<&str>| {
        let mut request = place.ask("GET", &path).header("Accept: text/event-stream");
        if let Some(from) = from {
            request = request.header(&format!("Last-Event-ID: {from}"));
        }
        let (mut open, mut events) = (request.open().await, Vec::new());
        while let Some(event) = open.event().await {
            events.push(event);
        }
        events
    };
    let all = events(None).await;
    assert_eq!(all.iter().map(|event| event.data.clone()).collect::<Vec<_>>(), lines);
    for (index, event) in all.iter().enumerate().filter(|(_, event)| event.id.is_some()) {
        let rest = events(event.id.as_deref()).await;
        let rest: Vec<&String> = rest.iter().map(|event| &event.data).collect();
        assert_eq!(rest, lines[index + 1..].iter().collect::<Vec<_>>(), "from {:?}", event.id);
    }
    let followed = place.get(&format!("{path}?follow=true")).await.with(200).text();
    assert_eq!(followed.lines().collect::<Vec<_>>(), lines);
}
