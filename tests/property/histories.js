// Small random histories of a few visitors of one site, around moments at which days, clocks or months
// change, and ways to send them: in another order, cut into records, with copies. A seed gives the same
// history again.

import { Random } from '../parts/random.js';

const MINUTE = 60_000_000n, HOUR = 60n * MINUTE, DAY = 24n * HOUR, GAP = 30n * MINUTE;
const us = (text) => BigInt(Date.parse(text)) * 1000n;

// Moments worth being near to, by zone. Clocks are put forward in spring, back in autumn.
export const ZONES = {
  'Europe/Berlin': { spring: us('2026-03-29T01:00:00Z'), autumn: us('2025-10-26T01:00:00Z'), midnight: us('2026-03-29T22:00:00Z'), month: us('2026-01-31T23:00:00Z') },
  'America/Santiago': { spring: us('2025-09-07T04:00:00Z'), autumn: us('2026-04-05T03:00:00Z'), midnight: us('2026-06-10T04:00:00Z') }, // at midnight
  'Australia/Lord_Howe': { spring: us('2025-10-04T15:30:00Z'), autumn: us('2026-04-04T15:00:00Z'), midnight: us('2026-06-10T13:30:00Z') }, // by half an hour
  'Pacific/Chatham': { spring: us('2025-09-27T14:00:00Z'), autumn: us('2026-04-04T14:00:00Z'), midnight: us('2026-06-10T11:15:00Z') },
  'America/New_York': { spring: us('2026-03-08T07:00:00Z'), autumn: us('2025-11-02T06:00:00Z'), month: us('2026-03-01T05:00:00Z') },
  'Asia/Kathmandu': { midnight: us('2026-03-10T18:15:00Z'), month: us('2026-02-28T18:15:00Z') },
  'Asia/Kolkata': { midnight: us('2026-03-10T18:30:00Z'), month: us('2026-02-28T18:30:00Z') },
  'America/St_Johns': { 'back after midnight': us('2010-11-07T02:31:00Z') },
  'Pacific/Apia': { 'skipped day': us('2011-12-30T10:00:00Z') },
};
// Some are taken more often, for what they alone have.
const ZONE_NAMES = [...Object.keys(ZONES), 'Europe/Berlin', 'America/Santiago', 'Australia/Lord_Howe', 'Pacific/Chatham', 'America/New_York', 'Pacific/Apia', 'Pacific/Apia'];
const STEPS = [0n, 0n, 1n, 20n * 1_000_000n, 5n * MINUTE, 15n * MINUTE, 20n * MINUTE, GAP - 1n, GAP, GAP, GAP + 1n, 40n * MINUTE, 3n * HOUR];
const KINDS = [1, 1, 1, 1, 2, 2, 3, 4, 5, 6, 7];
const WIDTHS = [0, 300, 575, 576, 991, 992, 1439, 1440];
const PAGES = [101n, 102n, 103n, -104n], TEXTS = [0n, 7n, -8n, 9n], LATER_TEXTS = [null, null, 7n, -8n];

function event(random, visitor, ts) {
  const kind = random.pick(KINDS), text = () => random.pick(TEXTS), later = () => random.pick(LATER_TEXTS);
  return {
    site: 0, ts, visitor, id: BigInt(random.between(0, 1 << 20)) * (random.between(0, 1) ? 1n : -1n), kind,
    interactive: random.between(0, 2) > 0, name: kind === 2 ? 55n : 0n, host: text(), page: random.between(0, 11) ? random.pick(PAGES) : 0n,
    title: 0n, referrer: text(), source: text(), country: text(), browser: text(), browser_version: text(), os: text(), os_version: text(),
    device: text(), language: text(), screen_width: random.between(0, 1) ? random.pick(WIDTHS) : null,
    engaged_ms: random.between(0, 1) ? random.between(0, 90_000) : null, scroll_depth: random.between(0, 1) ? random.between(0, 100) : null,
    region: later(), city: later(), locale: later(), channel: later(), utm_source: later(), utm_medium: later(), utm_campaign: later(), utm_term: later(),
    utm_content: later(), click_id: later(), brand: later(), model: later(), bot: random.between(0, 9) ? 0 : random.between(1, 5),
  };
}

