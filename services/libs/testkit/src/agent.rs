//! An agent that speaks the protocol and does nothing else: it finishes tasks without running them. Tests script it word by
//! word; measurements let it drain as fast as it can.

mod books;
mod options;

use conductor_core::{AgentId, InstanceId, Lease};
use conductor_protocol::Problem;
use conductor_protocol::agent::{
    Answer, End, Finished, FromAgent, Hello, Opening, Started, ToAgent, VERSION, Welcome,
};
use conductor_protocol::limits::MAX_AGENT_MESSAGE_BYTES;
use conductor_runtime::credentials::{self, StartKey};
use futures_util::{SinkExt as _, StreamExt as _};
use tokio::net::UnixStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::{self, Message, protocol::WebSocketConfig};

pub use books::Books;
pub use options::Options;

/// Why a fake agent cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("connect to the orchestrator")]
    Connect(#[source] std::io::Error),
    #[error(transparent)]
    Key(#[from] credentials::Error),
    #[error("the connection broke")]
    Socket(#[from] Box<tungstenite::Error>),
    #[error("the orchestrator closed the connection")]
    Closed,
    #[error("the orchestrator refused: {0}")]
    Refused(Problem),
    #[error("the orchestrator sent {text:?}")]
    NotUnderstood { text: String, source: serde_json::Error },
}

impl From<tungstenite::Error> for Error {
    fn from(error: tungstenite::Error) -> Self {
        use std::io::ErrorKind::{BrokenPipe, ConnectionReset};
        use tungstenite::error::ProtocolError::ResetWithoutClosingHandshake;
        match error {
            tungstenite::Error::ConnectionClosed
            | tungstenite::Error::AlreadyClosed
            | tungstenite::Error::Protocol(ResetWithoutClosingHandshake) => Self::Closed,
            tungstenite::Error::Io(error) if matches!(error.kind(), BrokenPipe | ConnectionReset) => {
                Self::Closed
            }
            other => Self::Socket(Box::new(other)),
        }
    }
}

/// What an agent keeps over its connections.
#[derive(Debug)]
pub struct Agent {
    options: Options,
    agent_id: AgentId,
    instance: InstanceId,
    books: Books,
}

impl Agent {
    /// Makes an agent that has not connected yet.
    #[must_use]
    pub fn new(options: Options) -> Self {
        let (agent_id, instance) = (AgentId(options::random()), InstanceId(options::random()));
        Self { options, agent_id, instance, books: Books::default() }
    }

    /// Its id.
    #[must_use]
    pub fn agent_id(&self) -> AgentId {
        self.agent_id
    }

    /// What it was given and what it has reported.
    #[must_use]
    pub fn books(&self) -> &Books {
        &self.books
    }

    /// Forgets everything but its id, as an agent whose worker died before it could write anything down.
    pub fn restart(&mut self) {
        self.instance = InstanceId(options::random());
        self.books = Books::default();
    }

    /// Connects, and says again what was not acknowledged.
    ///
    /// # Errors
    /// When nothing listens, or the orchestrator does not let it in.
    pub async fn connect(&mut self) -> Result<Session<'_>, Error> {
        let stream = UnixStream::connect(&self.options.socket).await.map_err(Error::Connect)?;
        let limits = WebSocketConfig::default()
            .max_message_size(Some(MAX_AGENT_MESSAGE_BYTES))
            .max_frame_size(Some(MAX_AGENT_MESSAGE_BYTES));
        let upgrade =
            tokio_tungstenite::client_async_with_config("ws://conductor/agent", stream, Some(limits));
        let (mut socket, _) = upgrade.await?;
        let key = StartKey::read(&self.options.key_file)?.reveal().to_owned();
        let hello = Opening::Hello(Box::new(self.hello(key)));
        socket.send(text(&hello)).await?;
        let welcome = match hear::<Answer>(&mut socket).await? {
            Answer::Welcome(welcome) => welcome,
            Answer::Refused(problem) => return Err(Error::Refused(problem)),
            Answer::OutputReady { .. } => return Err(Error::Closed),
        };
        self.books.forget(&welcome.stale);
        let mut session = Session { agent: self, socket, welcome };
        let again = session.agent.books.unacknowledged();
        if !again.is_empty() {
            session.say(FromAgent { finished: again, ..FromAgent::default() }).await?;
        }
        Ok(session)
    }

    fn hello(&self, key: String) -> Hello {
        let held = self.books.held();
        let works = u32::try_from(self.books.working().count()).unwrap_or(u32::MAX);
        Hello {
            protocol: VERSION,
            key,
            agent_id: self.agent_id,
            instance: self.instance,
            name: self.options.name.clone(),
            host: "testkit".into(),
            version: env!("CARGO_PKG_VERSION").into(),
            slots: self.options.slots,
            labels: self.options.labels.clone(),
            runners: self.options.runners(),
            held,
            credits: self.options.slots.saturating_sub(works),
            shares_workspace: true,
            seen: None,
        }
    }
}

/// A fake agent's connection.
#[derive(Debug)]
pub struct Session<'a> {
    agent: &'a mut Agent,
    socket: WebSocketStream<UnixStream>,
    welcome: Welcome,
}

