//! What the server and its agents say of failures, in Japanese: each sentence by its kind, with the particulars that it names.

/// Sentences as they are said, with `{}` where they name something, and the same in Japanese.
const SAID: &[(&str, &str)] = &[
    // What happened.
    ("it ran longer than its {} and was ended", "制限時間（{}）を超えたため終了しました"),
    ("it ran longer than {}", "制限時間（{}）を超えました"),
    ("it printed more than {} bytes and was ended", "出力が上限（{}バイト）を超えたため終了しました"),
    ("nobody answered its question in time", "質問に期限内の回答がありませんでした"),
    ("nobody answered within {}", "{} 以内に回答がありませんでした"),
    ("it said nothing for {} and no tool was at work", "{} の間、報告もツールの動作もありませんでした"),
    ("it took more than its {} turns and was ended", "ターン数の上限（{}）を超えたため終了しました"),
    ("no agent took it within {}: {}", "{} 以内に引き受けるエージェントがありませんでした（{}）"),
    ("subtask {} did not succeed", "サブタスク {} が成功しませんでした"),
    ("task {}, on which this one depends, did not succeed", "依存先のタスク {} が成功しませんでした"),
    (
        "its agent was lost {} times while it ran: {}; the last time: {}",
        "実行中にエージェントが{}回失われました（{}）。最後: {}",
    ),
    ("the program {} is not found", "プログラム {} が見つかりません"),
    ("the program {} may not be executed", "プログラム {} の実行が許可されていません"),
    ("{} cannot be resolved: {}", "ホスト {} の名前を解決できません（{}）"),
    (
        "tasks have no secret {} on this agent",
        "このエージェントに、タスクが使えるシークレット {} はありません",
    ),
    ("the secret {} is not for the runner {}", "シークレット {} はランナー {} には使えません"),
    ("the secret {} is not set on this agent", "シークレット {} はこのエージェントに設定されていません"),
    ("{} exited with {} before it began", "{} は開始前に終了しました（終了コード {}）"),
    ("{} exited with {} without a result", "{} は結果を出さずに終了しました（終了コード {}）"),
    ("{} exited with {}", "{} が終了コード {} で終了しました"),
    ("{} was ended by signal {}", "{} がシグナル {} で終了しました"),
    // Of the audit.
    ("it was changed: it cannot be read any more", "変更されていて、もう読めません"),
    ("it has no digest, and those before it have", "前の記録にはあるダイジェストがありません"),
    (
        "it was changed, or one before it was changed, taken out or put in",
        "この記録が変更されたか、その前の記録が変更・削除・挿入されています",
    ),
    ("it is listed as something else than it is", "実際とは異なる内容で一覧に載っています"),
    ("it is missing, at the end of the audit", "監査ログの末尾から失われています"),
    ("it is not what the audit ends with", "監査ログの末尾の記録ではありません"),
    ("it is not the record that this digest was kept of", "保管されたダイジェストの記録と一致しません"),
    // What a runner lacks.
    ("the program {} is not installed", "プログラム {} がインストールされていません"),
    ("no credential is set: {}", "認証情報が設定されていません: {}"),
    ("its credential cannot be read: {}", "認証情報を読めません: {}"),
    ("the sandbox is required, and {}", "必須のサンドボックスを満たせません（{}）"),
    // What to do about it.
    (
        "give it more time with a larger timeout_seconds",
        "timeout_seconds を大きくして、時間の上限を延ばしてください",
    ),
    (
        "give it more time with a larger stall_seconds of its runner",
        "ランナーの stall_seconds を大きくしてください",
    ),
    ("give it more with a larger max_turns", "max_turns を大きくしてください"),
    (
        "give it more with a larger budget_usd or budget_tokens",
        "予算（budget_usd または budget_tokens）を増やしてください",
    ),
    (
        "print less, or raise tasks.max_output_bytes",
        "出力を減らすか、tasks.max_output_bytes を上げてください",
    ),
    ("free space on the volume of the workspace", "ワークスペースのボリュームの空きを増やしてください"),
    ("see the end of its output", "出力の末尾を確認してください"),
    ("see its output and its events", "出力とアクティビティを確認してください"),
    (
        "something killed it; the kernel does when memory runs out",
        "強制終了されました。メモリ不足のときにカーネルが終了させることがあります",
    ),
    (
        "a signal ends a program that crashes or is told to end",
        "クラッシュした場合や終了を指示された場合に、シグナルで終了します",
    ),
    (
        "a name is looked up in the agent's PATH, a path with a slash is seen from the work folder; a script also needs the program of its first line",
        "名前はエージェントの PATH から、スラッシュを含むパスは作業フォルダーから探されます。スクリプトは先頭行のプログラムも必要です",
    ),
    (
        "it needs to be a file with its executable bit set, and to lie where the sandbox lets runs read: in the work folder, the system, the agent's PATH or sandbox.read_paths",
        "実行権限のあるファイルで、サンドボックスから読める場所（作業フォルダー、システム、エージェントの PATH、sandbox.read_paths）にある必要があります",
    ),
    ("it needs to be a file with its executable bit set", "実行権限のあるファイルである必要があります"),
    (
        "a script needs a first line such as #!/bin/sh; a binary must be made for this host",
        "スクリプトには #!/bin/sh のような先頭行が、バイナリにはこのホスト向けのビルドが必要です",
    ),
    ("pass large data in files", "大きなデータはファイルで渡してください"),
    (
        "it ended in the middle of its work; what it did until then is in the attempt's folder",
        "途中で終了しました。それまでの結果は試行のフォルダーにあります",
    ),
    (
        "the credential {} was refused, or has nothing left to spend; set another with: conductor secret set {}",
        "認証情報 {} は拒否されたか、残高がありません。設定し直してください: conductor secret set {}",
    ),
    ("{} has no credential that it could use", "{} が使える認証情報がありません"),
    (
        "look at the model and the settings of the runner; another try would end alike",
        "モデルとランナーの設定を確認してください。そのまま再実行しても同じ結果になります",
    ),
    (
        "the task needs more context than the model has, with a new session as well; give it less to read at once",
        "新しいセッションでもモデルのコンテキストに収まりません。一度に読む量を減らしてください",
    ),
    (
        "its output says that the command {} is missing here",
        "出力によると、コマンド {} がこの環境にありません",
    ),
    (
        "set {} in the agent's environment, or keep it with: conductor secret set {}",
        "エージェントの環境変数に {} を設定するか、次で保存してください: conductor secret set {}",
    ),
    ("set it again with: conductor secret set {}", "設定し直してください: conductor secret set {}"),
    ("what verify printed is at the end of the output", "検証コマンドの出力は、出力の末尾にあります"),
    ("the files of a task stay below its work folder", "タスクのファイルは作業フォルダーの中に置かれます"),
    ("send the files again and submit the task anew", "ファイルを送り直して、タスクを投入し直してください"),
    (
        "agent.copy_roots of that agent lists the folders below which tasks may copy",
        "コピーできるフォルダーは、そのエージェントの agent.copy_roots に列挙されています",
    ),
    ("see that the agent may read the folder", "エージェントがそのフォルダーを読めるか確認してください"),
    (
        "copy a smaller folder, or raise tasks.max_workspace_bytes",
        "より小さいフォルダーにするか、tasks.max_workspace_bytes を上げてください",
    ),
    ("submit the task anew, with its files", "ファイルを付けて、タスクを投入し直してください"),
    ("look at the folder and who owns it", "フォルダーとその所有者を確認してください"),
    ("git must be installed where the agent runs", "エージェントのホストに git をインストールしてください"),
    ("look at git.credentials of the configuration", "設定の git.credentials を確認してください"),
    (
        "git.max_repository_bytes is the limit; depth fetches less",
        "上限は git.max_repository_bytes です。depth を指定すると取得量が減ります",
    ),
    (
        "git.timeout_seconds is the limit; depth fetches less",
        "上限は git.timeout_seconds です。depth を指定すると取得量が減ります",
    ),
    (
        "conductor retry repeats the push alone; the commits are in commits.bundle",
        "再実行（conductor retry）するとプッシュだけをやり直します。コミットは commits.bundle にあります",
    ),
    (
        "look at the address and at the ref; git.credentials holds what a private repository asks for",
        "アドレスと ref を確認してください。非公開リポジトリの認証情報は git.credentials に設定します",
    ),
    ("look at the host in the address", "アドレスのホスト名を確認してください"),
    ("git.allow_private can allow others", "git.allow_private で他のホストを許可できます"),
    (
        "git.file_roots names folders on the agent's host",
        "エージェントのホストのフォルダーは git.file_roots で許可します",
    ),
    ("name what is built in a .gitignore", "ビルドで作られるものを .gitignore に書いてください"),
    (
        "give a branch, a tag, a full name below refs/ or a whole commit id",
        "ブランチ、タグ、refs/ 以下の完全な名前、またはコミットIDの全桁を指定してください",
    ),
    (
        "name it in git.credentials: forge: github, gitlab or gitea",
        "git.credentials の forge に github、gitlab、gitea のいずれかを指定してください",
    ),
    (
        "secrets.<name> in conductor.yaml lets tasks use one",
        "タスクに使わせるには conductor.yaml の secrets.<name> に書きます",
    ),
    (
        "secrets.<name>.runners lists those that it is for",
        "使えるランナーは secrets.<name>.runners に列挙します",
    ),
    ("look at its file", "そのファイルを確認してください"),
    (
        "conductor secret set keeps one, or secrets.<name>.file names its file",
        "conductor secret set で保存するか、secrets.<name>.file でファイルを指定してください",
    ),
    (
        "so short a text cannot be told from others and kept out of what a run says",
        "短すぎる値は他の文字列と区別できず、出力から取り除けません",
    ),
    (
        "run the agent on a newer kernel, or write sandbox.mode: best_effort in its configuration",
        "より新しいカーネルで実行するか、エージェントの設定に sandbox.mode: best_effort と書いてください",
    ),
    ("the log of its agent says which step failed", "どの段階で失敗したかはエージェントのログにあります"),
    (
        "continue a task of a coding agent, or bring its raw.ndjson as a file",
        "コーディングエージェントのタスクを引き継ぐか、その raw.ndjson をファイルとして渡してください",
    ),
    ("the recorded run ended so", "記録された実行がこのように終わりました"),
    ("the prompt of this simulated run says `fail`", "この模擬実行のプロンプトに `fail` と書かれています"),
    ("the prompt of this simulated run says `exit`", "この模擬実行のプロンプトに `exit` と書かれています"),
    ("the mock writes below the work folder alone", "モックは作業フォルダーの中にだけ書き込みます"),
    (
        "see why it did not; submit both anew, or let this one run all the same with on_dependency_failure: run",
        "依存先の失敗を確認して両方を投入し直すか、on_dependency_failure: run で実行してください",
    ),
];

