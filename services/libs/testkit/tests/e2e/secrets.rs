//! A secret that tasks print in every way they can: it is in nothing that Conductor writes, logs or answers.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use conductor_client::Control;
use conductor_core::TaskId;
use conductor_protocol::control::AnswerBody;
use conductor_protocol::task::{State, TaskView};
use conductor_runtime::secrets::{Secret, Secrets};
use conductor_testkit::world::{World, eventually, submit_one};
use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio_tungstenite::tungstenite::Message;

use super::http::{curl, ports};
use super::watchers::connect;

const LIMIT: Duration = Duration::from_secs(90);
const NAME: &str = "LEAKED";
/// With what JSON and URLs escape, late enough that the pieces that are searched for have none of it.
const SECRET: &str = "tok_4hT9xLq2Wm8ZbV1c\"Ns7Kd0/FgJpQr+uIo";
/// What stands where it would.
const MARK: &str = "[redacted]";
/// How long a request may take, and how long one that would go on for ever is listened to, in seconds.
const ASK: &str = "20";
const LISTEN: &str = "1";

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

/// Pieces of it and of its encodings from both halves, so that it would show wherever it was cut; in small letters.
fn pieces() -> Vec<String> {
    let halves = [&SECRET[4..14], &SECRET[23..35]];
    let mut pieces: Vec<String> = halves.iter().map(ToString::to_string).collect();
    for before in ["", "x", "xx"] {
        let encoded = STANDARD.encode(format!("{before}{SECRET}"));
        pieces.extend([encoded[8..20].to_owned(), encoded[32..44].to_owned()]);
    }
    for (sign, count) in [("", 8), ("%", 5), ("\\u00", 4)] {
        let spelled = |text: &str| text.bytes().map(|byte| format!("{sign}{byte:02x}")).collect::<String>();
        pieces.extend(halves.iter().map(|half| spelled(&half[..count])));
    }
    pieces.iter().map(|piece| piece.to_ascii_lowercase()).collect()
}

/// What was seen, by where.
#[derive(Default)]
struct Seen(Vec<(String, Vec<u8>)>);

impl Seen {
    fn add(&mut self, place: impl Into<String>, bytes: impl Into<Vec<u8>>) {
        self.0.push((place.into(), bytes.into()));
    }

    /// The places where the secret, or a piece of it, is.
    fn leaks(&self) -> Vec<String> {
        let pieces = pieces();
        let mut leaks = Vec::new();
        for (place, bytes) in self.0.iter().filter(|(place, _)| !is_the_tasks_own(place)) {
            let text = String::from_utf8_lossy(bytes).to_ascii_lowercase();
            // Base64 that is wrapped, and text that is cut by the framing of a stream, are the same without line ends.
            let joined: String = text.chars().filter(|char| !char.is_whitespace()).collect();
            let found = pieces.iter().find(|piece| text.contains(*piece) || joined.contains(*piece));
            leaks.extend(found.map(|piece| format!("{piece} is in {place}")));
        }
        leaks
    }

    /// What a place showed last.
    fn of(&self, place: &str) -> String {
        let (_, bytes) = self.0.iter().rfind(|(known, _)| known == place).expect("it was looked at");
        String::from_utf8_lossy(bytes).into_owned()
    }
}

/// Whether a place shows a file as its task made it; only what is told of it, as its diff, is Conductor's.
fn is_the_tasks_own(place: &str) -> bool {
    place.ends_with("/work/own.txt") || place.ends_with("/archive")
}

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

/// The doors of a world: what everybody who may see everything is answered.
struct Doors {
    api: String,
    dashboard: String,
    /// The headers that open them.
    bearer: String,
    cookie: String,
}

impl Doors {
    async fn new(world: &World) -> Self {
        let [api, dashboard] = ports(world).await.map(|port| format!("http://127.0.0.1:{port}"));
        let token = std::fs::read_to_string(world.home().token_file()).unwrap();
        let form = format!("token={}", token.trim());
        let answer = curl(&["-i", "-d", &form, &format!("{dashboard}/login")]).unwrap();
        let cookie = answer.lines().find_map(|line| line.strip_prefix("set-cookie: ")).unwrap();
        let cookie = cookie.split(';').next().unwrap();
        let bearer = format!("Authorization: Bearer {}", token.trim());
        Self { cookie: format!("Cookie: {cookie}"), bearer, api, dashboard }
    }

    /// The answer to a request, head and body, as far as it comes in time.
    fn ask(header: &str, address: &str) -> Vec<u8> {
        let goes_on = address.contains("follow=") || address.contains("/v1/events");
        let args = ["-gsNi", "-m", if goes_on { LISTEN } else { ASK }, "-H", header, address];
        Command::new("curl").args(args).output().unwrap().stdout
    }

