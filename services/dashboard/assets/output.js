// The output of the task: lines are made of pieces of text, and never of markup.
const MAX_LINES = 10000;
const DROPPED = 2000;
const MOST_EARLIER = 100000;
const NEAR_END = 40;
const box = document.getElementById('output');
let line = box?.lastElementChild ?? null;
let ended = true;
let returned = false;
let following = true;
let offset = Number(box?.dataset.offset) || 0;
let sgr = box?.dataset.sgr || '';
let attempt = Number(box?.dataset.attempt) || 0;
let over = box?.dataset.over === 'true';
let lines = box?.childElementCount || 0;
// Where the output that is shown begins.
let from = Number(box?.dataset.from) || 0;
let loading = false;
const said = JSON.parse(document.body.dataset.words || '{}');

function newLine() {
  line = document.createElement('span');
  line.className = 'l';
  // The end of the line is in it, so that what is copied has it.
  line.append('\n');
  box.append(line);
  lines += 1;
  ended = false;
}

function piece(classes, text) {
  if (ended || !line) newLine();
  if (returned) { line.replaceChildren('\n'); returned = false; }
  let node = document.createTextNode(text);
  if (classes) {
    const styled = document.createElement('i');
    styled.className = classes;
    styled.append(node);
    node = styled;
  }
  line.insertBefore(node, line.lastChild);
}

function print(pieces) {
  for (const it of pieces) {
    if (it === 0) {
      if (ended) newLine();
      ended = true;
      returned = false;
    } else if (it === 1) returned = true;
    else piece(it[0], it[1]);
  }
  // Who reads what lies before is not robbed of it.
  if (following && lines > MAX_LINES + DROPPED) {
    for (; lines > MAX_LINES; lines -= 1) box.firstElementChild.remove();
  }
  document.getElementById('no-output').hidden = true;
  if (following) box.scrollTop = box.scrollHeight;
  searchSoon();
}

// Follows on a new connection, from where the page stands.
export function follow(socket) {
  const task = document.getElementById('task');
  if (!task || !socket) return;
  if (box && !over && attempt) {
    socket.send(JSON.stringify({ follow: { id: task.dataset.task, attempt, offset, sgr } }));
  } else if (task.dataset.tab === 'activity' && !['succeeded', 'failed', 'cancelled'].includes(task.dataset.state)) {
    socket.send(JSON.stringify({ follow: { id: task.dataset.task, attempt: 1, offset: 0, run: true } }));
  }
}

// A new attempt has an output of its own.
export function attempted(event, socket) {
  if (!box || event.kind !== 'task_assigned' || event.attempt <= attempt) return;
  if (new URLSearchParams(location.search).has('attempt')) return;
  box.replaceChildren();
  line = null; ended = true; returned = false; offset = 0; sgr = ''; lines = 0; over = false; from = 0;
  document.getElementById('cut').hidden = true;
  attempt = event.attempt;
  follow(socket);
}

export function hear(message) {
  if (!box) return;
  if (message.out) { offset = message.next; sgr = message.sgr; print(message.out); }
  else if (message.over) over = true;
}

// Loads what lies before the first line that is shown.
async function earlier() {
  if (!from || loading || lines > MOST_EARLIER) return false;
  loading = true;
  setFollowing(false);
  try {
    const url = new URL(location.href);
    for (const [name, value] of [['attempt', attempt], ['before', from]]) url.searchParams.set(name, value);
    const response = await fetch(url, { headers: { accept: 'text/html' }, credentials: 'same-origin' });
    if (!response.ok || response.redirected) return false;
    const page = new DOMParser().parseFromString(await response.text(), 'text/html');
    const fresh = page.getElementById('output');
    const cut = document.getElementById('cut');
    if (!fresh) return false;
    const [height, top] = [box.scrollHeight, box.scrollTop];
    const found = [...fresh.children].map((node) => document.importNode(node, true));
    box.prepend(...found);
    lines += found.length;
    line = box.lastElementChild;
    box.scrollTop = top + box.scrollHeight - height;
    from = Number(fresh.dataset.from) || 0;
    cut.firstElementChild.textContent = page.getElementById('cut').firstElementChild.textContent;
    cut.hidden = from === 0;
    return true;
  } catch {
    return false;
  } finally {
    loading = false;
  }
}

// Looks further back for what is searched and not in what is shown.
async function searchEarlier() {
  while (find.value && !hits.length && await earlier()) search(false);
  if (hits.length) { at = 0; go(-1); }
}

function setFollowing(on) {
  following = on;
  document.getElementById('follow').setAttribute('aria-pressed', on);
  if (on) box.scrollTop = box.scrollHeight;
}

export function toggle() {
  if (box) setFollowing(!following);
}

// Search.
const find = document.getElementById('find');
let hits = [];
let at = -1;
let searching = 0;

function searchSoon() {
  if (!find?.value || searching) return;
  searching = setTimeout(() => { searching = 0; search(false); }, 200);
}

function search(jump) {
  const text = find.value.toLowerCase();
  for (const hit of hits) hit.classList.remove('hit', 'at');
  hits = text ? [...box.children].filter((line) => line.textContent.toLowerCase().includes(text)) : [];
  for (const hit of hits) hit.classList.add('hit');
  if (jump) { at = -1; if (hits.length) go(1); }
  tell();
}

function go(step) {
  if (!hits.length) return;
  hits[at]?.classList.remove('at');
  at = (at + step + hits.length) % hits.length;
  hits[at].classList.add('at');
  setFollowing(false);
  hits[at].scrollIntoView({ block: 'center' });
  tell();
}

function tell() {
  const none = from ? said.nowhere : '0/0';
  document.getElementById('found').textContent = !find.value ? '' : hits.length ? `${at + 1}/${hits.length}` : none;
}

export function start() {
  if (!box) return;
  // The last line goes on when the server cut it there: it has no end of its own yet.
  const last = box.lastElementChild;
  ended = !last || last.dataset.open === undefined;
  if (!ended && last.lastChild.length > 1) last.lastChild.splitText(last.lastChild.length - 1);
  if (over) setFollowing(false); else box.scrollTop = box.scrollHeight;
  document.getElementById('follow').addEventListener('click', toggle);
  document.getElementById('earlier').addEventListener('click', (event) => { event.preventDefault(); earlier().then(() => { if (find.value) search(false); }); });
  let before = box.scrollTop;
  box.addEventListener('scroll', () => {
    const isAtEnd = box.scrollHeight - box.scrollTop - box.clientHeight < NEAR_END;
    if (box.scrollTop < before - 2 && !isAtEnd) setFollowing(false);
    else if (isAtEnd && !following && !over && !find.value) setFollowing(true);
    before = box.scrollTop;
  }, { passive: true });
  find.addEventListener('input', () => search(true));
  find.addEventListener('keydown', (event) => {
    if (event.key === 'Enter') { event.preventDefault(); if (hits.length) go(event.shiftKey ? -1 : 1); else searchEarlier(); }
    if (event.key === 'Escape') { find.value = ''; search(true); box.focus(); }
  });
  document.getElementById('find-next').addEventListener('click', () => go(1));
  document.getElementById('find-prev').addEventListener('click', () => go(-1));
}
