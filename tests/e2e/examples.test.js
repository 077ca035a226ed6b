// The examples of services/ingress/api.md, as they stand there: each sends its event through the door. Before the door is
// one that loses requests and answers, so that each has to send it again; and what the door itself says so.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import fs from 'node:fs';
import http from 'node:http';
import net from 'node:net';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { ROOT, request, run, startStack, waitFor } from './harness.js';

const [TEXT] = fs.readFileSync(path.join(ROOT, 'services/ingress/api.md'), 'utf8').match(/^## From a server.*?(?=^## )/gms);
// Where each language's example ends up; what runs it; whether it sends again when no answer came.
const EXAMPLES = {
  bash: { name: 'Purchase', page: '/thanks', file: 'send.sh', program: 'bash', revenue: 12.5 },
  python: { name: 'Signup', page: '/welcome', file: 'send.py', program: 'python3', again: true, packed: true },
  js: { name: 'Comment', page: '/blog/databases', file: 'send.mjs', program: process.execPath, again: true },
  php: { name: 'Invoice', page: '/account', file: 'send.php', program: 'php', again: true, revenue: 99.9 },
};
let stack, site, key;

before(async () => {
  stack = await startStack({ FOOTFALL_INGRESSES: '2' });
  await stack.account();
  site = await stack.site('example.org');
  key = await stack.key('ingest');
});
after(() => stack?.remove());

// Answers 503, then 429, then takes the event but gives no answer, if the example sends again then, and then answers.
async function startTroubled(again) {
  const seen = [];
  const server = http.createServer(async (asked, answer) => {
    const chunks = [];
    for await (const chunk of asked) chunks.push(chunk);
    seen.push(asked.headers);
    if (seen.length < 3) return answer.writeHead(seen.length === 1 ? 503 : 429, { 'Retry-After': '1', Connection: 'close' }).end('{}');
    const { status, headers, text } = await request(`${stack.url}${asked.url}`, { method: asked.method, headers: asked.headers, body: Buffer.concat(chunks) });
    if (again && seen.length === 3) return asked.socket.destroy();
    answer.writeHead(status, { 'Content-Type': headers['content-type'], Connection: 'close' }).end(text);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return { seen, url: `http://127.0.0.1:${server.address().port}`, close: () => server.close() };
}

for (const [language, example] of Object.entries(EXAMPLES)) {
  test(`the example for ${language} sends its event, again when it has to, and it counts once`, async (t) => {
    const blocks = [...TEXT.matchAll(new RegExp(`^\`\`\`${language}\n(.*?)^\`\`\``, 'gms'))];
    assert.equal(blocks.length, 1, 'there is one');
    const troubled = await startTroubled(example.again);
    t.after(troubled.close);
    const file = path.join(stack.home, example.file);
    fs.writeFileSync(file, blocks[0][1]);
    const { code, stdout, stderr } = await run(example.program, [file], { env: { HOST: troubled.url, KEY: key } });
    assert.equal(code, 0, stdout + stderr);
    assert.equal(troubled.seen.length, example.again ? 4 : 3);
    assert.equal(troubled.seen[0]['content-encoding'], example.packed ? 'gzip' : undefined);
    const rows = () => stack.sql('metrics', `select coalesce(e.revenue, 0) from event e join string p on p.site_id = e.site_id and p.id = e.page
      join string n on n.site_id = e.site_id and n.id = e.name where e.site_id = ${site.site_id} and p.value = '${example.page}' and n.value = '${example.name}'`);
    await waitFor(() => rows().length > 0, 'it is in the tables');
    await waitFor(() => stack.sql('metrics', 'select count(*) from applied')[0][0] === '0', 'no record is held above a gap');
    assert.equal(rows().length, 1);
    if (example.revenue) assert.equal(Number(rows()[0][0]), example.revenue);
  });

  test(`the example for ${language} fails with the reason when it is refused`, async () => {
    const { code, stdout, stderr } = await run(example.program, [path.join(stack.home, example.file)], { env: { HOST: stack.url, KEY: 'no key' } });
    assert.notEqual(code, 0);
    assert.match(stdout + stderr, /401/);
  });
}

test('the door sends away a fifth large call of one address with 429 and Retry-After, and takes it when another has ended', async (t) => {
  const body = `[${' '.repeat(200000)}]`;
  const head = `POST /api/v1/events HTTP/1.1\r\nHost: test\r\nAuthorization: Bearer ${key}\r\nContent-Length: ${body.length}\r\n\r\n`;
  const calls = Array.from({ length: 4 }, () => net.connect(stack.port, '127.0.0.1', function () { this.write(`${head}[`); }).on('error', () => {}));
  t.after(() => calls.forEach((call) => call.destroy()));
  const send = () => request(`http://127.0.0.1:${stack.port}/api/v1/events`, { method: 'POST', headers: { Authorization: `Bearer ${key}` }, body });
  const refused = await waitFor(async () => {
    const answer = await send();
    return answer.status !== 200 && answer;
  }, 'one is too many');
  assert.equal(refused.status, 429);
  assert.equal(refused.headers['retry-after'], '1');
  assert.equal(typeof refused.json.error, 'string');
  calls[0].destroy();
  await waitFor(async () => (await send()).status === 200, 'there is room again');
});
