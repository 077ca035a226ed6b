// Between ingresses and workers: a name with several addresses, and keys.
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { after, afterEach, before, test } from 'node:test';
import { LINK_PORTS, ROOT } from '../parts/parts.js';
import { proveDelivered, startParts } from '../parts/proof.js';
import { until } from '../parts/until.js';
import { isTaken, once, pageView } from '../parts/visitors.js';
import { freePort } from './cluster.js';
import { note, run } from './harness.js';

const NAME = 'ingress.footfall.test';
const TRIES = 3; // of somebody who is refused, until it is believed

let stack, site;

before(async () => {
  stack = await startParts(['links.example']);
  [site] = stack.sites;
});
afterEach(() => stack?.clear());
after(() => stack?.end());

async function take(ingress, page) {
  const answer = await once(ingress.http, pageView(site, page));
  assert.ok(isTaken(answer), JSON.stringify(answer));
  return [page];
}

// --- names -----------------------------------------------------------------------------------------

// A way to run a program for which this file is /etc/hosts, in a mount namespace of its own; none where
// the system does not let us. A normal user may have one within a user namespace of their own.
function withHosts(file) {
  const ways = [['-Urm'], ...(process.getuid() === 0 ? [['-m']] : [])]
    .map((flags) => ['unshare', ...flags, 'sh', '-c', 'mount --bind "$1" /etc/hosts && shift && exec "$@"', 'sh', file]);
  return ways.find(([program, ...args]) => spawnSync(program, [...args, 'true']).status === 0);
}

test('the ingresses behind a name are found, those that join and leave too, without a restart', async () => {
  const hosts = path.join(stack.home, 'hosts'), numbers = [10, 11, 12];
  const nameIs = (...which) => fs.writeFileSync(hosts, which.map((i) => `${stack.host(numbers[i])} ${NAME}\n`).join(''));
  nameIs(0, 1);
  const wrap = withHosts(hosts);
  if (!wrap) return note('names were not looked at: this system allows no mounts of its own');
  const ingresses = numbers.map((n, i) => stack.ingress(`ingress-named-${i}`, n, { FOOTFALL_JOURNAL_DIR: stack.folder(`named-${i}`) }));
  const worker = stack.worker('worker-of-names', 20, [`${NAME}:${LINK_PORTS.push}:${LINK_PORTS.ack}`], {}, { wrap });
  const linked = (count) => until(async () => await worker.metric('links') === count);
  await stack.running(ingresses[0], ingresses[1], worker);
  const { pid } = worker;
  assert.ok(await linked(2), 'both addresses of the name');
  for (const i of [0, 1]) await proveDelivered(stack, { prefix: `/both-${i}`, accepted: await take(ingresses[i], `/both-${i}`) }, [ingresses[i]]);

  await stack.running(ingresses[2]);
  nameIs(0, 1, 2);
  assert.ok(await linked(3), 'one more has joined');
  await proveDelivered(stack, { prefix: '/joined', accepted: await take(ingresses[2], '/joined') }, [ingresses[2]]);

  nameIs(1, 2);
  assert.ok(await linked(2), 'one has left');
  assert.match(worker.said(), new RegExp(`link: ended tcp://${stack.host(numbers[0])}:`));
  const left = await take(ingresses[0], '/left');
  for (const i of [1, 2]) await proveDelivered(stack, { prefix: `/stay-${i}`, accepted: await take(ingresses[i], `/stay-${i}`) }, [ingresses[i]]);
  assert.equal((await stack.stored('/left')).size, 0, 'what left is let go of');
  nameIs(0, 1, 2);
  await proveDelivered(stack, { prefix: '/left', accepted: left }, [ingresses[0]]);
  assert.equal(worker.pid, pid, 'it is the same worker');
});

// --- keys ------------------------------------------------------------------------------------------

async function keysMake(name) {
  const file = path.join(stack.home, name);
  await stack.command('keys', 'make', file);
  const read = (suffix) => fs.readFileSync(`${file}.${suffix}`, 'utf8').trim();
  return { file: `${file}.secret`, secret: read('secret'), public: read('public') };
}

function strangerBuild() {
  const program = path.join(stack.home, 'stranger');
  execFileSync('gcc', ['-Wall', '-Wextra', '-Werror', '-o', program, path.join(ROOT, 'tests/e2e/stranger.c'), '-lzmq'], { stdio: 'inherit' });
  return program;
}

// The acknowledgement (proto/event.md) of a record in that journal, as only somebody can make it who has
// looked into the journal: who numbers the records is written at the head of a segment (segment.h).
function forgedAck(journal, seq) {
  const [segment] = fs.readdirSync(path.join(journal, '0')).filter((name) => name.endsWith('.seg'));
  const producer = fs.readFileSync(path.join(journal, '0', segment)).subarray(16, 32);
  return Buffer.concat([Buffer.from([0x95, 1, 1, 0xc4, 16]), producer, Buffer.from([Number(site.site_id) % 16, seq])]).toString('hex');
}

