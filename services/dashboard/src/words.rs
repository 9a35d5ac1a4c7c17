//! What the page says, in the viewer's language.

use conductor_protocol::control::{CatchUp, Overlap, Role, TokenKind};
use conductor_protocol::submit::Permission;
use conductor_protocol::task::State;

mod reasons;
mod table;
mod told;

pub use table::Words;

/// A language of the page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lang {
    /// English.
    En,
    /// Japanese.
    Ja,
}

impl Lang {
    /// The code of the language.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::En => "en",
            Self::Ja => "ja",
        }
    }

    /// What the language calls itself.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::En => "English",
            Self::Ja => "日本語",
        }
    }

    /// The language that the switch leads to.
    #[must_use]
    pub fn other(self) -> Self {
        match self {
            Self::En => Self::Ja,
            Self::Ja => Self::En,
        }
    }

    /// Reads the code of a language.
    #[must_use]
    pub fn parse(code: &str) -> Option<Self> {
        [Self::En, Self::Ja].into_iter().find(|lang| lang.code() == code)
    }

    /// The language that a browser likes best, of those there are.
    #[must_use]
    pub fn accepted(header: &str) -> Self {
        let mut best = (0.0, Self::En);
        for item in header.split(',') {
            let mut parts = item.split(';').map(str::trim);
            let tag = parts.next().unwrap_or_default().to_ascii_lowercase();
            let lang = match tag.split('-').next() {
                Some("ja") => Self::Ja,
                Some("en") => Self::En,
                Some(_) | None => continue,
            };
            let weight = parts.find_map(|part| part.strip_prefix("q=")).and_then(|q| q.parse::<f32>().ok());
            let weight = weight.unwrap_or(1.0);
            if weight > best.0 {
                best = (weight, lang);
            }
        }
        best.1
    }

    /// The messages.
    #[must_use]
    pub fn words(self) -> &'static Words {
        match self {
            Self::En => &table::EN,
            Self::Ja => &table::JA,
        }
    }
}

