// `footfall log import` of a real site's log through a real stack, against awk over the same file.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import zlib from 'node:zlib';
import { DATA, note, ROOT, startStack, waitFor } from './harness.js';

const LOG = path.join(DATA, 'logs/apache_combined_10k.log');
let stack, site, key, folder, growing;

before(async () => {
  stack = await startStack({ FOOTFALL_INGRESSES: '2', FOOTFALL_WORKERS: '2' });
  await stack.account();
  site = await stack.site('semicomplete.com', 'UTC');
  key = await stack.key('stats');
  folder = fs.mkdtempSync(path.join(os.tmpdir(), 'footfall-log-'));
  growing = path.join(folder, 'access.log');
  fs.copyFileSync(LOG, growing);
});
after(async () => {
  await stack?.remove();
  if (folder) fs.rmSync(folder, { recursive: true, force: true });
});

const importLog = (file) => stack.footfall(['log', 'import', file, '--site', site.property_id]);
// Bots are counted, too, where nothing else is said.
const ask = (more) => stack.query(key, { site_id: site.property_id, date_range: ['2015-05-01', '2015-05-31'], include: { bots: true }, ...more });
const table = (results) => results.map((row) => [...row.dimensions, ...row.metrics]);

// The same by awk alone: GET, 2xx or 304, and not a file by its ending; what is no page is what
// services/cli/README.md says. Prints day, address, path and agent of each page request.
const AWK = String.raw`
{
  split($0, q, "\"")
  split(q[2], request, " ")
  split(q[3], answer, " ")
  if (request[1] != "GET" || (answer[1] !~ /^2/ && answer[1] != "304")) next
  path = request[2]
  sub(/[?#].*/, "", path)
  file = path
  sub(/;.*/, "", file)
  if (tolower(file) ~ ENDINGS) next
  split($4, t, /[\[:\/]/)
  day = t[4] "-05-" t[2]
  print day "\t" $1 "\t" path "\t" q[6]
}`;

// The endings that are no pages, as the command documents them.
function endings() {
  const text = fs.readFileSync(path.join(ROOT, 'services/cli/README.md'), 'utf8');
  const rows = text.slice(text.indexOf('| kind | extensions |')).split('\n\n')[0];
  const listed = [...rows.matchAll(/`([a-z0-9]+)`/g)].map((hit) => hit[1]);
  assert.ok(listed.length > 50);
  return listed;
}

function requests() {
  const script = AWK.replace('ENDINGS', `/\\.(${endings().join('|')})$/`);
  return execFileSync('awk', [script, LOG], { maxBuffer: 64 << 20 }).toString().trim().split('\n').map((line) => {
    const [day, address, page, agent] = line.split('\t');
    return { day, visitor: `${address}\t${agent}`, page };
  });
}

function countBy(rows, key_, value) {
  const sets = new Map();
  rows.forEach((row, n) => {
    const name = key_(row);
    if (!sets.has(name)) sets.set(name, new Set());
    sets.get(name).add(value ? value(row) : n);
  });
  return [...sets].map(([name, set]) => [name, set.size]);
}

// A page's name as proto/event.md cleans it.
const cleaned = (page) => {
  let text = page;
  try { text = decodeURIComponent(page); } catch { /* stays as it was sent */ }
  return text.replace(/(.)\/+$/, '$1').replace(/^\/+$/, '/');
};

let expected;

test('totals per day, visitors per day and the top ten pages equal those of awk', async () => {
  expected = requests();
  assert.ok(expected.length > 1000);
  const report = await importLog(growing);
  assert.equal(report.imported, expected.length, JSON.stringify(report));
  await waitFor(() => stack.events(site) === expected.length, 'all in the tables', { timeout: 60000 });
  const days = countBy(expected, (row) => row.day).sort();
  assert.deepEqual(table(await ask({ metrics: ['pageviews'], dimensions: ['time:day'], order_by: [['time:day', 'asc']] })), days);
  const visitors = countBy(expected, (row) => row.day, (row) => row.visitor).sort();
  assert.deepEqual(table(await ask({ metrics: ['visitors'], dimensions: ['time:day'], order_by: [['time:day', 'asc']] })), visitors);
  assert.deepEqual(table(await ask({ metrics: ['visitors'] })), [[visitors.reduce((sum, [, n]) => sum + n, 0)]]);
  const pages = countBy(expected, (row) => cleaned(row.page)).sort((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1));
  const top = table(await ask({ metrics: ['pageviews'], dimensions: ['event:page'], order_by: [['pageviews', 'desc'], ['event:page', 'asc']], pagination: { limit: 10 } }));
  assert.deepEqual(top.map(([, n]) => n), pages.slice(0, 10).map(([, n]) => n));
  for (const [page, n] of top) assert.equal(pages.find(([name]) => name === page)?.[1], n, page);
});

