//! State changes and output over a WebSocket.

use std::collections::HashSet;
use std::time::Duration;

use conductor_protocol::control::Role;
use conductor_testkit::world::within;
use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::net::{TcpSocket, TcpStream};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::{Error, Message};

use crate::place::{LIMIT, Place};

/// A client of the WebSocket.
pub struct Client(WebSocketStream<TcpStream>);

impl Client {
    async fn try_new(place: &Place, token: Option<&str>) -> Result<Self, Error> {
        Self::over(place, TcpStream::connect(place.address).await.unwrap(), token).await
    }

    async fn over(place: &Place, stream: TcpStream, token: Option<&str>) -> Result<Self, Error> {
        let mut request = format!("ws://{}/v1/ws", place.address).into_client_request().unwrap();
        if let Some(token) = token {
            request.headers_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
        }
        let (socket, _) = tokio_tungstenite::client_async(request, stream).await?;
        Ok(Self(socket))
    }

    pub async fn new(place: &Place, token: &str) -> (Self, Value) {
        Self::try_new(place, Some(token)).await.unwrap().greeted().await
    }

    /// One that takes in little before it is read.
    async fn small(place: &Place) -> (Self, Value) {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(4 << 10).unwrap();
        let stream = socket.connect(place.address).await.unwrap();
        Self::over(place, stream, Some(&place.admin)).await.unwrap().greeted().await
    }

    async fn greeted(self) -> (Self, Value) {
        let mut client = self;
        let hello = client.next().await.expect("a greeting");
        assert!(hello["hello"]["log"].is_string(), "{hello}");
        (client, hello)
    }

    pub async fn say(&mut self, said: Value) {
        self.0.send(Message::text(said.to_string())).await.unwrap();
    }

    /// The next text; nothing at the end.
    pub async fn next(&mut self) -> Option<Value> {
        within(LIMIT, "a message", async {
            loop {
                match self.0.next().await? {
                    Ok(Message::Text(text)) => return Some(serde_json::from_str(&text).unwrap()),
                    Ok(Message::Close(_)) | Err(_) => return None,
                    Ok(_) => {}
                }
            }
        })
        .await
    }

    pub async fn until(&mut self, fits: impl Fn(&Value) -> bool) -> Value {
        loop {
            let message = self.next().await.expect("it goes on");
            if fits(&message) {
                return message;
            }
        }
    }
}

#[tokio::test]
async fn topics_are_followed_from_any_number_on() {
    let place = Place::new().await;
    let (mut client, hello) = Client::new(&place, &place.admin).await;
    let since = hello["hello"]["seq"].as_u64().unwrap();
    client.say(json!({"subscribe": {"topics": ["tasks"]}})).await;
    client.say(json!({"subscribe": {"topics": ["nonsense"]}})).await;
    let refused = client.until(|message| message["error"].is_object()).await;
    assert_eq!(refused["error"]["errors"][0]["pointer"], "/subscribe/topics/0");
    let id = place.run("print a").await;
    let finished = |message: &Value| {
        message["event"]["kind"] == "task_finished" && message["event"]["id"] == id.as_str()
    };
    let last = client.until(finished).await;
    assert_eq!((last["topic"].as_str(), &last["seq"]), (Some("tasks"), &last["event"]["seq"]));
    let (mut later, _) = Client::new(&place, &place.admin).await;
    later.say(json!({"subscribe": {"topics": ["tasks", "agents"], "since": since}})).await;
    let mut seen = since;
    loop {
        let message = later.next().await.unwrap();
        let seq = message["seq"].as_u64().unwrap();
        assert!(seq > seen, "{message}");
        seen = seq;
        if message == last {
            break;
        }
    }
    later.say(json!({"unsubscribe": {"topics": ["tasks"]}, "x": 1})).await;
    assert!(later.until(|message| message["error"].is_object()).await["error"]["code"] == "invalid_request");
}

#[tokio::test]
async fn output_comes_as_text_with_its_place() {
    let place = Place::new().await;
    let id = place.submit(json!({"prompt": "print früh; ask Go on?; print späť"})).await;
    let (mut client, _) = Client::new(&place, &place.admin).await;
    let topic = format!("output:{id}");
    client.say(json!({"subscribe": {"topics": [topic]}})).await;
    let first = client.until(|message| message["topic"] == topic.as_str()).await;
    assert_eq!(first["event"]["offset"], 0);
    assert!(first["event"]["text"].as_str().unwrap().starts_with("früh\n"), "{first}");
    place.post(&format!("/v1/tasks/{id}/answer"), json!({"answer": "yes"})).await.with(204);
    let last = client.until(|message| message["event"]["end"] == true).await;
    let whole = place.get(&format!("/v1/tasks/{id}/output")).await.with(200).body;
    assert_eq!(last["event"]["offset"].as_u64(), Some(whole.len() as u64));
    let (mut other, _) = Client::new(&place, &place.token("mine", Role::Viewer, &["mine"]).await).await;
    other.say(json!({"subscribe": {"topics": [topic]}})).await;
    assert_eq!(other.next().await.unwrap()["error"]["code"], "not_found");
}

