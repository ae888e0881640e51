'use strict';
// Shows the spans of one trace as a waterfall with its log lines, and lists traces.
const NANOSECONDS = 1e9;
const took = (span) => shown((span.ended - span.begun) / NANOSECONDS, 's');
function ordered(spans) {
  const known = new Set(spans.map((span) => span.span_id)), children = new Map();
  for (const span of spans) {
    const parent = known.has(span.parent_id) ? span.parent_id : '';
    children.set(parent, [...(children.get(parent) ?? []), span]);
  }
  const rows = [];
  const walk = (parent, depth) => (children.get(parent) ?? []).forEach((span) => { rows.push([span, depth]); walk(span.span_id, depth + 1); });
  walk('', 0);
  return rows;
}
function details(span) {
  const body = element('table');
  const row = (name, ...value) => body.append(element('tr', {}, element('td', {}, name), element('td', { class: 'wide' }, ...value)));
  row('service', span.service); row('kind', span.kind); row('span id', span.span_id);
  row('began', new Date(span.begun / 1e6).toISOString());
  for (const [name, value] of Object.entries(span.attributes)) row(name, String(value));
  for (const event of span.events) row('event', event);
  for (const link of span.links) row('link', element('a', { href: `/trace/${link.trace_id}#${link.span_id}` }, link.trace_id));
  return body;
}
function waterfall(spans) {
  const start = Math.min(...spans.map((span) => span.begun)), whole = Math.max(...spans.map((span) => span.ended)) - start || 1;
  const list = element('div', { class: 'spans' });
  for (const [span, depth] of ordered(spans)) {
    const bar = element('i');
    bar.style.left = `${(100 * (span.begun - start)) / whole}%`;
    bar.style.width = `max(2px, ${(100 * (span.ended - span.begun)) / whole}%)`;
    const name = element('span', { class: 'name' }, span.name, element('small', {}, ` ${span.service}`));
    name.style.paddingLeft = `${Math.min(depth, 8) * 14}px`;
    const head = element('summary', {}, name, element('span', { class: 'lane' }, bar), element('span', { class: 'took' }, took(span)));
    const failed = span.status === 'error' ? ' failed' : '';
    list.append(element('details', { id: span.span_id, class: `span${failed}` }, head, details(span)));
  }
  return list;
}
async function showTrace() {
  const root = document.getElementById('trace'), id = root.dataset.id;
  root.append(element('h1', {}, 'Trace'), element('p', { class: 'note id' }, id));
  const found = await (await fetch(`/api/trace/${id}`)).json();
  if (found.spans) {
    const services = [...new Set(found.spans.map((span) => span.service))].join(', ');
    const ends = { begun: Math.min(...found.spans.map((span) => span.begun)), ended: Math.max(...found.spans.map((span) => span.ended)) };
    root.append(element('p', { class: 'note' }, `${found.spans.length} spans of ${services}, ${took(ends)}, from ${new Date(ends.begun / 1e6).toISOString()}`), waterfall(found.spans));
    for (const link of found.linked_from) root.append(element('p', {}, 'Linked from ', element('a', { href: `/trace/${link.trace_id}` }, link.trace_id)));
  } else root.append(element('p', { class: 'fault' }, found.error ?? 'no spans'));
  const lines = await (await fetch(`/api/logs?trace=${id}&minutes=1440`)).json();
  root.append(element('h2', {}, 'Logs of this trace'), element('p', { class: 'note' }, `${lines.length} lines, newest first`), tableOfLines(lines));
}
async function showTraces() {
  const root = document.getElementById('traces'), address = new URLSearchParams(location.search);
  const form = element('form', { class: 'controls', action: '/traces' });
  for (const [name, label] of [['minutes', 'Minutes'], ['min_ms', 'At least ms']]) form.append(element('label', {}, `${label} `, element('input', { name, size: 6, value: address.get(name) ?? (name === 'minutes' ? '15' : '0') })));
  const failed = element('input', { type: 'checkbox', name: 'errors', value: 'true' });
  failed.checked = address.get('errors') === 'true';
  form.append(element('label', {}, failed, ' failed only'), element('button', {}, 'Search'));
  root.append(element('h1', {}, 'Traces'), form);
  const reply = await fetch(`/api/traces?${address}`), traces = await reply.json();
  if (!Array.isArray(traces)) { root.append(element('p', { class: 'fault' }, traces.error)); return; }
  const body = element('table');
  root.append(element('p', { class: 'note' }, `${traces.length} traces, newest first`), body);
  for (const trace of traces) {
    const name = element('td', { class: 'wide' }, element('a', { href: `/trace/${trace.trace_id}` }, trace.name), element('div', { class: 'note' }, trace.services.join(', ')));
    body.append(element('tr', trace.failed ? { class: 'fault' } : {}, element('td', {}, new Date(trace.begun / 1e6).toISOString()), name, element('td', {}, `${trace.spans} spans`), element('td', {}, took(trace))));
  }
}
