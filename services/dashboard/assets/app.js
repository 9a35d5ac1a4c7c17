// The page is whole without this: it only keeps it true, and makes it quicker to use.
import { start as startLive } from './live.js';
import { start as startKeys } from './keys.js';
import { start as startList } from './list.js';
import { start as startNew } from './new.js';
import { start as startOutput } from './output.js';
import { start as startTimes } from './times.js';

const body = document.body;
export const words = JSON.parse(body.dataset.words || '{}');
export const base = document.documentElement.dataset.base || '';

// Buttons that ask first, open a dialog, close one or copy.
document.addEventListener('click', (event) => {
  const button = event.target.closest('button');
  if (!button) return;
  if (button.dataset.confirm && !window.confirm(button.dataset.confirm)) event.preventDefault();
  if (button.dataset.dialog) document.getElementById(button.dataset.dialog).showModal();
  if ('close' in button.dataset) button.closest('dialog').close();
  if (button.dataset.copy) copy(button);
});

async function copy(button) {
  const text = document.getElementById(button.dataset.copy).textContent.trim();
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    const selection = getSelection();
    selection.selectAllChildren(document.getElementById(button.dataset.copy));
    return;
  }
  const label = button.querySelector('svg') ? null : button.textContent;
  if (label !== null) button.textContent = words.copied;
  else button.title = words.copied;
  setTimeout(() => { if (label !== null) button.textContent = label; }, 1500);
}

// A second click sends nothing a second time.
document.addEventListener('submit', (event) => {
  const form = event.target;
  if (form.method !== 'post' || event.defaultPrevented) return;
  if (form.dataset.sent) { event.preventDefault(); return; }
  form.dataset.sent = '1';
  setTimeout(() => { delete form.dataset.sent; }, 4000);
});

// What was done is said once, and not again when the page is loaded anew.
if (location.search.includes('did=')) {
  const url = new URL(location.href);
  url.searchParams.delete('did');
  history.replaceState(null, '', url);
}

const zone = document.getElementById('time-zone');
if (zone && !zone.value) zone.value = Intl.DateTimeFormat().resolvedOptions().timeZone || '';

document.getElementById('login-link')?.requestSubmit();
if (document.getElementById('retrying')) setTimeout(() => location.reload(), 2000);

// Where the navigation is one line that scrolls, the page that is open is in sight.
const nav = document.querySelector('.side nav');
const here = nav?.querySelector('[aria-current]');
if (here && nav.scrollWidth > nav.clientWidth) nav.scrollLeft = here.offsetLeft - nav.clientWidth / 3;

startTimes();
startKeys();
startList();
startNew();
startOutput();
if (body.dataset.live === 'true') startLive();
