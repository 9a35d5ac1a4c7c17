//! An HTTP/1.1 client that costs next to nothing: requests are bytes made beforehand, of an answer its head is read for
//! the status and the length.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use super::super::load::Peer;

/// The longest that any answer may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// A connection that is kept open.
#[derive(Debug)]
pub struct Client {
    stream: TcpStream,
    buffer: Vec<u8>,
}

/// An answer, as it stands in the buffer.
struct Found {
    status: u16,
    body: usize,
    end: usize,
}

/// What was answered.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    /// Head and body in bytes.
    pub bytes: usize,
    pub head: String,
    pub body: String,
}

/// Makes a request with a token and, when there is one, a body of JSON.
pub fn request(method: &str, path: &str, token: &str, body: Option<&str>) -> Vec<u8> {
    let mut text = format!(
        "{method} {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\nAccept: */*\r\n"
    );
    if let Some(body) = body {
        text += &format!("Content-Type: application/json\r\nContent-Length: {}\r\n", body.len());
    }
    text += "\r\n";
    text += body.unwrap_or_default();
    text.into_bytes()
}

impl Client {
    /// Connects.
    pub fn open(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(Self { stream, buffer: Vec::new() })
    }

    /// Asks and waits for the answer.
    pub fn ask(&mut self, request: &[u8]) -> io::Result<Answer> {
        self.stream.write_all(request)?;
        loop {
            if let Some(Found { status, body, end }) = self.find()? {
                let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
                let (head, rest) = (text(&self.buffer[..body]), text(&self.buffer[body..end]));
                self.buffer.drain(..end);
                return Ok(Answer { status, bytes: end, head, body: rest });
            }
            self.read()?;
        }
    }

    fn read(&mut self) -> io::Result<()> {
        let mut piece = [0; 64 << 10];
        match self.stream.read(&mut piece)? {
            0 => Err(io::Error::other("the other side closed the connection")),
            count => {
                self.buffer.extend_from_slice(&piece[..count]);
                Ok(())
            }
        }
    }

    /// Finds the first answer when it is whole. Answers of a stream have no length and are not read with this.
    fn find(&self) -> io::Result<Option<Found>> {
        let Some(body) = self.buffer.windows(4).position(|bytes| bytes == b"\r\n\r\n").map(|at| at + 4)
        else {
            return Ok(None);
        };
        let head = std::str::from_utf8(&self.buffer[..body]).map_err(io::Error::other)?;
        let bad = || io::Error::other(format!("an answer cannot be read: {head}"));
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).ok_or_else(bad)?;
        let mut lines = head.lines().filter_map(|line| line.split_once(':'));
        let length = lines.find(|(name, _)| name.eq_ignore_ascii_case("content-length"));
        let length: usize = match length {
            Some((_, length)) => length.trim().parse().map_err(|_| bad())?,
            None if status == 204 || status == 304 => 0,
            None => return Err(bad()),
        };
        let end = body + length;
        Ok((self.buffer.len() >= end).then_some(Found { status, body, end }))
    }
}

impl AsFd for Client {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}

impl Peer for Client {
    fn unblock(&self) -> io::Result<()> {
        self.stream.set_nonblocking(true)
    }

    fn send(&mut self, request: &[u8]) -> io::Result<()> {
        self.stream.write_all(request)
    }

    fn hear_ready(&mut self, mut each: impl FnMut(bool, &[u8])) -> io::Result<()> {
        self.read()?;
        while let Some(Found { status, end, .. }) = self.find()? {
            each((200..300).contains(&status), &self.buffer[..end]);
            self.buffer.drain(..end);
        }
        Ok(())
    }
}
