//! The bounds of what is taken from outside.

/// The longest prompt in bytes.
pub const MAX_PROMPT_BYTES: usize = 1 << 20;
/// The longest message on any connection in bytes; also the bound of an HTTP body.
pub const MAX_MESSAGE_BYTES: usize = 16 << 20;
/// The most tasks in one submit.
pub const MAX_BATCH_TASKS: usize = 1_000;
/// The most submits that come together, each answered for itself.
pub const MAX_SUBMITS_TOGETHER: usize = 256;
/// The most labels of a task.
pub const MAX_LABELS: usize = 32;
/// The most labels that a task may require.
pub const MAX_REQUIRES: usize = 32;
/// The most subtasks of one task.
pub const MAX_SUBTASKS: usize = 1_000;
/// How deep subtasks may nest.
pub const MAX_SUBTASK_DEPTH: usize = 3;
/// The most dependencies of a task.
pub const MAX_DEPENDENCIES: usize = 1_000;
/// The most input files in a body; more come by upload.
pub const MAX_FILES: usize = 10_000;
/// The most environment variables of a task.
pub const MAX_ENV: usize = 256;
/// The most secrets that a task names.
pub const MAX_SECRETS: usize = 32;
/// The longest name of a secret.
pub const MAX_SECRET_NAME_BYTES: usize = 128;
/// The most words of a command.
pub const MAX_COMMAND_WORDS: usize = 4_096;
/// The longest name for people in characters.
pub const MAX_TITLE_CHARS: usize = 200;
/// The longest path in bytes.
pub const MAX_PATH_BYTES: usize = 4_096;
/// The longest URL in bytes.
pub const MAX_URL_BYTES: usize = 2_048;
/// The longest idempotency key in bytes.
pub const MAX_KEY_BYTES: usize = 256;
/// The most attempts of a task.
pub const MAX_ATTEMPTS: u16 = 100;
/// The longest time any duration may ask for: 30 days.
pub const MAX_DURATION_SECONDS: u64 = 30 * 24 * 3600;
/// The most items on a page of a list.
pub const MAX_PAGE: u32 = 500;
/// The longest a wait may last in seconds before it answers.
pub const MAX_WAIT_SECONDS: u64 = 60;
/// The most bytes of output in one frame.
pub const MAX_OUTPUT_FRAME_BYTES: usize = 64 << 10;
/// The longest message between agent and orchestrator in bytes: room for one task of the largest size, or many small.
pub const MAX_AGENT_MESSAGE_BYTES: usize = MAX_MESSAGE_BYTES + (1 << 20);
/// The most items in one list of an agent's message.
pub const MAX_AGENT_LIST: usize = 10_000;
/// The most turns that a task may ask for.
pub const MAX_TURNS: u32 = 10_000;
/// The most messages to a task that wait for its run to take them, and the longest of them in bytes.
pub const MAX_TOLD: usize = conductor_core::MAX_TOLD;
pub const MAX_TOLD_BYTES: usize = 32 << 10;
/// The longest name of a model.
pub const MAX_MODEL_BYTES: usize = 200;

/// The most US dollars that a task may name as its budget.
pub const MAX_BUDGET_USD: f64 = 1_000_000.0;

/// The most tokens that a task may name as its budget.
pub const MAX_BUDGET_TOKENS: u64 = 1 << 50;
