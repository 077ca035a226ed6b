// Starting, stopping, refusing and surviving: the stack as its operator meets it.
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { AGENT, freePortBlock, request, run, startStack, waitFor } from './harness.js';

let stack, site;

before(async () => {
  stack = await startStack();
  await stack.account();
  site = await stack.site('example.org');
});
after(() => stack?.remove());

const visit = (page) => stack.event({ n: 'pageview', u: `https://example.org${page}`, d: site.property_id });
const pidOf = (name) => stack.pids().find((one) => one.name === name).pid;
const allPids = () => stack.pids().map(({ pid }) => pid);

function runs(pid) {
  try {
    process.kill(pid, 0);
    return !/^State:\s+Z/m.test(fs.readFileSync(`/proc/${pid}/status`, 'utf8'));
  } catch {
    return false;
  }
}

test('a second up says that it runs already', async () => {
  const { code, stdout } = await stack.stack('up');
  assert.equal(code, 0);
  assert.match(stdout, /already running \(pid \d+\)/);
});

test('two stacks live side by side', async () => {
  const other = await startStack();
  try {
    await other.account('somebody@example.net');
    assert.deepEqual((await stack.footfall(['user', 'list'])).map?.((user) => user.email) ?? stack.sql('app', 'select email from account').flat(), ['owner@example.org']);
  } finally {
    await other.remove();
  }
});

test('proxies before the door are believed about the client, by services too, and nobody else is', async () => {
  const behind = await startStack({ FOOTFALL_TRUSTED_PROXIES: '127.0.0.8' });
  try {
    await behind.account();
    const place = await behind.site('example.net');
    for (const [localAddress, client] of [['127.0.0.8', '198.51.100.1'], ['127.0.0.8', '198.51.100.2'], ['127.0.0.8', '198.51.100.1'], ['127.0.0.9', '198.51.100.1']]) {
      const answer = await request(`http://127.0.0.1:${behind.port}/api/event`, { method: 'POST', localAddress, headers: { 'User-Agent': AGENT, 'X-Forwarded-For': client },
        body: JSON.stringify({ n: 'pageview', u: 'https://example.net/', d: place.property_id }) });
      assert.equal(answer.status, 202);
    }
    await waitFor(() => behind.events(place) === 4, 'four views in the tables');
    const views = behind.sql('metrics', 'select count(*) from event group by visitor').flat().map(Number);
    assert.deepEqual(views.sort(), [1, 1, 2]);
  } finally {
    await behind.remove();
  }
});

const ROUNDS = process.env.FOOTFALL_LONG ? 5 : 1;
const kills = Array.from({ length: ROUNDS }, (_, n) => ['worker-0', 'ingress-0', 'query', 'console', 'door', 'postgres'].map((name) => [name, n + 1])).flat();
for (const [name, round] of kills) {
  test(`after a SIGKILL of ${name} it is back by itself, and what was accepted is counted once${ROUNDS > 1 ? `, round ${round}` : ''}`, async () => {
    const page = `/kill-${name}-${round}`;
    const pid = pidOf(name);
    const before = stack.events(site);
    assert.equal((await visit(`${page}-1`)).status, 202);
    process.kill(pid, 'SIGKILL');
    await waitFor(() => !runs(pid), `${name} is dead`);
    await waitFor(() => pidOf(name) !== pid, `${name} is started again`);
    const again = pidOf(name);
    await waitFor(async () => (await visit(`${page}-2`)).status === 202, 'events are taken again');
    await waitFor(() => stack.events(site) === before + 2, 'both events are in the tables');
    await waitFor(async () => (await request(`${stack.url}/api/me`)).status === 401, 'the console answers');
    assert.equal(runs(again) && pidOf(name), again, 'it stays');
  });
}

test('services that are killed in the same instant are all back by themselves', async () => {
  const names = ['worker-0', 'query', 'console', 'ingress-0'];
  const before = names.map(pidOf);
  execFileSync('kill', ['-KILL', ...before.map(String)]); // one process, so nothing comes between
  await waitFor(() => names.every((name, n) => pidOf(name) !== before[n] && runs(pidOf(name))), 'all four are started again');
  await waitFor(async () => (await visit('/killed-together')).status === 202, 'events are taken again');
});

test('down ends everything in order, a second start keeps the data', async () => {
  await visit('/before-down');
  await waitFor(() => stack.sql('metrics', "select 1 from string where value = '/before-down'").length === 1, 'the event');
  const pids = allPids();
  const count = stack.events(site);
  await stack.down();
  for (const pid of pids) assert.equal(runs(pid), false, `pid ${pid} still runs`);
  assert.match((await stack.stack('down')).stdout, /nothing is running/);
  await stack.up();
  assert.equal(stack.greeting.includes('#setup='), false, 'there is an account, so no link');
  assert.equal(stack.events(site), count);
  await waitFor(async () => (await visit('/after-up')).status === 202, 'events are taken');
  await waitFor(() => stack.events(site) === count + 1, 'and counted');
});

