// Cases worked out by hand from proto/words.md.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { tables } from './oracle.js';

const DAILY = 10n;
const PERSISTENT = 11n;

const BERLIN = { 1: 'Europe/Berlin' };
const UTC = { 1: 'UTC' };

const VIEW = 1;
const CUSTOM = 2;
const ENGAGEMENT = 3;
const EXIT = 4;
const PING = 5;
const SCRIPT_ERROR = 6;
const WEB_VITAL = 7;

const HOME = 100n;
const PRICES = 101n;

// Microseconds of an ISO instant, which may have six digits of a second: '2025-06-01T10:00:00.000001Z'.
const at = (iso) => {
  const [, seconds, micros = '0', zone] = /^(.*?:\d\d:\d\d)(?:\.(\d{6}))?(Z|[+-]\d\d:\d\d)$/.exec(iso);
  return BigInt(Date.parse(seconds + zone)) * 1000n + BigInt(micros);
};

let lastId = 0n;

const event = (iso, kind, fields = {}) => {
  lastId += 1n;
  return {
    site: 1, ts: at(iso), visitor: DAILY, id: lastId, kind, interactive: true, name: 0n, host: 0n,
    page: HOME, title: 0n, referrer: 0n, source: 0n, country: 0n, browser: 0n, browser_version: 0n, os: 0n,
    os_version: 0n, device: 0n, language: 0n, screen_width: null, engaged_ms: null, scroll_depth: null,
    ...fields,
  };
};

const ZEROS = {
  visitors: 0, visits: 0, pageviews: 0, events: 0, bounces: 0, duration_ms: 0, entries: 0, exits: 0,
  engaged_ms: 0, scroll_sum: 0, scroll_visits: 0,
};

const sumsOf = ({ site_id, day, month, dimension, value, ...sums }) => sums;

const dayOf = (result, day, dimension, value) => {
  const row = result.rollup_day.find((r) => r.day === day && r.dimension === dimension && r.value === value);
  return row && sumsOf(row);
};

const monthOf = (result, month, dimension, value) => {
  const row = result.rollup_month
    .find((r) => r.month === month && r.dimension === dimension && r.value === value);
  return row && sumsOf(row);
};

const allOf = (result, day) => dayOf(result, day, 0, 0n);
const allOfMonth = (result, month) => monthOf(result, month, 0, 0n);

const pick = (rows, ...columns) => rows.map((row) => columns.map((column) => row[column]));

const LATER = ['region', 'city', 'locale', 'channel', 'utm_source', 'utm_medium', 'utm_campaign', 'utm_term', 'utm_content', 'click_id', 'brand', 'model'];
const NOTHING_LATER = Object.fromEntries(LATER.map((name) => [name, null]));

test('10:58 and 11:02 of local time are one visit', () => {
  const result = tables([
    event('2025-06-01T10:58:00+02:00', VIEW),
    event('2025-06-01T11:02:00+02:00', VIEW, { page: PRICES }),
  ], BERLIN);

  assert.deepEqual(result.visit, [{
    site_id: 1, visitor: DAILY, start_ts: at('2025-06-01T08:58:00Z'), end_ts: at('2025-06-01T09:02:00Z'),
    views: 2, events: 0, interactions: 0, engaged_ms: 0, entry: HOME, exit: PRICES, host: 0n, referrer: 0n,
    source: 0n, country: 0n, browser: 0n, browser_version: 0n, os: 0n, os_version: 0n, device: 0n,
    language: 0n, screen_width: null, ...NOTHING_LATER, bot: false,
  }]);
  assert.deepEqual(allOf(result, '2025-06-01'), {
    ...ZEROS, visitors: 1, visits: 1, pageviews: 2, duration_ms: 240_000,
  });
});

test('a pause of exactly 30:00.000000 does not cut', () => {
  const result = tables([
    event('2025-06-01T10:00:00.000000Z', VIEW),
    event('2025-06-01T10:30:00.000000Z', VIEW),
  ], UTC);

  assert.equal(result.visit.length, 1);
});

