//! Writes the pictures of the documentation: `cargo test -p conductor-dashboard -- --ignored screenshots`.
//!
//! Those of every view, for who changes how they look, go to the folder that `CONDUCTOR_WRITE_PICTURES` names.

use std::path::Path;

use conductor_testkit::world::World;
use serde_json::json;

use super::chrome::{Chrome, Look};
use super::world::Running;

/// Says, as Claude Code does, what it used and cost. One task fails the first time.
const CODING_AGENT: &str = r#"
printf '{"type":"system","subtype":"init","session_id":"s","model":"m"}\n'
printf '{"type":"assistant","message":{"id":"m1","content":[{"type":"text","text":"Looking at the tests."}],'
printf '"usage":{"input_tokens":48210,"output_tokens":1930}}}\n'
sleep 2
cost=0.4162 error=false
if [ "$(cat)" = "Mend the flaky test" ] && [ ! -e "$0.tried" ]; then touch "$0.tried"; cost=1.2810; error=true; fi
printf '{"type":"result","subtype":"success","is_error":%s,"result":"Mended the test.","num_turns":4,' $error
printf '"total_cost_usd":%s,"usage":{"input_tokens":48210,"output_tokens":1930}}\n' $cost
[ $error = false ]
"#;

/// A world in which a coding agent costs something.
fn costly() -> World {
    let world = World::new();
    std::fs::create_dir_all(&world.home().config).unwrap();
    let script = world.home().config.join("agent.sh");
    std::fs::write(&script, CODING_AGENT).unwrap();
    let coder = json!({"command": ["sh", script], "output": "claude-stream-json"});
    let config = json!({
        "sandbox": {"mode": "off"},
        "runners": {"coder": coder},
        "budgets": {"day_usd": 20, "day_tokens": 2_000_000, "groups": {"docs": {"day_usd": 2}}},
    });
    std::fs::write(world.home().config_file(), config.to_string()).unwrap();
    world
}

