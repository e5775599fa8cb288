const $ = (id) => document.getElementById(id);
const KEPT = 500; // rows and announcements that the page keeps

function make(name, attributes = {}, ...children) {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  node.append(...children);
  return node;
}

function draw(name, attributes = {}, ...children) {
  const node = document.createElementNS('http://www.w3.org/2000/svg', name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  node.append(...children);
  return node;
}

function tell(node, text, bad = false) {
  node.textContent = text;
  node.classList.toggle('bad', bad);
}

function pill(id, state, text) {
  $(id).dataset.state = state;
  if ($(id).textContent !== text) $(id).textContent = text;
}

// ---- the API

async function send(path, body) {
  const answer = await fetch(path, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });
  readLimits(answer.headers);
  return answer;
}

async function submit(event, path, body, done) {
  event.preventDefault();
  try {
    const answer = await send(path, body);
    if (answer.ok) return done(answer);
    const wait = answer.headers.get('retry-after');
    const problem = await answer.json().catch(() => ({}));
    const said = problem.detail || problem.title || `status ${answer.status}`;
    tell($('said'), wait ? `${said} (again in ${wait} s)` : said, true);
  } catch {
    tell($('said'), 'The server cannot be reached.', true);
  }
}

$('pay').addEventListener('submit', (event) => {
  const memo = $('memo').value.trim();
  const body = { amount: $('amount').valueAsNumber, ...(memo && { memo }) };
  submit(event, '/api/transactions', body, () => {
    tell($('said'), '');
    $('memo').value = '';
  });
});

$('announce').addEventListener('submit', (event) =>
  submit(event, '/api/announcements', { text: $('text').value }, () => {
    tell($('said'), '');
    $('text').value = '';
  }));

$('session').addEventListener('submit', (event) => {
  const user = $('user').value;
  submit(event, '/api/session', { user }, () => {
    tell($('said'), `You are ${user} now.`);
    listen();
  });
});

// ---- events

const EVENT = {
  'transaction.created': showTransaction,
  announcement: showAnnouncement,
  'health.changed': showChange,
  'caught-up': () => {},
  reset: () => begin($('user').value), // the log is another one: load afresh
  superseded: () => { // by a newer page of this user: coming back would end that one
    follower.stop();
    pill('stream-state', 'fail', 'open elsewhere');
  },
};

const follower = new Follower(
  transportsOf(new URLSearchParams(location.search).get('transport')),
  Object.keys(EVENT),
  (type, data) => EVENT[type]?.(data && JSON.parse(data)),
  (state, transport) => {
    const [color, text] = { live: ['ok', 'live'], wait: ['wait', 'reconnecting'], refused: ['fail', 'refused'] }[state];
    $('transport').textContent = transport;
    pill('stream-state', color, text);
  },
);

function listen() {
  $('transactions').replaceChildren();
  $('announcements').replaceChildren();
  $('changes').replaceChildren();
  showEmpty();
  follower.begin();
}

const clock = new Intl.DateTimeFormat(undefined, { timeStyle: 'medium', hourCycle: 'h23' });

function showTransaction(row) {
  const at = new Date(row.at);
  const amount = Math.abs(row.amount) < 1e12
    ? row.amount.toLocaleString(undefined, { minimumFractionDigits: 2, maximumFractionDigits: 2 })
    : row.amount.toExponential(2);
  $('transactions').prepend(make('tr', { class: 'fresh', 'data-id': row.id },
    make('td', {}, String(row.id)),
    make('td', {}, row.memo ?? ''),
    make('td', { class: 'num' }, amount),
    make('td', { class: 'num' }, make('time', { datetime: row.at, title: at.toLocaleString() }, clock.format(at)))));
  keep($('transactions'));
}

function showAnnouncement({ text, at }) {
  $('announcements').prepend(make('li', { class: 'fresh' },
    make('span', {}, text),
    make('time', { class: 'end', datetime: at }, clock.format(new Date(at)))));
  keep($('announcements'));
}

function keep(list) {
  while (list.childElementCount > KEPT) list.lastElementChild.remove();
  showEmpty();
}

function showEmpty() {
  $('no-transactions').hidden = $('transactions').childElementCount > 0;
  $('no-announcements').hidden = $('announcements').childElementCount > 0;
}

// ---- rate limits: as each answer told them, refilled by the clock in between

const limits = new Map();

