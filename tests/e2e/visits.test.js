// What events become, all the way: sent with a key to two ingresses, taken by three workers, counted as
// visits and by day and month; counted anew, in another zone, and without what was dropped.
//   SEED=n   the same histories again
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Connection } from '../parts/connection.js';
import { isQuiet, startParts } from '../parts/proof.js';
import { Random } from '../parts/random.js';
import { until } from '../parts/until.js';
import { isTaken, once, pageView, post } from '../parts/visitors.js';
import { difference, eventsOf, formatTables, readTables, tablesStatement } from '../property/apply.js';
import { ZONES, history, traitsOf } from '../property/histories.js';
import { localDay, tables as oracle } from '../property/oracle.js';
import { note } from './harness.js';

const seed = Number(process.env.SEED ?? Math.floor(Math.random() * 1e9));

// --- the named cases -------------------------------------------------------------------------------

const view = (time, page = '/', more = {}) => ({ name: 'pageview', url: page, timestamp: time.includes('T') ? time : `2026-03-10T${time}Z`, ...more });
const exit = (time, page) => view(time, page, { name: 'footfall:exit' });
const signup = (time, more) => view(time, '/', { name: 'Signup', ...more });
const FROM_NEWS = { referrer: 'https://news.example/today' };
const counts = (visitors, visits, views, bounces, seconds) => `${visitors} visitors, ${visits} visits, ${views} views, ${bounces} bounces, ${seconds} s`;

// What one visitor does, in steps (the next is sent when the last is in the tables) with its visits after
// each; then what the days' reports say, of all and, where one is named, of each source.
const VISITS = [
  { is: '10:58 to 11:02 is one visit',
    steps: [[[view('10:58:00'), view('11:02:00', '/b')], ['10:58:00 to 11:02:00']]],
    reports: { '2026-03-10 all': counts(1, 1, 2, 0, 240) } },
  { is: 'a gap of 30:00 is one visit',
    steps: [[[view('10:00:00'), view('10:30:00')], ['10:00:00 to 10:30:00']]],
    reports: { '2026-03-10 all': counts(1, 1, 2, 0, 1800) } },
  { is: 'a gap of 30:01 makes two visits',
    steps: [[[view('10:00:00'), view('10:30:01')], ['10:00:00 to 10:00:00', '10:30:01 to 10:30:01']]],
    reports: { '2026-03-10 all': counts(1, 2, 2, 2, 0) } },
  { is: 'one page with an exit after 40 s lasts 40 s and is a bounce',
    steps: [[[view('10:00:00'), exit('10:00:40')], ['10:00:00 to 10:00:40']]],
    reports: { '2026-03-10 all': counts(1, 1, 1, 1, 40) } },
  { is: 'an interaction ends a bounce, and a custom event that says it is none does not',
    steps: [[[view('10:00:00'), signup('10:00:10'), view('12:00:00'), signup('12:00:10', { interactive: false })], ['10:00:00 to 10:00:10', '12:00:00 to 12:00:10']]],
    reports: { '2026-03-10 all': counts(1, 2, 2, 1, 20) } },
  { is: 'a late event joins two visits',
    steps: [[[view('10:50:00', '/b', FROM_NEWS)], ['10:50:00 to 10:50:00']],
      [[view('10:00:00')], ['10:00:00 to 10:00:00', '10:50:00 to 10:50:00']],
      [[exit('10:25:00')], ['10:00:00 to 10:50:00']]],
    reports: { '2026-03-10 all': counts(1, 1, 2, 0, 3000), '2026-03-10 from (none)': counts(1, 1, 2, 0, 3000) } },
  { is: 'two visits of a visitor from one source in a day are one visitor of that source',
    steps: [[[view('08:00:00', '/', FROM_NEWS), view('17:00:00', '/', FROM_NEWS)], ['08:00:00 to 08:00:00', '17:00:00 to 17:00:00']]],
    reports: { '2026-03-10 all': counts(1, 2, 2, 2, 0), '2026-03-10 from news.example': counts(1, 2, 2, 2, 0) } },
  { is: "midnight ends a daily visitor's visit",
    steps: [[[view('23:59:00'), view('2026-03-11T00:01:00Z')], ['23:59:00 to 23:59:00', '00:01:00 to 00:01:00']]],
    reports: { '2026-03-10 all': counts(1, 1, 1, 1, 0), '2026-03-11 all': counts(1, 1, 1, 1, 0) } },
  { is: "midnight does not end a persistent visitor's visit, which is the first day's", identity: 'persistent',
    steps: [[[view('23:59:00'), view('2026-03-11T00:01:00Z')], ['23:59:00 to 00:01:00']]],
    reports: { '2026-03-10 all': counts(1, 1, 1, 0, 120), '2026-03-11 all': counts(1, 0, 1, 0, 0) } },
  { is: 'a visit that goes over midnight and back, as clocks do, has pages of both days', zone: 'America/St_Johns', identity: 'persistent',
    steps: [[[view('2010-11-07T02:20:00Z', '/a'), view('2010-11-07T02:30:30Z', '/b'), view('2010-11-07T02:40:00Z', '/a')], ['02:20:00 to 02:40:00']],
      [[view('2010-11-07T02:50:00Z', '/c', FROM_NEWS)], ['02:20:00 to 02:50:00']],
      [[view('2010-11-07T02:15:00Z', '/c', FROM_NEWS)], ['02:15:00 to 02:50:00']]],
    reports: { '2010-11-06 all': counts(1, 1, 4, 0, 2100), '2010-11-07 all': counts(1, 0, 1, 0, 0),
      '2010-11-06 from news.example': counts(1, 1, 4, 0, 2100), '2010-11-07 from news.example': counts(1, 0, 1, 0, 0) } },
];

