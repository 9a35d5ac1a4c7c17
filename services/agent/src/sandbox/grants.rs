//! What every run may read and write besides its own folders: the system, installed toolchains, what the owner names.
//!
//! Landlock grants whole trees and takes nothing back. So a tree that holds something sealed (Conductor's folders, its
//! credentials) or the owner's home is not granted; what is in it is looked at one by one.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::{Path, PathBuf};

use super::policy::Access;

/// The most entries of one folder that are looked at one by one.
const MAX_ENTRIES: usize = 4_096;
/// The most grants that a keeper is told.
const MAX_GRANTS: usize = 1_024;

/// Folders and files of the system, as far as they are there. Of `/etc` only what programs need to run: it also has keys.
const SYSTEM: [&str; 63] = [
    "/usr",
    "/bin",
    "/sbin",
    "/lib",
    "/lib32",
    "/lib64",
    "/libx32",
    "/nix/store",
    "/gnu/store",
    "/run/current-system",
    "/proc",
    "/sys/devices/system",
    "/sys/fs/cgroup",
    "/sys/kernel/mm/transparent_hugepage",
    "/etc/alternatives",
    "/etc/bash.bashrc",
    "/etc/bash_completion.d",
    "/etc/bashrc",
    "/etc/ca-certificates",
    "/etc/ca-certificates.conf",
    "/etc/crypto-policies",
    "/etc/debian_version",
    "/etc/default/locale",
    "/etc/dotnet",
    "/etc/environment",
    "/etc/ethertypes",
    "/etc/fonts",
    "/etc/gai.conf",
    "/etc/gitconfig",
    "/etc/group",
    "/etc/host.conf",
    "/etc/hostname",
    "/etc/hosts",
    "/etc/inputrc",
    "/etc/issue",
    "/etc/ld.so.cache",
    "/etc/ld.so.conf",
    "/etc/ld.so.conf.d",
    "/etc/ld.so.preload",
    "/etc/locale.alias",
    "/etc/locale.conf",
    "/etc/localtime",
    "/etc/login.defs",
    "/etc/lsb-release",
    "/etc/machine-id",
    "/etc/magic",
    "/etc/mime.types",
    "/etc/nsswitch.conf",
    "/etc/os-release",
    "/etc/passwd",
    "/etc/perl",
    "/etc/pki/ca-trust",
    "/etc/pki/tls/certs",
    "/etc/profile",
    "/etc/profile.d",
    "/etc/protocols",
    "/etc/resolv.conf",
    "/etc/rpc",
    "/etc/services",
    "/etc/shells",
    "/etc/ssl/certs",
    "/etc/terminfo",
    "/etc/timezone",
];
/// More of `/etc`, by how a name there begins.
const ETC_PREFIXES: [&str; 7] = ["java", "python", "php", "ruby", "openssl", "vim", "xdg"];
const SINGLE: [&str; 2] = ["/etc/ssl/openssl.cnf", "/etc/pki/tls/openssl.cnf"];
const DEVICES: [&str; 5] = ["/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom"];
/// Variables that name toolchains; children inherit them and may read what they name.
pub(crate) const TOOLCHAINS: [&str; 13] = [
    "RUSTUP_HOME",
    "GOROOT",
    "JAVA_HOME",
    "DOTNET_ROOT",
    "NVM_DIR",
    "PYENV_ROOT",
    "RBENV_ROOT",
    "SDKMAN_DIR",
    "ASDF_DIR",
    "ASDF_DATA_DIR",
    "VOLTA_HOME",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
];
/// How deep in a home a folder of programs lies whose folder above is a toolchain and not a collection of everything.
const DEPTH_OF_TOOLCHAIN: usize = 4;

/// What the owner lets tasks have, or names something that none may have.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("sandbox.{key} has {path}, which holds {sealed}; no task may reach that")]
    Sealed { key: &'static str, path: PathBuf, sealed: PathBuf },
}

/// What a sandbox is made for.
#[derive(Debug, Clone, Default)]
pub struct Needs<'a> {
    /// What no task may reach: folders of Conductor, files with credentials.
    pub sealed: Vec<PathBuf>,
    /// The environment of the agent.
    pub environment: &'a [(OsString, OsString)],
    /// Programs that runs start, besides those of the system.
    pub programs: Vec<PathBuf>,
    /// `sandbox.read_paths` and `sandbox.write_paths`
    pub read_paths: &'a [PathBuf],
    pub write_paths: &'a [PathBuf],
    /// Whether Unix sockets, shared memory and message queues may be used.
    pub local_ipc: bool,
    /// The longest file that a run may write.
    pub max_file_bytes: Option<u64>,
}