/** `"writes";q=10;w=1` and `"writes";r=9;t=1`: the lists of draft-ietf-httpapi-ratelimit-headers. */
function readList(value) {
  return [...(value ?? '').matchAll(/"([^"]*)"((?:;[a-z]+=[^,;]+)*)/g)].map(([, name, rest]) =>
    [name, Object.fromEntries(rest.split(';').filter(Boolean).map((pair) => pair.split('=')))]);
}

function readLimits(headers) {
  for (const [name, { q, w }] of readList(headers.get('ratelimit-policy'))) {
    limits.set(name, { ...limits.get(name), quota: Number(q), window: Number(w ?? 1) });
  }
  for (const [name, { r }] of readList(headers.get('ratelimit'))) {
    limits.set(name, { ...limits.get(name), left: Number(r), at: performance.now() });
  }
  showLimits();
}

function showLimits() {
  for (const [name, { quota, window, left, at }] of limits) {
    if (!(quota > 0) || !(left >= 0)) continue;
    const id = `limit-${name}`;
    if (!$(id)) {
      $('limits').append(make('div', { class: 'limit' },
        make('div', {}, make('label', { for: id }, name), make('span', { id: `${id}-text` })),
        make('meter', { id, min: 0 })));
    }
    const refilled = left + ((performance.now() - at) / 1000) * (quota / window);
    const now = Math.floor(Math.min(quota, refilled));
    const meter = $(id);
    [meter.max, meter.low, meter.high, meter.optimum] = [quota, quota / 5, quota / 2, quota];
    meter.value = now;
    $(`${id}-text`).textContent = `${now} of ${quota} per ${window === 1 ? 'second' : `${window} s`}`;
  }
}

setInterval(showLimits, 200);

$('burst').addEventListener('click', async () => {
  $('burst').disabled = true;
  // Empty documents: they count as writes and write nothing.
  const answers = await Promise.allSettled(Array.from({ length: 30 }, () => send('/api/announcements', {})));
  const got = answers.flatMap((answer) => answer.value ?? []);
  const refused = got.filter((answer) => answer.status === 429);
  const wait = refused[0]?.headers.get('retry-after');
  tell($('burst-result'), `${got.length - refused.length} let through, ${refused.length} refused with 429`
    + (wait ? `, to come again in ${wait} s.` : '.'));
  $('burst').disabled = false;
});

// ---- the headers of this page

async function showHeaders() {
  const { headers } = await fetch(location.href, { method: 'HEAD', cache: 'no-store' });
  readLimits(headers);
  $('headers').replaceChildren(...[...headers].flatMap(([name, value]) =>
    [make('dt', {}, name), make('dd', {}, value)]));
}

/** What is weak in them, and what was reported; what a report says is a stranger's word, and text. */
async function showReports() {
  const { findings, reports } = await (await fetch('/api/demo/headers', { cache: 'no-store' })).json();
  const list = (id, items) => {
    $(id).replaceChildren(...items.map((parts) => make('li', {}, ...parts)));
    $(`no-${id}`).hidden = items.length > 0;
  };
  list('findings', findings.map(({ severity, directive, value, help }) =>
    [make('strong', {}, severity), make('code', {}, `${directive} ${value}`), make('span', {}, help)]));
  list('reports', reports.map(({ directive, blocked, document }) =>
    [make('code', {}, directive), make('span', {}, blocked), make('span', { class: 'end' }, document)]));
}

const lookForReports = () => showReports().catch(() => {});

setInterval(() => document.hidden || lookForReports(), 3000);
$('violate').addEventListener('click', () => {
  new Image().src = '//elsewhere.invalid/pixel.png'; // img-src allows this origin and data: alone
});

// ---- health

const WORD = { pass: 'works', warn: 'degraded', fail: 'fails' };
const STATE = { pass: 'ok', warn: 'warn', fail: 'fail' };

/** What waits for another is not what is broken. */
const stateOf = ({ status, blockedBy }) => (blockedBy?.length ? 'wait' : STATE[status]);

const readable = (reason) => reason.replaceAll('_', ' ');

function describe({ status, reason, blockedBy, output }) {
  if (blockedBy?.length) return `blocked by ${blockedBy.join(', ')}`;
  return output ?? (reason ? `${WORD[status]}: ${readable(reason)}` : WORD[status]);
}

