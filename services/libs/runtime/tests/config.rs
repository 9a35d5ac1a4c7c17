//! The layers of the configuration, and what is said when one is wrong.

#![expect(clippy::unwrap_used, reason = "a failure in a helper is the failure of its test")]

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use conductor_runtime::config::{
    Error, EventLogStorage, GroupLimits, Loaded, LogFormat, Origin, Problem, Sources, load,
};
use tempfile::TempDir;

struct Machine {
    folder: TempDir,
    sources: Sources,
}

impl Machine {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("config")).unwrap();
        let home = folder.path().to_str().unwrap().to_owned();
        let sources = Sources { env: vec![("CONDUCTOR_HOME".to_owned(), home)], ..Sources::default() };
        Machine { folder, sources }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("config/conductor.yaml")
    }

    fn file(self, text: &str) -> Self {
        fs::write(self.path(), text).unwrap();
        self
    }

    fn env(mut self, name: &str, value: &str) -> Self {
        self.sources.env.push((name.to_owned(), value.to_owned()));
        self
    }

    fn flag(mut self, key: &str, value: &str, flag: &str) -> Self {
        self.sources = self.sources.flag(key, value, flag);
        self
    }

    fn load(&self) -> Loaded {
        match load(&self.sources) {
            Ok(loaded) => loaded,
            Err(error) => panic!("{error}"),
        }
    }

    fn problems(&self) -> Vec<Problem> {
        match load(&self.sources) {
            Err(Error::Refused(problems)) => problems,
            other => panic!("expected a refusal, got {other:?}"),
        }
    }

    /// The one problem, as it is said; it must name where it is written.
    fn problem(&self, written_in: &str) -> String {
        let problems = self.problems();
        assert_eq!(problems.len(), 1, "{problems:?}");
        let said = problems[0].to_string();
        assert!(said.contains(written_in), "{said}");
        said
    }

    fn problem_in_file(&self) -> String {
        self.problem(&self.path().display().to_string())
    }
}

#[test]
fn the_defaults_hold_without_a_file() {
    let loaded = Machine::new().load();
    let config = &loaded.config;
    assert_eq!(config.orchestrator.lease, Duration::from_secs(120));
    assert_eq!(config.tasks.default_timeout, Duration::from_secs(1_800));
    assert_eq!((config.tasks.default_priority, config.tasks.crash_limit), (5, 3));
    assert_eq!(config.tasks.ageing, Duration::from_secs(300));
    assert_eq!(config.tasks.default_runner, "auto");
    assert_eq!(config.retention.work, Some(Duration::from_secs(72 * 3_600)));
    assert_eq!(config.telemetry.log_format, LogFormat::Auto);
    assert!(config.agent.slots() >= 2);
    assert!(loaded.file.is_none() && loaded.warnings.is_empty());
}

#[test]
fn flags_go_over_the_environment_over_the_file_over_the_defaults() {
    let machine = Machine::new().file("agent: {slots: 3, max_waiting: 4, orphan_grace_seconds: 5}\n");
    let machine = machine.env("CONDUCTOR__AGENT__SLOTS", "6").env("CONDUCTOR__AGENT__MAX_WAITING", "7");
    let loaded = machine.flag("agent.slots", "8", "--slots").load();
    let agent = &loaded.config.agent;
    assert_eq!((agent.slots(), agent.max_waiting, agent.orphan_grace.as_secs()), (8, 7, 5));
    let origin = |key: &str| loaded.shown().into_iter().find(|shown| shown.key == key).unwrap().origin;
    assert_eq!(origin("agent.slots"), Origin::Flag("--slots".to_owned()));
    assert_eq!(origin("agent.max_waiting"), Origin::Env("CONDUCTOR__AGENT__MAX_WAITING".to_owned()));
    assert!(matches!(origin("agent.orphan_grace_seconds"), Origin::File(_)));
    assert_eq!(origin("agent.labels"), Origin::Default);
}

#[test]
fn limits_are_by_names_that_the_user_chooses() {
    let loaded = Machine::new()
        .file(
            "groups: {Team-A: {max_running: 2, max_queued: 0}, b: {max_running: null}}\n\
             runners: {mock: {max_running: 9}}\n\
             labels: {\"repo:web.v2\": {max_running: 1}}\n",
        )
        .env("CONDUCTOR__GROUPS__B__MAX_QUEUED", "5")
        .load();
    let config = &loaded.config;
    assert_eq!(config.groups["Team-A"], GroupLimits { max_running: Some(2), max_queued: Some(0) });
    assert_eq!(config.groups["b"], GroupLimits { max_running: None, max_queued: Some(5) });
    assert_eq!(config.runners["mock"].max_running, Some(9));
    assert_eq!(config.labels["repo:web.v2"].max_running, Some(1));
}

