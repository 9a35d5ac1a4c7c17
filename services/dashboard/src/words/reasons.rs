//! Why tasks wait and what to do about failures, in the viewer's language.
//!
//! The server says both in English, with the particulars. What is Japanese here is told by the kind of reason.

use std::borrow::Cow;

use conductor_core::FailureReason;
use conductor_protocol::task::{PendingCode, PendingView, TaskView};

use super::told::japanese;
use super::{Lang, Words};

impl Words {
    /// Why a task waits.
    #[must_use]
    pub fn pending(&self, task: &TaskView) -> Option<String> {
        let japanese = match self.lang {
            Lang::En => None,
            Lang::Ja => task.pending.as_ref().and_then(waits),
        };
        japanese.or_else(|| task.pending_reason.clone())
    }

    /// What happened, as the server says it; in its own words where there are no others.
    #[must_use]
    pub fn told<'a>(&self, text: &'a str) -> Cow<'a, str> {
        match self.lang {
            Lang::En => Cow::Borrowed(text),
            Lang::Ja => japanese(text).map_or(Cow::Borrowed(text), Cow::Owned),
        }
    }

    /// What to do about a failure: what the server says, or what helps with its kind where that is told in English alone.
    #[must_use]
    pub fn hint<'a>(&self, reason: FailureReason, said: &'a str) -> Cow<'a, str> {
        match self.lang {
            Lang::En => Cow::Borrowed(said),
            Lang::Ja => japanese(said).map_or(Cow::Borrowed(remedy(reason)), Cow::Owned),
        }
    }

    /// Whether a hint is told in the viewer's language with all that it names.
    #[must_use]
    pub fn tells(&self, said: &str) -> bool {
        match self.lang {
            Lang::En => true,
            Lang::Ja => japanese(said).is_some(),
        }
    }

    /// What the state of an attempt is called.
    #[must_use]
    pub fn attempt_state<'a>(&self, state: &'a str) -> &'a str {
        match (self.lang, state) {
            (Lang::En, _) => state,
            (Lang::Ja, "running") => "実行中",
            (Lang::Ja, "succeeded") => "成功",
            (Lang::Ja, "failed") => "失敗",
            (Lang::Ja, "crashed") => "クラッシュ",
            (Lang::Ja, "stopped") => "停止",
            (Lang::Ja, "limited") => "利用制限",
            (Lang::Ja, "cancelled") => "キャンセル",
            (Lang::Ja, _) => state,
        }
    }
}

