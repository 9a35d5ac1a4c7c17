//! A WebSocket client that costs next to nothing, so that the load generator takes little from what it measures.
//!
//! Requests are frames made once; of an answer only its frame is read. The mask of its frames is zero, which the other
//! side has to apply all the same.

use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

/// The longest that any answer may take.
const PATIENCE: Duration = Duration::from_secs(60);

const TEXT: u8 = 0x1;
const CLOSE: u8 = 0x8;
const PING: u8 = 0x9;

/// A connection.
#[derive(Debug)]
pub struct Connection {
    stream: UnixStream,
    buffer: Vec<u8>,
    /// Where in the buffer the next frame begins.
    start: usize,
}

/// Makes a masked text frame.
pub fn frame(text: &str) -> Vec<u8> {
    let length = text.len();
    let mut frame = Vec::with_capacity(length + 14);
    frame.push(0x80 | TEXT);
    match (u8::try_from(length), u16::try_from(length)) {
        (Ok(short), _) if short < 126 => frame.push(0x80 | short),
        (_, Ok(middle)) => {
            frame.push(0x80 | 126);
            frame.extend_from_slice(&middle.to_be_bytes());
        }
        _ => {
            frame.push(0x80 | 127);
            frame.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
    frame.extend_from_slice(&[0; 4]);
    frame.extend_from_slice(text.as_bytes());
    frame
}

impl Connection {
    /// Connects and shakes hands.
    pub fn open(socket: &Path) -> io::Result<Self> {
        let mut stream = UnixStream::connect(socket)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        stream.write_all(
            b"GET / HTTP/1.1\r\nHost: conductor\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
              Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
        )?;
        let mut head = Vec::new();
        let mut byte = [0];
        while !head.ends_with(b"\r\n\r\n") {
            stream.read_exact(&mut byte)?;
            head.push(byte[0]);
        }
        if !head.starts_with(b"HTTP/1.1 101") {
            return Err(io::Error::other("the handshake was refused"));
        }
        Ok(Self { stream, buffer: Vec::new(), start: 0 })
    }

    /// Makes reads and writes answer at once.
    pub fn unblock(&self) -> io::Result<()> {
        self.stream.set_nonblocking(true)
    }

    /// Sends a frame.
    pub fn send(&mut self, frame: &[u8]) -> io::Result<()> {
        self.stream.write_all(frame)
    }

    /// Sends a text.
    pub fn say(&mut self, text: &str) -> io::Result<()> {
        self.send(&frame(text))
    }

    /// Waits for the next text.
    pub fn hear(&mut self) -> io::Result<&str> {
        let (from, to) = loop {
            if let Some(found) = self.next_text()? {
                break found;
            }
            self.read()?;
        };
        std::str::from_utf8(&self.buffer[from..to]).map_err(io::Error::other)
    }

    /// Reads what is there and hands every text that is whole to `each`.
    pub fn hear_ready(&mut self, mut each: impl FnMut(&[u8])) -> io::Result<()> {
        self.read()?;
        while let Some((from, to)) = self.next_text()? {
            each(&self.buffer[from..to]);
        }
        Ok(())
    }

    fn read(&mut self) -> io::Result<()> {
        if self.start > 0 {
            self.buffer.drain(..self.start);
            self.start = 0;
        }
        let mut piece = [0; 64 << 10];
        match self.stream.read(&mut piece) {
            Ok(0) => Err(io::Error::other("the other side closed the connection")),
            Ok(count) => {
                self.buffer.extend_from_slice(&piece[..count]);
                Ok(())
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                Err(io::Error::other(format!("no answer within {} s", PATIENCE.as_secs())))
            }
            Err(error) => Err(error),
        }
    }

    /// Where the next text stands in the buffer, when it is whole.
    fn next_text(&mut self) -> io::Result<Option<(usize, usize)>> {
        loop {
            let rest = &self.buffer[self.start..];
            let [first, second, ..] = *rest else { return Ok(None) };
            let (head, length) = match second & 0x7f {
                126 => match rest.get(2..4) {
                    Some(bytes) => (4, usize::from(u16::from_be_bytes([bytes[0], bytes[1]]))),
                    None => return Ok(None),
                },
                127 => match rest.get(2..10).and_then(|bytes| bytes.try_into().ok()) {
                    Some(bytes) => {
                        (10, usize::try_from(u64::from_be_bytes(bytes)).map_err(io::Error::other)?)
                    }
                    None => return Ok(None),
                },
                short => (2, usize::from(short)),
            };
            if rest.len() < head + length {
                return Ok(None);
            }
            let from = self.start + head;
            self.start = from + length;
            match first & 0xf {
                TEXT => return Ok(Some((from, self.start))),
                PING => self.send(&[0x8a, 0x80, 0, 0, 0, 0])?,
                CLOSE => return Err(io::Error::other("the other side said goodbye")),
                _ => {}
            }
        }
    }
}

impl AsFd for Connection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}
