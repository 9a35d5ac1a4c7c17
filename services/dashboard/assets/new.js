// The form for a task: files by drag and drop, and the same task for the command line and for curl.
const form = document.getElementById('new');
const field = (name) => form.elements[name]?.value?.trim() ?? '';
const quote = (text) => /^[\w./:=@%+,-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
const words = (text) => text.split(/[\s,]+/).filter(Boolean);

function seconds(text) {
  const [, number, unit] = /^(\d+)([smhd]?)$/.exec(text) || [];
  return number && Number(number) * { '': 1, s: 1, m: 60, h: 3600, d: 86400 }[unit];
}

function files() {
  return [...form.elements.files.files];
}

function asCli() {
  const isCommand = field('kind') === 'command';
  const parts = ['conductor submit'];
  const add = (option, value, plain) => { if (value && value !== plain) parts.push(`--${option} ${quote(value)}`); };
  add('runner', field('runner'), 'auto');
  add('type', field('type'), 'generic');
  add('name', field('name'));
  add('group', field('group'), 'default');
  add('priority', field('priority'), '5');
  add('timeout', field('timeout'));
  const attempts = Number(field('max_attempts'));
  if (attempts > 1) parts.push(`--retries ${attempts - 1}`);
  for (const label of words(field('labels'))) add('label', label.replace(':', '='));
  for (const label of words(field('requires'))) add('requires', label);
  for (const id of words(field('depends_on'))) add('after', id);
  for (const file of files()) add('file', file.name);
  const prompt = form.elements.prompt.value.trim();
  parts.push(isCommand ? `-- ${prompt}` : quote(prompt || '…'));
  return parts.join(' \\\n  ');
}

function body() {
  const task = {};
  const prompt = form.elements.prompt.value.trim();
  if (field('kind') === 'command') task.command = ['sh', '-c', prompt];
  else task.prompt = prompt;
  const put = (name, value, plain) => { if (value && value !== plain) task[name] = value; };
  put('runner', field('runner'), 'auto');
  put('type', field('type'), 'generic');
  put('name', field('name'));
  put('group', field('group'), 'default');
  if (field('priority') !== '5') task.priority = Number(field('priority'));
  put('timeout_seconds', seconds(field('timeout')));
  if (Number(field('max_attempts')) > 1) task.retry = { max_attempts: Number(field('max_attempts')) };
  const labels = words(field('labels')).map((label) => label.split(/[:=](.*)/s)).filter((pair) => pair[1]);
  if (labels.length) task.labels = Object.fromEntries(labels.map(([key, value]) => [key, value]));
  if (words(field('requires')).length) task.requires = words(field('requires'));
  if (words(field('depends_on')).length) task.depends_on = words(field('depends_on'));
  if (files().length) task.files = files().map((file) => ({ path: file.name, content: '…' }));
  return task;
}

function asCurl() {
  const json = JSON.stringify(body(), null, 1).replace(/\n\s*/g, ' ');
  return ['curl "$CONDUCTOR_URL/v1/tasks"', '-H "Authorization: Bearer $CONDUCTOR_TOKEN"', "-H 'Content-Type: application/json'", `-d ${quote(json)}`].join(' \\\n  ');
}

function show() {
  document.getElementById('priority-out').textContent = field('priority');
  document.getElementById('as-cli').textContent = asCli();
  document.getElementById('as-curl').textContent = asCurl();
  document.getElementById('chosen').replaceChildren(...files().map((file) => {
    const item = document.createElement('li');
    item.textContent = `${file.name} · ${file.size < 1000 ? `${file.size} B` : file.size < 1e6 ? `${(file.size / 1e3).toFixed(1)} kB` : `${(file.size / 1e6).toFixed(1)} MB`}`;
    return item;
  }));
}

export function start() {
  if (!form) return;
  const drop = document.getElementById('drop');
  const input = form.elements.files;
  // Files dropped anywhere on the page are meant for the form.
  for (const name of ['dragenter', 'dragover']) document.addEventListener(name, (event) => { event.preventDefault(); drop.classList.add('over'); });
  document.addEventListener('dragleave', (event) => { if (!event.relatedTarget) drop.classList.remove('over'); });
  document.addEventListener('drop', (event) => {
    event.preventDefault();
    drop.classList.remove('over');
    const all = new DataTransfer();
    for (const file of [...files(), ...event.dataTransfer.files]) all.items.add(file);
    input.files = all.files;
    show();
  });
  form.addEventListener('input', show);
  form.addEventListener('change', show);
  form.addEventListener('keydown', (event) => { if (event.key === 'Enter' && (event.ctrlKey || event.metaKey)) { event.preventDefault(); form.requestSubmit(); } });
  show();
}
