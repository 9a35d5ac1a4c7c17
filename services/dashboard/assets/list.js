// The list of tasks: filters apply as they are chosen, are kept by name, and two rows can be compared.
const KEPT = 'conductor.filters';
const MOST = 20;
const words = JSON.parse(document.body.dataset.words || '{}');
const base = document.documentElement.dataset.base || '';
const form = document.getElementById('filter');

function kept() {
  try { return JSON.parse(localStorage.getItem(KEPT)) || []; } catch { return []; }
}

function keep(filters) {
  localStorage.setItem(KEPT, JSON.stringify(filters.slice(-MOST)));
  show();
}

function show() {
  const box = document.getElementById('saved');
  const query = current();
  const filters = kept();
  box.hidden = !filters.length && !query;
  box.firstElementChild.hidden = !filters.length;
  document.getElementById('save-filter').hidden = !query || filters.some((it) => it.query === query);
  box.querySelector('ul').replaceChildren(...filters.map((it) => {
    const [item, link, remove] = [document.createElement('li'), document.createElement('a'), document.createElement('button')];
    link.href = `${base}/tasks?${it.query}`;
    link.textContent = it.name;
    remove.type = 'button';
    remove.className = 'plain';
    remove.textContent = '×';
    remove.setAttribute('aria-label', `${words.remove} ${it.name}`);
    remove.addEventListener('click', () => keep(kept().filter((other) => other.query !== it.query)));
    item.append(link, remove);
    return item;
  }));
}

function current() {
  const params = new URLSearchParams(location.search);
  for (const name of ['cursor', 'did']) params.delete(name);
  for (const [name, value] of [...params]) if (!value) params.delete(name);
  return params.toString();
}

function pick() {
  const picked = [...document.querySelectorAll('#list .pick input:checked')];
  const form = document.getElementById('picked');
  if (form) {
    form.hidden = !picked.length;
    form.elements.ids.value = picked.map((box) => box.value).join(' ');
    for (const count of form.querySelectorAll('.count')) count.textContent = picked.length;
  }
  const compare = document.getElementById('compare');
  if (!compare) return;
  compare.hidden = picked.length !== 2;
  if (picked.length === 2) compare.href = compare.dataset.href + picked.map((box) => box.value).join('/');
}

export function start() {
  if (!form) return;
  form.addEventListener('change', (event) => { if (event.target.matches('[type=checkbox], select')) form.requestSubmit(); });
  // Empty fields are no part of the address.
  form.addEventListener('formdata', ({ formData }) => {
    for (const [name, value] of [...formData]) if (!value || (name === 'sort' && value === 'created') || (name === 'rows' && value === '100')) formData.delete(name);
    for (const box of form.querySelectorAll('[name=state]:checked')) if (!formData.getAll('state').includes(box.value)) formData.append('state', box.value);
  });
  document.getElementById('save-filter').addEventListener('click', () => {
    const name = window.prompt(words.name, current().replaceAll('&', ' ').slice(0, 40));
    if (name) keep([...kept(), { name: name.slice(0, 60), query: current() }]);
  });
  document.getElementById('list').addEventListener('change', pick);
  // With the shift key, all rows from the last one that was picked.
  let last = null;
  document.getElementById('list').addEventListener('click', (event) => {
    const box = event.target;
    if (!box.matches('.pick input')) return;
    const boxes = [...document.querySelectorAll('#list .pick input')];
    const [from, to] = [boxes.indexOf(last), boxes.indexOf(box)].sort((a, b) => a - b);
    if (event.shiftKey && from >= 0) for (const between of boxes.slice(from, to + 1)) between.checked = box.checked;
    last = box;
    pick();
  });
  document.addEventListener('patched', pick);
  show();
}
