//! Unix sockets in a private folder: one listener at a time, and none left behind.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::os::unix::net::UnixStream as StdStream;
use std::path::{Path, PathBuf};

use rustix::fs::FlockOperation;
use tokio::net::UnixStream;

use super::{Error, Holder};
use crate::paths;

/// What `sockaddr_un` holds beside the terminating zero.
const MAX_PATH_BYTES: usize = 107;

/// A listener on a Unix socket (mode 0600, in a folder of mode 0700); the socket file goes when it is dropped.
#[derive(Debug)]
pub struct UnixListener {
    listener: tokio::net::UnixListener,
    path: PathBuf,
    inode: (u64, u64),
    /// Held as long as the listener lives, so that two programs that start at once cannot take each other's socket
    /// for a stale one.
    _lock: File,
}

impl UnixListener {
    /// Listens on `path`. What a dead program left there is replaced; a live program's is not.
    ///
    /// # Errors
    /// [`Error::SocketBusy`] with the holder when a program listens there, else what stands in the way.
    pub fn bind(path: &Path) -> Result<Self, Error> {
        let failed = |source| Error::Socket { path: path.to_owned(), source };
        let length = path.as_os_str().len();
        if length > MAX_PATH_BYTES {
            return Err(Error::PathTooLong { path: path.to_owned(), length, max: MAX_PATH_BYTES });
        }
        private_parent(path)?;
        let lock = lock(path)?;
        remove_stale(path)?;
        let listener = tokio::net::UnixListener::bind(path).map_err(failed)?;
        fs::set_permissions(path, Permissions::from_mode(0o600)).map_err(failed)?;
        let metadata = fs::symlink_metadata(path).map_err(failed)?;
        let inode = (metadata.dev(), metadata.ino());
        Ok(UnixListener { listener, path: path.to_owned(), inode, _lock: lock })
    }

    /// Waits for the next connection.
    ///
    /// # Errors
    /// The system's; most are of the moment (too many open files), so a caller goes on after a pause.
    pub async fn accept(&self) -> io::Result<UnixStream> {
        self.listener.accept().await.map(|(stream, _)| stream)
    }

    /// The path of the socket.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for UnixListener {
    fn drop(&mut self) {
        let ours = fs::symlink_metadata(&self.path)
            .is_ok_and(|metadata| (metadata.dev(), metadata.ino()) == self.inode);
        if ours && let Err(error) = fs::remove_file(&self.path) {
            tracing::warn!(path = %self.path.display(), %error, "the socket file stayed behind");
        }
    }
}

fn private_parent(path: &Path) -> Result<(), Error> {
    let failed = |source| Error::Socket { path: path.to_owned(), source };
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    paths::private_folder("socket", parent)?;
    let uid = fs::metadata(parent).map_err(failed)?.uid();
    if uid != rustix::process::geteuid().as_raw() {
        return Err(Error::ForeignFolder { path: path.to_owned(), uid });
    }
    Ok(())
}

fn lock(path: &Path) -> Result<File, Error> {
    let failed = |source| Error::Socket { path: path.to_owned(), source };
    let mut options = OpenOptions::new();
    options.create(true).truncate(false).write(true).mode(0o600);
    let file = options.open(path.with_extension("lock")).map_err(failed)?;
    match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(file),
        Err(rustix::io::Errno::WOULDBLOCK) => {
            Err(Error::SocketBusy { path: path.to_owned(), holder: listener_behind(path).ok().flatten() })
        }
        Err(error) => Err(failed(error.into())),
    }
}

fn remove_stale(path: &Path) -> Result<(), Error> {
    let failed = |source| Error::Socket { path: path.to_owned(), source };
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed(error)),
        Ok(metadata) if !metadata.file_type().is_socket() => {
            return Err(Error::NotASocket { path: path.to_owned() });
        }
        Ok(_) => {}
    }
    match listener_behind(path) {
        Ok(holder) => Err(Error::SocketBusy { path: path.to_owned(), holder }),
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            fs::remove_file(path).map_err(failed)
        }
        Err(error) => Err(failed(error)),
    }
}