test('a pause of 30:00.000001 cuts', () => {
  const result = tables([
    event('2025-06-01T10:00:00.000000Z', VIEW),
    event('2025-06-01T10:30:00.000001Z', VIEW),
  ], UTC);

  assert.deepEqual(pick(result.visit, 'start_ts', 'end_ts'), [
    [at('2025-06-01T10:00:00Z'), at('2025-06-01T10:00:00Z')],
    [at('2025-06-01T10:30:00.000001Z'), at('2025-06-01T10:30:00.000001Z')],
  ]);
  assert.equal(allOf(result, '2025-06-01').bounces, 2);
});

test('the pause is that since the last event, not since the first', () => {
  const result = tables([
    event('2025-06-01T10:00:00Z', VIEW),
    event('2025-06-01T10:25:00Z', PING),
    event('2025-06-01T10:50:00Z', VIEW),
  ], UTC);

  assert.equal(result.visit.length, 1);
});

test('a new source does not cut, and the landing says which counts', () => {
  const result = tables([
    event('2025-06-01T10:00:00Z', VIEW, { source: 7n }),
    event('2025-06-01T10:01:00Z', VIEW, { source: 8n }),
  ], UTC);

  assert.deepEqual(pick(result.visit, 'source'), [[7n]]);
  assert.equal(dayOf(result, '2025-06-01', 4, 8n), undefined);
});

test('one page view and an exit 40 s later are a bounce of 40,000 ms', () => {
  const result = tables([
    event('2025-06-01T10:00:00Z', VIEW),
    event('2025-06-01T10:00:40Z', EXIT, { engaged_ms: 35_000, scroll_depth: 60 }),
  ], UTC);

  const ofVisit = {
    ...ZEROS, visitors: 1, visits: 1, pageviews: 1, bounces: 1, duration_ms: 40_000, engaged_ms: 35_000,
  };
  assert.deepEqual(allOf(result, '2025-06-01'), ofVisit);
  assert.deepEqual(dayOf(result, '2025-06-01', 1, HOME), {
    ...ofVisit, entries: 1, exits: 1, scroll_sum: 60, scroll_visits: 1,
  });
});

test('durations are whole ms, rounded down for each visit', () => {
  const result = tables([
    event('2025-06-01T10:00:00.000900Z', VIEW),
    event('2025-06-01T10:00:01.002800Z', EXIT),
    event('2025-06-01T12:00:00.000900Z', VIEW),
    event('2025-06-01T12:00:01.002800Z', EXIT),
  ], UTC);

  // 1001.9 ms each.
  assert.equal(allOf(result, '2025-06-01').duration_ms, 2002);
});

test('an interaction makes a visit no bounce, a custom event that is none leaves it one', () => {
  const visitWith = (interactive) => tables([
    event('2025-06-01T10:00:00Z', VIEW),
    event('2025-06-01T10:00:05Z', CUSTOM, { interactive }),
  ], UTC);

  const interaction = visitWith(true);
  assert.deepEqual(pick(interaction.visit, 'events', 'interactions'), [[1, 1]]);
  assert.equal(allOf(interaction, '2025-06-01').bounces, 0);

  const none = visitWith(false);
  assert.deepEqual(pick(none.visit, 'events', 'interactions'), [[1, 0]]);
  assert.equal(allOf(none, '2025-06-01').bounces, 1);
});

test('an event between two visits joins them, though it comes last', () => {
  const first = event('2025-06-01T10:00:00Z', VIEW, { source: 7n });
  const second = event('2025-06-01T10:50:00Z', VIEW, { source: 8n, page: PRICES });
  const between = event('2025-06-01T10:25:00Z', PING);

  const apart = tables([first, second], UTC);
  assert.deepEqual(pick(apart.visit, 'views', 'source'), [[1, 7n], [1, 8n]]);
  assert.equal(dayOf(apart, '2025-06-01', 4, 8n).visits, 1);

  const joined = tables([first, second, between], UTC);
  assert.deepEqual(pick(joined.visit, 'views', 'source', 'entry', 'exit'), [[2, 7n, HOME, PRICES]]);
  assert.equal(dayOf(joined, '2025-06-01', 4, 8n), undefined);
  assert.deepEqual(dayOf(joined, '2025-06-01', 4, 7n), {
    ...ZEROS, visitors: 1, visits: 1, pageviews: 2, duration_ms: 3_000_000,
  });
});

