// An oracle for the tables of the metrics database, written from proto/words.md alone: given the events, it
// works out every table anew from the whole list, one definition of that page after the other. It shares
// nothing with the code that keeps the tables, so that where both agree, they agree with the page.
//
// Instants and ids are BigInt; sites, counts and sums are Number; days and months are 'YYYY-MM-DD'.

const PAGE_VIEW = 1;
const CUSTOM_EVENT = 2;
const LAST_KIND_OF_VISITS = 5;

const LONGEST_PAUSE = 30n * 60n * 1_000_000n;

const ALL = 0;
const PAGE = 1;

// The value that a visit has in each dimension of visits. Those of the landing are columns of the visit.
const DIMENSIONS_OF_VISITS = [
  [ALL, () => 0n],
  [2, (visit) => visit.entry],
  [3, (visit) => visit.exit],
  [4, (visit) => visit.source],
  [5, (visit) => visit.referrer],
  [6, (visit) => visit.host],
  [7, (visit) => visit.country],
  [8, (visit) => visit.browser],
  [9, (visit) => visit.os],
  [10, (visit) => visit.device],
  [11, (visit) => visit.language],
  [12, (visit) => visit.channel ?? 0n],
  [13, (visit) => visit.region ?? 0n],
  [14, (visit) => visit.city ?? 0n],
];

// ---- Lists

const compare = (a, b) => (a < b ? -1 : a > b ? 1 : 0);

const sum = (list, of) => list.reduce((total, item) => total + of(item), 0);

const count = (list, is) => list.filter(is).length;

const groups = (list, keyOf) => {
  const found = new Map();
  for (const item of list) {
    const key = keyOf(item);
    const group = found.get(key);
    if (group) group.push(item);
    else found.set(key, [item]);
  }
  return [...found.values()];
};

// ---- Time

const QUARTER_MS = 15 * 60 * 1000;

// Whole milliseconds, rounded down before 1970 too, where BigInt division rounds up.
const wholeMs = (micros) => {
  const ms = micros / 1000n;
  return Number(micros < 0n && ms * 1000n !== micros ? ms - 1n : ms);
};

const clocks = new Map();

const clockOf = (zone) => {
  const known = clocks.get(zone);
  if (known) return known;

  const format = new Intl.DateTimeFormat('en-u-ca-gregory-nu-latn', {
    timeZone: zone, year: 'numeric', month: '2-digit', day: '2-digit',
  });
  const clock = { format, quarters: new Map() };
  clocks.set(zone, clock);
  return clock;
};

const dateAt = (format, ms) => {
  const parts = {};
  for (const { type, value } of format.formatToParts(ms)) parts[type] = value;
  return `${parts.year.padStart(4, '0')}-${parts.month}-${parts.day}`;
};

// Asking for a date is slow, so each quarter of an hour is asked for once: clocks of today change their date
// at its ends only. Some of the past did not (St. John's went back at 00:01): such a quarter has two dates,
// and its instants are asked for one by one.
export const localDay = (zone, ts) => {
  const { format, quarters } = clockOf(zone);
  const ms = wholeMs(ts);
  const quarter = Math.floor(ms / QUARTER_MS);
  if (!quarters.has(quarter)) {
    const first = dateAt(format, quarter * QUARTER_MS);
    const last = dateAt(format, (quarter + 1) * QUARTER_MS - 1);
    quarters.set(quarter, first === last ? first : null);
  }
  return quarters.get(quarter) ?? dateAt(format, ms);
};

const monthOf = (day) => `${day.slice(0, 8)}01`;

const zoneOf = (zones, site) => {
  const zone = zones instanceof Map ? zones.get(site) : zones[site];
  if (zone === undefined) throw new Error(`no zone for site ${site}`);
  return zone;
};

// ---- Events

// Of the copies of an event the first counts, whatever its kind is.
const firstCopies = (events) => {
  const seen = new Set();
  return events.filter(({ site, visitor, id }) => {
    const key = `${site} ${visitor} ${id}`;
    if (seen.has(key)) return false;
    seen.add(key);
    return true;
  });
};

const isPageView = (event) => event.kind === PAGE_VIEW;
const isCustomEvent = (event) => event.kind === CUSTOM_EVENT;
const isInteraction = (event) => isCustomEvent(event) && event.interactive;
const makesVisits = (event) => event.kind <= LAST_KIND_OF_VISITS;

