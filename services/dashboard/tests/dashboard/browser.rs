//! What people do, in a browser.

use conductor_protocol::control::{AnswerBody, Presented};
use serde_json::{Value, json};

use super::chrome::{Chrome, Look};
use super::world::Running;

/// A browser that is logged in; nothing where there is none to test with.
pub async fn logged_in(test: &str, running: &Running) -> Option<Chrome> {
    let chrome = Chrome::start(test, Look::default()).await?;
    chrome.go(&running.login_link().await).await;
    chrome.until("the link has logged in", "document.querySelector('#states')").await;
    chrome.until("the page is live", "document.querySelector('#live').dataset.state === 'on'").await;
    Some(chrome)
}

pub fn output_holds(text: &str) -> String {
    format!("document.querySelector('#output')?.textContent.includes({})", json!(text))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_is_submitted_in_the_form_and_watched_to_its_end() {
    let running = Running::start().await;
    let Some(chrome) = logged_in("form", &running).await else { return };
    chrome.go(&format!("{}/tasks/new", running.url)).await;
    chrome.type_into("#prompt", "print begun; sleep 1500ms; write a.txt hello; print over").await;
    chrome.type_into("[name=runner]", "mock").await;
    chrome
        .until(
            "the command is told",
            "document.querySelector('#as-cli').textContent.includes('--runner mock')",
        )
        .await;
    chrome.click("#submit").await;
    chrome.until("it prints", &output_holds("begun")).await;
    chrome.run("window.sameView = true").await;
    chrome.until("it goes on", &output_holds("over")).await;
    chrome.until("it succeeds", "document.querySelector('#task-head .badge.s-succeeded')").await;
    chrome.until("it says that it is simulated", "document.querySelector('#task-facts .banner.note')").await;
    assert_eq!(chrome.run("return window.sameView").await, Value::Bool(true), "the view was loaded anew");
    chrome.go(&format!("{}/tasks", running.url)).await;
    chrome
        .until(
            "the list has it",
            "document.querySelector('tr .sim') && document.querySelector('tr .s-succeeded')",
        )
        .await;
    chrome.end(&running.url, &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_task_uses_grows_on_its_page_while_it_runs() {
    let running = Running::start().await;
    let Some(chrome) = logged_in("usage", &running).await else { return };
    let prompt = "use 1200 tokens; ask Go on; use 800 tokens; ask And on";
    let id = running.submit(json!({"prompt": prompt, "runner": "mock"})).await;
    chrome.go(&format!("{}/tasks/{id}", running.url)).await;
    let tells = |text: &str| format!("document.querySelector('#task-facts').textContent.includes('{text}')");
    chrome.until("it tells what was used", &tells("1.2k so far")).await;
    // Nothing but the use is to move the page.
    chrome.run("window.sameView = true; document.getElementById('task').dataset.task += 'x'").await;
    running.control().await.answer(id.parse().unwrap(), None, AnswerBody::Allow).await.unwrap();
    chrome.until("it tells that more was used", &tells("2k so far")).await;
    assert_eq!(chrome.run("return window.sameView").await, Value::Bool(true), "the view was loaded anew");
    chrome.run("const task = document.getElementById('task'); task.dataset.task = task.dataset.task.slice(0, -1)").await;
    running.control().await.answer(id.parse().unwrap(), None, AnswerBody::Allow).await.unwrap();
    chrome.until("it succeeds", "document.querySelector('#task-head .badge.s-succeeded')").await;
    chrome.until("what it used is all", &format!("!{}", tells("so far"))).await;
    chrome.end(&running.url, &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn output_is_on_the_page_as_soon_as_it_is_printed_and_a_click_ends_the_task() {
    let running = Running::start().await;
    let Some(chrome) = logged_in("output", &running).await else { return };
    // Each line says when it was printed, and the page notes when it shows it.
    let script = "i=0; while true; do i=$((i+1)); printf 'at %s \\033[31mred\\033[0m\\n' \"$(date +%s%3N)\"; sleep 0.1; done";
    let id = running.submit(json!({"command": ["sh", "-c", script]})).await;
    chrome.go(&format!("{}/tasks/{id}", running.url)).await;
    chrome.until("it prints", &output_holds("at ")).await;
    let watch = "window.late = []; new MutationObserver((changes) => { for (const change of changes) for (const node of change.addedNodes) { \
        const printed = /at (\\d+)/.exec(node.textContent); if (printed) window.late.push(Date.now() - Number(printed[1])); } }) \
        .observe(document.querySelector('#output'), { childList: true, subtree: true })";
    chrome.run(watch).await;
    chrome.until("thirty lines came", "window.late.length >= 30").await;
    chrome.until("colours are shown", "document.querySelector('#output i.f1')").await;
    let late =
        chrome.run("return window.late.sort((a, b) => a - b)[Math.floor(window.late.length / 2)]").await;
    assert!(
        late.as_i64().unwrap() < 200,
        "at the median a line was on the page {late} ms after it was printed"
    );
    chrome.click("#cancel").await;
    chrome.until("it is cancelled", "document.querySelector('#task-head .badge.s-cancelled')").await;
    chrome.end(&running.url, &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_question_is_counted_in_the_title_and_answered_on_its_page() {
    let running = Running::start().await;
    let Some(chrome) = logged_in("question", &running).await else { return };
    let id = running
        .submit(json!({"prompt": "ask Which colour; print done", "runner": "mock", "name": "Paint"}))
        .await;
    chrome.until("the title counts it", "document.title.startsWith('(1) ')").await;
    chrome
        .until(
            "the overview asks",
            "document.querySelector('#questions').textContent.includes('Which colour')",
        )
        .await;
    chrome.click("#questions a.row").await;
    chrome.type_into("#answer", "blue & <b>green</b>").await;
    chrome.click("#answer-form .primary").await;
    chrome.until("it goes on to its end", "document.querySelector('#task-head .badge.s-succeeded')").await;
    chrome.until("nothing waits any more", "!document.title.startsWith('(')").await;
    chrome.go(&format!("{}/tasks/{id}?tab=activity", running.url)).await;
    chrome
        .until(
            "the answer is told",
            "document.querySelector('#activity').textContent.includes('blue & <b>green</b>')",
        )
        .await;
    chrome.end(&running.url, &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_typing_an_answer_is_told_that_it_is_not_asked_any_more_and_then_what_is() {
    let running = Running::start().await;
    let Some(chrome) = logged_in("question-gone", &running).await else { return };
    let id = running
        .submit(json!({"prompt": "ask Which colour; ask Which shape; print done", "runner": "mock"}))
        .await;
    chrome.go(&format!("{}/tasks/{id}", running.url)).await;
    chrome.type_into("#answer", "blue").await;
    let answer = AnswerBody::Text("red".to_owned());
    running.control().await.answer(id.parse().unwrap(), None, answer).await.unwrap();
    let gone = "!document.querySelector('[data-gone]').hidden && \
        [...document.querySelectorAll('#answer-form button')].every((button) => button.disabled)";
    chrome.until("it says that it is over", gone).await;
    assert_eq!(chrome.run("return document.querySelector('#answer').value").await, json!("blue"));
    chrome.run("const it = document.querySelector('#answer'); it.value = ''; it.blur()").await;
    let next = "document.querySelector('#question .question')?.textContent === 'Which shape'";
    chrome.until("it shows what is asked now", next).await;
    chrome.type_into("#answer", "round").await;
    chrome.click("#answer-form .primary").await;
    chrome.until("it goes on to its end", "document.querySelector('#task-head .badge.s-succeeded')").await;
    chrome.end(&running.url, &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_says_that_it_is_stale_and_goes_on_when_the_orchestrator_is_back() {
    let mut running = Running::start().await;
    let Some(chrome) = logged_in("restart", &running).await else { return };
    let script = "i=0; while [ $i -lt 600 ]; do i=$((i+1)); echo \"line $i.\"; sleep 0.1; done";
    let id = running.submit(json!({"command": ["sh", "-c", script]})).await;
    chrome.go(&format!("{}/tasks/{id}", running.url)).await;
    chrome.until("it prints", &output_holds("line 3.")).await;
    chrome.run("window.sameView = true").await;
    let url = running.url.clone();
    running
        .restart(chrome.until(
            "the page says that it is stale",
            "document.querySelector('#live').dataset.state === 'stale'",
        ))
        .await;
    chrome.until("the page is live again", "document.querySelector('#live').dataset.state === 'on'").await;
    let last = chrome.run("return document.querySelectorAll('#output .l').length").await.as_u64().unwrap();
    chrome.until("output goes on", &output_holds(&format!("line {}.", last + 10))).await;
    let lines = chrome
        .run("return [...document.querySelectorAll('#output .l')].map((line) => line.textContent.trim())")
        .await;
    for (index, line) in lines.as_array().unwrap().iter().enumerate() {
        assert_eq!(
            line,
            &json!(format!("line {}.", index + 1)),
            "no line is missing and none is there twice"
        );
    }
    assert_eq!(chrome.run("return window.sameView").await, Value::Bool(true), "the view was loaded anew");
    chrome.end(&url, &["WebSocket connection to"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_task_prints_and_writes_stays_text() {
    let running = Running::start().await;
    let Some(chrome) = logged_in("script", &running).await else { return };
    let evil = "<script>window.top.pwned=1</script><img src=x onerror=window.pwned=1>";
    let prompt = format!(
        "print {evil}\nwrite x.html {evil}\nwrite x.svg <svg xmlns='http://www.w3.org/2000/svg' onload='window.pwned=1'/>\n{evil}\nfail {evil}"
    );
    let id = running.submit(json!({"prompt": prompt, "runner": "mock", "name": evil})).await;
    let page = format!("{}/tasks/{id}", running.url);
    chrome.go(&page).await;
    chrome.until("it fails", "document.querySelector('#task-head .badge.s-failed')").await;
    chrome.until("it printed", &output_holds("<script>")).await;
    for tab in [
        "?tab=activity",
        "?tab=files&file=x.html",
        "?tab=files&file=x.svg",
        "?tab=diff",
        "?tab=diff&view=split",
        "?tab=details",
    ] {
        chrome.go(&format!("{page}{tab}")).await;
        chrome.until("the view is there", "document.querySelector('#task')").await;
        let told = chrome
            .run("return [window.pwned, document.querySelectorAll('main script, main img').length]")
            .await;
        assert_eq!(told, json!([null, 0]), "{tab}");
    }
    chrome.go(&format!("{}/", running.url)).await;
    chrome
        .until(
            "the overview tells it",
            "document.querySelector('#failures').textContent.includes('<script>')",
        )
        .await;
    assert_eq!(chrome.run("return window.pwned").await, Value::Null);
    // What is served is a download, or text in a place of its own.
    let asked = format!(
        "const told = await fetch('{page}/files/x.html'); return [told.headers.get('content-disposition'), told.headers.get('content-security-policy'), told.headers.get('content-type')]"
    );
    let told = chrome.run(&format!("return (async () => {{ {asked} }})()")).await;
    assert!(told[0].as_str().unwrap().starts_with("attachment"), "{told}");
    assert!(told[1].as_str().unwrap().starts_with("sandbox"), "{told}");
    let asked = format!(
        "const bytes = new Uint8Array(await (await fetch('{page}/archive')).arrayBuffer()); \
         return [bytes.length % 512, new TextDecoder().decode(bytes.slice(0, 6)), bytes.length >= 6 * 512]"
    );
    let told = chrome.run(&format!("return (async () => {{ {asked} }})()")).await;
    assert_eq!(told, json!([0, "x.html", true]), "the archive is whole");
    chrome.end(&running.url, &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_language_switches_and_keys_lead_about() {
    let running = Running::start().await;
    let Some(chrome) = logged_in("language", &running).await else { return };
    chrome.click("#language").await;
    chrome
        .until(
            "the page is Japanese",
            "document.documentElement.lang === 'ja' && document.querySelector('h1').textContent === '概要'",
        )
        .await;
    chrome.type_into("body", "gt").await;
    chrome
        .until(
            "g t leads to the tasks",
            "location.pathname === '/tasks' && document.querySelector('h1').textContent === 'タスク'",
        )
        .await;
    chrome.type_into("body", "/").await;
    chrome.until("/ leads to the search", "document.activeElement.type === 'search'").await;
    chrome.end(&running.url, &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_whose_session_has_ended_leads_to_the_login() {
    let running = Running::start().await;
    let Some(chrome) = logged_in("session", &running).await else { return };
    let cookies = chrome.client.get_all_cookies().await.unwrap();
    let secret = cookies.iter().find(|cookie| cookie.name() == "conductor").unwrap().value().to_owned();
    let digest = conductor_web::digest(&secret);
    running.control().await.close_session(Presented { digest, address: None }).await.unwrap();
    chrome
        .until(
            "the page is not live any more",
            "document.querySelector('#live')?.dataset.state === 'stale' || location.pathname === '/login'",
        )
        .await;
    chrome.go(&format!("{}/tasks", running.url)).await;
    chrome.until("the login is there", "location.pathname === '/login'").await;
    chrome.end(&running.url, &["WebSocket connection to"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_view_is_wider_than_a_phone_and_every_field_has_a_label() {
    let running = Running::start().await;
    let Some(chrome) = logged_in("phone", &running).await else { return };
    chrome.become_a_phone().await;
    let long = "w".repeat(200);
    let prompt = format!("print {long}; write src/{}.rs fn main() {{}}; fail {long}", "d".repeat(80));
    let id = running.submit(json!({"prompt": prompt, "runner": "mock", "name": long})).await;
    chrome.go(&format!("{}/tasks/{id}", running.url)).await;
    chrome.until("it fails", "document.querySelector('#task-head .badge.s-failed')").await;
    let tabs = ["", "?tab=activity", "?tab=files", "?tab=diff", "?tab=diff&view=split", "?tab=details"]
        .map(|tab| format!("/tasks/{id}{tab}"));
    let views = ["/", "/tasks", "/tasks/new", "/queue", "/agents", "/schedules", "/audit", "/settings"]
        .map(str::to_owned);
    for path in views.into_iter().chain(tabs).chain([format!("/compare/{id}/{id}")]) {
        chrome.go(&format!("{}{path}", running.url)).await;
        let width = chrome.run("return document.documentElement.scrollWidth").await;
        assert!(width.as_u64().unwrap() <= 390, "{path} is {width} wide");
        let bare = "return [...document.querySelectorAll('input:not([type=hidden]), select, textarea')].filter((field) => \
            !field.labels?.length && !field.getAttribute('aria-label')).map((field) => field.name || field.id)";
        assert_eq!(chrome.run(bare).await, json!([]), "{path}");
        let nameless = "return [...document.querySelectorAll('button, a')].filter((it) => !it.textContent.trim() && !it.getAttribute('aria-label')).length";
        assert_eq!(chrome.run(nameless).await, json!(0), "{path}");
    }
    chrome.end(&running.url, &[]).await;
}
