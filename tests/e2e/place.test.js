// Where visitors are: by the database that FOOTFALL_GEOIP_DB names, at the door of a real stack, while
// that file is replaced by good and bad ones; and by what a CDN says.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import http from 'node:http';
import os from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { AGENT, DATA, ROOT, startStack, waitFor } from './harness.js';

const GEOIP = path.join(DATA, 'geoip');
const NPM = path.join(ROOT, 'node_modules/@ip-location-db/geo-whois-asn-country-mmdb/geo-whois-asn-country.mmdb');
const KNOWN_TO_NPM = '193.0.6.139'; // NL there, and nowhere in MaxMind's test database

let stack, site, folder, database;

before(async () => {
  folder = fs.mkdtempSync(path.join(os.tmpdir(), 'footfall-place-'));
  fs.chmodSync(folder, 0o755); // as root, the stack runs as a user of its own
  database = path.join(folder, 'geo.mmdb');
  fs.copyFileSync(path.join(GEOIP, 'GeoIP2-City-Test.mmdb'), database);
  stack = await startStack({ FOOTFALL_GEOIP_DB: database, FOOTFALL_TRUSTED_PROXIES: '127.0.0.1/32,::1/128' });
  await stack.account();
  site = await stack.site('example.org');
});
after(async () => {
  await stack?.remove();
  fs.rmSync(folder, { recursive: true, force: true });
});

// A page view of page, from an address of ours, as whoever X-Forwarded-For says.
async function visit(page, headers, from = '127.0.0.1', more = {}) {
  const body = JSON.stringify({ n: 'pageview', u: `https://example.org${page}`, d: site.property_id, ...more });
  const status = await new Promise((resolve, reject) => {
    const options = { method: 'POST', localAddress: from, agent: false, headers: { 'User-Agent': AGENT, 'Content-Length': body.length, ...headers } };
    http.request(`http://127.0.0.1:${stack.port}/api/event`, options, (answer) => answer.resume().on('end', () => resolve(answer.statusCode)))
      .on('error', reject).end(body);
  });
  assert.equal(status, 202);
}

// What is derived of a place and has a column of event: all that the test compares. To be grown by a row
// when a column comes.
const COLUMNS = {
  country: (record) => record.country?.iso_code ?? '',
  region: ({ country, subdivisions: [region] = [] }) => (region?.iso_code ? `${country.iso_code}-${region.iso_code} ${region.names?.en ?? ''}` : ''),
  city: ({ city }) => (city ? `${city.geoname_id ?? ''} ${city.names?.en ?? ''}` : ''),
};

// Page → what its one event has in these columns, of all pages under a prefix.
function stored(prefix) {
  const names = Object.keys(COLUMNS);
  const rows = stack.sql('metrics', `select p.value, ${names.map((name) => `coalesce(${name}_text.value, '')`).join(', ')}
    from event e join string p on p.site_id = e.site_id and p.id = e.page
    ${names.map((name) => `left join string ${name}_text on ${name}_text.site_id = e.site_id and ${name}_text.id = e.${name}`).join('\n')}
    where p.value like '${prefix}%'`);
  return new Map(rows.map(([page, ...values]) => [page, values]));
}

async function countryOf(page, headers, from) {
  await visit(page, headers, from);
  return (await waitFor(() => stored(page).get(page), `${page} in the tables`))[0];
}

// First and last address of a network; of ::a.b.c.d both as IPv6 and as IPv4.
function addresses(network) {
  const [base, bits] = network.split('/');
  const size = (base.includes(':') ? 128n : 32n) - BigInt(bits);
  const groups = [];
  if (base.includes('.')) {
    const v4 = base.replace('::', '').split('.').reduce((sum, part) => sum * 256n + BigInt(part), 0n);
    const dotted = (n) => [24n, 16n, 8n, 0n].map((shift) => (n >> shift) & 255n).join('.');
    for (const n of [v4, v4 + (1n << size) - 1n]) groups.push(dotted(n), `::${dotted(n)}`, `::ffff:${dotted(n)}`);
  } else {
    const [head, tail = ''] = base.split('::');
    const parts = (text) => text.split(':').filter(Boolean);
    const all = base.includes('::') ? [...parts(head), ...Array(8 - parts(head).length - parts(tail).length).fill('0'), ...parts(tail)] : parts(base);
    const v6 = all.reduce((sum, part) => sum * 65536n + BigInt(`0x${part}`), 0n);
    for (const n of [v6, v6 + (1n << size) - 1n]) groups.push(Array.from({ length: 8 }, (_, i) => ((n >> BigInt(112 - 16 * i)) & 65535n).toString(16)).join(':'));
  }
  return groups;
}

test('a visitor from each network of the database is where its source says, IPv4 and IPv6', async () => {
  const source = JSON.parse(fs.readFileSync(path.join(GEOIP, 'GeoIP2-City-Test.json'), 'utf8'));
  const expected = new Map();
  const visits = [];
  for (const [network, record] of source.flatMap(Object.entries))
    for (const address of addresses(network)) {
      const page = `/network/${visits.length}`;
      visits.push({ page, address });
      expected.set(page, Object.values(COLUMNS).map((of) => of(record)));
    }
  assert.ok(visits.length > 550);
  while (visits.length)
    await Promise.all(visits.splice(0, 16).map(({ page, address }) => visit(page, { 'X-Forwarded-For': address })));
  const found = await waitFor(() => {
    const pages = stored('/network/');
    return pages.size === expected.size && pages;
  }, 'all in the tables');
  for (const [page, want] of expected) assert.deepEqual(found.get(page), want, page);
});

