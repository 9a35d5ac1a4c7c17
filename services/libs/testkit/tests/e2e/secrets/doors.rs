//! The doors of a world, and all that is behind them.

use std::process::{Child, Command, Stdio};

use conductor_core::TaskId;
use conductor_testkit::world::World;
use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio_tungstenite::tungstenite::Message;

use super::super::http::{curl, ports};
use super::super::watchers::connect;
use super::seen::{SECRET, Seen};

/// How long a request may take, and how long one that would go on for ever is listened to, in seconds.
const ASK: &str = "20";
const LISTEN: &str = "1";

/// The doors of a world: what everybody who may see everything is answered.
pub struct Doors {
    pub api: String,
    pub dashboard: String,
    /// The headers that open them.
    pub bearer: String,
    pub cookie: String,
}

impl Doors {
    pub async fn new(world: &World) -> Self {
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
    pub fn look_at_the_api(&self, tasks: &[TaskId], seen: &mut Seen) {
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

    /// What the tools of MCP answer that only look.
    pub fn look_at_mcp(&self, tasks: &[TaskId], seen: &mut Seen) {
        let of_tasks = tasks.iter().flat_map(|id| {
            let read = json!({"id": id.to_string(), "max_bytes": 65_536});
            let file = json!({"id": id.to_string(), "path": "left.txt"});
            let plain = json!({"id": id.to_string()});
            [
                ("wait", plain.clone()),
                ("read_output", read.clone()),
                ("diff", read),
                ("files", plain),
                ("files", file),
            ]
        });
        for (tool, input) in of_tasks.chain([("list", json!({}))]) {
            let params = json!({"name": tool, "arguments": input});
            let call =
                json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}).to_string();
            let accepts = "Accept: application/json, text/event-stream";
            let headers = ["-H", &self.bearer, "-H", accepts, "-H", "Content-Type: application/json"];
            let mcp = format!("{}/mcp", self.api);
            let answer = Command::new("curl")
                .args(["-gs", "-m", ASK])
                .args(headers)
                .args(["-d", &call, &mcp])
                .output();
            seen.add(format!("the tool {tool} with {input}"), answer.unwrap().stdout);
        }
    }

    /// Every page of the dashboard; the parts of a page that change are parts of it.
    pub fn look_at_the_dashboard(&self, tasks: &[TaskId], seen: &mut Seen) {
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
    pub fn follow(&self, path: &str) -> Child {
        let mut curl = Command::new("curl");
        curl.args(["-gsN", "-m", "120", "-H", &self.bearer, "-H", "Accept: text/event-stream"]);
        curl.arg(format!("{}{path}", self.api)).stdout(Stdio::piped()).spawn().unwrap()
    }

    /// All that a WebSocket says, from now until it is ended.
    pub async fn listen(&self, address: &str, header: &str, says: Value) -> Listener {
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
pub struct Listener {
    end: oneshot::Sender<()>,
    heard: JoinHandle<Vec<u8>>,
}

impl Listener {
    pub async fn end(self) -> Vec<u8> {
        // One that the server has ended does not hear it.
        let _ = self.end.send(());
        self.heard.await.unwrap()
    }
}
