// One event that is sent again and again, over several connections, to two ingresses, directly and through the door,
// also while one of them is killed: it counts once.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Connection } from '../parts/connection.js';
import { until } from '../parts/until.js';
import { batch, isTaken, pageView } from '../parts/visitors.js';
import { startStack, waitFor } from './harness.js';

const CONNECTIONS = 10, TIMES = 100;
let stack, site, key, door, ingresses;

before(async () => {
  stack = await startStack({ FOOTFALL_INGRESSES: '2', FOOTFALL_WORKERS: '2' });
  await stack.account();
  site = await stack.site('example.org');
  key = await stack.key('ingest');
  door = { host: '127.0.0.1', port: stack.port };
  ingresses = [0, 1].map((n) => ({ host: '127.0.0.1', port: stack.port + 10 + n }));
  for (const { port } of ingresses) // both know the site and the key
    await waitFor(async () => isTaken(await ask({ host: '127.0.0.1', port }, batch(key, site, ['/known']))), `port ${port} is ready`);
});
after(() => stack?.remove());

async function ask(target, request) {
  const connection = new Connection(target);
  const answer = await connection.ask(request);
  connection.close();
  return answer;
}

const stored = (path) => Number(stack.sql('metrics', `select count(*) from event e join string p on p.site_id = e.site_id and p.id = e.page
  where e.site_id = ${site.site_id} and p.value = '${path}'`)[0][0]);

async function countsOnce(...paths) {
  for (const path of paths) await waitFor(() => stored(path) > 0, `${path} is in the tables`);
  // What is sent afterwards is delivered afterwards, by each ingress.
  for (const n of [0, 1]) {
    const last = `${paths[0]}-last-${n}`;
    await waitFor(async () => isTaken(await ask(ingresses[n], batch(key, site, [last]))), last);
    await waitFor(() => stored(last) > 0, `${last} is in the tables`);
  }
  await waitFor(() => stack.sql('metrics', 'select count(*) from applied')[0][0] === '0', 'no record is held above a gap');
  for (const path of paths) assert.equal(stored(path), 1, path);
}

// Each of these over connections in turn to each of the targets; the answers.
async function sendAll(requests, targets) {
  const connections = Array.from({ length: CONNECTIONS }, (_, n) => new Connection(targets[n % targets.length]));
  const answers = await Promise.all(connections.map(async (connection) => {
    const own = [];
    for (let n = 0; n < TIMES / CONNECTIONS; n++)
      for (const request of requests) own.push(await connection.ask(request));
    connection.close();
    return own;
  }));
  return answers.flat();
}

const requestsOf = (prefix) => [
  pageView(site, `${prefix}-page`, { id: `${prefix} of a page` }),
  batch(key, site, [`${prefix}-server`], { id: `${prefix} of a server`, ip: '198.51.100.9' }),
];

for (const [what, targets] of [['directly', () => ingresses], ['through the door', () => [door]], ['both ways', () => [door, ...ingresses]]]) {
  test(`an event that is sent a hundred times over ten connections, ${what}, counts once`, async () => {
    const prefix = `/retried-${what.replaceAll(' ', '-')}`;
    const answers = await sendAll(requestsOf(prefix), targets());
    assert.equal(answers.length, 2 * TIMES);
    for (const answer of answers) assert.ok(isTaken(answer), JSON.stringify(answer));
    await countsOnce(`${prefix}-page`, `${prefix}-server`);
  });
}

test('an event without an id that a door sends on to another ingress counts once, by the id of its request', async () => {
  for (const answer of await sendAll([pageView(site, '/retried-by-a-door', {}, { 'X-Request-Id': '0123456789abcdef' })], ingresses))
    assert.ok(isTaken(answer), JSON.stringify(answer));
  await countsOnce('/retried-by-a-door');
});

test('an event that is sent on while each ingress is killed in turn counts once', async () => {
  const prefix = '/retried-killed', requests = requestsOf(prefix);
  const pidOf = (n) => stack.pids().find(({ name }) => name === `ingress-${n}`)?.pid;
  let going = true, taken = 0;
  const sending = [door, door, ...ingresses].map(async (target) => {
    while (going) {
      const connection = new Connection(target);
      let answer;
      do { // until the connection is lost
        for (const request of requests) {
          answer = await connection.ask(request);
          taken += isTaken(answer);
        }
      } while (going && answer.status);
      connection.close();
    }
  });
  try {
    for (const n of [0, 1]) {
      const before = taken, killed = pidOf(n);
      assert.ok(await until(() => taken >= before + 50), 'it is taken');
      process.kill(killed, 'SIGKILL');
      assert.ok(await until(() => taken >= before + 100), 'it is taken while one is away');
      assert.ok(await until(async () => pidOf(n) !== killed && isTaken(await ask(ingresses[n], requests[0]))), 'the other is back');
    }
  } finally {
    going = false;
    await Promise.all(sending);
  }
  assert.ok(taken >= TIMES);
  await countsOnce(`${prefix}-page`, `${prefix}-server`);
});
