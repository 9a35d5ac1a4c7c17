//! A scripted orchestrator: a test says what it answers and sees what it is told.

use std::future::Future;
use std::path::Path;
use std::time::Duration;

use conductor_core::{Incarnation, Lease, TaskId};
use conductor_protocol::agent::{
    Answer, Asked, Assign, EndRun, Finished, FromAgent, Hello, LogPosition, Opening, OutputHello, ToAgent,
    Welcome,
};
use conductor_protocol::frame::OutputFrame;
use conductor_runtime::credentials::StartKey;
use conductor_runtime::listen::UnixListener;
use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::value::RawValue;
use tokio::net::UnixStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;

/// Long enough for a machine under load; no test waits for it to pass.
const SOON: Duration = Duration::from_secs(20);

pub async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(SOON, future).await.expect("it does not happen")
}

pub struct Orchestrator {
    listener: UnixListener,
    key: StartKey,
}

impl Orchestrator {
    /// Listens at `run/agent.sock` below `home`, with a key of its own.
    pub fn start(home: &Path) -> Self {
        let listener = UnixListener::bind(&home.join("run/agent.sock")).unwrap();
        let key = StartKey::create(&home.join("run/agent.key")).unwrap();
        Self { listener, key }
    }

    /// Takes the next connection and its hello.
    pub async fn accept(&self) -> (Connection, Hello) {
        soon(async {
            let stream = self.listener.accept().await.unwrap();
            let mut socket = tokio_tungstenite::accept_async(stream).await.unwrap();
            let opening = socket.next().await.unwrap().unwrap();
            let Opening::Hello(hello) = serde_json::from_str(opening.to_text().unwrap()).unwrap() else {
                panic!("an opening that is no hello: {opening}");
            };
            assert!(self.key.matches(&hello.key), "the key of another start");
            (Connection::new(socket), *hello)
        })
        .await
    }

    /// Takes the next connection, which is for output, and grants so many bytes.
    pub async fn accept_output(&self, grant: u64) -> (Connection, OutputHello) {
        soon(async {
            let stream = self.listener.accept().await.unwrap();
            let mut socket = tokio_tungstenite::accept_async(stream).await.unwrap();
            let opening = socket.next().await.unwrap().unwrap();
            let Opening::Output(hello) = serde_json::from_str(opening.to_text().unwrap()).unwrap() else {
                panic!("an opening that is not for output: {opening}");
            };
            let mut connection = Connection::new(socket);
            connection.answer(Answer::OutputReady { grant }).await;
            (connection, hello)
        })
        .await
    }

    /// Takes the next connection and lets it in.
    pub async fn welcome(&self, home: &Path) -> (Connection, Hello) {
        let (mut connection, hello) = self.accept().await;
        connection.answer(Answer::Welcome(welcome(home))).await;
        (connection, hello)
    }
}

/// What an orchestrator of the same home answers.
pub fn welcome(home: &Path) -> Welcome {
    Welcome {
        version: "0.0.0".into(),
        heartbeat_seconds: 30,
        lease_seconds: 120,
        stale: Vec::new(),
        draining: false,
        workspace: home.join("workspace").to_str().unwrap().to_owned(),
        log: LogPosition { id: "log".into(), seq: 1 },
    }
}

pub struct Connection {
    socket: WebSocketStream<UnixStream>,
    /// What was heard while something else was waited for.
    heard: FromAgent,
}

impl Connection {
    fn new(socket: WebSocketStream<UnixStream>) -> Self {
        Self { socket, heard: FromAgent::default() }
    }

    /// Hears until `take` finds what it looks for.
    async fn until<T>(&mut self, mut take: impl FnMut(&mut FromAgent) -> Option<T>) -> T {
        loop {
            if let Some(found) = take(&mut self.heard) {
                return found;
            }
            let message = self.hear().await.expect("the agent hung up");
            self.heard.credits += message.credits;
            self.heard.started.extend(message.started);
            self.heard.asked.extend(message.asked);
            self.heard.spent.extend(message.spent);
            self.heard.finished.extend(message.finished);
        }
    }

