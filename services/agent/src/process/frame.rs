//! What the worker and a keeper say to each other over their socket pair.
//!
//! A request is a header (its length, its kind, two numbers) and, for a spawn, NUL-terminated strings: what it is confined to,
//! the program, the arguments, the environment. Four descriptors travel with a spawn: the working directory, standard
//! input, output and error. A reply has a fixed size. Both ends are the same binary, so the numbers are in
//! the order of the host and there is no version.

use std::ffi::CStr;
use std::fmt;
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::Errno;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags,
};
use rustix::process::WaitStatus;

/// The most bytes of a request; more than the kernel takes as arguments and environment in any case.
const MAX_REQUEST: usize = 8 << 20;
const HEADER: usize = 16;
const SPAWN: u32 = 1;
const END: u32 = 2;
const REPLY: usize = 24;

/// The listeners of a keeper that has a network of its own.
pub(crate) const LISTENERS: usize = 3;
/// What such a keeper says first: that it has one, or that there is none to be had.
const OWN_NETWORK: u8 = 1;
const NO_NETWORK: u8 = 0;

/// The descriptors of a spawn: working directory, standard input, output, error.
pub(crate) const DESCRIPTORS: usize = 4;

/// What a keeper is asked.
#[derive(Debug)]
pub(crate) enum Request {
    Spawn(Spawn),
    /// End the run: TERM, so many milliseconds, KILL.
    End {
        grace_ms: u32,
    },
}

/// A child to make, as it came over the socket.
#[derive(Debug)]
pub(crate) struct Spawn {
    strings: Vec<u8>,
    confines: usize,
    arguments: usize,
    pub descriptors: [OwnedFd; DESCRIPTORS],
}

impl Spawn {
    /// Returns what it is confined to, line by line, the program, the arguments and the environment.
    pub fn strings(&self) -> Option<Strings<'_>> {
        let mut rest = self.strings.as_slice();
        let mut all = Vec::new();
        while !rest.is_empty() {
            let string = CStr::from_bytes_until_nul(rest).ok()?;
            rest = &rest[string.count_bytes() + 1..];
            all.push(string);
        }
        let before = self.confines.checked_add(1)?;
        if all.len() < before.checked_add(self.arguments)? {
            return None;
        }
        let env = all.split_off(before + self.arguments);
        let argv = all.split_off(before);
        let program = all.pop()?;
        Some(Strings { confines: all, program, argv, env })
    }
}

/// The strings of a spawn.
#[derive(Debug)]
pub(crate) struct Strings<'a> {
    /// None is a child that nothing confines.
    pub confines: Vec<&'a CStr>,
    pub program: &'a CStr,
    pub argv: Vec<&'a CStr>,
    pub env: Vec<&'a CStr>,
}

/// A child to make, as it is asked for.
#[derive(Debug)]
pub(crate) struct Child<'a, A, E> {
    /// What it is confined to, line by line.
    pub confines: &'a [Vec<u8>],
    pub program: &'a [u8],
    pub argv: &'a [A],
    pub env: &'a [E],
}

/// How a child ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    Code(i32),
    Signal(i32),
}

impl Exit {
    /// Returns the code as a shell gives it: 128 and the signal's number for a signal.
    #[must_use]
    pub fn as_code(self) -> i32 {
        match self {
            Self::Code(code) => code,
            Self::Signal(signal) => 128 + signal,
        }
    }
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Code(code) => write!(f, "exited with {code}"),
            Self::Signal(signal) => write!(f, "was ended by signal {signal}"),
        }
    }
}

impl From<WaitStatus> for Exit {
    fn from(status: WaitStatus) -> Self {
        match (status.exit_status(), status.terminating_signal()) {
            (Some(code), _) => Self::Code(code),
            (None, Some(signal)) => Self::Signal(signal),
            (None, None) => Self::Signal(0),
        }
    }
}

/// What a keeper says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reply {
    /// The child runs, and has done so for [`super::keeper::SHORT`]; of one that ends sooner only the end is told.
    /// It started between these two instants of [`super::boot_ms`].
    Started { pid: i32, from_ms: u64, to_ms: u64 },
    /// There is no child; the error of `posix_spawn`.
    Refused { errno: i32 },
    /// There is no child; it cannot be confined, and why is in the log.
    Unconfined,
    /// The child has ended. What it left behind is being ended.
    Exited(Exit),
    /// Nothing of the run is left; so many processes could not be ended.
    Gone { left: u32 },
    /// Both of the above at once, as it is with most runs.
    ExitedAndGone(Exit),
}

