//! Output from its beginning, notices of the browser, and all of it over TLS.

use serde_json::json;

use super::browser::{logged_in, output_holds};
use super::world::Running;

#[tokio::test(flavor = "multi_thread")]
async fn what_lies_before_the_first_view_is_loaded_when_it_is_searched() {
    let running = Running::start().await;
    let Some(chrome) = logged_in("earlier", &running).await else { return };
    let script = "i=0; while [ $i -lt 60000 ]; do i=$((i+1)); echo \"line $i.\"; done";
    let id = running.submit(json!({"command": ["sh", "-c", script]})).await;
    chrome.go(&format!("{}/tasks/{id}", running.url)).await;
    chrome.until("it succeeds", "document.querySelector('#task-head .badge.s-succeeded')").await;
    chrome.go(&format!("{}/tasks/{id}", running.url)).await;
    chrome.until("the end is there", &output_holds("line 60000.")).await;
    assert_eq!(chrome.run(&format!("return Boolean({})", output_holds("line 7.\n"))).await, json!(false));
    chrome.type_into("#find", "line 7.\u{e007}").await;
    chrome
        .until("it is found", "document.querySelector('#output .hit.at')?.textContent.trim() === 'line 7.'")
        .await;
    let lines = chrome
        .run("return [...document.querySelectorAll('#output .l')].map((line) => line.textContent.trim())")
        .await;
    let lines = lines.as_array().unwrap();
    assert_eq!(lines.len(), 60_000, "all of it is there, once");
    for (index, line) in lines.iter().enumerate() {
        assert_eq!(line, &json!(format!("line {}.", index + 1)));
    }
    chrome.until("nothing is left out", "document.querySelector('#cut').hidden").await;
    chrome.end(&running.url, &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_browser_tells_of_failures_and_questions_once_it_was_asked_to() {
    let running = Running::start().await;
    let Some(chrome) = logged_in("notify", &running).await else { return };
    let stub = "window.notes = []; window.Notification = class { static permission = 'default'; \
        static async requestPermission() { Notification.permission = 'granted'; return 'granted'; } \
        constructor(title, options) { window.notes.push([title, options.body]); } }";
    chrome.before_each_page(stub).await;
    chrome.go(&running.url).await;
    chrome.until("the page is live", "document.querySelector('#live').dataset.state === 'on'").await;
    let fails = json!({"prompt": "fail it broke", "runner": "mock", "name": "Breaks"});
    running.submit(fails.clone()).await;
    chrome.until("it is told on the page", "document.querySelector('#failures .row')").await;
    assert_eq!(chrome.run("return window.notes").await, json!([]), "nobody asked to be told");
    chrome.click("#notify").await;
    chrome
        .until("it is on", "document.querySelector('#notify').getAttribute('aria-pressed') === 'true'")
        .await;
    running.submit(fails).await;
    chrome.until("the failure is told", "window.notes.some(([, body]) => body.includes('it broke'))").await;
    running.submit(json!({"prompt": "ask Which one", "runner": "mock", "name": "Asks"})).await;
    chrome.until("the question is told", "window.notes.length === 2").await;
    chrome.click("#notify").await;
    chrome
        .until("it is off", "document.querySelector('#notify').getAttribute('aria-pressed') === 'false'")
        .await;
    chrome.end(&running.url, &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn over_tls_pages_live_and_the_session_is_one_that_no_other_site_can_set() {
    let folder = tempfile::tempdir().unwrap();
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let files = ["cert.pem", "key.pem"].map(|name| folder.path().join(name).display().to_string());
    std::fs::write(&files[0], made.cert.pem()).unwrap();
    std::fs::write(&files[1], made.signing_key.serialize_pem()).unwrap();
    let [cert, key] = &files;
    let keys = [("CONDUCTOR__TLS__CERT_FILE", cert.as_str()), ("CONDUCTOR__TLS__KEY_FILE", key.as_str())];
    let running = Running::with(&keys).await;
    assert!(running.url.starts_with("https://"), "{}", running.url);
    let Some(chrome) = logged_in("tls", &running).await else { return };
    let cookies = chrome.client.get_all_cookies().await.unwrap();
    let session = cookies.iter().find(|cookie| cookie.name() == "__Host-conductor").unwrap();
    assert_eq!((session.secure(), session.http_only()), (Some(true), Some(true)));
    let id =
        running.submit(json!({"prompt": "print begun; sleep 500ms; print over", "runner": "mock"})).await;
    chrome.go(&format!("{}/tasks/{id}", running.url)).await;
    chrome.until("it goes on to its end", &output_holds("over")).await;
    chrome.until("it succeeds", "document.querySelector('#task-head .badge.s-succeeded')").await;
    chrome.end(&running.url, &[]).await;
}
