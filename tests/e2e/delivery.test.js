// What becomes of accepted events when processes are stopped, lost or refused: each is in the tables once.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { after, afterEach, before, test } from 'node:test';
import { proveDelivered, startParts } from '../parts/proof.js';
import { until } from '../parts/until.js';
import { batch, isTaken, once, pageView } from '../parts/visitors.js';
import { note } from './harness.js';

// A site for each case: its events lie in a lane of their own.
const DOMAINS = ['claim', 'commit', 'answer', 'ready', 'fewer', 'full', 'alone', 'faults', 'many', 'neighbour'].map((name) => `${name}.example`);
let stack, sites;

before(async () => {
  stack = await startParts(DOMAINS);
  sites = Object.fromEntries(stack.sites.map((site) => [site.domain.split('.')[0], site]));
});
afterEach(() => stack?.clear());
after(() => stack?.end());

const numbered = (prefix, count) => Array.from({ length: count }, (_, n) => `${prefix}${n}`);
const laneOf = (site) => Number(site.site_id) % 16;
const segmentsIn = (folder) => fs.readdirSync(folder, { recursive: true }).filter((name) => name.endsWith('.seg'));

// One request with all these page views, which is accepted.
async function take(ingress, site, paths, more) {
  const answer = await once(ingress.http, batch(stack.key, site, paths, more));
  assert.ok(isTaken(answer), JSON.stringify(answer));
  return paths;
}

// A worker is stopped when it is about to send the last of these texts to its database. Another applies
// its record, and then it goes on.
async function stopAt(site, texts, options, n) {
  const what = site.domain.split('.')[0], prefix = `/stopped-at-${what}-`;
  const ingress = stack.ingress(`ingress-${what}`, n, { FOOTFALL_JOURNAL_DIR: stack.folder(what) });
  const pipe = await stack.pipe(n + 1);
  const first = stack.worker(`worker-${what}-0`, n + 2, [ingress.link], { FOOTFALL_METRICS_DB: stack.conninfo('worker', 'metrics', pipe) });
  const second = stack.worker(`worker-${what}-1`, n + 3, [ingress.link]);
  await stack.running(ingress, first);
  const stalled = pipe.stallAt(texts, options);
  const accepted = await take(ingress, site, numbered(prefix, 10));
  await stalled;
  const goOn = first.pause();
  await stack.running(second);
  const applied = `select count(*) from progress p where lane = ${laneOf(site)} and low > 0
    and not exists (select from applied a where a.lane = p.lane and a.seq <= p.low)`;
  assert.ok(await until(() => stack.number(applied)), `${what}: another worker applies the record`);
  assert.ok(await until(async () => await ingress.metric('records_acknowledged_total') > 0), `${what}: and acknowledges it`);
  goOn();
  pipe.set('whole');
  const repeats = async () => (await first.metric('records_repeated_total') ?? 0) + (await second.metric('records_repeated_total') ?? 0);
  assert.ok(await until(repeats), `${what}: that it is a repeat is seen`);
  await proveDelivered(stack, { prefix, accepted }, [ingress]);
}

test('a worker that was stopped with a record in hand while another applied it counts nothing twice', () => Promise.all([
  stopAt(sites.claim, ['records_claim'], {}, 100),
  stopAt(sites.commit, ['records_claim', 'commit'], {}, 110),
  stopAt(sites.answer, ['records_claim', 'commit'], { after: true }, 120),
]));

test('when a worker loses its database while it has the next batch ready, neither that nor the one in hand is lost or taken for the other', async () => {
  const prefix = '/ready-', title = 'x'.repeat(400), accepted = numbered(`${prefix}1`, 100000).slice(50000), paths = [...accepted];
  const ingress = stack.ingress('ingress-ready', 10, { FOOTFALL_JOURNAL_DIR: stack.folder('ready') });
  const worker = stack.worker('worker-ready', 20, [ingress.link]);
  await stack.running(ingress);
  // Several at a time, so that records close when they are full, and batches are of as many.
  const send = async () => { while (paths.length) await take(ingress, sites.ready, paths.splice(0, 500), { title }); };
  await Promise.all(Array.from({ length: 6 }, send));
  await stack.running(worker);
  for (let round = 0; round < 3; round++) {
    // The second transaction since it began anew, long after it was told: what follows it is ready.
    const begun = new Set();
    assert.ok(await until(async () => {
      const [row] = await stack.metrics(`select xact_start, pid from pg_stat_activity where usename = 'footfall_worker'
        and state = 'active' and query like 'select events_apply(%' and clock_timestamp() - query_start > interval '80 ms'`);
      if (row) begun.add(row[0]);
      if (begun.size < 2) return false;
      await stack.metrics(`select pg_terminate_backend(${row[1]})`);
      return true;
    }, { every: 5 }), `a second transaction, in round ${round}`);
  }
  await proveDelivered(stack, { prefix, accepted }, [ingress]);
});