impl Reply {
    fn encode(self) -> [u8; REPLY] {
        let (kind, number, first, second): (u32, i32, u64, u64) = match self {
            Self::Started { pid, from_ms, to_ms } => (1, pid, from_ms, to_ms),
            Self::Refused { errno } => (2, errno, 0, 0),
            Self::Exited(Exit::Code(code)) => (3, code, 0, 0),
            Self::Exited(Exit::Signal(signal)) => (4, signal, 0, 0),
            Self::Gone { left } => (5, 0, u64::from(left), 0),
            Self::ExitedAndGone(Exit::Code(code)) => (6, code, 0, 0),
            Self::ExitedAndGone(Exit::Signal(signal)) => (7, signal, 0, 0),
            Self::Unconfined => (8, 0, 0, 0),
        };
        let mut bytes = [0; REPLY];
        bytes[..4].copy_from_slice(&kind.to_ne_bytes());
        bytes[4..8].copy_from_slice(&number.to_ne_bytes());
        bytes[8..16].copy_from_slice(&first.to_ne_bytes());
        bytes[16..].copy_from_slice(&second.to_ne_bytes());
        bytes
    }

    fn decode(bytes: [u8; REPLY]) -> Option<Self> {
        let (kind, rest) = bytes.split_first_chunk()?;
        let (number, rest) = rest.split_first_chunk()?;
        let (first, rest) = rest.split_first_chunk()?;
        let (second, _) = rest.split_first_chunk()?;
        let number = i32::from_ne_bytes(*number);
        let (first, second) = (u64::from_ne_bytes(*first), u64::from_ne_bytes(*second));
        match u32::from_ne_bytes(*kind) {
            1 => Some(Self::Started { pid: number, from_ms: first, to_ms: second }),
            2 => Some(Self::Refused { errno: number }),
            3 => Some(Self::Exited(Exit::Code(number))),
            4 => Some(Self::Exited(Exit::Signal(number))),
            5 => Some(Self::Gone { left: u32::try_from(first).ok()? }),
            6 => Some(Self::ExitedAndGone(Exit::Code(number))),
            7 => Some(Self::ExitedAndGone(Exit::Signal(number))),
            8 => Some(Self::Unconfined),
            _ => None,
        }
    }
}

/// Sends a spawn with its descriptors.
pub(crate) fn send_spawn(
    socket: BorrowedFd<'_>,
    child: &Child<'_, impl AsRef<[u8]>, impl AsRef<[u8]>>,
    descriptors: [BorrowedFd<'_>; DESCRIPTORS],
) -> io::Result<()> {
    let Child { confines, program, argv, env } = child;
    let mut message = vec![0; HEADER];
    let confined = confines.iter().map(Vec::as_slice).chain([*program]);
    for string in confined.chain(argv.iter().map(AsRef::as_ref)).chain(env.iter().map(AsRef::as_ref)) {
        if string.contains(&0) {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "an argument or a variable has a NUL byte in it",
            ));
        }
        message.extend_from_slice(string);
        message.push(0);
    }
    if message.len() > MAX_REQUEST {
        return Err(Errno::TOOBIG.into());
    }
    let length = u32::try_from(message.len() - HEADER).expect("the limit of a request fits its length field");
    let count = |length| u32::try_from(length).expect("every string takes a byte of the request");
    let (arguments, confines) = (count(argv.len()), count(confines.len()));
    message[..4].copy_from_slice(&length.to_ne_bytes());
    message[4..8].copy_from_slice(&SPAWN.to_ne_bytes());
    message[8..12].copy_from_slice(&arguments.to_ne_bytes());
    message[12..16].copy_from_slice(&confines.to_ne_bytes());

    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    assert!(
        control.push(SendAncillaryMessage::ScmRights(&descriptors)),
        "the space is for these descriptors"
    );
    let sent =
        retry(|| rustix::net::sendmsg(socket, &[IoSlice::new(&message)], &mut control, SendFlags::NOSIGNAL))?;
    send_all(socket, &message[sent..])
}

/// Sends the request to end the run.
pub(crate) fn send_end(socket: BorrowedFd<'_>, grace_ms: u32) -> io::Result<()> {
    let mut message = [0; HEADER];
    message[4..8].copy_from_slice(&END.to_ne_bytes());
    message[8..12].copy_from_slice(&grace_ms.to_ne_bytes());
    send_all(socket, &message)
}

