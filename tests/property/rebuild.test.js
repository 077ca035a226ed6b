// A rebuild leaves the tables that the definitions give, in another zone, too, while events come in.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';
import { startCluster } from '../e2e/cluster.js';
import { note } from '../e2e/harness.js';
import { BIN, ROOT } from '../parts/parts.js';
import { difference, EVENT_COLUMNS, formatTables, fromBefore, readTables, sendStatements, tablesStatement } from './apply.js';
import { history, sending } from './histories.js';
import { tables as oracle } from './oracle.js';

const OWNER = 'owner@example.org', METRICS = 'footfall_metrics';
const SITES = 6, HISTORIES = 25; // of each
const LIVE_HISTORIES = 150;
const seed = Number(process.env.SEED ?? Math.floor(Math.random() * 1e9));

let cluster, home;
before(async () => {
  cluster = await startCluster('fsync = off\n');
  home = fs.mkdtempSync(path.join(os.tmpdir(), 'footfall-rebuild-'));
  await footfall(['user', 'add', OWNER, '--password-stdin'], 'correct horse battery');
});
after(async () => {
  await cluster?.stop();
  if (home) fs.rmSync(home, { recursive: true });
});

async function footfall(args, input = '', database = METRICS) {
  const running = promisify(execFile)(path.join(BIN, 'footfall'), [...args, '--json'], { env: {
    PATH: process.env.PATH, FOOTFALL_HOME: home, FOOTFALL_APP_DB: cluster.conninfo('postgres', 'footfall_app'), FOOTFALL_METRICS_DB: cluster.conninfo('postgres', database),
  }, timeout: 120000 });
  running.child.stdin.on('error', () => {}); // who reads no password may have ended
  running.child.stdin.end(input);
  return JSON.parse((await running).stdout);
}

const siteMake = (domain, zone) => footfall(['site', 'add', domain, '--owner', OWNER, '--timezone', zone]);

// The events of several histories as those of one site: their visitors differ, or are one by chance.
const eventsOf = (first, count) => {
  const seen = new Set();
  return Array.from({ length: count }, (_, i) => history(first + i)).flatMap(({ events }) => events)
    .filter(({ visitor, id }) => !seen.has(`${visitor} ${id}`) && seen.add(`${visitor} ${id}`));
};
const send = (site, zone, records) => cluster.query(METRICS, sendStatements(site, zone, records));

async function wrongOf({ site_id: site }, events, zone, database = METRICS) {
  const tables = readTables(cluster.sql(database, `begin; delete from visit using site s where s.site_id = visit.site_id and visit.build <> s.build;
    delete from visit_page using site s where s.site_id = visit_page.site_id and visit_page.build <> s.build;
    delete from rollup_day using site s where s.site_id = rollup_day.site_id and rollup_day.build <> s.build;
    delete from rollup_month using site s where s.site_id = rollup_month.site_id and rollup_month.build <> s.build;
    ${tablesStatement(site, site)} rollback;`));
  return difference(tables.get(site), formatTables(oracle(events, { 0: zone })));
}

test('a rebuild mends what is counted wrongly, for all sites or one, in the zone that the site has now', async () => {
  const sites = [];
  for (let i = 0; i < SITES; i++) {
    const events = eventsOf(seed + i * HISTORIES, HISTORIES), site = await siteMake(`mend-${i}.example`, 'Europe/Berlin');
    cluster.sql(METRICS, sendStatements(site.site_id, 'Europe/Berlin', sending({ seed: seed + i, events }, 1)));
    sites.push({ site, events });
  }
  const damage = `update visit set views = views + 1, source = 99; delete from visit_page where page = 101; update rollup_day set visitors = visitors + 1;
    delete from rollup_month where dimension = 0; insert into rollup_day select site_id, build, date '2020-02-02', 0, 0, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1 from site`;
  cluster.sql(METRICS, damage);
  assert.notEqual(await wrongOf(sites[0].site, sites[0].events, 'Europe/Berlin'), null, 'the damage is seen');
  const rebuilt = await footfall(['rebuild']);
  assert.deepEqual(rebuilt.map(({ domain, events }) => [domain, events]), sites.map(({ site, events }) => [site.domain, events.length]));
  for (const { site, events } of sites) assert.equal(await wrongOf(site, events, 'Europe/Berlin'), null);

  cluster.sql('footfall_app', `update site set zone = 'Asia/Kolkata' where id = ${sites[1].site.site_id}`);
  cluster.sql(METRICS, damage.split(';')[0]);
  assert.equal((await footfall(['rebuild', '--site', 'mend-1.example'])).length, 1);
  assert.equal(await wrongOf(sites[1].site, sites[1].events, 'Asia/Kolkata'), null);
  assert.notEqual(await wrongOf(sites[0].site, sites[0].events, 'Europe/Berlin'), null, 'the others are as they were');
  const left = cluster.sql(METRICS, `select count(*) from visit v join site s using (site_id) where v.build <> s.build and site_id = ${sites[1].site.site_id}`);
  assert.equal(left.trim(), '0', 'nothing is left of the old build');
});