#[test]
fn lists_in_the_environment_are_separated_by_commas_and_replace() {
    let machine =
        Machine::new().file("agent: {labels: [gpu, fast]}").env("CONDUCTOR__AGENT__LABELS", "arm, big");
    assert_eq!(machine.load().config.agent.labels, ["arm", "big"]);
}

#[test]
fn null_takes_a_limit_away_and_an_empty_variable_does_nothing() {
    let machine = Machine::new().env("CONDUCTOR__TASKS__QUEUE_TIMEOUT_SECONDS", "null");
    let machine = machine.env("CONDUCTOR__TASKS__MAX_FILES", "").file("retention: {work_hours: null}");
    let config = machine.load().config;
    assert_eq!((config.tasks.queue_timeout, config.retention.work), (None, None));
    assert_eq!(config.tasks.max_files, 10_000);
}

#[test]
fn sections_and_files_without_values_are_empty() {
    for text in ["", "# nothing\n", "agent:\n  # slots: 3\n", "groups: {}\n", "groups: {a: }\n"] {
        Machine::new().file(text).load();
    }
}

#[test]
fn an_unknown_key_is_named_with_its_file_and_the_keys_there_are() {
    let said = Machine::new().file("agent: {slotz: 3}").problem_in_file();
    assert!(said.contains("unknown key agent.slotz") && said.contains("slots"), "{said}");
    let said = Machine::new().file("agents: {slots: 3}").problem_in_file();
    assert!(said.contains("unknown key agents;") && said.contains("agent,"), "{said}");
    let said = Machine::new().file("groups: {a: {max: 3}}").problem_in_file();
    assert!(said.contains("unknown key groups.a.max;") && said.contains("max_queued, max_running"), "{said}");
    let said = Machine::new().file("agent.slots: 3").problem_in_file();
    assert!(said.contains("unknown key agent.slots"), "{said}");
}

#[test]
fn an_unknown_key_in_the_environment_is_named_by_its_variable() {
    let said = Machine::new().env("CONDUCTOR__AGENT__SLOTZ", "3").problem("CONDUCTOR__AGENT__SLOTZ");
    assert!(said.contains("unknown key agent.slotz"), "{said}");
    Machine::new().env("CONDUCTOR_", "x").env("CONDUCTOR_URL", "http://x").load();
    Machine::new().env("CONDUCTOR__", "x").problem("CONDUCTOR__");
}

#[test]
fn a_bad_value_is_named_with_its_key_and_where_it_is_written() {
    for (text, key, why) in [
        ("agent: {slots: 0}", "agent.slots", "from 1 to 4096, found 0"),
        ("agent: {slots: many}", "agent.slots", "found \"many\""),
        ("agent: {slots: 1.5}", "agent.slots", "found 1.5"),
        ("agent: {slots: true}", "agent.slots", "found true"),
        ("agent: {slots: [1]}", "agent.slots", "found a list"),
        ("agent: {slots: {a: 1}}", "agent.slots", "found a section"),
        ("agent: {labels: [a b]}", "agent.labels", "may not hold the character ' '"),
        ("agent: 5", "agent", "expected a section with api_url, connect"),
        ("tasks: {max_files: null}", "tasks.max_files", "found null"),
        ("tasks: {default_priority: 11}", "tasks.default_priority", "from 0 to 10"),
        ("tasks: {default_timeout_seconds: 0}", "tasks.default_timeout_seconds", "found 0"),
        ("tasks: {on_output_limit: drop}", "tasks.on_output_limit", "one of cut, fail"),
        ("paths: {state: var/lib}", "paths.state", "absolute path"),
        ("telemetry: {log_level: verbose}", "telemetry.log_level", "found \"verbose\""),
        ("telemetry: {loki_url: loki}", "telemetry.loki_url", "http://"),
        ("groups: {a b: {max_running: 1}}", "groups.a b.max_running", "may not hold the character ' '"),
        ("paths: {config: /etc}", "paths.config", "only the environment or a flag"),
    ] {
        let said = Machine::new().file(text).problem_in_file();
        assert!(said.contains(&format!("bad value of {key}: ")) && said.contains(why), "{text}: {said}");
    }
    Machine::new()
        .env("CONDUCTOR__AGENT__SLOTS", "x")
        .problem("CONDUCTOR__AGENT__SLOTS: bad value of agent.slots");
    Machine::new().flag("agent.slots", "x", "--slots").problem("--slots: bad value of agent.slots");
}

