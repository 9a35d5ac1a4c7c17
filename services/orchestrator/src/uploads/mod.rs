//! Files and folders that are too large for the body of a task: sent in pieces, checked, and kept until the tasks that took
//! them are gone.
//!
//! An upload is a folder below `<workspace>/private/uploads`: its bytes in `data`, what is known of it in `upload.json`, and an
//! empty file in `tasks/` for each task that took it. Only whoever made it can add to it and give it to a task.

mod disk;
mod sweep;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use conductor_core::{TaskId, Wall};
use conductor_protocol::agent::AssignedUpload;
use conductor_protocol::control::{AppendUpload, CreateUpload, UploadView};
use conductor_protocol::{Code, Problem, text};
use conductor_runtime::clock::Clock;
use uuid::Uuid;

use disk::{Disk, Known};

/// How long an upload stays that no task takes.
const KEPT_MS: u64 = 24 * 3_600_000;
/// The most uploads at once.
const MAX_UPLOADS: usize = 1_000;
/// The bytes of all uploads together, as a multiple of what one may have.
const IN_SUM: u64 = 16;

/// An upload that a task asks for, and the place in the task that names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wanted {
    pub(crate) task: TaskId,
    pub(crate) pointer: String,
    pub(crate) upload: String,
}

/// The uploads.
#[derive(Debug)]
pub(crate) struct Uploads {
    // One change at a time: a piece is short, and sums stay right.
    disk: Mutex<Disk>,
    clock: Clock,
    max_bytes: u64,
}

/// The folder of all uploads.
pub(crate) fn folder(workspace: &Path) -> PathBuf {
    workspace.join("private").join("uploads")
}

impl Uploads {
    pub(crate) fn new(workspace: &Path, max_bytes: u64, clock: Clock) -> Arc<Self> {
        Arc::new(Self { disk: Mutex::new(Disk::new(folder(workspace))), clock, max_bytes })
    }

    /// Begins an upload.
    pub(crate) async fn create(
        self: &Arc<Self>,
        owner: &str,
        call: CreateUpload,
    ) -> Result<UploadView, Problem> {
        if call.bytes.is_some_and(|bytes| bytes > self.max_bytes) {
            return Err(self.too_large());
        }
        if let Some(sha256) = &call.sha256
            && !(sha256.len() == 64 && sha256.bytes().all(|byte| byte.is_ascii_hexdigit()))
        {
            return Err(Problem::at("/sha256", "not 64 hexadecimal digits"));
        }
        let now = Wall(self.clock.now().wall_ms);
        let known = Known {
            id: Uuid::now_v7(),
            owner: owner.to_owned(),
            kind: call.kind,
            bytes: call.bytes,
            sha256: call.sha256.map(|text| text.to_ascii_lowercase()),
            complete: false,
            expires_at_ms: now.after(KEPT_MS).0,
        };
        let (most, reuse) = (self.max_bytes.saturating_mul(IN_SUM), call.reuse);
        self.change(move |disk| {
            if let Some(mut same) = reuse.then(|| disk.same(&known)).transpose()?.flatten() {
                same.expires_at_ms = known.expires_at_ms;
                disk.write(&same)?;
                return Ok(view(&same, disk.length(same.id)?));
            }
            let (count, bytes) = disk.sums()?;
            if count >= MAX_UPLOADS || bytes.saturating_add(known.bytes.unwrap_or(0)) > most {
                return Err(full(count, bytes));
            }
            disk.make(&known)?;
            Ok(view(&known, 0))
        })
        .await
    }

    /// Adds bytes.
    pub(crate) async fn append(
        self: &Arc<Self>,
        owner: &str,
        call: AppendUpload,
    ) -> Result<UploadView, Problem> {
        let bytes = text::from_base64::<serde_json::Error>(&call.base64)
            .map_err(|_| Problem::at("/base64", "not base64"))?;
        let (owner, max_bytes) = (owner.to_owned(), self.max_bytes);
        let too_large = self.too_large();
        self.change(move |disk| {
            let mut known = disk.owned(call.id, &owner)?;
            let length = disk.length(call.id)?;
            if known.complete {
                return Err(Problem::new(Code::Conflict, format!("the upload {} is complete", call.id)));
            }
            if call.offset != length {
                let detail = format!("the upload ends at {length}, not at {}", call.offset);
                return Err(Problem::new(Code::Conflict, detail));
            }
            let end = length + bytes.len() as u64;
            if end > known.bytes.unwrap_or(max_bytes).min(max_bytes) {
                return Err(too_large);
            }
            let (count, all) = disk.sums()?;
            if all.saturating_add(bytes.len() as u64) > max_bytes.saturating_mul(IN_SUM) {
                return Err(full(count, all));
            }
            disk.append(call.id, length, &bytes)?;
            if call.last {
                finish(disk, &mut known, end)?;
            }
            Ok(view(&known, end))
        })
        .await
    }