test('two visits of a visitor from one source in a day are one visitor of it', () => {
  const result = tables([
    event('2025-06-01T10:00:00Z', VIEW, { source: 7n }),
    event('2025-06-01T12:00:00Z', VIEW, { source: 7n }),
    event('2025-06-01T14:00:00Z', VIEW, { source: 8n }),
  ], UTC);

  const sums = (visits) => ({ ...ZEROS, visitors: 1, visits, pageviews: visits, bounces: visits });
  assert.deepEqual(dayOf(result, '2025-06-01', 4, 7n), sums(2));
  assert.deepEqual(dayOf(result, '2025-06-01', 4, 8n), sums(1));
  assert.deepEqual(allOf(result, '2025-06-01'), sums(3));
});

test('a day of 25 hours: 2025-10-26 in Berlin is 22:00 UTC to 23:00 UTC', () => {
  const result = tables([
    event('2025-10-25T21:59:59.999999Z', VIEW, { visitor: 2n }),
    event('2025-10-25T22:00:00Z', VIEW, { visitor: 4n }),
    event('2025-10-26T22:59:59.999999Z', VIEW, { visitor: 6n }),
    event('2025-10-26T23:00:00Z', VIEW, { visitor: 8n }),
  ], BERLIN);

  assert.deepEqual(pick(result.visit_page, 'visitor', 'day'), [
    [2n, '2025-10-25'], [4n, '2025-10-26'], [6n, '2025-10-26'], [8n, '2025-10-27'],
  ]);
  assert.equal(allOf(result, '2025-10-26').visits, 2);
});

test('02:30 comes twice on the day of 25 hours, an hour apart', () => {
  const result = tables([
    event('2025-10-26T02:30:00+02:00', VIEW),
    event('2025-10-26T02:30:00+01:00', VIEW),
  ], BERLIN);

  assert.equal(result.visit.length, 2);
});

test('a day of 23 hours: 2025-03-30 in Berlin is 23:00 UTC to 22:00 UTC', () => {
  const result = tables([
    event('2025-03-29T22:59:59.999999Z', VIEW, { visitor: 2n }),
    event('2025-03-29T23:00:00Z', VIEW, { visitor: 4n }),
    event('2025-03-30T21:59:59.999999Z', VIEW, { visitor: 6n }),
    event('2025-03-30T22:00:00Z', VIEW, { visitor: 8n }),
  ], BERLIN);

  assert.deepEqual(pick(result.visit_page, 'visitor', 'day'), [
    [2n, '2025-03-29'], [4n, '2025-03-30'], [6n, '2025-03-30'], [8n, '2025-03-31'],
  ]);
});

test('01:50 and 03:10 are 20 minutes apart where 02:00 to 03:00 is left out', () => {
  const result = tables([
    event('2025-03-30T01:50:00+01:00', VIEW),
    event('2025-03-30T03:10:00+02:00', VIEW),
  ], BERLIN);

  assert.equal(result.visit.length, 1);
});

const overMidnight = (visitor) => tables([
  event('2025-06-01T23:50:00+02:00', VIEW, { visitor, source: 7n }),
  event('2025-06-02T00:10:00+02:00', VIEW, { visitor, source: 8n, page: PRICES }),
  event('2025-06-02T00:15:00+02:00', EXIT, { visitor, page: HOME, engaged_ms: 5000, scroll_depth: 30 }),
], BERLIN);