const engagedMs = (events) => sum(events, (event) => event.engaged_ms ?? 0);

const isPersistent = (visitor) => (visitor & 1n) === 1n;

const eventRow = (event) => ({
  site_id: event.site,
  ts: event.ts,
  visitor: event.visitor,
  id: event.id,
  kind: event.kind,
  interactive: event.interactive,
  name: event.name,
  host: event.host,
  page: event.page,
  title: event.title,
  referrer: event.referrer,
  source: event.source,
  country: event.country,
  browser: event.browser,
  browser_version: event.browser_version,
  os: event.os,
  os_version: event.os_version,
  device: event.device,
  language: event.language,
  screen_width: event.screen_width,
  engaged_ms: event.engaged_ms,
  scroll_depth: event.scroll_depth,
  ...laterColumns(event),
  bot: event.bot ?? 0,
});

// ---- Visits

const endsBetween = (last, next) => next.ts - last.ts > LONGEST_PAUSE;

// The order of a visitor's events.
const order = (a, b) => compare(a.ts, b.ts) || compare(a.id, b.id);

// The runs of events, each a list of events in order.
const runsOf = (events) => {
  const runs = [];
  let last = null;
  for (const event of [...events].sort(order)) {
    if (last === null || endsBetween(last, event)) runs.push([]);
    runs.at(-1).push(event);
    last = event;
  }
  return runs;
};

const landingOf = (run) => run.find(isPageView) ?? run.find(isCustomEvent) ?? null;

// Of the landing, null for none.
const LATER_COLUMNS = ['region', 'city', 'locale', 'channel', 'utm_source', 'utm_medium', 'utm_campaign', 'utm_term',
  'utm_content', 'click_id', 'brand', 'model'];
const laterColumns = (event) => Object.fromEntries(LATER_COLUMNS.map((name) => [name, event?.[name] ?? null]));

const isOfBot = (event) => (event?.bot ?? 0) !== 0;

const NO_LANDING = {
  host: 0n, referrer: 0n, source: 0n, country: 0n, browser: 0n, browser_version: 0n, os: 0n, os_version: 0n,
  device: 0n, language: 0n, screen_width: null,
};

const visitRow = (run) => {
  const landing = landingOf(run) ?? NO_LANDING;
  const pageViews = run.filter(isPageView);
  return {
    site_id: run[0].site,
    visitor: run[0].visitor,
    start_ts: run[0].ts,
    end_ts: run.at(-1).ts,
    views: pageViews.length,
    events: count(run, isCustomEvent),
    interactions: count(run, isInteraction),
    engaged_ms: engagedMs(run),
    entry: pageViews.at(0)?.page ?? 0n,
    exit: pageViews.at(-1)?.page ?? 0n,
    host: landing.host,
    referrer: landing.referrer,
    source: landing.source,
    country: landing.country,
    browser: landing.browser,
    browser_version: landing.browser_version,
    os: landing.os,
    os_version: landing.os_version,
    device: landing.device,
    language: landing.language,
    screen_width: landing.screen_width,
    ...laterColumns(landing),
    bot: isOfBot(landing),
  };
};

const isBounce = (visit) => visit.views === 1 && visit.interactions === 0;

const durationMs = (visit) => wholeMs(visit.end_ts - visit.start_ts);

// ---- Pages of a visit

const deepestScroll = (events) => {
  const told = events.map((event) => event.scroll_depth).filter((depth) => depth !== null);
  return told.length === 0 ? null : Math.max(...told);
};

const byDayAndPage = (run, dayOf) => groups(run, (event) => `${dayOf(event)} ${event.page}`);

const visitPageRows = (run, dayOf) => byDayAndPage(run, dayOf).map((events) => ({
  site_id: run[0].site,
  visitor: run[0].visitor,
  start_ts: run[0].ts,
  day: dayOf(events[0]),
  page: events[0].page,
  views: count(events, isPageView),
  events: count(events, isCustomEvent),
  engaged_ms: engagedMs(events),
  scroll_depth: deepestScroll(events),
}));

// Page views and custom events are activity.
const hasActivity = (visitPage) => visitPage.views + visitPage.events > 0;

