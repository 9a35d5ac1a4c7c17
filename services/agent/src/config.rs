//! From arguments and configuration to what a worker needs to know.

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;

use conductor_core::{Name, NameError};
use conductor_gateway::{HostRule, NoRule, Proxy};
use conductor_protocol::agent::LimitsView;
use conductor_runtime::config::{self, Config, Loaded, OnOutputLimit, RunnerSpec, Sources};
use conductor_runtime::{paths, secrets};

use crate::args::Args;
use crate::git;
use crate::process::{Cgroups, KeeperProgram};
use crate::run::CopyRoots;
use crate::runner::{self, Limits, Programs};
use crate::sandbox::{self, Kernel, Needs, Sandbox, Ways};
use crate::session::{ParseError, Target};
use crate::worker::Settings;

/// The name of the command.
const CONDUCTOR: &str = "conductor";

/// Why an agent cannot be configured.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Config(#[from] config::Error),
    #[error(transparent)]
    Paths(#[from] paths::Error),
    #[error(transparent)]
    Target(#[from] ParseError),
    #[error("{name:?} cannot be the name of an agent")]
    Name { name: String, source: NameError },
    #[error("{label:?} cannot be a label")]
    Label { label: String, source: NameError },
    #[error(transparent)]
    Secrets(#[from] secrets::Error),
    #[error(transparent)]
    Sandbox(#[from] sandbox::GrantError),
    #[error("{key} has a host that is none")]
    Host { key: String, source: NoRule },
    #[error("sandbox.cgroups: {0}")]
    Cgroup(String),
    #[error("find this program's file")]
    Program(#[source] std::io::Error),
}

/// Reads the configuration with the arguments over it.
///
/// # Errors
/// Names everything that is wrong in it.
pub fn load(args: &Args) -> Result<Loaded, Error> {
    let mut sources = Sources::from_env();
    sources.file.clone_from(&args.config);
    if let Some(name) = &args.name {
        sources = sources.flag("agent.name", name, "--name");
    }
    if let Some(slots) = args.slots {
        sources = sources.flag("agent.slots", slots, "--slots");
    }
    Ok(config::load(&sources)?)
}

/// What a worker needs to know.
///
/// # Errors
/// Says which value cannot be used.
pub fn settings(args: &Args, loaded: &Loaded, keeper: Vec<OsString>) -> Result<Settings, Error> {
    let Loaded { config, home, .. } = loaded;
    let host = hostname();
    let name = match &config.agent.name {
        Some(name) => checked_name(name)?,
        None => checked_name(&host)?,
    };
    let mut labels = [config.agent.labels.as_slice(), &args.labels].concat();
    labels.sort();
    labels.dedup();
    for label in &labels {
        Name::new(label).map_err(|source| Error::Label { label: label.clone(), source })?;
    }
    let target = match &args.connect {
        Some(text) => Target::parse(text)?,
        None => Target::Unix { socket: home.agent_socket(), key_file: home.agent_key() },
    };
    let path = std::env::current_exe().map_err(Error::Program)?;
    let keeper = KeeperProgram { path, args: keeper };
    let secrets = config::secret_env_names();
    let all: Vec<(OsString, OsString)> = std::env::vars_os().collect();
    let secrets_folder = config.agent.secrets_dir.clone().unwrap_or_else(|| home.secrets());
    let git = git::Settings::new(config.git.clone(), &all, secrets_folder);
    let is_token = |name: &OsString| git::Settings::token_variables(&config.git).any(|token| name == token);
    let environment = all
        .into_iter()
        .filter(|(name, _)| !secrets.iter().any(|secret| name == secret.as_str()) && !is_token(name));
    let environment: Vec<_> = environment.collect();
    Ok(Settings {
        name,
        host,
        slots: u32::try_from(config.agent.slots()).unwrap_or(u32::MAX),
        max_waiting: u32::try_from(config.agent.max_waiting).unwrap_or(u32::MAX),
        labels,
        built_in: Settings::built_in_runners(),
        programs: programs(loaded, &environment)?,
        workspace: home.workspace.clone(),
        agents: home.state.join("agents"),
        free_floor_bytes: config.retention.free_floor_bytes,
        target,
        limits: Limits {
            max_output_bytes: config.tasks.max_output_bytes,
            on_output_limit: match config.tasks.on_output_limit {
                OnOutputLimit::Cut => runner::OnOutputLimit::Cut,
                OnOutputLimit::Fail => runner::OnOutputLimit::End,
            },
            max_files: config.tasks.max_files,
            max_workspace_bytes: config.tasks.max_workspace_bytes,
            max_memory_bytes: max_memory(&config.tasks),
            max_processes: config.tasks.max_processes,
            grace: config.agent.stop_grace,
            copies: Arc::new(CopyRoots {
                roots: config.agent.copy_roots.clone(),
                own: [&home.config, &home.state, &home.run, &home.workspace].map(Clone::clone).into(),
            }),
        },
        orphan_grace: config.agent.orphan_grace,
        drain: config.orchestrator.drain,
        keeper,
        environment,
        git: Arc::new(git),
    })
}

/// The runners that are programs, with what this environment and the secrets beside it hold for them.
///
/// # Errors
/// When the secrets cannot be looked at.
pub fn programs(loaded: &Loaded, environment: &[(OsString, OsString)]) -> Result<Programs, Error> {
    let specs = loaded.config.programs();
    let sandbox = sandbox(loaded, environment, specs.values())?;
    Ok(Programs {
        specs: specs.into_iter().map(|(name, spec)| (name, Arc::new(spec))).collect(),
        environment: environment.into(),
        secrets: Some(loaded.secrets()?),
        uses: Arc::new(loaded.config.secrets.clone()),
        sandbox,
        api_url: loaded.config.api_url(),
        conductor: conductor(),
    })
}

/// The `conductor` command: this program, where it is that by another name, or the one beside it, or the one in the path.
fn conductor() -> PathBuf {
    let own = std::env::current_exe().unwrap_or_default();
    let beside = own.with_file_name(CONDUCTOR);
    if beside.is_file() { beside } else { CONDUCTOR.into() }
}

/// What runs are confined to.
fn sandbox<'a>(
    loaded: &Loaded,
    environment: &[(OsString, OsString)],
    specs: impl Iterator<Item = &'a RunnerSpec>,
) -> Result<Sandbox, Error> {
    let Loaded { config, home, .. } = loaded;
    let mut sealed =
        [&home.config, &home.state, &home.run, &home.logs, &home.workspace].map(Clone::clone).to_vec();
    sealed.extend(config.agent.secrets_dir.clone());
    sealed.extend(config.auth.tokens_file.clone());
    sealed.extend(config.tls.key_file.clone());
    sealed.extend(config.secrets.values().filter_map(|secret| secret.file.clone()));
    sealed.extend(config.git.credentials.iter().filter_map(|credential| credential.token_file.clone()));
    let search = environment.iter().find(|(name, _)| name == "PATH").map(|(_, value)| value.as_os_str());
    let found = specs.filter_map(|spec| runner::program::probe::find(spec.command.first()?, search));
    let programs = found.chain([conductor()]).collect();
    let needs = Needs {
        sealed,
        environment,
        programs,
        read_paths: &config.sandbox.read_paths,
        write_paths: &config.sandbox.write_paths,
        local_ipc: config.sandbox.local_ipc,
        max_file_bytes: Some(config.tasks.max_workspace_bytes),
    };
    let limits = LimitsView {
        memory_bytes: max_memory(&config.tasks),
        processes: config.tasks.max_processes,
        disk_bytes: config.tasks.max_workspace_bytes,
        output_bytes: match config.tasks.on_output_limit {
            OnOutputLimit::Cut => runner::most_printed(config.tasks.max_output_bytes),
            OnOutputLimit::Fail => config.tasks.max_output_bytes,
        },
    };
    let sandbox = Sandbox::new(config.sandbox.mode, Kernel::probe(), &needs)?;
    Ok(sandbox.with_ways(ways(config, environment)?).with_limits(limits, cgroups(config)?))
}

/// Where runs may connect to.
fn ways(config: &Config, environment: &[(OsString, OsString)]) -> Result<Ways, Error> {
    let rule = |(key, host): (String, &String)| {
        host.parse::<HostRule>().map_err(|source| Error::Host { key, source })
    };
    let hosts =
        config.sandbox.egress_hosts.iter().map(|host| rule(("sandbox.egress_hosts".to_owned(), host)));
    let hosts = hosts.collect::<Result<_, _>>()?;
    for (name, spec) in config.programs() {
        spec.egress_hosts
            .iter()
            .try_for_each(|host| rule((format!("runners.{name}.egress_hosts"), host)).map(drop))?;
    }
    let variable = |wanted: &str| {
        let found = environment.iter().find(|(name, _)| name.eq_ignore_ascii_case(wanted));
        found.and_then(|(_, value)| value.to_str())
    };
    let proxy = variable("HTTPS_PROXY");
    let proxy = proxy.and_then(|url| Proxy::new(url, variable("NO_PROXY").unwrap_or_default()));
    Ok(Ways { egress: config.sandbox.egress, hosts, private: config.git.allow_private.clone(), proxy })
}

fn cgroups(config: &Config) -> Result<Option<Cgroups>, Error> {
    Cgroups::find(&config.sandbox.cgroups).map_err(Error::Cgroup)
}

/// How much memory a run may have: what is configured, or a share of what this machine, or its container, has.
fn max_memory(tasks: &config::Tasks) -> u64 {
    tasks.max_memory_bytes.unwrap_or_else(|| host_memory().map_or(u64::MAX, |bytes| bytes / 4 * 3))
}

fn host_memory() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let machine = line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? << 10;
    let files = ["/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"];
    let container =
        files.iter().filter_map(|file| std::fs::read_to_string(file).ok()?.trim().parse::<u64>().ok());
    Some(container.fold(machine, u64::min))
}

fn checked_name(name: &str) -> Result<String, Error> {
    Name::new(name)
        .map(|name| name.to_string())
        .map_err(|source| Error::Name { name: name.to_owned(), source })
}

fn hostname() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}