/// What stands between two hints in one.
const AND: &str = "; ";

/// The same in Japanese; none for what is not known here.
pub(super) fn japanese(text: &str) -> Option<String> {
    SAID.iter()
        .find_map(|(said, japanese)| named(said, text).map(|named| filled(japanese, &named)))
        .or_else(|| both(text))
}

/// Two sentences, of which each is known.
fn both(text: &str) -> Option<String> {
    text.match_indices(AND).find_map(|(at, and)| {
        let (first, second) = (&text[..at], &text[at + and.len()..]);
        Some(format!("{}。{}", japanese(first)?, japanese(second)?))
    })
}

/// What a text names in the places of a sentence; none when it is another one.
fn named<'a>(said: &str, text: &'a str) -> Option<Vec<&'a str>> {
    let mut parts = said.split("{}");
    let mut rest = text.strip_prefix(parts.next()?)?;
    let mut parts: Vec<&str> = parts.collect();
    let Some(last) = parts.pop() else { return rest.is_empty().then(Vec::new) };
    let mut named = Vec::with_capacity(parts.len() + 1);
    for part in parts {
        let at = rest.find(part)?;
        named.push(&rest[..at]);
        rest = &rest[at + part.len()..];
    }
    named.push(rest.strip_suffix(last)?);
    named.iter().all(|it| !it.is_empty()).then_some(named)
}