#[test]
fn everything_that_is_wrong_is_said_at_once() {
    let machine = Machine::new().file("agent: {slots: 0, slotz: 1}\nnoise: 1\nstorage: {runs: s3}\n");
    assert_eq!(machine.env("CONDUCTOR__TASKS__CRASH_LIMIT", "-1").problems().len(), 5);
}

#[test]
fn what_is_not_built_is_unavailable_by_name() {
    for (text, name) in [
        ("storage: {history: postgres}", "storage.history: postgres"),
        ("storage: {runs: s3}", "storage.runs: s3"),
        ("postgres: {url: postgres://localhost}", "postgres.url"),
        ("orchestrator: {listen: 0.0.0.0:8083}", "orchestrator.listen"),
    ] {
        let machine = Machine::new().file(text);
        let said = machine.problem_in_file();
        assert!(said.contains(&format!("{name} is unavailable: ")), "{text}: {said}");
        assert!(matches!(machine.problems()[..], [Problem::Unavailable { .. }]));
    }
}

#[test]
fn prices_are_of_models_and_of_all_that_begin_alike() {
    let text = "runners: {own: {command: [x], prices: {\"*\": {output: 10}, \"big*\": {input: 1.5}}}}";
    let prices = &Machine::new().file(text).load().config.programs()["own"].prices;
    assert_eq!((prices["*"].output, prices["big*"].input), (10.0, 1.5));
    let said = Machine::new()
        .file("runners: {own: {command: [x], prices: {\"a*b\": {output: 1}}}}")
        .problem_in_file();
    assert!(said.contains("may not hold the character '*'"), "{said}");
}

#[test]
fn budgets_have_defaults_and_null_is_unlimited() {
    let budgets = Machine::new().load().config.budgets;
    assert_eq!((budgets.task_usd, budgets.day_usd), (Some(5.0), Some(50.0)));
    assert_eq!((budgets.task_tokens, budgets.day_tokens), (None, None));
    let text = "budgets: {task_usd: null, day_usd: 7, day_tokens: 1000, groups: {red: {day_usd: 0.5}}}";
    let budgets = Machine::new().file(text).load().config.budgets;
    assert_eq!((budgets.task_usd, budgets.day_usd, budgets.day_tokens), (None, Some(7.0), Some(1_000)));
    assert_eq!(budgets.groups["red"].day_usd, Some(0.5));
    let said = Machine::new().file("budgets: {day_usd: -1}").problem_in_file();
    assert!(said.contains("budgets.day_usd"), "{said}");
}

#[test]
fn an_event_log_in_redis_needs_its_address_which_is_a_secret() {
    let said = Machine::new().file("storage: {event_log: redis}").problem_in_file();
    assert!(said.contains("storage.event_log") && said.contains("redis.url is not set"), "{said}");
    let machine = Machine::new().file("storage: {event_log: redis}\nredis: {require_fsync: true}\n");
    let url = machine.folder.path().join("url");
    fs::write(&url, "rediss://conductor:hidden@redis.example:6380/1\n").unwrap();
    let loaded = machine.env("CONDUCTOR__REDIS__URL_FILE", url.to_str().unwrap()).load();
    assert_eq!(loaded.config.storage.event_log, EventLogStorage::Redis);
    assert!(loaded.config.redis.require_fsync);
    let read = loaded.config.redis.url.as_ref().unwrap().reveal();
    assert_eq!(read, "rediss://conductor:hidden@redis.example:6380/1");
    let shown = format!("{:?} {} {:?}", loaded.config, loaded.shown_yaml(), loaded.shown());
    assert!(!shown.contains("hidden") && shown.contains("[redacted]"), "{shown}");
    let said = Machine::new().file("redis: {require_fsync: perhaps}").problem_in_file();
    assert!(said.contains("true or false"), "{said}");
    let loaded = Machine::new().env("CONDUCTOR__REDIS__REQUIRE_FSYNC", "true").load();
    assert!(loaded.config.redis.require_fsync);
}