test("a daily visitor's visit is cut at midnight", () => {
  const result = overMidnight(DAILY);

  assert.deepEqual(pick(result.visit, 'start_ts', 'views', 'source', 'entry', 'exit'), [
    [at('2025-06-01T21:50:00Z'), 1, 7n, HOME, HOME],
    [at('2025-06-01T22:10:00Z'), 1, 8n, PRICES, PRICES],
  ]);
  assert.deepEqual(allOf(result, '2025-06-01'), { ...ZEROS, visitors: 1, visits: 1, pageviews: 1, bounces: 1 });
  assert.deepEqual(allOf(result, '2025-06-02'), {
    ...ZEROS, visitors: 1, visits: 1, pageviews: 1, bounces: 1, duration_ms: 300_000, engaged_ms: 5000,
  });
});

test("a persistent visitor's visit is not cut at midnight, and has pages of two days", () => {
  const result = overMidnight(PERSISTENT);

  const start_ts = at('2025-06-01T21:50:00Z');
  assert.deepEqual(pick(result.visit, 'start_ts', 'views', 'source', 'entry', 'exit', 'engaged_ms'), [
    [start_ts, 2, 7n, HOME, PRICES, 5000],
  ]);

  const ofVisit = { site_id: 1, visitor: PERSISTENT, start_ts };
  const none = { views: 0, events: 0, engaged_ms: 0, scroll_depth: null };
  assert.deepEqual(result.visit_page, [
    { ...ofVisit, day: '2025-06-01', page: HOME, ...none, views: 1 },
    { ...ofVisit, day: '2025-06-02', page: HOME, ...none, engaged_ms: 5000, scroll_depth: 30 },
    { ...ofVisit, day: '2025-06-02', page: PRICES, ...none, views: 1 },
  ]);
});

test('a visit over midnight is of its first day, its page views are of their own', () => {
  const result = overMidnight(PERSISTENT);

  // 23:50 to 00:15 is 1500 s.
  const first = { ...ZEROS, visitors: 1, visits: 1, pageviews: 1, duration_ms: 1_500_000 };
  const second = { ...ZEROS, visitors: 1, pageviews: 1, engaged_ms: 5000 };
  assert.deepEqual(allOf(result, '2025-06-01'), first);
  assert.deepEqual(allOf(result, '2025-06-02'), second);
  assert.deepEqual(dayOf(result, '2025-06-01', 4, 7n), first);
  assert.deepEqual(dayOf(result, '2025-06-02', 4, 7n), second);
  assert.equal(dayOf(result, '2025-06-02', 4, 8n), undefined);
  assert.deepEqual(dayOf(result, '2025-06-02', 3, PRICES), second);
});

test('its pages, too: visits, entries and exits are of the first day, the rest of the day of the events', () => {
  const result = overMidnight(PERSISTENT);

  assert.deepEqual(dayOf(result, '2025-06-01', 1, HOME), {
    ...ZEROS, visitors: 1, visits: 1, pageviews: 1, entries: 1, duration_ms: 1_500_000,
  });
  assert.deepEqual(dayOf(result, '2025-06-02', 1, HOME), {
    ...ZEROS, engaged_ms: 5000, scroll_sum: 30, scroll_visits: 1,
  });
  assert.deepEqual(dayOf(result, '2025-06-01', 1, PRICES), { ...ZEROS, visits: 1, exits: 1 });
  assert.deepEqual(dayOf(result, '2025-06-02', 1, PRICES), { ...ZEROS, visitors: 1, pageviews: 1 });
});

test('no activity on the second day, no visitor of it, and no row of zeros', () => {
  const visitor = PERSISTENT;
  const withPing = (fields) => tables([
    event('2025-06-01T23:50:00Z', VIEW, { visitor }),
    event('2025-06-02T00:10:00Z', PING, { visitor, ...fields }),
  ], UTC);

  assert.deepEqual(allOf(withPing({ engaged_ms: 900 }), '2025-06-02'), { ...ZEROS, engaged_ms: 900 });

  const silent = withPing({});
  assert.equal(silent.visit_page.length, 2);
  assert.deepEqual(silent.rollup_day.filter(({ day }) => day === '2025-06-02'), []);
});

