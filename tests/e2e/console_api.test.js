// The console's HTTP API against a real database that the test can take away: the console reaches
// PostgreSQL through a proxy of ours, which is shut and opened again.

import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import http from 'node:http';
import net from 'node:net';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { freePort, startCluster } from './cluster.js';

const CONSOLE = fileURLToPath(new URL(`../../${process.env.BUILD ?? 'build'}/bin/console`, import.meta.url));
const DEADLINE_MS = 20000;
const EMAIL = 'Ada@Example.org';
const PASSWORD = 'correct horse battery';
const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

let cluster, proxy, console_, port, adminPort;

// Carries bytes between the console and the database; shut() is a database that has gone away.
async function openProxy(listenPort, toPort) {
  const sockets = new Set();
  const server = net.createServer((from) => {
    const to = net.connect(toPort, '127.0.0.1');
    for (const [a, b] of [[from, to], [to, from]]) {
      sockets.add(a);
      a.pipe(b);
      a.on('error', () => b.destroy());
      a.on('close', () => { sockets.delete(a); b.destroy(); });
    }
  });
  const open = () => new Promise((resolve) => server.listen(listenPort, '127.0.0.1', resolve));
  const shut = () => new Promise((resolve) => {
    server.close(resolve);
    sockets.forEach((socket) => socket.destroy());
  });
  return { open, shut, isOpen: () => server.listening };
}

function call(method, path, { body, cookie, headers, to = port } = {}) {
  const sent = body === undefined ? undefined : typeof body === 'string' ? body : JSON.stringify(body);
  return new Promise((resolve, reject) => {
    const request = http.request({ method, path, host: '127.0.0.1', port: to, agent: false,
      headers: { 'Content-Type': 'application/json', 'Content-Length': Buffer.byteLength(sent ?? ''), ...(cookie && { Cookie: cookie }), ...headers } });
    request.on('error', reject).on('response', async (response) => {
      let text = '';
      for await (const chunk of response) text += chunk;
      const json = response.headers['content-type'] === 'application/json' ? JSON.parse(text) : undefined;
      resolve({ status: response.statusCode, headers: response.headers, json });
    });
    request.end(sent);
  });
}

