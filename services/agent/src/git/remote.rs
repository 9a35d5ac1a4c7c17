//! Where a repository is, checked and resolved before git hears of it.

use std::net::{IpAddr, ToSocketAddrs};
use std::path::Path;

use conductor_outbound::may_reach;
use url::Url;

use super::program::Error;
use super::settings::Settings;

/// The address of a repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Remote {
    /// As git is given it; nobody's name and no password is in it, save the user of an ssh address.
    pub url: String,
    pub transport: Transport,
    /// The path on the server, without slashes around it and without `.git`.
    pub path: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Transport {
    Https { host: String, port: u16 },
    Ssh { host: String, port: u16 },
    File,
}

/// What git is told so that it reaches the checked address and nothing else.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Pinned {
    pub config: Vec<(String, String)>,
    pub ssh_command: Option<String>,
}

impl Remote {
    /// Reads an address.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let bad = || Error::Workspace { why: format!("{text:?} is no address of a repository"), hint: "" };
        let path = |path: &str| path.trim_matches('/').trim_end_matches(".git").to_owned();
        let url = match Url::parse(text) {
            Ok(url) => url,
            // user@host:path
            Err(_) => {
                let (host, rest) = text.split_once(':').ok_or_else(bad)?;
                Url::parse(&format!("ssh://{host}/{}", rest.trim_start_matches('/'))).map_err(|_| bad())?
            }
        };
        let host =
            || url.host_str().map(|host| host.trim_matches(['[', ']']).to_ascii_lowercase()).ok_or_else(bad);
        let transport = match url.scheme() {
            "https" => Transport::Https { host: host()?, port: url.port().unwrap_or(443) },
            "ssh" => Transport::Ssh { host: host()?, port: url.port().unwrap_or(22) },
            "file" => Transport::File,
            _ => return Err(bad()),
        };
        Ok(Self { path: path(url.path()), url: url.into(), transport })
    }

    /// The host, with its port where that is not the usual one; how credentials are named.
    pub fn host(&self) -> String {
        match &self.transport {
            Transport::Https { host, port: 443 } | Transport::Ssh { host, port: 22 } => host.clone(),
            Transport::Https { host, port } | Transport::Ssh { host, port } => format!("{host}:{port}"),
            Transport::File => String::new(),
        }
    }

    /// How it is told to people.
    pub fn shown(&self) -> String {
        match &self.transport {
            Transport::Https { .. } | Transport::Ssh { .. } => format!("{}/{}", self.host(), self.path),
            Transport::File => self.url.clone(),
        }
    }

    /// Finds its addresses, once, and says how git reaches them alone.
    pub fn pin(&self, settings: &Settings) -> Result<Pinned, Error> {
        match &self.transport {
            Transport::File => self.check_root(settings),
            Transport::Https { host, port } => {
                let found = self.addresses(host, *port, settings)?;
                let mut pinned = Pinned::default();
                if host.parse::<IpAddr>().is_err() {
                    let list: Vec<String> = found.iter().map(bracketed).collect();
                    pinned
                        .config
                        .push(("http.curloptResolve".into(), format!("{host}:{port}:{}", list.join(","))));
                }
                Ok(pinned)
            }
            Transport::Ssh { host, port } => {
                let found = self.addresses(host, *port, settings)?;
                let ssh_command = Some(ssh_command(host, &found[0], settings.credential(&self.host()))?);
                Ok(Pinned { ssh_command, ..Pinned::default() })
            }
        }
    }

    fn addresses(&self, host: &str, port: u16, settings: &Settings) -> Result<Vec<IpAddr>, Error> {
        let unknown = |why: String| Error::Workspace { why, hint: "look at the host in the address" };
        let found = (host, port).to_socket_addrs();
        let found = found.map_err(|error| unknown(format!("{host} cannot be resolved: {error}")))?;
        let allowed = &settings.config.allow_private;
        let mut reachable: Vec<IpAddr> =
            found.map(|at| at.ip()).filter(|at| may_reach(allowed, host, *at)).collect();
        reachable.dedup();
        if reachable.is_empty() {
            return Err(Error::Workspace {
                why: format!("{host} has no public address"),
                hint: "git.allow_private can allow others",
            });
        }
        Ok(reachable)
    }

    fn check_root(&self, settings: &Settings) -> Result<Pinned, Error> {
        let refused = || Error::Workspace {
            why: format!("{} is below none of the folders that may be named", self.url),
            hint: "git.file_roots names folders on the agent's host",
        };
        let path = Url::parse(&self.url).ok().and_then(|url| url.to_file_path().ok()).ok_or_else(refused)?;
        let real = path.canonicalize().map_err(|_| refused())?;
        let is_below =
            |root: &std::path::PathBuf| root.canonicalize().is_ok_and(|root| real.starts_with(root));
        if settings.config.file_roots.iter().any(is_below) { Ok(Pinned::default()) } else { Err(refused()) }
    }
}