test('of three ingresses two are killed while no worker runs, and the third delivers what they accepted', async () => {
  const prefix = '/fewer-', journals = stack.folder('fewer');
  const ingresses = [0, 1, 2].map((i) => stack.ingress(`ingress-fewer-${i}`, 10 + i, { FOOTFALL_JOURNAL_DIR: journals }));
  const workers = [0, 1].map((i) => stack.worker(`worker-fewer-${i}`, 20 + i, ingresses.map(({ link }) => link)));
  await stack.running(...ingresses);
  const visitors = stack.visitors(ingresses, { connections: 12, site: sites.fewer, prefix });
  await until(() => visitors.accepted.length > 1000, { every: 5 });
  await stack.killed(ingresses[0], ingresses[1]);
  const before = visitors.accepted.length;
  await until(() => visitors.accepted.length > before + 200, { every: 5 });
  await visitors.stop();
  assert.ok(await until(async () => await ingresses[2].metric('journals_adopted') === 2), 'it adopts both journals');
  await stack.running(...workers);
  await proveDelivered(stack, visitors, [ingresses[2]]);
  assert.ok(await until(async () => await ingresses[2].metric('journals_adopted') === 0), 'and lets go of them');
  assert.equal(segmentsIn(journals).length, 1, 'only its own segment is left');
});

test('a full journal is said by 503 with Retry-After, after the archive has given way, and is over when workers return', async () => {
  const prefix = '/full-', journals = stack.folder('full'), site = sites.full;
  const ingress = stack.ingress('ingress-full', 10, { FOOTFALL_JOURNAL_DIR: journals, FOOTFALL_JOURNAL_MAX_MIB: '16' });
  const worker = stack.worker('worker-full', 20, [ingress.link]);
  const large = Object.fromEntries(numbered('p', 10).map((name) => [name, 'x'.repeat(2000)]));
  await stack.running(ingress, worker);
  await take(ingress, site, ['/full-archived']);
  fs.writeFileSync(path.join(journals, 'roll'), ''); // as footfall replay asks for it
  assert.ok(await until(() => ingress.metric('archive_bytes')), 'what is delivered is in the archive');
  assert.equal((await worker.stop()).status, 0);

  const visitors = stack.visitors([ingress], { connections: 4, site, prefix, more: { p: large } });
  assert.ok(await until(() => visitors.refused.length, { every: 5 }), 'it is full');
  assert.equal(await ingress.metric('archive_bytes'), 0, 'nothing is in the archive any more');
  assert.equal(await ingress.metric('journal_full'), 1);
  assert.equal(await ingress.ready(), false, 'and is not ready');
  for (const request of [pageView(site, '/full-refused'), batch(stack.key, site, ['/full-refused'])]) {
    const answer = await once(ingress.http, request);
    assert.equal(answer.status, 503);
    assert.match(answer.head, /\r\nretry-after: [1-9]\d*\r\n/i);
  }
  const said = ingress.said();
  assert.ok(said.indexOf('archive: gave way') > 0 && said.indexOf('archive: gave way') < said.indexOf('journal: full'));

  const before = visitors.accepted.length;
  await stack.running(worker);
  assert.ok(await until(() => visitors.accepted.length > before), 'events are taken again');
  await visitors.stop();
  await proveDelivered(stack, { ...visitors, refused: [...visitors.refused, '/full-refused'] }, [ingress]);
  note(`16 MiB of journal: ${before} events of 20 KB accepted, ${visitors.refused.length} answered 503`);
});

// --- what the database refuses ---------------------------------------------------------------------

const setAside = () => stack.number('select count(*) from dead_letter');
const asSuperuser = (text) => stack.database.sql('footfall_metrics', text);

// From here on events of pages /bad-… are refused, with this SQLSTATE.
const refuse = (code) => asSuperuser(`
  create function test_refuse() returns trigger language plpgsql as $$
  begin
    if exists (select from string where site_id = new.site_id and id = new.page and starts_with(value, '/bad-')) then
      raise exception 'refused by the test' using errcode = '${code}';
    end if;
    return new;
  end $$;
  create trigger test_refuse before insert on event for each row execute function test_refuse();`);
