'use strict';
// Shows a Grafana board from its JSON, and searches logs. It draws time series, figures and tables, and names other kinds of panels.
const RANGES = { 'now-15m': 900, 'now-1h': 3600, 'now-6h': 21600, 'now-24h': 86400 };
const COLOURS = ['#3b82f6', '#f59e0b', '#10b981', '#ef4444', '#8b5cf6', '#ec4899', '#14b8a6', '#a3a3a3', '#84cc16', '#f97316'];
const NAMED = { red: '#dc3545', yellow: '#e0a800', orange: '#f97316', green: '#2e9e5b', blue: '#3b82f6' };
// LINES_MAX: the server's MATCHES.
const LINES_MAX = 500, POINTS = 240, HEIGHT = 170, SERIES_MAX = 20;
const element = (tag, attributes = {}, ...children) => {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) name === 'class' ? (made.className = value) : made.setAttribute(name, value);
  made.append(...children);
  return made;
};
const scaled = (value, base, units) => {
  let at = 0;
  while (Math.abs(value) >= base && at < units.length - 1) { value /= base; at += 1; }
  return `${Number(value.toPrecision(3))}${units[at]}`;
};
function shown(value, unit) {
  if (!Number.isFinite(value)) return 'no value';
  if (unit === 'percentunit') return `${Number((value * 100).toPrecision(4))} %`;
  if (unit === 'percent') return `${Number(value.toPrecision(4))} %`;
  if (unit === 's') {
    const size = Math.abs(value);
    if (size !== 0 && size < 1) return size < 0.001 ? `${Number((value * 1e6).toPrecision(3))} µs` : `${Number((value * 1e3).toPrecision(3))} ms`;
    for (const [seconds, name] of [[86400, 'd'], [3600, 'h'], [60, 'min']]) if (size >= seconds) return `${Number((value / seconds).toPrecision(3))} ${name}`;
    return `${Number(value.toPrecision(3))} s`;
  }
  if (unit === 'bytes' || unit === 'Bps') return scaled(value, 1024, [' B', ' KiB', ' MiB', ' GiB', ' TiB']) + (unit === 'Bps' ? '/s' : '');
  const rate = { ops: ' /s', reqps: ' /s', cps: ' /s', wps: ' /s' }[unit] ?? '';
  return scaled(value, 1000, ['', ' k', ' M', ' G']) + rate;
}
const named = (metric, legend) => {
  if (!legend || legend === '__auto') {
    const labels = Object.entries(metric).filter(([name]) => name !== '__name__').map(([name, value]) => `${name}=${value}`);
    return labels.join(' ') || metric.__name__ || 'value';
  }
  return legend.replace(/\{\{\s*([\w]+)\s*\}\}/g, (_, label) => metric[label] ?? '').trim() || 'value';
};
function variables(board, address) {
  const found = {};
  for (const variable of board.templating.list) {
    const given = address.getAll(`var-${variable.name}`);
    if (variable.type === 'query') found[variable.name] = given.length && given[0] !== '$__all' ? given.join('|') : variable.allValue ?? '.+';
    else found[variable.name] = given[0] ?? variable.current?.value ?? variable.query;
  }
  return found;
}
const filled = (text, values, interval) => {
  let out = text.replaceAll('$__rate_interval', interval).replaceAll('$__interval', interval);
  for (const name of Object.keys(values).sort((a, b) => b.length - a.length)) out = out.replaceAll(`\${${name}}`, values[name]).replaceAll(`$${name}`, values[name]);
  return out;
};
async function asked(what, parameters) {
  const reply = await fetch(`/api/${what}?${new URLSearchParams(parameters)}`);
  const answer = await reply.json();
  if (answer.status !== 'success') throw new Error(answer.error ?? 'Prometheus refused the query');
  return answer.data.result;
}
const thresholds = (panel) => panel.fieldConfig?.defaults?.thresholds?.steps ?? [];
const colourOf = (panel, value) => {
  let colour = 'green';
  for (const step of thresholds(panel)) if (step.value === null || value >= step.value) colour = step.color;
  return NAMED[colour] ?? colour;
};
// Grafana's text for a panel without data: the reason, where a healthy run has none.
const withoutData = (panel) => element('p', { class: 'note' }, panel.fieldConfig?.defaults?.noValue ?? 'No data');
// Marks of an axis at round minutes, hours and powers of 1024.
const INCREMENTS = {
  s: [1e-6, 1e-5, 1e-4, 1e-3, 2e-3, 5e-3, 1e-2, 2e-2, 5e-2, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 14400, 21600, 43200, 86400, 172800, 432000, 864000, 2592000],
  bytes: Array.from({ length: 45 }, (_, power) => 2 ** power),
};
INCREMENTS.Bps = INCREMENTS.bytes;
// uPlot's own range of a constant 0 ends at 100, which is 10,000 % of a share.
function rangeOf(unit, limits) {
  const least = unit === 'percentunit' ? 0.01 : 1;
  return (_, low, high) => {
    if (low === null) return [0, least];
    if (low !== high) return uPlot.rangeNum(low, high, 0.1, true);
    if (low === 0) return [0, Math.max(least, ...limits.map((limit) => limit.value * 1.25))];
    return low > 0 ? [0, low * 1.5] : [low * 1.5, 0];
  };
}
async function stat(panel, card, values, time) {
  const lines = [];
  for (const target of panel.targets) {
    for (const series of await asked('query', { query: filled(target.expr, values, '1m'), time: time.end })) {
      const value = Number(series.value[1]);
      // 0 / 0: a share of nothing.
      if (Number.isNaN(value)) continue;
      const line = element('div', { class: 'stat' }, shown(value, panel.fieldConfig.defaults.unit), element('small', {}, ` ${named(series.metric, target.legendFormat)}`));
      line.style.color = colourOf(panel, value);
      lines.push(line);
    }
  }
  card.append(...(lines.length ? lines : [withoutData(panel)]));
}
async function table(panel, card, values, time) {
  const body = element('table');
  for (const target of panel.targets) {
    for (const series of await asked('query', { query: filled(target.expr, values, '1m'), time: time.end })) {
      const labels = Object.entries(series.metric).filter(([name]) => name !== '__name__').map(([name, value]) => `${name}=${value}`).join(' ');
      body.append(element('tr', {}, element('td', { class: 'wide' }, labels), element('td', {}, shown(Number(series.value[1]), panel.fieldConfig.defaults.unit))));
    }
  }
  card.append(body.children.length ? body : withoutData(panel));
}
async function timeseries(panel, card, values, time) {
  const unit = panel.fieldConfig.defaults.unit, all = [];
  for (const target of panel.targets) {
    const interval = `${Math.max(4 * time.step, 60)}s`;
    const range = { query: filled(target.expr, values, interval), start: time.start, end: time.end, step: time.step };
    for (const series of await asked('query_range', range)) all.push({ name: named(series.metric, target.legendFormat), values: series.values });
  }
  const isEmpty = all.every((series) => series.values.every(([, value]) => value === 'NaN'));
  if (isEmpty) { card.append(withoutData(panel)); return; }
  const largest = (series) => series.values.reduce((most, [, value]) => (Math.abs(value) > most ? Math.abs(value) : most), 0);
  if (all.length > SERIES_MAX) all.sort((one, other) => largest(other) - largest(one));
  const drawn = all.slice(0, SERIES_MAX), times = [];
  for (let at = time.start; at <= time.end; at += time.step) times.push(at);
  const rows = drawn.map((series) => {
    const by = new Map(series.values.map(([at, value]) => [Math.round((at - time.start) / time.step), Number(value)]));
    return times.map((_, at) => (Number.isFinite(by.get(at)) ? by.get(at) : null));
  });
  const dark = matchMedia('(prefers-color-scheme: dark)').matches, ink = dark ? '#98a3b0' : '#5b6673', grid = dark ? '#2b323b' : '#e2e5ea';
  const limits = panel.fieldConfig.defaults.custom?.thresholdsStyle?.mode === 'line' ? thresholds(panel).filter((step) => step.value !== null) : [];
  const place = element('div');
  card.append(place);
  const options = {
    width: Math.max(place.clientWidth, 200), height: HEIGHT, legend: { show: false }, scales: { y: { range: rangeOf(unit, limits) } }, tzDate: (at) => uPlot.tzDate(new Date(at * 1000), 'UTC'),
    series: [{}, ...drawn.map((series, at) => ({ label: series.name, stroke: COLOURS[at % COLOURS.length], width: 1.5, points: { show: false } }))],
    axes: [{ stroke: ink, grid: { stroke: grid }, values: (_, ticks) => ticks.map((tick) => new Date(tick * 1000).toISOString().slice(11, 16)) }, { stroke: ink, grid: { stroke: grid }, size: (_, labels) => 16 + 7 * Math.max(5, ...(labels ?? []).map((label) => label.length)), ...(INCREMENTS[unit] ? { incrs: INCREMENTS[unit] } : {}), values: (_, ticks) => ticks.map((tick) => shown(tick, unit)) }],
    hooks: { draw: [(chart) => {
      for (const limit of limits) {
        const y = chart.valToPos(limit.value, 'y', true);
        if (y < chart.bbox.top || y > chart.bbox.top + chart.bbox.height) continue;
        chart.ctx.save(); chart.ctx.strokeStyle = NAMED[limit.color] ?? limit.color; chart.ctx.setLineDash([6, 4]); chart.ctx.beginPath();
        chart.ctx.moveTo(chart.bbox.left, y); chart.ctx.lineTo(chart.bbox.left + chart.bbox.width, y); chart.ctx.stroke(); chart.ctx.restore();
      }
    }] },
  };
  const chart = new uPlot(options, [times, ...rows], place);
  new ResizeObserver(() => chart.setSize({ width: Math.max(place.clientWidth, 200), height: HEIGHT })).observe(card);
  const legend = element('div', { class: 'legend' });
  drawn.forEach((series, at) => {
    const mark = element('i'); mark.style.background = COLOURS[at % COLOURS.length];
    const last = rows[at].findLast((value) => value !== null);
    legend.append(element('span', {}, mark, `${series.name}: ${last === undefined ? 'no value' : shown(last, unit)}`));
  });
  if (all.length > SERIES_MAX) legend.append(element('span', { class: 'fault' }, `the ${SERIES_MAX} largest of ${all.length} series are drawn`));
  card.append(legend);
}
function linksOfTime(start, end) {
  const time = `minutes=${Math.ceil((end - start) / 60)}&to=${Math.floor(end * 1000)}`;
  const links = [['Logs of this time', `/logs?${time}`], ['Failed requests of this time', `/logs?min_status=400&${time}`], ['Errors of this time', `/logs?level=error&${time}`]];
  return links.map(([title, href]) => element('a', { href }, title));
}
const KINDS = { stat, table, timeseries };
async function showBoard() {
  const root = document.getElementById('board'), address = new URLSearchParams(location.search);
  const board = await (await fetch(`/api/board/${root.dataset.uid}`)).json();
  const from = address.get('from') ?? 'now-1h', number = /^\d+$/;
  const end = number.test(address.get('to') ?? '') ? Number(address.get('to')) / 1000 : Date.now() / 1000;
  const start = number.test(from) ? Number(from) / 1000 : end - (RANGES[from] ?? 3600);
  const step = Math.max(5, Math.ceil((end - start) / POINTS));
  const time = { start: Math.floor(start / step) * step, end: Math.floor(end / step) * step, step };
  const values = variables(board, address), wanted = address.get('viewPanel');
  const choose = element('select');
  for (const name of Object.keys(RANGES)) choose.append(element('option', name === from ? { value: name, selected: '' } : { value: name }, name.replace('now-', 'last ')));
  choose.onchange = () => { address.set('from', choose.value); address.delete('to'); location.search = address; };
  root.append(element('h1', {}, board.title), element('p', { class: 'note' }, board.description),
    element('div', { class: 'links' }, ...(board.links ?? []).map((link) => element('a', { href: `${link.url}?from=${from}` }, link.title))),
    element('div', { class: 'controls' }, element('label', {}, 'Time ', choose, ' UTC'), ...linksOfTime(start, end)));
  const grid = element('div', { class: 'grid' });
  root.append(grid);
  const panels = wanted ? [...board.panels].filter((panel) => String(panel.id) === wanted).concat(board.panels.filter((panel) => String(panel.id) !== wanted)) : board.panels;
  for (const panel of panels) {
    if (panel.type === 'row') { grid.append(element('div', { class: 'row' }, panel.title)); continue; }
    const first = String(panel.id) === wanted;
    const card = element('section', { class: first ? 'panel wanted' : 'panel', id: `panel-${panel.id}` }, element('h3', {}, panel.title), element('p', { class: 'about' }, panel.description ?? ''));
    card.style.gridColumn = first ? '1 / -1' : `span ${panel.gridPos.w}`;
    grid.append(card);
    const draw = KINDS[panel.type];
    const after = () => card.append(element('div', { class: 'foot' }, ...(panel.links ?? []).map((link) => element('a', { href: filled(link.url, values, '1m') }, link.title))));
    if (!draw) { card.append(element('p', { class: 'fault' }, `This page does not draw panels of type ${panel.type}`)); after(); continue; }
    draw(panel, card, values, time).catch((error) => card.append(element('p', { class: 'fault' }, error.message))).finally(after);
  }
}
const FIELDS = [['trace', 'Trace id'], ['request', 'Request id'], ['program', 'Program'], ['level', 'Level'], ['route', 'Route'], ['min_ms', 'At least ms'], ['min_status', 'Status from'], ['text', 'Text'], ['minutes', 'Minutes']];
async function showLogs() {
  const root = document.getElementById('logs'), address = new URLSearchParams(location.search);
  const form = element('form', { class: 'controls', action: '/logs' });
  for (const [name, label] of FIELDS) form.append(element('label', {}, `${label} `, element('input', { name, value: address.get(name) ?? '', size: name === 'trace' ? 34 : 10 })));
  form.append(element('button', {}, 'Search'));
  root.append(element('h1', {}, address.get('trace') ? 'Logs of one trace' : 'Logs'), form);
  const state = element('p', { class: 'note' }, 'Searching…');
  root.append(state);
  const reply = await fetch(`/api/logs?${address}`);
  state.remove();
  if (!reply.ok) { root.append(element('p', { class: 'fault' }, await reply.text())); return; }
  const lines = await reply.json();
  root.append(element('p', { class: 'note' }, `${lines.length} lines, newest first${lines.length < LINES_MAX ? '' : '; older ones are not shown: narrow the search'}`), tableOfLines(lines));
}
function tableOfLines(lines) {
  const body = element('table');
  for (const line of lines) {
    const trace = line['trace.id'] ? element('a', { class: 'trace', href: `/trace/${line['trace.id']}` }, line['trace.id']) : '';
    const rest = Object.entries(line).filter(([name]) => !['@timestamp', 'log.level', 'message', 'program', 'trace.id', 'ecs.version'].includes(name)).map(([name, value]) => `${name}=${typeof value === 'object' ? JSON.stringify(value) : value}`).join(' ');
    body.append(element('tr', {}, element('td', {}, line['@timestamp']), element('td', {}, `${line.program} ${line['log.level'] ?? ''}`), element('td', { class: 'wide' }, line.message ?? '', element('div', { class: 'note' }, rest)), element('td', {}, trace)));
  }
  return body;
}