// What all that follows needs of a visit: its row, its rows of visit_page, its day, and whether it counts.
const visitsOf = (events, dayOf) => {
  // A daily visitor's days are taken by themselves.
  const takenTogether = groups(events.filter(makesVisits),
    (event) => `${event.site} ${event.visitor} ${isPersistent(event.visitor) ? '' : dayOf(event)}`);
  const runs = takenTogether.flatMap(runsOf);
  return runs.map((run) => ({
    row: visitRow(run),
    pages: visitPageRows(run, dayOf),
    day: dayOf(run[0]),
    isCounted: landingOf(run) !== null && !isOfBot(landingOf(run)),
  }));
};

// ---- Rollups

// A cell is a row of a rollup while it grows: with the visitors themselves in place of their number.
const newCell = (site, day, dimension, value) => ({
  site, day, dimension, value, visitors: new Set(), visits: 0, pageviews: 0, events: 0, bounces: 0,
  duration_ms: 0, entries: 0, exits: 0, engaged_ms: 0, scroll_sum: 0, scroll_visits: 0,
});

const isZero = (cell) => cell.visitors.size === 0 && cell.visits === 0 && cell.pageviews === 0
  && cell.events === 0 && cell.bounces === 0 && cell.duration_ms === 0 && cell.entries === 0 && cell.exits === 0
  && cell.engaged_ms === 0 && cell.scroll_sum === 0 && cell.scroll_visits === 0;

const entryOf = (map, key, create) => {
  const known = map.get(key);
  if (known !== undefined) return known;

  const created = create();
  map.set(key, created);
  return created;
};

const newMap = () => new Map();

// Maps in maps rather than one with a text of all four as its key, which would cost more than all the rest.
const newCells = () => {
  const list = [];
  const sites = new Map();
  const at = (site, day, dimension, value) => {
    const days = entryOf(sites, site, newMap);
    const dimensions = entryOf(days, day, newMap);
    const values = entryOf(dimensions, dimension, newMap);
    return entryOf(values, value, () => {
      const cell = newCell(site, day, dimension, value);
      list.push(cell);
      return cell;
    });
  };
  return { at, list };
};

const addDimensionsOfVisits = (cells, { row, pages, day }) => {
  const daysOfPages = groups(pages, (page) => page.day).map((ofDay) => ({
    day: ofDay[0].day,
    pageviews: sum(ofDay, (page) => page.views),
    events: sum(ofDay, (page) => page.events),
    engaged_ms: sum(ofDay, (page) => page.engaged_ms),
    isActive: ofDay.some(hasActivity),
  }));
  const bounces = isBounce(row) ? 1 : 0;
  const duration = durationMs(row);

  for (const [dimension, valueOf] of DIMENSIONS_OF_VISITS) {
    const value = valueOf(row);

    const ofVisit = cells.at(row.site_id, day, dimension, value);
    ofVisit.visits += 1;
    ofVisit.bounces += bounces;
    ofVisit.duration_ms += duration;

    for (const ofDay of daysOfPages) {
      const cell = cells.at(row.site_id, ofDay.day, dimension, value);
      cell.pageviews += ofDay.pageviews;
      cell.events += ofDay.events;
      cell.engaged_ms += ofDay.engaged_ms;
      if (ofDay.isActive) cell.visitors.add(row.visitor);
    }
  }
};

const addPages = (cells, visit) => {
  const { row, day } = visit;
  const pages = visit.pages.filter(({ page }) => page !== 0n);
  const at = (onDay, page) => cells.at(row.site_id, onDay, PAGE, page);

  for (const ofPage of pages) {
    const cell = at(ofPage.day, ofPage.page);
    cell.pageviews += ofPage.views;
    cell.events += ofPage.events;
    cell.engaged_ms += ofPage.engaged_ms;
    cell.scroll_sum += ofPage.scroll_depth ?? 0;
    cell.scroll_visits += ofPage.scroll_depth === null ? 0 : 1;
    if (hasActivity(ofPage)) cell.visitors.add(row.visitor);
  }

  // A visit counts once for a page, on its own day, even where the page has rows of two days.
  const activePages = new Set(pages.filter(hasActivity).map(({ page }) => page));
  for (const page of activePages) at(day, page).visits += 1;

  if (row.entry !== 0n) {
    const cell = at(day, row.entry);
    cell.entries += 1;
    cell.bounces += isBounce(row) ? 1 : 0;
    cell.duration_ms += durationMs(row);
  }
  if (row.exit !== 0n) at(day, row.exit).exits += 1;
};