// Days, from their first instant to that of the next. A view each hour of them, and one just outside.
const DAYS = [
  { is: 'a day of 25 hours has 25', zone: 'Europe/Berlin', begins: '2025-10-25T22:00:00Z', ends: '2025-10-26T23:00:00Z', views: { '2025-10-25': 1, '2025-10-26': 25, '2025-10-27': 1 } },
  { is: 'a day of 23 hours has 23', zone: 'Europe/Berlin', begins: '2026-03-28T23:00:00Z', ends: '2026-03-29T22:00:00Z', views: { '2026-03-28': 1, '2026-03-29': 23, '2026-03-30': 1 } },
  { is: 'where clocks go back at midnight the day before is the longer one', zone: 'America/Santiago', begins: '2026-04-04T03:00:00Z', ends: '2026-04-05T04:00:00Z', views: { '2026-04-03': 1, '2026-04-04': 25, '2026-04-05': 1 } },
  { is: 'a zone that skipped a day has no such day', zone: 'Pacific/Apia', begins: '2011-12-29T10:00:00Z', ends: '2011-12-31T10:00:00Z', views: { '2011-12-28': 1, '2011-12-29': 24, '2011-12-31': 24, '2012-01-01': 1 } },
  { is: 'days begin half past the hour', zone: 'Asia/Kolkata', begins: '2026-03-09T18:30:00Z', ends: '2026-03-10T18:30:00Z', views: { '2026-03-09': 1, '2026-03-10': 24, '2026-03-11': 1 } },
  { is: 'days begin a quarter past the hour', zone: 'Asia/Kathmandu', begins: '2026-03-09T18:15:00Z', ends: '2026-03-10T18:15:00Z', views: { '2026-03-09': 1, '2026-03-10': 24, '2026-03-11': 1 } },
  { is: 'a day of 24 and a half hours has 25 of them begun', zone: 'Australia/Lord_Howe', begins: '2026-04-04T13:00:00Z', ends: '2026-04-05T13:30:00Z', views: { '2026-04-04': 1, '2026-04-05': 25, '2026-04-06': 1 } },
  { is: 'a day of 23 and a half hours has 24 of them begun', zone: 'Australia/Lord_Howe', begins: '2025-10-04T13:30:00Z', ends: '2025-10-05T13:00:00Z', views: { '2025-10-04': 1, '2025-10-05': 24, '2025-10-06': 1 } },
  { is: 'days begin a quarter past the hour', zone: 'Pacific/Chatham', begins: '2026-06-09T11:15:00Z', ends: '2026-06-10T11:15:00Z', views: { '2026-06-09': 1, '2026-06-10': 24, '2026-06-11': 1 } },
];