test('a persistent visitor counts once in a month, a daily visitor once for each of its days', () => {
  const days = ['2025-06-01', '2025-06-02', '2025-06-30', '2025-07-01'];
  const result = tables([DAILY, PERSISTENT].flatMap((visitor) => days.flatMap((day) => [
    event(`${day}T10:00:00Z`, VIEW, { visitor, source: visitor }),
    event(`${day}T12:00:00Z`, VIEW, { visitor, source: visitor }),
  ])), UTC);

  assert.equal(allOf(result, '2025-06-02').visitors, 2);
  assert.deepEqual(allOfMonth(result, '2025-06-01'), {
    ...ZEROS, visitors: 3 + 1, visits: 12, pageviews: 12, bounces: 12,
  });
  assert.deepEqual(allOfMonth(result, '2025-07-01'), {
    ...ZEROS, visitors: 2, visits: 4, pageviews: 4, bounces: 4,
  });
  assert.equal(monthOf(result, '2025-06-01', 4, DAILY).visitors, 3);
  assert.equal(monthOf(result, '2025-06-01', 4, PERSISTENT).visitors, 1);
  assert.equal(monthOf(result, '2025-06-01', 1, HOME).visitors, 4);
});

test('a visit over the end of a month is of the first, its visitor of both', () => {
  const visitor = PERSISTENT;
  const result = tables([
    event('2025-06-30T23:50:00Z', VIEW, { visitor }),
    event('2025-07-01T00:10:00Z', VIEW, { visitor }),
  ], UTC);

  assert.deepEqual(allOfMonth(result, '2025-06-01'), {
    ...ZEROS, visitors: 1, visits: 1, pageviews: 1, duration_ms: 1_200_000,
  });
  assert.deepEqual(allOfMonth(result, '2025-07-01'), { ...ZEROS, visitors: 1, pageviews: 1 });
});

test('the lowest bit says persistent for negative visitors, too', () => {
  const visitsOf = (visitor) => tables([
    event('2025-06-01T23:50:00Z', VIEW, { visitor }),
    event('2025-06-02T00:10:00Z', VIEW, { visitor }),
  ], UTC).visit.length;

  assert.equal(visitsOf(-1n), 1);
  assert.equal(visitsOf(-2n), 2);
  assert.equal(visitsOf(-(2n ** 63n)), 2);
  assert.equal(visitsOf(2n ** 63n - 1n), 1);
});

test('events of one instant are in the order of their ids, signed', () => {
  const ts = '2025-06-01T10:00:00Z';
  const result = tables([
    event(ts, VIEW, { id: 5n, page: 105n, source: 5n }),
    event(ts, VIEW, { id: -(2n ** 63n), page: 101n, source: 1n }),
    event(ts, VIEW, { id: 2n ** 63n - 1n, page: 106n, source: 6n }),
    event(ts, VIEW, { id: -1n, page: 102n, source: 2n }),
  ], UTC);

  assert.deepEqual(pick(result.visit, 'views', 'entry', 'exit', 'source'), [[4, 101n, 106n, 1n]]);
  assert.deepEqual(pick(result.event, 'id'), [[-(2n ** 63n)], [-1n], [5n], [2n ** 63n - 1n]]);
});

test('Apia left out 2011-12-30: the 29th ends where the 31st begins', () => {
  const apia = (visitor) => tables([
    event('2011-12-30T09:59:59.999999Z', VIEW, { visitor }),
    event('2011-12-30T10:00:00Z', VIEW, { visitor }),
  ], { 1: 'Pacific/Apia' });

  assert.equal(apia(DAILY).visit.length, 2);
  assert.equal(apia(PERSISTENT).visit.length, 1);
  assert.deepEqual(pick(apia(PERSISTENT).visit_page, 'day'), [['2011-12-29'], ['2011-12-31']]);
  assert.deepEqual(
    [...new Set(apia(DAILY).rollup_day.map(({ day }) => day))],
    ['2011-12-29', '2011-12-31'],
  );
});

