//! A folder as one archive.

use std::fs::File;
use std::io::{self, BufWriter, Read as _, Seek as _, Write as _};
use std::os::unix::fs::MetadataExt as _;

use tar::{Builder, Header};

use super::folder::Found;

/// What is gathered before it is written.
const BUFFER_BYTES: usize = 1 << 20;

/// Packs files into an archive without a name, which is gone with this process. The same files make the same bytes.
pub fn of(found: &[Found]) -> io::Result<(File, u64)> {
    let mut archive = Builder::new(BufWriter::with_capacity(BUFFER_BYTES, tempfile::tempfile()?));
    for file in found {
        let named = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", file.name));
        add(&mut archive, file).map_err(named)?;
    }
    let mut written = archive.into_inner()?;
    written.flush()?;
    let mut file = written.into_inner().map_err(io::IntoInnerError::into_error)?;
    let length = file.stream_position()?;
    file.rewind()?;
    Ok((file, length))
}

fn add(archive: &mut Builder<BufWriter<File>>, found: &Found) -> io::Result<()> {
    let file = found.open()?;
    let metadata = file.metadata()?;
    let mut header = Header::new_gnu();
    header.set_size(metadata.len());
    header.set_mode(if metadata.mode() & 0o100 != 0 { 0o755 } else { 0o644 });
    header.set_mtime(0);
    // What grows meanwhile is cut; what shrinks would put all that follows out of its place.
    let mut read = Counted { inner: file.take(metadata.len()), bytes: 0 };
    archive.append_data(&mut header, &found.name, &mut read)?;
    match read.bytes == metadata.len() {
        true => Ok(()),
        false => Err(io::Error::other("it changed while it was read")),
    }
}

/// Reads, and counts what was read.
struct Counted {
    inner: io::Take<File>,
    bytes: u64,
}

impl io::Read for Counted {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.bytes += count as u64;
        Ok(count)
    }
}
