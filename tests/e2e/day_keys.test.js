// The end of a day key, and that no address is anywhere in the clear: looked for in every file of a stack.
// The clock that a key is measured by is the database's: it is moved by making a key due.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { zoneOfNoon } from '../parts/parts.js';
import { AGENT, request, run, startStack, waitFor } from './harness.js';

const V4 = '81.2.69.142', V6 = '2001:67c:2e8:25::c100:b9d', PEER = '127.77.88.99'; // the first two have countries
const SWEEP = { timeout: 90000 }; // the console looks every 30 s

let stack, site, ingestKey, today, old;

before(async () => {
  stack = await startStack();
  await stack.account();
  site = await stack.site('example.org', zoneOfNoon());
  ingestKey = await stack.key('ingest');
  [[today, old]] = stack.sql('app', `select d, d - 40 from (select (now() at time zone '${zoneOfNoon()}')::date as d) t`);
});
after(() => stack?.remove());

// --- what is sent, and what became of it -----------------------------------------------------------

const visit = (page, address = V4) => stack.event({ n: 'pageview', u: `https://example.org${page}`, d: site.property_id }, { 'X-Forwarded-For': address });

const send = (events) => request(`${stack.url}/api/v1/events`, { method: 'POST', headers: { Authorization: `Bearer ${ingestKey}` }, body: JSON.stringify(events) });
const server = (page, more = {}) => ({ name: 'pageview', url: page, domain: 'example.org', ip: V4, user_agent: AGENT, ...more });
const onOldDate = (page) => server(page, { timestamp: `${old}T12:00:00Z` });

// The visitor and country of a page's one event.
async function stored(page) {
  const [row] = await waitFor(() => {
    const rows = stack.sql('metrics', `select e.visitor, coalesce(c.value, '') from event e join string p on p.site_id = e.site_id and p.id = e.page
      left join string c on c.site_id = e.site_id and c.id = e.country where p.value = '${page}'`);
    return rows.length && rows;
  }, `the event of ${page}`, { timeout: 60000 });
  return { visitor: row[0], country: row[1] ?? '' };
}

async function taken(page, how = visit) {
  const answer = await how(page);
  assert.equal(answer.status, 202, answer.text);
  return stored(page);
}

async function takenOnOldDate(page) {
  await waitFor(async () => (await send([onOldDate(page)])).status === 200, `${page} is taken`);
  return stored(page);
}

// --- processes -------------------------------------------------------------------------------------

const pidOf = (name) => stack.pids().find((one) => one.name === name).pid;

async function startAgain(name) {
  const pid = pidOf(name);
  process.kill(pid, 'SIGKILL');
  await waitFor(() => pidOf(name) !== pid, `${name} is started again`);
}

// --- keys ------------------------------------------------------------------------------------------

const keyOf = (date) => Buffer.from(stack.sql('app', `select encode(key, 'hex') from day_key where date = '${date}' and destroy_after > now()`)[0][0], 'hex');
const due = () => Number(stack.sql('app', 'select count(*) from day_key where destroy_after <= now()')[0][0]);
const makeDue = (...dates) => stack.sql('app', `update day_key set destroy_after = now() where date in (${dates.map((date) => `'${date}'`)})`);

// A session that stays open with what it has said, at most until the test ends.
async function session(t, database, text) {
  const conninfo = fs.readFileSync(path.join(stack.home, 'secrets', `owner.${database}`), 'utf8').trim();
  const psql = spawn('psql', ['-XAtq', conninfo], { stdio: ['pipe', 'pipe', 'inherit'] });
  t.after(() => psql.kill());
  psql.stdin.write(`${text}; select 'done';\n`);
  let said = '';
  psql.stdout.on('data', (bytes) => { said += bytes; });
  await waitFor(() => said.includes('done'), 'the session is there');
  return { end: () => { psql.stdin.end(); return once(psql, 'exit'); } };
}

const superuser = async (text) => {
  const password = fs.readFileSync(path.join(stack.home, 'secrets/superuser'), 'utf8').trim();
  const { code, stderr } = await run('psql', ['-Xq', '-v', 'ON_ERROR_STOP=1', `host=127.0.0.1 port=${stack.port + 44} user=postgres password=${password} dbname=footfall_app`, '-c', text]);
  assert.equal(code, 0, stderr);
};

async function dump(database, ...more) {
  const conninfo = fs.readFileSync(path.join(stack.home, 'secrets', `owner.${database}`), 'utf8').trim();
  const { code, stdout, stderr } = await run('pg_dump', [...more, conninfo]);
  assert.equal(code, 0, stderr);
  return Buffer.from(stdout);
}

// --- looking for bytes -----------------------------------------------------------------------------

