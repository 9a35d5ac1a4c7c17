//! Tasks and the rest, in words.

mod completions;
mod facts;
mod task;

use conductor_runtime::config::{self, Sources};

use crate::args::ConfigCommand;
use crate::exit::{Exit, Failure, chain};
use crate::screen::Screen;

pub use completions::completions;
pub use facts::{agents, counts, events_line, runners};
pub use task::{attempt_end, detail, outcome, rows, standing};

#[cfg(test)]
pub use task::tests;

/// `config check` and `config show`
pub fn config(screen: &mut Screen, command: ConfigCommand) -> Result<Exit, Failure> {
    let loaded = config::load(&Sources::from_env()).map_err(|error| Failure::Failed(chain(&error)))?;
    for warning in &loaded.warnings {
        screen.note(format!("warning: {warning}"));
    }
    let file = loaded.file.as_ref().map(|path| path.display().to_string());
    match (command, screen.is_json()) {
        (ConfigCommand::Check, true) => {
            screen.json(&serde_json::json!({"ok": true, "file": file, "warnings": loaded.warnings}))?;
        }
        (ConfigCommand::Check, false) => screen.line(match file {
            Some(file) => format!("the configuration holds ({file})"),
            None => format!(
                "the configuration holds (defaults; there is no {})",
                loaded.home.config_file().display()
            ),
        })?,
        (ConfigCommand::Show, true) => screen.json(&loaded.shown_json())?,
        (ConfigCommand::Show, false) => {
            for shown in loaded.shown() {
                let line = format!("{}: {}", shown.key, shown.value);
                let origin = match shown.origin {
                    config::Origin::Default => String::new(),
                    origin @ (config::Origin::File(_) | config::Origin::Env(_) | config::Origin::Flag(_)) => {
                        format!("  # {origin}")
                    }
                };
                screen.line(line + &origin)?;
            }
        }
    }
    Ok(Exit::Succeeded)
}
