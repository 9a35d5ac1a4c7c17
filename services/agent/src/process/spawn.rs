//! Makes processes with `posix_spawn`, and the two signal calls that a single-threaded keeper of children needs.
//!
//! This is the one module with unsafe code. `posix_spawn` is what keeps many short tasks cheap: the child
//! shares the parent's memory until its `exec`, so nothing is copied however large the parent is.

use std::ffi::{CStr, CString, c_char, c_int, c_short};
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::ptr;

use rustix::io::Errno;
use rustix::process::{Pid, Signal};

/// The highest signal of Linux on the usual processors.
const LAST_SIGNAL: c_int = 64;

/// Describes a process to make. It leads a session of its own, has no signal blocked or ignored, and gets
/// no descriptor but the three named here.
#[derive(Debug)]
pub struct Command<'a> {
    /// The program: with a `/` a path, seen from `cwd`; without, a name looked up in this process's PATH.
    pub program: &'a CStr,
    /// All arguments, the zeroth among them.
    pub argv: &'a [&'a CStr],
    /// The whole environment, as `NAME=value`.
    pub env: &'a [&'a CStr],
    /// The working directory; that of this process when there is none.
    pub cwd: Option<BorrowedFd<'a>>,
    /// Standard input, output and error.
    pub stdio: [BorrowedFd<'a>; 3],
}

/// Makes the process and returns its pid once the program runs in it.
///
/// # Errors
///
/// Returns what the first failing step said: the lookup of the program, `exec`, the change of directory.
pub fn spawn(command: &Command<'_>) -> Result<Pid, Errno> {
    let mut actions = Actions::new()?;
    if let Some(cwd) = command.cwd {
        actions.change_directory(cwd)?;
    }
    for (target, fd) in (0..).zip(command.stdio) {
        actions.duplicate(fd, target)?;
    }
    let attributes = Attributes::new()?;
    let argv = pointers(command.argv);
    let env = pointers(command.env);
    let mut pid: libc::pid_t = 0;
    // SAFETY: all pointers are to live, initialised values; argv and env are arrays of pointers to
    // NUL-terminated strings that outlive the call and end with a null pointer. posix_spawn writes to
    // none of the strings although its signature has them mutable.
    check(unsafe {
        libc::posix_spawnp(
            &raw mut pid,
            command.program.as_ptr(),
            &raw const actions.0,
            &raw const attributes.0,
            argv.as_ptr(),
            env.as_ptr(),
        )
    })?;
    Ok(Pid::from_raw(pid).expect("posix_spawn gives the pid of the child"))
}

/// Turns strings into what [`Command`] takes.
///
/// # Errors
///
/// Fails when one of them has a NUL byte in it.
pub fn c_strings<S: AsRef<[u8]>>(
    strings: impl IntoIterator<Item = S>,
) -> Result<Vec<CString>, std::ffi::NulError> {
    strings.into_iter().map(|string| CString::new(string.as_ref())).collect()
}

/// Blocks these signals in the calling thread and gives a descriptor that reads as ready when one is pending.
///
/// In a process with one thread no such signal is delivered any other way.
///
/// # Errors
///
/// Fails when the process has no descriptor left.
pub fn signal_fd(signals: &[Signal]) -> Result<OwnedFd, Errno> {
    let set = signal_set(signals.iter().map(|signal| signal.as_raw()));
    // SAFETY: the set is initialised and the old mask is not asked for.
    check(unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, &raw const set, ptr::null_mut()) })?;
    // SAFETY: the set is initialised; -1 asks for a new descriptor.
    let fd = unsafe { libc::signalfd(-1, &raw const set, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK) };
    if fd < 0 {
        return Err(last_error());
    }
    // SAFETY: signalfd just made this descriptor, and nothing else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Marks every descriptor above standard error close-on-exec, so that what this process was started with
/// does not reach its children.
///
/// # Errors
///
/// Fails on kernels before Linux 5.11.
pub fn seal_descriptors() -> Result<(), Errno> {
    let first: libc::c_uint = 3;
    let flags = libc::CLOSE_RANGE_CLOEXEC;
    // SAFETY: with this flag the call closes nothing, it only sets a flag of open descriptors.
    let result = unsafe { libc::syscall(libc::SYS_close_range, first, libc::c_uint::MAX, flags) };
    if result < 0 { Err(last_error()) } else { Ok(()) }
}

/// Asks the kernel for the version of Landlock's interface; 0 where it has none, or has it switched off.
#[must_use]
pub fn landlock_abi() -> u32 {
    const VERSION: libc::c_uint = 1;
    // SAFETY: with this flag the call takes no attributes, makes nothing and gives a number.
    let version = unsafe {
        libc::syscall(libc::SYS_landlock_create_ruleset, ptr::null::<libc::c_void>(), 0_usize, VERSION)
    };
    u32::try_from(version).unwrap_or(0)
}

/// Whether a process got users of its own besides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OwnUsers(pub bool);

