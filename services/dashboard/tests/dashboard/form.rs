//! The form for a task, in a browser.

use serde_json::{Value, json};

use super::browser::{logged_in, output_holds};
use super::world::Running;

const PICK_FILES: &str = "const all = new DataTransfer(); \
    all.items.add(new File(['print(1)'], 'src/a.py')); all.items.add(new File(['gone'], 'gone.txt')); \
    const input = document.querySelector('[name=files]'); input.files = all.files; \
    input.dispatchEvent(new Event('change', { bubbles: true }));";

#[tokio::test(flavor = "multi_thread")]
async fn what_the_form_says_of_itself_is_the_task_that_it_submits() {
    let running = Running::start().await;
    let Some(chrome) = logged_in("form-equivalent", &running).await else { return };
    let first = running.submit(json!({"prompt": "fail on purpose", "runner": "mock"})).await;
    chrome.go(&format!("{}/tasks/new", running.url)).await;
    chrome.click(".segments label:nth-child(2)").await;
    chrome.type_into("#prompt", "sh -c 'cat src/a.py; ls; echo \"$WHAT\"'").await;
    chrome.type_into("[name=timeout]", "1m30s").await;
    chrome.type_into("[name=labels]", "team:web").await;
    chrome.click(".folded summary").await;
    chrome.type_into("[name=depends_on]", &first).await;
    chrome.run("document.querySelector('[name=on_dependency_failure]').value = 'run'").await;
    chrome.type_into("[name=env]", "WHAT=a b=c").await;
    chrome.run(PICK_FILES).await;
    chrome.click("#chosen li:nth-child(2) button").await;
    let told = chrome.run("return document.querySelector('#as-cli').textContent").await;
    let told = told.as_str().unwrap().replace(" \\\n ", "");
    let wanted = format!(
        "conductor submit --timeout 1m30s --label team=web --after {first} --on-dependency-failure run \
         --env 'WHAT=a b=c' --file src/a.py -- sh -c 'cat src/a.py; ls; echo \"$WHAT\"'"
    );
    assert_eq!(told, wanted);
    let curl = chrome.run("return document.querySelector('#as-curl').textContent").await;
    for part in
        ["\"timeout_seconds\": 90", "\"on_dependency_failure\": \"run\"", "\"command\": [ \"sh\", \"-c\""]
    {
        assert!(curl.as_str().unwrap().contains(part), "{part} is not in {curl}");
    }
    chrome.click("#submit").await;
    chrome.until("it ran with its file", &output_holds("print(1)")).await;
    chrome.until("it had its variable", &output_holds("a b=c")).await;
    let text = chrome.run("return document.querySelector('#output').textContent").await;
    assert!(!text.as_str().unwrap().contains("gone.txt"), "what was taken out was sent: {text}");
    chrome.end(&running.url, &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_is_cloned_into_the_form_and_submitted_by_keyboard_alone() {
    let running = Running::start().await;
    let Some(chrome) = logged_in("clone", &running).await else { return };
    let task = json!({
        "prompt": "print cloned; fail on purpose", "runner": "mock", "name": "Original", "priority": 8,
        "labels": {"team": "web"}, "timeout_seconds": 90,
    });
    let id = running.submit(task).await;
    chrome.go(&format!("{}/tasks/new?clone={id}", running.url)).await;
    let read = "return ['prompt', 'runner', 'name', 'priority', 'labels', 'timeout'].map((name) => document.querySelector(`[name=${name}]`).value)";
    let told = chrome.run(read).await;
    assert_eq!(told, json!(["print cloned; fail on purpose", "mock", "Original", "8", "team:web", "1m30s"]));
    chrome.type_into("#prompt", "\u{e009}\u{e007}").await;
    chrome.until("Ctrl and Enter submit it", &output_holds("cloned")).await;
    let other = chrome.run("return document.querySelector('#task').dataset.task").await;
    assert_ne!(other, Value::String(id));
    // What is refused keeps what was typed.
    chrome.type_into("body", "n").await;
    chrome.type_into("#prompt", "kept words").await;
    chrome.run("document.querySelector('[name=labels]').value = 'no label'").await;
    chrome.click("#submit").await;
    chrome.until("it is refused", "document.querySelector('#problem')").await;
    assert_eq!(chrome.run("return document.querySelector('#prompt').value").await, json!("kept words"));
    chrome.end(&running.url, &["the server responded with a status of 400"]).await;
}