/// Work that makes the pages look lived in.
async fn fill(running: &Running) -> [String; 3] {
    let names = [
        "Refactor the parser",
        "Write tests for the scheduler",
        "Review the pull request 481",
        "Fix the flaky login test",
        "Explain the memory growth",
        "Update the changelog",
    ];
    for (index, name) in names.iter().enumerate() {
        let prompt = format!(
            "print working; tool Bash; use {} tokens; write notes-{index}.md done; sleep {}ms",
            900 + index * 731,
            120 * index
        );
        running.submit(json!({"prompt": prompt, "runner": "mock", "name": name, "labels": {"team": if index % 2 == 0 { "web" } else { "core" }}})).await;
    }
    let retry = json!({"max_attempts": 2, "backoff_seconds": 0});
    let coded = |name: &str, group: &str| json!({"prompt": name, "runner": "coder", "name": name, "group": group, "budget_usd": 3, "retry": retry});
    let spent = running.submit(coded("Mend the flaky test", "default")).await;
    running.submit(coded("Describe the new API", "docs")).await;
    running.submit(json!({"prompt": "sleep 300ms; fail the build broke in src/parser.rs:118", "runner": "mock", "name": "Upgrade the compiler"})).await;
    running.submit(json!({"prompt": "print looking; ask May I drop the table sessions_old?", "runner": "mock", "name": "Migrate the database"})).await;
    let script = r#"i=0; printf '\033[1m$ cargo test\033[0m\n'; for name in parses_a_plan keeps_order retries_once finds_nothing ends_in_time; do printf 'test %s ... \033[32mok\033[0m\n' $name; done; printf 'test \033[1mholds_under_load\033[0m ... \033[31mFAILED\033[0m\n\033[33mwarning\033[0m: unused variable \033[36m`lease`\033[0m\n'; while [ $i -lt 900 ]; do i=$((i+1)); printf '\033[2m%03d\033[0m still looking\n' $i; sleep 1; done"#;
    let live = running
        .submit(json!({"command": ["sh", "-c", script], "name": "Find out why the load test fails"}))
        .await;
    for number in 0..3 {
        running.submit(json!({"prompt": "sleep 600s", "runner": "mock", "name": format!("Translate chapter {}", number + 1), "priority": 3})).await;
    }
    let edit = "write src/lib.rs pub fn answer() -> u32 { 42 }\nwrite README.md # Answer";
    let changed = running
        .submit(json!({"prompt": edit, "runner": "mock", "name": "Add the answer", "priority": 10}))
        .await;
    let over = running.control().await.wait(spent.parse().unwrap(), 60_000).await.unwrap();
    assert!(over.state.is_terminal(), "{over:#?}");
    [live, changed, spent]
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "writes pictures into docs/images"]
async fn screenshots_of_the_main_views() {
    let running = Running::of(costly(), &[]).await;
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/images");
    std::fs::create_dir_all(&folder).unwrap();
    let [live, changed, _] = fill(&running).await;
    let views = [
        ("overview", "/?range=1h".to_owned()),
        ("tasks", "/tasks".to_owned()),
        ("task", format!("/tasks/{live}")),
        ("changes", format!("/tasks/{changed}?tab=diff")),
        ("new-task", "/tasks/new?prompt=Find+out+why+the+nightly+build+is+slow,+and+mend+it&name=Nightly+build&priority=7&timeout=45m&labels=team:web".to_owned()),
        ("agents", "/agents".to_owned()),
    ];
    for language in ["en-US", "ja"] {
        for is_dark in [false, true] {
            let look = Look { language, is_dark, ..Look::default() };
            let Some(chrome) = Chrome::start("screenshots", look).await else { return };
            chrome.go(&running.login_link().await).await;
            chrome.until("the link has logged in", "document.querySelector('#states')").await;
            for (name, path) in &views {
                chrome.go(&format!("{}{path}", running.url)).await;
                chrome
                    .until("the page is live", "document.querySelector('#live').dataset.state === 'on'")
                    .await;
                let picture = chrome.client.screenshot().await.unwrap();
                let theme = if is_dark { "dark" } else { "light" };
                let file = format!("{name}-{}-{theme}.png", &language[..2]);
                std::fs::write(folder.join(file), picture).unwrap();
            }
            chrome.end(&running.url, &[]).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "writes pictures for who changes how the pages look"]
async fn screenshots_of_every_view() {
    let Some(folder) = std::env::var_os("CONDUCTOR_WRITE_PICTURES") else { return };
    let folder = Path::new(&folder);
    std::fs::create_dir_all(folder).unwrap();
    let running = Running::of(costly(), &[]).await;
    let [live, changed, spent] = fill(&running).await;
    let cron = json!({"cron": "0 3 * * *", "time_zone": "Asia/Tokyo", "task": {"prompt": "Tidy up", "name": "Nightly"}});
    let schedule = serde_json::from_value(cron).unwrap();
    running.control().await.add_schedule(schedule).await.unwrap();
    let gpu = running
        .submit(json!({"prompt": "train", "runner": "mock", "requires": ["gpu"], "name": "Train"}))
        .await;
    let verified = json!({
        "prompt": "print x; fail no luck", "runner": "mock", "name": "Mend the build", "verify": ["sh", "-c", "cargo test"],
        "workspace": {"git": {"url": "https://git.invalid/me/app.git", "ref": "main", "pull_request": {"base": "main"}}},
    });
    let git = running.submit(verified).await;
    let of_task = |tab: &str| format!("/tasks/{changed}?tab={tab}");
    let views = [
        ("overview", "/?range=1h".to_owned()),
        ("tasks", "/tasks".to_owned()),
        ("live", format!("/tasks/{live}")),
        ("spent", format!("/tasks/{spent}")),
        ("attempts", format!("/tasks/{spent}?tab=details")),
        ("waits", format!("/tasks/{gpu}")),
        ("failed", format!("/tasks/{git}")),
        ("git", format!("/tasks/{git}?tab=details")),
        ("details", of_task("details")),
        ("activity", of_task("activity")),
        ("files", of_task("files")),
        ("changes", of_task("diff")),
        ("split", format!("{}&view=split", of_task("diff"))),
        ("compare", format!("/compare/{changed}/{git}")),
        ("clone", format!("/tasks/new?clone={git}")),
        ("new", "/tasks/new".to_owned()),
        ("queue", "/queue".to_owned()),
        ("agents", "/agents".to_owned()),
        ("schedules", "/schedules".to_owned()),
        ("audit", "/audit".to_owned()),
        ("settings", "/settings".to_owned()),
    ];
    for (language, is_dark, is_phone) in
        [("en-US", false, false), ("ja", true, false), ("ja", false, true), ("en-US", true, true)]
    {
        let look = Look { language, is_dark, ..Look::default() };
        let Some(chrome) = Chrome::start("every view", look).await else { return };
        if is_phone {
            chrome.become_a_phone().await;
        }
        chrome.go(&running.login_link().await).await;
        chrome.until("the link has logged in", "document.querySelector('#states')").await;
        for (name, path) in &views {
            chrome.go(&format!("{}{path}", running.url)).await;
            chrome.until("the page is live", "document.querySelector('#live').dataset.state === 'on'").await;
            let (theme, width) =
                (if is_dark { "dark" } else { "light" }, if is_phone { "phone" } else { "wide" });
            let file = format!("{name}-{}-{theme}-{width}.png", &language[..2]);
            std::fs::write(folder.join(file), chrome.whole_page().await).unwrap();
        }
        chrome.end(&running.url, &[]).await;
    }
}
