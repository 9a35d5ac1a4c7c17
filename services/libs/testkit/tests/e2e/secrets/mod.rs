//! A secret that tasks print in every way they can: it is in nothing that Conductor writes, logs or answers.

mod doors;
mod seen;

use std::path::{Path, PathBuf};
use std::time::Duration;

use conductor_client::Control;
use conductor_core::TaskId;
use conductor_protocol::control::AnswerBody;
use conductor_protocol::task::{State, TaskView};
use conductor_runtime::secrets::{Secret, Secrets};
use conductor_testkit::world::{World, eventually, submit_one};
use serde_json::json;

use self::doors::Doors;
use self::seen::{SECRET, Seen};
use super::http::curl;

const LIMIT: Duration = Duration::from_secs(90);
const NAME: &str = "LEAKED";
/// What stands where it would.
const MARK: &str = "[redacted]";

/// Prints it plainly, as programs encode it, and cut in two between writes and between its two outputs.
const PRINTS: &str = r#"
until [ -e go ]; do sleep 0.05; done
bytes() { printf %s "$LEAKED" | od -An -v -tx1 | tr -d '\n'; }
echo "plain $LEAKED end"
echo "base64 $(printf %s "$LEAKED" | base64 -w 0)"
echo "base64 $(printf 'x%s' "$LEAKED" | base64 -w 0)"
echo "base64 $(printf 'xx%s' "$LEAKED" | base64 -w 0)"
printf 'wrapped '; printf %s "$LEAKED" | base64 -w 24
echo "hex $(bytes | tr -d ' ')"
echo "url $(printf %s "$LEAKED" | sed 's/"/%22/g; s,/,%2F,g; s/+/%2B/g')"
echo "url $(bytes | sed 's/ /%/g')"
echo "json {\"a\": \"$(printf %s "$LEAKED" | sed 's/"/\\"/g; s,/,\\/,g')\"}"
echo "json $(bytes | sed 's/ /\\u00/g')"
echo "nested $(printf %s "$LEAKED" | sed 's/"/\\\\\\"/g')"
echo "to the other $LEAKED" >&2
printf 'split '; printf %.17s "$LEAKED"; sleep 0.3; printf '%s\n' "${LEAKED#?????????????????}"
printf 'split '; all=$(printf %s "$LEAKED" | base64 -w 0); printf %.25s "$all"; sleep 0.3; printf '%s\n' "${all#?????????????????????????}"
printf 'across '; printf %.17s "$LEAKED"; sleep 0.3; printf '%s\n' "${LEAKED#?????????????????}" >&2; sleep 0.3
echo "last $LEAKED"
cp go left.txt
exit 3
"#;

/// Says it as Claude Code says things: in what it thinks, uses, was answered and asks, in its session and in how it ends.
const SAYS: &str = r#"
it=$(printf %s "$LEAKED" | sed 's/"/\\"/g')
say() { printf "$1\n" "$it"; }
say '{"type":"system","subtype":"init","session_id":"s-%s","model":"m"}'
say '{"type":"assistant","message":{"id":"m1","content":[{"type":"thinking","thinking":"the key is %s"}]}}'
say '{"type":"assistant","message":{"id":"m2","content":[{"type":"text","text":"I found %s in it"}]}}'
say '{"type":"assistant","message":{"id":"m3","content":[{"type":"tool_use","id":"t1","name":"Bash","input":{"command":"curl -H %s"}}]}}'
say '{"type":"user","message":{"content":[{"type":"tool_result","tool_use_id":"t1","content":"it says %s"}]}}'
say 'no JSON at all, but %s'
echo "$LEAKED" > own.txt
say '{"type":"control_request","request_id":"r1","request":{"subtype":"can_use_tool","tool_name":"Bash","input":{"command":"push %s"}}}'
while read -r line; do case "$line" in *control_response*) break ;; esac; done
say '{"type":"result","subtype":"success","is_error":true,"result":"it was refused with %s","num_turns":1,"total_cost_usd":0.01}'
echo "$LEAKED" >&2
exit 1
"#;

/// Every file below a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => found.extend(files(&entry.path())),
            Ok(kind) if kind.is_file() => found.push(entry.path()),
            Ok(_) | Err(_) => {}
        }
    }
    found
}

async fn until(control: &Control, id: TaskId, state: State) -> TaskView {
    eventually(LIMIT, "the task stands so", async || {
        let task = control.get(id).await.ok()?;
        assert!(task.state == state || !task.state.is_terminal(), "{task:#?}");
        (task.state == state).then_some(task)
    })
    .await
}