function visitorsEvents(random, visitor, at) {
  let ts = at - BigInt(random.between(0, 50)) * MINUTE;
  const events = random.between(0, 1) ? [event(random, visitor, at - BigInt(random.between(1, 20)) * MINUTE), event(random, visitor, at + BigInt(random.between(0, 10)) * MINUTE)] : [];
  for (let n = random.between(1, 7); n--;) {
    events.push(event(random, visitor, ts));
    ts += random.pick(STEPS);
  }
  return events;
}

// {zone, events, moments}: ids unique for each visitor; moments: [name, instant].
export function history(seed) {
  const random = new Random(seed), zone = random.pick(ZONE_NAMES), moments = Object.entries(ZONES[zone]);
  const events = [];
  for (let v = random.between(2, 4); v--;) {
    const visitor = BigInt(2 * random.between(1, 1 << 16) + random.between(0, 1)) * (random.between(0, 1) ? 1n : -1n), [, at] = random.pick(moments);
    // Visits of the same visitor in an earlier month, now and then, so that late events meet old rows.
    for (let past = random.between(0, 2) ? 0n : 35n * DAY; past >= 0n; past -= 35n * DAY)
      events.push(...visitorsEvents(random, visitor, at - past));
  }
  const seen = new Set();
  return { seed, zone, moments, events: events.filter(({ visitor, id }) => !seen.has(`${visitor} ${id}`) && seen.add(`${visitor} ${id}`)) };
}

// One way to send a history: its events in some order, in records; some events come twice, in the same
// record or another, and some records, too. The first way is as they were made, nearly by time.
export function sending({ seed, events }, way) {
  const random = new Random(seed * 31 + way);
  const copies = events.filter(() => !random.between(0, 4));
  const order = way ? random.shuffled([...events, ...copies]) : [...events, ...copies];
  const records = [], most = random.pick([3, 8, 20]);
  while (order.length) records.push({ seq: records.length + 1, events: order.splice(0, 1 + random.between(0, most)) });
  for (const record of records.filter(() => !random.between(0, 4))) records.splice(random.between(0, records.length), 0, record);
  return records;
}

// The visitors' events of a history that make visits, each visitor's in order.
function timelines(events) {
  const lines = new Map();
  for (const event of events.filter(({ kind }) => kind <= 5)) lines.set(event.visitor, [...lines.get(event.visitor) ?? [], event]);
  for (const line of lines.values()) line.sort((a, b) => (a.ts < b.ts ? -1 : a.ts > b.ts ? 1 : a.id < b.id ? -1 : 1));
  return [...lines.values()];
}

// What is special about a history, as sent in these ways: names of traits.
export function traitsOf({ moments, events }, ways) {
  const traits = new Set();
  for (const line of timelines(events))
    line.forEach((event, i) => {
      const next = line[i + 1], before = line[i - 1];
      if (!next) return;
      const gap = next.ts - event.ts;
      if (gap === 0n) traits.add('equal ts');
      if (gap === GAP) traits.add('gap of exactly 30:00');
      for (const [name, at] of moments) if (gap <= GAP && event.ts < at && next.ts >= at) traits.add(name);
      if (before && gap <= GAP && event.ts - before.ts <= GAP && next.ts - before.ts > GAP && ways.some((records) => comesAfter(records, event, [before, next])))
        traits.add('join of two visits');
    });
  for (const records of ways) {
    const once = new Set(records), sent = [...once].flatMap((record) => record.events);
    if (once.size < records.length) traits.add('repeated record');
    if (new Set(sent).size < sent.length) traits.add('repeated id');
    if (sent.some((event, i) => sent.slice(0, i).some((earlier) => earlier.visitor === event.visitor && earlier.ts - event.ts > 30n * DAY))) traits.add('event in a past month');
  }
  return traits;
}

function comesAfter(records, event, others) {
  const at = (wanted) => records.findIndex((record) => record.events.includes(wanted));
  return others.every((other) => at(other) < at(event));
}