#[test]
fn a_default_runner_that_is_not_there_is_refused() {
    let said = Machine::new().file("tasks: {default_runner: nope}").problem_in_file();
    assert!(said.contains("tasks.default_runner") && said.contains("no runner \"nope\""), "{said}");
    let loaded = Machine::new().file("tasks: {default_runner: own}\nrunners: {own: {command: [own]}}").load();
    assert_eq!(loaded.config.tasks.default_runner, "own");
}

#[test]
fn a_variable_for_a_whole_section_is_told_what_the_section_has() {
    let said = Machine::new().env("CONDUCTOR__GROUPS", "{}").problem("CONDUCTOR__GROUPS");
    assert!(said.contains("groups: a section, which no variable holds; it has <name>"), "{said}");
    assert!(!said.contains("unknown"), "{said}");
}

#[test]
fn a_certificate_without_its_key_is_refused() {
    let said = Machine::new().file("tls: {cert_file: /cert.pem}").problem_in_file();
    assert!(said.contains("tls.cert_file") && said.contains("tls.key_file is not set"), "{said}");
    let said = Machine::new().file("tls: {key_file: /key.pem}").problem_in_file();
    assert!(said.contains("tls.key_file") && said.contains("tls.cert_file is not set"), "{said}");
    let both = Machine::new().file("tls: {cert_file: /cert.pem, key_file: /key.pem}").load();
    assert_eq!(both.config.tls.key_file.as_deref(), Some(std::path::Path::new("/key.pem")));
}

#[test]
fn proxies_are_networks() {
    let loaded = Machine::new().file("trusted_proxies: [10.0.0.0/8, \"::1\"]").load();
    let trusted = loaded.config.trusted_proxies;
    assert!(trusted[0].contains("10.1.2.3".parse().unwrap()) && trusted[1].contains("::1".parse().unwrap()));
    let loaded = Machine::new().env("CONDUCTOR__TRUSTED_PROXIES", "192.0.2.1,192.0.2.2").load();
    assert_eq!(loaded.config.trusted_proxies.len(), 2);
    let said = Machine::new().file("trusted_proxies: [10.0.0.0/33]").problem_in_file();
    assert!(said.contains("10.0.0.0/8"), "{said}");
}

#[test]
fn later_keys_may_say_what_is_so_already_and_are_still_checked() {
    Machine::new()
        .file(
            "storage: {event_log: sqlite}\nsandbox: {mode: off}\nnotify: []\n\
             api: {listen: \"127.0.0.1:8081\"}\nredis: {url: null}\nsecrets: {}\n",
        )
        .load();
    let said = Machine::new().file("api: {listen: 8081}").problem_in_file();
    assert!(said.contains("bad value of api.listen"), "{said}");
}

#[test]
fn a_higher_layer_can_take_back_what_is_unavailable() {
    Machine::new().file("storage: {runs: s3}").env("CONDUCTOR__STORAGE__RUNS", "directory").load();
}

#[test]
fn a_secret_may_come_from_a_file() {
    let machine = Machine::new();
    let secret = machine.folder.path().join("secret");
    fs::write(&secret, "s3cret\n").unwrap();
    let machine = machine.env("CONDUCTOR__AGENT__TOKEN_FILE", secret.to_str().unwrap());
    // Not built yet, so that it was read shows in what is refused: the token, not an unknown key.
    let said = machine.problem("CONDUCTOR__AGENT__TOKEN_FILE");
    assert!(said.contains("agent.token is unavailable") && !said.contains("s3cret"), "{said}");
    let said = machine.env("CONDUCTOR__AGENT__TOKEN", "other").problems();
    assert!(said.iter().any(|problem| problem.to_string().contains("set twice")), "{said:?}");
    let said =
        Machine::new().env("CONDUCTOR__AGENT__TOKEN_FILE", "/absent").problem("CONDUCTOR__AGENT__TOKEN_FILE");
    assert!(said.contains("/absent"), "{said}");
    Machine::new().env("CONDUCTOR__AGENT__NAME_FILE", "/absent").problem("unknown key agent.name_file");
}

#[test]
fn doing_without_tokens_is_for_a_loopback_alone() {
    Machine::new().file("auth: {mode: none}").load();
    let machine = Machine::new().file("auth: {mode: none}\napi: {listen: 0.0.0.0:8081}");
    let said = machine.problems().iter().map(ToString::to_string).collect::<String>();
    assert!(said.contains("auth.mode") && said.contains("0.0.0.0:8081"), "{said}");
}