#[tokio::test]
async fn who_is_nobody_is_refused_and_who_was_somebody_is_let_go() {
    let place = Place::new().await;
    for token in [None, Some("cnd_of_nobody")] {
        match Client::try_new(&place, token).await {
            Err(Error::Http(answer)) => assert_eq!(answer.status(), 401),
            other => panic!("{:?}", other.map(|client| client.0.get_config().max_message_size)),
        }
    }
    place.get("/v1/ws").await.problem(400, "invalid_request");
    let token = place.token("short", Role::Viewer, &[]).await;
    let (mut client, _) = Client::new(&place, &token).await;
    place.ask("DELETE", "/v1/tokens/short").send().await.with(204);
    let end = within(Duration::from_secs(3), "the socket is closed", client.next()).await;
    assert_eq!(end, None);
}

#[tokio::test]
async fn a_stalled_client_is_told_to_look_anew_and_holds_up_nobody() {
    const TASKS: usize = 6_000;
    let place = Place::new().await;
    place.post("/v1/queue/pause", json!({})).await.with(204);
    let (mut stalled, _) = Client::small(&place).await;
    stalled.say(json!({"subscribe": {"topics": ["tasks"]}})).await;
    // It answers once it has read that, and from then on nobody reads what comes.
    stalled.say(json!({"subscribe": {"topics": ["?"]}})).await;
    stalled.until(|message| message["error"].is_object()).await;
    let (mut other, _) = Client::new(&place, &place.admin).await;
    other.say(json!({"subscribe": {"topics": ["tasks"]}})).await;
    other.say(json!({"subscribe": {"topics": ["?"]}})).await;
    other.until(|message| message["error"].is_object()).await;
    let mut ids = HashSet::new();
    // Each is submitted, and then cancelled: more than is kept at hand, and more than a socket takes in.
    for _ in 0..TASKS / 1_000 {
        let tasks = vec![json!({"prompt": "print a", "name": "x".repeat(150)}); 1_000];
        let items = place.post("/v1/tasks/batch", json!({"tasks": tasks})).await.with(201).json();
        ids.extend(
            items["items"].as_array().unwrap().iter().map(|item| item["id"].as_str().unwrap().to_owned()),
        );
    }
    let reading = async {
        let (mut submitted, mut over, mut last) = (HashSet::new(), HashSet::new(), 0);
        while over.len() < TASKS {
            let message = other.next().await.unwrap();
            assert!(message["resync"].is_null(), "who reads is not told to look anew");
            let seq = message["seq"].as_u64().unwrap();
            assert!(seq > last, "{message}");
            last = seq;
            let id = message["event"]["id"].as_str().unwrap_or_default().to_owned();
            match message["event"]["kind"].as_str().unwrap() {
                "task_submitted" => drop(submitted.insert(id)),
                "task_finished" => drop(over.insert(id)),
                _ => {}
            }
        }
        (submitted, over)
    };
    let cancel =
        async { place.post("/v1/tasks/cancel", json!({"state": ["queued"]})).await.with(200).json() };
    let (ended, (submitted, over)) = tokio::join!(cancel, reading);
    assert_eq!(ended["count"], TASKS);
    assert!(submitted == ids && over == ids, "every event came, and once");
    // Enough for the ring to go round.
    for _ in 0..30 {
        let tasks = vec![json!({"prompt": "print a", "name": "x".repeat(150)}); 1_000];
        place.post("/v1/tasks/batch", json!({"tasks": tasks})).await.with(201);
    }
    let resync = stalled.until(|message| message["resync"].is_object()).await;
    assert_eq!(resync["resync"]["topic"], "tasks");
    let from = resync["resync"]["from"].as_u64().unwrap();
    let id = place.submit(json!({"prompt": "print a"})).await;
    let next = stalled.until(|message| message["event"]["id"] == id.as_str()).await;
    assert!(next["seq"].as_u64().unwrap() > from);
}