    /// How far an upload is.
    pub(crate) async fn view(self: &Arc<Self>, owner: &str, id: Uuid) -> Result<UploadView, Problem> {
        let owner = owner.to_owned();
        self.change(move |disk| {
            let known = disk.owned(id, &owner)?;
            Ok(view(&known, disk.length(id)?))
        })
        .await
    }

    /// Gives uploads to tasks. What `before` took, a task that repeats it may have too, whoever asks.
    pub(crate) async fn take(
        self: &Arc<Self>,
        owner: &str,
        before: Option<TaskId>,
        wanted: Vec<Wanted>,
    ) -> Result<(), Problem> {
        let owner = owner.to_owned();
        self.change(move |disk| {
            let mut taken = Vec::with_capacity(wanted.len());
            for wanted in &wanted {
                let found = wanted.upload.parse().ok().and_then(|id: Uuid| {
                    let known = disk.read(id).ok()??;
                    let may = known.owner == owner || before.is_some_and(|task| disk.has_taken(id, task));
                    may.then_some((id, known.complete))
                });
                match found {
                    Some((id, true)) => taken.push((id, wanted.task)),
                    Some((id, false)) => {
                        return Err(Problem::at(&wanted.pointer, format!("the upload {id} is not complete")));
                    }
                    None => return Err(Problem::at(&wanted.pointer, format!("no upload {}", wanted.upload))),
                }
            }
            taken.into_iter().try_for_each(|(id, task)| disk.take(id, task))
        })
        .await
    }

    /// Takes uploads back from tasks that were not accepted.
    pub(crate) async fn untake(self: &Arc<Self>, wanted: Vec<Wanted>) {
        let done = self.change(move |disk| {
            for wanted in &wanted {
                if let Ok(id) = wanted.upload.parse() {
                    disk.untake(id, wanted.task);
                }
            }
            Ok(())
        });
        if let Err(problem) = done.await {
            tracing::warn!(%problem, "uploads could not be taken back");
        }
    }

    /// What an agent is told of uploads. One that is not there any more is left out.
    pub(crate) async fn assigned(self: &Arc<Self>, ids: Vec<Uuid>) -> Vec<AssignedUpload> {
        let read = self.change(move |disk| {
            let found = ids.into_iter().filter_map(|id| {
                let known = disk.read(id).ok()??;
                Some(AssignedUpload { id, kind: known.kind, bytes: known.bytes?, sha256: known.sha256? })
            });
            Ok(found.collect())
        });
        read.await.unwrap_or_default()
    }

    async fn change<T: Send + 'static>(
        self: &Arc<Self>,
        change: impl FnOnce(&mut Disk) -> Result<T, Problem> + Send + 'static,
    ) -> Result<T, Problem> {
        let this = self.clone();
        let changed = tokio::task::spawn_blocking(move || {
            change(&mut this.disk.lock().unwrap_or_else(PoisonError::into_inner))
        });
        changed.await.unwrap_or_else(|_| Err(Problem::new(Code::Internal, "the uploads cannot be changed")))
    }

    fn too_large(&self) -> Problem {
        let detail = format!("an upload has at most {} bytes, and no more than it said", self.max_bytes);
        Problem::new(Code::PayloadTooLarge, detail)
    }
}

fn full(count: usize, bytes: u64) -> Problem {
    let detail = format!("{count} uploads with {bytes} bytes are kept, as many as may be");
    Problem::new(Code::StorageFull, detail).retry_after(60)
}

/// Checks what was sent. An upload that is not what it should be begins anew.
fn finish(disk: &mut Disk, known: &mut Known, length: u64) -> Result<(), Problem> {
    let wrong = |disk: &mut Disk, pointer: &str, detail: String| {
        disk.empty(known.id)?;
        Err(Problem::at(pointer, detail))
    };
    if let Some(bytes) = known.bytes.filter(|bytes| *bytes != length) {
        return wrong(disk, "/bytes", format!("{bytes} bytes were announced, {length} came"));
    }
    let digest = disk.digest(known.id)?;
    if let Some(wanted) = known.sha256.as_ref().filter(|wanted| **wanted != digest) {
        return wrong(disk, "/sha256", format!("the bytes have the SHA-256 {digest}, not {wanted}"));
    }
    (known.bytes, known.sha256, known.complete) = (Some(length), Some(digest), true);
    disk.write(known)
}

fn view(known: &Known, offset: u64) -> UploadView {
    UploadView {
        id: known.id,
        kind: known.kind,
        offset,
        bytes: known.bytes,
        complete: known.complete,
        sha256: known.sha256.clone(),
        expires_at: Wall(known.expires_at_ms),
    }
}
