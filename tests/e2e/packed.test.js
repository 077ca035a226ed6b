// Bodies packed by gzip, to POST /api/v1/events: taken as if they were not, and bounded as if they were not.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import { after, before, test } from 'node:test';
import { brotliCompressSync, deflateSync, gzipSync } from 'node:zlib';
import { proveDelivered, startParts } from '../parts/proof.js';
import { isTaken, once } from '../parts/visitors.js';
import { note } from './harness.js';

const MOST = 2 << 20;
let stack, site, ingress;

before(async () => {
  stack = await startParts(['packed.example']);
  [site] = stack.sites;
  ingress = stack.ingress('ingress-packed', 10, { FOOTFALL_JOURNAL_DIR: stack.folder('packed') });
  await stack.running(ingress, stack.worker('worker-packed', 20, [ingress.link]));
});
after(() => stack?.end());

const event = (path, more = {}) => ({ name: 'pageview', url: path, domain: site.domain, ...more });

function send(body, encoding = 'gzip') {
  const head = ['POST /api/v1/events HTTP/1.1', 'Host: test', `Authorization: Bearer ${stack.key}`, `Content-Encoding: ${encoding}`, `Content-Length: ${body.length}`];
  return once(ingress.http, Buffer.concat([Buffer.from(`${head.join('\r\n')}\r\n\r\n`), body]));
}

const sendPacked = (text) => send(gzipSync(text));

// Events whose JSON has so many bytes, by spaces.
function ofBytes(bytes, events) {
  const text = JSON.stringify(events);
  return `${' '.repeat(bytes - text.length)}${text}`;
}

test('what is packed by gzip is taken: an array, lines, several members, up to 2 MiB unpacked, and each counts once', async () => {
  const lines = ['/packed-line-0', '/packed-line-1'].map((path) => `${JSON.stringify(event(path))}\n`).join('');
  const many = Array.from({ length: 1000 }, (_, n) => event(`/packed-many-${n}`, { id: `many-${n}`, title: 'x'.repeat(1000), props: { n: 'y'.repeat(900) } }));
  const array = JSON.stringify([event('/packed-members')]);
  assert.ok(isTaken(await sendPacked(JSON.stringify([event('/packed-array')]))));
  assert.ok(isTaken(await send(gzipSync(JSON.stringify([event('/packed-other-name')])), 'X-GZip')));
  assert.ok(isTaken(await send(Buffer.from(JSON.stringify([event('/packed-not')])), 'identity')));
  assert.ok(isTaken(await sendPacked(lines)));
  assert.ok(isTaken(await send(Buffer.concat([gzipSync(array.slice(0, 9)), gzipSync(''), gzipSync(array.slice(9))]))));
  assert.ok(isTaken(await sendPacked(ofBytes(MOST, [event('/packed-most')]))), 'just as much as is allowed');
  for (const bytes of [(64 << 10) - 1, 64 << 10, (64 << 10) + 1])
    assert.ok(isTaken(await sendPacked(ofBytes(bytes, [event(`/packed-${bytes}`)]))), `${bytes} bytes`);
  for (let n = 0; n < 2; n++) assert.equal(JSON.parse((await sendPacked(JSON.stringify(many))).body).accepted, 1000);
  const accepted = ['array', 'other-name', 'not', 'line-0', 'line-1', 'members', 'most', '65535', '65536', '65537', ...many.map((_, n) => `many-${n}`)];
  await proveDelivered(stack, { prefix: '/packed-', accepted: accepted.map((path) => `/packed-${path}`) }, [ingress]);
});

test('what unpacks to more than 2 MiB is answered 413, what cannot be unpacked 400, another encoding 415, and nothing is kept', async () => {
  const good = gzipSync(JSON.stringify([event('/bad')]));
  const wrong = Buffer.from(good);
  wrong[wrong.length - 5] ^= 1; // of its checksum
  const cases = [
    [413, gzipSync(ofBytes(MOST + 1, [event('/bad')])), 'gzip'],
    [413, gzipSync(Buffer.alloc(200 << 20, ' '), { level: 9 }), 'gzip'],
    [413, Buffer.alloc(MOST + 1), 'gzip'],
    [400, good.subarray(0, good.length - 1), 'gzip'],
    [400, wrong, 'gzip'],
    [400, Buffer.concat([good, Buffer.from('and more')]), 'gzip'],
    [400, Buffer.from(JSON.stringify([event('/bad')])), 'gzip'],
    [400, Buffer.alloc(0), 'gzip'],
    [400, deflateSync(JSON.stringify([event('/bad')])), 'gzip'],
    [415, deflateSync(JSON.stringify([event('/bad')])), 'deflate'],
    [415, brotliCompressSync(JSON.stringify([event('/bad')])), 'br'],
    [415, good, 'gzip, gzip'],
  ];
  for (const [status, body, encoding] of cases) {
    const answer = await send(body, encoding);
    assert.equal(answer.status, status, `${encoding} ${body.length}: ${JSON.stringify(answer)}`);
    assert.equal(answer.dropped, 'invalid');
    assert.equal(typeof JSON.parse(answer.body).error, 'string');
    if (status === 415) assert.match(answer.head, /\r\naccept-encoding: gzip\r\n/i);
  }
  assert.ok(isTaken(await sendPacked(JSON.stringify([event('/good')]))));
  await proveDelivered(stack, { prefix: '/good', accepted: ['/good'] }, [ingress]);
  await proveDelivered(stack, { prefix: '/bad', accepted: [], refused: ['/bad'] }, [ingress]);
});

test('large packed bodies and bombs at once leave the ingress under 30 MB', async () => {
  const many = gzipSync(ofBytes(MOST, Array.from({ length: 1000 }, (_, n) => event(`/at-once-${n}`, { title: 'x'.repeat(1000), props: { n: 'y'.repeat(850) } }))));
  const bomb = gzipSync(Buffer.alloc(50 << 20, ' '));
  let taken = 0;
  for (let round = 0; round < 10; round++)
    for (const answer of await Promise.all([many, many, bomb, many, bomb, many, many, bomb].map((body) => send(body)))) {
      assert.ok([200, 413, 503].includes(answer.status), JSON.stringify(answer));
      taken += answer.status === 200;
    }
  const status = fs.readFileSync(`/proc/${ingress.pid}/status`, 'utf8');
  const mb = (field) => Number(new RegExp(`${field}:\\s*(\\d+) kB`).exec(status)[1]) * 1024 / 1e6;
  note(`ingress after large packed bodies at once, ${taken} of 50 taken: VmRSS ${mb('VmRSS').toFixed(1)} MB, VmHWM ${mb('VmHWM').toFixed(1)} MB`);
  assert.ok(taken > 0);
  assert.ok(mb('VmRSS') < 30);
});