impl Words {
    fn of(&self, english: &'static str, japanese: &'static str) -> &'static str {
        match self.lang {
            Lang::En => english,
            Lang::Ja => japanese,
        }
    }

    /// What a state is called.
    #[must_use]
    pub fn state(&self, state: impl std::borrow::Borrow<State>) -> &'static str {
        match state.borrow() {
            State::Blocked => self.of("Blocked", "依存待ち"),
            State::Scheduled => self.of("Scheduled", "予定"),
            State::Queued => self.of("Queued", "待機"),
            State::Running => self.of("Running", "実行中"),
            State::Waiting => self.of("Waiting", "回答待ち"),
            State::Succeeded => self.of("Succeeded", "成功"),
            State::Failed => self.of("Failed", "失敗"),
            State::Cancelled => self.of("Cancelled", "キャンセル"),
        }
    }

    /// What a role is called.
    #[must_use]
    pub fn role(&self, role: impl std::borrow::Borrow<Role>) -> &'static str {
        match role.borrow() {
            Role::Agent => self.of("agent", "エージェント"),
            Role::Viewer => self.of("viewer", "閲覧者"),
            Role::Operator => self.of("operator", "運用者"),
            Role::Admin => self.of("admin", "管理者"),
        }
    }

    /// Where a token comes from.
    #[must_use]
    pub fn token_kind(&self, kind: TokenKind) -> &'static str {
        match kind {
            TokenKind::Home => self.of("the home folder", "ホームフォルダー"),
            TokenKind::File => self.of("tokens_file", "tokens_file"),
            TokenKind::Runtime => self.of("made here", "ここで作成"),
            TokenKind::Session => self.of("a session", "セッション"),
            TokenKind::Attempt => self.of("a running task", "実行中のタスク"),
        }
    }

    /// What happens when the last task of a schedule still runs.
    #[must_use]
    pub fn overlap(&self, overlap: Overlap) -> &'static str {
        match overlap {
            Overlap::Skip => self.overlap_skip,
            Overlap::Queue => self.overlap_queue,
            Overlap::Cancel => self.overlap_cancel,
        }
    }

    /// What happens to missed occurrences of a schedule.
    #[must_use]
    pub fn catch_up(&self, catch_up: CatchUp) -> &'static str {
        match catch_up {
            CatchUp::None => self.catch_up_none,
            CatchUp::One => self.catch_up_one,
        }
    }

    /// What the state of an agent is called.
    #[must_use]
    pub fn agent_state<'a>(&'a self, state: &'a str) -> &'a str {
        match state {
            "connected" => self.connected,
            "draining" => self.draining,
            "gone" => self.gone,
            "revoked" => self.revoked,
            other => other,
        }
    }

    /// What a sandbox holds, in a word or two.
    #[must_use]
    pub fn held(&self, name: &str) -> String {
        match name {
            "files" => self.of("files", "ファイル").to_owned(),
            "signals" => self.of("signals", "シグナル").to_owned(),
            "truncate" => self.of("truncate", "切り詰め").to_owned(),
            "device_ioctl" => self.of("devices", "デバイス操作").to_owned(),
            "abstract_sockets" => self.of("abstract sockets", "抽象ソケット").to_owned(),
            "local_sockets" => self.of("local sockets", "ローカルソケット").to_owned(),
            "tcp" => "TCP".to_owned(),
            other => other.replace('_', " "),
        }
    }

    /// What a coding agent may do without a person.
    #[must_use]
    pub fn permission(&self, permission: Permission) -> &'static str {
        match permission {
            Permission::Skip => self.permission_skip,
            Permission::Edit => self.permission_edit,
            Permission::Ask => self.permission_ask,
            Permission::Plan => self.permission_plan,
        }
    }

    /// How much of a budget is spent.
    #[must_use]
    pub fn spent_of(&self, spent: &str, limit: &str) -> String {
        match self.lang {
            Lang::En => format!("{spent} of {limit}"),
            Lang::Ja => format!("{spent} / {limit}"),
        }
    }

    /// What of a budget is set aside, and what is left.
    #[must_use]
    pub fn held_and_left(&self, held: &str, left: &str) -> String {
        match self.lang {
            Lang::En => format!("{held} set aside · {left} left"),
            Lang::Ja => format!("確保 {held} · 残り {left}"),
        }
    }

    /// What is counted as spent though nobody told that it was.
    #[must_use]
    pub fn spent_untold(&self, amount: &str) -> String {
        match self.lang {
            Lang::En => format!("{amount} of it is counted for runs that did not tell what they cost."),
            Lang::Ja => format!("うち {amount} は、費用を報告しなかった実行の分です。"),
        }
    }

    /// How far the audit is as it was written.
    #[must_use]
    pub fn audit_verified(&self, records: u64, until: u64) -> String {
        let [records, until] = [records, until].map(crate::format::count);
        match self.lang {
            Lang::En => format!("{records} records are as they were written, up to #{until}."),
            Lang::Ja => format!("#{until} までの {records} 件は書かれたままです。"),
        }
    }

    /// Tokens in few characters.
    #[must_use]
    pub fn tokens_short(&self, tokens: f64) -> String {
        format!("{} {}", crate::format::short_number(tokens), self.tokens_word)
    }

    /// A count and what it counts.
    #[must_use]
    pub fn counted(&self, count: u64, what: &str) -> String {
        let count = crate::format::count(count);
        match self.lang {
            Lang::En => format!("{count} {what}"),
            Lang::Ja => format!("{count}{what}"),
        }
    }

    /// How long ago something was, or how soon it is.
    #[must_use]
    pub fn ago(&self, milliseconds: i64) -> String {
        let (amount, is_past) = (milliseconds.unsigned_abs() / 1_000, milliseconds >= 0);
        let (number, english, japanese) = match amount {
            0..=4 => return self.now.to_owned(),
            s @ 5..=59 => (s, "s", "秒"),
            s @ 60..=3_599 => (s / 60, "m", "分"),
            s @ 3_600..=86_399 => (s / 3_600, "h", "時間"),
            s => (s / 86_400, "d", "日"),
        };
        match (self.lang, is_past) {
            (Lang::En, true) => format!("{number}{english} ago"),
            (Lang::En, false) => format!("in {number}{english}"),
            (Lang::Ja, true) => format!("{number}{japanese}前"),
            (Lang::Ja, false) => format!("{number}{japanese}後"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_message_is_there_in_both_languages_and_japanese_is_japanese() {
        for (name, english, japanese) in table::ALL {
            assert!(!english.is_empty() && !japanese.is_empty(), "{name}");
            assert!(english.is_ascii() || english.contains('…'), "{name} is not English: {english}");
            assert!(!japanese.is_ascii(), "{name} is not Japanese: {japanese}");
        }
    }

    #[test]
    fn the_browsers_best_language_is_taken() {
        let accepted = [
            ("ja,en-US;q=0.9", Lang::Ja),
            ("en-GB,ja;q=0.8", Lang::En),
            ("de-DE,ja;q=0.3,en;q=0.2", Lang::Ja),
            ("fr", Lang::En),
            ("", Lang::En),
            ("ja;q=x", Lang::Ja),
            ("en;q=0.1, ja-JP;q=0.5", Lang::Ja),
        ];
        for (header, lang) in accepted {
            assert_eq!(Lang::accepted(header), lang, "{header}");
        }
    }

    #[test]
    fn times_are_told_in_both_directions() {
        let (english, japanese) = (Lang::En.words(), Lang::Ja.words());
        assert_eq!(english.ago(90_000), "1m ago");
        assert_eq!(english.ago(-7_200_000), "in 2h");
        assert_eq!(japanese.ago(90_000), "1分前");
        assert_eq!(japanese.ago(0), "たった今");
    }
}