    pub async fn answer(&mut self, answer: Answer) {
        self.socket.send(Message::text(serde_json::to_string(&answer).unwrap())).await.unwrap();
    }

    pub async fn say(&mut self, said: ToAgent) {
        self.socket.send(Message::text(serde_json::to_string(&said).unwrap())).await.unwrap();
    }

    /// The next message; none when the agent hung up.
    pub async fn hear(&mut self) -> Option<FromAgent> {
        soon(async {
            loop {
                match self.socket.next().await? {
                    Ok(Message::Text(text)) => return Some(serde_json::from_str(&text).unwrap()),
                    Ok(Message::Ping(_) | Message::Pong(_)) => {}
                    Ok(Message::Close(_)) | Err(_) => return None,
                    Ok(other) => panic!("{other:?}"),
                }
            }
        })
        .await
    }

    /// Hears until something is finished.
    pub async fn finished(&mut self) -> Finished {
        self.until(|heard| heard.finished.pop()).await
    }

    /// Hears until a run began.
    pub async fn started(&mut self, number: u64) {
        self.until(|heard| {
            let at = heard.started.iter().position(|started| started.lease == lease(number))?;
            Some(heard.started.remove(at))
        })
        .await;
    }

    /// Hears until a run asks something.
    pub async fn asked(&mut self) -> Asked {
        self.until(|heard| heard.asked.pop()).await
    }

    /// Hears until a run says what it has spent, in tokens.
    pub async fn spent(&mut self) -> (Lease, u64) {
        self.until(|heard| heard.spent.pop().map(|spent| (spent.lease, spent.tokens))).await
    }

    /// Hears until so many tasks were asked for since the hello.
    pub async fn granted(&mut self, count: u32) {
        self.until(|heard| (heard.credits >= count).then_some(())).await;
    }

    /// How many tasks were asked for since the hello, as far as it was heard.
    pub fn credits(&self) -> u32 {
        self.heard.credits
    }

    /// Reads an output from its beginning to the mark of its end, or until there are so many bytes.
    pub async fn output(&mut self, most: u64) -> Vec<u8> {
        let mut all = Vec::new();
        while (all.len() as u64) < most {
            let message = soon(self.socket.next()).await.unwrap().unwrap();
            let Message::Binary(bytes) = message else { continue };
            let frame = OutputFrame::decode(&bytes).unwrap();
            assert_eq!(frame.offset, all.len() as u64, "nothing is left out and nothing comes twice");
            if frame.bytes.is_empty() {
                break;
            }
            all.extend_from_slice(frame.bytes);
        }
        all
    }

    pub async fn end(&mut self, lease: Lease, revoked: bool) {
        self.say(ToAgent { end: vec![EndRun { lease, revoked }], ..ToAgent::default() }).await;
    }

    pub async fn assign(&mut self, assign: Assign) {
        self.say(ToAgent { assign: vec![assign], ..ToAgent::default() }).await;
    }

    pub async fn acknowledge(&mut self, lease: Lease) {
        self.say(ToAgent { acknowledged: vec![lease], ..ToAgent::default() }).await;
    }

    /// Waits until the agent has run a task, so that it has surely taken all that was said before.
    pub async fn works(&mut self, number: u64) {
        self.assign(mock(number, "print it works")).await;
        assert_eq!(self.finished().await.lease, lease(number));
        self.acknowledge(lease(number)).await;
    }
}

pub fn lease(number: u64) -> Lease {
    Lease { incarnation: Incarnation(9), number }
}

/// A mock task, whose number names both the task and its lease.
pub fn mock(number: u64, prompt: &str) -> Assign {
    task(number, "mock", &serde_json::json!({ "prompt": prompt }))
}

pub fn task(number: u64, runner: &str, body: &serde_json::Value) -> Assign {
    Assign {
        task: TaskId(u128::from(number)),
        lease: lease(number),
        attempt: 1,
        runner: runner.into(),
        group: "default".into(),
        timeout_ms: 600_000,
        after: None,
        starts_from: None,
        uploads: Vec::new(),
        limit: Default::default(),
        token: None,
        body: RawValue::from_string(body.to_string()).unwrap(),
    }
}
