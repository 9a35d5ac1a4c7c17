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
    chrome.click("#more-settings summary").await;
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

#[tokio::test(flavor = "multi_thread")]
async fn a_repository_and_what_verifies_it_are_told_submitted_and_cloned() {
    let running = Running::start().await;
    let Some(chrome) = logged_in("form-git", &running).await else { return };
    chrome.go(&format!("{}/tasks/new", running.url)).await;
    chrome.type_into("#prompt", "print x").await;
    chrome.type_into("[name=runner]", "mock").await;
    chrome.type_into("[name=verify]", "cargo test && ls").await;
    chrome.click("#repository summary").await;
    chrome.type_into("[name=git_url]", "https://git.invalid/me/app.git").await;
    chrome.type_into("[name=git_ref]", "release-2").await;
    chrome.click("[name=git_submodules]").await;
    chrome.click("[name=git_lfs]").await;
    let shown =
        "return [...document.querySelectorAll('#repository [data-for]')].filter((it) => !it.hidden).length";
    assert_eq!(chrome.run(shown).await, json!(0), "nothing is pushed yet");
    let choose = "const select = document.querySelector('[name=git_push]'); select.value = 'request'; \
        select.dispatchEvent(new Event('change', { bubbles: true }));";
    chrome.run(choose).await;
    assert_eq!(chrome.run(shown).await, json!(3));
    chrome.type_into("[name=git_branch]", "fix/{id}").await;
    chrome.type_into("[name=pr_title]", "Mend it").await;
    chrome.type_into("[name=pr_base]", "main").await;
    let told = chrome.run("return document.querySelector('#as-cli').textContent").await;
    assert_eq!(
        told.as_str().unwrap().replace(" \\\n ", ""),
        "conductor submit --runner mock --git 'https://git.invalid/me/app.git#release-2' --submodules --lfs --pr --pr-ready \
         --branch 'fix/{id}' --pr-title 'Mend it' --pr-base main --verify 'cargo test && ls' 'print x'"
    );
    let curl = chrome.run("return document.querySelector('#as-curl').textContent").await;
    for part in
        ["\"ref\": \"release-2\"", "\"draft\": false", "\"verify\": [ \"sh\", \"-c\", \"cargo test && ls\" ]"]
    {
        assert!(curl.as_str().unwrap().contains(part), "{part} is not in {curl}");
    }
    chrome.click("#submit").await;
    chrome.until("it is there", "document.querySelector('#task')").await;
    let id = chrome.run("return document.querySelector('#task').dataset.task").await;
    let id = id.as_str().unwrap();
    let task = running.control().await.get(id.parse().unwrap()).await.unwrap();
    assert_eq!(
        serde_json::to_value(task.workspace).unwrap(),
        json!({"git": {
            "url": "https://git.invalid/me/app.git", "ref": "release-2", "submodules": true, "lfs": true, "branch": "fix/{id}",
            "pull_request": {"title": "Mend it", "base": "main", "draft": false},
        }})
    );
    assert_eq!(task.verify.unwrap(), ["sh", "-c", "cargo test && ls"]);
    chrome.go(&format!("{}/tasks/new?clone={id}", running.url)).await;
    let again = chrome.run("return document.querySelector('#as-cli').textContent").await;
    let settings = |text: &Value| {
        let lines = text.as_str().unwrap().lines().map(|line| line.trim().to_owned());
        lines
            .filter(|line| {
                ["--git", "--submodules", "--lfs", "--pr ", "--pr-", "--branch", "--verify"]
                    .iter()
                    .any(|it| line.starts_with(it))
            })
            .collect::<Vec<_>>()
    };
    assert_eq!((settings(&again), settings(&again).len()), (settings(&told), 9));
    chrome.end(&running.url, &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_priority_that_nobody_chose_is_not_sent_and_what_few_tasks_need_is() {
    let running = Running::start().await;
    let Some(chrome) = logged_in("form-more", &running).await else { return };
    chrome.go(&format!("{}/tasks/new", running.url)).await;
    let sent = "return new FormData(document.querySelector('#new')).get('priority')";
    assert_eq!(chrome.run(sent).await, Value::Null);
    let move_it = "const it = document.querySelector('[name=priority]'); it.value = '5'; \
        it.dispatchEvent(new Event('input', { bubbles: true }));";
    chrome.run(move_it).await;
    assert_eq!(chrome.run(sent).await, json!("5"), "who moves it back to the middle means the middle");
    for (name, text) in [("runner", "claude"), ("model", "opus"), ("max_turns", "9"), ("max_attempts", "3")] {
        chrome.type_into(&format!("[name={name}]"), text).await;
    }
    let choose = "const it = document.querySelector('[name=permission]'); it.value = 'ask'; \
        it.dispatchEvent(new Event('change', { bubbles: true }));";
    chrome.run(choose).await;
    chrome.click("#more-settings summary").await;
    for (name, text) in [
        ("backoff", "1m"),
        ("copy", "/srv/app"),
        ("secrets", "A, B"),
        ("webhook", "https://a.example/"),
        ("webhook_secret", "HOOK"),
    ] {
        chrome.type_into(&format!("[name={name}]"), text).await;
    }
    chrome.click("[name=may_submit]").await;
    chrome.type_into("#prompt", "do it").await;
    let told = chrome.run("return document.querySelector('#as-cli').textContent").await;
    assert_eq!(
        told.as_str().unwrap().replace(" \\\n ", ""),
        "conductor submit --runner claude --model opus --permission ask --priority 5 --max-turns 9 --retries 2 --backoff 1m \
         --copy /srv/app --secret A --secret B --webhook https://a.example/ --webhook-secret HOOK --may-submit \
         'do it'"
    );
    let curl = chrome.run("return document.querySelector('#as-curl').textContent").await;
    for part in [
        r#""retry": { "max_attempts": 3, "backoff_seconds": 60 }"#,
        r#""workspace": { "copy": "/srv/app" }"#,
        r#""secrets": [ "A", "B" ]"#,
        r#""webhook": { "url": "https://a.example/", "secret": "HOOK" }"#,
        r#""may_submit": true"#,
        r#""permission": "ask""#,
    ] {
        assert!(curl.as_str().unwrap().contains(part), "{part} is not in {curl}");
    }
    chrome.end(&running.url, &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_that_stands_for_its_subtasks_is_submitted_from_the_form() {
    let running = Running::start().await;
    let Some(chrome) = logged_in("form-subtasks", &running).await else { return };
    chrome.go(&format!("{}/tasks/new", running.url)).await;
    chrome.type_into("[name=runner]", "mock").await;
    chrome.click("#more-settings summary").await;
    chrome.type_into("[name=subtasks]", "print one\nprint two").await;
    let told = chrome.run("return document.querySelector('#as-cli').textContent").await;
    let (head, json) = told.as_str().unwrap().split_once('\n').unwrap();
    assert_eq!(head, "conductor submit -f - <<'END'");
    let body: Value = serde_json::from_str(json.strip_suffix("\nEND").unwrap()).unwrap();
    let below = json!([{"prompt": "print one", "runner": "mock"}, {"prompt": "print two", "runner": "mock"}]);
    assert_eq!(body, json!({"runner": "mock", "subtasks": below}));
    chrome.click("#submit").await;
    chrome.until("both are below it", "document.querySelectorAll('#subtasks li').length === 2").await;
    chrome.until("it has ended", "document.querySelector('.badge.s-succeeded')").await;
    chrome.end(&running.url, &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_that_is_dropped_comes_with_the_paths_below_it() {
    let running = Running::start().await;
    let Some(chrome) = logged_in("form-drop", &running).await else { return };
    let place = tempfile::tempdir().unwrap();
    let folder = place.path().join("kit");
    std::fs::create_dir_all(folder.join("src/deep")).unwrap();
    for (path, text) in [("a.txt", "one"), ("src/b.txt", "two"), ("src/deep/c.txt", "three")] {
        std::fs::write(folder.join(path), text).unwrap();
    }
    std::fs::write(place.path().join("alone.txt"), "four").unwrap();
    chrome.go(&format!("{}/tasks/new", running.url)).await;
    chrome.click(".segments label:nth-child(2)").await;
    chrome.type_into("#prompt", "sh -c 'cat kit/a.txt kit/src/b.txt kit/src/deep/c.txt alone.txt'").await;
    let alone = place.path().join("alone.txt");
    chrome.drop_on_page(&[folder.to_str().unwrap(), alone.to_str().unwrap()]).await;
    chrome.until("all of it is listed", "document.querySelectorAll('#chosen li').length === 4").await;
    chrome.click("#submit").await;
    chrome.until("it ran with them", &output_holds("onetwothreefour")).await;
    chrome.end(&running.url, &[]).await;
}
