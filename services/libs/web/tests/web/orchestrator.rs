//! An orchestrator that knows people by what they show, and nothing else.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use conductor_client::{Control, Options};
use conductor_protocol::control::{
    Call, Groups, Identity, Opened, Request, Response, ResponseBody, Role, StatusView, TokenKind,
};
use conductor_protocol::{Code, Problem};
use conductor_runtime::lifecycle::Shutdown;
use conductor_web::digest;
use futures_util::{SinkExt as _, StreamExt as _};
use serde::Serialize;
use serde_json::value::to_raw_value;
use tokio::io::DuplexStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{WebSocketStream, accept_async};

/// Who is known; clones share it.
#[derive(Debug, Clone, Default)]
pub struct People {
    known: Arc<Mutex<HashMap<String, Identity>>>,
    asked: Arc<AtomicUsize>,
    gone: Shutdown,
}

impl People {
    pub fn let_in(&self, secret: &str, name: &str, role: Role) {
        let (groups, kind) = (Groups::All, TokenKind::Runtime);
        let identity =
            Identity { name: name.to_owned(), role, groups, expires_at: None, kind, attempt: None };
        self.known.lock().unwrap().insert(digest(secret), identity);
    }

    pub fn put_out(&self, secret: &str) {
        self.known.lock().unwrap().remove(&digest(secret));
    }

    /// How often it was asked who a secret stands for, or how it is.
    pub fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }

    /// Ends the orchestrator.
    pub fn hang_up(&self) {
        self.gone.drain();
    }

    /// Opens a connection to an orchestrator that knows these.
    pub async fn connect(&self, options: Options) -> Control {
        let (ours, theirs) = tokio::io::duplex(64 << 10);
        let people = self.clone();
        self.gone.spawn("orchestrator", async move {
            let gone = people.gone.clone();
            tokio::select! {
                () = people.answer(accept_async(theirs).await.unwrap()) => {}
                () = gone.draining() => {}
            }
        });
        Control::over(ours, "any key", options).await.unwrap()
    }

    async fn answer(self, mut socket: WebSocketStream<DuplexStream>) {
        let _opening = socket.next().await;
        say(&mut socket, &Opened::Welcome(Box::default())).await;
        while let Some(Ok(message)) = socket.next().await {
            let Message::Text(text) = message else { continue };
            let Request { id, call, actor } = serde_json::from_str(&text).unwrap();
            let body = match call {
                Call::Authenticate(presented) => {
                    assert!(actor.is_none(), "only the owner may ask this");
                    self.asked.fetch_add(1, Ordering::Relaxed);
                    match self.known.lock().unwrap().get(&presented.digest) {
                        Some(identity) => ResponseBody::Ok(to_raw_value(identity).unwrap()),
                        None => ResponseBody::Error(Problem::new(Code::Unauthorized, "nobody")),
                    }
                }
                Call::Status => {
                    self.asked.fetch_add(1, Ordering::Relaxed);
                    ResponseBody::Ok(to_raw_value(&StatusView::default()).unwrap())
                }
                // Says on whose behalf it was asked.
                Call::Questions => ResponseBody::Ok(to_raw_value(&actor).unwrap()),
                other => panic!("nobody asks {other:?} here"),
            };
            say(&mut socket, &Response { id, body }).await;
        }
    }
}

async fn say(socket: &mut WebSocketStream<DuplexStream>, value: &impl Serialize) {
    // A program that has ended is some tests' point.
    let _gone = socket.send(Message::text(serde_json::to_string(value).unwrap())).await;
}