fn world() -> World {
    let world = World::new().with("telemetry.log_level", "debug").with("agent.slots", 4);
    std::fs::create_dir_all(&world.home().config).unwrap();
    let script = world.folder().join("says.sh");
    std::fs::write(&script, SAYS).unwrap();
    let talks = json!({
        "command": ["sh", script, "{conversation}", "{permission}"],
        "arguments": {"conversation": ["talk"]},
        "permissions": {"skip": ["skip"], "ask": ["ask"]},
        "output": "claude-stream-json",
    });
    let config = json!({
        "sandbox": {"mode": "off"},
        "runners": {"talks": talks},
        "secrets": {NAME: {"groups": ["*"], "runners": ["command", "talks"]}},
    });
    std::fs::write(world.home().config_file(), config.to_string()).unwrap();
    let secrets = Secrets::open(world.home().secrets()).unwrap();
    secrets.set(&NAME.parse().unwrap(), &Secret::new(SECRET)).unwrap();
    world
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_secret_that_tasks_print_in_any_way_is_in_no_file_log_answer_page_or_stream() {
    if curl(&["--version"]).is_none() {
        eprintln!("skipped: curl is not installed");
        return;
    }
    let world = world();
    let mut up = world.up().await;
    let doors = Doors::new(&world).await;
    let control = world.connect().await;
    let prints = json!({
        "command": ["sh", "-c", PRINTS], "secrets": [NAME], "runner": "command",
        "retry": {"max_attempts": 1},
    });
    let prints = submit_one(&control, &prints, world.mark()).await;
    until(&control, prints, State::Running).await;
    let streams = [
        "/v1/events".to_owned(),
        format!("/v1/tasks/{prints}/output?follow=true"),
        format!("/v1/tasks/{prints}/events?follow=true"),
    ]
    .map(|path| (doors.follow(&path), path));
    let topics = json!({"subscribe": {"topics": ["tasks", "agents", format!("output:{prints}")]}});
    let live = json!({"follow": {"id": prints.to_string(), "attempt": 1, "offset": 0}});
    let api = doors.listen(&format!("{}/v1/ws", doors.api), &doors.bearer, topics).await;
    let page = doors.listen(&format!("{}/live", doors.dashboard), &doors.cookie, live).await;
    let go = world.home().workspace.join(format!("tasks/{prints}/work/go"));
    eventually(LIMIT, "it has a folder", async || std::fs::write(&go, "harmless").ok()).await;
    until(&control, prints, State::Failed).await;

    let says = json!({"prompt": "push it", "runner": "talks", "secrets": [NAME], "permission": "ask"});
    let says = submit_one(&control, &says, world.mark()).await;
    until(&control, says, State::Waiting).await;
    let mut seen = Seen::default();
    doors.look_at_the_api(&[says], &mut seen);
    doors.look_at_the_dashboard(&[says], &mut seen);
    let asked = seen.of("GET /v1/questions");
    control.answer(says, None, AnswerBody::Deny).await.unwrap();
    let said = until(&control, says, State::Failed).await;

    doors.look_at_the_api(&[prints, says], &mut seen);
    doors.look_at_the_dashboard(&[prints, says], &mut seen);
    doors.look_at_mcp(&[prints, says], &mut seen);
    seen.add("the WebSocket of the API", api.end().await);
    seen.add("the WebSocket of the page", page.end().await);
    for (mut stream, path) in streams {
        stream.kill().unwrap();
        seen.add(format!("the stream {path}"), stream.wait_with_output().unwrap().stdout);
    }
    drop(control);
    up.terminate(LIMIT).await;
    for path in files(world.folder()) {
        if path != world.home().secrets().join(NAME) {
            seen.add(path.display().to_string(), std::fs::read(&path).unwrap());
        }
    }

    let leaks = seen.leaks();
    assert!(leaks.is_empty(), "of {} places: {leaks:#?}", seen.0.len());
    // It was there to be seen: every line that prints it has the mark, in all that brings the output.
    let printed = seen.of(&world
        .home()
        .workspace
        .join(format!("tasks/{prints}/attempts/1/output.log"))
        .display()
        .to_string());
    for line in printed.lines().filter(|line| !line.is_empty()) {
        assert!(line.contains(MARK), "{line:?} of {printed}");
    }
    assert!(printed.lines().count() >= 15, "{printed}");
    let followed = format!("the stream /v1/tasks/{prints}/output?follow=true");
    let pages = format!("page /tasks/{prints}");
    for place in ["the WebSocket of the API", "the WebSocket of the page", &followed, &pages] {
        let told = seen.of(place);
        assert!(told.matches(MARK).count() >= 12, "{place} brought the output: {told}");
    }
    let read = seen
        .of(&format!("the tool read_output with {}", json!({"id": prints.to_string(), "max_bytes": 65_536})));
    assert!(read.matches(MARK).count() >= 12, "the tool brought the output: {read}");
    let waited = seen.of(&format!("the tool wait with {}", json!({"id": says.to_string()})));
    assert!(waited.contains(&format!("refused with {MARK}")), "{waited}");
    let patch = seen.of(&format!("GET /v1/tasks/{says}/diff"));
    assert!(patch.contains("own.txt") && patch.contains(&format!("+{MARK}")), "{patch}");
    assert!(asked.contains(&format!("push {MARK}")), "what is asked is told without it: {asked}");
    assert!(said.failure.unwrap().message.contains(&format!("refused with {MARK}")));
}