// Bytes as they are, and as text: hex, and base64 wherever in a longer text they begin.
function formsOf(key) {
  const forms = [key, key.toString('hex'), key.toString('hex').toUpperCase()];
  for (const before of [0, 1, 2]) {
    const text = Buffer.concat([Buffer.alloc(before), key]).toString('base64').slice(before ? 4 : 0).replace(/.?=*$/, '');
    forms.push(text, text.replaceAll('+', '-').replaceAll('/', '_'));
  }
  return forms;
}

// PostgreSQL's inet and cidr begin with the family and the number of bits; a socket's address of an IPv4 client
// may be mapped.
const formsOfAddresses = [
  V4, '81.2.69.', Buffer.from([2, 32, 81, 2, 69, 142]), Buffer.from([2, 24, 81, 2, 69]), Buffer.from([255, 255, 81, 2, 69]), 'ffff510245',
  '2001:67c:2e8', '2001:067c:02e8', Buffer.from('2001067c02e8', 'hex'), '2001067c02e8',
  PEER, '127.77.88.', Buffer.from([2, 32, 127, 77, 88, 99]),
];

const holds = (bytes, forms) => forms.some((form) => bytes.includes(form));

// Files of the stack that hold one of them. What goes away meanwhile holds nothing.
function filesWith(forms, { wal = true } = {}) {
  const all = fs.readdirSync(stack.home, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile())
    .map((entry) => path.join(entry.path, entry.name)).filter((file) => wal || !file.includes('/pg_wal/'));
  assert.ok(all.length > 1000, `${all.length} files are a stack's`);
  return all.filter((file) => {
    try {
      return holds(fs.readFileSync(file), forms);
    } catch (error) {
      if (error.code !== 'ENOENT') throw error;
      return false;
    }
  }).map((file) => path.relative(stack.home, file).replace(/^pg\/base\/.*/, 'a table'));
}

// --- the tests -------------------------------------------------------------------------------------

test('a day key lies in its table and in the snapshot of the ingress and nowhere else, also after ANALYZE', async () => {
  assert.equal((await taken('/first')).country, 'GB');
  assert.notEqual((await taken('/sixth', (page) => visit(page, V6))).country, '');
  stack.sql('app', 'analyze');
  await superuser('checkpoint');
  assert.deepEqual(filesWith(formsOf(keyOf(today)), { wal: false }).sort(), ['a table', 'journal/snapshot.json']);
});

test('a dump has the keys unless it leaves out their table', async () => {
  const forms = formsOf(keyOf(today));
  assert.equal(holds(await dump('app'), forms), true, 'the search finds it');
  const backup = await dump('app', '--exclude-table-data=day_key');
  assert.equal(holds(backup, forms), false);
  assert.match(backup.toString(), /CREATE TABLE public\.day_key/);
});

test('who reads the table delays the end of its keys for seconds, and of two that would destroy them one does', async (t) => {
  await takenOnOldDate('/delay');
  const reader = await session(t, 'app', "begin; select date from day_key where date < '1970-01-01'");
  makeDue(old);
  assert.throws(() => stack.sql('app', 'select day_key_destroy()', 'console'), (error) => /lock timeout/.test(String(error.stderr)));
  assert.equal(due(), 1);
  await reader.end();
  const conninfo = fs.readFileSync(path.join(stack.home, 'secrets/console.app'), 'utf8').trim();
  const tries = await Promise.all([1, 2].map(() => run('psql', ['-XAtq', conninfo, '-c', 'select day_key_destroy()'])));
  assert.ok(tries.every(({ code }) => code === 0), tries.map(({ stderr }) => stderr).join());
  // It may have been the console itself.
  assert.ok(tries.reduce((sum, { stdout }) => sum + Number(stdout), 0) <= 1);
  await waitFor(() => due() === 0, 'it is destroyed', SWEEP);
});

test('a key that is due is in no file but pg_wal once the console has looked, and what was sealed with it is counted without a place', async (t) => {
  for (const name of ['ingress-0', 'worker-0']) await startAgain(name); // both know the old date's last key, by the clock that was not moved
  const before = { today: await waitFor(async () => (await visit('/before')).status === 202, 'the ingress is back') && await stored('/before'), old: await takenOnOldDate('/old-before') };
  assert.deepEqual([before.today.country, before.old.country], ['GB', 'GB']);
  const keys = [keyOf(today), keyOf(old)], forms = keys.flatMap(formsOf);
  await superuser('checkpoint');
  assert.deepEqual(filesWith(formsOf(keys[0]), { wal: false }).sort(), ['a table', 'journal/snapshot.json']);
  assert.deepEqual(filesWith(formsOf(keys[1]), { wal: false }).sort(), ['a table']);

  // Two events are accepted and not yet applied.
  const worker = pidOf('worker-0');
  process.kill(worker, 'SIGSTOP');
  t.after(() => { try { process.kill(worker, 'SIGCONT'); } catch { /* it was started again */ } });
  assert.equal((await visit('/late')).status, 202);
  assert.equal((await send([onOldDate('/old-late')])).json.accepted, 1);
  // An older transaction could still see what is deleted now.
  const older = await session(t, 'app', 'begin isolation level repeatable read; select count(*) from site');
  makeDue(today, old);
  await waitFor(() => due() === 0, 'the keys are destroyed', SWEEP);
  // Without a checkpoint; and the ingress takes a snapshot every few seconds.
  await waitFor(() => !filesWith(forms, { wal: false }).length, 'they are in no file', { timeout: 30000, every: 500 });
  await older.end();
  await superuser('checkpoint');
  assert.deepEqual(filesWith(forms, { wal: false }), []);
  for (const database of ['app', 'metrics']) assert.equal(holds(await dump(database), forms), false, database);

  await startAgain('worker-0');
  for (const [page, known] of [['/late', before.today], ['/old-late', before.old]])
    assert.deepEqual(await stored(page), { visitor: known.visitor, country: '' }, page);
});