#[test]
fn a_lease_must_outlast_two_heartbeats() {
    let said = Machine::new().file("orchestrator: {lease_seconds: 59}").problem_in_file();
    assert!(said.contains("orchestrator.lease_seconds") && said.contains("59 s"), "{said}");
    let said = Machine::new().file("orchestrator: {heartbeat_seconds: 61}").problem_in_file();
    assert!(said.contains("bad value of orchestrator.heartbeat_seconds"), "{said}");
    Machine::new().file("orchestrator: {lease_seconds: 2, heartbeat_seconds: 1}").load();
}

#[test]
fn paths_move_folders_sockets_and_the_file_itself() {
    let machine = Machine::new();
    let elsewhere = machine.folder.path().join("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    fs::write(elsewhere.join("conductor.yaml"), "paths: {state: /var/lib/x}\nagent: {slots: 5}\n").unwrap();
    let machine = machine
        .env("CONDUCTOR__PATHS__CONFIG", elsewhere.to_str().unwrap())
        .env("CONDUCTOR__PATHS__RUN", "/run/x")
        .env("CONDUCTOR__ORCHESTRATOR__CONTROL_SOCKET", "/srv/c.sock");
    let loaded = machine.load();
    assert_eq!(loaded.file, Some(elsewhere.join("conductor.yaml")));
    assert_eq!(loaded.config.agent.slots(), 5);
    let home = &loaded.home;
    assert_eq!((home.state.to_str(), home.token_file()), (Some("/var/lib/x"), elsewhere.join("token")));
    assert_eq!(home.agent_socket().to_str(), Some("/run/x/agent.sock"));
    assert_eq!(home.agent_key().to_str(), Some("/run/x/agent.key"));
    assert_eq!(home.control_socket().to_str(), Some("/srv/c.sock"));
    assert_eq!(home.control_key().to_str(), Some("/srv/c.key"));
    assert_eq!(home.workspace, machine.folder.path().join("workspace"));
}

#[test]
fn the_config_folder_of_a_flag_goes_over_that_of_the_environment() {
    let machine = Machine::new().env("CONDUCTOR__PATHS__CONFIG", "/from/env");
    let loaded = machine.flag("paths.config", "/from/flag", "--config-dir").load();
    assert_eq!(loaded.home.config_file(), PathBuf::from("/from/flag/conductor.yaml"));
}

#[test]
fn a_file_that_is_not_yaml_is_named_with_the_line() {
    for text in [
        "agent: {slots: 3",
        "a: 1\na: 2\n",
        "- a\n- b\n",
        "agent:\n\tslots: 3\n",
        "a: 1\n---\nb: 2\n",
        "just text",
    ] {
        let machine = Machine::new().file(text);
        let error = load(&machine.sources).unwrap_err();
        assert!(matches!(error, Error::Syntax { .. }), "{text:?}: {error:?}");
        assert!(error.to_string().contains("conductor.yaml"), "{error}");
    }
    let error = load(&Machine::new().file("agent: {slots: 3").sources).unwrap_err().to_string();
    assert!(error.contains("line"), "{error}");
}

#[test]
fn a_file_that_was_asked_for_must_be_there() {
    let mut machine = Machine::new();
    machine.sources.file = Some(machine.folder.path().join("absent.yaml"));
    let error = load(&machine.sources).unwrap_err();
    assert!(matches!(&error, Error::Read { .. }) && error.to_string().contains("absent.yaml"), "{error:?}");
    fs::write(machine.path(), [0xff, 0xfe]).unwrap();
    machine.sources.file = None;
    assert!(matches!(load(&machine.sources), Err(Error::Read { .. })));
}

#[test]
fn shown_passwords_are_redacted_and_the_rest_can_be_a_file_again() {
    let machine = Machine::new().env("CONDUCTOR__TELEMETRY__LOKI_URL", "http://me:hunter2@loki:3100/");
    let loaded = machine.file("groups: {a: {max_running: 2}}\nlabels: {\"k:v\": {max_running: 1}}").load();
    let (json, yaml) = (loaded.shown_json(), loaded.shown_yaml());
    assert_eq!(json["groups"]["a"]["max_running"], 2);
    assert_eq!(json["telemetry"]["loki_url"], "http://me:redacted@loki:3100/");
    assert!(!yaml.contains("hunter2"));
    assert_eq!(loaded.config.telemetry.loki_url.as_ref().unwrap().password(), Some("hunter2"));
    let again = Machine::new().file(&yaml).load();
    assert_eq!(again.shown_json(), json);
}