    /// Every answer of the API to a GET that is about tasks, and of everything else that it lists.
    fn look_at_the_api(&self, tasks: &[TaskId], seen: &mut Seen) {
        let get = |path: &str| Self::ask(&self.bearer, &format!("{}{path}", self.api));
        let document = curl(&["-H", &self.bearer, &format!("{}/openapi.json", self.api)]).unwrap();
        let document: Value = serde_json::from_str(&document).unwrap();
        let routes = document["paths"].as_object().unwrap().iter();
        let routes: Vec<&str> = routes
            .filter(|(_, methods)| methods.get("get").is_some())
            .map(|(path, _)| path.as_str())
            .collect();
        assert!(routes.len() > 25, "{routes:?}");
        let (of_one, of_all): (Vec<&str>, Vec<&str>) =
            routes.into_iter().partition(|route| route.contains('{'));
        for path in of_all {
            seen.add(format!("GET {path}"), get(path));
        }
        for id in tasks.iter().map(ToString::to_string) {
            let other = tasks[0].to_string();
            for route in &of_one {
                let path = match *route {
                    "/v1/browse/{path}" => format!("/v1/browse/tasks/{id}/attempts/1/"),
                    "/v1/tasks/{id}/files/{path}" => format!("/v1/tasks/{id}/files/left.txt"),
                    "/v1/agents/{name}" => "/v1/agents/agent-1".to_owned(),
                    route => route.replace("{id}", &id).replace("{a}", &id).replace("{b}", &other),
                };
                seen.add(format!("GET {path}"), get(&path));
            }
            for query in
                ["output?attempt=1&offset=7", "output?follow=true", "events?follow=true", "diff?attempt=1"]
            {
                seen.add(format!("GET {query} of {id}"), get(&format!("/v1/tasks/{id}/{query}")));
            }
        }
        seen.add("all events", get("/v1/events?since=0"));
        // What is searched is what is kept.
        let found = get(&format!("/v1/tasks?q={}", &SECRET[4..14]));
        assert!(
            String::from_utf8_lossy(&found).contains("\"items\":[]"),
            "{:?}",
            String::from_utf8_lossy(&found)
        );
    }

    /// Every page of the dashboard; the parts of a page that change are parts of it.
    fn look_at_the_dashboard(&self, tasks: &[TaskId], seen: &mut Seen) {
        let of_tasks = tasks.iter().flat_map(|id| {
            let tabs =
                ["", "?tab=activity", "?tab=files", "?tab=files&file=left.txt", "?tab=diff", "?tab=details"];
            let parts = ["/output", "/diff", "/json", "/archive", "/files/left.txt"];
            tabs.into_iter().chain(parts).map(move |part| format!("/tasks/{id}{part}"))
        });
        let both = [
            format!("/compare/{}/{}", tasks[0], tasks[tasks.len() - 1]),
            format!("/tasks/new?clone={}", tasks[0]),
        ];
        let pages =
            ["/", "/tasks", "/queue", "/agents", "/schedules", "/audit", "/settings"].map(str::to_owned);
        for path in pages.into_iter().chain(of_tasks).chain(both) {
            let answer = Self::ask(&self.cookie, &format!("{}{path}", self.dashboard));
            let head = String::from_utf8_lossy(&answer[..answer.len().min(20)]).into_owned();
            assert!(head.contains(" 200 ") || head.contains(" 404 "), "{path}: {head}");
            seen.add(format!("page {path}"), answer);
        }
    }

    /// What a stream brings, from now until it is ended.
    fn follow(&self, path: &str) -> Child {
        let mut curl = Command::new("curl");
        curl.args(["-gsN", "-m", "120", "-H", &self.bearer, "-H", "Accept: text/event-stream"]);
        curl.arg(format!("{}{path}", self.api)).stdout(Stdio::piped()).spawn().unwrap()
    }

    /// All that a WebSocket says, from now until it is ended.
    async fn listen(&self, address: &str, header: &str, says: Value) -> Listener {
        let (name, value) = header.split_once(": ").unwrap();
        let mut socket = connect(&address.replacen("http", "ws", 1), (name, value)).await;
        socket.send(Message::text(says.to_string())).await.unwrap();
        let (end, mut ended) = oneshot::channel();
        let heard = tokio::spawn(async move {
            let mut heard = Vec::new();
            loop {
                tokio::select! {
                    message = socket.next() => match message {
                        Some(Ok(message)) => heard.extend(message.into_data()),
                        Some(Err(_)) | None => return heard,
                    },
                    _ = &mut ended => return heard,
                }
            }
        });
        Listener { end, heard }
    }
}

/// Somebody who listens to a WebSocket.
struct Listener {
    end: oneshot::Sender<()>,
    heard: JoinHandle<Vec<u8>>,
}

impl Listener {
    async fn end(self) -> Vec<u8> {
        // One that the server has ended does not hear it.
        let _ = self.end.send(());
        self.heard.await.unwrap()
    }
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
    let patch = seen.of(&format!("GET /v1/tasks/{says}/diff"));
    assert!(patch.contains("own.txt") && patch.contains(&format!("+{MARK}")), "{patch}");
    assert!(asked.contains(&format!("push {MARK}")), "what is asked is told without it: {asked}");
    assert!(said.failure.unwrap().message.contains(&format!("refused with {MARK}")));
}
