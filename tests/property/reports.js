// What a report says of a history, worked out from its events and the oracle's visits by proto/words.md and
// services/query/api.md, and random questions to ask of it.

import { tables } from './oracle.js';

// The texts of all ids of a history, as its strings are to be stored: an id and a name, as those of places are.
export const textOf = (id) => `text${id} named ${id}`;

const screenOf = (width) => (width < 576 ? 'phone' : width < 992 ? 'tablet' : width < 1440 ? 'laptop' : 'desktop');

// Of the fact itself; of what its visit began with, if that can be told; what none is called; what others are.
const DIMENSIONS = {
  'event:page': ['page', 'entry', '(not set)'], 'event:hostname': ['host', 'host', '(not set)'], 'event:name': ['name', null, 'pageview'],
  ...Object.fromEntries([['source', 'Direct / None'], ['referrer', 'Direct / None'], ['entry_page', '(not set)', 'entry'], ['exit_page', '(not set)', 'exit'],
    ['channel', 'Direct'], ['region', '(not set)', 'region', (id) => `text${id}`], ['region_name', '(not set)', 'region', (id) => `named ${id}`],
    ['city', '(not set)', 'city', (id) => `text${id}`], ['city_name', '(not set)', 'city', (id) => `named ${id}`], ['screen', '(not set)', 'screen_width', screenOf],
    ...['country', 'browser', 'browser_version', 'os', 'os_version', 'device', 'language', 'locale', 'brand', 'model', 'utm_source', 'utm_medium',
      'utm_campaign', 'utm_term', 'utm_content'].map((name) => [name, '(not set)'])]
    .map(([name, unknown, column = name, shown = textOf]) => [`visit:${name}`, [null, column, unknown, shown]])),
};
const OF_EVENTS = ['event:hostname', 'event:name'];
const METRICS = ['visitors', 'visits', 'pageviews', 'events', 'views_per_visit', 'bounce_rate', 'visit_duration', 'percentage'];
const OF_STARTED = ['views_per_visit', 'bounce_rate', 'visit_duration'];
const UNITS = ['hour', 'day', 'week', 'month'];
const MINUTE_MS = 60000, DAY_MS = 1440 * MINUTE_MS;

const iso = (ms) => new Date(ms).toISOString();
const dateOf = (ms) => iso(ms).slice(0, 10);
const second = (text) => BigInt(Date.parse(text)) * 1000n;

// 'YYYY-MM-DD HH' of a clock there.
function clockOf(zone) {
  const format = new Intl.DateTimeFormat('en-CA', { timeZone: zone, year: 'numeric', month: '2-digit', day: '2-digit', hour: '2-digit', hourCycle: 'h23' });
  return (ts) => {
    const parts = Object.fromEntries(format.formatToParts(Number(ts / 1000n)).map(({ type, value }) => [type, value]));
    return `${parts.year}-${parts.month}-${parts.day} ${parts.hour}`;
  };
}

function intervalOf(unit, clock, first) {
  const day = clock.slice(0, 10), at = Date.parse(day);
  if (unit === 'hour') return `${clock}:00:00`;
  if (unit === 'month') return `${day.slice(0, 8)}01`;
  if (unit === 'day') return day;
  const monday = dateOf(at - ((new Date(at).getUTCDay() + 6) % 7) * DAY_MS);
  return monday < first ? first : monday;
}

export function question(random, { events }) {
  const near = () => Number(random.pick(events).ts / 1000n) + random.between(-1500, 1500) * MINUTE_MS;
  const whole = random.between(0, 3) > 0, [from, to] = [near(), near()].sort((a, b) => a - b).map((ms) => (whole ? dateOf(ms) : `${iso(ms).slice(0, 19)}Z`));
  const names = random.shuffled(Object.keys(DIMENSIONS)).slice(0, random.pick([0, 1, 1, 1, 2]));
  const dimensions = random.between(0, 1) ? names : [`time:${random.pick(UNITS)}`, ...names];
  const told = !names.some((name) => OF_EVENTS.includes(name));
  const possible = METRICS.filter((name) => (name === 'percentage' ? dimensions.length : told || !OF_STARTED.includes(name)));
  return { date_range: [from, to], dimensions, metrics: random.between(0, 1) ? possible : [random.pick(possible)], ...(!random.between(0, 3) && { include: { bots: true } }) };
}