// --- the stack -------------------------------------------------------------------------------------

let stack, ingresses, workers, now, twice, moving, kept;
const mixed = []; // for histories: of every zone a site of each identity

before(async () => {
  stack = await startParts([]);
  const make = async (name, zone, identity) => ({ zone, persistent: identity === 'persistent', ...await stack.siteMake(`${name}.example`, zone, identity) });
  for (const [i, zone] of Object.keys(ZONES).entries())
    for (const identity of ['daily', 'persistent']) mixed.push(await make(`${identity}-${i}`, zone, identity));
  for (const [i, one] of VISITS.entries()) one.site = await make(`case-${i}`, one.zone ?? 'Etc/UTC', one.identity);
  for (const [i, one] of DAYS.entries()) one.site = await make(`day-${i}`, one.zone);
  now = await make('now', 'Etc/UTC');
  twice = await make('twice', 'America/St_Johns');
  moving = await make('moving', 'Europe/Berlin', 'persistent');
  kept = await make('kept', 'Europe/Berlin', 'persistent');
  const journals = stack.folder('journal');
  ingresses = [0, 1].map((i) => stack.ingress(`ingress-${i}`, 10 + i, { FOOTFALL_JOURNAL_DIR: journals }));
  workers = [0, 1, 2].map((i) => stack.worker(`worker-${i}`, 20 + i, ingresses.map(({ link }) => link)));
  await stack.running(...ingresses, ...workers);
});
after(() => stack?.end());

const us = (text) => BigInt(Date.parse(text)) * 1000n;
const clock = () => BigInt(Date.now()) * 1000n;
const iso = (ts) => `${new Date(Number(ts / 1000n)).toISOString().slice(0, -1)}${String(ts % 1000n).padStart(3, '0')}Z`;
const request = (events) => post('/api/v1/events', { Authorization: `Bearer ${stack.key}` }, JSON.stringify(events));

// Each {to, events} is sent to that ingress and accepted whole; some at a time.
async function send(requests) {
  await Promise.all(ingresses.flatMap((ingress, i) => {
    const queue = requests.filter(({ to }) => to === i);
    return Array.from({ length: 3 }, async () => {
      const connection = new Connection(ingress.http);
      for (let next; (next = queue.shift());) {
        const answer = await connection.ask(request(next.events));
        assert.ok(isTaken(answer), JSON.stringify(answer));
      }
      connection.close();
    });
  }));
}

const eventCount = (sites) => stack.number(`select count(*) from event where site_id = any ('{${sites.map(({ site_id: id }) => id).join()}}')`);

// So many events of these sites are in the tables, and nothing is under way.
async function arrived(sites, count) {
  await until(async () => await eventCount(sites) >= count, { timeout: 120000, every: 50 });
  assert.ok(await isQuiet(ingresses), 'records are still under way');
  assert.equal(await eventCount(sites), count, 'events in the tables');
}

const tablesOf = ({ site_id: id }) => readTables(stack.database.sql('footfall_metrics', tablesStatement(id, id))).get(id);
const tablesFrom = (site, events, zone = site.zone) => formatTables(oracle(events, { [site.site_id]: zone }));

// The difference of a site's tables from what the definitions make of events; null: none.
const wrongOf = (site, events, zone) => difference(tablesOf(site), tablesFrom(site, events, zone));

const buildOf = (site) => stack.number(`select build from site where site_id = ${site.site_id}`);