test("St. John's went back at 00:01: the 7th has a minute, then the 6th goes on", () => {
  const result = tables([
    event('2010-11-07T02:29:59Z', VIEW, { visitor: 2n }),
    event('2010-11-07T02:30:30Z', VIEW, { visitor: 4n }),
    event('2010-11-07T02:31:00Z', VIEW, { visitor: 6n }),
    event('2010-11-07T03:30:00Z', VIEW, { visitor: 8n }),
  ], { 1: 'America/St_Johns' });

  assert.deepEqual(
    pick(result.visit_page, 'day'),
    [['2010-11-06'], ['2010-11-07'], ['2010-11-06'], ['2010-11-07']],
  );
});

test('Kathmandu is 5:45 ahead, and instants before 1970 have days', () => {
  const result = tables([
    event('2025-06-01T18:14:59.999999Z', VIEW, { visitor: 2n }),
    event('2025-06-01T18:15:00Z', VIEW, { visitor: 4n }),
    event('1970-01-01T00:00:00Z', VIEW, { visitor: 6n, site: 2, ts: -1n }),
  ], { 1: 'Asia/Kathmandu', 2: 'UTC' });

  assert.deepEqual(pick(result.visit_page, 'day'), [['2025-06-01'], ['2025-06-02'], ['1969-12-31']]);
});

test('a visit of engagement only is kept but not counted', () => {
  const result = tables([
    event('2025-06-01T10:00:00Z', ENGAGEMENT, {
      host: 9n, source: 7n, screen_width: 1920, engaged_ms: 4000, scroll_depth: 50,
    }),
    event('2025-06-01T10:00:09Z', EXIT, { engaged_ms: 1000 }),
  ], UTC);

  assert.deepEqual(
    pick(result.visit, 'views', 'events', 'engaged_ms', 'entry', 'exit', 'host', 'source', 'screen_width'),
    [[0, 0, 5000, 0n, 0n, 0n, 0n, null]],
  );
  assert.deepEqual(pick(result.visit_page, 'page', 'engaged_ms', 'scroll_depth'), [[HOME, 5000, 50]]);
  assert.deepEqual(result.rollup_day, []);
  assert.deepEqual(result.rollup_month, []);
});

test('a late page view makes it count, from its first event on', () => {
  const result = tables([
    event('2025-06-01T10:00:00Z', ENGAGEMENT, { engaged_ms: 4000, source: 7n }),
    event('2025-06-01T10:20:00Z', VIEW, { source: 8n, screen_width: 390 }),
  ], UTC);

  assert.deepEqual(
    pick(result.visit, 'start_ts', 'source', 'screen_width'),
    [[at('2025-06-01T10:00:00Z'), 8n, 390]],
  );
  assert.deepEqual(dayOf(result, '2025-06-01', 4, 8n), {
    ...ZEROS, visitors: 1, visits: 1, pageviews: 1, bounces: 1, duration_ms: 1_200_000, engaged_ms: 4000,
  });
});

test('kinds 6 and 7 change nothing but event', () => {
  const events = [
    event('2025-06-01T10:00:00Z', VIEW),
    event('2025-06-01T10:50:00Z', VIEW),
  ];
  const others = [
    event('2025-06-01T09:59:00Z', SCRIPT_ERROR, { engaged_ms: 10, scroll_depth: 10 }),
    event('2025-06-01T10:25:00Z', WEB_VITAL, { engaged_ms: 10, scroll_depth: 10 }),
    event('2025-06-01T10:51:00Z', SCRIPT_ERROR, { page: PRICES }),
    event('2025-06-01T10:25:00Z', WEB_VITAL, { visitor: 12n }),
  ];

  const { event: without, ...tablesWithout } = tables(events, UTC);
  const { event: all, ...tablesWith } = tables([...others, ...events], UTC);
  assert.deepEqual(tablesWith, tablesWithout);
  assert.equal(tablesWith.visit.length, 2);
  assert.equal(without.length, 2);
  assert.equal(all.length, 6);
});