test('a killed supervisor leaves nothing running, and the next start works', async () => {
  const pids = allPids();
  process.kill(Number(fs.readFileSync(path.join(stack.home, 'pid'), 'utf8')), 'SIGKILL');
  await waitFor(() => !pids.some(runs), 'all children are gone');
  await stack.up();
});

test('a stack in front ends with Ctrl-C, and so does everything it started', async () => {
  await stack.down();
  // As a terminal does it: the signal goes to the whole process group.
  const front = spawn('deploy/local/stack', ['run'], { env: { ...process.env, ...stack.env }, stdio: ['ignore', 'pipe', 'inherit'], detached: true });
  const ended = once(front, 'exit');
  let said = '';
  front.stdout.on('data', (bytes) => { said += bytes; });
  await waitFor(() => said.includes(`ready: ${stack.url}`), 'it says that it is ready');
  const pids = allPids();
  process.kill(-front.pid, 'SIGINT');
  const [code] = await ended;
  assert.equal(code, 0, said);
  for (const pid of pids) assert.equal(runs(pid), false, `pid ${pid} still runs`);
  await stack.up();
});

test('reset without a yes deletes nothing', async () => {
  const { code, stderr } = await run('deploy/local/stack', ['reset'], { env: stack.env, input: 'no\n' });
  assert.equal(code, 1);
  assert.match(stderr, /nothing was deleted/);
  assert.equal(stack.sql('app', 'select count(*) from account')[0][0], '1');
});

test('a port in use is one clear line that names it, and nothing is started', async () => {
  await stack.down();
  const server = net.createServer().listen(stack.port + 42, '127.0.0.1');
  await once(server, 'listening');
  const { code, stderr } = await stack.stack('up');
  server.close();
  assert.equal(code, 1);
  assert.equal(stderr, `footfall: port ${stack.port + 42} (console) is in use: stop what uses it, or set FOOTFALL_PORT\n`);
  assert.match((await stack.stack('down')).stdout, /nothing is running/);
  await stack.up();
});

test('a wrong setting and a folder that cannot be written are one clear line each', async () => {
  const script = path.join(process.cwd(), 'deploy/local/stack');
  const wrong = await run(script, ['up'], { env: { ...stack.env, FOOTFALL_HOME: `${stack.home}-x`, FOOTFALL_PORT: 'many' } });
  assert.equal(wrong.code, 1);
  assert.match(wrong.stderr, /^footfall: FOOTFALL_PORT is "many", must be a whole number from 1 to 65400\n$/);
  const nowhere = await run(script, ['up'], { env: { FOOTFALL_HOME: '/proc/footfall', FOOTFALL_PORT: String(await freePortBlock()) } });
  assert.equal(nowhere.code, 1);
  assert.match(nowhere.stderr, /^footfall: cannot write to \/proc\/footfall: .*\n$/);
  const service = await run('build/bin/ingress', [], { env: { FOOTFALL_HTTP_THREADS: '1', FOOTFALL_APP_DB: 'dbname=x' } });
  assert.equal(service.code, 1);
  assert.match(service.stderr, /FOOTFALL_HTTP_THREADS is \\"1\\", must be 2 to 1024 \(threads\)/);
});

test('migrations run twice and from two processes at once change nothing', async () => {
  const level = () => ['app', 'metrics'].map((db) => stack.sql(db, 'select count(*), max(number) from migration')[0].join());
  const before = level();
  const results = await Promise.all([stack.footfallRaw(['migrate']), stack.footfallRaw(['migrate'])]);
  for (const { code, stderr } of results) assert.equal(code, 0, stderr);
  assert.deepEqual(level(), before);
});

test('two processes that migrate an empty database at once do each file once', async () => {
  const superuser = `host=127.0.0.1 port=${stack.port + 44} user=postgres password=${fs.readFileSync(path.join(stack.home, 'secrets/superuser'), 'utf8').trim()}`;
  const psql = (text) => run('psql', ['-Xq', '-v', 'ON_ERROR_STOP=1', `${superuser} dbname=postgres`], { input: text });
  assert.equal((await psql('create database fresh_app owner footfall_owner; \n create database fresh_metrics owner footfall_owner;')).code, 0);
  const env = {};
  for (const db of ['app', 'metrics'])
    env[`FOOTFALL_${db.toUpperCase()}_DB`] = fs.readFileSync(path.join(stack.home, 'secrets', `owner.${db}`), 'utf8').trim().replace(`footfall_${db}`, `fresh_${db}`);
  const migrate = () => run('build/bin/footfall', ['migrate'], { env: { ...stack.env, ...env } });
  const results = await Promise.all([migrate(), migrate(), migrate()]);
  for (const { code, stderr } of results) assert.equal(code, 0, stderr);
  const files = (db) => fs.readdirSync(`deploy/schema/${db}`).filter((name) => name.endsWith('.sql')).length;
  for (const db of ['app', 'metrics']) {
    const { stdout } = await run('psql', ['-XAtq', env[`FOOTFALL_${db.toUpperCase()}_DB`], '-c', 'select count(*) from migration']);
    assert.equal(Number(stdout), files(db));
  }
});
