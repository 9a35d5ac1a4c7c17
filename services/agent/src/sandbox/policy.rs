//! What a keeper is told of a run: a handful of lines, each a string without a NUL byte.

use std::ffi::{CStr, OsStr};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What may be done below a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Access {
    /// Read, list and execute; nothing where it is not there.
    Read,
    /// Everything but devices; nothing where it is not there.
    WriteIfThere,
    /// Everything but devices; without it no run is made.
    Write,
    /// A device: read, write and command.
    Device,
}

/// What one run is confined to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// The interface of Landlock that is used; 0 is none.
    pub(super) abi: u32,
    /// Whether system calls are filtered.
    pub(super) filter: bool,
    /// Whether Unix sockets, shared memory and message queues may be used.
    pub(super) local_ipc: bool,
    /// The longest file.
    pub(crate) max_file_bytes: Option<u64>,
    /// The most processes, where the kernel counts those of this run alone.
    pub(crate) max_processes: Option<u64>,
    /// The ports that may be connected to; none where there is no rule.
    pub(super) ports: Option<Vec<u16>>,
    /// What every run may reach, as lines.
    pub(super) base: Arc<[Vec<u8>]>,
    /// What this run may reach.
    pub(super) own: Vec<(Access, PathBuf)>,
}

/// A line cannot be read: the two ends are not the same program.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Unreadable;

impl Policy {
    /// Lets it connect to these ports and no others, as far as the kernel holds that.
    pub(crate) fn connect_to(&mut self, ports: Vec<u16>) {
        self.ports = Some(ports);
    }

    /// Writes it as lines.
    pub(crate) fn to_lines(&self) -> Vec<Vec<u8>> {
        let mut lines = vec![format!("a{}", self.abi).into_bytes()];
        lines.extend(self.filter.then(|| b"f".to_vec()));
        lines.extend(self.local_ipc.then(|| b"i".to_vec()));
        lines.extend(self.max_file_bytes.map(|bytes| format!("m{bytes}").into_bytes()));
        lines.extend(self.max_processes.map(|count| format!("n{count}").into_bytes()));
        if let Some(ports) = &self.ports {
            lines.push(b"t".to_vec());
            lines.extend(ports.iter().map(|port| format!("p{port}").into_bytes()));
        }
        lines.extend(self.base.iter().cloned());
        lines.extend(self.own.iter().map(|(access, path)| line(*access, path)));
        lines
    }

    /// Reads what [`Policy::to_lines`] wrote; all paths are then its own.
    pub(crate) fn from_lines(lines: &[&CStr]) -> Result<Self, Unreadable> {
        let mut policy = Self {
            abi: 0,
            filter: false,
            local_ipc: false,
            max_file_bytes: None,
            max_processes: None,
            ports: None,
            base: Arc::default(),
            own: Vec::with_capacity(lines.len()),
        };
        for line in lines {
            let (kind, rest) = line.to_bytes().split_first().ok_or(Unreadable)?;
            let path = || PathBuf::from(OsStr::from_bytes(rest));
            match kind {
                b'a' => policy.abi = number(rest)?,
                b'f' => policy.filter = true,
                b'i' => policy.local_ipc = true,
                b'm' => policy.max_file_bytes = Some(number(rest)?),
                b'n' => policy.max_processes = Some(number(rest)?),
                b't' => policy.ports = Some(Vec::new()),
                b'p' => policy.ports.as_mut().ok_or(Unreadable)?.push(number(rest)?),
                b'r' => policy.own.push((Access::Read, path())),
                b'o' => policy.own.push((Access::WriteIfThere, path())),
                b'w' => policy.own.push((Access::Write, path())),
                b'd' => policy.own.push((Access::Device, path())),
                _ => return Err(Unreadable),
            }
        }
        Ok(policy)
    }
}

/// One path as a line.
pub(super) fn line(access: Access, path: &Path) -> Vec<u8> {
    let kind = match access {
        Access::Read => b'r',
        Access::WriteIfThere => b'o',
        Access::Write => b'w',
        Access::Device => b'd',
    };
    [&[kind], path.as_os_str().as_bytes()].concat()
}

fn number<T: std::str::FromStr>(text: &[u8]) -> Result<T, Unreadable> {
    std::str::from_utf8(text).ok().and_then(|text| text.parse().ok()).ok_or(Unreadable)
}

#[cfg(test)]
mod tests {
    use std::ffi::CString;

    use super::*;

    #[test]
    fn a_policy_reads_back_as_the_keeper_gets_it() {
        let policy = Policy {
            abi: 6,
            filter: true,
            local_ipc: true,
            max_file_bytes: Some(7),
            max_processes: Some(8),
            ports: Some(vec![80, 65_535]),
            base: [line(Access::Read, Path::new("/usr")), line(Access::Device, Path::new("/dev/null"))]
                .into(),
            own: vec![(Access::Write, "/a b\n/c".into()), (Access::WriteIfThere, "/x".into())],
        };
        let lines: Vec<_> = policy.to_lines().into_iter().map(|line| CString::new(line).unwrap()).collect();
        let read = Policy::from_lines(&lines.iter().map(CString::as_c_str).collect::<Vec<_>>()).unwrap();
        let paths = vec![
            (Access::Read, "/usr".into()),
            (Access::Device, "/dev/null".into()),
            (Access::Write, "/a b\n/c".into()),
            (Access::WriteIfThere, "/x".into()),
        ];
        assert_eq!(read, Policy { base: Arc::default(), own: paths, ..policy });
    }

    #[test]
    fn a_line_of_another_program_is_refused() {
        for line in [c"", c"z", c"axy", c"p1"] {
            assert_eq!(Policy::from_lines(&[line]), Err(Unreadable), "{line:?}");
        }
    }
}