test('events of a date whose key was destroyed are taken under a new one, and their visitors cannot be linked to the earlier', async () => {
  const [earlier, oldEarlier] = [await stored('/before'), await stored('/old-before')];
  await startAgain('ingress-0'); // it may use a key of which it was not told for half an hour
  await waitFor(async () => (await visit('/after')).status === 202, 'the ingress is back');
  const [later, oldLater] = [await stored('/after'), await takenOnOldDate('/old-after')];
  assert.notEqual(later.visitor, earlier.visitor);
  assert.notEqual(oldLater.visitor, oldEarlier.visitor);
  assert.equal(oldLater.country, 'GB');
});

test('with no key to be had the ingress answers 503 and keeps nothing', async () => {
  const older = server('/no-key', { timestamp: `${old.slice(0, 4) - 2}-05-05T12:00:00Z`, id: 'no-key' });
  stack.sql('app', 'revoke execute on function day_key_for from footfall_ingress');
  const answer = await send([older]);
  stack.sql('app', 'grant execute on function day_key_for to footfall_ingress');
  assert.equal(answer.status, 503);
  assert.ok(Number(answer.headers['retry-after']) > 0);
  await waitFor(async () => (await send([older])).status === 200, 'it is taken when there is one');
  await stored('/no-key');
});

test('no table, log or file holds an address in the clear or its prefix, pg_wal included', async () => {
  // All that knows of addresses: what is refused, set aside, imported, and what a door says that has nobody behind it.
  const bad = await send([server('/bad', { ip: `${V4}x` }), server('/bad', { ip: V6, timestamp: 'never' })]);
  assert.deepEqual([bad.status, bad.json.rejected], [200, 2]);
  assert.equal((await request(`${stack.url}/api/login`, { method: 'POST', headers: { 'Content-Type': 'application/json', 'X-Forwarded-For': V6 }, body: JSON.stringify({ email: 'owner@example.org', password: 'wrong password' }) })).status, 401);
  stack.sql('metrics', "create function refuse() returns trigger language plpgsql as $$ begin if new.value = '/aside' then raise exception 'refused' using errcode = '22023'; end if; return new; end $$; create trigger refuse before insert on string for each row execute function refuse()");
  assert.equal((await visit('/aside')).status, 202);
  await waitFor(() => stack.sql('metrics', 'select count(*) from dead_letter')[0][0] === '1', 'one is set aside');
  const log = path.join(stack.home, '..', `${path.basename(stack.home)}.access.log`);
  const line = (address, rest) => `${address} - - [05/Jan/2026:12:00:00 +0000] ${rest}\n`;
  fs.writeFileSync(log, line(V4, `"GET /imported HTTP/1.1" 200 5 "-" "${AGENT}"`) + line(V6, `"GET /imported6 HTTP/1.1" 200 5 "-" "${AGENT}"`) + line(V4, 'rubbish'));
  const imported = await stack.footfallRaw(['log', 'import', log, '--site', site.property_id]);
  fs.rmSync(log);
  assert.equal(imported.code, 0, imported.stderr);
  await stored('/imported6');
  process.kill(pidOf('ingress-0'), 'SIGKILL');
  const status = await new Promise((resolve, reject) => {
    http.get(`${stack.url}/js/${site.property_id}.js`, { localAddress: PEER, family: 4, agent: false, headers: { 'X-Forwarded-For': V4 } }, (answer) => { answer.resume(); resolve(answer.statusCode); }).on('error', reject);
  });
  assert.equal(status, 503);
  await taken('/last', async (page) => waitFor(async () => { const answer = await visit(page, V6); return answer.status === 202 && answer; }, 'the ingress is back'));

  await superuser('checkpoint');
  assert.notDeepEqual(filesWith(['/imported6'], { wal: false }), [], 'the search finds what is there');
  assert.deepEqual(filesWith(formsOfAddresses), []);
  for (const database of ['app', 'metrics']) assert.equal(holds(await dump(database), formsOfAddresses), false, database);
});
