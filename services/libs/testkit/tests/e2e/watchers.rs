//! Many who watch the events over WebSocket, one of whom stops reading: the others see every event, once and in order, and
//! the program does not grow with who watches.

use std::time::Duration;

use conductor_protocol::control::Submit;
use conductor_testkit::seed::scale;
use conductor_testkit::world::{World, body};
use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::http::HeaderName;

const LIMIT: Duration = Duration::from_secs(240);
const CLIENTS: usize = 100;
const TASKS: usize = 1_000;
/// By how much the program may grow while the second half of the tasks runs.
const GROWTH_BYTES: u64 = 64 << 20;

type Socket = WebSocketStream<TcpStream>;

/// What a client saw of the tasks.
#[derive(Debug, PartialEq, Eq)]
struct Seen {
    events: usize,
    finished: usize,
    first: u64,
    last: u64,
}

/// Opens a WebSocket of somebody who shows a header, and hears how it is greeted.
pub(crate) async fn connect(address: &str, (name, value): (&str, &str)) -> Socket {
    let mut request = address.into_client_request().unwrap();
    let authority = request.uri().authority().unwrap().to_string();
    let name: HeaderName = name.parse().unwrap();
    request.headers_mut().insert(name, value.parse().unwrap());
    let stream = TcpStream::connect(authority).await.unwrap();
    let (mut socket, _) = tokio_tungstenite::client_async(request, stream).await.unwrap();
    let hello = socket.next().await.unwrap().unwrap();
    assert!(hello.to_text().unwrap().contains("\"hello\""), "{hello:?}");
    socket
}

async fn open(port: u16, token: &str) -> Socket {
    let bearer = format!("Bearer {token}");
    let mut socket = connect(&format!("ws://127.0.0.1:{port}/v1/ws"), ("authorization", &bearer)).await;
    let subscribe = json!({"subscribe": {"topics": ["tasks"]}}).to_string();
    socket.send(Message::text(subscribe)).await.unwrap();
    socket
}

/// Reads until so many tasks have finished; every event has to come after the one before.
async fn watch_all(mut socket: Socket, tasks: usize, halfway: watch::Sender<usize>) -> Seen {
    let mut seen = Seen { events: 0, finished: 0, first: 0, last: 0 };
    while seen.finished < tasks {
        let message = socket.next().await.expect("the stream goes on").unwrap();
        let Message::Text(text) = message else { continue };
        let said: Value = serde_json::from_str(&text).unwrap();
        assert!(said.get("resync").is_none(), "a reader that keeps up is never sent back: {said}");
        let Some(seq) = said["seq"].as_u64() else { continue };
        assert!(seq > seen.last, "{seq} came after {}", seen.last);
        if seen.events == 0 {
            seen.first = seq;
        }
        (seen.last, seen.events) = (seq, seen.events + 1);
        if said["event"]["kind"] == "task_finished" {
            seen.finished += 1;
            halfway.send_replace(seen.finished);
        }
    }
    seen
}

fn resident(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.split_whitespace().next().unwrap().parse::<u64>().unwrap() << 10
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_watchers_see_every_event_once_and_in_order_though_one_of_them_stalls() {
    let (clients, tasks) =
        (CLIENTS * usize::try_from(scale()).unwrap(), TASKS * usize::try_from(scale()).unwrap());
    let world = World::new().with("agent.slots", 8);
    let up = world.up().await;
    let [api, _] = super::http::ports(&world).await;
    let token = std::fs::read_to_string(world.home().token_file()).unwrap().trim().to_owned();
    let stalled = open(api, &token).await;
    let (progress, mut finished) = watch::channel(0);
    let mut watchers = tokio::task::JoinSet::new();
    for _ in 0..clients {
        let socket = open(api, &token).await;
        watchers.spawn(watch_all(socket, tasks, progress.clone()));
    }

    let control = world.connect().await;
    let mark = world.mark();
    for _ in 0..tasks / 100 {
        let tasks = (0..100).map(|_| body(&json!({"prompt": "print x", "runner": "mock"}), mark)).collect();
        control.submit(Submit { tasks, key: None }).await.unwrap();
    }
    tokio::time::timeout(LIMIT, finished.wait_for(|count| *count >= tasks / 2)).await.unwrap().unwrap();
    let halfway = resident(up.pid());
    let mut seen = Vec::new();
    while let Some(watcher) = tokio::time::timeout(LIMIT, watchers.join_next()).await.unwrap() {
        seen.push(watcher.unwrap());
    }
    let end = resident(up.pid());
    assert!(seen.iter().all(|one| *one == seen[0]), "all saw the same: {seen:?}");
    assert!(seen[0].events >= tasks * 3, "a task is submitted, begins and finishes: {:?}", seen[0]);
    assert!(end < halfway + GROWTH_BYTES, "{halfway} bytes at the half, {end} at the end");
    drop(stalled);
}
