//! MCP over HTTP, as a client of the SDK and as a stranger sees it.

use std::net::SocketAddr;
use std::path::Path;

use conductor_protocol::control::Role;
use conductor_testkit::world::within;
use rmcp::ServiceExt as _;
use rmcp::model::{CallToolRequestParams, CallToolResult};
use rmcp::service::{RoleClient, RunningService};
use rmcp::transport::streamable_http_client::StreamableHttpClientTransportConfig;
use rmcp::transport::{StreamableHttpClientTransport, UnixSocketHttpClient};
use serde_json::{Value, json};
use tokio::net::{TcpStream, UnixListener};
use tokio::task::JoinHandle;

use crate::place::{LIMIT, Place};

/// A client of the SDK. Its HTTP goes by a Unix socket, behind which the bytes are passed on as they are.
struct Client {
    service: RunningService<RoleClient, ()>,
    passing: JoinHandle<()>,
}

impl Drop for Client {
    fn drop(&mut self) {
        self.passing.abort();
    }
}

impl Client {
    async fn new(place: &Place, token: &str) -> Self {
        let socket = place.world.folder().join(format!("mcp-{}.sock", token.len()));
        let passing = pass_on(&socket, place.address);
        let uri = format!("http://{}/mcp", place.address);
        let client = UnixSocketHttpClient::new(socket.to_str().unwrap(), &uri);
        let config = StreamableHttpClientTransportConfig::with_uri(uri).auth_header(token);
        let transport = StreamableHttpClientTransport::with_client(client, config);
        let service = within(LIMIT, "the client is served", ().serve(transport)).await.unwrap();
        Self { service, passing }
    }

    async fn call(&self, tool: &'static str, input: Value) -> CallToolResult {
        let Value::Object(input) = input else { panic!("{tool} takes an object") };
        let request = CallToolRequestParams::new(tool).with_arguments(input);
        within(LIMIT, tool, self.service.call_tool(request)).await.unwrap()
    }

    /// What a tool answers as a value.
    async fn value(&self, tool: &'static str, input: Value) -> Value {
        let result = self.call(tool, input).await;
        assert_ne!(result.is_error, Some(true), "{tool}: {:?}", texts(&result));
        result.structured_content.unwrap_or_else(|| panic!("{tool} answers a value"))
    }

    /// What a tool answers as a text, and where that stands.
    async fn part(&self, tool: &'static str, input: Value) -> (String, Value) {
        let result = self.call(tool, input).await;
        assert_ne!(result.is_error, Some(true), "{tool}: {:?}", texts(&result));
        let [text, place] = texts(&result).try_into().unwrap();
        (text, serde_json::from_str(&place).unwrap())
    }

    /// What a tool says that is wrong.
    async fn fault(&self, tool: &'static str, input: Value) -> String {
        let result = self.call(tool, input).await;
        assert_eq!(result.is_error, Some(true), "{tool}: {:?}", texts(&result));
        texts(&result).join("\n")
    }

    /// Submits a prompt and waits for its end.
    async fn run(&self, prompt: &str) -> (String, Value) {
        let id = self.value("submit", json!({"prompt": prompt, "runner": "mock"})).await["id"].clone();
        let ended = self.value("wait", json!({"id": id, "wait_seconds": 50})).await;
        assert_eq!(ended["done"], true, "{ended}");
        (id.as_str().unwrap().to_owned(), ended)
    }
}

fn texts(result: &CallToolResult) -> Vec<String> {
    result.content.iter().filter_map(|it| it.as_text()).map(|text| text.text.clone()).collect()
}

fn pass_on(socket: &Path, address: SocketAddr) -> JoinHandle<()> {
    let listener = UnixListener::bind(socket).unwrap();
    tokio::spawn(async move {
        while let Ok((mut near, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut far = TcpStream::connect(address).await.unwrap();
                // Either end may hang up at any time.
                let _ended = tokio::io::copy_bidirectional(&mut near, &mut far).await;
            });
        }
    })
}

#[tokio::test]
async fn a_client_submits_a_task_and_reads_what_it_left() {
    let place = Place::new().await;
    let client = Client::new(&place, &place.admin).await;
    let tools = client.service.list_all_tools().await.unwrap();
    assert_eq!(tools.len(), 8, "{tools:?}");
    let schemas = json!(tools).to_string();
    assert!(
        schemas.contains("max_bytes") && !schemas.contains("\"format\""),
        "of Rust's own formats: {schemas}"
    );
    let (id, ended) = client.run("print hello; write notes.txt some words; use 12 tokens").await;
    assert_eq!((&ended["state"], &ended["result"]["exit_code"]), (&json!("succeeded"), &json!(0)), "{ended}");
    let task = place.get(&format!("/v1/tasks/{id}")).await.with(200).json();
    assert_eq!(task["created_by"]["via"], "mcp");
    let (output, at) = client.part("read_output", json!({"id": id})).await;
    assert!(output.contains("hello"), "{output}");
    assert_eq!((&at["offset"], &at["more"]), (&json!(0), &json!(false)));
    let files = client.value("files", json!({"id": id})).await;
    assert!(files["files"].as_array().unwrap().iter().any(|file| file["path"] == "notes.txt"), "{files}");
    let (text, _) = client.part("files", json!({"id": id, "path": "notes.txt"})).await;
    assert!(text.starts_with("some words"), "{text:?}");
    let (diff, _) = client.part("diff", json!({"id": id})).await;
    assert!(diff.contains("+some words"), "{diff}");
    let listed = client.value("list", json!({"state": ["succeeded"], "limit": 5})).await;
    assert_eq!(listed["items"][0]["id"].as_str(), Some(id.as_str()), "{listed}");
}