// --- events as they are sent, and as they are to be stored -------------------------------------------

const KINDS = [null, 'pageview', 'Signup', 'engagement', 'footfall:exit', 'footfall:ping', 'footfall:error', 'footfall:vital'];
const AGENTS = [
  { agent: '', browser: '', browser_version: '', os: '', os_version: '', device: '' },
  { agent: 'Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0', browser: 'Firefox', browser_version: '128', os: 'Linux', os_version: '', device: 'desktop' },
  { agent: 'Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0 Safari/537.36', browser: 'Chrome', browser_version: '120', os: 'Windows', os_version: '10', device: 'desktop' },
  { agent: 'Mozilla/5.0 (iPhone; CPU iPhone OS 17_2 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.2 Mobile/15E148 Safari/604.1', browser: 'Safari', browser_version: '17.2', os: 'iOS', os_version: '17.2', device: 'mobile', brand: 'Apple', model: 'iPhone' },
];
const NETWORKS = [{ network: '10.1', country: '' }, { network: '141.20', country: 'DE' }, { network: '128.178', country: 'CH' }, { network: '133.11', country: 'JP' }];
const SOURCES = ['', 'news.example', 'search.example', 'social.example'], PATHS = ['', '/today', '/a/b', '/c'];
const HOSTS = ['one.example', 'two.example', 'shop.example', 'blog.example'], LOCALES = ['', 'de', 'en-GB', 'fr'];
const PAGES = new Map([[0n, '/'], [101n, '/start'], [102n, '/prices'], [103n, '/blog/first'], [-104n, '/über uns']]);
const TEXTS = [0n, 7n, -8n, 9n]; // of histories

// An event of a history as one of a site, by the person of this number. A daily visitor is known by address
// and agent, so these stay the same.
function plannedOf(site, event, person, label) {
  const pick = (list, column) => list[TEXTS.indexOf(event[column])];
  const persistent = site.persistent && (event.visitor & 1n) === 1n;
  const agent = persistent ? pick(AGENTS, 'browser') : AGENTS[person % 4], network = persistent ? pick(NETWORKS, 'country') : NETWORKS[(person >> 2) % 4];
  const host = pick(HOSTS, 'host'), source = pick(SOURCES, 'source'), referrer = source && source + pick(PATHS, 'referrer');
  const locale = pick(LOCALES, 'language');
  const engaged_ms = event.kind === 3 ? event.engaged_ms ?? 0 : event.engaged_ms; // engagement has to say something
  const page = PAGES.get(event.page), name = KINDS[event.kind];
  return {
    site, label, person: `${persistent ? 'persistent' : localDay(site.zone, event.ts)} ${person}`, persistent,
    sent: {
      id: `${event.id}`, name, url: `https://${host}${encodeURI(page)}`, property_id: site.property_id, timestamp: iso(event.ts), title: label, ip: `${network.network}.${person >> 8}.${person & 255}`,
      user_agent: agent.agent, language: locale, interactive: event.interactive, ...(source && { referrer: `https://www.${referrer}?q=1` }),
      ...((event.visitor & 1n) === 1n && { visitor: `person ${person}` }), ...(event.screen_width && { screen: `${event.screen_width}x800` }),
      ...(engaged_ms !== null && { engaged_ms }), ...(event.scroll_depth !== null && { scroll_depth: event.scroll_depth }),
    },
    stored: { ts: event.ts, kind: event.kind, interactive: event.interactive, screen_width: event.screen_width || null, engaged_ms, scroll_depth: event.scroll_depth },
    texts: { name: event.kind === 2 ? name : '', host, page, title: label, referrer, source, country: network.country, language: locale.split('-')[0], browser: agent.browser, browser_version: agent.browser_version, os: agent.os, os_version: agent.os_version, device: agent.device },
    later: { locale, channel: source ? 'Referral' : 'Direct', brand: agent.brand, model: agent.model },
  };
}