/// What every run may reach.
pub(super) fn base(needs: &Needs<'_>) -> Result<Vec<(Access, PathBuf)>, Error> {
    let variable = |name: &str| needs.environment.iter().find(|(key, _)| key == name).map(|(_, value)| value);
    let home = variable("HOME").map(Path::new).and_then(resolve).filter(|home| home.parent().is_some());
    let mut grants = Grants {
        sealed: needs.sealed.iter().map(|path| resolve(path).unwrap_or_else(|| path.clone())).collect(),
        home: home.clone(),
        found: BTreeSet::new(),
    };
    grants.sealed.extend(["/run/secrets", "/var/run/secrets"].map(PathBuf::from));
    for path in SYSTEM.iter().chain(&SINGLE) {
        grants.allow(Path::new(path));
    }
    for entry in fs::read_dir("/etc").into_iter().flatten().flatten().take(MAX_ENTRIES) {
        let name = entry.file_name();
        if ETC_PREFIXES.iter().any(|prefix| name.to_string_lossy().starts_with(prefix)) {
            grants.allow(&entry.path());
        }
    }
    for folder in std::env::split_paths(variable("PATH").map_or(OsStr::new(""), |path| path)) {
        if folder.is_absolute() {
            grants.allow(&folder);
            toolchain_of(&folder, home.as_deref()).iter().for_each(|folder| grants.allow(folder));
        }
    }
    for name in TOOLCHAINS {
        variable(name)
            .map(Path::new)
            .filter(|path| path.is_absolute())
            .into_iter()
            .for_each(|path| grants.allow(path));
    }
    // A child has a HOME of its own; the toolchains of rustup are where the agent's has them.
    home.iter().for_each(|home| grants.allow(&home.join(".rustup")));
    for program in &needs.programs {
        folders_of(program).iter().for_each(|folder| grants.allow(folder));
        // Its folder may be one that is not granted, as where somebody keeps it in their home.
        grants.allow(program);
    }
    let mut all: Vec<_> = DEVICES.iter().map(|path| (Access::Device, PathBuf::from(path))).collect();
    all.extend(grants.found.iter().map(|path| (Access::Read, path.clone())));
    for (key, access, paths) in [
        ("read_paths", Access::Read, needs.read_paths),
        ("write_paths", Access::WriteIfThere, needs.write_paths),
    ] {
        for path in paths {
            let real = resolve(path).unwrap_or_else(|| path.clone());
            if let Some(sealed) =
                grants.sealed.iter().find(|it| it.starts_with(&real) || real.starts_with(it))
            {
                return Err(Error::Sealed { key, path: path.clone(), sealed: sealed.clone() });
            }
            all.push((access, real));
        }
    }
    all.truncate(MAX_GRANTS);
    Ok(all)
}

struct Grants {
    sealed: Vec<PathBuf>,
    home: Option<PathBuf>,
    found: BTreeSet<PathBuf>,
}

impl Grants {
    /// Grants what is at a path, as far as nothing in it is sealed.
    fn allow(&mut self, path: &Path) {
        if let Some(real) = resolve(path) {
            self.allow_real(&real);
        }
    }

    fn allow_real(&mut self, path: &Path) {
        let is_sealed = self.sealed.iter().any(|sealed| path.starts_with(sealed));
        if is_sealed || self.found.iter().any(|found| path.starts_with(found)) {
            return;
        }
        let holds_more = self.sealed.iter().chain(&self.home).any(|sealed| sealed.starts_with(path));
        if !holds_more {
            self.found.insert(path.to_owned());
            return;
        }
        // A home, and what is around it, is never looked through.
        if self.home.as_ref().is_some_and(|home| home.starts_with(path)) {
            return;
        }
        let entries = fs::read_dir(path).into_iter().flatten().flatten().take(MAX_ENTRIES);
        let inner: Vec<_> = entries
            .filter(|entry| entry.file_type().is_ok_and(|kind| !kind.is_symlink()))
            .map(|entry| entry.path())
            .collect();
        inner.iter().for_each(|path| self.allow_real(path));
    }
}

/// The folder above a folder of programs, where that is a toolchain: `/opt/node`, `~/.nvm/versions/node/v22`.
fn toolchain_of(folder: &Path, home: Option<&Path>) -> Option<PathBuf> {
    let folder = resolve(folder)?;
    let above = folder.parent().filter(|_| folder.file_name() == Some(OsStr::new("bin")))?;
    let is_toolchain = match home.and_then(|home| above.strip_prefix(home).ok()) {
        Some(below) => below.components().count() >= DEPTH_OF_TOOLCHAIN,
        // Not `/` itself, nor what lies in it.
        None => above.components().count() > 2,
    };
    is_toolchain.then(|| above.to_owned())
}

/// Where the parts of a program are: the folder of its packages, or that of its file.
fn folders_of(program: &Path) -> Option<PathBuf> {
    let file = resolve(program)?;
    let packages =
        file.ancestors().filter(|folder| folder.file_name() == Some(OsStr::new("node_modules"))).last();
    packages.or_else(|| file.parent()).map(Path::to_owned)
}

