//! Writing a backup: a tar in gzip, from its first file to the manifest at its end.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;

use super::manifest::{HEAD, Kind, Manifest, Sums, TAIL};
use crate::exit::Failure;

/// A backup that is being written.
pub struct Archive<W: Write> {
    tar: tar::Builder<GzEncoder<W>>,
    manifest: Manifest,
    sums: Sums,
}

/// What is known of a file that goes in.
#[derive(Debug, Clone, Copy)]
pub struct About {
    /// Its permissions.
    pub mode: u32,
    /// When it was changed, in seconds.
    pub modified: u64,
    /// Its bytes.
    pub bytes: u64,
}

impl<W: Write> Archive<W> {
    /// Begins a backup.
    pub fn begin(out: W, manifest: Manifest) -> Result<Self, Failure> {
        let tar = tar::Builder::new(GzEncoder::new(out, Compression::fast()));
        let mut archive = Self { tar, manifest, sums: Sums::default() };
        archive.note(HEAD)?;
        Ok(archive)
    }

    fn note(&mut self, name: &str) -> Result<(), Failure> {
        let text = serde_json::to_vec_pretty(&self.manifest).map_err(io::Error::other)?;
        let mut header = header(About { mode: 0o600, modified: 0, bytes: text.len() as u64 });
        header.set_entry_type(tar::EntryType::Regular);
        Ok(self.tar.append_data(&mut header, name, text.as_slice())?)
    }

    /// Adds a folder.
    pub fn folder(&mut self, path: &Path, about: About) -> io::Result<()> {
        self.sums.entry(path, Kind::Folder, about.mode, 0);
        let mut header = header(About { bytes: 0, ..about });
        header.set_entry_type(tar::EntryType::Directory);
        self.tar.append_data(&mut header, path, io::empty())
    }

    /// Adds a symbolic link.
    pub fn link(&mut self, path: &Path, target: &Path, about: About) -> io::Result<()> {
        let target_bytes = target.as_os_str().as_bytes();
        self.sums.entry(path, Kind::Link, 0o777, target_bytes.len() as u64);
        self.sums.content(target_bytes);
        let mut header = header(About { bytes: 0, mode: 0o777, ..about });
        header.set_entry_type(tar::EntryType::Symlink);
        self.tar.append_link(&mut header, path, target)
    }

    /// Adds a file: as many bytes as were told, cut or filled with zeros where it changes meanwhile.
    pub fn file(&mut self, path: &Path, file: &File, about: About) -> io::Result<()> {
        self.sums.entry(path, Kind::File, about.mode, about.bytes);
        let mut header = header(about);
        header.set_entry_type(tar::EntryType::Regular);
        let content = Summed { from: file.chain(io::repeat(0)).take(about.bytes), sums: &mut self.sums };
        self.tar.append_data(&mut header, path, content)
    }

    /// Counts what was left out.
    pub fn skip(&mut self) {
        self.manifest.skipped += 1;
    }

    /// Ends it with the manifest.
    pub fn finish(mut self) -> Result<(Manifest, W), Failure> {
        self.manifest.parts = std::mem::take(&mut self.sums).finish();
        self.note(TAIL)?;
        let Self { tar, manifest, .. } = self;
        Ok((manifest, tar.into_inner()?.finish()?))
    }
}

fn header(about: About) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_mode(about.mode);
    header.set_mtime(about.modified);
    header.set_size(about.bytes);
    header
}

/// Bytes that are added up as they pass.
struct Summed<'a, R> {
    from: R,
    sums: &'a mut Sums,
}

impl<R: Read> Read for Summed<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.from.read(buffer)?;
        self.sums.content(&buffer[..read]);
        Ok(read)
    }
}