const idsOf = (texts, of) => Object.fromEntries(Object.entries(texts).map(([column, text]) => [column, of(text)]));

// The events as the tables should have them: what was sent, with the numbers that texts, ids and visitors
// were given, which are read back.
async function expectedOf(sites, planned) {
  const among = `site_id = any ('{${sites.map(({ site_id: id }) => id).join()}}')`;
  const ids = new Map((await stack.metrics(`select site_id, value, id from string where ${among}`)).map(([site, value, id]) => [`${site} ${value}`, BigInt(id)]));
  const numbers = new Map((await stack.metrics(`select site_id, title, visitor, id from event where ${among}`)).map(([site, title, visitor, id]) => [`${site} ${title}`, [BigInt(visitor), BigInt(id)]]));
  const persons = new Map(), visitors = new Map(); // each the other's
  return planned.map(({ site, label, person, persistent, sent, stored, texts, later }) => {
    const idOf = (text) => (text ? ids.get(`${site.site_id} ${text}`) ?? assert.fail(`there is no text "${text}"`) : 0n);
    const [visitor, id] = numbers.get(`${site.site_id} ${idOf(label)}`) ?? assert.fail(`event ${label} of ${site.zone} is not there`);
    const who = `${site.domain} ${person}`, number = `${site.domain} ${visitor}`;
    assert.equal(visitors.get(who) ?? number, number, `${sent.timestamp} of ${site.zone}: ${who} is one visitor`);
    assert.equal(persons.get(number) ?? who, who, 'two visitors have two numbers');
    visitors.set(who, number);
    persons.set(number, who);
    assert.equal((visitor & 1n) === 1n, persistent, `${who} is persistent or not`);
    return { site: site.site_id, visitor, id, ...stored, ...idsOf(texts, idOf), ...idsOf(later, (text) => (text ? idOf(text) : null)) };
  });
}

// The events in some order, in requests to either ingress, some of which go to the other one, too.
function requestsOf(random, planned, most) {
  const left = random.shuffled(planned), requests = [];
  while (left.length) requests.push({ to: random.between(0, 1), events: left.splice(0, random.between(1, most)).map(({ sent }) => sent) });
  return random.shuffled([...requests, ...requests.filter(() => !random.between(0, 4)).map(({ to, events }) => ({ to: 1 - to, events }))]);
}

// --- random histories --------------------------------------------------------------------------------

const HISTORIES = 300, REQUEST_MOST = 40;

test('random histories through two ingresses and three workers, one of which stands still for a while, leave the tables that the definitions give, and so does a rebuild', async () => {
  const random = new Random(seed), traits = {}, planned = [];
  let people = 0;
  for (let i = 0, next = seed; i < HISTORIES; next++) {
    const past = history(next);
    if (past.events.some(({ ts }) => ts > clock())) continue; // nobody may send these yet
    const site = mixed.find(({ zone, persistent }) => zone === past.zone && persistent === Boolean(i % 2)), persons = new Map();
    for (const [n, event] of past.events.entries()) {
      if (!persons.has(event.visitor)) persons.set(event.visitor, people++);
      planned.push(plannedOf(site, event, persons.get(event.visitor), `${next}/${n}`));
    }
    for (const trait of traitsOf(past, [])) traits[trait] = (traits[trait] ?? 0) + 1;
    i++;
  }
  const requests = requestsOf(random, planned, REQUEST_MOST);
  const total = async (name, services) => (await Promise.all(services.map((service) => service.metric(name)))).reduce((sum, n) => sum + (n ?? 0), 0);
  const sent = send(requests);
  assert.ok(await until(() => workers[0].metric('records_applied_total'), { every: 5 }), 'it has work');
  const goOn = workers[0].pause();
  await sent;
  assert.ok(await until(() => total('records_resent_total', ingresses)), 'what the one that stands still holds is sent again');
  goOn();
  const sites = mixed.filter((site) => planned.some((event) => event.site === site));
  await arrived(sites, planned.length);
  const expected = await expectedOf(sites, planned);
  const same = (when) => {
    for (const site of sites) {
      const wrong = wrongOf(site, expected.filter((event) => event.site === site.site_id));
      assert.equal(wrong, null, `SEED=${seed}, ${site.domain} in ${site.zone}, ${when}: + is there, - should be\n${wrong}`);
    }
  };
  same('as they came');
  const builds = await Promise.all(sites.map(buildOf));
  const rebuilt = await stack.command('rebuild');
  assert.equal(rebuilt.reduce((sum, { events }) => sum + events, 0), planned.length);
  assert.deepEqual(await Promise.all(sites.map(buildOf)), builds.map((build) => build + 1));
  same('rebuilt');
  const [again, known] = await Promise.all([total('records_resent_total', ingresses), total('records_repeated_total', workers)]);
  note(`${HISTORIES} histories from SEED=${seed}, ${planned.length} events in ${requests.length} requests, ${again} records sent again, ${known} of them known already`);
  note(`among them ${Object.entries(traits).sort().map(([trait, count]) => `${trait} ${count}`).join(', ')}`);
});

