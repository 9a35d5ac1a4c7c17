//! The main job with the keyboard alone: the focus is seen wherever it stands, and no live update takes it away.

use serde_json::{Value, json};

use super::browser::output_holds;
use super::chrome::{Chrome, Look};
use super::world::Running;

const TAB: &str = "\u{e004}";
const ENTER: &str = "\u{e007}";
/// More places than any page has before what is looked for.
const MAX_PLACES: usize = 80;

/// Goes on with the tab key until the focus stands on what is looked for; every place on the way has to be seen.
async fn tab_to(chrome: &Chrome, css: &str) {
    let mut passed = Vec::new();
    for _ in 0..MAX_PLACES {
        chrome.press(TAB).await;
        let place = format!(
            "const at = document.activeElement; const box = at.getBoundingClientRect(); \
             const shown = (it) => {{ const style = getComputedStyle(it); return style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 1; }}; \
             const ring = shown(at) || (at.nextElementSibling && shown(at.nextElementSibling)) || Boolean(at.closest('.drop') && shown(at.closest('.drop'))); \
             return [at.matches({}), at === document.body || ring && box.width > 0 && box.height > 0, at.outerHTML.slice(0, 120)]",
            json!(css)
        );
        let told = chrome.run(&place).await;
        assert_eq!(told[1], json!(true), "nothing shows that the focus is on {}", told[2]);
        if told[0] == json!(true) {
            return;
        }
        passed.push(told[2].clone());
    }
    panic!("the tab key does not lead to {css}: {passed:#?}");
}

fn focus_is_on(css: &str) -> String {
    format!("document.activeElement.matches({})", json!(css))
}

/// A browser in which somebody has logged in without a mouse.
async fn logged_in(test: &str, running: &Running) -> Option<Chrome> {
    let chrome = Chrome::start(test, Look::default()).await?;
    let token = std::fs::read_to_string(running.world.home().token_file()).unwrap();
    chrome.go(&format!("{}/tasks", running.url)).await;
    chrome.until("the login waits for the token", &focus_is_on("[name=token]")).await;
    chrome.press(&format!("{}{ENTER}", token.trim())).await;
    live(&chrome, "/tasks").await;
    Some(chrome)
}

/// Waits for a page.
async fn live(chrome: &Chrome, path: &str) {
    let is_there = format!(
        "location.pathname.startsWith({}) && document.querySelector('#live')?.dataset.state === 'on'",
        json!(path)
    );
    chrome.until("the page is live", &is_there).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_is_submitted_followed_answered_and_ended_with_the_keyboard_alone() {
    let running = Running::start().await;
    let Some(chrome) = logged_in("keyboard", &running).await else { return };
    chrome.press("n").await;
    live(&chrome, "/tasks/new").await;
    chrome.until("the prompt has the focus", &focus_is_on("#prompt")).await;
    chrome.press("print begun; ask Which colour; print over; hang").await;
    tab_to(&chrome, "[name=runner]").await;
    chrome.press("mock").await;
    tab_to(&chrome, "#submit").await;
    chrome.press(ENTER).await;
    chrome.until("it prints", &output_holds("begun")).await;
    chrome.until("it asks", "document.querySelector('#answer')").await;
    tab_to(&chrome, "#answer").await;
    chrome.press("blue").await;
    tab_to(&chrome, "#answer-form .primary").await;
    chrome.press(ENTER).await;
    chrome.until("it goes on", &output_holds("over")).await;
    tab_to(&chrome, "#output").await;
    tab_to(&chrome, "#cancel").await;
    chrome.press(ENTER).await;
    chrome.until("it is cancelled", "document.querySelector('#task-head .badge.s-cancelled')").await;
    chrome.end(&running.url, &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_has_the_focus_keeps_it_while_the_page_changes_and_hands_it_on_when_it_goes() {
    let running = Running::start().await;
    let Some(chrome) = logged_in("focus", &running).await else { return };
    let waits =
        |name: &str| json!({"prompt": "wait", "runner": "mock", "requires": ["nobody"], "name": name});
    let mut ids = Vec::new();
    for name in ["last", "middle", "first"] {
        ids.push(running.submit(waits(name)).await);
    }
    let [last, middle, first] = &ids[..] else { unreachable!("three were submitted") };
    let cancel = async |id: &str| running.control().await.cancel(id.parse().unwrap(), None).await.unwrap();
    let rows = |count: usize| format!("document.querySelectorAll('#list tbody tr').length === {count}");
    let in_row = |id: &str| format!("document.activeElement.closest('tr')?.dataset.key === '{id}'");

    chrome.go(&format!("{}/tasks?state=queued", running.url)).await;
    live(&chrome, "/tasks").await;
    chrome.run("document.addEventListener('focusout', () => { window.left = true; })").await;
    chrome.press("jj").await;
    chrome.until("the keys lead to the second row", &in_row(middle)).await;
    chrome.run("window.left = false").await;
    cancel(first).await;
    chrome.until("the row above is gone", &rows(2)).await;
    let fresh = running.submit(waits("fresh")).await;
    chrome.until("another came", &rows(3)).await;
    let told = chrome.run(&format!("return [window.left, {}]", in_row(middle))).await;
    assert_eq!(told, json!([false, true]), "the focus was taken away for a moment, or for good");
    cancel(middle).await;
    chrome.until("the row itself is gone", &rows(2)).await;
    chrome.until("the next row has the focus", &in_row(last)).await;
    chrome.press("k").await;
    chrome.until("the keys go on from there", &in_row(&fresh)).await;

    chrome.press(ENTER).await;
    live(&chrome, &format!("/tasks/{fresh}")).await;
    tab_to(&chrome, "#cancel").await;
    cancel(&fresh).await;
    chrome.until("it is cancelled", "document.querySelector('#task-head .badge.s-cancelled')").await;
    let at = chrome
        .run("return [document.activeElement.closest('#task-head') !== null, document.activeElement.id]")
        .await;
    assert_eq!(at[0], Value::Bool(true), "the focus fell off the page");
    assert_ne!(at[1], json!("retry"), "what was to be cancelled is not begun anew by the same key");
    chrome.end(&running.url, &[]).await;
}
