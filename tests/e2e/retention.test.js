// What goes by age and what goes with a site, and that nothing else does: neither from the tables nor from what
// reports say; and that what is gone does not come back.
import assert from 'node:assert/strict';
import { execFile, execFileSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { after, afterEach, before, test } from 'node:test';
import { BIN } from '../parts/parts.js';
import { isQuiet, proveDelivered, startParts } from '../parts/proof.js';
import { until } from '../parts/until.js';
import { batch, isTaken, once, pageView } from '../parts/visitors.js';
import { difference, formatTables, readTables, sendStatements, tablesStatement } from '../property/apply.js';
import { history, sending } from '../property/histories.js';
import { tables as oracle } from '../property/oracle.js';
import { note } from './harness.js';

const APP = 'footfall_app', METRICS = 'footfall_metrics', OWNER = 'owner@example.org', DAY = 86_400_000, ZONE = 'Europe/Berlin';
const seed = Number(process.env.SEED ?? Math.floor(Math.random() * 1e9));
let stack;

before(async () => { stack = await startParts(['beside.example', 'gone.example']); });
afterEach(() => stack?.clear());
after(() => stack?.end());

const sql = (text) => stack.database.sql(METRICS, text).trim();
const lines = (text) => sql(text).split('\n').filter(Boolean);
const siteMake = (domain, zone = ZONE) => stack.command('site', 'add', domain, '--owner', OWNER, '--timezone', zone);

// Events into the tables, in records of 500.
const sent = new Map(); // records of each site
function send(site, events, zone = ZONE) {
  const records = [];
  for (let i = 0; i < events.length; i += 500) {
    sent.set(site.site_id, (sent.get(site.site_id) ?? 0) + 1);
    records.push({ seq: sent.get(site.site_id), events: events.slice(i, i + 500) });
  }
  sql(sendStatements(site.site_id, zone, records));
}
let ids = 0n;
const view = (visitor, ms, page = 101n) => ({
  site: 0, ts: BigInt(ms) * 1000n, visitor: BigInt(visitor), id: ++ids, kind: 1, interactive: true, name: 0n, host: 7n, page, title: 0n, referrer: 0n, source: 9n,
  country: 0n, browser: 0n, browser_version: 0n, os: 0n, os_version: 0n, device: 0n, language: 0n, screen_width: null, engaged_ms: null, scroll_depth: null,
});
const count = (table, site, where = 'true') => Number(sql(`select count(*) from ${table} where site_id = ${site.site_id} and ${where}`));
const rollups = (site) => lines(`select * from (select 'day', day, dimension, value, visitors, visits, pageviews, events, bounces, duration_ms, entries, exits from rollup_day r
  join site s on s.site_id = r.site_id and s.build = r.build where r.site_id = ${site.site_id}
  union all select 'month', month, dimension, value, visitors, visits, pageviews, events, bounces, duration_ms, entries, exits from rollup_month r
  join site s on s.site_id = r.site_id and s.build = r.build where r.site_id = ${site.site_id}) t order by 1, 2, 3, 4`);
// The first few lines that only one of both has.
const unlike = (one, two) => [one.filter((line) => !two.includes(line)).slice(0, 5), two.filter((line) => !one.includes(line)).slice(0, 5)];
const everyRow = (site) => ['event', 'visit', 'visit_page', 'rollup_day', 'rollup_month', 'string', 'site']
  .flatMap((table) => lines(`select '${table}', t::text from ${table} t where site_id = ${site.site_id} order by 1, 2`));

async function consoleRunning(name, env = {}) {
  const service = stack.console(name, 30, env);
  await stack.running(service);
  return service;
}
const becomes = async (what, ask) => assert.ok(await until(ask, { every: 50 }), what);

// --- ahead ------------------------------------------------------------------------------------------

const months = () => lines("select c.relname from pg_inherits i join pg_class c on c.oid = i.inhrelid where i.inhparent = 'event'::regclass order by 1");
const ahead = () => lines("select to_char(date_trunc('month', now() at time zone 'UTC') + n * interval '1 month', '\"event_\"YYYY_MM') from generate_series(0, 2) n");

test('months are made two ahead, by the migration and by a console that runs, without anybody asking', async () => {
  assert.deepEqual(months(), ahead());
  sql(`drop table ${ahead().slice(1).join()}`);
  await consoleRunning('console-ahead');
  await becomes('they are there again', () => ahead().every((month) => months().includes(month)));
});

// --- age --------------------------------------------------------------------------------------------

test('months beyond the installation\'s limit are dropped, their days stay also after a rebuild, and nothing so old is taken', async () => {
  const site = await siteMake('months.example'), now = Date.now();
  const visits = Array.from({ length: 300 }, (_, i) => view(1000 + i % 40, now - i * DAY * 0.7, i % 2 ? 101n : 102n));
  send(site, visits);
  const was = rollups(site), held = months().length;
  const begins = sql("select (date_trunc('month', now() at time zone 'UTC') - interval '2 months') at time zone 'UTC'"), old = `ts < '${begins}'`;
  assert.ok(count('event', site, old) > 100);

  // A month that somebody reads for long is not asked for, so that events go in; it is for a later turn.
  const reader = stack.database.query(METRICS, "select count(*), pg_sleep(600) from event").catch(() => 'ended');
  await becomes('it reads', () => sql("select count(*) from pg_stat_activity where query like '%pg_sleep(600)%' and pid <> pg_backend_pid()") === '1');
  const keeper = await consoleRunning('console-months', { FOOTFALL_RETENTION_MONTHS: '2' });
  const waiting = [];
  await becomes('it is left', () => {
    waiting.push(...lines('select relation::regclass from pg_locks where not granted'));
    return /"level":"info".*is left for later table=event_/.test(keeper.said());
  });
  assert.deepEqual(waiting, [], 'nobody was kept waiting');
  assert.ok(!/"level":"error"/.test(keeper.said()));
  for (let i = 0; i < 20; i++) send(site, [view(5000 + i, now)]);
  assert.equal(months().length, held, 'no month is gone yet');
  sql("select pg_terminate_backend(pid) from pg_stat_activity where query like '%pg_sleep(600)%' and pid <> pg_backend_pid()");
  assert.equal(await reader, 'ended');
  sql('notify footfall_keep');
  await becomes('the months are gone', () => months().every((month) => month >= `event_${begins.slice(0, 7).replace('-', '_')}`));
  await becomes('the visits, too', () => count('visit', site, `end_ts < '${begins}'::timestamptz - interval '1 day'`) === 0 && count('retention_done', site) === 1);
  assert.equal(count('event', site, old), 0);
  assert.equal(sql('select before from forgotten where site_id = 0'), begins);

  const today = sql(`select (now() at time zone '${ZONE}')::date`), month = `${today.slice(0, 7)}-01`;
  const days = (all) => all.filter((line) => !line.startsWith(`day|${today}`) && !line.startsWith(`month|${month}`));
  assert.deepEqual(unlike(days(was), days(rollups(site))), [[], []], 'the days stay');
  const before = rollups(site);
  await stack.command('rebuild', '--site', site.domain);
  assert.deepEqual(unlike(before, rollups(site)), [[], []], 'also after a rebuild');
  send(site, [view(7, now - 200 * DAY)]);
  assert.equal(count('event', site, old), 0, 'nothing so old is taken');
  assert.deepEqual(unlike(before, rollups(site)), [[], []], 'nor counted');
  assert.ok(!months().includes(`event_${new Date(now - 200 * DAY).toISOString().slice(0, 7).replace('-', '_')}`));
  sql('delete from forgotten where site_id = 0');
});

test('a site\'s limit deletes its old events while new ones come in, and leaves another site as it is', async () => {
  const site = await siteMake('days.example'), beside = await siteMake('days-beside.example'), now = Date.now();
  const old = (first) => Array.from({ length: 8000 }, (_, i) => view(2 * (first + i % 3000), now - (20 + (i % 50)) * DAY - (i % 97) * 60_000, 101n + BigInt(i % 5)));
  const fresh = (first) => Array.from({ length: 50 }, (_, i) => view(2 * (first + i), now - i * 1000));
  send(site, [...old(1), ...fresh(9_000_000)]);
  send(beside, [...old(1).slice(0, 2000), ...fresh(9_000_000)]);
  const other = everyRow(beside), was = rollups(site);
  await consoleRunning('console-days');
  assert.equal((await stack.command('site', 'show', site.domain)).retention_days, null);
  assert.equal((await stack.command('site', 'set', site.domain, '--retention', '14')).retention_days, 14);
  let came = 50;
  await becomes('all is done', () => {
    send(site, fresh(10_000_000 + came)); // it is told at once
    came += 50;
    return count('retention_done', site) === 1;
  });
  assert.equal((await stack.command('site', 'show', site.property_id)).retention_days, 14);
  const horizon = sql(`select local_midnight('${ZONE}', (now() at time zone '${ZONE}')::date - 14)`);
  assert.equal(sql(`select before from forgotten where site_id = ${site.site_id}`), horizon);
  assert.deepEqual([count('event', site), count('event', site, `ts < '${horizon}'`), count('visit', site, `end_ts < '${horizon}'`), count('visit_page', site, `start_ts < '${horizon}'`)], [came, 0, 0, 0]);
  assert.deepEqual(unlike(other, everyRow(beside)), [[], []], 'the other is as it was');
  const oldDays = (all) => all.filter((line) => line.split('|')[1] < horizon.slice(0, 10) && line.startsWith('day'));
  assert.ok(oldDays(was).length > 100);
  assert.deepEqual(unlike(oldDays(was), oldDays(rollups(site))), [[], []], 'days keep their numbers');

  send(site, [view(2, now - 30 * DAY)]);
  assert.equal((await stack.command('site', 'set', site.domain, '--retention', 'none')).retention_days, null);
  send(site, [view(2, now - 30 * DAY)]);
  assert.equal(count('event', site), came, 'what is older was refused, also when the limit is lifted: it may have been counted');
  await assert.rejects(stack.command('site', 'set', site.domain, '--retention', '0'), /--retention is \\?"0\\?", must be 1 to 36500/);
});

test('who sets a limit while the console is at work is heard behind it', async () => {
  const [one, two] = [await siteMake('busy.example'), await siteMake('heard.example')], now = Date.now();
  for (const site of [one, two]) send(site, [view(2, now), view(4, now - 40 * DAY)]);
  sql(`insert into retention values (${one.site_id}, 14)`);
  const holder = stack.database.query(METRICS, `select pg_advisory_lock(1, ${one.site_id}), pg_sleep(600)`).catch(() => 'ended');
  const held = () => sql("select pid from pg_stat_activity where query like '%pg_sleep(600)%' and pid <> pg_backend_pid()");
  await becomes('it is held', () => sql(`select count(*) from pg_locks where locktype = 'advisory' and classid = 1 and objid = ${one.site_id} and granted`) === '1');
  await consoleRunning('console-busy');
  await becomes('it waits', () => sql(`select count(*) from pg_locks where locktype = 'advisory' and classid = 1 and objid = ${one.site_id} and not granted`) === '1');
  await stack.command('site', 'set', two.domain, '--retention', '14');
  sql(`select pg_terminate_backend(${held()})`);
  assert.equal(await holder, 'ended');
  await becomes('both are done', () => count('retention_done', one) + count('retention_done', two) === 2);
  assert.deepEqual([count('event', one), count('event', two)], [1, 1]);
  sql('delete from retention');
});

test('a site that cannot be tidied is said and does not keep the others from it', async () => {
  const [bad, good] = [await siteMake('bad.example'), await siteMake('good.example')], now = Date.now();
  for (const site of [bad, good]) send(site, [view(2, now), view(4, now - 40 * DAY)]);
  sql(`create function refuse() returns trigger language plpgsql as 'begin raise exception ''refused''; end';
    create trigger refuse before delete on visit for each row when (old.site_id = ${bad.site_id}) execute function refuse();
    insert into retention values (${bad.site_id}, 14), (${good.site_id}, 14)`);
  const keeper = await consoleRunning('console-bad');
  await becomes('the other is done', () => count('retention_done', good) === 1);
  assert.equal(count('retention_done', bad), 0);
  assert.match(keeper.said(), new RegExp(`"level":"error".*site=${bad.site_id}: refused`));
  sql('drop trigger refuse on visit; drop function refuse(); notify footfall_keep');
  await becomes('it is, too, when it can be', () => count('retention_done', bad) === 1);
  sql('delete from retention');
});

test('strings are looked for at first, and then when the limit has moved by 30 days', async () => {
  const site = await siteMake('moves.example'), begin = '2020-01-01 00:00:00+00', due = () => sql(`select strings from retention_due() where site_id = ${site.site_id}`);
  const day = (n) => `timestamptz '${begin}' + ${n} * interval '1 day'`, moved = (n) => sql(`update forgotten set before = ${day(n)} where site_id = ${site.site_id}`);
  send(site, [view(2, Date.now())]);
  sql(`insert into forgotten values (${site.site_id}, ${day(0)})`);
  assert.equal(due(), 't');
  const seen = [];
  for (let n = 0; n <= 62; n++) {
    moved(n);
    if (due() === 't') seen.push(n);
    sql(`select retention_finish(site_id, before, strings) from retention_due() where site_id = ${site.site_id}`);
    assert.equal(due(), '');
  }
  assert.deepEqual(seen, [0, 30, 60]);
});

test('a step goes through no more rows than it is told, and takes up behind the last', async () => {
  const site = await siteMake('steps.example'), now = Date.now();
  send(site, Array.from({ length: 45 }, (_, i) => view(2 * (i + 1), now - (i % 2 ? 40 : 1) * DAY)));
  sql(`insert into retention values (${site.site_id}, 7); select retention_note()`);
  const left = [];
  for (const part of lines(`select retention_parts(${site.site_id})`).filter((name) => name.startsWith('event'))) {
    for (let key = 'null'; key !== ''; ) {
      key = sql(`select retention_part(${site.site_id}, '${part}', ${key === 'null' ? key : `'${key}'`}, 10)`);
      left.push(count('event', site));
      assert.ok((left.at(-2) ?? 45) - left.at(-1) <= 10);
    }
  }
  assert.equal(left.at(-1), 23);
  assert.ok(left.length >= 5);
  assert.equal(sql(`select coalesce(retention_part(${site.site_id}, 'progress', null, 10)::text, 'none')`), 'none', 'of no other table');
  sql(`delete from retention; delete from forgotten where site_id = ${site.site_id}`);
});

// Everything of a site that is too old, in small steps.
const trim = (site) => `do $$ declare part text; key text[]; begin
  for part in select retention_parts(${site.site_id}) loop
    key := null;
    loop key := retention_part(${site.site_id}, part, key, 7); exit when key is null; end loop;
  end loop; end $$`;

test('counting goes on across a limit as if nothing were gone, and so does a rebuild', async () => {
  let straddled = 0, gone = 0;
  for (let n = 0; n < (process.env.FOOTFALL_LONG ? 100 : 8); n++) {
    const { zone, moments, events } = history(seed + n), site = await siteMake(`across-${n}.example`, zone);
    const at = `(timestamptz 'epoch' + ${moments[n % moments.length][1]} * interval '1 microsecond')`;
    const [before, micros] = sql(`select b, (extract(epoch from b) * 1000000)::bigint from (select local_midnight('${zone}', ${n % 2 ? 'd' : "date_trunc('month', d)::date"}) as b from (select (${at} at time zone '${zone}')::date as d) d) t`).split('|'), us = BigInt(micros);
    // Of persistent visitors: a visit that lies across it, one that ends a little before, one of days before in
    // the same month; and each gets a late event, its last.
    const minutes = { 333_331: [-45, -15, 5, 30], 333_333: [-55, -30, -5, 20], 333_335: [-3 * 24 * 60, 60] }, latest = new Set();
    for (const [visitor, all] of Object.entries(minutes)) {
      for (const minute of all) events.push(view(visitor, Number(us / 1000n) + minute * 60_000, 102n));
      latest.add(events.at(-1));
    }
    // The older ones and some of the others; then the limit; then the rest.
    const first = events.filter((event, i) => event.ts < us || (i % 3 && !latest.has(event))), late = events.filter((event) => !first.includes(event));
    const records = sending({ seed: seed + n, events: first }, 1), seq = records.length;
    sql(sendStatements(site.site_id, zone, records));
    straddled += count('visit', site, `start_ts < '${before}' and end_ts >= '${before}'`);
    sql(`insert into forgotten values (${site.site_id}, '${before}'); ${trim(site)}`);
    gone += first.length - count('event', site);
    sql(sendStatements(site.site_id, zone, sending({ seed: seed + n, events: late }, 2).map((record) => ({ ...record, seq: record.seq + seq }))));

    const should = formatTables(oracle(events, { 0: zone }));
    const wrong = () => difference({ ...should, ...only(readTables(sql(tablesStatement(site.site_id, site.site_id))).get(site.site_id)) }, should);
    assert.equal(wrong(), null, `SEED=${seed}, history ${n}`);
    await stack.command('rebuild', '--site', site.domain);
    assert.equal(wrong(), null, `after a rebuild, SEED=${seed}, history ${n}`);
    assert.equal(count('visit', site, `visitor & 1 = 0 and end_ts < '${before}'`) + count('visit_page', site, `visitor & 1 = 0 and start_ts < '${before}'`), 0);
    assert.equal(count('event', site, `visitor & 1 = 0 and ts < '${before}'`), 0);
  }
  assert.ok(straddled > 0 && gone > 0, `${straddled} visits straddled, ${gone} events went`);
  note(`a limit: ${gone} events went, ${straddled} visits lay across it, seed ${seed}`);
});
const only = ({ rollup_day, rollup_month }) => ({ rollup_day, rollup_month });

test('a visit across the end of a month that was dropped is counted once, also after a rebuild', async () => {
  for (const zone of ['UTC', ZONE, 'America/New_York']) {
    const site = await siteMake(`cut-${zone.replace(/\W/g, '-').toLowerCase()}.example`, zone);
    const [begins, ms] = sql("select b, (extract(epoch from b) * 1000)::bigint from (select (date_trunc('month', now() at time zone 'UTC') - interval '2 months') at time zone 'UTC' as b) t").split('|');
    send(site, [...[-20, -5, 10, 25].map((minute) => view(333_331, Number(ms) + minute * 60_000)), view(333_333, Number(ms) + 60_000), view(333_335, Number(ms) + 3 * DAY), view(333_337, Date.now())], zone);
    const was = rollups(site);
    for (let dropped = 't'; dropped === 't'; ) dropped = sql('select dropped from retention_drop(2)');
    sql(trim(site));
    assert.equal(count('event', site, `ts < '${begins}'`), 0);
    await stack.command('rebuild', '--site', site.domain);
    assert.deepEqual(unlike(was, rollups(site)), [[], []], zone);
    sql('delete from forgotten where site_id = 0');
  }
});

test('a string goes when no row uses it, and one that comes into use meanwhile stays', async () => {
  const site = await siteMake('strings.example'), now = Date.now();
  const strings = { 101: 'page', 102: 'of a day that stays', 7: 'host', 9: 'source', 1: 'unused', 2: 'used before it is taken out', 3: 'used behind that' };
  const put = (id) => sql(`insert into string values (${site.site_id}, ${id}, '${strings[id]}') on conflict do nothing`);
  for (const id of Object.keys(strings)) put(id);
  send(site, [view(2, now), view(4, now - 40 * DAY, 102n)]);
  sql(`insert into forgotten values (${site.site_id}, now() - interval '20 days'); ${trim(site)}`);
  assert.equal(count('event', site), 1);
  const step = (name) => sql(`select ${name}(${site.site_id}${/take|drop/.test(name) ? ', 2' : ''})`);
  step('strings_doubt');
  put(2);
  send(site, [view(6, now, 2n)]);
  while (step('strings_take') !== '0');
  put(3);
  send(site, [view(8, now, 3n)]);
  step('strings_restore');
  while (step('strings_drop') !== '0');
  assert.deepEqual(lines(`select id, value from string where site_id = ${site.site_id} order by 1`),
    Object.entries(strings).filter(([id]) => id !== '1').map(([id, value]) => `${id}|${value}`));
  assert.equal(count('string_doubt', site), 0);
});

test('every column that holds a string is among those that keep it', () => {
  const numbers = { event: ['visitor', 'id'], visit: ['visitor', 'landing_id', 'exit_id', 'engaged_ms'], visit_page: ['visitor', 'engaged_ms'] };
  const body = sql("select prosrc from pg_proc where proname = 'string_uses'");
  for (const [table, others] of Object.entries(numbers)) {
    const kept = body.split('union all').find((part) => new RegExp(`from ${table} where`).test(part)).match(/\w+/g);
    const held = lines(`select attname from pg_attribute where attrelid = '${table}'::regclass and atttypid = 'bigint'::regtype and attnum > 0 and not attisdropped`)
      .filter((name) => !others.includes(name));
    assert.ok(held.length > 0);
    assert.deepEqual(held.filter((name) => !kept.includes(name)), [], table);
  }
});

// --- sizes ------------------------------------------------------------------------------------------

test('status tells the size of each table, index and site, they add up, and large tables are not read whole', async () => {
  const [beside, gone] = stack.sites;
  sql(`insert into event select case when n % 4 = 0 then ${beside.site_id} else ${gone.site_id} end, now(), n, n, 6, false, 0, 0, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0
    from generate_series(1, 120000) n`);
  await siteMake('no-events.example');
  const status = await stack.command('status'), table = (name) => status.tables.find((one) => one.table === name);
  assert.equal(table('event').bytes, Number(sql("select sum(pg_total_relation_size(inhrelid)) from pg_inherits where inhparent = 'event'::regclass")));
  assert.equal(Object.keys(table('event').indexes).sort().join(), 'event_pk,event_ts');
  for (const { table: name, bytes, table_bytes, indexes } of status.tables) {
    assert.equal(table_bytes + Object.values(indexes).reduce((sum, one) => sum + one, 0), bytes, name);
    const shares = status.sites.map(({ tables }) => tables?.[name]).filter(Boolean);
    if (!shares.length) continue;
    const empty = name === 'event' ? months().filter((month) => sql(`select exists (select from ${month})`) === 'f').map((month) => Number(sql(`select pg_total_relation_size('${month}')`))).reduce((sum, one) => sum + one, 0) : 0;
    assert.ok(Math.abs(shares.reduce((sum, share) => sum + share.bytes, 0) - (bytes - empty)) <= 10 * shares.length, name);
  }
  for (const site of status.sites.filter(({ tables }) => tables)) assert.equal(Object.values(site.tables).reduce((sum, one) => sum + one.bytes, 0), site.bytes);
  const [few, many] = [beside, gone].map(({ domain }) => status.sites.find((site) => site.domain === domain).tables.event);
  assert.equal(few.exact, false);
  assert.ok(status.sites.some((site) => !site.tables?.event), 'there are sites of which no event was seen');
  assert.ok(status.sites.every((site) => site.exact === false), 'which does not mean that they have none');
  assert.ok(many.rows / few.rows > 2.5 && many.rows / few.rows < 3.5 && Math.abs(many.rows - 90_000) < 9000, `${few.rows} and ${many.rows} of 30,000 and 90,000`);
  const read = () => Number(sql("select sum(heap_blks_hit + heap_blks_read) from pg_statio_user_tables where relname like 'event\\_%'"));
  const was = read();
  sql('select count(*) from site_sizes(); select pg_stat_force_next_flush()');
  const blocks = Number(sql(`select sum(pg_relation_size(inhrelid)) / 8192 from pg_inherits where inhparent = 'event'::regclass`));
  assert.ok(blocks > 1500 && read() - was < blocks, `${read() - was} of ${blocks} blocks were read`);
  sql('delete from event where kind = 6; vacuum event');
});

// --- a site that goes -------------------------------------------------------------------------------

const stillHeld = (id) => ['app', 'metrics'].flatMap((database) => {
  const ask = (text) => stack.database.sql(`footfall_${database}`, text).trim().split('\n').filter(Boolean);
  const tables = ask("select c.relname from pg_class c join pg_attribute a on a.attrelid = c.oid where a.attname = 'site_id' and not a.attisdropped and c.relkind in ('r', 'p') and c.relnamespace = 'public'::regnamespace");
  assert.ok(tables.includes(database === 'app' ? 'site_member' : 'event'));
  return ask(tables.map((table) => `select '${database}.${table}' where exists (select from ${table} where site_id = ${id})`).join(' union all '));
});

// Every archived segment as it was, and whatever else lies there; null while files come and go.
function archiveBytes(folder) {
  const read = (name) => path.join(folder, 'archive', name), zstd = (name) => execFileSync('zstd', ['-dc', read(name)], { maxBuffer: 1 << 28, stdio: ['ignore', 'pipe', 'ignore'] });
  try {
    return Buffer.concat(fs.readdirSync(path.join(folder, 'archive')).map((name) => (name.endsWith('.zst') ? zstd(name) : fs.readFileSync(read(name)))));
  } catch {
    return null;
  }
}

test('of a removed site no row, no byte in the archive and no late event stays, and a replay still gives the others theirs', async () => {
  const [beside, gone] = stack.sites, folder = stack.folder('journal');
  const env = { FOOTFALL_JOURNAL_DIR: folder };
  const ingresses = [10, 11].map((n) => stack.ingress(`ingress-${n}`, n, env)), worker = stack.worker('worker', 20, ingresses.map(({ link }) => link));
  await stack.running(...ingresses, worker);
  const paths = { beside: [], gone: [] };
  const visit = async (name, site, path) => {
    const answer = await once(ingresses[paths[name].length % 2].http, pageView(site, path));
    assert.ok(isTaken(answer), JSON.stringify(answer));
    paths[name].push(path);
  };
  for (let i = 0; i < 60; i++) {
    await visit('beside', beside, `/beside-${i}`);
    await visit('gone', gone, `/gone-${i}`);
  }
  for (const [name, accepted] of Object.entries(paths)) await proveDelivered(stack, { prefix: `/${name}-`, accepted }, ingresses);
  const aside = (site, seq) => `('00000000-0000-4000-8000-000000000001', ${site.site_id % 16}, ${seq}, 0, 'refused', decode('dc001701', 'hex') || decode('${Buffer.from([site.site_id]).toString('hex')}', 'hex') || '12345678')`;
  const unreadable = (site, seq) => aside(site, seq).replace(/decode.*/, "'unreadable')");
  assert.notEqual(beside.site_id % 16, gone.site_id % 16);
  sql(`insert into dead_letter values ${aside(beside, 1)}, ${aside(gone, 2)}, ${unreadable(gone, 3)}, ${unreadable(gone, 4)}, ${unreadable(beside, 5)}`);
  fs.writeFileSync(path.join(folder, 'roll'), '');
  await becomes('all is archived', () => {
    const bytes = archiveBytes(folder);
    return bytes && bytes.includes('/beside-59') && bytes.includes('/gone-59');
  });

  // What comes late: taken while the site is there, delivered when it is not.
  assert.equal((await worker.stop()).status, 0);
  for (let i = 60; i < 80; i++) await visit('gone', gone, `/gone-${i}`);
  await visit('beside', beside, '/beside-60');
  await assert.rejects(stack.command('site', 'remove', gone.domain), /nothing was removed/);
  assert.equal((await stack.command('site', 'list')).length > 1 && count('event', gone) > 0, true, 'it asks first');
  const removed = await stack.command('site', 'remove', gone.domain, '--yes');
  assert.deepEqual([removed.domain, removed.property_id, removed.rows > 60], [gone.domain, gone.property_id, true]);
  assert.deepEqual(stillHeld(gone.site_id), []);
  assert.deepEqual(lines('select seq from dead_letter order by seq'), ['1', '5'], 'what was set aside of another stays, in another lane also what cannot be read');
  assert.equal(removed.unreadable, 2, 'it is told how many may have been its');
  sql('delete from dead_letter where seq = 5');
  assert.ok(!(await stack.command('site', 'list')).some(({ domain }) => domain === gone.domain));
  await becomes('nothing more is taken', async () => !isTaken(await once(ingresses[0].http, pageView(gone, '/gone-late'))) && !isTaken(await once(ingresses[1].http, pageView(gone, '/gone-late'))));
  const answer = await once(ingresses[0].http, batch(stack.key, gone, ['/gone-by-key']));
  assert.match(answer.body ?? JSON.stringify(answer), /rejected|unknown/);

  await stack.running(worker);
  await proveDelivered(stack, { prefix: '/beside-', accepted: paths.beside }, ingresses);
  await becomes('nothing of it is in the archive, where the others are', () => {
    const bytes = archiveBytes(folder);
    return bytes && !bytes.includes('/gone-') && paths.beside.every((one) => bytes.includes(one));
  });
  assert.deepEqual(stillHeld(gone.site_id), [], 'late events were dropped');

  // As after a restored dump: all that the archive has is missing.
  const rows = () => lines(`select visitor, id, ts, page from event where site_id = ${beside.site_id} order by 1, 2, 3`);
  const was = rows();
  sql(`delete from event where site_id = ${beside.site_id}; truncate progress, applied`);
  const done = await stack.command('replay');
  assert.ok(done.replayed > 0);
  assert.equal(done.gaps, 0);
  assert.deepEqual(unlike(was, rows()), [[], []]);
  assert.deepEqual(stillHeld(gone.site_id), []);
});

test('a removal that was interrupted, or that a restored database has forgotten, is ended by the console or by asking again', async () => {
  const one = await siteMake('half-one.example'), two = await siteMake('half-two.example');
  for (const site of [one, two]) {
    send(site, Array.from({ length: 20 }, (_, i) => view(2 * i + 2, Date.now() - i * DAY)));
    stack.database.sql(APP, `select site_remove('${site.domain}')`);
    sql(`select removal_step(${site.site_id}, 5)`);
    assert.notDeepEqual(stillHeld(site.site_id), []);
  }
  assert.throws(() => send(one, [view(2, Date.now())]), /was removed/);
  assert.equal((await stack.command('site', 'remove', two.property_id, '--yes')).domain, two.domain);
  assert.deepEqual(stillHeld(two.site_id), []);
  await assert.rejects(stack.command('site', 'remove', two.domain, '--yes'), /there is no site/);
  sql(`delete from site_removed where id = ${two.site_id}`); // as an older dump
  send(two, [view(2, Date.now())]);
  await consoleRunning('console-removal');
  await becomes('the console has ended it', () => stillHeld(one.site_id).length + stillHeld(two.site_id).length === 0);
  await becomes('its name is gone, too', () => stack.database.sql(APP, 'select count(*) from site_removed where domain is not null').trim() === '0');
  const again = await siteMake('half-one.example');
  assert.notEqual(again.site_id, one.site_id);
  send(again, [view(2, Date.now())]);
});

test('after the app database was restored from before a removal, the site is counted again', async () => {
  const site = await siteMake('back.example');
  const row = stack.database.sql(APP, `select quote_literal(property_id) from site where id = ${site.site_id}`).trim();
  await stack.command('site', 'remove', site.domain, '--yes');
  stack.database.sql(APP, `delete from site_removed where id = ${site.site_id};
    insert into site (id, property_id, domain, zone, identity) overriding system value values (${site.site_id}, ${row}, 'back.example', '${ZONE}', 'daily')`);
  await consoleRunning('console-back');
  await becomes('it is known', () => sql(`select count(*) from site_removed where id = ${site.site_id}`) === '0');
  send(site, [view(2, Date.now())]);
  assert.equal(count('event', site), 1);
});

test('a worker that meets a site that was removed here and is there in the app database has the console look at once', async () => {
  const site = await siteMake('met.example'), ingress = stack.ingress('ingress-met', 10, { FOOTFALL_JOURNAL_DIR: stack.folder('met') });
  sql(`insert into site_removed values (${site.site_id}, true)`);
  await stack.running(ingress, stack.worker('worker-met', 20, [ingress.link]));
  const removed = () => sql(`select count(*) from site_removed where id = ${site.site_id}`);
  await consoleRunning('console-met');
  await becomes('its first turn has let it in', () => removed() === '0');
  await becomes('and is over', () => sql("select count(*) from pg_stat_activity where application_name = 'footfall console keep' and state = 'idle' and query like '%retention_due()'") === '1');
  sql(`insert into site_removed values (${site.site_id}, true)`);
  assert.ok(isTaken(await once(ingress.http, pageView(site, '/met'))));
  await becomes('it is let in again', () => removed() === '0');
  await becomes('it is counted', () => count('event', site) === 1);
});

test('a removal without --yes goes on only when the domain is typed', async () => {
  const site = await siteMake('typed.example');
  const typed = (text) => new Promise((resolve) => {
    const running = execFile(path.join(BIN, 'footfall'), ['site', 'remove', 'typed.example'], { env: {
      PATH: process.env.PATH, FOOTFALL_HOME: stack.home, FOOTFALL_APP_DB: stack.database.conninfo('postgres', APP), FOOTFALL_METRICS_DB: stack.database.conninfo('postgres', METRICS),
    } }, (error, stdout) => resolve({ code: error?.code ?? 0, stdout }));
    running.stdin.end(text);
  });
  for (const text of ['', 'y\n', 'typed.exampl\n']) assert.equal((await typed(text)).code, 1);
  assert.equal((await stack.command('site', 'show', site.property_id)).domain, 'typed.example');
  const done = await typed('typed.example\n');
  assert.equal(done.code, 0);
  assert.match(done.stdout, /^typed\.example is removed/);
});

test('late events of the last site there was are dropped, too, and block nobody', async () => {
  const [site] = stack.sites, ingress = stack.ingress('ingress-last', 10, { FOOTFALL_JOURNAL_DIR: stack.folder('last') });
  await stack.running(ingress);
  assert.ok(isTaken(await once(ingress.http, pageView(site, '/last'))));
  stack.database.sql(APP, 'select site_remove(domain) from (select domain from site) s');
  await becomes('it is on its way', async () => await ingress.metric('records_in_flight') === 1);
  await stack.running(stack.worker('worker-last', 20, [ingress.link]));
  assert.ok(await isQuiet([ingress]), 'it is done with');
  assert.equal(await stack.number("select count(*) from string where value = '/last'"), 0);
});
