//! What the tries are told of a deployment: what no task may read, and where no task may get through.

use std::collections::BTreeMap;

use conductor_agent::sandbox::escapes::{SEALED_PATHS, SOCKETS, TARGETS};

use crate::context::Context;

/// Where deployments keep what no task may read.
const SEALED: [&str; 12] = [
    "/etc/conductor",
    "/etc/conductor/token",
    "/var/lib/conductor",
    "/var/log/conductor",
    "/run/conductor",
    "/workspace/tasks",
    "/workspace/private",
    "/root/.ssh",
    "/root/.claude-conductor",
    "/root/.claude",
    "/root/.codex",
    "/root/.gemini",
];
/// Sockets that lead to other programs of a host.
const SOCKET_PATHS: [&str; 6] = [
    "/run/conductor/control.sock",
    "/run/conductor/agent.sock",
    "/run/docker.sock",
    "/var/run/docker.sock",
    "/run/dbus/system_bus_socket",
    "/run/systemd/private",
];
/// Conductor's own servers, and what may be beside them.
const SERVERS: [&str; 4] = ["127.0.0.1:8080", "127.0.0.1:8081", "127.0.0.1:8090", "127.0.0.1:6379"];

/// The variables of the tries: the usual places, and those of this machine's home.
pub fn variables(context: &Context<'_>) -> BTreeMap<String, String> {
    let home = &context.loaded.home;
    let folders = [&home.config, &home.state, &home.run, &home.logs, &home.workspace];
    let own = folders.into_iter().map(|path| path.display().to_string());
    let people = std::env::var("HOME").into_iter().flat_map(|home| {
        [".ssh", ".claude", ".codex", ".gemini", ".aws", ".config/gh"].map(|name| format!("{home}/{name}"))
    });
    let sealed: Vec<_> = own.chain(people).chain(SEALED.map(str::to_owned)).collect();
    let sockets = [home.agent_socket(), home.control_socket()].map(|path| path.display().to_string());
    let sockets: Vec<_> = sockets.into_iter().chain(SOCKET_PATHS.map(str::to_owned)).collect();
    let listening = [&context.loaded.config.api.listen, &context.loaded.config.dashboard.listen];
    let servers =
        listening.into_iter().filter(|at| !at.ends_with(":0")).cloned().chain(SERVERS.map(str::to_owned));
    let servers: Vec<_> = servers.collect();
    let of = |name: &str, lines: Vec<String>| (name.to_owned(), lines.join("\n"));
    [of(SEALED_PATHS, sealed), of(SOCKETS, sockets), of(TARGETS, servers)].into()
}
