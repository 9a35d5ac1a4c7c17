//! Every key by name: what its value may be, whether it is a secret, and whether this build has what it asks for.

use super::kind::Kind;

/// One key. `*` in its path stands for a name that the user chooses.
#[derive(Debug)]
pub(super) struct Key {
    pub(super) path: &'static str,
    pub(super) kind: Kind,
    /// Whether null may be written.
    pub(super) optional: bool,
    /// Whether the value is never shown, and may be given by a file that `..._FILE` names.
    pub(super) secret: bool,
    pub(super) later: Option<Later>,
}

/// What a key asks for that this build does not have.
#[derive(Clone, Copy, Debug)]
pub(super) struct Later {
    /// Fits "... comes with a later release".
    pub(super) what: &'static str,
}

/// A key of an earlier release that has gone.
#[derive(Debug)]
pub(super) struct Removed {
    pub(super) path: &'static str,
    /// Fits "... was removed: ...".
    pub(super) advice: &'static str,
}

impl Key {
    /// Tells whether a path is this key.
    pub(super) fn is(&self, path: &[String]) -> bool {
        let mut wanted = self.path.split('.');
        path.iter().all(|segment| wanted.next().is_some_and(|name| name == "*" || name == segment))
            && wanted.next().is_none()
    }

    /// Tells whether a path leads to this key.
    pub(super) fn is_below(&self, path: &[String]) -> bool {
        let mut wanted = self.path.split('.');
        path.iter().all(|segment| wanted.next().is_some_and(|name| name == "*" || name == segment))
            && wanted.next().is_some()
    }

    /// Tells whether the value is one of some words.
    pub(super) fn is_choice(&self) -> bool {
        matches!(self.kind, Kind::Choice(_))
    }

    const fn optional(mut self) -> Self {
        self.optional = true;
        self
    }

    const fn secret(mut self) -> Self {
        self.secret = true;
        self.optional = true;
        self
    }

    const fn later(mut self, what: &'static str) -> Self {
        self.later = Some(Later { what });
        self
    }
}

const fn key(path: &'static str, kind: Kind) -> Key {
    Key { path, kind, optional: false, secret: false, later: None }
}

const fn seconds(path: &'static str, min: u64) -> Key {
    key(path, Kind::Whole { min, max: MAX_SECONDS })
}

const fn whole(path: &'static str, min: u64) -> Key {
    key(path, Kind::Whole { min, max: MAX_WHOLE })
}

/// Thirty days, the longest that any duration may ask for.
const MAX_SECONDS: u64 = conductor_protocol::limits::MAX_DURATION_SECONDS;
/// No message on any connection is longer.
const MAX_BODY: u64 = conductor_protocol::limits::MAX_MESSAGE_BYTES as u64;
/// What every format of configuration can carry.
const MAX_WHOLE: u64 = i64::MAX as u64;

/// As in a submit.
const MAX_ATTEMPTS: u64 = conductor_protocol::limits::MAX_ATTEMPTS as u64;
/// As in a submit.
const MAX_TURNS: u64 = conductor_protocol::limits::MAX_TURNS as u64;

const DISTRIBUTED: &str = "distributed storage";
const REMOTE: &str = "the connection between hosts";

/// What a program may do without a person.
const PERMISSIONS: &[&str] = &["skip", "edit", "ask", "plan"];

/// How a runner's output can be read.
const OUTPUTS: &[&str] = &["claude-stream-json", "codex-jsonl", "gemini-stream-json", "acp", "plain"];

/// The keys that have gone; each warns for one minor release and is then unknown.
pub(super) const REMOVED: &[Removed] = &[];

