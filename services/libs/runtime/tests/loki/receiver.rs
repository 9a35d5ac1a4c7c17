//! An HTTP server that takes pushes as Loki does: snappy, then protobuf, read here by hand so that the sender's own
//! types do not vouch for themselves.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

/// What the receiver does with a push.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    Ok,
    Refuse,
    /// Says nothing until the answer is another.
    Stall,
}

/// One line as it arrived.
#[derive(Clone, Debug)]
pub struct Entry {
    pub labels: String,
    pub seconds: i64,
    pub line: serde_json::Value,
}

pub struct Receiver {
    port: u16,
    shared: Arc<(Mutex<State>, Condvar)>,
}

struct State {
    answer: Answer,
    requests: usize,
    entries: Vec<Entry>,
}

impl Receiver {
    pub fn start(answer: Answer) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let state = State { answer, requests: 0, entries: Vec::new() };
        let shared = Arc::new((Mutex::new(state), Condvar::new()));
        let inside = Arc::clone(&shared);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let inside = Arc::clone(&inside);
                std::thread::spawn(move || serve(stream.unwrap(), &inside));
            }
        });
        Receiver { port, shared }
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    pub fn answer(&self, answer: Answer) {
        self.shared.0.lock().unwrap().answer = answer;
        self.shared.1.notify_all();
    }

    pub fn entries(&self) -> Vec<Entry> {
        self.shared.0.lock().unwrap().entries.clone()
    }

    pub fn wait_for(&self, entries: usize, patience: Duration) {
        self.wait(patience, |state| state.entries.len() >= entries);
    }

    pub fn wait_for_requests(&self, requests: usize, patience: Duration) {
        self.wait(patience, |state| state.requests >= requests);
    }

    fn wait(&self, patience: Duration, holds: impl Fn(&State) -> bool) {
        let state = self.shared.0.lock().unwrap();
        let (_state, late) =
            self.shared.1.wait_timeout_while(state, patience, |state| !holds(state)).unwrap();
        assert!(!late.timed_out(), "what was waited for did not arrive");
    }
}

fn serve(stream: TcpStream, shared: &(Mutex<State>, Condvar)) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut stream = stream;
    while let Some(body) = request(&mut reader) {
        let mut state = shared.0.lock().unwrap();
        state.requests += 1;
        shared.1.notify_all();
        let mut state = shared.1.wait_while(state, |state| state.answer == Answer::Stall).unwrap();
        let status = if state.answer == Answer::Ok {
            let entries = decode(&body);
            state.entries.extend(entries);
            "204 No Content"
        } else {
            "500 Internal Server Error"
        };
        shared.1.notify_all();
        drop(state);
        if write!(stream, "HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n").is_err() {
            return;
        }
    }
}

/// Reads one request and gives its body; none at the end of the connection.
fn request(reader: &mut impl BufRead) -> Option<Vec<u8>> {
    let mut head = Vec::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        if line.trim().is_empty() {
            break;
        }
        head.push(line.trim().to_lowercase());
    }
    assert_eq!(head[0], "post /loki/api/v1/push http/1.1");
    assert!(head.contains(&"content-type: application/x-protobuf".to_owned()), "{head:?}");
    assert!(head.contains(&"content-encoding: snappy".to_owned()), "{head:?}");
    let length = head.iter().find_map(|line| line.strip_prefix("content-length: ")).unwrap().parse().unwrap();
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some(body)
}

fn decode(body: &[u8]) -> Vec<Entry> {
    let push = snap::raw::Decoder::new().decompress_vec(body).unwrap();
    let mut entries = Vec::new();
    // PushRequest { streams = 1: { labels = 1, entries = 2: { timestamp = 1: { seconds = 1 }, line = 2 } } }
    for stream in bytes_of(&push, 1) {
        let labels = String::from_utf8(bytes_of(stream, 1)[0].to_vec()).unwrap();
        for entry in bytes_of(stream, 2) {
            let seconds = number_of(bytes_of(entry, 1)[0], 1);
            let line = serde_json::from_slice(bytes_of(entry, 2)[0]).unwrap();
            entries.push(Entry { labels: labels.clone(), seconds, line });
        }
    }
    entries
}

enum Wire<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

fn bytes_of(message: &[u8], field: u64) -> Vec<&[u8]> {
    let wanted = fields(message).into_iter().filter(|(number, _)| *number == field);
    wanted.filter_map(|(_, wire)| if let Wire::Bytes(bytes) = wire { Some(bytes) } else { None }).collect()
}

fn number_of(message: &[u8], field: u64) -> i64 {
    let wanted = fields(message).into_iter().find_map(|(number, wire)| match wire {
        Wire::Number(value) if number == field => Some(value.cast_signed()),
        Wire::Number(_) | Wire::Bytes(_) => None,
    });
    wanted.unwrap_or(0)
}

fn fields(mut message: &[u8]) -> Vec<(u64, Wire<'_>)> {
    let mut fields = Vec::new();
    while !message.is_empty() {
        let key = varint(&mut message);
        let wire = match key & 7 {
            0 => Wire::Number(varint(&mut message)),
            2 => {
                let length = usize::try_from(varint(&mut message)).unwrap();
                let (bytes, rest) = message.split_at(length);
                message = rest;
                Wire::Bytes(bytes)
            }
            other => panic!("wire type {other} is not in a push"),
        };
        fields.push((key >> 3, wire));
    }
    fields
}

fn varint(message: &mut &[u8]) -> u64 {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = message.split_first().unwrap();
        *message = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return value;
        }
    }
    panic!("a varint is too long")
}
