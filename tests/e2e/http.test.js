// What comes over a port without the door before it: a service goes on whatever that is.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import net from 'node:net';
import { after, afterEach, before, test } from 'node:test';
import { startParts } from '../parts/proof.js';

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