#[tokio::test]
async fn a_long_output_is_read_in_parts_and_from_its_end() {
    let place = Place::new().await;
    let client = Client::new(&place, &place.admin).await;
    let (id, _) = client.run("print 1MB; print the end").await;
    let (tail, at) = client.part("read_output", json!({"id": id})).await;
    assert!(tail.len() <= 16 << 10 && tail.contains("the end"), "{} bytes", tail.len());
    assert_eq!((&at["next_offset"], &at["more"]), (&at["bytes"], &json!(false)));
    assert!(at["bytes"].as_u64() > Some(1_000_000), "{at}");
    let whole = json!({"id": id, "offset": 0, "max_bytes": 1 << 30});
    let (first, at) = client.part("read_output", whole).await;
    assert_eq!((first.len(), &at["next_offset"], &at["more"]), (64 << 10, &json!(64 << 10), &json!(true)));
}

#[tokio::test]
async fn a_question_is_answered_and_a_task_is_cancelled() {
    let place = Place::new().await;
    let client = Client::new(&place, &place.admin).await;
    let id = client.value("submit", json!({"prompt": "ask which one", "runner": "mock"})).await["id"].clone();
    let asked = within(LIMIT, "it asks", async {
        loop {
            let task = client.value("wait", json!({"id": id, "wait_seconds": 0})).await;
            if task["waiting"].is_object() {
                return task;
            }
        }
    })
    .await;
    assert_eq!((&asked["done"], &asked["waiting"]["text"]), (&json!(false), &json!("which one")));
    let request = &asked["waiting"]["request_id"];
    client.value("answer", json!({"id": id, "request_id": request, "answer": "the first"})).await;
    assert_eq!(client.value("wait", json!({"id": id})).await["state"], "succeeded");
    let id = client.value("submit", json!({"prompt": "hang", "runner": "mock"})).await["id"].clone();
    assert_eq!(client.value("cancel", json!({"id": id, "reason": "enough"})).await["ids"], json!([id]));
    assert_eq!(client.value("wait", json!({"id": id})).await["state"], "cancelled");
}

#[tokio::test]
async fn what_is_wrong_is_said_so_that_a_model_can_do_better() {
    let place = Place::new().await;
    let client = Client::new(&place, &place.admin).await;
    let fault = client.fault("wait", json!({"id": "nonsense"})).await;
    assert!(fault.contains("not_found") && fault.contains("nonsense"), "{fault}");
    let unknown = "01900000-0000-7000-8000-000000000000";
    assert!(client.fault("diff", json!({"id": unknown})).await.contains("not_found"));
    let fault = client.fault("submit", json!({"prompt": "x", "priority": 11})).await;
    assert!(fault.contains("/priority"), "{fault}");
    let fault = client.fault("submit", json!({"prompt": "x", "runner": "nobody"})).await;
    assert!(fault.contains("/runner"), "{fault}");
    let (id, _) = client.run("print a").await;
    assert!(
        client.fault("files", json!({"id": id, "path": "../task.json"})).await.contains("invalid_request")
    );
    assert!(client.fault("answer", json!({"id": id, "answer": "allow"})).await.contains("conflict"));
}

#[tokio::test]
async fn a_token_may_do_by_mcp_what_it_may_do_elsewhere() {
    let place = Place::new().await;
    let hidden = place.submit(json!({"prompt": "print a", "group": "theirs"})).await;
    let token = place.token("looker", Role::Viewer, &["ours"]).await;
    let client = Client::new(&place, &token).await;
    assert!(client.fault("submit", json!({"prompt": "x", "group": "ours"})).await.contains("forbidden"));
    assert!(client.fault("wait", json!({"id": hidden})).await.contains("not_found"));
    assert_eq!(client.value("list", json!({})).await["items"], json!([]));
}

/// The first message of every client.
fn opening() -> Value {
    let client = json!({"name": "stranger", "version": "1"});
    let params = json!({"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": client});
    json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": params})
}

#[tokio::test]
async fn the_doors_of_mcp_are_those_of_every_route() {
    let place = Place::new().await;
    let ask =
        || place.ask("POST", "/mcp").header("Accept: application/json, text/event-stream").json(&opening());
    let opened = ask().send().await.with(200);
    assert_eq!(opened.json()["result"]["serverInfo"]["name"], "conductor");
    assert_eq!(opened.header("mcp-session-id"), None, "every request stands for itself");
    ask().token("of nobody").send().await.problem(401, "unauthorized");
    ask().header("Origin: http://evil.example").send().await.problem(403, "forbidden");
    ask().header("Sec-Fetch-Site: cross-site").send().await.problem(403, "forbidden");
    place.get("/mcp").await.with(405);
    let broken = place.ask("POST", "/mcp").header("Accept: application/json, text/event-stream");
    let status = broken.header("Content-Type: application/json").body("{").send().await.status;
    assert!((400..500).contains(&status), "{status}");
}

#[tokio::test]
async fn a_wait_ends_when_its_token_is_taken() {
    let place = Place::new().await;
    let token = place.token("short-lived", Role::Operator, &[]).await;
    let id = place.submit(json!({"prompt": "hang"})).await;
    let wait = json!({"name": "wait", "arguments": {"id": id, "wait_seconds": 50}});
    let call = json!({"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": wait});
    let ask = place.ask("POST", "/mcp").token(&token).header("Accept: application/json, text/event-stream");
    let waiting = ask.json(&call).send();
    let revoke = async {
        place.ask("DELETE", "/v1/tokens/short-lived").send().await.with(204);
    };
    let (answer, ()) = tokio::join!(waiting, revoke);
    assert!([401, 503].contains(&answer.status), "{}", answer.text());
}