test('zones change again and again while events come in, and in the end all is as in a fresh load', async () => {
  const site = await siteMake('live.example', 'Europe/Berlin'), events = eventsOf(seed + 10_000, LIVE_HISTORIES);
  const records = sending({ seed, events }, 1), first = records.splice(0, records.length / 2);
  cluster.sql(METRICS, sendStatements(site.site_id, 'Europe/Berlin', first));
  let sending_ = true, rebuilds = 0, zone;
  const sent = (async () => {
    for (let i = 0; i < records.length; i += 20) await send(site.site_id, 'Europe/Berlin', records.slice(i, i + 20));
    sending_ = false;
  })();
  for (const zones = ['Pacific/Apia', 'America/St_Johns', 'Asia/Kathmandu', 'America/Santiago']; sending_; rebuilds++) {
    zone = zones[rebuilds % zones.length];
    cluster.sql('footfall_app', `update site set zone = '${zone}' where id = ${site.site_id}`);
    await footfall(['rebuild', '--site', site.domain]);
  }
  await sent;
  assert.equal(await wrongOf(site, events, zone), null);
  note(`${rebuilds} rebuilds while ${events.length} events came in`);
  assert.ok(rebuilds > 1);
});

test('a rebuild after months were dropped keeps the days that were in them', async () => {
  const site = await siteMake('kept.example', 'Europe/Berlin'), events = eventsOf(seed + 20_000, HISTORIES);
  cluster.sql(METRICS, sendStatements(site.site_id, 'Europe/Berlin', sending({ seed, events }, 1)));
  const rollups = () => cluster.sql(METRICS, `select * from (select day, dimension, value, visitors, visits, pageviews, duration_ms, exits, scroll_sum from rollup_day r
    join site s on s.site_id = r.site_id and s.build = r.build where r.site_id = ${site.site_id}
    union all select month, -dimension, value, visitors, visits, pageviews, duration_ms, exits, scroll_sum from rollup_month r
    join site s on s.site_id = r.site_id and s.build = r.build where r.site_id = ${site.site_id}) t order by 1, 2, 3`).split('\n');
  const was = rollups(), horizon = '2026-02-01 00:00:00+00';
  cluster.sql(METRICS, `do $$ declare part text; begin
      for part in select c.relname from pg_inherits i join pg_class c on c.oid = i.inhrelid where i.inhparent = 'event'::regclass and c.relname < 'event_2026_02' loop
        execute format('drop table %I', part);
      end loop; end $$; insert into forgotten values (0, '${horizon}')`);
  await footfall(['rebuild', '--site', site.domain]);
  const is = rollups(), other = (one, two) => one.filter((line) => !two.includes(line)).slice(0, 20);
  assert.deepEqual([other(was, is), other(is, was)], [[], []], 'gone, and come');
  const visits = cluster.sql(METRICS, `select count(*) from visit where site_id = ${site.site_id} and start_ts < '${horizon}'`);
  assert.equal(visits.trim(), '0', 'nothing was counted from elsewhere');
});

test('events from before visits were counted are told from others, and a rebuild counts them', async () => {
  const zone = 'Asia/Kathmandu', site = await siteMake('earlier.example', zone), events = eventsOf(seed, HISTORIES).map(fromBefore);
  const schema = path.join(ROOT, 'deploy/schema/metrics'), files = fs.readdirSync(schema).sort(), columns = ['site_id', ...EVENT_COLUMNS].join();
  const migrate = (of) => files.filter(of).map((file) => `begin; set role footfall_owner;\n${fs.readFileSync(path.join(schema, file), 'utf8')}\ncommit;`).join('\n');
  for (const name of ['present', 'earlier']) cluster.sql('postgres', `create database ${name} owner footfall_owner`);
  cluster.sql('present', `${migrate(() => true)} ${sendStatements(site.site_id, zone, sending({ seed, events }, 0))}`);
  cluster.sql('earlier', `${migrate((file) => file < '0006')}
    select event_partition(to_timestamp(ts / 1e6)) from unnest('{${events.map(({ ts }) => ts).join()}}'::bigint[]) ts;
    copy event (${columns}) from stdin;\n${cluster.sql('present', `copy (select ${columns} from event) to stdout`)}\\.
    ${migrate((file) => file >= '0006')}`);
  assert.equal(cluster.sql('earlier', 'select site_id, build from site').trim(), `${site.site_id}|0`);
  await footfall(['rebuild', '--site', site.domain], '', 'earlier');
  assert.equal(await wrongOf(site, events, zone, 'earlier'), null);
  assert.equal(cluster.sql('earlier', 'select build > 0 from site').trim(), 't');
});

test('a site that is not there, or a second rebuild of the same, is said', async () => {
  await assert.rejects(footfall(['rebuild', '--site', 'nobody.example']), /there is no site \\?"nobody.example\\?"/);
  const site = await siteMake('twice.example', 'Europe/Berlin');
  const [one] = cluster.sql(METRICS, `select rebuild_begin(${site.site_id}, 'Europe/Berlin')`).split('\n');
  cluster.sql(METRICS, `select rebuild_begin(${site.site_id}, 'Europe/Berlin')`);
  assert.throws(() => cluster.sql(METRICS, `select rebuild_finish(${site.site_id}, ${one})`), /is being rebuilt by somebody else/);
  assert.throws(() => cluster.sql(METRICS, `select rebuild_begin(${site.site_id}, 'Mars/Olympus')`), /time zone "Mars\/Olympus" not recognized/);
});