test('of the copies of an event the first counts, even one of a kind that makes no visit', () => {
  const copies = (...kinds) => tables(kinds.map((kind, i) => event('2025-06-01T10:00:00Z', kind, {
    id: 1n, page: HOME + BigInt(i), ts: at(`2025-06-01T1${i}:00:00Z`),
  })), UTC);

  const view = copies(VIEW, VIEW, SCRIPT_ERROR);
  assert.deepEqual(pick(view.event, 'ts', 'page'), [[at('2025-06-01T10:00:00Z'), HOME]]);
  assert.deepEqual(pick(view.visit, 'views', 'entry'), [[1, HOME]]);

  const error = copies(SCRIPT_ERROR, VIEW);
  assert.deepEqual(pick(error.event, 'kind'), [[SCRIPT_ERROR]]);
  assert.deepEqual(error.visit, []);
});

test('one id of two visitors or two sites is two events', () => {
  const result = tables([
    event('2025-06-01T10:00:00Z', VIEW, { id: 1n }),
    event('2025-06-01T10:00:00Z', VIEW, { id: 1n, visitor: 12n }),
    event('2025-06-01T10:00:00Z', VIEW, { id: 1n, site: 2 }),
  ], new Map([[1, 'UTC'], [2, 'Europe/Berlin']]));

  assert.deepEqual(pick(result.event, 'site_id', 'visitor'), [[1, DAILY], [1, 12n], [2, DAILY]]);
  assert.equal(result.visit.length, 3);
});

test('a row of event has the columns of the event, with site_id for site', () => {
  const { site, ...rest } = event('2025-06-01T10:00:00Z', WEB_VITAL, { name: 3n, title: 4n, ...NOTHING_LATER, brand: 5n, bot: 2 });
  assert.deepEqual(tables([{ site, ...rest }], UTC).event, [{ site_id: site, ...rest }]);
});

test('the landing is the first page view, though a custom event comes before it', () => {
  const result = tables([
    event('2025-06-01T10:00:00Z', CUSTOM, { source: 7n, page: PRICES }),
    event('2025-06-01T10:00:01Z', VIEW, { source: 8n }),
  ], UTC);

  assert.deepEqual(pick(result.visit, 'source', 'entry', 'exit'), [[8n, HOME, HOME]]);
});

test('a visit whose landing is of a bot is kept and not counted, whatever else is in it', () => {
  const bot = event('2025-06-01T10:00:00Z', VIEW, { bot: 1 }), other = event('2025-06-01T10:01:00Z', VIEW);

  const marked = tables([bot, other], UTC);
  assert.deepEqual(pick(marked.visit, 'views', 'bot'), [[2, true]]);
  assert.deepEqual(marked.rollup_day, []);

  const counted = tables([{ ...bot, bot: 0 }, { ...other, bot: 1 }], UTC);
  assert.deepEqual(pick(counted.visit, 'views', 'bot'), [[2, false]]);
  assert.equal(dayOf(counted, '2025-06-01', 0, 0n).pageviews, 2);
});

test('0 is a value of the dimensions of visits', () => {
  const result = tables([event('2025-06-01T10:00:00Z', VIEW)], UTC);

  const sums = { ...ZEROS, visitors: 1, visits: 1, pageviews: 1, bounces: 1 };
  const ofVisit = (dimension, value) => [dimension, value, sums];
  const expected = [
    ofVisit(0, 0n),
    [1, HOME, { ...sums, entries: 1, exits: 1 }],
    ofVisit(2, HOME),
    ofVisit(3, HOME),
    ...[4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14].map((dimension) => ofVisit(dimension, 0n)),
  ];
  const rows = (list) => list.map((row) => [row.dimension, row.value, sumsOf(row)]);
  assert.deepEqual(rows(result.rollup_day), expected);
  assert.deepEqual(rows(result.rollup_month), expected);
  assert.equal(result.rollup_month[0].month, '2025-06-01');
});

test('each dimension has its column of the landing', () => {
  const result = tables([event('2025-06-01T10:00:00Z', VIEW, {
    page: 2n, source: 4n, referrer: 5n, host: 6n, country: 7n, browser: 8n, os: 9n, device: 10n, language: 11n,
    browser_version: 98n, os_version: 99n, channel: 12n, region: 13n, city: 14n,
  })], UTC);

  assert.deepEqual(pick(result.rollup_day, 'dimension', 'value'), [
    [0, 0n], [1, 2n], [2, 2n], [3, 2n], [4, 4n], [5, 5n], [6, 6n], [7, 7n], [8, 8n], [9, 9n], [10, 10n], [11, 11n], [12, 12n], [13, 13n], [14, 14n],
  ]);
});