// The rows of its answer as texts, in no order.
export function answerTo({ date_range: [from, to], dimensions, metrics, include }, { events, zone }) {
  const clock = clockOf(zone), whole = from.length === 10, first = whole ? from : clock(second(from)).slice(0, 10);
  const unit = dimensions.find((name) => name.startsWith('time:'))?.slice(5), names = dimensions.filter((name) => DIMENSIONS[name]);
  const byPage = names.includes('event:page'), byEvents = names.some((name) => OF_EVENTS.includes(name)), byHour = unit === 'hour';
  const has = (ts) => (whole ? clock(ts).slice(0, 10) >= from && clock(ts).slice(0, 10) <= to : ts >= second(from) && ts < second(to) + 1_000_000n);
  const rows = new Map(), everyone = new Set();

  // The row of a fact, or of a visit by what it began with; null where there is no page to tell it by.
  const rowOf = (ts, visit, fact) => {
    const values = dimensions.map((name) => {
      if (!DIMENSIONS[name]) return intervalOf(unit, clock(ts), first);
      const [own, entered, unknown, shown = textOf] = DIMENSIONS[name], id = fact && own ? fact[own] : visit[entered];
      return id ? shown(id) : name === 'event:page' ? null : unknown;
    });
    if (values.includes(null)) return null;
    const key = values.join('|');
    if (!rows.has(key)) rows.set(key, { visitors: new Set(), visits: new Set(), pageviews: 0, events: 0, started: 0, bounces: 0, ms: 0, views: 0 });
    return rows.get(key);
  };

  const stored = tables(events, { 0: zone });
  for (const visit of stored.visit.filter(({ views, events: customs, bot }) => views + customs && (!bot || include?.bots))) {
    const facts = stored.event.filter(({ visitor, ts, kind }) => kind <= 2 && visitor === visit.visitor && ts >= visit.start_ts && ts <= visit.end_ts);
    const seen = (ts, fact) => rowOf(ts, visit, fact)?.visits.add(visit);
    for (const fact of facts.filter(({ ts }) => has(ts))) {
      const view = fact.kind === 1 ? 1 : 0, row = rowOf(fact.ts, visit, fact), entered = byEvents || byHour ? null : rowOf(fact.ts, visit);
      const person = fact.visitor & 1n ? `${fact.visitor}` : `${fact.visitor} ${clock(fact.ts).slice(0, 10)}`;
      everyone.add(person);
      if (entered) entered.views += view;
      if (!row) continue;
      row.visitors.add(person);
      row.pageviews += view;
      row.events += 1;
      if (byHour) seen(fact.ts, fact);
      else if ((byEvents || (byPage && !whole)) && has(visit.start_ts)) seen(visit.start_ts, fact);
    }
    if (!has(visit.start_ts)) continue;
    if (!byHour && !byEvents && byPage && whole) for (const fact of facts) seen(visit.start_ts, fact);
    const row = byEvents ? null : rowOf(visit.start_ts, visit);
    if (!row) continue;
    if (!byHour && !byPage) row.visits.add(visit);
    row.started += 1;
    row.bounces += visit.views === 1 && !visit.interactions ? 1 : 0;
    row.ms += Number((visit.end_ts - visit.start_ts) / 1000n);
    if (byHour) row.views += visit.views;
  }
  if (!dimensions.length) rowOf();

  const counted = (row) => metrics.some((name) => (OF_STARTED.includes(name) ? row.started : name === 'visits' ? row.visits.size : row.visitors.size));
  const values = {
    visitors: (row) => row.visitors.size, visits: (row) => row.visits.size, pageviews: (row) => row.pageviews, events: (row) => row.events,
    views_per_visit: (row) => (row.started ? Math.round(row.views * 100 / row.started) / 100 : 0),
    bounce_rate: (row) => (row.started ? Math.round(row.bounces * 100 / row.started) : 0),
    visit_duration: (row) => (row.started ? Math.round(row.ms / 1000 / row.started) : null),
    percentage: (row) => (everyone.size ? Math.round(row.visitors.size * 1000 / everyone.size) / 10 : 0),
  };
  return [...rows].filter(([, row]) => !dimensions.length || counted(row))
    .map(([key, row]) => [...(dimensions.length ? [key] : []), ...metrics.map((name) => values[name](row))].join('|')).sort();
}
