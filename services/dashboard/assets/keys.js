// The keyboard: single keys, as long as nobody is typing.
import { toggle } from './output.js';

const base = document.documentElement.dataset.base || '';
const PLACES = { o: '/', t: '/tasks', q: '/queue', a: '/agents', s: '/schedules', u: '/audit', e: '/settings' };
const GO_TIME = 1200;
let goes = 0;

function rows() {
  return [...document.querySelectorAll('tbody tr[data-key], .rows .row')].filter((row) => row.offsetParent !== null);
}

function move(step) {
  const all = rows();
  if (!all.length) return;
  const led = all.findIndex((row) => row.classList.contains('at'));
  const at = led >= 0 ? led : all.findIndex((row) => row.contains(document.activeElement));
  const next = all[Math.min(all.length - 1, Math.max(0, at + step))] ?? all[0];
  all[led]?.classList.remove('at');
  next.classList.add('at');
  (next.querySelector('a') ?? next).focus({ preventScroll: true });
  next.scrollIntoView({ block: 'nearest' });
}

function press(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
  if (event.target.closest('input:not([type=checkbox]), textarea, select, dialog[open]')) return;
  const { key } = event;
  if (goes && Date.now() - goes < GO_TIME && PLACES[key]) { goes = 0; location.assign(base + PLACES[key]); return; }
  goes = 0;
  if (key === 'g') goes = Date.now();
  else if (key === 'n') location.assign(`${base}/tasks/new`);
  else if (key === 'j') move(1);
  else if (key === 'k') move(-1);
  else if (key === 'f') toggle();
  else if (key === 'x') document.querySelector('tr.at .pick input')?.click();
  else if (key === '?') document.getElementById('keys').showModal();
  else if (key === '/') {
    const search = document.querySelector('input[type=search]');
    if (!search) return;
    search.focus();
    search.select();
  } else return;
  event.preventDefault();
}

export function start() {
  if (document.body.dataset.live !== 'true') return;
  document.addEventListener('keydown', press);
  document.getElementById('keys-open')?.addEventListener('click', () => document.getElementById('keys').showModal());
}