test('a visit of a custom event only counts: no bounce, entry and exit 0, but a visit of its page', () => {
  const result = tables([event('2025-06-01T10:00:00Z', CUSTOM, { interactive: false, source: 7n })], UTC);

  const sums = { ...ZEROS, visitors: 1, visits: 1, events: 1 };
  for (const [dimension, value] of [[0, 0n], [1, HOME], [2, 0n], [3, 0n], [4, 7n]]) {
    assert.deepEqual(dayOf(result, '2025-06-01', dimension, value), sums);
  }
  assert.equal(dayOf(result, '2025-06-01', 1, 0n), undefined);
});

test('page 0 has rows of visit_page and is an entry page, but not a page of the rollups', () => {
  const result = tables([event('2025-06-01T10:00:00Z', VIEW, { page: 0n })], UTC);

  assert.deepEqual(pick(result.visit_page, 'page', 'views'), [[0n, 1]]);
  assert.equal(dayOf(result, '2025-06-01', 2, 0n).pageviews, 1);
  assert.deepEqual(result.rollup_day.filter(({ dimension }) => dimension === 1), []);
});

test('the scroll depth of a page is its greatest in the visit, 0 is one, and none is null', () => {
  const result = tables([
    event('2025-06-01T10:00:00Z', VIEW, { scroll_depth: 20 }),
    event('2025-06-01T10:00:01Z', EXIT, { scroll_depth: 70 }),
    event('2025-06-01T10:00:02Z', PING, { scroll_depth: 40 }),
    event('2025-06-01T10:00:03Z', VIEW, { page: PRICES, scroll_depth: 0 }),
    event('2025-06-01T10:00:04Z', VIEW, { page: 102n }),
    event('2025-06-01T12:00:00Z', VIEW, { scroll_depth: 10 }),
  ], UTC);

  assert.deepEqual(
    pick(result.visit_page, 'page', 'scroll_depth'),
    [[HOME, 70], [PRICES, 0], [102n, null], [HOME, 10]],
  );
  assert.deepEqual(
    pick(result.rollup_day.filter(({ dimension }) => dimension === 1), 'value', 'scroll_sum', 'scroll_visits'),
    [[HOME, 80, 2], [PRICES, 0, 1], [102n, 0, 0]],
  );
});

test('a page without activity is no visit of it, but its engagement counts', () => {
  const result = tables([
    event('2025-06-01T10:00:00Z', VIEW),
    event('2025-06-01T10:00:01Z', EXIT, { page: PRICES, engaged_ms: 900 }),
    event('2025-06-01T10:00:02Z', EXIT, { page: 102n }),
  ], UTC);

  assert.deepEqual(dayOf(result, '2025-06-01', 1, PRICES), { ...ZEROS, engaged_ms: 900 });
  assert.equal(dayOf(result, '2025-06-01', 1, 102n), undefined);
});

test('the tables do not depend on the order of events, nor change the list', () => {
  const events = [
    event('2025-06-01T10:00:00Z', VIEW),
    event('2025-06-01T10:40:00Z', CUSTOM, { visitor: PERSISTENT }),
    event('2025-06-01T10:20:00Z', PING, { engaged_ms: 10 }),
    event('2025-06-01T10:45:00Z', VIEW, { page: PRICES }),
  ];
  const copy = structuredClone(events);
  const forwards = tables(events, UTC);
  assert.deepEqual(events, copy);
  assert.deepEqual(tables([...events].reverse(), UTC), forwards);
});

test('no events, no rows; a site without a zone is an error', () => {
  assert.deepEqual(tables([], UTC), { event: [], visit: [], visit_page: [], rollup_day: [], rollup_month: [] });
  assert.throws(() => tables([event('2025-06-01T10:00:00Z', VIEW, { site: 3 })], UTC), /no zone for site 3/);
});