fn resolve(path: &Path) -> Option<PathBuf> {
    path.canonicalize().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn granted(needs: &Needs<'_>) -> Vec<PathBuf> {
        base(needs)
            .unwrap()
            .into_iter()
            .filter(|(access, _)| *access == Access::Read)
            .map(|(_, path)| path)
            .collect()
    }

    fn reaches(grants: &[PathBuf], path: &Path) -> bool {
        grants.iter().any(|grant| path.starts_with(grant))
    }

    #[test]
    fn what_is_sealed_is_left_out_of_a_tree_that_is_granted() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path().canonicalize().unwrap();
        let prefix = root.join("a/tool");
        for folder in ["bin", "lib", "etc/conductor", "etc/other"] {
            fs::create_dir_all(prefix.join(folder)).unwrap();
        }
        std::os::unix::fs::symlink(prefix.join("etc/conductor"), prefix.join("link")).unwrap();
        let path = prefix.join("bin").into_os_string();
        let environment = [("PATH".into(), path)];
        let sealed = vec![prefix.join("etc/conductor")];
        let grants = granted(&Needs { sealed, environment: &environment, ..Needs::default() });
        for inside in ["bin/x", "lib/x", "etc/other/x"] {
            assert!(reaches(&grants, &prefix.join(inside)), "{inside}");
        }
        for outside in ["etc/conductor/token", "etc", "link"] {
            assert!(!reaches(&grants, &prefix.join(outside)), "{outside}");
        }
    }

    #[test]
    fn a_home_is_not_granted_by_a_path_that_holds_it_and_its_toolchains_are() {
        let root = tempfile::tempdir().unwrap();
        let home = root.path().canonicalize().unwrap().join("me");
        for folder in [
            ".local/bin",
            ".nvm/versions/node/v22/bin",
            ".rustup/toolchains",
            ".ssh",
            ".local/share/keyrings",
        ] {
            fs::create_dir_all(home.join(folder)).unwrap();
        }
        let path = std::env::join_paths([
            home.clone(),
            root.path().to_owned(),
            home.join(".local/bin"),
            home.join(".nvm/versions/node/v22/bin"),
        ]);
        let environment = [("PATH".into(), path.unwrap()), ("HOME".into(), home.clone().into())];
        let grants = granted(&Needs { environment: &environment, ..Needs::default() });
        for inside in [".local/bin/x", ".nvm/versions/node/v22/lib/x", ".rustup/toolchains/x"] {
            assert!(reaches(&grants, &home.join(inside)), "{inside}");
        }
        for outside in [".ssh/id", ".local/share/keyrings", ".config/x", "", ".nvm/x"] {
            assert!(!reaches(&grants, &home.join(outside)), "{outside}");
        }
    }

    #[test]
    fn a_program_that_lies_in_a_home_is_granted_without_what_lies_beside_it() {
        let root = tempfile::tempdir().unwrap();
        let home = root.path().canonicalize().unwrap();
        for file in ["conductor", "notes"] {
            fs::write(home.join(file), "x").unwrap();
        }
        let environment = [("HOME".into(), home.clone().into())];
        let programs = vec![home.join("conductor")];
        let grants = granted(&Needs { environment: &environment, programs, ..Needs::default() });
        assert!(reaches(&grants, &home.join("conductor")) && !reaches(&grants, &home.join("notes")));
    }

    #[test]
    fn keys_of_the_system_are_in_no_grant() {
        let grants = granted(&Needs::default());
        assert!(reaches(&grants, &Path::new("/usr/bin/env").canonicalize().unwrap()));
        for outside in [
            "/etc/shadow",
            "/etc/ssh/ssh_host_ed25519_key",
            "/etc/ssl/private/x",
            "/root/.ssh",
            "/run/x",
            "/var/x",
            "/tmp/x",
            "/home/x",
            "/dev/shm/x",
        ] {
            assert!(!reaches(&grants, Path::new(outside)), "{outside}");
        }
    }

    #[test]
    fn a_program_brings_the_packages_that_it_lies_among() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path().canonicalize().unwrap();
        let file = root.join("node_modules/@x/tool/node_modules/y/cli.js");
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::create_dir_all(root.join("node_modules/.bin")).unwrap();
        fs::write(&file, "").unwrap();
        let link = root.join("node_modules/.bin/tool");
        std::os::unix::fs::symlink(&file, &link).unwrap();
        assert_eq!(folders_of(&link), Some(root.join("node_modules")));
        assert_eq!(folders_of(&root.join("absent")), None);
    }

    #[test]
    fn the_owner_cannot_give_away_what_is_sealed() {
        let root = tempfile::tempdir().unwrap();
        let sealed = vec![root.path().join("state")];
        for path in [root.path().to_owned(), root.path().join("state/log")] {
            let needs = Needs {
                sealed: sealed.clone(),
                write_paths: std::slice::from_ref(&path),
                ..Needs::default()
            };
            assert!(base(&needs).unwrap_err().to_string().starts_with("sandbox.write_paths has"));
        }
        let other = root.path().join("cache");
        let needs = Needs { sealed, write_paths: std::slice::from_ref(&other), ..Needs::default() };
        assert!(base(&needs).unwrap().contains(&(Access::WriteIfThere, other)));
    }
}
