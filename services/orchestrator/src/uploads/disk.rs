//! Uploads as they lie on the disk. Everything here blocks.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use conductor_core::TaskId;
use conductor_protocol::control::UploadKind;
use conductor_protocol::{Code, Problem};
use conductor_runtime::digest;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// What is known of an upload.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Known {
    pub(super) id: Uuid,
    pub(super) owner: String,
    pub(super) kind: UploadKind,
    pub(super) bytes: Option<u64>,
    pub(super) sha256: Option<String>,
    pub(super) complete: bool,
    pub(super) expires_at_ms: i64,
}

/// The folder of all uploads.
#[derive(Debug)]
pub(super) struct Disk {
    folder: PathBuf,
    /// How many there are and what they hold; none until they were counted.
    sums: Option<(usize, u64)>,
}

fn broken(path: &Path, error: &io::Error) -> Problem {
    tracing::error!(path = %path.display(), %error, "failed to use an upload");
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            Problem::new(Code::StorageFull, "there is no room for uploads").retry_after(60)
        }
        _ => Problem::new(Code::Internal, "the upload cannot be read or written"),
    }
}

fn unknown(id: Uuid) -> Problem {
    Problem::new(Code::NotFound, format!("there is no upload {id}"))
}

impl Disk {
    pub(super) fn new(folder: PathBuf) -> Self {
        Self { folder, sums: None }
    }

    fn of(&self, id: Uuid) -> PathBuf {
        self.folder.join(id.to_string())
    }

    fn data(&self, id: Uuid) -> PathBuf {
        self.of(id).join("data")
    }

    fn taken(&self, id: Uuid, task: TaskId) -> PathBuf {
        self.of(id).join("tasks").join(task.to_string())
    }

    /// All uploads. What is no upload's folder is passed over.
    pub(super) fn all(&self) -> Result<Vec<Uuid>, Problem> {
        let entries = match fs::read_dir(&self.folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(broken(&self.folder, &error)),
        };
        Ok(entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).collect())
    }

    /// How many uploads there are, and how many bytes they hold.
    pub(super) fn sums(&mut self) -> Result<(usize, u64), Problem> {
        if let Some(sums) = self.sums {
            return Ok(sums);
        }
        let all = self.all()?;
        let bytes = all.iter().map(|id| fs::metadata(self.data(*id)).map_or(0, |data| data.len())).sum();
        self.sums = Some((all.len(), bytes));
        Ok((all.len(), bytes))
    }

    pub(super) fn make(&mut self, known: &Known) -> Result<(), Problem> {
        let folder = self.of(known.id);
        let made = DirBuilder::new().recursive(true).mode(0o700).create(folder.join("tasks"));
        made.map_err(|error| broken(&folder, &error))?;
        self.open(known.id)?;
        self.write(known)?;
        self.sums = self.sums.map(|(count, bytes)| (count + 1, bytes));
        Ok(())
    }

    fn open(&self, id: Uuid) -> Result<File, Problem> {
        let path = self.data(id);
        let opened =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(&path);
        opened.map_err(|error| broken(&path, &error))
    }

    /// Writes what is known, whole or not at all.
    pub(super) fn write(&self, known: &Known) -> Result<(), Problem> {
        let path = self.of(known.id).join("upload.json");
        let new = path.with_extension("new");
        let bytes = serde_json::to_vec(known).expect("a record can be written");
        let written = File::create(&new).and_then(|mut file| {
            file.write_all(&bytes)?;
            file.sync_all()
        });
        written.and_then(|()| fs::rename(&new, &path)).map_err(|error| broken(&path, &error))
    }

    /// What is known of an upload; none when there is no such.
    pub(super) fn read(&self, id: Uuid) -> Result<Option<Known>, Problem> {
        let path = self.of(id).join("upload.json");
        match fs::read(&path) {
            Ok(bytes) => Ok(serde_json::from_slice(&bytes).ok()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(broken(&path, &error)),
        }
    }

    /// An upload of this owner; another's is unknown.
    pub(super) fn owned(&self, id: Uuid, owner: &str) -> Result<Known, Problem> {
        self.read(id)?.filter(|known| known.owner == owner).ok_or_else(|| unknown(id))
    }

    /// A complete upload of the same owner that holds the same bytes.
    pub(super) fn same(&self, wanted: &Known) -> Result<Option<Known>, Problem> {
        if wanted.bytes.is_none() || wanted.sha256.is_none() {
            return Ok(None);
        }
        let is_same = |known: &Known| {
            let told = |it: &Known| (it.kind, it.bytes, it.sha256.clone(), it.owner.clone());
            known.complete && told(known) == told(wanted)
        };
        for id in self.all()? {
            if let Some(known) = self.read(id)?.filter(is_same) {
                return Ok(Some(known));
            }
        }
        Ok(None)
    }

    pub(super) fn length(&self, id: Uuid) -> Result<u64, Problem> {
        let path = self.data(id);
        fs::metadata(&path).map(|data| data.len()).map_err(|error| broken(&path, &error))
    }

    /// Adds bytes at the end, all or none.
    pub(super) fn append(&mut self, id: Uuid, end: u64, bytes: &[u8]) -> Result<(), Problem> {
        let mut file = self.open(id)?;
        let written = file.seek(SeekFrom::Start(end)).and_then(|_| file.write_all(bytes));
        if let Err(error) = written {
            if let Err(error) = file.set_len(end) {
                tracing::error!(%id, %error, "failed to cut an upload back");
            }
            return Err(broken(&self.data(id), &error));
        }
        self.sums = self.sums.map(|(count, all)| (count, all + bytes.len() as u64));
        Ok(())
    }

    pub(super) fn empty(&mut self, id: Uuid) -> Result<(), Problem> {
        self.sums = None;
        self.open(id)?.set_len(0).map_err(|error| broken(&self.data(id), &error))
    }

    /// The SHA-256 of what was sent, which is on the disk after this.
    pub(super) fn digest(&self, id: Uuid) -> Result<String, Problem> {
        let read = || -> io::Result<String> {
            let file = File::open(self.data(id))?;
            file.sync_all()?;
            Ok(digest::copy(file, io::sink())?.1)
        };
        read().map_err(|error| broken(&self.data(id), &error))
    }

    pub(super) fn take(&self, id: Uuid, task: TaskId) -> Result<(), Problem> {
        let path = self.taken(id, task);
        File::create(&path).map(drop).map_err(|error| broken(&path, &error))
    }

    pub(super) fn has_taken(&self, id: Uuid, task: TaskId) -> bool {
        self.taken(id, task).exists()
    }

    pub(super) fn untake(&self, id: Uuid, task: TaskId) {
        if let Err(error) = fs::remove_file(self.taken(id, task))
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(%id, %task, %error, "an upload could not be taken back");
        }
    }

    /// The tasks that took an upload.
    pub(super) fn takers(&self, id: Uuid) -> Result<Vec<TaskId>, Problem> {
        let path = self.of(id).join("tasks");
        let entries = match fs::read_dir(&path) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(broken(&path, &error)),
        };
        Ok(entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).collect())
    }

    pub(super) fn remove(&mut self, id: Uuid) -> Result<(), Problem> {
        self.sums = None;
        fs::remove_dir_all(self.of(id)).map_err(|error| broken(&self.of(id), &error))
    }
}