// --- a zone changes ------------------------------------------------------------------------------------

const RATE = 2000, VISITS_EACH = 4, VIEWS_EACH = 5; // events a second; visits in a request, and events in a visit
const PER_REQUEST = VISITS_EACH * VIEWS_EACH, PERSONS = 600;
const BEGIN = us('2026-03-27T00:00:00Z'), MINUTES = 4 * 24 * 60;

// Some minutes of a visitor, around the day on which clocks change in the first zone.
function visitOf(random, label) {
  const person = random.between(1, PERSONS), begin = random.between(0, MINUTES);
  return Array.from({ length: VIEWS_EACH }, (_, n) => ({
    id: `${label}/${n}`, name: random.pick(['pageview', 'pageview', 'Signup', 'footfall:exit']), url: random.pick([...PAGES.values()].map(encodeURI)), property_id: moving.property_id,
    ip: `141.20.${person >> 8}.${person & 255}`, user_agent: AGENTS[1].agent, ...(person % 2 && { visitor: `person ${person}` }),
    timestamp: iso(BEGIN + BigInt(begin + random.between(0, 40)) * 60_000_000n), engaged_ms: random.between(0, 9000), scroll_depth: random.between(0, 100),
  }));
}

test('zones that change at 2,000 events a second end in the tables of a fresh load in the last one', async () => {
  const requestOf = (name) => {
    const random = new Random(seed + Number(name.slice(2)));
    return request(Array.from({ length: VISITS_EACH }, (_, n) => visitOf(random, `${name}/${n}`)).flat());
  };
  const crowd = stack.visitors(ingresses, { prefix: 'n-', rate: RATE / PER_REQUEST, request: requestOf }), began = performance.now();
  const accepted = () => crowd.accepted.length * PER_REQUEST;
  const more = async (count) => {
    const enough = accepted() + count;
    assert.ok(await until(() => accepted() >= enough, { every: 10 }), 'events are accepted');
  };
  await more(RATE);
  const during = [];
  let zone;
  for (zone of ['Pacific/Apia', 'Asia/Kathmandu']) {
    await stack.command('site', 'set', moving.domain, '--timezone', zone);
    const before = accepted();
    await stack.command('rebuild', '--site', moving.domain);
    during.push(accepted() - before);
    await more(RATE / 4);
  }
  const seconds = (performance.now() - began) / 1000, rate = accepted() / seconds;
  await crowd.stop();
  assert.deepEqual([crowd.refused, crowd.open], [[], []], 'all were taken');
  await arrived([moving], accepted());
  assert.ok(during.every((count) => count > 0), 'events came during each rebuild');
  const events = eventsOf(moving.site_id, tablesOf(moving).event);
  assert.equal(new Set(events.map(({ id }) => id)).size, accepted(), 'every event that was sent');
  const wrong = wrongOf(moving, events, zone);
  assert.equal(wrong, null, `SEED=${seed}: + is there, - should be\n${wrong}`);
  assert.notEqual(wrongOf(moving, events), null, 'in the first zone they would be others');
  note(`${events.length} events at ${Math.round(rate)}/s, ${during.join(' and ')} of them during the rebuilds`);
});