test('with bots left out, the page views equal those of awk with the same list', async () => {
  const [views, bots, spam, people] = execFileSync(path.join(ROOT, 'tests/parts/human_views'), [LOG,
    path.join(ROOT, 'node_modules/crawler-user-agents/crawler-user-agents.json'), path.join(ROOT, 'deploy/lists/spammers.txt')]).toString().trim().split(' ').map(Number);
  note(`${views} page views: ${bots} of bots, ${spam} of spammers, ${people} of people`);
  assert.ok(bots > 500);
  assert.deepEqual(table(await ask({ metrics: ['pageviews'] })), [[views]]);
  const reads = { rollups: [], visits: ['visit:os_version'], events: ['event:hostname'] };
  for (const [what, dimensions] of Object.entries(reads)) {
    const rows = table(await ask({ metrics: ['pageviews'], dimensions, include: {} }));
    assert.equal(rows.reduce((sum, row) => sum + row.at(-1), 0), people, `from ${what}`);
  }
});

test('the same file again changes nothing, and says so', async () => {
  const report = await importLog(growing);
  assert.equal(report.imported, 0);
  assert.match((await stack.footfallRaw(['log', 'import', growing, '--site', site.property_id])).stdout, /nothing new/);
  assert.equal(stack.events(site), expected.length);
});

test('the same file compressed is the same file', async () => {
  const packed = path.join(folder, 'access.log.gz');
  fs.writeFileSync(packed, zlib.gzipSync(fs.readFileSync(growing)));
  assert.equal((await importLog(packed)).imported, 0);
});

test('of a grown file only the new lines are added', async () => {
  const lines = fs.readFileSync(LOG, 'latin1').trimEnd().split('\n').slice(0, 100);
  fs.appendFileSync(growing, `${lines.join('\n')}\n`, 'latin1'); // identical lines, other offsets
  const report = await importLog(growing);
  const script = AWK.replace('ENDINGS', `/\\.(${endings().join('|')})$/`);
  const added = execFileSync('awk', [script], { input: `${lines.join('\n')}\n` }).toString().trim().split('\n').length;
  assert.equal(report.imported, added);
  await waitFor(() => stack.events(site) === expected.length + added, 'these are added');
});

test('an import whose ledger was not written after the answer counts nothing twice', async () => {
  const ledger = path.join(stack.home, 'ledger', `${site.property_id}.json`);
  const count = stack.events(site);
  const text = fs.readFileSync(ledger, 'utf8');
  // As if the process had died before each of its writes but the first.
  fs.writeFileSync(ledger, text.replace(/("offset": ?)\d+/g, '$10').replace(/("lines": ?)\d+/g, '$10'));
  const report = await importLog(growing);
  assert.ok(report.imported > 1000, JSON.stringify(report));
  await waitFor(() => stack.sql('metrics', 'select count(*) from applied')[0][0] === '0', 'all is applied');
  assert.equal(stack.events(site), count);
});

test('after all this each service holds less than 30 MB in memory', () => {
  const most = 30 * 1000 * 1000;
  const used = stack.pids().filter(({ name }) => !['postgres', 'door'].includes(name)).map(({ name, pid }) => {
    const text = fs.readFileSync(`/proc/${pid}/status`, 'utf8');
    const kib = (field) => Number(text.match(new RegExp(`^${field}:\\s+(\\d+) kB`, 'm'))[1]);
    return { name, rss: kib('VmRSS'), anon: kib('RssAnon'), peak: kib('VmHWM') };
  });
  for (const { name, rss, anon, peak } of used) note(`${name}: VmRSS ${rss} KiB, RssAnon ${anon} KiB, VmHWM ${peak} KiB`);
  assert.equal(used.length, 6);
  for (const { name, rss } of used) assert.ok(rss * 1024 < most, `${name} holds ${rss} KiB`);
});