/// Waits for the next request; none when the worker is gone.
pub(crate) fn receive(socket: BorrowedFd<'_>) -> io::Result<Option<Request>> {
    let mut header = [0; HEADER];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let received = rustix::io::retry_on_intr(|| {
        rustix::net::recvmsg(
            socket,
            &mut [IoSliceMut::new(&mut header)],
            &mut control,
            RecvFlags::CMSG_CLOEXEC,
        )
    });
    let received = match received {
        // So it reads when the worker died with replies that it had not taken.
        Err(Errno::CONNRESET) => return Ok(None),
        received => received?,
    };
    let mut descriptors = Vec::new();
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(rights) = message {
            descriptors.extend(rights);
        }
    }
    if received.bytes == 0 || !read_all(socket, &mut header[received.bytes..])? {
        return Ok(None);
    }
    let word = |at: usize| u32::from_ne_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
    let (length, kind, number, confines) = (word(0), word(4), word(8), word(12));
    match kind {
        END => Ok(Some(Request::End { grace_ms: number })),
        SPAWN => {
            let length = usize::try_from(length).unwrap_or(usize::MAX);
            if length > MAX_REQUEST {
                return Err(io::ErrorKind::InvalidData.into());
            }
            let mut strings = vec![0; length];
            if !read_all(socket, &mut strings)? {
                return Ok(None);
            }
            let descriptors =
                descriptors.try_into().map_err(|_| io::Error::from(io::ErrorKind::InvalidData))?;
            let count = |number| usize::try_from(number).unwrap_or(usize::MAX);
            let (arguments, confines) = (count(number), count(confines));
            Ok(Some(Request::Spawn(Spawn { strings, confines, arguments, descriptors })))
        }
        _ => Err(io::ErrorKind::InvalidData.into()),
    }
}

/// Sends the listeners of a network of its own, or that there is none.
pub(crate) fn send_network(
    socket: BorrowedFd<'_>,
    listeners: Option<[BorrowedFd<'_>; LISTENERS]>,
) -> io::Result<()> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(LISTENERS))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if let Some(listeners) = &listeners {
        assert!(
            control.push(SendAncillaryMessage::ScmRights(listeners)),
            "the space is for these descriptors"
        );
    }
    let said = [if listeners.is_some() { OWN_NETWORK } else { NO_NETWORK }];
    retry(|| rustix::net::sendmsg(socket, &[IoSlice::new(&said)], &mut control, SendFlags::NOSIGNAL))?;
    Ok(())
}

/// Waits for the listeners of a keeper's own network; none when it has none.
pub(crate) fn receive_network(socket: BorrowedFd<'_>) -> io::Result<Option<[OwnedFd; LISTENERS]>> {
    let mut said = [NO_NETWORK];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(LISTENERS))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    retry(|| {
        rustix::net::recvmsg(socket, &mut [IoSliceMut::new(&mut said)], &mut control, RecvFlags::CMSG_CLOEXEC)
    })?;
    let mut listeners = Vec::new();
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(rights) = message {
            listeners.extend(rights);
        }
    }
    Ok(listeners.try_into().ok().filter(|_| said == [OWN_NETWORK]))
}

/// Sends a reply.
pub(crate) fn send_reply(socket: BorrowedFd<'_>, reply: Reply) -> io::Result<()> {
    send_all(socket, &reply.encode())
}

/// Waits for the next reply; none when the keeper is gone.
pub(crate) fn receive_reply(socket: BorrowedFd<'_>) -> io::Result<Option<Reply>> {
    let mut bytes = [0; REPLY];
    if !read_all(socket, &mut bytes)? {
        return Ok(None);
    }
    Reply::decode(bytes).map(Some).ok_or_else(|| io::ErrorKind::InvalidData.into())
}

/// Fills the buffer; false when the other end is gone first.
fn read_all(socket: BorrowedFd<'_>, mut buffer: &mut [u8]) -> io::Result<bool> {
    while !buffer.is_empty() {
        match rustix::io::read(socket, &mut *buffer) {
            Ok(0) | Err(Errno::CONNRESET) => return Ok(false),
            Ok(count) => buffer = &mut buffer[count..],
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(true)
}

fn send_all(socket: BorrowedFd<'_>, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        let sent = retry(|| rustix::net::send(socket.as_fd(), bytes, SendFlags::NOSIGNAL))?;
        bytes = &bytes[sent..];
    }
    Ok(())
}

fn retry<T>(call: impl FnMut() -> rustix::io::Result<T>) -> io::Result<T> {
    Ok(rustix::io::retry_on_intr(call)?)
}
