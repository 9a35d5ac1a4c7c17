//! Long lists, in a browser.

use serde_json::json;

use super::browser::logged_in;
use super::world::Running;

/// Tasks that nobody can run.
fn waiting(count: usize) -> Vec<serde_json::Value> {
    let task = |number| json!({"prompt": format!("wait {number}"), "runner": "mock", "requires": ["nobody"]});
    (0..count).map(task).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn of_thousands_of_rows_only_those_that_changed_are_touched() {
    let running = Running::start().await;
    let Some(chrome) = logged_in("rows", &running).await else { return };
    for _ in 0..2 {
        running.submit_all(&waiting(990)).await;
    }
    chrome.go(&format!("{}/tasks?rows=2000", running.url)).await;
    chrome.until("the rows are there", "document.querySelectorAll('#list tbody tr').length === 1980").await;
    let watch = "window.touched = new Set(); const rows = document.querySelector('#list tbody'); window.last = rows.lastElementChild; \
        new MutationObserver((changes) => { for (const change of changes) { const at = change.target.nodeType === 1 ? change.target : change.target.parentNode; \
        const time = at?.closest('time, [data-since]'); const row = at?.closest('tr'); if (row && !time) window.touched.add(row.dataset.key); } }) \
        .observe(rows, { childList: true, subtree: true, attributes: true, characterData: true })";
    chrome.run(watch).await;
    let fresh = running.submit(json!({"prompt": "print new", "runner": "mock", "name": "Newest"})).await;
    chrome
        .until(
            "the new task is at the top and has ended",
            &format!("document.querySelector('#list tbody tr[data-key=\"{fresh}\"] .s-succeeded')"),
        )
        .await;
    let told = chrome.run("return [window.last.isConnected, [...window.touched]]").await;
    assert_eq!(told[0], json!(true), "the rows were made anew");
    let touched = told[1].as_array().unwrap();
    assert!(touched.iter().all(|key| *key == json!(fresh)), "{} rows were touched", touched.len());
    chrome.end(&running.url, &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_are_selected_by_keyboard_and_ended_and_a_filter_is_kept() {
    let running = Running::start().await;
    let Some(chrome) = logged_in("selected", &running).await else { return };
    let ids = running.submit_all(&waiting(3)).await;
    chrome.go(&format!("{}/tasks?state=queued", running.url)).await;
    chrome.type_into("body", "jxjx").await;
    chrome.until("two are selected", "document.querySelector('#picked .count').textContent === '2'").await;
    chrome.until("two can be compared", "!document.querySelector('#compare').hidden").await;
    chrome.click("#picked button:first-of-type").await;
    chrome.client.accept_alert().await.unwrap();
    chrome.until("one is left", "document.querySelectorAll('#list tbody tr').length === 1").await;
    let left = chrome.run("return document.querySelector('#list tbody tr').dataset.key").await;
    assert_eq!(left, json!(ids[0]), "the newest stand first");
    chrome.click("#save-filter").await;
    chrome.client.send_alert_text("Waits").await.unwrap();
    chrome.client.accept_alert().await.unwrap();
    chrome.go(&format!("{}/tasks", running.url)).await;
    chrome.until("the filter is kept", "document.querySelector('#saved a')?.textContent === 'Waits'").await;
    chrome.click("#saved a").await;
    chrome.until("it leads back", "location.search === '?state=queued'").await;
    chrome.end(&running.url, &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_parent_lists_its_subtasks_and_how_they_stand() {
    let running = Running::start().await;
    let Some(chrome) = logged_in("subtasks", &running).await else { return };
    let below = json!([
        {"prompt": "print a", "runner": "mock", "name": "Build"},
        {"prompt": "ask Go on", "runner": "mock", "name": "Test"},
    ]);
    let id = running.submit(json!({"name": "Release", "subtasks": below})).await;
    chrome.go(&format!("{}/tasks/{id}", running.url)).await;
    let state = |name: &str, state: &str| {
        format!(
            "[...document.querySelectorAll('#subtasks .row')].some((row) => row.textContent.includes('{name}') && row.querySelector('.s-{state}'))"
        )
    };
    chrome.until("one has ended", &state("Build", "succeeded")).await;
    chrome.until("one waits", &state("Test", "waiting")).await;
    chrome.click("#subtasks .card-head a").await;
    chrome.until("all are listed", "document.querySelectorAll('#list tbody tr').length === 2").await;
    chrome.end(&running.url, &[]).await;
}