/// Connects to find out who listens. A listener whose backlog is full lets nobody in, yet it is there.
fn listener_behind(path: &Path) -> io::Result<Option<Holder>> {
    let socket = rustix::net::socket_with(
        rustix::net::AddressFamily::UNIX,
        rustix::net::SocketType::STREAM,
        rustix::net::SocketFlags::CLOEXEC | rustix::net::SocketFlags::NONBLOCK,
        None,
    )?;
    match rustix::net::connect(&socket, &rustix::net::SocketAddrUnix::new(path)?) {
        Ok(()) => {
            let peer = rustix::net::sockopt::socket_peercred(StdStream::from(socket))?;
            Ok(u32::try_from(peer.pid.as_raw_pid()).ok().map(Holder::of))
        }
        Err(rustix::io::Errno::AGAIN) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().mode() & 0o777
    }

    #[tokio::test]
    async fn the_socket_is_private_and_goes_with_its_listener() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run/control.sock");
        let listener = UnixListener::bind(&path).unwrap();
        assert_eq!((mode(path.parent().unwrap()), mode(&path)), (0o700, 0o600));
        let (server, client) = tokio::join!(listener.accept(), UnixStream::connect(&path));
        client.unwrap();
        assert_eq!(server.unwrap().peer_cred().unwrap().pid(), Some(std::process::id().cast_signed()));
        drop(listener);
        assert!(!path.exists());
    }

    #[tokio::test]
    async fn a_live_listener_is_refused_with_its_holder_and_keeps_its_socket() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("control.sock");
        let first = UnixListener::bind(&path).unwrap();
        let error = UnixListener::bind(&path).unwrap_err();
        assert!(matches!(error, Error::SocketBusy { .. }), "{error:?}");
        let (text, pid) = (error.to_string(), std::process::id());
        assert!(text.contains("control.sock") && text.contains(&format!("pid {pid}")), "{text}");
        assert!(!text.contains('\n'));
        let (server, client) = tokio::join!(first.accept(), UnixStream::connect(&path));
        assert!(server.is_ok() && client.is_ok());
    }

    #[tokio::test]
    async fn a_listener_that_holds_no_lock_is_refused_too_even_when_it_is_busy() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("control.sock");
        let _foreign = std::os::unix::net::UnixListener::bind(&path).unwrap();
        assert!(matches!(UnixListener::bind(&path), Err(Error::SocketBusy { holder: Some(_), .. })));
        let mut waiting = Vec::new();
        while let Ok(Some(_)) = listener_behind(&path) {
            let socket = StdStream::connect(&path).unwrap();
            socket.set_nonblocking(true).unwrap();
            waiting.push(socket);
            if waiting.len() > 5_000 {
                return;
            }
        }
        assert!(matches!(UnixListener::bind(&path), Err(Error::SocketBusy { holder: None, .. })));
    }

    #[tokio::test]
    async fn a_stale_socket_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("control.sock");
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        assert!(path.exists(), "a dead listener leaves its file");
        let listener = UnixListener::bind(&path).unwrap();
        let (server, client) = tokio::join!(listener.accept(), UnixStream::connect(&path));
        assert!(server.is_ok() && client.is_ok());
    }

    #[tokio::test]
    async fn of_many_that_start_at_once_on_a_stale_socket_one_listens() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("control.sock");
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        let runtime = tokio::runtime::Handle::current();
        let results: Vec<_> = std::thread::scope(|scope| {
            let starts: Vec<_> = (0..8)
                .map(|_| {
                    scope.spawn(|| {
                        let _runtime = runtime.enter();
                        UnixListener::bind(&path)
                    })
                })
                .collect();
            starts.into_iter().map(|start| start.join().unwrap()).collect()
        });
        assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 1);
        StdStream::connect(&path).unwrap();
    }

    #[tokio::test]
    async fn a_stale_socket_that_another_start_is_taking_over_is_left_to_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("control.sock");
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        let other = lock(&path).unwrap();
        assert!(matches!(UnixListener::bind(&path), Err(Error::SocketBusy { holder: None, .. })));
        drop(other);
        UnixListener::bind(&path).unwrap();
    }

    #[tokio::test]
    async fn a_file_in_the_way_is_kept_and_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("control.sock");
        fs::write(&path, "precious").unwrap();
        assert!(matches!(UnixListener::bind(&path), Err(Error::NotASocket { .. })));
        assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
    }

    #[tokio::test]
    async fn a_path_that_is_too_long_says_what_to_do() {
        let path = Path::new("/tmp").join("x".repeat(120)).join("control.sock");
        let error = UnixListener::bind(&path).unwrap_err().to_string();
        assert!(error.contains("paths.run") && error.contains("107"), "{error}");
    }

    #[tokio::test]
    async fn dropping_a_listener_leaves_its_successors_socket() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("control.sock");
        let first = UnixListener::bind(&path).unwrap();
        fs::remove_file(&path).unwrap();
        let _successor = std::os::unix::net::UnixListener::bind(&path).unwrap();
        drop(first);
        assert!(path.exists());
    }
}
