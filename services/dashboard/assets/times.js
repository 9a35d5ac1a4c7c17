// Times are written by the server in UTC; here they become local, and those that pass are kept true.
const lang = document.documentElement.dataset.lang;
const relative = new Intl.RelativeTimeFormat(lang, { style: 'narrow', numeric: 'always' });
const full = new Intl.DateTimeFormat(lang, { dateStyle: 'medium', timeStyle: 'medium' });
const clock = new Intl.DateTimeFormat(lang, { hour: '2-digit', minute: '2-digit', hourCycle: 'h23' });
const STEPS = [[86400, 'day'], [3600, 'hour'], [60, 'minute'], [1, 'second']];

function ago(at) {
  const seconds = (at - Date.now()) / 1000;
  if (Math.abs(seconds) < 5) return JSON.parse(document.body.dataset.words).now;
  const [size, unit] = STEPS.find(([size]) => Math.abs(seconds) >= size) || STEPS[3];
  return relative.format(Math.trunc(seconds / size), unit);
}

function lasting(since) {
  const s = Math.max(0, (Date.now() - since) / 1000);
  const two = (large, small, a, b) => small ? `${large}${a} ${small}${b}` : `${large}${a}`;
  if (s < 60) return `${Math.floor(s)} s`;
  if (s < 3600) return two(Math.floor(s / 60), Math.floor(s % 60), 'm', 's');
  if (s < 86400) return two(Math.floor(s / 3600), Math.floor(s / 60 % 60), 'h', 'm');
  return two(Math.floor(s / 86400), Math.floor(s / 3600 % 24), 'd', 'h');
}

function put(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

export function localize(root) {
  for (const time of root.querySelectorAll('time[data-ago]')) {
    const at = Date.parse(time.dateTime);
    put(time, ago(at));
    time.title = full.format(at);
  }
  for (const time of root.querySelectorAll('time[data-full]')) put(time, full.format(Date.parse(time.dateTime)));
  for (const text of root.querySelectorAll('text[data-clock]')) put(text, clock.format(Date.parse(text.dataset.clock)));
  for (const span of root.querySelectorAll('[data-since]')) put(span, lasting(Date.parse(span.dataset.since)));
}

export function start() {
  localize(document);
  setInterval(() => {
    for (const span of document.querySelectorAll('[data-since]')) put(span, lasting(Date.parse(span.dataset.since)));
  }, 1000);
  setInterval(() => localize(document), 20000);
}
