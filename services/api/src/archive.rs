//! All files of a run as one compressed archive, written as it is read.

use std::io::{self, Write as _};
use std::mem::ManuallyDrop;

use axum::body::Body;
use bytes::Bytes;
use conductor_core::TaskId;
use conductor_protocol::Code;
use conductor_protocol::task::FileView;
use conductor_web::{Caller, Refusal};
use flate2::Compression;
use flate2::write::GzEncoder;
use futures_util::stream;

use crate::live::{Reading, Source};
use crate::server::App;

/// Files of an archive begin on blocks of this size.
const BLOCK: u64 = 512;
/// Compressed bytes are handed on when there are so many.
const ENOUGH: usize = 64 << 10;

/// Where the writing stands.
struct Writing {
    app: App,
    caller: Caller,
    task: TaskId,
    files: std::vec::IntoIter<FileView>,
    packed: GzEncoder<Vec<u8>>,
    file: Option<Rest>,
    over: bool,
}

/// What is left of a file.
struct Rest {
    reading: Reading,
    bytes: u64,
    whole: u64,
}

/// The archive of a task's files. It breaks off when the caller is nobody any more, or a file cannot be read.
pub(crate) fn stream(app: &App, caller: &Caller, task: TaskId, files: Vec<FileView>) -> Body {
    let (keeper, site) = (caller.clone(), app.site.clone());
    let alive = Box::pin(async move { keeper.alive(&site).await });
    let writing = Writing {
        app: app.clone(),
        caller: caller.clone(),
        task,
        files: files.into_iter(),
        packed: GzEncoder::new(Vec::new(), Compression::fast()),
        file: None,
        over: false,
    };
    Body::from_stream(stream::unfold(Some((writing, alive)), async |state| {
        let (mut writing, mut alive) = state?;
        let next = tokio::select! {
            next = writing.next() => next,
            () = &mut alive => Err(io::Error::other("whoever asked for the archive may not have it any more")),
        };
        match next {
            Ok(Some(bytes)) => Some((Ok(bytes), Some((writing, alive)))),
            Ok(None) => None,
            Err(error) => Some((Err(error), None)),
        }
    }))
}

impl Writing {
    async fn next(&mut self) -> io::Result<Option<Bytes>> {
        while !self.over && self.packed.get_ref().len() < ENOUGH {
            match self.file.take() {
                Some(rest) => self.write_some(rest).await?,
                None => match self.files.next() {
                    Some(file) => self.begin(file).await?,
                    None => {
                        // Two empty blocks end an archive.
                        self.packed.write_all(&[0; 2 * BLOCK as usize])?;
                        self.packed.try_finish()?;
                        self.over = true;
                    }
                },
            }
        }
        let bytes = std::mem::take(self.packed.get_mut());
        Ok((!bytes.is_empty()).then(|| bytes.into()))
    }

    /// Writes the head of a file that is there still.
    async fn begin(&mut self, file: FileView) -> io::Result<()> {
        let source = Source::File { id: self.task, path: file.path.clone() };
        let control = self.caller.control(&self.app.site).await.map_err(unreadable)?;
        let whole = match source.whole(&control).await.map_err(Refusal::from) {
            Ok(whole) => whole.bytes,
            Err(refusal) if refusal.0.code == Code::NotFound => return Ok(()),
            Err(refusal) => return Err(unreadable(refusal)),
        };
        // A builder ends the archive when it is dropped; this one is not over.
        let mut archive = ManuallyDrop::new(tar::Builder::new(&mut self.packed));
        let mut header = tar::Header::new_gnu();
        header.set_size(whole);
        header.set_mode(0o644);
        header.set_mtime(0);
        header.set_entry_type(tar::EntryType::Regular);
        // Long names take an entry of their own before this one.
        archive.append_data(&mut header, &file.path, io::empty())?;
        let reading = Reading::new(source, &self.app.lines, &self.caller, 0, whole);
        self.file = Some(Rest { reading, bytes: 0, whole });
        Ok(())
    }

    async fn write_some(&mut self, mut rest: Rest) -> io::Result<()> {
        match rest.reading.next().await.map_err(unreadable)? {
            Some(bytes) => {
                self.packed.write_all(&bytes)?;
                rest.bytes += bytes.len() as u64;
                self.file = Some(rest);
            }
            None => {
                // A file that became shorter meanwhile is filled up: its length is told already.
                let padded = rest.whole.div_ceil(BLOCK) * BLOCK;
                io::copy(&mut io::Read::take(io::repeat(0), padded - rest.bytes), &mut self.packed)?;
            }
        }
        Ok(())
    }
}

fn unreadable(refusal: Refusal) -> io::Error {
    io::Error::other(refusal.0)
}
