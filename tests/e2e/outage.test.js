// Collection and delivery while databases and workers are away, and their way back.
import assert from 'node:assert/strict';
import { after, afterEach, before, test } from 'node:test';
import { proveDelivered, startParts } from '../parts/proof.js';
import { until } from '../parts/until.js';
import { once, pageView } from '../parts/visitors.js';

let stack, site;

before(async () => {
  stack = await startParts(['outage.example']);
  [site] = stack.sites;
});
afterEach(() => stack?.clear());
after(() => stack?.end());

const atLeast = (visitors, more) => {
  const wanted = visitors.accepted.length + more;
  return until(() => visitors.accepted.length >= wanted, { every: 5 });
};

// While `run` runs, that database has had no migration, as far as it knows itself.
async function behind(database, run) {
  const sql = (text) => stack.database.sql(`footfall_${database}`, text);
  sql('alter table migration rename to migration_later; create table migration (number integer); grant select on migration to public');
  try {
    await run();
  } finally {
    sql('drop table migration; alter table migration_later rename to migration');
  }
}

test('with both databases and all workers down an ingress starts from the snapshot on disk, and what it collects is delivered later', async () => {
  const prefix = '/alone-', env = { FOOTFALL_JOURNAL_DIR: stack.folder('alone') };
  const earlier = stack.ingress('ingress-alone', 10, env);
  await stack.running(earlier);
  assert.equal((await earlier.stop()).status, 0);
  await stack.database.crash();

  const ingress = stack.ingress('ingress-alone', 10, env);
  const workers = [0, 1].map((i) => stack.worker(`worker-alone-${i}`, 20 + i, [ingress.link]));
  await stack.running(ingress);
  const visitors = stack.visitors([ingress], { site, prefix });
  assert.ok(await atLeast(visitors, 500), 'events are accepted');
  for (const worker of workers) worker.start(); // they wait for their databases
  assert.ok(await until(async () => (await Promise.all(workers.map((worker) => worker.metric('apply_faults_total')))).every(Boolean)), 'workers have records that they cannot apply');
  assert.ok(await atLeast(visitors, 100), 'events are accepted still');
  await stack.database.recover();
  await visitors.stop();
  assert.deepEqual([visitors.refused, visitors.open], [[], []], 'none was refused');
  await proveDelivered(stack, visitors, [ingress]);
  for (const worker of workers) assert.ok(worker.child, 'no worker has ended');
});

test('workers connect again to a PostgreSQL that was stopped at once and started again', async () => {
  const prefix = '/again-';
  const ingress = stack.ingress('ingress-again', 10, { FOOTFALL_JOURNAL_DIR: stack.folder('again') });
  const workers = [0, 1].map((i) => stack.worker(`worker-again-${i}`, 20 + i, [ingress.link]));
  await stack.running(ingress, ...workers);
  const pids = workers.map((worker) => worker.pid);
  const visitors = stack.visitors([ingress], { site, prefix, rate: 500 });
  for (let n = 0; n < 2; n++) {
    assert.ok(await atLeast(visitors, 200));
    await stack.database.crash();
    assert.ok(await atLeast(visitors, 200), 'events are accepted without it');
    await stack.database.recover();
  }
  await visitors.stop();
  assert.deepEqual([visitors.refused, visitors.open], [[], []], 'none was refused');
  await proveDelivered(stack, visitors, [ingress]);
  assert.deepEqual(workers.map((worker) => worker.pid), pids, 'they are the same workers');
});

