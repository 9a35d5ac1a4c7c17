//! Many connections with one request under way on each, driven by one thread.

use std::io;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};

use super::programs::Home;
use super::wire::{self, Connection};

/// A connection that answers every request in order.
pub trait Peer: AsFd {
    /// Makes reads and writes answer at once.
    fn unblock(&self) -> io::Result<()>;
    /// Sends a request.
    fn send(&mut self, request: &[u8]) -> io::Result<()>;
    /// Reads what is there and hands every answer that is whole to `each`, with whether it is a yes.
    fn hear_ready(&mut self, each: impl FnMut(bool, &[u8])) -> io::Result<()>;
}

impl Peer for Connection {
    fn unblock(&self) -> io::Result<()> {
        Self::unblock(self)
    }

    fn send(&mut self, request: &[u8]) -> io::Result<()> {
        Self::send(self, request)
    }

    fn hear_ready(&mut self, mut each: impl FnMut(bool, &[u8])) -> io::Result<()> {
        Self::hear_ready(self, |text| each(text.starts_with(br#"{"id":1,"body":{"ok""#), text))
    }
}

/// What a test submits, over and over.
pub const TASK: &str =
    r#"{"prompt":"Find out why the test in src/lib.rs fails now and then, and mend it","runner":"mock"}"#;

/// A submit of so many tasks as a frame.
pub fn submit_frame(tasks: usize) -> Vec<u8> {
    let tasks = vec![TASK; tasks].join(",");
    wire::frame(&format!(r#"{{"id":1,"call":{{"submit":{{"tasks":[{tasks}]}}}}}}"#))
}

/// When to stop sending.
#[derive(Debug, Clone, Copy)]
pub enum Until {
    /// After a time.
    Time(Duration),
    /// When so many requests were answered.
    Answers(u64),
}

/// Connections that ask the same over and over.
#[derive(Debug)]
pub struct Load<P = Connection> {
    connections: Vec<P>,
    request: Vec<u8>,
}

impl Load {
    /// Opens the connections.
    pub fn open(home: &Home, connections: usize, frame: Vec<u8>) -> io::Result<Self> {
        Self::over((0..connections).map(|_| home.control()), frame)
    }
}

impl<P: Peer> Load<P> {
    /// Asks the same over connections that are open.
    pub fn over(connections: impl Iterator<Item = io::Result<P>>, request: Vec<u8>) -> io::Result<Self> {
        let connections: Vec<P> = connections.collect::<io::Result<_>>()?;
        connections.iter().try_for_each(Peer::unblock)?;
        Ok(Self { connections, request })
    }

    /// Asks until it is enough, and answers how many requests were answered and how long it took.
    pub fn run(&mut self, until: Until) -> io::Result<(u64, Duration)> {
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        for (index, connection) in self.connections.iter().enumerate() {
            epoll::add(&epoll, connection, EventData::new_u64(index as u64), EventFlags::IN)?;
        }
        let begin = Instant::now();
        for connection in &mut self.connections {
            connection.send(&self.request)?;
        }
        let (mut asked, mut answered) = (self.connections.len() as u64, 0);
        let mut events = Vec::with_capacity(self.connections.len());
        let mut refused = None;
        while answered < asked {
            epoll::wait(&epoll, rustix::buffer::spare_capacity(&mut events), None)?;
            let more = match until {
                Until::Time(time) => begin.elapsed() < time,
                Until::Answers(_) => true,
            };
            for event in events.drain(..) {
                let connection = &mut self.connections[usize::try_from(event.data.u64()).expect("an index")];
                let mut answers = 0;
                connection.hear_ready(|accepted, answer| {
                    answers += 1;
                    if !accepted {
                        refused = Some(String::from_utf8_lossy(answer).into_owned());
                    }
                })?;
                answered += answers;
                let wanted = match until {
                    Until::Time(_) => more,
                    Until::Answers(count) => asked < count,
                };
                if answers > 0 && wanted {
                    asked += 1;
                    connection.send(&self.request)?;
                }
            }
            if let Some(answer) = refused {
                return Err(io::Error::other(format!("a request was refused: {answer}")));
            }
        }
        Ok((answered, begin.elapsed()))
    }
}
