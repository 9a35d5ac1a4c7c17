//! An open session: both directions at once, and heartbeats.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use conductor_protocol::agent::FromAgent;
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt as _, StreamExt as _};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc;
use tokio::time::MissedTickBehavior;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;

use super::{Error, Event, wire};

/// How many heartbeats in a row may pass without a word or a pong from the orchestrator.
const MAX_SILENT_BEATS: u32 = 2;

/// Talks until the connection ends, and says why it did.
pub(super) async fn talk<S>(
    socket: WebSocketStream<S>,
    heartbeat: Duration,
    outgoing: mpsc::Receiver<FromAgent>,
    events: &mpsc::Sender<Event>,
) -> Error
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let (sink, stream) = socket.split();
    let heard = AtomicBool::new(true);
    let ended = tokio::select! {
        ended = listen(stream, events, &heard) => ended,
        ended = speak(sink, heartbeat, outgoing) => ended,
        error = silence(heartbeat, &heard) => Err(error),
    };
    match ended {
        Ok(()) => Error::HungUp,
        Err(error) => error,
    }
}

async fn listen<S>(
    mut stream: SplitStream<WebSocketStream<S>>,
    events: &mpsc::Sender<Event>,
    heard: &AtomicBool,
) -> Result<(), Error>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    while let Some(message) = stream.next().await {
        heard.store(true, Ordering::Relaxed);
        if let Some(said) = wire::read(&message?)?
            && events.send(Event::Said(Box::new(said))).await.is_err()
        {
            return Ok(());
        }
    }
    Err(Error::Closed)
}

async fn speak<S>(
    mut sink: SplitSink<WebSocketStream<S>, Message>,
    heartbeat: Duration,
    mut outgoing: mpsc::Receiver<FromAgent>,
) -> Result<(), Error>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut beats = beats(heartbeat);
    loop {
        tokio::select! {
            said = outgoing.recv() => {
                let Some(mut said) = said else {
                    // Said for an orderly end and not waited for.
                    return Ok(sink.send(Message::Close(None)).await?);
                };
                loop {
                    sink.feed(wire::text(&said)).await?;
                    match outgoing.try_recv() {
                        Ok(next) => said = next,
                        Err(_) => break,
                    }
                }
                sink.flush().await?;
            }
            _ = beats.tick() => {
                sink.feed(Message::Ping(Vec::new().into())).await?;
                sink.send(wire::text(&FromAgent::default())).await?;
            }
        }
    }
}

/// Ends when nothing was heard for too long: every heartbeat goes with a ping that asks for a pong.
async fn silence(heartbeat: Duration, heard: &AtomicBool) -> Error {
    let mut beats = beats(heartbeat);
    let mut silent = 0;
    while silent <= MAX_SILENT_BEATS {
        beats.tick().await;
        silent = if heard.swap(false, Ordering::Relaxed) { 0 } else { silent + 1 };
    }
    Error::Silent(heartbeat * silent)
}

fn beats(heartbeat: Duration) -> tokio::time::Interval {
    let mut beats = tokio::time::interval_at(tokio::time::Instant::now() + heartbeat, heartbeat);
    beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
    beats
}
