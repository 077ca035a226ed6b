// Histories through the real apply into the tables, and what is in them then.

export const EVENT_COLUMNS = ['ts', 'visitor', 'id', 'kind', 'interactive', 'name', 'host', 'page', 'title', 'referrer', 'source', 'country', 'browser',
  'browser_version', 'os', 'os_version', 'device', 'language', 'screen_width', 'engaged_ms', 'scroll_depth'];
// Of 0010_apply.sql: events from before have none.
const LATER_COLUMNS = ['region', 'city', 'locale', 'channel', 'utm_source', 'utm_medium', 'utm_campaign', 'utm_term', 'utm_content', 'click_id', 'brand', 'model', 'bot'];
export const fromBefore = (event) => ({ ...event, ...Object.fromEntries(LATER_COLUMNS.map((name) => [name, name === 'bot' ? 0 : null])) });
const ALL_COLUMNS = [...EVENT_COLUMNS, ...LATER_COLUMNS];
const NOT_SENT = 4; // revenue, currency, props, metadata
const US = (column) => `(extract(epoch from ${column}) * 1000000)::bigint`;

// Each table as rows of texts, in an order of its own.
const TABLES = {
  event: [US('ts'), ...EVENT_COLUMNS.slice(1), ...LATER_COLUMNS],
  visit: ['visitor', US('start_ts'), US('end_ts'), 'views', 'events', 'interactions', 'engaged_ms', 'entry', 'exit', 'host', 'referrer', 'source',
    'country', 'browser', 'browser_version', 'os', 'os_version', 'device', 'language', 'screen_width', ...LATER_COLUMNS],
  visit_page: ['visitor', US('start_ts'), 'day', 'page', 'views', 'events', 'engaged_ms', 'scroll_depth'],
  rollup_day: ['day', 'dimension', 'value', 'visitors', 'visits', 'pageviews', 'events', 'bounces', 'duration_ms', 'entries', 'exits', 'engaged_ms',
    'scroll_sum', 'scroll_visits'],
  rollup_month: ['month', 'dimension', 'value', 'visitors', 'visits', 'pageviews', 'events', 'bounces', 'duration_ms', 'entries', 'exits', 'engaged_ms',
    'scroll_sum', 'scroll_visits'],
};
const nameOf = (column) => /\((?:epoch from )?(\w+)\) \*/.exec(column)?.[1] ?? column;

const literal = (values) => `'{${values.map((value) => (value === null ? 'NULL' : String(value))).join()}}'`;

function applyCall(site, zone, events) {
  const columnsOf = (names) => names.map((name) => literal(events.map((event) => event[name] ?? (name === 'bot' ? 0 : null))));
  const none = Array.from({ length: NOT_SENT }, () => literal(events.map(() => null)));
  return `events_apply(${[site, `'${zone}'`, "'{}'", "'{}'", ...columnsOf(EVENT_COLUMNS), ...none, ...columnsOf(LATER_COLUMNS)].join()})`;
}

// The statements that send records to a site, each in the transaction that claims it.
export function sendStatements(site, zone, records) {
  const producer = `00000000-0000-4000-8000-${String(site).padStart(12, '0')}`;
  return records.map(({ seq, events }) => `select case when (records_claim(array['${producer}'::uuid], array[${site % 16}::smallint], array[${seq}::bigint]))[1]
    then ${applyCall(site, zone, events)} end;`).join('\n');
}

// The statement that answers all five tables of these sites: site, table, then the columns.
export function tablesStatement(first, last) {
  return Object.entries(TABLES).map(([table, columns]) => `copy (select site_id, '${table}', ${columns.join()} from ${table}
    where site_id between ${first} and ${last}) to stdout;`).join('\n');
}

// Its answer: site → table → sorted lines.
export function readTables(text) {
  const sites = new Map();
  for (const line of text.split('\n')) {
    const [site, table, ...rest] = line.split('\t');
    if (!TABLES[table]) continue; // what a call returned
    if (!sites.has(Number(site))) sites.set(Number(site), Object.fromEntries(Object.keys(TABLES).map((name) => [name, []])));
    sites.get(Number(site))[table].push(rest.join(' '));
  }
  for (const tables of sites.values()) for (const lines of Object.values(tables)) lines.sort();
  return sites;
}

// The oracle's tables in the same form.
export function formatTables(tables) {
  const text = (value) => (value === null ? '\\N' : value === true ? 't' : value === false ? 'f' : String(value));
  return Object.fromEntries(Object.entries(TABLES).map(([table, columns]) => [table,
    tables[table].map((row) => columns.map((column) => text(row[nameOf(column)])).join(' ')).sort()]));
}

// The events in the lines of the table, as the oracle takes them.
export function eventsOf(site, lines) {
  const value = (column, text) => {
    if (text === '\\N') return null;
    if (column === 'interactive') return text === 't';
    return ['kind', 'screen_width', 'engaged_ms', 'scroll_depth', 'bot'].includes(column) ? Number(text) : BigInt(text);
  };
  return lines.map((line) => ({ site, ...Object.fromEntries(line.split(' ').map((text, i) => [ALL_COLUMNS[i], value(ALL_COLUMNS[i], text)])) }));
}

// The first difference of two sets of tables as text, or null.
export function difference(was, should) {
  for (const [table, columns] of Object.entries(TABLES)) {
    const is = new Set(was[table]), wanted = new Set(should[table]);
    const missing = should[table].filter((line) => !is.has(line)), extra = was[table].filter((line) => !wanted.has(line));
    if (missing.length || extra.length || was[table].length !== should[table].length)
      return [`${table}: ${columns.map(nameOf).join(' ')}`, ...missing.slice(0, 5).map((line) => `  - ${line}`), ...extra.slice(0, 5).map((line) => `  + ${line}`)].join('\n');
  }
  return null;
}