function measure({ latencyMs, observedValue, observedUnit }) {
  if (observedUnit === 'bytes') return `${(observedValue / 2 ** 30).toFixed(1)} GiB free`;
  return latencyMs === undefined ? '' : `${latencyMs.toFixed(1)} ms`;
}

let polling;

async function pollHealth() {
  clearTimeout(polling);
  try {
    const status = await (await fetch('/api/status', { cache: 'no-store' })).json();
    const dependencies = status.dependencies ?? [];
    const causes = status.rootCauses?.length ? `: ${status.rootCauses.join(', ')}` : '';
    pill('health-state', STATE[status.status], status.status === 'pass' ? 'healthy' : WORD[status.status] + causes);
    $('service').textContent = `${status.service} ${status.version}, up ${duration(status.uptimeSeconds)}`;
    $('dependencies').replaceChildren(...dependencies.map((one) =>
      make('li', { 'data-state': stateOf(one) },
        make('strong', {}, one.name), make('span', {}, describe(one)), make('span', { class: 'end' }, measure(one)))));
    drawGraph(dependencies);
  } catch {
    pill('health-state', 'fail', 'cannot be reached');
  }
  clearTimeout(polling);
  polling = setTimeout(pollHealth, document.hidden ? 10000 : 1500);
}

function showChange({ status, reasons, rootCauses, blocked, at }) {
  const causes = rootCauses.length ? `: ${rootCauses.join(', ')} (${reasons.map(readable).join(', ')})` : '';
  const waits = blocked.length ? `; ${blocked.join(', ')} blocked` : '';
  $('changes').prepend(make('li', { class: 'fresh', 'data-state': STATE[status] },
    make('span', {}, WORD[status] + causes + waits),
    make('time', { class: 'end', datetime: at }, clock.format(new Date(at)))));
  while ($('changes').childElementCount > 5) $('changes').lastElementChild.remove();
  clearTimeout(polling);
  polling = setTimeout(pollHealth, 100);
}

function duration(seconds) {
  if (seconds < 90) return `${Math.round(seconds)} s`;
  return seconds < 5400 ? `${Math.round(seconds / 60)} min` : `${(seconds / 3600).toFixed(1)} h`;
}

/** What depends on nothing stands left; what depends on it, right of it. */
function drawGraph(dependencies) {
  const parentsOf = (name) => dependencies.find((one) => one.name === name)?.dependsOn ?? [];
  const level = (name) => Math.max(0, ...parentsOf(name).map((parent) => 1 + level(parent)));
  const places = new Map();
  const rows = [];
  for (const one of dependencies) {
    const column = level(one.name);
    const row = rows[column] = (rows[column] ?? -1) + 1;
    places.set(one.name, { one, x: 4 + column * 200, y: 4 + row * 62 });
  }
  const height = 62 * (1 + Math.max(0, ...rows.filter((row) => row !== undefined)));
  const edges = dependencies.flatMap(({ name, dependsOn }) => (dependsOn ?? []).map((parent) => [parent, name]));
  const lines = edges.map(([parent, child]) => {
    const [from, to] = [places.get(parent), places.get(child)];
    return draw('line', { x1: from.x + 140, y1: from.y + 25, x2: to.x, y2: to.y + 25, 'data-state': stateOf(from.one) });
  });
  const boxes = [...places.values()].map(({ one, x, y }) => draw('g', { 'data-state': stateOf(one) },
    draw('rect', { x, y, width: 140, height: 50, rx: 8 }),
    draw('text', { x: x + 70, y: y + 22 }, one.name),
    draw('text', { x: x + 70, y: y + 39, class: 'state' }, one.blockedBy?.length ? 'blocked' : readable(one.reason ?? WORD[one.status]))));
  $('graph').setAttribute('viewBox', `0 0 ${8 + 200 * rows.length - 60} ${height}`);
  $('graph').replaceChildren($('graph-title'), ...lines, ...boxes);
}

$('lock').addEventListener('submit', (event) =>
  submit(event, '/api/demo/lock', { seconds: 10 }, () => tell($('said'), '')));

// ---- begin

/** Somebody, so that there is something to see at once; and whoever it was if the server has forgotten. */
async function begin(user) {
  $('user').value = user;
  await send('/api/session', { user }).catch(() => {});
  listen();
}

pollHealth();
showHeaders().catch(() => {});
lookForReports();
if (document.body.dataset.user) {
  $('user').value = document.body.dataset.user;
  listen();
} else {
  begin('u1');
}
