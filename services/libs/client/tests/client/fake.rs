//! An orchestrator that says what a test tells it to.

use conductor_protocol::Problem;
use conductor_protocol::control::{Opened, Opening, Request, Response, ResponseBody, StatusView};
use conductor_protocol::frame::ChunkFrame;
use futures_util::{SinkExt, StreamExt};
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{WebSocketStream, accept_async};

pub const KEY: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

/// The orchestrator's end of one connection.
pub struct Peer<S> {
    socket: WebSocketStream<S>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Peer<S> {
    /// Lets a client in when it says the key.
    pub async fn accept(stream: S) -> Self {
        let mut peer = Self { socket: accept_async(stream).await.unwrap() };
        let opening: Opening = serde_json::from_str(&peer.text().await.unwrap()).unwrap();
        if opening.key == KEY {
            peer.json(&Opened::Welcome(Box::new(StatusView { pid: 7, ..StatusView::default() }))).await;
        } else {
            let problem = Problem::new(conductor_protocol::Code::Unauthorized, "the key does not fit");
            peer.json(&Opened::Refused(problem)).await;
        }
        peer
    }

    async fn text(&mut self) -> Option<String> {
        loop {
            match self.socket.next().await? {
                Ok(Message::Text(text)) => return Some(text.to_string()),
                Ok(_) => {}
                Err(_) => return None,
            }
        }
    }

    /// The next request; nothing when the client has gone.
    pub async fn request(&mut self) -> Option<Request> {
        self.text().await.map(|text| serde_json::from_str(&text).unwrap())
    }

    async fn json(&mut self, value: &impl Serialize) {
        // A client that has gone away is some tests' point.
        let _gone = self.socket.send(Message::text(serde_json::to_string(value).unwrap())).await;
    }

    pub async fn answer(&mut self, id: u64, value: &impl Serialize) {
        self.json(&Response { id, body: ResponseBody::Ok(raw(value)) }).await;
    }

    pub async fn item(&mut self, id: u64, value: &impl Serialize) {
        self.json(&Response { id, body: ResponseBody::Item(raw(value)) }).await;
    }

    pub async fn refuse(&mut self, id: u64, problem: Problem) {
        self.json(&Response { id, body: ResponseBody::Error(problem) }).await;
    }

    pub async fn bytes(&mut self, id: u64, offset: u64, bytes: &[u8]) {
        let frame = ChunkFrame { id, offset, bytes }.encode();
        let _gone = self.socket.send(Message::binary(frame)).await;
    }
}

pub fn raw(value: &impl Serialize) -> Box<RawValue> {
    to_raw_value(value).unwrap()
}
