//! The messages of the page, in every language beside each other: one that is missing does not compile.

macro_rules! messages {
    ($($name:ident: $en:literal, $ja:literal;)*) => {
        /// The messages of the page in one language.
        #[derive(Debug)]
        pub struct Words {
            pub lang: super::Lang,
            $(pub $name: &'static str,)*
        }

        /// English.
        pub(super) static EN: Words = Words { lang: super::Lang::En, $($name: $en,)* };
        /// Japanese.
        pub(super) static JA: Words = Words { lang: super::Lang::Ja, $($name: $ja,)* };

        /// Every message in both languages.
        #[cfg(test)]
        pub(super) const ALL: &[(&str, &str, &str)] = &[$((stringify!($name), $en, $ja),)*];
    };
}

messages! {
    // The frame of every page.
    skip: "Skip to the content", "本文へ移動";
    navigation: "Main", "メイン";
    overview: "Overview", "概要";
    tasks: "Tasks", "タスク";
    queue: "Queue", "キュー";
    agents: "Agents", "エージェント";
    schedules: "Schedules", "スケジュール";
    audit: "Audit", "監査ログ";
    settings: "Settings", "設定";
    new_task: "New task", "新しいタスク";
    connecting: "Connecting", "接続中";
    live: "Live", "ライブ";
    reconnecting: "Reconnecting", "再接続中";
    stale_since: "Not live since", "更新が止まった時刻：";
    notify_me: "Notify me", "通知する";
    notifying: "Notifications are on", "通知はオンです";
    shortcuts: "Keyboard shortcuts", "ショートカット";
    log_out: "Log out", "ログアウト";
    close: "Close", "閉じる";
    no_auth: "Anyone who reaches this page may do everything: auth.mode is none.",
        "認証が無効です（auth.mode: none）。このページを開ける人は誰でもすべての操作ができます。";
    all: "All", "すべて";
    back: "Back", "戻る";
    copy: "Copy", "コピー";
    copied: "Copied", "コピーしました";
    why: "Why", "理由";
    name: "Name", "名前";
    view: "View", "表示";
    show: "Show", "表示する";
    never: "never", "無期限";
    now: "now", "たった今";

    // Overview.
    tasks_by_state: "Tasks by state", "状態別のタスク";
    waits_for_you: "Waits for a person", "人の対応待ち";
    answer: "Answer", "回答する";
    throughput: "Finished tasks", "終了したタスク";
    queue_wait: "Mean wait in the queue", "平均待ち時間";
    time_range: "Time range", "期間";
    no_trends: "Nothing has been counted yet.", "まだ集計がありません。";
    running_now: "Running now", "実行中";
    nothing_runs: "Nothing runs right now.", "実行中のタスクはありません。";
    submit_one: "Submit a task", "タスクを投入する";
    today: "Today", "今日";
    schedule_paused: "Paused:", "停止中：";
    cost: "Cost", "費用";
    tokens: "Tokens", "トークン";
    tokens_word: "tokens", "トークン";
    finished: "Finished", "終了";
    succeeded: "succeeded", "成功";
    failed: "failed", "失敗";
    cancelled: "cancelled", "キャンセル";
    mean_wait: "Mean wait", "平均待ち";
    mean_run: "Mean run", "平均実行";
    cost_of_failures: "on failed attempts", "は失敗した試行の分";
    so_far: "so far", "ここまで";
    so_far_in_what_runs: "so far in what runs", "実行中の分（ここまで）";
    set_aside_hint: "Set aside for what runs, and settled when it ends", "実行中のタスクのために確保され、終了時に精算されます";
    budget_of_today: "Today's budget", "今日の予算";
    starts_anew: "Starts anew", "リセット：";
    everybody: "Everybody", "全体";
    no_day_limit: "No budget limits the day.", "1日の予算の上限は設定されていません。";
    failed_lately: "Failed lately", "最近の失敗";
    nothing_failed: "Nothing failed. Good.", "失敗はありません。";
    no_agents: "No agent is connected. Tasks wait until one is.", "接続中のエージェントがありません。接続されるまでタスクは待機します。";
    queue_is_paused: "The queue is paused: nothing new is assigned.", "キューは一時停止中です。新しい割り当ては行われません。";
    lanes: "Credentials", "認証情報";
    lane_open: "open", "利用可";
    lane_recovering: "recovering", "回復中";
    lane_resting: "resting", "休止中";
    lane_closed: "closed", "停止";
    lane_until: "at its limit until", "制限の解除:";
    lane_running: "running", "実行中";
    lane_try: "Try again", "再試行";

    // Tasks.
    search: "Search", "検索";
    search_tasks: "Search names, prompts and commands", "名前・プロンプト・コマンドを検索";
    state_word: "State", "状態";
    sort: "Sort", "並び順";
    newest_first: "Newest first", "新しい順";
    oldest_first: "Oldest first", "古い順";
    most_expensive: "Most expensive", "費用の高い順";
    more_filters: "More filters", "詳細な条件";
    created_after: "Created after", "作成日時（以降）";
    created_before: "Created before", "作成日時（以前）";
    created_by: "Created by", "作成者";
    failure_reason: "Failure reason", "失敗理由";
    label: "Label", "ラベル";
    least_cost: "Cost at least", "費用の下限";
    apply: "Apply", "適用";
    clear: "Clear", "クリア";
    saved_filters: "Saved filters", "保存した条件";
    save_filter: "Save this filter", "この条件を保存";
    remove: "Remove", "削除";
    no_match: "No task matches.", "該当するタスクはありません。";
    no_tasks: "There are no tasks yet.", "タスクはまだありません。";
    task: "Task", "タスク";
    runner: "Runner", "ランナー";
    group: "Group", "グループ";
    priority: "Priority", "優先度";
    priority_short: "Prio", "優先";
    created: "Created", "作成";
    took: "Time", "時間";
    select: "Select", "選択";
    pages: "Pages", "ページ";
    newest: "Newest", "最新";
    next_page: "Older", "次へ";
    compare_two: "Compare the two", "2件を比較";
    cancel_selected: "Cancel the selected", "選択分をキャンセル";
    retry_selected: "Retry the selected", "選択分を再実行";
    cancel_selected_hint: "End the selected tasks?", "選択したタスクを終了しますか？";
    rows_a_page: "Rows a page", "1ページの件数";
    rows_word: "rows", "件";
    cancel_all: "Cancel all that match", "該当をすべてキャンセル";
    retry_all: "Retry all that match", "該当をすべて再実行";
    cancel_all_text: "Every live task that matches is ended, also those on other pages.",
        "他のページも含め、条件に合う未完了のタスクをすべて終了します。";
    retry_all_text: "Every ended task that matches is submitted again, also those on other pages.",
        "他のページも含め、条件に合う終了済みのタスクをすべて再投入します。";
    all_tasks: "All tasks", "すべてのタスク";
    simulated: "simulated", "模擬";
    simulated_long: "This result is simulated: the mock runner answered, and no model was asked.",
        "これは模擬の結果です。モックランナーが応答し、モデルは使われていません。";
    changed_read_only: "Its type says that it changes nothing, and it changed files: they are not pushed.",
        "このタイプは何も変更しないはずですが、ファイルが変更されました。プッシュはされません。";
    submodules_not_pushed: "It changed submodules: their changes are in the difference and are not pushed.",
        "サブモジュールが変更されました。変更は差分に含まれますが、プッシュはされません。";
    real_credential: "The run held the real credential of its model: no gateway stood between them.",
        "この実行はモデルの本物の認証情報を保持していました（ゲートウェイを経由していません）。";
    no_tool_calls: "It succeeded without using a single tool: look whether anything was done at all.",
        "ツールを一度も使わずに成功しました。実際に作業が行われたか確認してください。";
    on_this_page: "on this page", "件を表示";

    // New task.
    what_to_do: "What is to be done", "何をするか";
    kind: "Kind", "種類";
    prompt: "Prompt", "プロンプト";
    command: "Command", "コマンド";
    prompt_hint: "Describe the work in words", "作業内容を入力してください";
    drop_files: "Drop files here, or choose them", "ファイルをここにドロップ、または選択";
    settings_of_task: "Settings", "設定";
    type_word: "Type", "種別";
    timeout: "Timeout", "タイムアウト";
    attempts_at_most: "Attempts at most", "最大試行回数";
    turns_at_most: "Turns at most", "最大ターン数";
    model: "Model", "モデル";
    permission: "May do without asking", "確認なしで許可する操作";
    permission_skip: "everything", "すべて";
    permission_edit: "read, and change files", "読み取りとファイルの変更";
    permission_ask: "read; it asks a person for more", "読み取りのみ（他は人に確認）";
    permission_plan: "read, and nothing more", "読み取りのみ（他は不可）";
    budget_usd: "Budget in US dollars", "予算（米ドル）";
    budget_tokens: "Budget in tokens", "予算（トークン）";
    of_the_runner: "as the runner has it", "ランナーの設定どおり";
    name_hint: "else how the prompt begins", "空ならプロンプトの冒頭";
    default_word: "default", "既定";
    backoff: "Pause after a failure", "失敗後の間隔";
    copied_folder: "Copy of a folder on the agent's host", "コピーするフォルダー（エージェントのホスト上）";
    secrets: "Secrets", "シークレット";
    secret_names: "names, parted by commas", "名前をカンマ区切りで";
    secret_name: "name", "名前";
    webhook_secret: "Signed with the secret", "署名用シークレット";
    subtasks_hint: "one prompt a line; the task ends when all have ended", "1行に1つのプロンプト。すべて終わるとこのタスクも終わります";
    may_submit: "It may submit tasks of its own while it runs", "実行中に自分のタスクを投入できる";
    labels: "Labels", "ラベル";
    requires: "Requires", "必要なラベル";
    depends_on: "Depends on", "依存先";
    task_ids: "ids of tasks, parted by commas", "タスクIDをカンマ区切りで";
    task_id: "id of a task that has ended", "終了したタスクのID";
    more_settings: "More settings", "詳細設定";
    git_repository: "Git repository", "Gitリポジトリ";
    git_ref: "Branch, tag or commit", "ブランチ・タグ・コミット";
    git_depth: "Commits of history", "取得する履歴の数";
    what_becomes: "The changes", "変更の扱い";
    changes_stay: "stay with the run", "実行結果に残す";
    push_branch: "are pushed to a branch", "ブランチにプッシュ";
    draft_pull_request: "become a draft pull request", "ドラフトのプルリクエストにする";
    open_pull_request: "become a pull request", "プルリクエストにする";
    pr_title: "Title of the pull request", "プルリクエストの題名";
    pr_title_hint: "the name of the task, or how its prompt begins", "空ならタスク名、またはプロンプトの冒頭";
    git_submodules: "Check its submodules out too", "サブモジュールもチェックアウトする";
    git_lfs: "Fetch its large files too (git-lfs)", "大きなファイル（git-lfs）も取得する";
    pr_base: "To be merged into", "マージ先";
    verify: "Verify with", "検証コマンド";
    verify_hint: "A command that must succeed afterwards in the same folder; a shell reads it",
        "実行後に同じフォルダーで成功する必要があるコマンド（シェルが解釈します）";
    repository: "Repository", "リポジトリ";
    when_one_fails: "When one of them fails", "依存先が失敗したら";
    fails_cancel: "cancel this task", "このタスクをキャンセル";
    fails_run: "run it all the same", "それでも実行";
    queue_timeout: "Waits at most", "待ち時間の上限";
    starts_from: "Starts from the work of", "作業を引き継ぐタスク";
    webhook: "Webhook", "通知先URL（Webhook）";
    file_not_read: "could not be read", "を読み込めませんでした";
    submit: "Submit", "投入";
    the_same_elsewhere: "The same elsewhere", "同じ操作を他の方法で";
    on_command_line: "command line", "コマンドライン";
    files_are_not_cloned: "The files of the original have to be chosen again:", "元のタスクのファイルは選び直してください：";

    // One task.
    cancel: "Cancel", "キャンセル";
    retry: "Retry", "再実行";
    clone: "Clone", "複製";
    pin: "Pin", "ピン留め";
    unpin: "Unpin", "ピン留めを解除";
    pin_hint: "Keep this run whatever its age", "期限が来てもこの実行結果を残す";
    unpin_hint: "Pinned: kept whatever its age, and not deleted until it is unpinned", "ピン留め中：期限が来ても残り、解除するまで削除できません";
    did_pin: "The run is pinned: it stays whatever its age.", "実行結果をピン留めしました。期限が来ても残ります。";
    did_unpin: "The run is not pinned any more.", "ピン留めを解除しました。";
    delete: "Delete", "削除";
    delete_hint: "Delete the task and its files? This cannot be taken back.", "タスクとファイルを削除しますか？元に戻せません。";
    agent: "Agent", "エージェント";
    attempt: "Attempt", "試行";
    attempts: "Attempts", "試行";
    queued_for: "Waited", "待ち時間";
    ran_for: "Ran", "実行時間";
    asks_you: "The task asks you", "タスクからの質問";
    question_gone: "It does not ask this any more: somebody else answered, or it took the question back.",
        "この質問は終わりました。他の人が回答したか、タスクが取り下げました。";
    withdrawn: "Question withdrawn", "質問の取り下げ";
    tool: "Tool", "ツール";
    asked_at: "Asked", "質問：";
    your_answer: "Your answer", "回答";
    allow: "Allow", "許可";
    deny: "Deny", "拒否";
    views_of_task: "Views of the task", "タスクの表示";
    output: "Output", "出力";
    activity: "Activity", "アクティビティ";
    files: "Files", "ファイル";
    open_folder: "Open the folder", "フォルダーを開く";
    all_results: "Result files", "結果ファイル";
    file: "File", "ファイル";
    changes: "Changes", "変更点";
    details: "Details", "詳細";
    search_output: "Search the output", "出力を検索";
    previous: "Previous", "前へ";
    next: "Next", "次へ";
    follow: "Follow", "追従";
    raw: "Raw", "生データ";
    no_output: "It printed nothing.", "出力はありません。";
    no_output_yet: "Nothing has been printed yet.", "まだ出力はありません。";
    left_out: "left out before this.", "を省略しています。";
    load_earlier: "Load earlier output", "前の出力を読み込む";
    subtasks: "Subtasks", "サブタスク";
    nothing_found: "not in what is shown", "表示中にはありません";
    no_activity: "The runner reported nothing.", "ランナーからの報告はありません。";
    earlier_entries: "earlier entries are left out.", "件の以前の項目を省略しています。";
    message: "Message", "メッセージ";
    thinking: "Thinking", "思考";
    tool_call: "Tool", "ツール";
    tool_result: "Result", "結果";
    tool_error: "Error of the tool", "ツールのエラー";
    usage: "Usage", "使用量";
    limit: "Limit", "制限";
    question: "Question", "質問";
    error: "Error", "エラー";
    outcome: "Outcome", "結末";
    download: "Download", "ダウンロード";
    download_all: "Download all", "まとめてダウンロード";
    no_files: "It left no files.", "ファイルはありません。";
    preview_cut: "The preview ends here; the download has all of it.", "プレビューはここまでです。全体はダウンロードしてください。";
    no_preview: "There is no preview of this file.", "このファイルはプレビューできません。";
    unified: "Unified", "統合";
    split: "Side by side", "左右";
    binary_file: "A binary file.", "バイナリファイルです。";
    diff_cut: "The view ends here; the download has all of it.", "表示はここまでです。全体はダウンロードしてください。";
    no_changes: "It changed nothing.", "変更はありません。";
    no_changes_yet: "What it changes is known when the attempt has ended.", "変更点は試行の終了後に表示されます。";
    changed_files: "files changed", "ファイルの変更";
    started: "Started", "開始";
    exit_code: "Exit code", "終了コード";
    no_attempts: "It has not been tried yet.", "まだ試行されていません。";
    deliveries: "Deliveries", "通知の配信";
    event: "Event", "イベント";
    channel: "Channel", "経路";
    tries: "Tries", "回数";
    follow_up: "Go on with", "続きの指示";
    told: "You said", "あなたの指示";
    next_turn_hint: "It hears this as its next turn", "次のターンで伝わります";
    follow_up_hint: "A new task starts from this one's work", "このタスクの結果から新しいタスクを始めます";
    send: "Send", "送信";
    environment: "Environment", "環境変数";
    input_files: "Input files", "入力ファイル";
    parent: "Parent", "親タスク";
    retry_of: "Retry of", "再実行元";
    continues: "Continues", "継続元";
    run_at: "Not before", "開始予定";
    finished_at: "Ended", "終了";
    sandbox: "Sandbox", "サンドボックス";
    session: "Session", "セッション";
    tool_calls: "Tool calls", "ツール呼び出し";
    turns: "Turns", "ターン";
    cached: "cached", "キャッシュ";
    input: "in", "入力";
    output_short: "out", "出力";

    // Compare.
    compare: "Compare", "比較";
    same_on_both: "The same on both.", "両方とも同じです。";
    same_files: "files are the same", "件のファイルは同じです";
    duration: "Duration", "所要時間";
    verified: "Verified", "検証";
    commit: "Commit", "コミット";
    branch: "Branch", "ブランチ";
    pull_request: "Pull request", "プルリクエスト";
    result: "Result", "結果";

    // Agents and the queue.
    slots: "slots", "スロット";
    slots_title: "Slots", "スロット";
    host: "Host", "ホスト";
    version: "Version", "バージョン";
    joined: "Joined", "参加";
    runners: "Runners", "ランナー";
    not_ready: "not ready", "利用不可";
    credential: "Credential", "認証情報";
    credential_missing: "not set", "未設定";
    unconfined: "nothing confines its runs", "隔離なし";
    sandbox_required: "required", "必須";
    sandbox_best_effort: "as far as the kernel can", "可能な範囲";
    sandbox_off: "off", "オフ";
    sandbox_holds: "Sandboxes hold", "サンドボックスの保護対象";
    lacks: "not held by this kernel", "このカーネルでは保護されません";
    a_run_may_take: "A run may take", "1回の実行の上限";
    processes: "processes", "プロセス";
    disk: "on disk", "（ディスク）";
    egress_model: "connects to its model alone", "接続先はモデルのみ";
    egress_allowlist: "connects to listed hosts", "接続先は許可リストのみ";
    egress_open: "connects anywhere", "接続先の制限なし";
    ready: "ready", "利用可";
    gateway: "Model gateway", "モデルゲートウェイ";
    gateway_on: "on", "オン";
    gateway_off: "off", "オフ";
    gateway_on_hint: "The credential stays with the gateway: no run ever holds it",
        "認証情報はゲートウェイだけが保持し、実行には渡されません";
    gateway_off_hint: "Its runs hold the credential themselves", "実行が認証情報をそのまま保持します";
    drain: "Drain", "ドレイン";
    drain_hint: "It finishes what runs and takes nothing further", "実行中のものだけ終え、新しいタスクは受けません";
    resume: "Resume", "再開";
    pause: "Pause", "一時停止";
    revoke: "Revoke", "失効";
    revoke_agent_hint: "Revoke the agent? Its tasks are given to others.", "エージェントを失効しますか？実行中のタスクは他に移されます。";
    connected: "connected", "接続中";
    draining: "draining", "ドレイン中";
    disk_full: "its disk is full: it takes nothing new", "ディスクの空きが不足しているため、新しいタスクは受けません";
    gone: "gone", "切断";
    revoked: "revoked", "失効";
    capacity: "Capacity", "処理能力";
    free: "Free", "空き";
    oldest: "Oldest waits", "最長の待ち";
    queued_by_runner: "Queued by runner", "ランナー別の待ち";
    queued_by_group: "Queued by group", "グループ別の待ち";
    nothing_queued: "Nothing is queued.", "待機中のタスクはありません。";
    limits: "Limits", "上限";
    no_limits: "No limit is configured.", "上限は設定されていません。";
    first_in_line: "Waiting longest", "最も長く待っているもの";

    // Schedules.
    no_schedules: "There are no schedules.", "スケジュールはありません。";
    cron: "Cron", "cron式";
    time_zone: "Time zone", "タイムゾーン";
    overlap: "When the last still runs", "前回が実行中なら";
    overlap_skip: "skip this one", "今回を飛ばす";
    overlap_queue: "run both", "両方実行";
    overlap_cancel: "end the last", "前回を終了";
    catch_up: "When missed", "逃した回は";
    catch_up_none: "pass over", "実行しない";
    catch_up_one: "run once", "1回だけ実行";
    next_run: "Next", "次回";
    last_task: "Last task", "前回のタスク";
    add_schedule: "Add a schedule", "スケジュールを追加";
    remove_schedule_hint: "Remove the schedule?", "スケジュールを削除しますか？";

    // Audit.
    verify_audit: "Is it as it was written?", "書かれたままか";
    verify_audit_hint: "Each record has a digest over itself and the digest before it. A check goes along them and names the first record that was changed, taken out or put in.", "各記録には、その内容と前の記録のダイジェストから計算したダイジェストがあります。検証はそれをたどり、変更・削除・挿入された最初の記録を示します。";
    kept_head: "What an earlier check told, if it was kept", "以前の検証が示した値（保管していれば）";
    verify_now: "Verify", "検証";
    verify_on: "Go on", "続ける";
    audit_goes_on: "There is more to look at.", "まだ続きがあります。";
    audit_fault: "Not as it was written:", "書かれたままではありません：";
    audit_undigested: "more are from an earlier build, without a digest.", "件は以前のビルドのもので、ダイジェストがありません。";
    keep_head: "Keep this elsewhere: a later check says whether the audit still has it.", "これを別の場所に保管してください。後の検証で、監査ログにまだそれがあるか分かります。";
    no_audit: "Nothing has been done yet.", "記録はまだありません。";
    when: "When", "日時";
    action: "Action", "操作";
    subject: "Subject", "対象";
    who: "Who", "実行者";
    role_word: "Role", "権限";
    via: "Via", "経由";
    address: "From", "アドレス";

    // Settings.
    tokens_of_access: "Tokens", "アクセストークン";
    token: "Token", "トークン";
    token_made: "New token:", "新しいトークン：";
    token_shown_once: "Copy the secret now: it is not shown again.", "今すぐコピーしてください。再表示はできません。";
    groups: "Groups", "グループ";
    origin: "From", "作成元";
    expires: "Expires", "期限";
    expires_in_days: "Expires in days", "有効日数";
    create_token: "Create token", "トークンを作成";
    revoke_token_hint: "Revoke the token? Its sessions end at once.", "トークンを失効しますか？関連するセッションもすぐに終了します。";
    not_there_yet: "This is not available in this release.", "このリリースでは利用できません。";
    no_runners: "No runner is known.", "ランナーがありません。";
    server: "Server", "サーバー";
    started_at: "Started", "起動";
    workspace: "Workspace", "作業フォルダー";
    log_position: "Log", "ログ位置";
    history_lag: "History lag", "履歴の遅れ";
    free_space: "Free space", "空き容量";
    configuration: "Configuration", "設定内容";
    configuration_hint: "As it is in effect, without secrets.", "現在有効な設定です（秘密情報を除く）。";

    // Login and problems.
    log_in: "Log in", "ログイン";
    log_in_by_link: "This link logs you in once.", "このリンクは一度だけ有効です。";
    where_is_token: "An admin finds the first token with", "最初のトークンは管理者が次のコマンドで確認できます";
    session_over: "The session is over. Log in again.", "セッションが終了しました。もう一度ログインしてください。";
    wrong_token: "This token or link is not valid, or it was used already.", "トークンまたはリンクが無効か、すでに使用されています。";
    too_many_tries: "Too many failed logins. Try again in a minute.", "ログインの失敗が多すぎます。しばらくしてからお試しください。";
    orchestrator_is_away: "The orchestrator cannot be reached", "オーケストレーターに接続できません";
    tries_again: "The page tries again by itself.", "自動的に再試行します。";
    no_such_thing: "There is no such thing", "見つかりません";
    not_allowed: "You may not do this", "この操作は許可されていません";
    went_wrong: "This did not work", "処理できませんでした";

    // What was done.
    did_cancel: "tasks were cancelled.", "件のタスクをキャンセルしました。";
    did_retry: "tasks were submitted again.", "件のタスクを再投入しました。";
    did_delete: "The task was deleted.", "タスクを削除しました。";
    did_answer: "The answer was sent.", "回答を送信しました。";
    did_change: "Done.", "完了しました。";

    // Keys.
    key_go: "go to", "移動：";
    key_search: "Search", "検索";
    key_rows: "Next and previous row", "次／前の行";
    key_open: "Open the row", "行を開く";
    key_pick: "Select the row", "行を選択";
    key_follow: "Follow the output or pause", "出力の追従を切り替え";
    key_help: "This help", "このヘルプ";
}