/// Puts this process, which has one thread, into a network of its own with nothing in it but loopback. Who is not root gets a user
/// namespace besides, in which users and groups are the same.
///
/// # Errors
///
/// Fails where the kernel or its owner allows neither; the process may then be in a network that it cannot use.
pub fn enter_own_network() -> std::io::Result<OwnUsers> {
    let (user, group) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
    // SAFETY: nothing else in this process relies on which network it is in.
    let own_users = OwnUsers(unsafe { libc::unshare(libc::CLONE_NEWNET) } < 0);
    if own_users.0 {
        // SAFETY: as above, and on which user namespace.
        check_last(unsafe { libc::unshare(libc::CLONE_NEWUSER | libc::CLONE_NEWNET) })?;
        std::fs::write("/proc/self/setgroups", "deny")?;
        std::fs::write("/proc/self/uid_map", format!("{user} {user} 1"))?;
        std::fs::write("/proc/self/gid_map", format!("{group} {group} 1"))?;
    }
    raise_loopback()?;
    Ok(own_users)
}

/// Lets loopback carry something: in a new network it is down.
fn raise_loopback() -> std::io::Result<()> {
    let kind = rustix::net::SocketType::DGRAM;
    let socket = rustix::net::socket_with(
        rustix::net::AddressFamily::INET,
        kind,
        rustix::net::SocketFlags::CLOEXEC,
        None,
    )?;
    // SAFETY: an interface request is numbers and a name, for which zeros are valid.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(b"lo") {
        *to = c_char::from_ne_bytes([*from]);
    }
    let up = c_short::try_from(libc::IFF_UP | libc::IFF_RUNNING).expect("these flags are small");
    request.ifr_ifru.ifru_flags = up;
    // SAFETY: the descriptor is an open socket and the request is initialised.
    check_last(unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS, &raw const request) })?;
    Ok(())
}

struct Actions(libc::posix_spawn_file_actions_t);

impl Actions {
    fn new() -> Result<Self, Errno> {
        let mut actions = MaybeUninit::uninit();
        // SAFETY: init writes to memory that is large enough for it.
        check(unsafe { libc::posix_spawn_file_actions_init(actions.as_mut_ptr()) })?;
        // SAFETY: init succeeded.
        Ok(Self(unsafe { actions.assume_init() }))
    }

    fn change_directory(&mut self, directory: BorrowedFd<'_>) -> Result<(), Errno> {
        // SAFETY: the actions are initialised; the descriptor is open for as long as the command is borrowed.
        check(unsafe { libc::posix_spawn_file_actions_addfchdir_np(&raw mut self.0, directory.as_raw_fd()) })
    }

    fn duplicate(&mut self, fd: BorrowedFd<'_>, target: c_int) -> Result<(), Errno> {
        // SAFETY: as above.
        check(unsafe { libc::posix_spawn_file_actions_adddup2(&raw mut self.0, fd.as_raw_fd(), target) })
    }
}

impl Drop for Actions {
    fn drop(&mut self) {
        // SAFETY: the actions are initialised and not used again.
        unsafe { libc::posix_spawn_file_actions_destroy(&raw mut self.0) };
    }
}

struct Attributes(libc::posix_spawnattr_t);

impl Attributes {
    fn new() -> Result<Self, Errno> {
        let mut attributes = MaybeUninit::uninit();
        // SAFETY: init writes to memory that is large enough for it.
        check(unsafe { libc::posix_spawnattr_init(attributes.as_mut_ptr()) })?;
        // SAFETY: init succeeded.
        let mut attributes = Self(unsafe { attributes.assume_init() });
        let flags = c_int::from(libc::POSIX_SPAWN_SETSID)
            | c_int::from(libc::POSIX_SPAWN_SETSIGDEF)
            | c_int::from(libc::POSIX_SPAWN_SETSIGMASK);
        let flags = c_short::try_from(flags).expect("the flags of posix_spawn fit its own type");
        // Every signal, whoever above ignored it. The C library asks for the handling of each signal that is not in
        // the set, so the full set is the cheaper one as well.
        let default = signal_set(1..=LAST_SIGNAL);
        let blocked = signal_set([]);
        let this = &raw mut attributes.0;
        // SAFETY: the attributes and both sets are initialised.
        unsafe {
            check(libc::posix_spawnattr_setflags(this, flags))?;
            check(libc::posix_spawnattr_setsigdefault(this, &raw const default))?;
            check(libc::posix_spawnattr_setsigmask(this, &raw const blocked))?;
        }
        Ok(attributes)
    }
}

impl Drop for Attributes {
    fn drop(&mut self) {
        // SAFETY: the attributes are initialised and not used again.
        unsafe { libc::posix_spawnattr_destroy(&raw mut self.0) };
    }
}

fn signal_set(signals: impl IntoIterator<Item = c_int>) -> libc::sigset_t {
    let mut set = MaybeUninit::uninit();
    // SAFETY: sigemptyset initialises the set, and sigaddset gets an initialised one; a number that is no
    // signal leaves the set as it is.
    unsafe {
        libc::sigemptyset(set.as_mut_ptr());
        for signal in signals {
            libc::sigaddset(set.as_mut_ptr(), signal);
        }
        set.assume_init()
    }
}

fn pointers(strings: &[&CStr]) -> Vec<*mut c_char> {
    strings.iter().map(|string| string.as_ptr().cast_mut()).chain([ptr::null_mut()]).collect()
}

fn check(result: c_int) -> Result<(), Errno> {
    if result == 0 { Ok(()) } else { Err(Errno::from_raw_os_error(result)) }
}

fn check_last(result: c_int) -> Result<(), Errno> {
    if result < 0 { Err(last_error()) } else { Ok(()) }
}

fn last_error() -> Errno {
    Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::INVAL)
}