/// Why a task waits, in Japanese; none for a reason that is not known here.
fn waits(pending: &PendingView) -> Option<String> {
    let value = |name: &str| pending.value(name);
    Some(match pending.code {
        PendingCode::Blocked => match (value("tasks"), value("subtasks")) {
            (tasks, "") => format!("依存先のタスク{tasks}件の終了を待っています"),
            ("", subtasks) => format!("サブタスク{subtasks}件の終了を待っています"),
            (tasks, subtasks) => {
                format!("依存先のタスク{tasks}件とサブタスク{subtasks}件の終了を待っています")
            }
        },
        PendingCode::RunAt => format!("指定された開始時刻（{}）を待っています", value("until")),
        PendingCode::Backoff => {
            format!("失敗した試行の後、{} まで間隔を空けています", value("until"))
        }
        PendingCode::Crash => {
            format!("エージェントが失われたため、{} まで間隔を空けています", value("until"))
        }
        PendingCode::Stop => {
            format!("エージェントが停止したため、{} まで間隔を空けています", value("until"))
        }
        PendingCode::Limit => {
            format!("認証情報の利用制限またはサービスの過負荷のため、{} まで待っています", value("until"))
        }
        PendingCode::NewSession => "新しいセッションで続行します".to_owned(),
        PendingCode::Paused => "キューが一時停止中です".to_owned(),
        PendingCode::NoRoom => {
            let volume = if value("volume") == "state" { "状態" } else { "ワークスペース" };
            format!("{volume}のボリュームの空き容量が下限を下回っています")
        }
        PendingCode::NoAgent => "接続中のエージェントがありません".to_owned(),
        PendingCode::NoRunner => {
            let text = format!("ランナー {} を実行できるエージェントが接続されていません", value("runner"));
            match value("missing") {
                "" => text,
                missing => {
                    format!("{text}（{}）", japanese(missing).unwrap_or_else(|| missing.to_owned()))
                }
            }
        }
        PendingCode::NoAuto => {
            "認証情報を持つコーディング用ランナーのあるエージェントが接続されていません".to_owned()
        }
        PendingCode::NoLabels => {
            format!("ラベル {} を持つ対応エージェントが接続されていません", value("labels"))
        }
        PendingCode::Draining => "実行できるエージェントはすべてドレイン中です".to_owned(),
        PendingCode::AgentDiskFull => {
            "実行できるエージェントはすべて、ディスクの空き容量が下限を下回っています".to_owned()
        }
        PendingCode::NotServed => {
            "このオーケストレーターは、自身を通じて投入されたタスクだけを実行します".to_owned()
        }
        PendingCode::RunnerLimit => {
            format!("ランナー {} は同時実行の上限（{}件）に達しています", value("runner"), value("limit"))
        }
        PendingCode::GroupLimit => {
            format!("グループ {} は同時実行の上限（{}件）に達しています", value("group"), value("limit"))
        }
        PendingCode::LabelLimit => {
            format!("ラベル {} は同時実行の上限（{}件）に達しています", value("label"), value("limit"))
        }
        PendingCode::LaneClosed => format!(
            "認証情報 {} は拒否されたため停止中です。変更されるか、再開されるまで使われません",
            value("lane")
        ),
        PendingCode::LaneRests => {
            format!("認証情報 {} は利用制限中です（{} まで）", value("lane"), value("until"))
        }
        PendingCode::LaneRecovers => {
            format!(
                "認証情報 {} は制限からの回復中で、同時に{}件まで試しています",
                value("lane"),
                value("limit")
            )
        }
        PendingCode::DayBudget => {
            format!("本日の予算（{}）に余裕がありません。{}", value("limit"), spent(pending))
        }
        PendingCode::GroupBudget => format!(
            "グループ {} の本日の予算（{}）に余裕がありません。{}",
            value("group"),
            value("limit"),
            spent(pending)
        ),
        PendingCode::TaskBudget => format!(
            "タスク {} の予算（{}）に余裕がありません。{}",
            value("task"),
            value("limit"),
            spent(pending)
        ),
        PendingCode::AllWaiting => {
            "実行できるエージェントはすべて、人やサブタスクを待つ実行で埋まっています（agent.max_waiting で増やせます）".to_owned()
        }
        PendingCode::Busy => "実行できるエージェントはすべて使用中です".to_owned(),
        PendingCode::Other => return None,
    })
}

/// How much of a budget is gone, in Japanese.
fn spent(pending: &PendingView) -> String {
    format!("使用済み {}、実行中のタスクに確保済み {}", pending.value("spent"), pending.value("reserved"))
}