const cellsOfDays = (visits) => {
  const cells = newCells();
  for (const visit of visits.filter(({ isCounted }) => isCounted)) {
    addDimensionsOfVisits(cells, visit);
    addPages(cells, visit);
  }
  return cells.list.filter((cell) => !isZero(cell));
};

// In a month a persistent visitor is one, a daily visitor one for each of its days.
const visitorOfMonth = (visitor, day) => (isPersistent(visitor) ? visitor : `${visitor} ${day}`);

const cellsOfMonths = (ofDays) => {
  const cells = newCells();
  for (const ofDay of ofDays) {
    const cell = cells.at(ofDay.site, monthOf(ofDay.day), ofDay.dimension, ofDay.value);
    cell.visits += ofDay.visits;
    cell.pageviews += ofDay.pageviews;
    cell.events += ofDay.events;
    cell.bounces += ofDay.bounces;
    cell.duration_ms += ofDay.duration_ms;
    cell.entries += ofDay.entries;
    cell.exits += ofDay.exits;
    cell.engaged_ms += ofDay.engaged_ms;
    cell.scroll_sum += ofDay.scroll_sum;
    cell.scroll_visits += ofDay.scroll_visits;
    for (const visitor of ofDay.visitors) cell.visitors.add(visitorOfMonth(visitor, ofDay.day));
  }
  return cells.list;
};

const rowOfDay = (cell) => ({
  site_id: cell.site,
  day: cell.day,
  dimension: cell.dimension,
  value: cell.value,
  visitors: cell.visitors.size,
  visits: cell.visits,
  pageviews: cell.pageviews,
  events: cell.events,
  bounces: cell.bounces,
  duration_ms: cell.duration_ms,
  entries: cell.entries,
  exits: cell.exits,
  engaged_ms: cell.engaged_ms,
  scroll_sum: cell.scroll_sum,
  scroll_visits: cell.scroll_visits,
});

const rowOfMonth = (cell) => ({
  site_id: cell.site,
  month: cell.day,
  dimension: cell.dimension,
  value: cell.value,
  visitors: cell.visitors.size,
  visits: cell.visits,
  pageviews: cell.pageviews,
  events: cell.events,
  bounces: cell.bounces,
  duration_ms: cell.duration_ms,
  entries: cell.entries,
  exits: cell.exits,
  engaged_ms: cell.engaged_ms,
  scroll_sum: cell.scroll_sum,
  scroll_visits: cell.scroll_visits,
});

// ---- Tables

const eventOrder = (a, b) => compare(a.site_id, b.site_id) || compare(a.visitor, b.visitor)
  || compare(a.ts, b.ts) || compare(a.id, b.id);

const visitOrder = (a, b) => compare(a.site_id, b.site_id) || compare(a.visitor, b.visitor)
  || compare(a.start_ts, b.start_ts);

const visitPageOrder = (a, b) => visitOrder(a, b) || compare(a.day, b.day) || compare(a.page, b.page);

const dayOrder = (a, b) => compare(a.site_id, b.site_id) || compare(a.day, b.day)
  || compare(a.dimension, b.dimension) || compare(a.value, b.value);

const monthOrder = (a, b) => compare(a.site_id, b.site_id) || compare(a.month, b.month)
  || compare(a.dimension, b.dimension) || compare(a.value, b.value);

// `events` in the order in which they were first applied, `zones` the zone of each site (a Map or an object).
// Rows are in the order of
//   event: site_id, visitor, ts, id
//   visit: site_id, visitor, start_ts
//   visit_page: site_id, visitor, start_ts, day, page
//   rollup_day, rollup_month: site_id, day or month, dimension, value
// with numbers as numbers, ids signed.
export const tables = (events, zones) => {
  const counting = firstCopies(events);
  const days = new Map(counting.map((event) => [event, localDay(zoneOf(zones, event.site), event.ts)]));
  const visits = visitsOf(counting, (event) => days.get(event));
  const ofDays = cellsOfDays(visits);

  return {
    event: counting.map(eventRow).sort(eventOrder),
    visit: visits.map(({ row }) => row).sort(visitOrder),
    visit_page: visits.flatMap(({ pages }) => pages).sort(visitPageOrder),
    rollup_day: ofDays.map(rowOfDay).sort(dayOrder),
    rollup_month: cellsOfMonths(ofDays).map(rowOfMonth).sort(monthOrder),
  };
};
