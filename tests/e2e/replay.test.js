// After an accident: an older dump restored while events come in, events that were set aside, keys.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { startStack, waitFor } from './harness.js';

const BIN = '/usr/lib/postgresql/15/bin';
let stack, site, gone, dir, ingest;

before(async () => {
  stack = await startStack({ FOOTFALL_INGRESSES: '2', FOOTFALL_WORKERS: '2' });
  await stack.account();
  site = await stack.site('example.org');
  gone = await stack.site('gone.example');
  ingest = await stack.key('ingest');
  dir = fs.mkdtempSync(path.join(os.tmpdir(), 'footfall-dump-'));
});
after(async () => {
  await stack?.remove();
  if (dir) fs.rmSync(dir, { recursive: true, force: true });
});

const superuser = () => fs.readFileSync(path.join(stack.home, 'secrets/superuser'), 'utf8').trim();
const server = (program, ...args) => execFileSync(`${BIN}/${program}`, ['-h', '127.0.0.1', '-p', String(stack.port + 44), '-U', 'postgres', ...args],
  { env: { ...process.env, PGPASSWORD: superuser() }, stdio: ['ignore', 'pipe', 'pipe'], maxBuffer: 256 << 20 }).toString();
const psql = (database, ...statements) => server('psql', '-XAtq', '-v', 'ON_ERROR_STOP=1', '-d', database, ...statements.flatMap((one) => ['-c', one]));
const pages = (like, database = 'footfall_metrics') => Number(psql(database, `select count(*) from event e join string p on p.site_id = e.site_id and p.id = e.page where p.value like '${like}'`));
const everyRow = (database) => psql(database, "select e::text from event e order by 1").trim().split('\n');
const footfall = async (...args) => {
  const done = await stack.footfallRaw(args);
  return { ...done, json: args.includes('--json') && done.stdout ? JSON.parse(done.stdout) : undefined };
};

async function send(to, from, count, prefix) {
  for (let i = from; i < from + count; i++) {
    const answer = await stack.event({ n: 'pageview', u: `https://${to.domain}/${prefix}/${i}`, d: to.domain });
    assert.equal(answer.status, 202);
  }
}

test('a restored older dump gets back what it lacks, exactly, while new events come in', async () => {
  await send(site, 0, 30, 'before');
  await send(gone, 0, 5, 'before');
  await waitFor(() => pages('/before/%') === 35, 'all in the tables');
  const dump = path.join(dir, 'metrics.dump');
  server('pg_dump', '-Fc', '-f', dump, 'footfall_metrics');

  await send(site, 0, 40, 'after');
  await send(gone, 0, 5, 'after');
  await waitFor(() => pages('/after/%') === 45, 'what came after the dump');
  stack.sql('app', `delete from site where id = ${gone.site_id}`);
  await waitFor(async () => (await stack.event({ n: 'pageview', u: 'https://gone.example/', d: 'gone.example' })).headers['x-footfall-dropped'], 'the site is gone');

  // The dump becomes the database under the feet of everybody, who go on meanwhile.
  let live = 0;
  let stop = false;
  const traffic = (async () => {
    while (!stop) await send(site, live++, 1, 'live');
  })();
  psql('postgres', 'create database restored owner footfall_owner');
  server('pg_restore', '-d', 'restored', dump);
  psql('postgres',
    "select pg_terminate_backend(pid) from pg_stat_activity where datname = 'footfall_metrics'",
    'alter database footfall_metrics allow_connections false',
    "select pg_terminate_backend(pid) from pg_stat_activity where datname = 'footfall_metrics'",
    'alter database footfall_metrics rename to lost', 'alter database lost allow_connections true',
    'revoke all on database restored from public',
    'grant connect on database restored to footfall_worker, footfall_query',
    'alter database restored rename to footfall_metrics');
  assert.equal(pages('/after/%'), 0, 'the dump is older');
  await waitFor(() => pages('/live/%') > 3, 'new events come in');

  // Its own numbers name the gap: later records are there, earlier ones are not.
  const before = await footfall('status', '--json');
  assert.ok(before.json.gaps.length > 0, before.stdout);

  const done = await footfall('replay', '--json');
  assert.equal(done.code, 0, done.stderr);
  assert.ok(done.json.replayed > 0);
  assert.equal(done.json.gaps, 0);
  stop = true;
  await traffic;
  await waitFor(() => pages('/live/%') === live, 'all that came in meanwhile');
  assert.equal(pages('/before/%'), 35);
  assert.equal(pages('/after/%'), 40, 'those of the deleted site are skipped');
  const lost = everyRow('lost').filter((row) => !row.startsWith(`(${gone.site_id},`));
  const now = new Set(everyRow('footfall_metrics'));
  assert.deepEqual(lost.filter((row) => !now.has(row)), [], 'every row is there as it was');

  const again = await footfall('replay', '--json');
  assert.equal(again.code, 0, again.stderr);
  assert.equal(again.json.replayed, 0);
  const status = await footfall('status', '--json');
  assert.equal(status.json.archived_records_missing, 0);
});