test('workers find a PostgreSQL that has gone from one address of theirs to the other', async () => {
  const prefix = '/moved-', numbers = [201, 202];
  const conninfo = (database) => `host=${numbers.map((n) => stack.host(n)).join()} port=7044 user=footfall_worker dbname=footfall_${database}`;
  const ingress = stack.ingress('ingress-moved', 10, { FOOTFALL_JOURNAL_DIR: stack.folder('moved') });
  const worker = stack.worker('worker-moved', 20, [ingress.link], { FOOTFALL_APP_DB: conninfo('app'), FOOTFALL_METRICS_DB: conninfo('metrics') });
  let pipe = await stack.pipe(numbers[0]);
  await stack.running(ingress, worker);
  const { pid } = worker;
  const visitors = stack.visitors([ingress], { site, prefix, rate: 500 });
  for (const next of [numbers[1], numbers[0]]) {
    assert.ok(await atLeast(visitors, 100));
    const [last] = visitors.accepted.slice(-1);
    assert.ok(await until(async () => (await stack.stored(prefix)).has(last)), 'it is in use');
    pipe.close(); // from now on nobody listens there
    assert.ok(await atLeast(visitors, 100), 'events are accepted without it');
    pipe = await stack.pipe(next);
  }
  await visitors.stop();
  await proveDelivered(stack, visitors, [ingress]);
  assert.equal(worker.pid, pid, 'it is the same worker');
});

test('an ingress that has never seen its database answers 503 until that is migrated, and says so in its log', async () => {
  const ingress = stack.ingress('ingress-early', 10, { FOOTFALL_JOURNAL_DIR: stack.folder('early') });
  await behind('app', async () => {
    ingress.start();
    assert.ok(await until(() => /it has had migration 0, this version waits for \d+/.test(ingress.said())), 'it says what it waits for');
    const { status } = await once(ingress.http, pageView(site, '/early-refused'));
    assert.equal(status, 503);
  });
  assert.ok(await until(() => ingress.ready()), 'it is ready when the database is');
  assert.equal((await once(ingress.http, pageView(site, '/early-taken'))).status, 202);
});

test('a worker and a console write nothing to a database that is not migrated to their version', async () => {
  const prefix = '/behind-', ingress = stack.ingress('ingress-behind', 10, { FOOTFALL_JOURNAL_DIR: stack.folder('behind') });
  const worker = stack.worker('worker-behind', 20, [ingress.link]), other = stack.console('console-behind', 21);
  await stack.running(ingress);
  const visitors = stack.visitors([ingress], { site, prefix, rate: 200 });
  await behind('metrics', async () => {
    worker.start();
    other.start();
    for (const service of [worker, other])
      assert.ok(await until(() => /it has had migration 0, this version waits for \d+/.test(service.said())), `${service.name} says what it waits for`);
    assert.ok(await until(async () => await worker.metric('apply_faults_total') > 2), 'the worker has tried');
    assert.equal((await stack.stored(prefix)).size, 0);
  });
  await visitors.stop();
  await proveDelivered(stack, visitors, [ingress]);
});

test('no events are applied while somebody migrates the database', async () => {
  const prefix = '/meanwhile-', ingress = stack.ingress('ingress-meanwhile', 10, { FOOTFALL_JOURNAL_DIR: stack.folder('meanwhile') });
  const worker = stack.worker('worker-meanwhile', 20, [ingress.link]);
  await stack.running(ingress, worker);
  const migrating = stack.database.query('footfall_metrics', "select pg_advisory_lock(x'666f6f7466616c6c'::bigint), pg_sleep(60)").catch(() => 'ended');
  const who = "from pg_locks where locktype = 'advisory' and mode = 'ExclusiveLock' and granted";
  assert.ok(await until(() => stack.number(`select count(*) ${who}`)), 'somebody migrates');
  const visitors = stack.visitors([ingress], { site, prefix, rate: 200 });
  assert.ok(await until(async () => await worker.metric('apply_faults_total') > 0), 'the worker has tried');
  assert.equal((await stack.stored(prefix)).size, 0);
  await stack.metrics(`select pg_terminate_backend(pid) ${who}`);
  assert.equal(await migrating, 'ended');
  await visitors.stop();
  await proveDelivered(stack, visitors, [ingress]);
});
