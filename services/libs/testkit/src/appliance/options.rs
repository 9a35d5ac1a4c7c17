//! What a test changes in the compose files.

use std::fmt::Write as _;

/// What differs from the compose files, beside names and ports.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Whether docker-compose.redis.yml comes with it.
    pub redis: bool,
    /// Further compose files of the repository.
    pub(super) files: Vec<String>,
    /// What the compose files read.
    pub(super) variables: Vec<(String, String)>,
    environment: Vec<(String, String)>,
    conductor: Vec<String>,
    volumes: Vec<(String, String)>,
}

impl Options {
    /// With the event log in Redis.
    #[must_use]
    pub fn with_redis() -> Self {
        Self { redis: true, ..Self::default() }
    }

    /// Sets a variable of the service `conductor`.
    #[must_use]
    pub fn variable(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Adds a line of YAML to the service `conductor`.
    #[must_use]
    pub fn line(mut self, line: &str) -> Self {
        self.conductor.push(line.to_owned());
        self
    }

    /// Makes a volume out of memory, so small.
    #[must_use]
    pub fn small_volume(mut self, volume: &str, mib: u32) -> Self {
        let driver =
            format!("{{type: tmpfs, device: tmpfs, o: \"size={mib}m,mode=0700,uid=10001,gid=10001\"}}");
        self.volumes.push((volume.to_owned(), driver));
        self
    }

    /// Takes compose files of the repository in besides; variables in them are set by [`Options::compose_variable`].
    #[must_use]
    pub fn with_file(mut self, file: &str) -> Self {
        self.files.push(file.to_owned());
        self
    }

    /// Sets a variable that the compose files read.
    #[must_use]
    pub fn compose_variable(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The compose file that comes after the repository's own.
    pub(super) fn compose_file(&self, project: &str) -> String {
        // The repository's .env may hold keys of whoever works there.
        let mut text =
            format!("services:\n  conductor:\n    container_name: {project}\n    env_file: !reset []\n");
        for line in &self.conductor {
            let _infallible = writeln!(text, "    {line}");
        }
        if !self.environment.is_empty() {
            text += "    environment:\n";
        }
        for (name, value) in &self.environment {
            let _infallible = writeln!(text, "      {name}: \"{value}\"");
        }
        let mut networks = vec!["conductor-standalone"];
        let mut volumes = vec!["workspace", "logs", "config", "state"];
        if self.redis {
            networks.push("conductor-redis");
            volumes.extend(["redis", "redis_secret"]);
        }
        text += "networks:\n";
        for network in networks {
            let _infallible = writeln!(text, "  {network}: {{name: {project}-{network}}}");
        }
        text += "volumes:\n";
        for volume in volumes {
            let _infallible = writeln!(text, "  conductor_{volume}:\n    name: {project}_{volume}");
            if let Some((_, driver)) = self.volumes.iter().find(|(named, _)| named == volume) {
                let _infallible = writeln!(text, "    driver: local\n    driver_opts: {driver}");
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_that_an_installation_has_gets_another_name() {
        let options = Options::default().variable("A", "b").line("user: \"7:7\"").small_volume("state", 64);
        let text = options.compose_file("p");
        for expected in [
            "container_name: p\n",
            "      A: \"b\"\n",
            "    user: \"7:7\"\n",
            "  conductor-standalone: {name: p-conductor-standalone}\n",
            "  conductor_workspace:\n    name: p_workspace\n  conductor_logs:",
            "  conductor_state:\n    name: p_state\n    driver: local\n    driver_opts: {type: tmpfs",
        ] {
            assert!(text.contains(expected), "{expected:?} in {text}");
        }
        assert!(!text.contains("redis"), "{text}");
        assert!(Options::with_redis().compose_file("p").contains("name: p_redis_secret\n"));
    }
}
