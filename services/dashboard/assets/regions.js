// Regions of the page are loaded anew when what they show has changed, and only what differs in them is touched.
import { localize } from './times.js';

const LEAST_PAUSE = 350;
const SLOW_PAUSE = 5000;
// A page that nobody sees is kept true too, for the count in its title, but in no hurry.
const HIDDEN_PAUSE = 5000;
const FOCUSABLE = 'a[href], button, input, select, textarea, summary, [tabindex]';
let wanted = new Set();
let timer = 0;
let running = false;
let took = 0;
let lastSlow = 0;
let slowTimer = 0;
const postponed = new Set();

export function isHeld(region) {
  // What somebody is typing or choosing is not taken from them.
  const active = document.activeElement;
  if (active && region.contains(active) && active.matches('input, textarea, select')) return active.type !== 'checkbox';
  return [...region.querySelectorAll('[data-keep-typing] textarea')].some((area) => area.value !== '');
}

// Says that topics have changed: every region that shows one of them is loaded anew soon.
export function touch(...topics) {
  for (const topic of topics) wanted.add(topic);
  const pause = document.hidden ? HIDDEN_PAUSE : Math.max(LEAST_PAUSE, took * 2);
  if (!timer && !running) timer = setTimeout(load, pause);
}

// What is loaded seldom is loaded once more after the last change.
function later(topics, pause) {
  for (const topic of topics) postponed.add(topic);
  slowTimer ||= setTimeout(() => {
    slowTimer = 0;
    touch(...postponed);
    postponed.clear();
  }, pause);
}

document.addEventListener('visibilitychange', () => {
  if (document.hidden || !timer) return;
  clearTimeout(timer);
  load();
});

function due() {
  const pause = lastSlow + SLOW_PAUSE - Date.now();
  const regions = [];
  for (const region of document.querySelectorAll('[data-region]')) {
    const topics = region.dataset.region.split(' ');
    const changed = topics.filter((topic) => wanted.has(topic));
    if (!changed.length) continue;
    if (topics.includes('slow') && pause > 0) { later(changed, pause); continue; }
    if (topics.includes('slow')) lastSlow = Date.now();
    regions.push(region);
  }
  return regions;
}

async function load() {
  timer = 0;
  const regions = due();
  wanted = new Set();
  if (!regions.length) return;
  running = true;
  const began = performance.now();
  try {
    const response = await fetch(location.href, { headers: { accept: 'text/html' }, credentials: 'same-origin' });
    if (response.redirected && new URL(response.url).pathname.endsWith('/login')) { location.assign(response.url); return; }
    if (response.ok) {
      const page = new DOMParser().parseFromString(await response.text(), 'text/html');
      keepingFocus(() => {
        for (const region of regions) {
          const fresh = region.id && page.getElementById(region.id);
          if (fresh && isHeld(region)) sayGone(region, fresh);
          else if (fresh) patch(region, fresh);
        }
      });
      document.dispatchEvent(new CustomEvent('patched'));
    }
  } catch { /* The connection says that it is gone. */ } finally {
    took = performance.now() - began;
    running = false;
    if (wanted.size) touch();
  }
}

// What somebody is answering stays before them, but for its buttons, when it is not asked any more.
function sayGone(region, fresh) {
  for (const asked of region.querySelectorAll('[data-keep-typing]')) {
    const gone = asked.querySelector('[data-gone]');
    if (!gone || [...fresh.children].some((it) => it.dataset.key === asked.dataset.key)) continue;
    gone.hidden = false;
    for (const button of asked.querySelectorAll('button')) button.disabled = true;
  }
}

document.addEventListener('focusout', (event) => {
  if (event.target.closest?.('[data-keep-typing]')?.querySelector('[data-gone]:not([hidden])')) setTimeout(() => touch('task'));
});

// Who is somewhere with the keyboard stays there; where that is gone, at what came next to it.
function keepingFocus(change) {
  const at = document.activeElement;
  const all = at && at !== document.body ? [...document.querySelectorAll(FOCUSABLE)] : [];
  change();
  const from = all.indexOf(at);
  if (from < 0 || document.activeElement === at) return;
  const near = [...all.slice(from), ...all.slice(0, from).reverse()];
  near.find((it) => it.isConnected && !it.disabled && it.offsetParent !== null)?.focus({ preventScroll: true });
}

// What is open, and the row that the keys led to, are the reader's own.
function attributes(old, fresh) {
  const led = old.classList.contains('at');
  for (const { name, value } of [...fresh.attributes]) if (old.getAttribute(name) !== value) old.setAttribute(name, value);
  for (const { name } of [...old.attributes]) if (!fresh.hasAttribute(name) && !(old.matches('details') && name === 'open')) old.removeAttribute(name);
  if (led) old.classList.add('at');
}

// Makes `old` like `fresh`: its attributes, and those of its children that differ.
export function patch(old, fresh) {
  attributes(old, fresh);
  children(old, fresh);
}

function like(a, b) {
  if (a.nodeType !== b.nodeType || a.nodeName !== b.nodeName) return false;
  return a.nodeType !== 1 || (a.dataset?.key ?? '') === (b.dataset?.key ?? '') && a.id === b.id;
}

function children(old, fresh) {
  const keyed = new Map();
  for (const child of old.children) if (child.dataset?.key) keyed.set(child.dataset.key, child);
  const stays = new Set([...fresh.children].map((child) => child.dataset?.key));
  let at = old.firstChild;
  const passGone = () => {
    // What is gone goes first, with the space after it, so that nothing is moved, which would take the focus from it.
    while (at?.dataset?.key && !stays.has(at.dataset.key)) {
      if (at.nextSibling?.nodeType === 3) at.nextSibling.remove();
      const next = at.nextSibling;
      at.remove();
      at = next;
    }
  };
  for (const node of [...fresh.childNodes]) {
    passGone();
    const key = node.nodeType === 1 && node.dataset?.key;
    const known = key ? keyed.get(key) : null;
    if (known && known !== at) old.insertBefore(known, at);
    const match = known ?? (at && like(at, node) ? at : null);
    if (!match) {
      const added = document.importNode(node, true);
      old.insertBefore(added, at);
      if (added.nodeType === 1) localize(added);
      continue;
    }
    if (match === at) at = at.nextSibling;
    if (match.nodeType === 1 && match.dataset.mark && match.dataset.mark === node.dataset.mark) continue;
    if (match.nodeType !== 1) {
      if (match.nodeValue !== node.nodeValue) match.nodeValue = node.nodeValue;
    } else if (match.matches('time, [data-since]')) {
      if (match.dateTime !== node.dateTime || match.dataset.since !== node.dataset.since) { patch(match, node); localize(match.parentNode); }
    } else if (match.matches('input, textarea')) {
      // What was typed or ticked stays.
    } else if (!match.isEqualNode(node)) {
      patch(match, node);
    }
  }
  while (at) { const next = at.nextSibling; at.remove(); at = next; }
}