pub(super) const KEYS: &[Key] = &[
    key("paths.config", Kind::Path).optional(),
    key("paths.workspace", Kind::Path).optional(),
    key("paths.logs", Kind::Path).optional(),
    key("paths.state", Kind::Path).optional(),
    key("paths.run", Kind::Path).optional(),
    key("orchestrator.listen", Kind::HostPort).optional().later(REMOTE),
    key("orchestrator.agent_socket", Kind::Path).optional(),
    key("orchestrator.control_socket", Kind::Path).optional(),
    seconds("orchestrator.lease_seconds", 1),
    seconds("orchestrator.heartbeat_seconds", 1),
    seconds("orchestrator.drain_seconds", 0),
    key("agent.name", Kind::Name).optional(),
    key("agent.slots", Kind::Whole { min: 1, max: 4_096 }).optional(),
    key("agent.labels", Kind::Names),
    key("agent.connect", Kind::Url).optional().later(REMOTE),
    key("agent.token", Kind::Text).secret().later(REMOTE),
    whole("agent.max_waiting", 0),
    seconds("agent.orphan_grace_seconds", 0),
    seconds("agent.stop_grace_seconds", 0),
    key("agent.copy_roots", Kind::Paths),
    key("agent.secrets_dir", Kind::Path).optional(),
    key("agent.api_url", Kind::Url).optional(),
    key("sandbox.mode", Kind::Choice(&["required", "best_effort", "off"])).optional(),
    key("sandbox.egress", Kind::Choice(&["model", "allowlist", "open"])),
    key("sandbox.egress_hosts", Kind::Texts),
    key("sandbox.cgroups", Kind::Paths),
    key("sandbox.read_paths", Kind::Paths),
    key("sandbox.write_paths", Kind::Paths),
    key("sandbox.local_ipc", Kind::Flag),
    key("tasks.default_runner", Kind::Name),
    seconds("tasks.default_timeout_seconds", 1),
    key("tasks.default_priority", Kind::Whole { min: 0, max: 10 }),
    seconds("tasks.default_backoff_seconds", 0),
    whole("tasks.max_queued", 1),
    whole("tasks.max_queued_bytes", 1),
    whole("tasks.max_output_bytes", 1),
    key("tasks.on_output_limit", Kind::Choice(&["cut", "fail"])),
    whole("tasks.max_workspace_bytes", 1),
    whole("tasks.max_memory_bytes", 1).optional(),
    whole("tasks.max_processes", 1),
    key("tasks.max_files", Kind::Whole { min: 1, max: 1_000_000 }),
    seconds("tasks.queue_timeout_seconds", 1).optional(),
    seconds("tasks.waiting_timeout_seconds", 1).optional(),
    key("tasks.idempotency_hours", Kind::Whole { min: 0, max: 24 * 365 }),
    key("tasks.crash_limit", Kind::Whole { min: 1, max: 100 }),
    seconds("tasks.ageing_seconds", 1),
    whole("groups.*.max_running", 1).optional(),
    whole("groups.*.max_queued", 0).optional(),
    whole("runners.*.max_running", 1).optional(),
    key("runners.*.preset", Kind::Name).optional(),
    key("runners.*.command", Kind::Texts).optional(),
    key("runners.*.arguments.model", Kind::Texts),
    key("runners.*.arguments.max_turns", Kind::Texts),
    key("runners.*.arguments.budget", Kind::Texts),
    key("runners.*.arguments.resume", Kind::Texts),
    key("runners.*.arguments.gateway", Kind::Texts),
    key("runners.*.gateway.enabled", Kind::Flag).optional(),
    key("runners.*.gateway.wire", Kind::Choice(&["anthropic", "openai", "gemini"])).optional(),
    key("runners.*.gateway.upstream", Kind::Url).optional(),
    key("runners.*.gateway.variable", Kind::Name).optional(),
    key("runners.*.gateway.credentials", Kind::Names).optional(),
    whole("runners.*.gateway.max_tokens", 1).optional(),
    key("runners.*.arguments.mcp", Kind::Texts),
    key("runners.*.arguments.conversation", Kind::Texts),
    key("runners.*.permissions.skip", Kind::Texts),
    key("runners.*.permissions.edit", Kind::Texts),
    key("runners.*.permissions.ask", Kind::Texts),
    key("runners.*.permissions.plan", Kind::Texts),
    key("runners.*.permission", Kind::Choice(PERMISSIONS)).optional(),
    key("runners.*.output", Kind::Choice(OUTPUTS)).optional(),
    key("runners.*.env.*", Kind::Text),
    key("runners.*.inherit_env", Kind::Names).optional(),
    key("runners.*.credentials", Kind::Names).optional(),
    key("runners.*.credential_as", Kind::Name).optional(),
    key("runners.*.model", Kind::Text).optional(),
    key("runners.*.prices.*.input", Kind::Amount),
    key("runners.*.prices.*.cached_input", Kind::Amount),
    key("runners.*.prices.*.output", Kind::Amount),
    key("runners.*.files.*", Kind::Text),
    key("runners.*.mcp_settings", Kind::Text).optional(),
    key("runners.*.session_paths", Kind::Texts).optional(),
    key("runners.*.version_arguments", Kind::Texts).optional(),
    key("runners.*.egress_hosts", Kind::Texts).optional(),
    seconds("runners.*.stall_seconds", 1).optional(),
    seconds("runners.*.result_grace_seconds", 0).optional(),
    whole("labels.*.max_running", 1).optional(),
    key("task_types.*.description", Kind::Text).optional(),
    key("task_types.*.prompt", Kind::Lines).optional(),
    key("task_types.*.runner", Kind::Name).optional(),
    key("task_types.*.permission", Kind::Choice(PERMISSIONS)).optional(),
    key("task_types.*.read_only", Kind::Flag),
    key("task_types.*.timeout_seconds", Kind::Whole { min: 1, max: MAX_SECONDS }).optional(),
    key("task_types.*.priority", Kind::Whole { min: 0, max: 10 }).optional(),
    key("task_types.*.max_attempts", Kind::Whole { min: 1, max: MAX_ATTEMPTS }).optional(),
    key("task_types.*.max_turns", Kind::Whole { min: 1, max: MAX_TURNS }).optional(),
    key("task_types.*.budget_usd", Kind::Amount).optional(),
    whole("task_types.*.budget_tokens", 1).optional(),
    key("task_types.*.model", Kind::Text).optional(),
    key("task_types.*.verify", Kind::Texts).optional(),
    key("budgets.task_usd", Kind::Amount).optional(),
    whole("budgets.task_tokens", 1).optional(),
    key("budgets.day_usd", Kind::Amount).optional(),
    whole("budgets.day_tokens", 1).optional(),
    key("budgets.time_zone", Kind::TimeZone),
    key("budgets.groups.*.day_usd", Kind::Amount).optional(),
    whole("budgets.groups.*.day_tokens", 1).optional(),
    key("api.listen", Kind::HostPort),
    key("api.max_body_bytes", Kind::Whole { min: 1, max: MAX_BODY }),
    whole("api.max_upload_bytes", 1),
    key("api.max_connections", Kind::Whole { min: 1, max: 1_000_000 }),
    key("dashboard.listen", Kind::HostPort),
    key("public_url", Kind::Url).optional(),
    key("allowed_hosts", Kind::Texts),
    key("trusted_proxies", Kind::Networks),
    key("tls.cert_file", Kind::Path).optional(),
    key("tls.key_file", Kind::Path).optional(),
    key("files.public_url", Kind::Url).optional(),
    key("files.hosts", Kind::Texts),
    whole("files.max_archive_bytes", 1),
    key("git.credentials", Kind::GitCredentials),
    key("git.ca_file", Kind::Path).optional(),
    key("git.allow_private", Kind::Reachables),
    key("git.file_roots", Kind::Paths),
    seconds("git.timeout_seconds", 1),
    whole("git.max_repository_bytes", 1),
    whole("git.max_mirrors_bytes", 1),
    key("git.author_name", Kind::Text),
    key("git.author_email", Kind::Text),
    key("secrets.*.file", Kind::Path),
    key("secrets.*.groups", Kind::Texts),
    key("secrets.*.runners", Kind::Texts),
    key("storage.event_log", Kind::Choice(&["sqlite", "redis"])),
    key("storage.expect_state", Kind::Flag),
    key("storage.history", Kind::Choice(&["sqlite", "postgres"])).later(DISTRIBUTED),
    key("storage.runs", Kind::Choice(&["directory", "s3"])).later(DISTRIBUTED),
    key("redis.url", Kind::Text).secret(),
    key("redis.require_fsync", Kind::Flag),
    key("postgres.url", Kind::Text).secret().later(DISTRIBUTED),
    key("s3.endpoint", Kind::Url).optional().later(DISTRIBUTED),
    key("s3.bucket", Kind::Text).optional().later(DISTRIBUTED),
    key("s3.region", Kind::Text).optional().later(DISTRIBUTED),
    key("s3.access_key_id", Kind::Text).secret().later(DISTRIBUTED),
    key("s3.secret_access_key", Kind::Text).secret().later(DISTRIBUTED),
    key("auth.mode", Kind::Choice(&["token", "none"])),
    key("auth.tokens_file", Kind::Path).optional(),
    whole("auth.failures_per_minute", 1),
    key("retention.work_hours", Kind::Whole { min: 0, max: 24 * 3_650 }).optional(),
    key("retention.runs_days", Kind::Whole { min: 0, max: 3_650 }).optional(),
    key("retention.max_volume_percent", Kind::Whole { min: 1, max: 100 }),
    whole("retention.free_floor_bytes", 0),
    key("notify", Kind::Notify),
    key("smtp.url", Kind::Text).secret(),
    key("smtp.from", Kind::Mailbox).optional(),
    key("webhooks.signing_key", Kind::Text).secret(),
    key("webhooks.allow_private", Kind::Reachables),
    key("telemetry.log_level", Kind::LogFilter),
    key("telemetry.log_format", Kind::Choice(&["auto", "human", "json"])),
    key("telemetry.log_files", Kind::Whole { min: 1, max: 1_000 }),
    key("telemetry.loki_url", Kind::Url).optional(),
    key("telemetry.otlp_endpoint", Kind::Url).optional().later("the export of traces"),
];

/// Finds the key with this path.
pub(super) fn find(path: &[String]) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.is(path))
}

/// Gives the names that may come next after `path`, sorted; none when the path leads nowhere.
pub(super) fn names_below(path: &[String]) -> Vec<&'static str> {
    let mut names: Vec<_> = KEYS
        .iter()
        .filter(|key| key.is_below(path))
        .filter_map(|key| key.path.split('.').nth(path.len()))
        .map(|name| if name == "*" { "<name>" } else { name })
        .collect();
    names.sort_unstable();
    names.dedup();
    names
}