// --- named cases -----------------------------------------------------------------------------------------

const WHO = { ip: '141.20.0.1', user_agent: AGENTS[1].agent, visitor: 'somebody' };
const sendTo = (site, events) => send(events.map((event, i) => ({ to: i % 2, events: [{ ...WHO, property_id: site.property_id, ...event }] })));

const visitsOf = async (site) => (await stack.metrics(`select to_char(start_ts, 'HH24:MI:SS') || ' to ' || to_char(end_ts, 'HH24:MI:SS') from visit where site_id = ${site.site_id} order by start_ts`)).flat();

// What the reports of a site say, of all and of each source: by "DAY all" and "DAY from SOURCE".
const reportsOf = async (site) => Object.fromEntries((await stack.metrics(`
  select day || case dimension when 0 then ' all' else ' from ' || coalesce(s.value, '(none)') end, visitors, visits, pageviews, bounces, duration_ms / 1000.0
  from rollup_day r left join string s on s.site_id = r.site_id and s.id = r.value where r.site_id = ${site.site_id} and dimension in (0, 4)`))
  .map(([what, ...numbers]) => [what, counts(...numbers.map(Number))]));
const kindOf = (what) => what.split(' ')[1];

// Page views by day.
const viewsOf = async (site) => Object.fromEntries((await stack.metrics(`select day, pageviews from rollup_day where site_id = ${site.site_id} and dimension = 0 order by 1`))
  .map(([day, count]) => [day, Number(count)]));

for (const one of VISITS) {
  test(one.is, async () => {
    let count = 0;
    for (const [events, visits] of one.steps) {
      await sendTo(one.site, events);
      await arrived([one.site], count += events.length);
      assert.deepEqual(await visitsOf(one.site), visits);
    }
    const kinds = new Set(Object.keys(one.reports).map(kindOf));
    assert.deepEqual(Object.fromEntries(Object.entries(await reportsOf(one.site)).filter(([what]) => kinds.has(kindOf(what)))), one.reports);
  });
}

for (const one of DAYS) {
  const { is, zone, begins, ends, views } = one;
  test(`${zone}: ${is}`, async () => {
    const times = [us(begins) - 1n, us(ends)];
    for (let ts = us(begins); ts < us(ends); ts += 3_600_000_000n) times.push(ts);
    times[times.length - 1] = us(ends) - 1n; // the last hour's is at the very end
    const { site } = one;
    await sendTo(site, times.map((ts) => view(iso(ts))));
    await arrived([site], times.length);
    assert.deepEqual(await viewsOf(site), views);
  });
}

test('America/St_Johns: where clocks go back over midnight, an hour of the day before comes after the first minute of a day', async () => {
  const first = view('2010-11-07T02:30:30Z', '/first-minute'), again = view('2010-11-07T02:45:00Z', '/again', { id: 'sent to both' });
  await sendTo(twice, [first]);
  for (const to of [0, 1]) await send([{ to, events: [{ ...WHO, property_id: twice.property_id, ...again }] }]);
  await arrived([twice], 2);
  assert.deepEqual(await viewsOf(twice), { '2010-11-06': 1, '2010-11-07': 1 });
});

// The event on this page, in µs.
const timeOf = async (page) => BigInt((await stack.metrics(`select (extract(epoch from ts) * 1000000)::bigint from event e join string s on s.site_id = e.site_id and s.id = e.page
  where e.site_id = ${now.site_id} and s.value = '${page}'`))[0][0]);
const between = (least, ts, most) => assert.ok(least <= ts && ts <= most, `${iso(least)}, ${iso(ts)}, ${iso(most)}`);