test('a replay takes nothing back that is older than the site keeps', async () => {
  await send(site, 0, 1, 'kept');
  await waitFor(() => pages('/kept/%') === 1, 'a record');
  const old = await import('./harness.js').then(({ request }) => request(`${stack.url}/api/v1/events`, {
    method: 'POST', headers: { Authorization: `Bearer ${ingest}`, 'Content-Type': 'application/json' },
    body: JSON.stringify([{ name: 'pageview', url: '/old/1', domain: site.domain, timestamp: '2020-02-03T04:05:06Z' }]) }));
  assert.equal(old.json.accepted, 1, old.text);
  await waitFor(() => pages('/old/%') === 1, 'an old event');
  stack.sql('metrics', `insert into retention values (${site.site_id}, 365); truncate progress, applied; delete from event where ts < '2021-01-01'`);
  const done = await footfall('replay', '--json');
  assert.equal(done.code, 0, done.stderr);
  assert.ok(done.json.replayed > 0);
  assert.equal(pages('/old/%'), 0);
  assert.equal(pages('/kept/%'), 1, 'and all others are repeats by their ids');
  stack.sql('metrics', 'truncate retention');
});

test('what was set aside can be listed, shown, tried again and dropped', async () => {
  assert.deepEqual((await footfall('dead-letter', 'list', '--json')).json, []);
  const page = `select id from string where value = '/refused/0'`;
  stack.sql('metrics', `create function refuse() returns trigger language plpgsql as $$ begin
      if exists (select from string s where s.id = new.page and s.value like '/refused/%') then
        raise exception 'not this one';
      end if; return new; end $$;
    create trigger refuse before insert on event for each row execute function refuse()`);
  await Promise.all([send(site, 0, 2, 'refused'), send(site, 0, 10, 'neighbour')]);
  const list = await waitFor(async () => {
    const { json } = await footfall('dead-letter', 'list', '--json');
    return json.length === 2 && json;
  }, 'two are set aside');
  assert.match(list[0].reason, /not this one/);
  await waitFor(() => pages('/neighbour/%') === 10, 'their neighbours are in the tables');

  const shown = await footfall('dead-letter', 'show', list[0].id, '--json');
  assert.match(shown.json.event.path, /^\/refused\//);
  assert.equal(shown.json.event.address, undefined);

  const failed = await footfall('dead-letter', 'retry', list[0].id, '--json');
  assert.equal(failed.code, 1);
  assert.deepEqual(failed.json, { applied: 0, failed: 1, untried: 0 });
  assert.equal((await footfall('dead-letter', 'drop', list[1].id, '--json')).json.dropped, 1);
  assert.equal((await footfall('dead-letter', 'drop', list[1].id)).code, 1);
  assert.equal((await footfall('dead-letter', 'retry')).code, 2);

  stack.sql('metrics', 'drop trigger refuse on event; drop function refuse()');
  const tried = await footfall('dead-letter', 'retry', '--all', '--json');
  assert.equal(tried.code, 0, tried.stderr);
  assert.deepEqual(tried.json, { applied: 1, failed: 0, untried: 0 });
  assert.equal(pages(shown.json.event.path), 1);
  assert.equal(pages('/refused/%'), 1);
  assert.equal(psql('footfall_metrics', `select count(*) from (${page}) p`).trim().length > 0, true);
});

test('link keys are made once, and allowed once', async () => {
  const name = path.join(dir, 'worker');
  const made = await footfall('keys', 'make', name, '--json');
  assert.equal(made.code, 0, made.stderr);
  assert.equal(made.json.public_key.length, 40);
  assert.equal(fs.statSync(`${name}.secret`).mode & 0o777, 0o600);
  assert.equal((await footfall('keys', 'make', name)).code, 1, 'a key in use is not replaced');
  const list = path.join(dir, 'allowed');
  for (const key of [`${name}.public`, made.json.public_key])
    assert.equal((await footfall('keys', 'allow', key, '--file', list, '--name', 'one')).code, 0);
  assert.equal(fs.readFileSync(list, 'utf8'), `${made.json.public_key} # one\n`);
  assert.equal((await footfall('keys', 'allow', 'nonsense', '--file', list)).code, 1);
});
