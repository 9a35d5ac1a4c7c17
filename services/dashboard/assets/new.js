// The form for a task: files by drag and drop, and the same task for the command line and for curl.
const form = document.getElementById('new');
// What somebody said; a box that is not ticked and a slider that nobody moved say nothing.
function field(name) {
  const it = form.elements[name];
  if (!it || (it.type === 'checkbox' && !it.checked) || it.dataset?.untouched !== undefined) return '';
  return it.value.trim();
}
const quote = (text) => /^[\w./:=@%+,-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
const MOST_FILES = 1000;
const said = JSON.parse(document.body.dataset.words || '{}');
const words = (text) => text.split(/[\s,]+/).filter(Boolean);

const UNITS = { d: 86400, h: 3600, m: 60, s: 1, ms: 0.001 };
function seconds(text) {
  const parts = [...text.matchAll(/(\d+)(ms|[dhms])/g)];
  if (!parts.length || parts.map((part) => part[0]).join('') !== text) return undefined;
  return Math.ceil(parts.reduce((sum, [, number, unit]) => sum + Number(number) * UNITS[unit], 0));
}

// A command line parted into its words as a shell parts them, like the server does.
function split(line) {
  const parts = [];
  const word = /'([^']*)'|"((?:[^"\\]|\\.)*)"|\\(.)|([^\s'"\\]+)|(\s+)/gs;
  let open = false;
  for (const [, single, double, escaped, plain, blank] of line.matchAll(word)) {
    if (blank !== undefined) { open = false; continue; }
    if (!open) parts.push('');
    open = true;
    parts[parts.length - 1] += single ?? double?.replace(/\\(["\\$`])/g, '$1') ?? escaped ?? plain;
  }
  return parts;
}

const pairs = (entries) => entries.length ? Object.fromEntries(entries) : undefined;
const labels = (text) => words(text).map((label) => label.split(/[:=](.*)/s)).filter((pair) => pair[1]);
const variables = (text) => text.split('\n').filter((line) => line.includes('=')).map((line) => line.split(/=(.*)/s).slice(0, 2));
const list = (text) => words(text).length ? words(text) : undefined;
const attempts = (text) => Number(text) > 1 ? Number(text) : undefined;
const lines = (text) => text.split('\n').map((line) => line.trim()).filter(Boolean);

function retry() {
  const it = {};
  if (attempts(field('max_attempts'))) it.max_attempts = attempts(field('max_attempts'));
  if (field('backoff')) it.backoff_seconds = seconds(field('backoff'));
  return Object.keys(it).length ? it : undefined;
}

function hook(url) {
  return field('webhook_secret') ? { url, secret: field('webhook_secret') } : { url };
}

// Each subtask has the runner of the task.
function below(text) {
  const runner = field('runner');
  return lines(text).map((prompt) => runner && runner !== 'auto' ? { prompt, runner } : { prompt });
}
const instant = (text) => seconds(text) === undefined ? text : new Date(Date.now() + seconds(text) * 1000).toISOString();

// What the form says of a repository; what does not apply to what becomes of the changes is hidden, and not said.
const PULL_REQUESTS = ['draft', 'request'];
const pushes = (...goals) => field('git_url') && goals.includes(field('git_push'));
function repository(url) {
  const git = { url };
  if (field('git_ref')) git.ref = field('git_ref');
  if (field('git_depth')) git.depth = Number(field('git_depth'));
  if (field('git_submodules')) git.submodules = true;
  if (field('git_lfs')) git.lfs = true;
  if (pushes('branch')) git.push = 'branch';
  if (pushes('branch', ...PULL_REQUESTS) && field('git_branch')) git.branch = field('git_branch');
  if (pushes(...PULL_REQUESTS)) {
    git.pull_request = {};
    if (field('pr_title')) git.pull_request.title = field('pr_title');
    if (field('pr_base')) git.pull_request.base = field('pr_base');
    if (pushes('request')) git.pull_request.draft = false;
  }
  return { git };
}

// One row for each field of the form: how it is called in the body and what its text means there, how it is called on the
// command line and what stands there, and the text that says nothing. `flags` are whole words of the command line, and a row
// without a key is told by another's. What has neither option nor flags is told to the command line as a file. A new field is a
// new row.
const FIELDS = [
  { name: 'runner', key: 'runner', option: 'runner', plain: 'auto' },
  { name: 'type', key: 'type', option: 'type', plain: 'generic' },
  { name: 'model', key: 'model', option: 'model' },
  { name: 'permission', key: 'permission', option: 'permission' },
  { name: 'name', key: 'name', option: 'name' },
  { name: 'group', key: 'group', option: 'group', plain: 'default' },
  { name: 'priority', key: 'priority', value: Number, option: 'priority' },
  { name: 'timeout', key: 'timeout_seconds', value: seconds, option: 'timeout' },
  { name: 'queue_timeout', key: 'queue_timeout_seconds', value: seconds, option: 'queue-timeout' },
  { name: 'max_turns', key: 'max_turns', value: Number, option: 'max-turns' },
  { name: 'budget_usd', key: 'budget_usd', value: Number, option: 'budget' },
  { name: 'budget_tokens', key: 'budget_tokens', value: Number, option: 'budget-tokens' },
  { name: 'max_attempts', key: 'retry', value: retry, option: 'retries', args: (text) => attempts(text) ? [attempts(text) - 1] : [] },
  { name: 'backoff', key: 'retry', value: retry, option: 'backoff', args: (text) => attempts(field('max_attempts')) ? [text] : [] },
  { name: 'labels', key: 'labels', value: (text) => pairs(labels(text)), option: 'label', args: (text) => labels(text).map(([key, value]) => `${key}=${value}`) },
  { name: 'requires', key: 'requires', value: list, option: 'requires', args: words },
  { name: 'depends_on', key: 'depends_on', value: list, option: 'after', args: words },
  { name: 'on_dependency_failure', key: 'on_dependency_failure', option: 'on-dependency-failure' },
  { name: 'run_at', key: 'run_at', value: instant, option: 'at' },
  { name: 'continues', key: 'workspace', value: (text) => ({ continue: text }), option: 'continue' },
  { name: 'copy', key: 'workspace', value: (path) => ({ copy: path }), option: 'copy' },
  { name: 'git_url', key: 'workspace', value: repository, option: 'git', args: (url) => [field('git_ref') ? `${url}#${field('git_ref')}` : url] },
  { name: 'git_depth', option: 'git-depth', args: (text) => field('git_url') ? [text] : [] },
  { name: 'git_submodules', flags: () => field('git_url') ? ['--submodules'] : [] },
  { name: 'git_lfs', flags: () => field('git_url') ? ['--lfs'] : [] },
  { name: 'git_push', flags: (goal) => !field('git_url') ? [] : { branch: ['--push'], draft: ['--pr'], request: ['--pr', '--pr-ready'] }[goal] },
  { name: 'git_branch', option: 'branch', args: (text) => pushes('branch', ...PULL_REQUESTS) ? [text] : [] },
  { name: 'pr_title', option: 'pr-title', args: (text) => pushes(...PULL_REQUESTS) ? [text] : [] },
  { name: 'pr_base', option: 'pr-base', args: (text) => pushes(...PULL_REQUESTS) ? [text] : [] },
  { name: 'verify', key: 'verify', value: (line) => ['sh', '-c', line], option: 'verify' },
  { name: 'env', key: 'env', value: (text) => pairs(variables(text)), option: 'env', args: (text) => variables(text).map((pair) => pair.join('=')) },
  { name: 'secrets', key: 'secrets', value: list, option: 'secret', args: words },
  { name: 'webhook', key: 'webhook', value: hook, option: 'webhook' },
  { name: 'webhook_secret', option: 'webhook-secret', args: (text) => field('webhook') ? [text] : [] },
  { name: 'may_submit', key: 'may_submit', value: () => true, flags: () => ['--may-submit'] },
  { name: 'subtasks', key: 'subtasks', value: below },
];

function used() {
  return FIELDS.map((it) => [it, field(it.name)]).filter(([it, text]) => text && text !== it.plain);
}

function files() {
  return [...form.elements.files.files];
}

function asCli() {
  if (used().some(([it]) => it.key && !it.option && !it.flags)) {
    return `conductor submit -f - <<'END'\n${JSON.stringify(body(), null, 2)}\nEND`;
  }
  const parts = ['conductor submit'];
  for (const [it, text] of used()) {
    if (it.flags) parts.push(...it.flags(text));
    else for (const arg of (it.args ?? ((text) => [text]))(text)) parts.push(`--${it.option} ${quote(String(arg))}`);
  }
  for (const file of files()) parts.push(`--file ${quote(file.name)}`);
  const prompt = form.elements.prompt.value.trim();
  parts.push(field('kind') === 'command' ? `-- ${split(prompt).map(quote).join(' ')}` : quote(prompt || '…'));
  return parts.length === 2 ? parts.join(' ') : parts.join(' \\\n  ');
}

function body() {
  const prompt = form.elements.prompt.value.trim();
  const task = {};
  if (field('kind') === 'command' && prompt) task.command = split(prompt);
  else if (prompt || !field('subtasks')) task.prompt = prompt;
  for (const [it, text] of used().filter(([it]) => it.key)) {
    const value = (it.value ?? ((text) => text))(text);
    if (value !== undefined) task[it.key] = value;
  }
  if (files().length) task.files = files().map((file) => ({ path: file.name, content: '…' }));
  return task;
}

function asCurl() {
  const json = JSON.stringify(body(), null, 1).replace(/\n\s*/g, ' ');
  return ['curl "$CONDUCTOR_URL/v1/tasks"', '-H "Authorization: Bearer $CONDUCTOR_TOKEN"', "-H 'Content-Type: application/json'", `-d ${quote(json)}`].join(' \\\n  ');
}

const size = (bytes) => bytes < 1000 ? `${bytes} B` : bytes < 1e6 ? `${(bytes / 1e3).toFixed(1)} kB` : `${(bytes / 1e6).toFixed(1)} MB`;

function keepFiles(list) {
  const all = new DataTransfer();
  for (const file of list) all.items.add(file);
  form.elements.files.files = all.files;
  showFiles();
  show();
}

function show() {
  for (const it of form.querySelectorAll('[data-for]')) it.hidden = !it.dataset.for.split(' ').includes(field('git_push'));
  document.getElementById('priority-out').textContent = field('priority') || said.default;
  form.elements.prompt.required = !field('subtasks');
  document.getElementById('as-cli').textContent = asCli();
  document.getElementById('as-curl').textContent = asCurl();
}

// Only when the files change: a list that is made anew while a button of it is pressed would lose the click.
function showFiles() {
  document.getElementById('chosen').replaceChildren(...files().map((file, index) => {
    const [item, remove] = [document.createElement('li'), document.createElement('button')];
    item.textContent = `${file.name} · ${size(file.size)} `;
    remove.type = 'button';
    remove.className = 'plain';
    remove.textContent = '×';
    remove.setAttribute('aria-label', `${said.remove} ${file.name}`);
    remove.addEventListener('click', (event) => { event.preventDefault(); keepFiles(files().filter((_, at) => at !== index)); });
    item.append(remove);
    return item;
  }));
}

// The files of what was dropped, those of folders with their path below it.
async function dropped(items) {
  const entries = [...items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
  const found = [];
  const read = async (entry, path) => {
    if (found.length >= MOST_FILES) return;
    if (entry.isFile) {
      const file = await new Promise((done, failed) => entry.file(done, failed));
      found.push(path === file.name ? file : new File([file], path, { type: file.type }));
      return;
    }
    const reader = entry.createReader();
    for (;;) {
      const some = await new Promise((done, failed) => reader.readEntries(done, failed));
      if (!some.length) return;
      for (const below of some) await read(below, `${path}/${below.name}`);
    }
  };
  for (const entry of entries) await read(entry, entry.name).catch(() => window.alert(`${entry.name} ${said.unread}`));
  return found;
}

export function start() {
  if (!form) return;
  const drop = document.getElementById('drop');
  // Files dropped anywhere on the page are meant for the form.
  for (const name of ['dragenter', 'dragover']) document.addEventListener(name, (event) => { event.preventDefault(); drop.classList.add('over'); });
  document.addEventListener('dragleave', (event) => { if (!event.relatedTarget) drop.classList.remove('over'); });
  document.addEventListener('drop', async (event) => {
    event.preventDefault();
    drop.classList.remove('over');
    const fresh = await dropped(event.dataTransfer.items);
    const names = new Set(fresh.map((file) => file.name));
    keepFiles([...files().filter((file) => !names.has(file.name)), ...fresh]);
  });
  form.elements.files.addEventListener('change', showFiles);
  const priority = form.elements.priority;
  priority.addEventListener('input', () => delete priority.dataset.untouched);
  form.addEventListener('formdata', (event) => { if (!field('priority')) event.formData.delete('priority'); });
  form.addEventListener('input', show);
  form.addEventListener('change', show);
  form.addEventListener('keydown', (event) => { if (event.key === 'Enter' && (event.ctrlKey || event.metaKey)) { event.preventDefault(); form.requestSubmit(); } });
  showFiles();
  show();
}