async function until(question, what) {
  const end = Date.now() + DEADLINE_MS;
  while (Date.now() < end) {
    if (await question().catch(() => false)) return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  assert.fail(`${what} did not happen in ${DEADLINE_MS / 1000} s`);
}

const isReady = async () => (await call('GET', '/readyz', { to: adminPort })).status === 200;
const sessionOf = (answer) => answer.headers['set-cookie'][0].split(';')[0];
// As lib/secret does, by another implementation: node's OpenSSL has BLAKE2b of 512 bits only.
const hashOf = (token) => execFileSync('b2sum', ['-l', '256'], { input: token }).toString().split(' ')[0];
// A client of its own, as the door names it, so that one test's failed logins are not another's.
const client = (address) => ({ 'X-Forwarded-For': address });

async function login(address = '198.51.100.1') {
  const answer = await call('POST', '/api/login', { body: { email: EMAIL, password: PASSWORD }, headers: client(address) });
  assert.equal(answer.status, 204);
  return sessionOf(answer);
}

before(async () => {
  cluster = await startCluster();
  const dbPort = await freePort();
  proxy = await openProxy(dbPort, cluster.port);
  port = await freePort();
  adminPort = await freePort();
  console_ = spawn(CONSOLE, [], { stdio: ['ignore', 'ignore', 'pipe'], env: { ...process.env,
    FOOTFALL_APP_DB: cluster.conninfo('footfall_console', 'footfall_app', dbPort),
    FOOTFALL_METRICS_DB: cluster.conninfo('footfall_console', 'footfall_metrics', dbPort),
    FOOTFALL_CONSOLE_ADDR: `127.0.0.1:${port}`, FOOTFALL_ADMIN_ADDR: `127.0.0.1:${adminPort}` } });
  console_.log = '';
  console_.stderr.on('data', (data) => { console_.log += data; });
  await until(async () => (await call('GET', '/healthz', { to: adminPort })).status === 200, 'the start');
});

after(async () => {
  if (console_?.exitCode === null) console_.kill('SIGKILL');
  if (proxy?.isOpen()) await proxy.shut();
  await cluster?.stop();
});

const sql = (text) => cluster.sql('footfall_app', text).trim();

test('it starts without a database, says so, and is ready once there is one', async () => {
  assert.equal((await call('GET', '/readyz', { to: adminPort })).status, 503);
  const answer = await call('GET', '/api/me');
  assert.equal(answer.status, 503);
  assert.ok(answer.headers['retry-after']);
  assert.match(answer.json.error, /database/);
  await proxy.open();
  await until(isReady, 'readiness');
});

test('while there is no account, /api/me says that someone has to be the first', async () => {
  const answer = await call('GET', '/api/me');
  assert.equal(answer.status, 401);
  assert.equal(answer.json.setup, true);
});

test('a set-up token makes the first account once, and neither late nor wrong', async () => {
  const setup = (token, more) => call('POST', '/api/setup', { body: { token, email: EMAIL, password: PASSWORD, ...more } });
  sql(`insert into setup_token values ('${hashOf('late')}', now() - interval '1 second'), ('${hashOf('good')}', now() + interval '1 hour')`);

  assert.equal((await setup('wrong')).status, 403);
  assert.equal((await setup('late')).status, 403);
  assert.match((await setup('good', { password: 'short' })).json.error, /8 to 256/);
  assert.match((await setup('good', { email: 'nobody' })).json.error, /not an e-mail address/);

  const both = await Promise.all([setup('good'), setup('good', { email: 'other@example.org' })]);
  assert.deepEqual(both.map((a) => a.status).sort(), [204, 403]);
  assert.equal(sql('select count(*) from account'), '1');
  assert.equal((await setup('good')).status, 403);
  const made = both.find((a) => a.status === 204);
  assert.equal((await call('GET', '/api/me', { cookie: sessionOf(made) })).status, 200);
  sql(`update account set email = '${EMAIL}'`); // whichever of the two won
});

test('a login gives a 30 days cookie that only its hash is kept of', async () => {
  const answer = await call('POST', '/api/login', { body: { email: 'aDA@eXAMPLE.ORG', password: PASSWORD } });
  assert.equal(answer.status, 204);
  const cookie = answer.headers['set-cookie'][0];
  assert.match(cookie, /^footfall_session=[\w-]{43}; Path=\/; HttpOnly; SameSite=Lax; Max-Age=2592000$/);
  const token = sessionOf(answer).split('=')[1];
  assert.equal(sql(`select round(extract(epoch from expires_at - now()) / 86400) from login_session where token_hash = '${hashOf(token)}'`), '30');

  const me = await call('GET', '/api/me', { cookie: sessionOf(answer) });
  assert.deepEqual(me.json, { email: EMAIL, sites: [] });
  assert.equal(me.headers['cache-control'], 'no-store');
});

test('a logout ends the session on the server, not only in the browser', async () => {
  const cookie = await login();
  const answer = await call('POST', '/api/logout', { cookie });
  assert.equal(answer.status, 204);
  assert.match(answer.headers['set-cookie'][0], /^footfall_session=; .*Max-Age=0$/);
  const me = await call('GET', '/api/me', { cookie });
  assert.equal(me.status, 401);
  assert.equal(me.json.setup, false);
});

test('a session whose time is over is nobody', async () => {
  const cookie = await login();
  sql(`update login_session set expires_at = now() where token_hash = '${hashOf(cookie.split('=')[1])}'`);
  assert.equal((await call('GET', '/api/me', { cookie })).status, 401);
  assert.equal((await call('POST', '/api/sites', { cookie, body: { domain: 'late.example', timezone: 'UTC' } })).status, 401);
});

test('a site is made, listed for its owner and refused twice', async () => {
  const cookie = await login();
  const add = (body) => call('POST', '/api/sites', { cookie, body });
  const made = await add({ domain: 'www.Example.org', timezone: 'Europe/Berlin' });
  assert.equal(made.status, 201);
  const { site_id: id, property_id: property, ...rest } = made.json;
  assert.ok(Number.isInteger(id));
  assert.match(property, UUID);
  assert.deepEqual(rest, { domain: 'example.org', timezone: 'Europe/Berlin', identity: 'daily', role: 'owner' });
  assert.deepEqual((await call('GET', '/api/me', { cookie })).json.sites, [made.json]);

  assert.equal((await add({ domain: 'example.org', timezone: 'UTC' })).status, 409);
  assert.match((await add({ domain: 'no domain', timezone: 'UTC' })).json.error, /not a domain/);
  assert.match((await add({ domain: 'a.example', timezone: 'Mars/Base' })).json.error, /not a time zone/);
  assert.match((await add({ domain: 'a.example' })).json.error, /"timezone" is missing/);
  assert.match((await add({ domain: 5, timezone: 'UTC' })).json.error, /"domain" is not a text/);
  assert.equal((await add({ domain: 'b.example', timezone: 'UTC', identity: 'persistent' })).json.identity, 'persistent');
  assert.equal((await call('POST', '/api/sites', { body: { domain: 'c.example', timezone: 'UTC' } })).status, 401);
});

test('nobody sees the sites of another account', async () => {
  sql(`insert into account (email, password_hash) select 'eve@example.org', password_hash from account`);
  const answer = await call('POST', '/api/login', { body: { email: 'eve@example.org', password: PASSWORD } });
  assert.deepEqual((await call('GET', '/api/me', { cookie: sessionOf(answer) })).json.sites, []);
});

test('time zones are listed by the names that a site can have', async () => {
  const { json } = await call('GET', '/api/timezones', { cookie: await login() });
  for (const zone of ['UTC', 'Europe/Berlin', 'Asia/Kathmandu']) assert.ok(json.includes(zone), zone);
  assert.ok(!json.some((zone) => /^(posix|right)\//.test(zone)));
});

test('what a foreign page can send changes nothing', async () => {
  const cookie = await login();
  const body = { domain: 'forged.example', timezone: 'UTC' };
  for (const origin of ['https://evil.example', 'null', `http://127.0.0.1:${port + 1}`]) {
    const answer = await call('POST', '/api/sites', { cookie, body, headers: { Origin: origin } });
    assert.equal(answer.status, 403, origin);
  }
  for (const type of ['text/plain', 'application/x-www-form-urlencoded', ''])
    assert.equal((await call('POST', '/api/sites', { cookie, body, headers: { 'Content-Type': type } })).status, 415, type);
  assert.equal((await call('POST', '/api/logout', { cookie, headers: { Origin: 'https://evil.example' } })).status, 403);
  assert.equal(sql(`select count(*) from site where domain = 'forged.example'`), '0');
  const own = await call('POST', '/api/sites', { cookie, body, headers: { Origin: `http://127.0.0.1:${port}` } });
  assert.equal(own.status, 201);
});

test('bodies that are no form are refused with a sentence', async () => {
  const post = async (body) => call('POST', '/api/login', { body });
  for (const body of ['', '{', '[]', '{"email":1,"password":"x"}', '{"email":"a@b","email":"c@d"}', '{"email":"a\\u0000@b","password":"x"}']) {
    const answer = await post(body);
    assert.equal(answer.status, 400, body);
    assert.equal(typeof answer.json.error, 'string');
  }
  assert.equal((await post(`{"email":"${'x'.repeat(20000)}"}`)).status, 413);
  assert.equal((await call('GET', '/api/login')).status, 405);
  assert.equal((await call('GET', '/api/nothing')).status, 404);
});

test('after 10 failed logins a client waits, whoever it wants to be; others do not', async () => {
  const headers = client('203.0.113.7');
  const guess = (n) => call('POST', '/api/login', { body: { email: `guess${n}@example.org`, password: 'wrong' }, headers });
  const answers = await Promise.all(Array.from({ length: 14 }, (_, n) => guess(n)));
  const by = (status) => answers.filter((a) => a.status === status);
  assert.equal(by(401).length, 10);
  assert.equal(by(429).length, 4);
  const wait = Number(by(429)[0].headers['retry-after']);
  assert.ok(wait > 280 && wait <= 300, `Retry-After: ${wait}`);
  assert.equal((await call('POST', '/api/login', { body: { email: EMAIL, password: PASSWORD }, headers })).status, 429);
  await login('203.0.113.8');
});

test('after 10 failed logins for an account it waits, whoever asks and however it is written', async () => {
  sql(`insert into account (email, password_hash) select 'Target@example.org', password_hash from account limit 1`);
  const guess = (n, email, password) => call('POST', '/api/login', { body: { email, password }, headers: client(`2001:db8:${n}::1`) });
  for (let n = 0; n < 10; n++) assert.equal((await guess(n, n % 2 ? 'target@example.org' : 'TARGET@example.org', 'wrong')).status, 401);
  assert.equal((await guess(10, 'target@EXAMPLE.org', PASSWORD)).status, 429);
});

test('a successful login is never counted against anybody', async () => {
  for (let n = 0; n < 12; n++) await login('203.0.113.9');
});

test('the rules of a site are its owners\' to read and to set, one way each', async () => {
  const cookie = await login();
  const site = (await call('POST', '/api/sites', { cookie, body: { domain: 'ruled.example', timezone: 'UTC' } })).json;
  const path = `/api/sites/${site.property_id}/rules`;
  const none = {
    bots: 'mark', origin_required: false, honour_dnt: false, counter: false, rules: [],
    script: ['exit', 'outbound', 'downloads', 'forms', 'tagged', '404', 'metadata'],
  };
  assert.deepEqual((await call('GET', path, { cookie })).json, none);
  const chosen = await call('PUT', path, { cookie, body: { bots: 'refuse', honour_dnt: true } });
  assert.equal(chosen.status, 200);
  assert.deepEqual(chosen.json, { ...none, bots: 'refuse', honour_dnt: true });
  assert.deepEqual((await call('PUT', path, { cookie, body: { honour_dnt: false } })).json, { ...none, bots: 'refuse' });
  const scripted = await call('PUT', path, { cookie, body: { script: ['hash', 'exit', 'hash'], counter: true } });
  assert.deepEqual(scripted.json, { ...none, bots: 'refuse', script: ['exit', 'hash'], counter: true });
  assert.deepEqual((await call('PUT', path, { cookie, body: { script: [], counter: false } })).json, { ...none, bots: 'refuse', script: [] });
  const added = await call('POST', path, { cookie, body: { kind: 'ip', value: ' 192.0.2.77/24 ' } });
  assert.equal(added.status, 201);
  assert.deepEqual(added.json.rules, [{ kind: 'ip', value: '192.0.2.0/24' }]);
  assert.equal((await call('POST', path, { cookie, body: { kind: 'ip', value: '192.0.2.0/24' } })).status, 409);
  assert.equal((await call('POST', path, { cookie, body: { kind: 'path', value: '/Admin/' } })).json.rules[1].value, '/Admin');
  assert.equal((await call('DELETE', path, { cookie, body: { kind: 'path', value: '/nosuch' } })).status, 404);
  assert.deepEqual((await call('DELETE', path, { cookie, body: { kind: 'path', value: '/Admin' } })).json.rules, added.json.rules);
  assert.equal((await call('POST', path, { cookie, body: { kind: 'path', value: '/app/#/users/*' } })).json.rules[1].value, '/app/#/users/*');
  assert.equal((await call('POST', path, { cookie, body: { kind: 'path', value: '/app?x' } })).status, 400);
  assert.deepEqual((await call('DELETE', path, { cookie, body: { kind: 'path', value: '/app/#/users/*' } })).json.rules, added.json.rules);
});

test('a rule or choice that is wrong is answered 400 with what is wrong, and nothing changes', async () => {
  const cookie = await login();
  const { property_id: id } = (await call('GET', '/api/me', { cookie })).json.sites.find((one) => one.domain === 'ruled.example');
  const path = `/api/sites/${id}/rules`;
  const before = (await call('GET', path, { cookie })).json;
  const wrong = [
    ['ip', '192.0.2.0/33', /not an address or network/], ['ip', 'localhost', /not an address/], ['country', 'Germany', /two letters/],
    ['origin', 'example.org', /not an origin/], ['origin', 'https://example.org/path', /not an origin/], ['path', 'admin', /not a path/],
    ['host', 'a/b', /not a host/], ['alias', 'no domain', /not a domain/], ['agent', ' ', /not empty/], ['agent', 'a\nb', /line breaks/],
    ['path', `/${'x'.repeat(500)}`, /500 bytes/], ['zone', 'x', /kind is/],
  ];
  for (const [kind, value, reason] of wrong) {
    const answer = await call('POST', path, { cookie, body: { kind, value } });
    assert.equal(answer.status, 400, `${kind} ${value}`);
    assert.match(answer.json.error, reason);
    assert.doesNotMatch(answer.json.error, /CONTEXT|PL\/pgSQL/);
  }
  for (const body of [{ bots: 'eat' }, { bots: 1 }, { honour_dnt: 'yes' }, { origin_required: 1 }, { counter: 'on' },
    { script: 'exit' }, { script: ['smell'] }, { script: [1] }, { script: ['exit', null] }, { script: Array(500).fill('exit') }])
    assert.equal((await call('PUT', path, { cookie, body })).status, 400, JSON.stringify(body));
  assert.deepEqual((await call('GET', path, { cookie })).json, before);
});

test('a host is one site\'s, and a site has 500 rules at most', async () => {
  const cookie = await login();
  const { property_id: id, site_id: number } = (await call('GET', '/api/me', { cookie })).json.sites.find((one) => one.domain === 'ruled.example');
  const path = `/api/sites/${id}/rules`;
  const other = (await call('POST', '/api/sites', { cookie, body: { domain: 'beside.example', timezone: 'UTC' } })).json;
  const alias = (value, to = path) => call('POST', to, { cookie, body: { kind: 'alias', value } });
  assert.equal((await alias('www.Further.example')).status, 201);
  assert.equal((await alias('further.example', `/api/sites/${other.property_id}/rules`)).status, 409);
  assert.equal((await alias('beside.example')).status, 409);
  const taken = await call('POST', '/api/sites', { cookie, body: { domain: 'further.example', timezone: 'UTC' } });
  assert.equal(taken.status, 409);
  for (const name of [other.property_id, other.property_id.toUpperCase(), `www.${other.property_id}`, '00000000-0000-0000-0000-000000000000']) {
    const answers = [await alias(name), await call('POST', '/api/sites', { cookie, body: { domain: name, timezone: 'UTC' } })];
    for (const answer of answers) {
      assert.equal(answer.status, 400, name);
      assert.match(answer.json.error, /is a property id, not a domain/);
    }
  }
  assert.equal((await alias(`a-${other.property_id}`)).status, 201, 'only its shape is refused');
  sql(`insert into site_rule select ${number}, 'agent', 'a' || n from generate_series(1, 497) n`);
  const full = await call('POST', path, { cookie, body: { kind: 'agent', value: 'one more' } });
  assert.equal(full.status, 400);
  assert.match(full.json.error, /500 rules/);
});

test('a viewer may not see the rules of a site, a stranger not even the site', async () => {
  const cookie = await login();
  const { property_id: id, site_id: number } = (await call('GET', '/api/me', { cookie })).json.sites.find((one) => one.domain === 'ruled.example');
  const path = `/api/sites/${id}/rules`;
  const tries = (headers) => Promise.all([call('GET', path, headers), call('PUT', path, { ...headers, body: { bots: 'mark' } }),
    call('POST', path, { ...headers, body: { kind: 'ip', value: '::/0' } }), call('DELETE', path, { ...headers, body: { kind: 'ip', value: '192.0.2.0/24' } })]);
  const statuses = async (headers) => [...new Set((await tries(headers)).map((answer) => answer.status))];
  assert.deepEqual(await statuses({}), [401]);
  sql(`update site_member set role = 'viewer' where site_id = ${number}`);
  assert.deepEqual(await statuses({ cookie }), [403]);
  sql(`delete from site_member where site_id = ${number}`);
  assert.deepEqual(await statuses({ cookie }), [404]);
  assert.equal((await call('GET', '/api/sites/nonsense/rules', { cookie })).status, 404);
  assert.equal((await call('GET', '/api/sites/nonsense', { cookie })).status, 404);
  const foreign = await call('POST', path, { cookie, body: { kind: 'ip', value: '::/0' }, headers: { Origin: 'https://evil.example' } });
  assert.equal(foreign.status, 403);
  assert.equal(sql(`select count(*) from site_rule where site_id = ${number} and kind = 'ip'`), '1');
});

test('it outlives a database that goes away, and its sessions do, too', async () => {
  const cookie = await login();
  await proxy.shut();
  assert.equal((await call('GET', '/api/me', { cookie })).status, 503);
  assert.equal((await call('GET', '/readyz', { to: adminPort })).status, 503);
  await proxy.open();
  await until(isReady, 'recovery');
  assert.equal((await call('GET', '/api/me', { cookie })).status, 200);
  assert.match(console_.log, /does not answer[^]*answers again/);
});

test('no secret is in its log', () => {
  assert.doesNotMatch(console_.log, new RegExp(PASSWORD));
  assert.doesNotMatch(console_.log, /198\.51\.100\.1|203\.0\.113/);
});

test('SIGTERM ends it with exit code 0', async () => {
  console_.kill('SIGTERM');
  const [code, signal] = await once(console_, 'exit');
  assert.equal(signal, null);
  assert.equal(code, 0);
});