/// What to do about a failure, in Japanese.
fn remedy(reason: FailureReason) -> &'static str {
    match reason {
        FailureReason::ExitCode => "出力の末尾を確認してください",
        FailureReason::Timeout => "timeout_seconds を大きくして、時間の上限を延ばしてください",
        FailureReason::QueueTimeout => {
            "実行できるエージェントがあるか確認し、待ち時間の上限を延ばしてください"
        }
        FailureReason::Stalled => "出力を確認し、必要ならランナーの stall_seconds を大きくしてください",
        FailureReason::CrashLimit => "実行したエージェントのログを確認してください",
        FailureReason::Budget => "予算（budget_usd または budget_tokens）を増やしてください",
        FailureReason::MaxTurns => "max_turns を大きくしてください",
        FailureReason::RateLimited => "利用制限が解除されてから再実行してください",
        FailureReason::Auth => "認証情報を確認し、設定し直してください（conductor secret set）",
        FailureReason::ContextOverflow => "一度に読む量を減らすか、タスクを分割してください",
        FailureReason::NoResult => "途中で終了しました。試行のフォルダーに、それまでの結果があります",
        FailureReason::VerifyFailed => "出力の末尾に検証コマンドの出力があります",
        FailureReason::PushFailed => "再実行すると、プッシュだけをやり直します",
        FailureReason::Oom => "使用メモリを減らすか、上限を上げてください",
        FailureReason::OutputLimit => "出力を減らすか、tasks.max_output_bytes を上げてください",
        FailureReason::ProcessLimit => "プロセス数を減らすか、上限を上げてください",
        FailureReason::DiskFull => "ワークスペースのボリュームの空きを増やしてください",
        FailureReason::Dependency => {
            "失敗した依存先を確認して両方を投入し直すか、on_dependency_failure: run で実行してください"
        }
        FailureReason::InvalidRequest => {
            "モデルとランナーの設定を確認してください。そのまま再実行しても同じ結果になります"
        }
        FailureReason::WaitingTimeout => "質問に期限内に回答してください",
        FailureReason::InvalidWorkspace => "作業フォルダー・ファイル・リポジトリの指定を確認してください",
        FailureReason::RunnerUnavailable => "ランナーの設定と認証情報を確認してください（conductor doctor）",
        FailureReason::RunnerError => "出力とアクティビティを確認してください",
        FailureReason::Internal => "サーバーとエージェントのログを確認してください",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The kinds that tasks wait for; a new one does not compile until it is told.
    const CODES: [PendingCode; 27] = [
        PendingCode::Blocked,
        PendingCode::RunAt,
        PendingCode::Backoff,
        PendingCode::Crash,
        PendingCode::Stop,
        PendingCode::Limit,
        PendingCode::NewSession,
        PendingCode::Paused,
        PendingCode::NoRoom,
        PendingCode::NoAgent,
        PendingCode::NoRunner,
        PendingCode::NoAuto,
        PendingCode::NoLabels,
        PendingCode::Draining,
        PendingCode::AgentDiskFull,
        PendingCode::NotServed,
        PendingCode::RunnerLimit,
        PendingCode::GroupLimit,
        PendingCode::LabelLimit,
        PendingCode::LaneClosed,
        PendingCode::LaneRests,
        PendingCode::LaneRecovers,
        PendingCode::DayBudget,
        PendingCode::GroupBudget,
        PendingCode::TaskBudget,
        PendingCode::AllWaiting,
        PendingCode::Busy,
    ];

    #[test]
    fn every_kind_of_reason_is_told_in_japanese_with_what_it_names() {
        let values = [
            "tasks", "subtasks", "runner", "missing", "labels", "group", "label", "limit", "lane", "until",
            "task", "spent", "reserved",
        ];
        let values = values.map(|name| (name.to_owned(), format!("<{name}>"))).into();
        let mut told = std::collections::BTreeSet::new();
        for code in CODES {
            let text =
                waits(&PendingView { code, values: std::collections::BTreeMap::clone(&values) }).unwrap();
            assert!(!text.is_ascii(), "{code:?} is not Japanese: {text}");
            assert!(told.insert(text), "{code:?} is told like another");
        }
        let limit = PendingView { code: PendingCode::GroupLimit, values };
        assert_eq!(waits(&limit).unwrap(), "グループ <group> は同時実行の上限（<limit>件）に達しています");
    }

    #[test]
    fn what_blocks_a_task_is_counted() {
        let blocked = |values: &[(&str, &str)]| {
            let values =
                values.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
            waits(&PendingView { code: PendingCode::Blocked, values }).unwrap()
        };
        assert_eq!(blocked(&[("subtasks", "2")]), "サブタスク2件の終了を待っています");
        assert_eq!(blocked(&[("tasks", "1")]), "依存先のタスク1件の終了を待っています");
        assert!(blocked(&[("tasks", "1"), ("subtasks", "2")]).contains("1件とサブタスク2件"));
    }
}