const log = () => fs.readFileSync(path.join(stack.home, 'log/worker-0.log'), 'utf8').split('\n').filter(Boolean)
  .map((line) => { try { return JSON.parse(line); } catch { return { msg: '' }; } });
const said = (text) => log().filter(({ msg }) => msg?.startsWith('place:') && msg.includes(text));

test('a new database is picked up without a restart, by rename and written over', async () => {
  assert.equal(await countryOf('/before', { 'X-Forwarded-For': KNOWN_TO_NPM }), '');
  fs.copyFileSync(NPM, `${database}.new`);
  fs.renameSync(`${database}.new`, database);
  await waitFor(() => said('a new file is in use').length === 1, 'the worker to say that it has it');
  assert.equal(await countryOf('/renamed', { 'X-Forwarded-For': KNOWN_TO_NPM }), 'NL');
  fs.copyFileSync(path.join(GEOIP, 'GeoIP2-Country-Test.mmdb'), database);
  await waitFor(() => said('a new file is in use').length === 2, 'the worker to say that it has it');
  assert.equal(await countryOf('/written', { 'X-Forwarded-For': KNOWN_TO_NPM }), '');
  assert.equal(await countryOf('/written/gb', { 'X-Forwarded-For': '81.2.69.142' }), 'GB');
});

test('a bad file gives one clear error, and the last good one stays in use', async () => {
  const bad = {
    damaged: () => fs.copyFileSync(path.join(GEOIP, 'GeoIP2-City-Test-Broken-Double-Format.mmdb'), database),
    miscounted: () => fs.copyFileSync(path.join(GEOIP, 'GeoIP2-City-Test-Invalid-Node-Count.mmdb'), database),
    truncated: () => fs.truncateSync(database, 10000),
    empty: () => fs.truncateSync(database, 0),
    directory: () => { fs.rmSync(database); fs.mkdirSync(database); },
  };
  const { pid } = stack.pids().find(({ name }) => name === 'worker-0');
  let errors = said('the last good one stays').length;
  for (const [name, make] of Object.entries(bad)) {
    make();
    await waitFor(() => said('the last good one stays').length > errors, `the error of the ${name} file`);
    assert.equal(await countryOf(`/${name}`, { 'X-Forwarded-For': '81.2.69.142' }), 'GB');
    const all = said('the last good one stays');
    assert.equal(all.length, ++errors, name);
    assert.equal(all.at(-1).level, 'error');
    assert.ok(all.at(-1).msg.includes(database), all.at(-1).msg);
  }
  assert.equal(stack.pids().find(({ name }) => name === 'worker-0').pid, pid, 'the worker is the same');
  fs.rmdirSync(database);
  fs.copyFileSync(NPM, database);
  await waitFor(async () => said('a new file is in use').length === 3, 'the good file to be in use');
  assert.equal(await countryOf('/mended', { 'X-Forwarded-For': KNOWN_TO_NPM }), 'NL');
});

test('a CDN behind trusted proxies is believed, and nobody else', async () => {
  const client = { 'X-Forwarded-For': KNOWN_TO_NPM };
  for (const [name, value, want] of [['CF-IPCountry', 'FR', 'FR'], ['CloudFront-Viewer-Country', 'JP', 'JP'], ['x-vercel-ip-country', 'BR', 'BR'],
    ['CF-IPCountry', 'XX', 'NL'], ['CF-IPCountry', 'T1', 'NL'], ['CF-IPCountry', '<b>', 'NL']])
    assert.equal(await countryOf(`/cdn/${name}/${encodeURIComponent(value).toLowerCase()}`.replaceAll('%', '-'), { ...client, [name]: value }), want, `${name}: ${value}`);
  // The door takes this one from 127.0.0.2, which is no proxy of ours, and hands its headers on.
  assert.equal(await countryOf('/cdn/stranger', { ...client, 'CF-IPCountry': 'FR' }, '127.0.0.2'), '');
});

test("a visitor's language is the script's word, else what Accept-Language likes best", async () => {
  const liked = { 'Accept-Language': 'en;q=0.5, it, *;q=0.1' };
  await visit('/language/header', liked);
  await visit('/language/script', liked, undefined, { l: 'fr' });
  await visit('/language/rubbish', liked, undefined, { l: '<b>' });
  const languages = () => Object.fromEntries(stack.sql('metrics', `select p.value, l.value from event e
    join string p on p.site_id = e.site_id and p.id = e.page join string l on l.site_id = e.site_id and l.id = e.language
    where p.value like '/language/%'`));
  await waitFor(() => Object.keys(languages()).length === 3, 'all three in the tables');
  assert.deepEqual(languages(), { '/language/header': 'it', '/language/script': 'fr', '/language/rubbish': 'it' });
});
