// What comes over a port without the door before it: a service goes on whatever that is.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import fs from 'node:fs';
import net from 'node:net';
import { after, afterEach, before, test } from 'node:test';
import { startParts } from '../parts/proof.js';
import { once as ask, pageView, post } from '../parts/visitors.js';
import { note, waitFor } from './harness.js';

let stack;

before(async () => {
  stack = await startParts(['http.example']);
});
afterEach(() => stack?.clear());
after(() => stack?.end());

const BROKEN = ['', '\0\0\0\0\r\n\r\n', 'NONSENSE\r\n\r\n', 'GET\r\n\r\n', 'POST /api/ev', 'GET /x HTTP/1.1\r\nHost: a\r\n', 'GET x HTTP/1.1\r\n\r\n',
  'GET / HTTP/9.9\r\n\r\n', 'POST /api/event HTTP/1.1\r\nContent-Length: -1\r\n\r\n', 'POST /api/event HTTP/1.1\r\nContent-Length: 9\r\n\r\n{',
  `GET /${'x'.repeat(20000)} HTTP/1.1\r\n\r\n`, `GET / HTTP/1.1\r\n${'A: b\r\n'.repeat(5000)}\r\n`, '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03'];

// Send it and no more; the answer's first line, or '' when there was none.
async function answerTo(bytes, { host, port }) {
  const socket = net.connect({ host, port }).on('error', () => {}).setEncoding('latin1');
  let text = '';
  socket.on('data', (more) => { text += more; });
  socket.end(bytes, 'latin1');
  await once(socket, 'close');
  return text.split('\r\n')[0];
}

test('what is no whole HTTP request is refused, and ends no service', async () => {
  const ingress = stack.ingress('ingress-http', 10, { FOOTFALL_JOURNAL_DIR: stack.folder('http') });
  const query = stack.query('query-http', 30), people = stack.console('console-http', 31);
  const services = [ingress, query, people];
  await stack.running(...services);
  const pids = services.map((service) => service.pid);
  for (const service of services)
    for (const port of [service.http, service.admin])
      for (const bytes of BROKEN)
        assert.match(await answerTo(bytes, port), /^($|HTTP\/1\.1 [45]\d\d )/, `${service.name}: ${JSON.stringify(bytes.slice(0, 50))}`);
  assert.deepEqual(services.map((service) => service.child?.pid), pids, 'each is the same process');
  for (const service of services) assert.ok(await service.ready());
});

// Each of few bytes, but of many levels, or of many small values.
const DEEP = `${'['.repeat(2000)}${']'.repeat(2000)}`;
const flat = (bytes) => `[${'[],'.repeat(bytes / 3)}[]]`;

test('JSON of many levels, or of many small values, ends no service and leaves the ingress under 30 MB', async () => {
  const ingress = stack.ingress('ingress-json', 10, { FOOTFALL_JOURNAL_DIR: stack.folder('json') });
  const query = stack.query('query-json', 30), people = stack.console('console-json', 31);
  const services = [ingress, query, people];
  await stack.running(...services);
  const pids = services.map((service) => service.pid);
  const { domain, property_id: website } = stack.sites[0], key = { Authorization: `Bearer ${stack.key}` };
  const text = (json) => JSON.stringify(`{"a":${json}}`);
  const page = (more) => `{"n":"pageview","u":"https://${domain}/",${more}}`;
  const umami = (type, more) => `{"type":"${type}","payload":{"website":"${website}","url":"/",${more}}}`;
  for (const [what, json, large] of [['deep', DEEP, DEEP], ['flat', flat(60000), flat(2e6)]]) {
    const cases = [
      ['/api/event', page(`"p":{"a":${json}}`), 400], ['/api/event', page(`"md":{"a":${json}}`), 202], ['/api/event', page(`"p":${text(json)}`), 202],
      ['/api/event', page(`"$":${text(json)}`), 202],
      ['/api/send', umami('event', `"data":{"a":${json}}`), 400], ['/api/send', umami('identify', `"data":{"a":${json}}`), 400],
      ['/api/send', umami('performance', `"lcp":${json}`), 400], ['/api/batch', `[${umami('event', `"data":{"a":${json}}`)}]`, 200],
      ['/matomo.php', `{"requests":[${large}]}`, 200], ['/matomo.php', `{"requests":[{"idsite":${large}}]}`, 200],
      ['/api/v0/count', `{"hits":[{"path":"/"}],"filter":${large}}`, 400, key], ['/api/v0/count', `{"hits":[{"path":${large}}]}`, 400, key],
      ['/api/v1/events', `[{"name":"pageview","url":"/","domain":"${domain}","props":{"a":${large}}}]`, 200, key],
    ];
    for (const [path, body, status, headers] of cases)
      assert.equal((await ask(ingress.http, post(path, headers, body))).status, status, `${what} ${path} ${body.slice(0, 120)}`);
    await Promise.all(Array.from({ length: 200 }, () => ask(ingress.http, post('/api/event', {}, page(`"p":{"a":${json}}`)))));
    assert.equal((await ask(query.http, post('/api/v2/query', { ...key, 'Content-Type': 'application/json' }, `{"a":${json.length < 9000 ? json : flat(9000)}}`))).status, 400);
    assert.equal((await ask(people.http, post('/api/login', { 'Content-Type': 'application/json' }, `{"a":${json.length < 9000 ? json : flat(9000)}}`))).status, 400);
  }
  const resident = Number(/VmRSS:\s*(\d+) kB/.exec(fs.readFileSync(`/proc/${ingress.pid}/status`, 'utf8'))[1]) * 1024 / 1e6;
  note(`ingress after JSON of many levels and values: VmRSS ${resident.toFixed(1)} MB`);
  assert.ok(resident < 30);
  assert.deepEqual(services.map((service) => service.child?.pid), pids, 'each is the same process');
});

const CROWDS = {
  'say nothing': '', 'send half of their headers': 'POST /api/event HTTP/1.1\r\nHost: x\r\nX-A',
  'send half of a body of 64 KiB': `POST /api/event HTTP/1.1\r\nHost: x\r\nContent-Length: 65536\r\n\r\n{"n":"${'x'.repeat(30000)}`,
};

// Without the door, whose matter such clients are, they have every thread, and the kernel's queue, as long as they stay.
test('an ingress to which 10,000 connections were made that say nothing, or not all, takes events as soon as they are gone, and has not grown', async () => {
  const ingress = stack.ingress('ingress-crowd', 10, { FOOTFALL_JOURNAL_DIR: stack.folder('crowd') });
  await stack.running(ingress);
  const { pid } = ingress;
  for (const [what, bytes] of Object.entries(CROWDS)) {
    const crowd = [];
    let connected = 0;
    for (let i = 0; i < 10000; i++) {
      const socket = net.connect(ingress.http).on('error', () => {}).on('connect', () => { connected++; socket.write(bytes); });
      crowd.push(socket);
      if (i % 500 === 0) await new Promise(setImmediate);
    }
    await waitFor(() => connected > 1000, 'as many as it takes in');
    for (const socket of crowd) socket.destroy();
    await waitFor(async () => (await ask(ingress.http, pageView(stack.sites[0], '/after'))).status === 202, 'an event is taken', { timeout: 5000 });
    const resident = Number(/VmRSS:\s*(\d+) kB/.exec(fs.readFileSync(`/proc/${pid}/status`, 'utf8'))[1]) * 1024 / 1e6;
    note(`ingress after 10,000 connections that ${what}: VmRSS ${resident.toFixed(1)} MB`);
    assert.ok(resident < 30);
  }
  assert.equal(ingress.child?.pid, pid, 'it is the same process');
});