/// A sentence with what it names in its places.
fn filled(said: &str, named: &[&str]) -> String {
    let mut named = named.iter();
    let mut parts = said.split("{}");
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        text.push_str(named.next().copied().unwrap_or_default());
        text.push_str(part);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_sentence_names_stands_in_the_japanese_one() {
        for (text, told) in [
            ("sh exited with 3", "sh が終了コード 3 で終了しました"),
            (
                "the credential KEY was refused, or has nothing left to spend; set another with: conductor secret set KEY",
                "認証情報 KEY は拒否されたか、残高がありません。設定し直してください: conductor secret set KEY",
            ),
            (
                "its output says that the command jq is missing here; see its output and its events",
                "出力によると、コマンド jq がこの環境にありません。出力とアクティビティを確認してください",
            ),
        ] {
            assert_eq!(japanese(text).as_deref(), Some(told));
        }
        for text in ["", "something else", " exited with ", "see the end of its output, or not", "a; b"] {
            assert_eq!(japanese(text), None, "{text:?}");
        }
    }

    #[test]
    fn every_sentence_is_told_in_japanese_with_as_many_names() {
        for (said, japanese) in SAID {
            assert!(!japanese.is_ascii(), "{said}");
            assert_eq!(said.matches("{}").count(), japanese.matches("{}").count(), "{said}");
        }
    }

    /// What is said is found where it is said, so that a sentence that changes there is changed here.
    #[test]
    fn every_sentence_is_one_that_is_said() {
        let services = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let mut sources = String::new();
        for folder in ["agent/src", "orchestrator/src", "libs/core/src", "libs/store/src", "libs/client/src"]
        {
            read(&services.join(folder), &mut sources);
        }
        // A literal over several lines is one text.
        let mut joined = String::with_capacity(sources.len());
        for (index, part) in sources.split("\\\n").enumerate() {
            joined.push_str(if index == 0 { part } else { part.trim_start() });
        }
        for (said, _) in SAID {
            let longest = said.split("{}").max_by_key(|part| part.len()).unwrap();
            assert!(joined.contains(longest.trim()), "nobody says {longest:?}");
        }
    }

    fn read(folder: &std::path::Path, sources: &mut String) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => read(&path, sources),
                false => sources.push_str(&std::fs::read_to_string(path).unwrap()),
            }
        }
    }
}