impl Session<'_> {
    /// What the orchestrator answered.
    #[must_use]
    pub fn welcome(&self) -> &Welcome {
        &self.welcome
    }

    /// What the agent was given and what it has reported.
    #[must_use]
    pub fn books(&self) -> &Books {
        &self.agent.books
    }

    /// Waits for the orchestrator's next words and keeps the books by them.
    ///
    /// # Errors
    /// When the connection ends.
    pub async fn hear(&mut self) -> Result<ToAgent, Error> {
        let said: ToAgent = hear(&mut self.socket).await?;
        self.agent.books.take(&said);
        Ok(said)
    }

    /// Says anything.
    ///
    /// # Errors
    /// When the connection ends.
    pub async fn say(&mut self, said: FromAgent) -> Result<(), Error> {
        Ok(self.socket.send(text(&said)).await?)
    }

    /// Says that runs began.
    ///
    /// # Errors
    /// When the connection ends.
    pub async fn start(&mut self, leases: impl IntoIterator<Item = Lease>) -> Result<(), Error> {
        let started = leases.into_iter().map(|lease| Started { lease }).collect();
        self.say(FromAgent { started, ..FromAgent::default() }).await
    }

    /// Says that runs are over, and asks for as many further tasks.
    ///
    /// # Errors
    /// When the connection ends.
    pub async fn finish(&mut self, leases: impl IntoIterator<Item = Lease>, end: &End) -> Result<(), Error> {
        let finished: Vec<_> = leases.into_iter().map(|lease| self.agent.books.finish(lease, end)).collect();
        let credits = u32::try_from(finished.len()).unwrap_or(u32::MAX);
        self.say(FromAgent { credits, finished, ..FromAgent::default() }).await
    }

    /// Finishes everything that comes as succeeded, at once, until `count` results are acknowledged or the connection
    /// ends. A task that is to be ended ends as cancelled.
    ///
    /// # Errors
    /// When the connection ends first.
    pub async fn drain(&mut self, count: u64) -> Result<(), Error> {
        let goal = self.agent.books.acknowledged() + count;
        while self.agent.books.acknowledged() < goal {
            let said = self.hear().await?;
            let leases: Vec<_> = said.assign.iter().map(|assign| assign.lease).collect();
            if leases.is_empty() {
                continue;
            }
            let started = if self.agent.options.says_started {
                leases.iter().map(|lease| Started { lease: *lease }).collect()
            } else {
                Vec::new()
            };
            let books = &mut self.agent.books;
            let finished: Vec<Finished> =
                leases.into_iter().map(|lease| books.finish(lease, &End::Succeeded)).collect();
            let credits = u32::try_from(finished.len()).unwrap_or(u32::MAX);
            self.say(FromAgent { credits, started, finished, ..FromAgent::default() }).await?;
        }
        Ok(())
    }
}

async fn hear<T: serde::de::DeserializeOwned>(socket: &mut WebSocketStream<UnixStream>) -> Result<T, Error> {
    loop {
        match socket.next().await.ok_or(Error::Closed)?? {
            Message::Text(text) => {
                return serde_json::from_str(&text)
                    .map_err(|source| Error::NotUnderstood { text: text.as_str().to_owned(), source });
            }
            Message::Close(_) => return Err(Error::Closed),
            Message::Binary(_) | Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => {}
        }
    }
}

fn text<T: serde::Serialize>(message: &T) -> Message {
    Message::text(serde_json::to_string(message).expect("wire types have string keys alone"))
}

#[cfg(test)]
mod tests;
