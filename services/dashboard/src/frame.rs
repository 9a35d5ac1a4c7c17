//! What surrounds every view: who looks, in which language, where they are and what waits for them.

use conductor_protocol::control::Role;

use crate::assets;
use crate::ui::{self, Html};
use crate::words::{Lang, Words};

/// A view that the navigation leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Section {
    Overview,
    Tasks,
    Queue,
    Agents,
    Schedules,
    Audit,
    Settings,
}

/// Who looks.
#[derive(Debug, Clone)]
pub struct Who {
    /// The token's name.
    pub name: String,
    /// What it may do.
    pub role: Role,
}

/// An entry of the navigation.
#[derive(Debug)]
pub struct Item {
    pub path: &'static str,
    pub icon: &'static str,
    pub label: &'static str,
    pub is_current: bool,
}

/// What surrounds a view.
#[derive(Debug, Clone)]
pub struct Frame {
    pub lang: Lang,
    /// What every path begins with: the path of `public_url`.
    pub base: String,
    /// The path and query of the view.
    pub here: String,
    pub title: String,
    pub section: Option<Section>,
    pub user: Option<Who>,
    /// The token of the session's forms.
    pub csrf: String,
    /// How many tasks wait for a person.
    pub waiting: usize,
    pub flash: Option<String>,
    pub no_auth: bool,
    pub may_operate: bool,
    pub may_admin: bool,
    /// The last event that the view tells of, and the log that it is of.
    pub seq: u64,
    pub log: String,
    /// Where the file server is, when there is one; without a slash at its end.
    pub files: Option<String>,
}

impl Frame {
    /// The messages.
    #[must_use]
    pub fn words(&self) -> &'static Words {
        self.lang.words()
    }

    /// The address of a path of this server.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    /// The address of a file of the page.
    #[must_use]
    pub fn asset(&self, name: &str) -> String {
        format!("{}{}", self.base, assets::path(name))
    }

    /// A small drawing.
    #[must_use]
    pub fn icon(&self, name: &str) -> Html {
        ui::icon(name)
    }

    /// Whether the view follows what happens.
    #[must_use]
    pub fn is_live(&self) -> bool {
        self.user.is_some()
    }

    /// The navigation. What only an admin may see is only there for one.
    #[must_use]
    pub fn navigation(&self) -> Vec<Item> {
        let w = self.words();
        let all = [
            (Section::Overview, "/", "overview", w.overview),
            (Section::Tasks, "/tasks", "tasks", w.tasks),
            (Section::Queue, "/queue", "queue", w.queue),
            (Section::Agents, "/agents", "agents", w.agents),
            (Section::Schedules, "/schedules", "schedules", w.schedules),
            (Section::Audit, "/audit", "audit", w.audit),
            (Section::Settings, "/settings", "settings", w.settings),
        ];
        let item = |(section, path, icon, label)| Item {
            path,
            icon,
            label,
            is_current: self.section == Some(section),
        };
        all.into_iter().map(item).collect()
    }

    /// The keys of the page, and what they do.
    #[must_use]
    pub fn shortcuts(&self) -> Vec<(Vec<&'static str>, String)> {
        let w = self.words();
        let go = |what: &str| format!("{} {what}", w.key_go);
        vec![
            (vec!["g", "o"], go(w.overview)),
            (vec!["g", "t"], go(w.tasks)),
            (vec!["g", "q"], go(w.queue)),
            (vec!["g", "a"], go(w.agents)),
            (vec!["g", "s"], go(w.schedules)),
            (vec!["n"], w.new_task.to_owned()),
            (vec!["/"], w.key_search.to_owned()),
            (vec!["j", "k"], w.key_rows.to_owned()),
            (vec!["Enter"], w.key_open.to_owned()),
            (vec!["x"], w.key_pick.to_owned()),
            (vec!["f"], w.key_follow.to_owned()),
            (vec!["?"], w.key_help.to_owned()),
        ]
    }

    /// The messages that the page's script says, as JSON.
    #[must_use]
    pub fn script_words(&self) -> String {
        let w = self.words();
        serde_json::json!({
            "live": w.live, "reconnecting": w.reconnecting, "connecting": w.connecting, "stale": w.stale_since,
            "notifying": w.notifying, "copied": w.copied, "remove": w.remove, "name": w.name,
            "asks": w.asks_you, "failed": w.failed, "waiting": w.waits_for_you, "now": w.now,
            "unread": w.file_not_read, "nowhere": w.nothing_found, "default": w.default_word,
        })
        .to_string()
    }
}