fn bracketed(address: &IpAddr) -> String {
    match address {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => format!("[{address}]"),
    }
}

/// How ssh is called: no configuration, no agent, no questions, one key, and the address that was checked.
fn ssh_command(
    host: &str,
    address: &IpAddr,
    credential: Option<&conductor_runtime::config::GitCredential>,
) -> Result<String, Error> {
    let known = credential.and_then(|credential| credential.known_hosts_file.as_deref());
    let key = credential.and_then(|credential| credential.ssh_key_file.as_deref());
    let mut command = format!(
        "ssh -F /dev/null -o BatchMode=yes -o IdentitiesOnly=yes -o IdentityAgent=none -o ForwardAgent=no \
         -o ClearAllForwardings=yes -o PermitLocalCommand=no -o StrictHostKeyChecking=yes \
         -o HostName={address} -o HostKeyAlias={host}"
    );
    let mut option = |name: &str, path: Option<&Path>| {
        let Some(path) = path else { return Ok(()) };
        let Some(text) = path.to_str().filter(|text| !text.contains(['\'', '"', '\\', '%', '\n'])) else {
            let why = format!("{}: a path with such characters cannot be given to ssh", path.display());
            return Err(Error::Credential { host: host.to_owned(), why });
        };
        command.push_str(&format!(" -o '{name}=\"{text}\"'"));
        Ok(())
    };
    option("IdentityFile", key)?;
    option("UserKnownHostsFile", known)?;
    Ok(command)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowing(text: &str) -> Settings {
        let mut settings = Settings::default();
        settings.config.allow_private = vec![text.parse().unwrap()];
        settings
    }

    #[test]
    fn the_forms_of_an_address_are_read_alike() {
        let https = Remote::parse("https://Git.Example:8443/a/b.git").unwrap();
        assert_eq!((https.host().as_str(), https.path.as_str()), ("git.example:8443", "a/b"));
        let ssh = Remote::parse("git@git.example:a/b.git").unwrap();
        assert_eq!((ssh.url.as_str(), ssh.path.as_str()), ("ssh://git@git.example/a/b.git", "a/b"));
        assert_eq!(ssh.transport, Transport::Ssh { host: "git.example".into(), port: 22 });
    }

    #[test]
    fn addresses_of_private_networks_are_refused_unless_the_owner_allows_them() {
        for url in
            ["https://127.0.0.1:1/a", "https://localhost/a", "ssh://git@[::1]/a", "https://169.254.169.254/a"]
        {
            let refused = Remote::parse(url).unwrap().pin(&Settings::default()).unwrap_err();
            assert!(refused.to_string().contains("no public address"), "{url}: {refused}");
        }
        let remote = Remote::parse("https://localhost:7/a").unwrap();
        let pinned = remote.pin(&allowing("127.0.0.1")).unwrap();
        assert_eq!(pinned.config, [("http.curloptResolve".to_owned(), "localhost:7:127.0.0.1".to_owned())]);
    }

    #[test]
    fn files_are_named_below_configured_folders_alone() {
        let (root, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        std::fs::create_dir(root.path().join("a")).unwrap();
        std::os::unix::fs::symlink(other.path(), root.path().join("out")).unwrap();
        let mut settings = Settings::default();
        let at = |name: &str| Remote::parse(&format!("file://{}/{name}", root.path().display())).unwrap();
        assert!(at("a").pin(&settings).is_err());
        settings.config.file_roots = vec![root.path().to_owned()];
        assert!(at("a").pin(&settings).is_ok());
        assert!(at("out").pin(&settings).is_err(), "a link leads nowhere else");
    }

    #[test]
    fn ssh_asks_nobody_and_reads_no_configuration() {
        let credential = serde_json::from_str(
            r#"{"host":"git.example","ssh_key_file":"/k/id","known_hosts_file":"/k/known"}"#,
        );
        let command = ssh_command("git.example", &[192, 0, 2, 1].into(), Some(&credential.unwrap())).unwrap();
        for part in [
            "-F /dev/null",
            "BatchMode=yes",
            "HostName=192.0.2.1",
            "IdentityFile=\"/k/id\"",
            "StrictHostKeyChecking=yes",
        ] {
            assert!(command.contains(part), "{part}: {command}");
        }
    }
}