test('of workers only those that are listed get records and can acknowledge them, who is listed later too', async () => {
  const journal = stack.folder('keys'), allow = path.join(stack.home, 'allow');
  const [server, listed, other] = [await keysMake('server'), await keysMake('listed'), await keysMake('other')];
  fs.writeFileSync(allow, `# workers\n${listed.public} # the listed one\n`);
  const ingress = stack.ingress('ingress-with-keys', 10, { FOOTFALL_JOURNAL_DIR: journal, FOOTFALL_LINK_SECRET_FILE: server.file, FOOTFALL_LINK_ALLOW: allow });
  const [records, acks] = await Promise.all(['push', 'ack'].map((name) => stack.pipeTo({ host: ingress.http.host, port: LINK_PORTS[name] }, 200, LINK_PORTS[name])));
  const link = `${records.at.host}:${records.at.port}:${acks.at.port}`;
  const worker = (name, n, env) => stack.worker(name, n, [link], env);
  const keysOf = (own) => ({ FOOTFALL_LINK_SERVER_KEY: server.public, FOOTFALL_LINK_SECRET_FILE: own.file });
  const stranger = async (ack, ...keys) => {
    const { code, stdout, stderr } = await run(strangerBuild(), [`tcp://${records.at.host}:${records.at.port}`, `tcp://${acks.at.host}:${acks.at.port}`, ack, ...keys]);
    assert.equal(code, 0, stderr);
    return stdout;
  };
  const REFUSED = 'records: refused, got none\nacknowledgements: refused\n';
  const triedAgain = async () => {
    const before = [records.joined, acks.joined];
    assert.ok(await until(() => records.joined >= before[0] + TRIES && acks.joined >= before[1] + TRIES), `it tries again and again: ${before} ${[records.joined, acks.joined]}`);
  };
  const untouched = async (acknowledged, what) => {
    assert.equal(await ingress.metric('records_in_flight'), 1, what);
    assert.equal(await ingress.metric('records_acknowledged_total'), acknowledged, what);
    assert.equal(await ingress.metric('records_sent_total'), acknowledged, what);
  };
  const inFlight = () => until(async () => await ingress.metric('records_in_flight') === 1);

  await stack.running(ingress);
  let accepted = await take(ingress, '/keys-1');
  assert.ok(await inFlight());
  assert.equal(await stranger(forgedAck(journal, 1)), REFUSED, 'somebody without keys');
  await untouched(0, 'somebody without keys');
  assert.equal(await stranger(forgedAck(journal, 1), server.public, other.secret), REFUSED, "somebody with the server's key");
  await untouched(0, "somebody with the server's key");
  const plain = worker('worker-without-keys', 20, {});
  plain.start();
  assert.ok(await until(() => records.joined > 2 && acks.joined > 2 && !records.pairs.size && !acks.pairs.size), 'it has tried');
  await untouched(0, 'a worker without keys');
  await stack.killed(plain);

  const late = worker('worker-listed-later', 21, keysOf(other));
  late.start();
  await triedAgain();
  await untouched(0, 'a worker that is not listed');
  assert.match(ingress.said(), /curve: a peer was refused/);
  await stack.command('keys', 'allow', other.public, '--file', allow, '--name', 'it was');
  await proveDelivered(stack, { prefix: '/keys-1', accepted }, [ingress]);
  await stack.killed(late);

  fs.writeFileSync(allow, `${listed.public}\n`);
  accepted = await take(ingress, '/keys-2');
  assert.ok(await inFlight());
  late.start();
  await triedAgain();
  await untouched(1, 'a worker that is listed no more');
  await stack.killed(late);
  const first = worker('worker-listed', 22, keysOf(listed));
  await stack.running(first);
  await proveDelivered(stack, { prefix: '/keys-2', accepted }, [ingress]);
  await stack.killed(first);

  // The forgery is a good one: from somebody who is listed it is believed.
  await take(ingress, '/keys-3');
  assert.ok(await inFlight());
  assert.equal(await stranger(forgedAck(journal, 3), server.public, listed.secret), 'records: let in, got one\nacknowledgements: let in\n');
  assert.ok(await until(async () => await ingress.metric('records_acknowledged_total') === 3));
});

test('without keys nothing beyond loopback is bound, which is said in one line, unless the network is called trusted', async () => {
  const everywhere = `0.0.0.0:${await freePort('0.0.0.0')}`;
  const cases = [
    ['ingress', { FOOTFALL_PUSH_ADDR: everywhere, FOOTFALL_JOURNAL_DIR: stack.folder('open-push') }],
    ['ingress', { FOOTFALL_ACK_ADDR: everywhere, FOOTFALL_JOURNAL_DIR: stack.folder('open-ack') }],
    ['query', { FOOTFALL_LIVE_ADDR: everywhere }],
  ];
  for (const [i, [kind, env]] of cases.entries()) {
    const service = stack[kind](`${kind}-open-${i}`, 10 + i, env);
    service.start();
    assert.equal((await service.gone()).status, 1);
    const lines = service.said().trim().split('\n').map((line) => JSON.parse(line)).filter(({ level }) => level !== 'info');
    assert.equal(lines.length, 1, service.said());
    assert.match(lines[0].msg, /^\w+: 0\.0\.0\.0:\d+ is not loopback .*FOOTFALL_LINK_SECRET.*FOOTFALL_LINK_PLAIN=1/);
    const trusting = stack[kind](`${kind}-plain-${i}`, 10 + i, { ...env, FOOTFALL_LINK_PLAIN: '1' });
    await stack.running(trusting);
    await stack.killed(trusting);
  }
});
