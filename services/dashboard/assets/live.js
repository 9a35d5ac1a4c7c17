// One connection brings what happens. It is made anew for ever, and goes on from the last event that was seen.
import { touch } from './regions.js';
import * as output from './output.js';

const FIRST_PAUSE = 250;
const LONGEST_PAUSE = 5000;
const STALE_AFTER = 3000;
const words = JSON.parse(document.body.dataset.words || '{}');
const base = document.documentElement.dataset.base || '';
const live = document.getElementById('live');
const stale = document.getElementById('stale');
const task = document.getElementById('task');
let used = task?.dataset.used;
let knowsCosts = false;
let seq = Number(document.body.dataset.seq) || 0;
let log = document.body.dataset.log || '';
let pause = FIRST_PAUSE;
let since = null;
let socket = null;
let retry = 0;

function say(state, text) {
  live.dataset.state = state;
  live.querySelector('span').textContent = text;
}

function lost() {
  socket = null;
  if (!since) since = new Date();
  say('stale', words.reconnecting);
  const shown = since;
  setTimeout(() => {
    if (since !== shown) return;
    stale.textContent = `${words.stale} ${shown.toLocaleTimeString(document.documentElement.lang)}`;
    stale.hidden = false;
  }, STALE_AFTER);
  retry = setTimeout(connect, pause * (0.75 + Math.random() / 2));
  pause = Math.min(pause * 2, LONGEST_PAUSE);
}

function found(hello) {
  if (log && hello.log !== log) { location.reload(); return; }
  log = hello.log;
  pause = FIRST_PAUSE;
  say('on', words.live);
  stale.hidden = true;
  if (since) touch('tasks', 'agents', 'queue', 'schedules', 'task', 'run');
  since = null;
  knowsCosts = false;
  output.follow(socket);
}

function connect() {
  clearTimeout(retry);
  const url = new URL(`${base}/live`, location.href);
  url.protocol = location.protocol === 'https:' ? 'wss:' : 'ws:';
  if (seq) url.searchParams.set('since', seq);
  if (task) url.searchParams.set('task', task.dataset.task);
  else if (document.querySelector('[data-costs]')) url.searchParams.set('costs', 1);
  socket = new WebSocket(url);
  socket.onmessage = ({ data }) => hear(JSON.parse(data));
  socket.onclose = lost;
}

function hear(message) {
  if (message.hello) found(message.hello);
  else if (message.event) happened(message.event);
  else if (message.resync) { seq = 0; touch('tasks', 'agents', 'queue', 'schedules', 'task', 'run'); }
  else if (message.run) touch('run');
  else if ('used' in message) uses(message.used);
  else if (message.costs) cost(message.costs);
  else output.hear(message);
}

// The page tells already what the connection tells first.
function uses(mark) {
  if (mark !== used) touch('used');
  used = mark;
}

// What tasks cost that run stands in the page's cells; their sums are loaded anew. It is told at first of all that run.
function cost(costs) {
  for (const cell of document.querySelectorAll('[data-cost]')) {
    const now = costs[cell.dataset.cost];
    if (now && cell.textContent !== now) cell.textContent = now;
  }
  if (knowsCosts) touch('used');
  knowsCosts = true;
}

function happened(event) {
  if (event.seq <= seq) return;
  seq = event.seq;
  touch(event.topic);
  if (event.topic !== 'tasks') return;
  if (task && event.id === task.dataset.task) {
    touch('task');
    output.attempted(event, socket);
  }
  notify(event);
}

// The tab says how many tasks wait.
function count() {
  const waiting = Number(document.getElementById('nav-waiting')?.dataset.waiting) || 0;
  const title = document.body.dataset.title;
  document.title = `${waiting ? `(${waiting}) ` : ''}${title} · Conductor`;
}

const ASKED = 'conductor.notify';
function offer() {
  const button = document.getElementById('notify');
  if (!button || !('Notification' in window) || Notification.permission === 'denied') return;
  const on = () => Notification.permission === 'granted' && localStorage.getItem(ASKED) === '1';
  const show = () => { button.setAttribute('aria-pressed', on()); button.title = on() ? words.notifying : ''; };
  button.hidden = false;
  show();
  button.addEventListener('click', async () => {
    if (on()) localStorage.removeItem(ASKED);
    else if (await Notification.requestPermission() === 'granted') localStorage.setItem(ASKED, '1');
    show();
  });
}

function notify(event) {
  const asks = event.kind === 'task_asked';
  if (!asks && event.state !== 'failed') return;
  if (!('Notification' in window) || Notification.permission !== 'granted' || localStorage.getItem(ASKED) !== '1') return;
  const note = new Notification(asks ? words.asks : words.failed, { body: event.failure?.message || event.name || event.id, tag: event.id });
  note.onclick = () => { window.focus(); location.assign(`${base}/tasks/${encodeURIComponent(event.id)}`); };
}

export function start() {
  count();
  offer();
  document.addEventListener('patched', count);
  // A page that comes back from the cache, or from sleep, connects at once.
  window.addEventListener('pageshow', (event) => { if (event.persisted && !socket) connect(); });
  window.addEventListener('online', () => { if (!socket) connect(); });
  connect();
}
