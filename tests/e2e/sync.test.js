// What an answer of an ingress says about the disk, as its system calls show it.
import assert from 'node:assert/strict';
import path from 'node:path';
import { after, afterEach, before, test } from 'node:test';
import { Connection } from '../parts/connection.js';
import { proveDelivered, startParts } from '../parts/proof.js';
import { canTrace, readTrace, traced } from '../parts/trace.js';
import { until } from '../parts/until.js';
import { batch, isTaken, once, pageView } from '../parts/visitors.js';
import { note } from './harness.js';

const CONNECTIONS = 12, ROUNDS = 40;
const BATCH = 3; // events in the requests that carry several
const FAILS_FROM = 20; // call of the flusher's thread
const AFTERWARDS = 20; // requests

let stack, site;

before(async () => {
  stack = await startParts(['sync.example']);
  [site] = stack.sites;
});
afterEach(() => stack?.clear());
after(() => stack?.end());

// Whether it can be looked at here.
function mayTrace() {
  const may = canTrace();
  if (!may) note('system calls were not looked at: this system denies it');
  return may;
}

// The 2xx that went out: {at, marks}, the marks being those of the request that had come in there.
function answersOf(calls) {
  const asked = new Map(); // socket → marks
  const steps = calls.flatMap((call) => {
    if (call.name === 'recvfrom' && call.result > 0) return [{ at: call.ended, call }];
    return call.name === 'sendto' && call.text.includes('"HTTP/1.1 ') ? [{ at: call.begun, call }] : [];
  });
  return steps.sort((a, b) => a.at - b.at).flatMap(({ at, call }) => {
    if (call.name === 'recvfrom') {
      asked.set(call.fd, [...asked.get(call.fd) ?? [], ...call.text.match(/\/mark-\d+-/g) ?? []]);
      return [];
    }
    const marks = asked.get(call.fd) ?? [];
    asked.delete(call.fd);
    return /"HTTP\/1\.1 2\d\d /.test(call.text) ? [{ at, marks }] : [];
  });
}

test('each 2xx follows an fdatasync that began after that event was written', async () => {
  if (!mayTrace()) return;
  const file = path.join(stack.logs, 'calls.strace');
  const ingress = stack.ingress('ingress-traced', 10, { FOOTFALL_JOURNAL_DIR: stack.folder('traced') },
    traced({ file, calls: ['recvfrom', 'sendto', 'pwrite64', 'fdatasync'] }));
  await stack.running(ingress);
  let count = 0;
  const mark = () => `/mark-${count++}-`;
  await Promise.all(Array.from({ length: CONNECTIONS }, async (_, i) => {
    const connection = new Connection(ingress.http);
    for (let n = 0; n < ROUNDS; n++) {
      const answer = await connection.ask(i ? pageView(site, mark()) : batch(stack.key, site, Array.from({ length: BATCH }, mark)));
      assert.ok(isTaken(answer), JSON.stringify(answer));
    }
    connection.close();
  }));
  assert.equal((await ingress.stop()).status, 0);

  const calls = readTrace(file);
  const answered = answersOf(calls).flatMap(({ at, marks }) => marks.map((one) => ({ one, at })));
  const writes = calls.filter(({ name, file: written }) => name === 'pwrite64' && written.endsWith('.seg'));
  const syncs = calls.filter(({ name, result }) => name === 'fdatasync' && result === 0);
  const mostInOne = Math.max(...writes.map(({ text }) => (text.match(/\/mark-\d+-/g) ?? []).length));
  assert.equal(new Set(answered.map(({ one }) => one)).size, count, 'the answer to each event is seen');
  for (const { one, at } of answered) {
    const write = writes.find(({ text }) => text.includes(one));
    assert.ok(write?.ended < at && write.result > 0, `${one} is written before its answer`);
    assert.ok(syncs.some(({ fd, begun, ended }) => fd === write.fd && begun > write.ended && ended < at), `${one} is synced before its answer`);
  }
  assert.ok(mostInOne > 1, 'several events waited for one sync');
  note(`${count} events were answered after ${syncs.length} syncs, at most ${mostInOne} at one`);
});

const FAILURES = [
  ['fdatasync', 'who waits is answered 503', 'fdatasync:error=EIO'], ['write', 'who waits is answered 503', 'pwrite64:error=ENOSPC'],
  ['fdatasync of what cannot be cut off', 'who waits gets no answer', 'fdatasync:error=EIO', ['ftruncate:error=EIO']],
];
for (const [what, then, first, others = []] of FAILURES) {
  test(`after a failed ${what} ${then}, nothing is taken any more, and none of it is counted`, async () => {
    if (!mayTrace()) return;
    const name = what.replaceAll(' ', '-'), prefix = `/failed-${name}-`, env = { FOOTFALL_JOURNAL_DIR: stack.folder(name) };
    const inject = [`${first}:when=${FAILS_FROM}+`, ...others];
    const failing = stack.ingress(`ingress-failed-${name}`, 11, env, traced({ calls: inject.map((one) => one.split(':')[0]), inject }));
    await stack.running(failing);
    const visitors = stack.visitors([failing], { connections: CONNECTIONS, site, prefix });
    assert.ok(await until(() => visitors.refused.length, { every: 1 }), 'some were answered 503');
    for (let n = 0; n < AFTERWARDS; n++) {
      const answer = await once(failing.http, pageView(site, `${prefix}afterwards-${n}`));
      assert.ok(typeof answer === 'string' || answer.status === 503, JSON.stringify(answer));
    }
    assert.equal((await failing.gone()).status, 1);
    await visitors.stop();
    assert.ok(visitors.accepted.length, 'some were accepted before');
    assert.match(failing.said(), /"msg":"ingress: the journal takes nothing any more"/);

    const ingress = stack.ingress(`ingress-after-${name}`, 12, env);
    const worker = stack.worker(`worker-after-${name}`, 20, [ingress.link]);
    await stack.running(ingress, worker);
    await proveDelivered(stack, visitors, [ingress]);
    const rows = await stack.stored(`${prefix}afterwards-`);
    assert.equal(rows.size, 0, 'nothing was taken afterwards');
    note(`${what} failed: ${visitors.accepted.length} accepted, ${visitors.refused.length} answered 503, ${visitors.open.length} without an answer`);
  });
}