const allow = () => asSuperuser('drop function if exists test_refuse cascade');

test('an event that the database refuses is set aside alone, and its neighbours are in the tables', async (t) => {
  const ingress = stack.ingress('ingress-alone', 10, { FOOTFALL_JOURNAL_DIR: stack.folder('alone') });
  const worker = stack.worker('worker-alone', 20, [ingress.link]);
  t.after(allow);
  refuse('23514'); // check_violation
  await stack.running(ingress, worker);
  const paths = numbered('/alone-', 10);
  const before = await setAside();
  await take(ingress, sites.alone, [...paths.slice(0, 5), '/bad-alone', ...paths.slice(5)]);
  await proveDelivered(stack, { prefix: '/alone-', accepted: paths }, [ingress]);
  await proveDelivered(stack, { prefix: '/bad-alone', accepted: [], refused: ['/bad-alone'] }, [ingress]);
  assert.equal(await setAside(), before + 1);
  const [[lane, reason, holds]] = await stack.metrics(`select lane, reason, position('/bad-alone'::bytea in bytes) > 0 from dead_letter order by set_aside desc limit 1`);
  assert.deepEqual([Number(lane), reason, holds], [laneOf(sites.alone), 'refused by the test', 't']);
  assert.equal(await worker.metric('events_set_aside_total'), 1);
});

test('a fault of the database sets nothing aside, and what it held up is applied when it is over', async (t) => {
  const faults = [
    ['a right is missing', () => asSuperuser('revoke insert on event from footfall_worker'), () => asSuperuser('grant insert on event to footfall_worker')],
    ['the disk is full', () => refuse('53100'), allow],
    ['a serialisation fails', () => refuse('40001'), allow],
    ['the schema is another', () => asSuperuser('alter function events_apply rename to events_apply_away'), () => asSuperuser('alter function events_apply_away rename to events_apply')],
  ];
  const ingress = stack.ingress('ingress-faults', 10, { FOOTFALL_JOURNAL_DIR: stack.folder('faults') });
  const worker = stack.worker('worker-faults', 20, [ingress.link]);
  t.after(allow);
  await stack.running(ingress, worker);
  const before = await setAside();
  for (const [i, [what, begin, end]] of faults.entries()) {
    const prefix = `/bad-fault-${i}-`, tries = await worker.metric('apply_faults_total');
    begin();
    const accepted = await take(ingress, sites.faults, numbered(prefix, 3)); // so few would be set aside
    assert.ok(await until(async () => await worker.metric('apply_faults_total') >= tries + 3, { every: 20 }), `${what}: it is tried again`);
    assert.equal((await stack.stored(prefix)).size, 0, `${what}: nothing of it is in the tables`);
    end();
    await proveDelivered(stack, { prefix, accepted }, [ingress]);
    assert.equal(await setAside(), before, `${what}: nothing is set aside`);
  }
});

test('when more than a hundredth would be set aside apply stops, sets nothing aside, and other sites go on', async (t) => {
  const ingress = stack.ingress('ingress-many', 10, { FOOTFALL_JOURNAL_DIR: stack.folder('many') });
  const worker = stack.worker('worker-many', 20, [ingress.link]);
  t.after(allow);
  refuse('23514');
  await stack.running(ingress);
  const before = await setAside();
  const held = await take(ingress, sites.many, [...numbered('/many-', 10), ...numbered('/bad-many-', 30)]);
  const others = await take(ingress, sites.neighbour, numbered('/neighbour-', 10));
  await stack.running(worker);
  assert.ok(await until(async () => await worker.metric('apply_faults_total') >= 3, { every: 20 }), 'it is tried again');
  assert.match(worker.said(), /"level":"alarm".*apply: stopped: 30 of 40 events in an hour would be set aside/);
  assert.ok(await until(async () => (await stack.stored('/neighbour-')).size === others.length), 'the other site goes on');
  assert.equal((await stack.stored('/many-')).size, 0);
  assert.equal(await setAside(), before, 'nothing is set aside');
  allow();
  await proveDelivered(stack, { prefix: '/many-', accepted: held.slice(0, 10) }, [ingress]);
  await proveDelivered(stack, { prefix: '/bad-many-', accepted: held.slice(10) }, [ingress]);
  assert.equal(await setAside(), before);
});