test('an event of the future is refused, and one of a clock that is a little ahead happens now', async () => {
  const before = clock(), ahead = (seconds) => iso(before + BigInt(seconds) * 1_000_000n), had = await eventCount([now]);
  const answer = await once(ingresses[0].http, request([view(ahead(3600), '/far'), view(ahead(50), '/near')].map((event) => ({ ...WHO, property_id: now.property_id, ...event }))));
  assert.equal(answer.status, 200);
  assert.deepEqual(JSON.parse(answer.body).results.map(({ index, status, error }) => [index, status, error]), [[0, 'rejected', 'timestamp is in the future']]);
  const after = clock() + 1000n; // of the same ms
  await arrived([now], had + 1);
  between(before, await timeOf('/near'), after);
});

test("a browser's own time is ignored", async () => {
  const past = '2026-01-05T12:00:00Z', before = clock(), had = await eventCount([now]);
  const own = { timestamp: past, time: past, ts: Date.parse(past), created_at: past };
  assert.ok(isTaken(await once(ingresses[1].http, pageView(now, '/browser', own, { Date: new Date(past).toUTCString() }))));
  const after = clock() + 1000n;
  await arrived([now], had + 1);
  between(before, await timeOf('/browser'), after);
});

// --- events that are dropped -------------------------------------------------------------------------------

test('a rebuild after months were dropped keeps the days that were in them, and counts the later ones anew', async () => {
  // Around the end of a month by UTC, which is not that of the site's, and a month later.
  const random = new Random(seed), horizon = us('2026-02-01T00:00:00Z'), firstWhole = '2026-02-02', HOUR_S = 3600;
  const planned = Array.from({ length: 600 }, (_, i) => {
    const past = random.between(0, 5) ? horizon - 1_000_000n * 60n * 3600n : us('2026-03-02T00:00:00Z');
    return { ...history(seed + i).events[0], visitor: BigInt(random.between(0, 50)), id: BigInt(i), ts: past + BigInt(random.between(0, 120 * HOUR_S)) * 1_000_000n };
  }).map((event, i) => plannedOf(kept, event, Number(event.visitor), `kept ${i}`));
  await send(requestsOf(random, planned, 10));
  await arrived([kept], planned.length);
  const all = await expectedOf([kept], planned), left = all.filter(({ ts }) => ts >= horizon);
  assert.equal(wrongOf(kept, all), null);
  const should = tablesFrom(kept, all), counted = tablesFrom(kept, left);

  // As the job does it; and the numbers are changed, so that it shows which are kept and which are counted.
  const of = `where site_id = ${kept.site_id}`;
  stack.database.sql('footfall_metrics', `do $$ declare part text; begin
      for part in select c.relname from pg_inherits i join pg_class c on c.oid = i.inhrelid where i.inhparent = 'event'::regclass and c.relname < 'event_2026_02' loop
        execute format('drop table %I', part);
      end loop; end $$;
    insert into forgotten values (0, '${iso(horizon)}');
    update rollup_day set scroll_sum = scroll_sum + 1000000 ${of}; update rollup_month set scroll_sum = scroll_sum + 1000000 ${of};`);
  const was = tablesOf(kept);
  const isOld = (line) => line.slice(0, firstWhole.length) < firstWhole;
  await stack.command('rebuild', '--site', kept.domain);
  const wanted = { ...counted };
  for (const table of ['rollup_day', 'rollup_month']) wanted[table] = [...was[table].filter(isOld), ...should[table].filter((line) => !isOld(line))];
  assert.equal(difference(tablesOf(kept), wanted), null);
  const days = (lines) => new Set(lines.map((line) => line.slice(0, 10))).size;
  const old = should.rollup_day.filter(isOld);
  assert.ok(days(old) >= 3 && days(should.rollup_day) - days(old) >= 3);
  note(`${days(old)} days kept and ${days(should.rollup_day) - days(old)} counted anew, of ${all.length} events ${left.length} were left`);
});
