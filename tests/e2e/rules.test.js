// What a site takes and what it refuses, through the door: each rule by itself, what the answer says of it, and
// what is counted.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { AGENT, request, startStack, waitFor } from './harness.js';

const GB = '81.2.69.142'; // with the default database, as tests of places say
const US = '8.8.8.8';

let stack, ingest, number = 0;
before(async () => {
  stack = await startStack({ FOOTFALL_INGRESSES: '2', FOOTFALL_WORKERS: '2' });
  await stack.account();
  ingest = await stack.key('ingest');
});
after(() => stack?.remove());

// A site of its own, with rules as [kind, value] and flags, that the ingresses know of.
async function siteWith(rules, flags = {}) {
  const site = await stack.site(`s${++number}.example`);
  const set = Object.entries(flags).map(([name, value]) => `p_${name} => '${value}'`);
  const statements = rules.map(([kind, value]) => `select from site_rule_add(${site.site_id}, '${kind}', '${value}');`);
  if (set.length) statements.push(`select from site_set('${site.domain}', ${set.join(', ')});`);
  stack.sql('app', statements.join('\n'));
  await known();
  return site;
}

// Both ingresses have taken a snapshot since: they know the site that is made last, which ingress it is by turns.
async function known() {
  const last = await stack.footfall(['site', 'add', `known${++number}.example`, '--owner', 'owner@example.org', '--timezone', 'UTC']);
  for (const n of [0, 1])
    await waitFor(async () => (await request(`http://127.0.0.1:${stack.port + 10 + n}/js/${last.property_id}.js`)).status === 200, `ingress ${n} knows`);
}

function send(site, { body = {}, headers = {}, address = GB } = {}) {
  return stack.event({ n: 'pageview', u: `https://${site.domain}/page`, d: site.property_id, ...body }, { 'X-Forwarded-For': address, ...headers });
}

const sums = (site) => Object.fromEntries(stack.sql('metrics', `select reason, sum(count) from dropped where site_id = ${site?.site_id ?? 0} group by reason`)
  .map(([reason, count]) => [reason, Number(count)]));
const counted = (site, reason, count) => waitFor(() => sums(site)[reason] === count, `${count} of ${reason} in the sums`);
const samples = (site) => stack.sql('metrics', `select reason, host, path, agent, referrer, origin from dropped_sample where site_id = ${site?.site_id ?? 0} order by ts`);

const COMPAT = 'Mozilla/5.0 (compatible; Examiner/2.1; +http://examiner.example/)';
const refusals = [
  ['an address', [['ip', GB]], {}, {}, 'ip', { address: US }],
  ['a network', [['ip', '81.2.69.0/24']], {}, {}, 'ip', { address: '81.2.70.1' }],
  ['an IPv6 network', [['ip', '2001:db8::/32']], {}, { address: '2001:db8:1::7' }, 'ip', { address: '2001:db9::1' }],
  ['a page host', [['host', '*.bad.example']], {}, { body: { u: 'https://x.bad.example/' } }, 'host', { body: { u: 'https://bad.example/' } }],
  ['a path', [['path', '/admin/']], {}, { body: { u: 'https://s.example/admin/?x=1' } }, 'path', { body: { u: 'https://s.example/admin/users' } }],
  ['a path pattern', [['path', '/admin/*']], {}, { body: { u: 'https://s.example/admin/a/b' } }, 'path', { body: { u: 'https://s.example/administrator' } }],
  ['a part of an agent, in any case', [['agent', 'EXAMINER/']], {}, { headers: { 'User-Agent': COMPAT } }, 'agent', {}],
  ['an agent pattern', [['agent', 'mozilla/*examiner*']], {}, { headers: { 'User-Agent': COMPAT } }, 'agent', { headers: { 'User-Agent': `x${COMPAT}` } }],
  ['an origin that is not listed', [['origin', 'https://ok.example']], {}, { headers: { Origin: 'https://evil.example' } }, 'origin', { headers: { Origin: 'https://ok.example' } }],
  ['another scheme of a listed origin', [['origin', 'https://ok.example']], {}, { headers: { Origin: 'http://ok.example' } }, 'origin', { headers: { Origin: 'https://OK.example' } }],
  ['another port of a listed origin', [['origin', 'https://ok.example:443']], {}, { headers: { Origin: 'https://ok.example:8443' } }, 'origin', { headers: { Origin: 'https://ok.example' } }],
  ['localhost, once an origin is listed', [['origin', 'https://*.ok.example']], {}, { headers: { Origin: 'http://localhost:3000' } }, 'origin', { headers: { Origin: 'https://a.ok.example' } }],
  ['a missing origin, where one is required', [['origin', 'https://ok.example']], { origin_required: true }, {}, 'no_origin', { headers: { Origin: 'https://ok.example' } }],
  ['a missing origin, where any will do', [], { origin_required: true }, {}, 'no_origin', { headers: { Origin: 'http://localhost:3000' } }],
  ['DNT, where it is honoured', [], { honour_dnt: true }, { headers: { DNT: '1' } }, 'opt_out', { headers: { DNT: '0' } }],
  ['Sec-GPC, where it is honoured', [], { honour_dnt: true }, { headers: { 'Sec-GPC': '1' } }, 'opt_out', {}],
  ['prefetching, where bots are refused', [], { bots: 'refuse' }, { headers: { 'Sec-Purpose': 'prefetch;prerender' } }, 'prefetch', {}],
  ['prefetching by older browsers', [], { bots: 'refuse' }, { headers: { 'X-Moz': 'prefetch' } }, 'prefetch', { headers: { Purpose: 'other' } }],
  ["the script's hint, where bots are refused", [], { bots: 'refuse' }, { body: { b: true } }, 'bot_hint', { body: { b: false } }],
  ['a crawler, where bots are refused', [], { bots: 'refuse' }, { headers: { 'User-Agent': 'Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)' } }, 'bot', {}],
  ['referrer spam, where bots are refused', [], { bots: 'refuse' }, { body: { r: 'https://www.semalt.com/x' } }, 'spam_referrer', { body: { r: 'https://semalt.example/' } }],
  ["GoatCounter's hint", [], { bots: 'refuse' }, { body: { b: 153 } }, 'bot_hint', { body: { b: 0 } }],
];

for (const [what, rules, flags, bad, reason, good] of refusals) {
  test(`refused and said: ${what}`, async () => {
    const site = await siteWith(rules, flags);
    const refused = await send(site, bad);
    assert.equal(refused.status, 202);
    assert.equal(refused.headers['x-footfall-dropped'], reason);
    assert.equal(refused.headers['x-plausible-dropped'], '1');
    assert.equal(refused.headers['access-control-allow-origin'], reason === 'origin' ? undefined : '*');
    assert.equal(refused.headers['access-control-allow-credentials'], undefined);
    const taken = await send(site, good);
    assert.equal(taken.status, 202);
    assert.equal(taken.headers['x-footfall-dropped'], undefined, 'what is just beside it is taken');
    assert.equal(taken.headers['access-control-allow-origin'], '*');
    await waitFor(() => stack.events(site) === 1, 'the one that was taken');
    await counted(site, reason, 1);
    assert.deepEqual(Object.keys(sums(site)), [reason]);
  });
}

test('with no rules every origin is taken, localhost and none, too, and what bots send is marked', async () => {
  const site = await siteWith([]);
  const ways = [{}, { headers: { Origin: 'http://localhost:8000' } }, { headers: { Origin: 'null' } }, { headers: { Origin: 'https://else.example' } },
    { headers: { DNT: '1', 'Sec-GPC': '1' } }, { headers: { 'Sec-Purpose': 'prefetch' } }, { body: { b: true } },
    { body: { r: 'https://semalt.com/' } }, { headers: { 'User-Agent': 'Googlebot/2.1' } }];
  for (const way of ways) {
    const answer = await send(site, way);
    assert.equal(answer.headers['x-footfall-dropped'], undefined, JSON.stringify(way));
    assert.equal(answer.headers['access-control-allow-origin'], '*');
  }
  await waitFor(() => stack.events(site) === ways.length, 'all of them');
  assert.deepEqual(sums(site), {});
  const bots = stack.sql('metrics', `select bot, count(*) from event where site_id = ${site.site_id} group by bot order by bot`);
  assert.deepEqual(bots, [['0', '5'], ['1', '1'], ['2', '1'], ['3', '1'], ['5', '1']]); // proto/event.md
});

test('what cannot be read is checked against the rules, too, by what is known of it', async () => {
  const site = await siteWith([['origin', 'https://ok.example'], ['ip', GB]], { honour_dnt: true });
  const open = await siteWith([]);
  const cases = [
    [{ headers: { Origin: 'https://evil.example' } }, 'origin', undefined],
    [{ headers: { Origin: 'https://evil.example' }, body: { d: `${open.domain},${site.domain}` } }, 'invalid, origin', undefined],
    [{ headers: { Origin: 'https://ok.example', DNT: '1' } }, 'opt_out', '*'],
    [{ headers: { Origin: 'https://ok.example' } }, 'ip', '*'],
    [{ headers: { Origin: 'https://ok.example' }, address: US }, 'invalid', '*'],
  ];
  for (const [way, reason, allowed] of cases) {
    for (const wrong of [{ u: 'nonsense' }, { n: 'x'.repeat(121) }, { id: 'x'.repeat(201) }]) {
      const answer = await send(site, { ...way, body: { ...way.body, ...wrong } });
      assert.equal(answer.status, 400, JSON.stringify(wrong));
      assert.equal(answer.headers['x-footfall-dropped'], reason);
      assert.equal(answer.headers['access-control-allow-origin'], allowed);
    }
  }
  await counted(site, 'origin', 6);
  await counted(site, 'invalid', 3);
  await counted(open, 'invalid', 3);
});

test('a preflight answers any origin, also one that is refused, and never with credentials', async () => {
  await siteWith([['origin', 'https://ok.example']]);
  const answer = await request(`${stack.url}/api/event`, { method: 'OPTIONS', headers: { Origin: 'https://evil.example', 'Access-Control-Request-Method': 'POST', 'Access-Control-Request-Headers': 'content-type' } });
  assert.equal(answer.status, 204);
  assert.equal(answer.headers['access-control-allow-origin'], '*');
  assert.equal(answer.headers['access-control-allow-credentials'], undefined);
});

test('a country is refused by the worker, which counts it; the answer cannot say so', async () => {
  const site = await siteWith([['country', 'gb']]);
  for (const address of [GB, GB, US]) assert.equal((await send(site, { address })).headers['x-footfall-dropped'], undefined);
  await counted(site, 'country', 2);
  await waitFor(() => stack.events(site) === 1, 'the other country');
  const [sample] = samples(site);
  assert.deepEqual(sample.slice(0, 4), ['country', site.domain, '/page', AGENT]);
});

test('a further host names the site, and a list of names is refused name by name', async () => {
  const site = await siteWith([['alias', 'WWW.further.example']]);
  const closed = await siteWith([['ip', '0.0.0.0/0']]);
  const name = 'further.example';
  assert.equal((await send(site, { body: { d: undefined, u: `https://${name}/` } })).headers['x-footfall-dropped'], undefined);
  const answer = await send(site, { body: { d: `${name},${closed.domain},nosuch.example` } });
  assert.equal(answer.headers['x-footfall-dropped'], 'unknown_site, ip');
  assert.equal(answer.headers['x-plausible-dropped'], '2');
  await waitFor(() => stack.events(site) === 2, 'both by the further host');
  await send(site, { body: { u: `https://${site.domain}/linked`, r: `https://${name}/from` } });
  await waitFor(() => stack.events(site) === 3, 'the third');
  assert.equal(stack.sql('metrics', `select count(*) from event where site_id = ${site.site_id} and source <> 0`)[0][0], '0', 'it is no source');
  await counted(closed, 'ip', 1);
});

test('a server is told of each event that the site refuses; rules about origins are not for it', async () => {
  const site = await siteWith([['ip', GB], ['path', '/private/*'], ['origin', 'https://ok.example']], { origin_required: true });
  const event = (more) => ({ name: 'pageview', url: '/page', property_id: site.property_id, user_agent: AGENT, ...more });
  const answer = await request(`${stack.url}/api/v1/events`, { method: 'POST', headers: { Authorization: `Bearer ${ingest}` },
    body: JSON.stringify([event({ ip: GB }), event({ ip: US }), event({ url: '/private/x' }), event({ url: 'nonsense' })]) });
  assert.equal(answer.status, 200);
  assert.equal(answer.headers['x-footfall-dropped'], 'invalid, ip, path');
  assert.deepEqual([answer.json.accepted, answer.json.dropped, answer.json.rejected, answer.json.unavailable], [1, 2, 1, 0]);
  assert.deepEqual(answer.json.results.map((one) => [one.index, one.status]), [[0, 'dropped'], [2, 'dropped'], [3, 'rejected']]);
  assert.match(answer.json.results[0].error, /\bip$/);
  await counted(site, 'ip', 1);
  await counted(site, 'invalid', 1);
  const refused = await request(`${stack.url}/api/v1/events`, { method: 'POST', headers: { Authorization: 'Bearer nonsense' }, body: '[]' });
  assert.equal(refused.status, 401);
  assert.equal(refused.headers['x-footfall-dropped'], 'key');
});

test('what is answered 503 is not counted: it is sent again', async () => {
  const site = await siteWith([['ip', GB]]);
  const event = (more) => ({ name: 'pageview', url: '/page', property_id: site.property_id, user_agent: AGENT, ...more });
  const call = (ingress) => request(`http://127.0.0.1:${stack.port + 10 + ingress}/api/v1/events`, { method: 'POST', headers: { Authorization: `Bearer ${ingest}` },
    body: JSON.stringify([event({ ip: GB }), event({ ip: GB }), event({ ip: US, timestamp: '2019-07-01T12:00:00Z' })]) });
  stack.sql('app', 'alter function day_key_for(date) rename to day_key_away'); // no key of a past day is to be had
  for (const ingress of [0, 1]) {
    const answer = await call(ingress);
    assert.equal(answer.status, 503);
    assert.equal(answer.headers['x-footfall-dropped'], undefined);
  }
  stack.sql('app', 'alter function day_key_away(date) rename to day_key_for');
  const answer = await waitFor(async () => {
    const now = await call(0);
    return now.status === 200 && now;
  }, 'keys again');
  assert.deepEqual([answer.json.accepted, answer.json.dropped], [1, 2]);
  await call(1).then((one) => assert.equal(one.status, 200));
  await waitFor(() => (sums(site).ip ?? 0) >= 4, 'the sums');
  assert.equal(sums(site).ip, 4);
  const recent = await Promise.all([0, 1].map((n) => request(`http://127.0.0.1:${stack.port + 50 + n}/recent?site=${site.site_id}`)));
  assert.deepEqual(recent.map((one) => one.json.map((of) => of.reason)), [[undefined, 'ip', 'ip'], [undefined, 'ip', 'ip']], 'the latest first');
});

test('a body that is too large is counted as invalid, and said', async () => {
  const before = sums().invalid ?? 0;
  for (const [path, size, headers] of [['/api/event', (64 << 10) + 1, {}], ['/api/v1/events', (2 << 20) + 1, { Authorization: `Bearer ${ingest}` }]]) {
    const answer = await request(`http://127.0.0.1:${stack.port + 10}${path}`, { method: 'POST', headers, body: 'x'.repeat(size) });
    assert.equal(answer.status, 413);
    assert.equal(answer.headers['x-footfall-dropped'], 'invalid', path);
  }
  await waitFor(() => sums().invalid >= before + 2, 'both are counted');
});

test('what is of no site, and what cannot be read, is counted, too', async () => {
  const site = await siteWith([]);
  const before = sums()?.unknown_site ?? 0;
  const answer = await send(site, { body: { d: 'nosuch.example' } });
  assert.equal(answer.headers['x-footfall-dropped'], 'unknown_site');
  assert.equal((await send(site, { body: { u: 'nonsense' } })).status, 400);
  await counted(site, 'invalid', 1);
  await waitFor(() => sums().unknown_site > before, 'those of no site');
  for (const [, , page, , referrer] of samples()) assert.deepEqual([page, referrer], ['', ''], 'pages of no site are not kept');
});

test('samples, at most one a second, say what it was, and hold no address', async () => {
  const site = await siteWith([['path', '/sampled']]);
  const headers = { Origin: 'https://o.example', 'User-Agent': 'Sampled/1.0' };
  const body = { u: `https://${site.domain}/sampled?q=1`, r: 'https://ref.example/from?secret=1' };
  for (let i = 0; i < 40; i++) assert.equal((await send(site, { headers, body })).headers['x-footfall-dropped'], 'path');
  await counted(site, 'path', 40);
  const rows = samples(site);
  const seconds = Number(stack.sql('metrics', `select extract(epoch from max(ts) - min(ts)) + 1 from dropped_sample where site_id = ${site.site_id}`)[0][0]);
  assert.ok(rows.length >= 1 && rows.length <= seconds, `${rows.length} in ${seconds} s`);
  for (const row of rows) assert.deepEqual(row, ['path', site.domain, '/sampled', 'Sampled/1.0', 'https://ref.example/from', 'https://o.example']);
  const text = stack.sql('metrics', 'select s::text from dropped_sample s').join('\n');
  assert.ok(!text.includes(GB) && !text.includes('secret'));
  assert.equal(stack.events(site), 0, 'refused traffic is no event');
  assert.equal(stack.sql('metrics', `select count(*) from event where kind > 7`)[0][0], '0');
});

test('of who opted out there is no sample, of a refused address one without path, referrer and agent', async () => {
  const site = await siteWith([['ip', GB]], { honour_dnt: true });
  const body = { u: `https://${site.domain}/secret`, r: 'https://ref.example/secret' };
  assert.equal((await send(site, { body, headers: { DNT: '1' } })).headers['x-footfall-dropped'], 'opt_out');
  await counted(site, 'opt_out', 1);
  assert.deepEqual(samples(site), []);
  assert.equal((await send(site, { body, headers: { Origin: 'https://o.example' } })).headers['x-footfall-dropped'], 'ip');
  await counted(site, 'ip', 1);
  assert.deepEqual(samples(site), [['ip', site.domain, '', '', '', 'https://o.example']]);
});

test('sums are counted exactly once, whatever happens to the ingresses', async () => {
  const site = await siteWith([['ip', GB]]);
  const pid = (name) => stack.pids().find((one) => one.name === name)?.pid;
  let refused = 0;
  const some = async (count) => {
    for (let i = 0; i < count; i++) {
      const answer = await send(site).catch(() => undefined);
      if (answer?.headers['x-footfall-dropped'] === 'ip') refused++;
    }
  };
  await some(30);
  for (const name of ['ingress-0', 'ingress-1']) { // an orderly end puts what has gathered into the journal
    const old = pid(name);
    process.kill(old, 'SIGTERM');
    await waitFor(() => pid(name) !== old, `${name} again`);
    await waitFor(async () => (await request(`http://127.0.0.1:${stack.port + 50 + Number(name.at(-1))}/readyz`)).status === 200, `${name} is ready`);
    await some(10);
  }
  await counted(site, 'ip', refused);
  for (const name of ['worker-0', 'worker-1']) process.kill(pid(name), 'SIGSTOP');
  await some(20);
  const flushed = async () => Promise.all([0, 1].map(async (n) => Number((await request(`http://127.0.0.1:${stack.port + 50 + n}/metrics`)).text.match(/journal_entries_total (\d+)/)[1])));
  const entries = await flushed();
  await waitFor(async () => (await flushed()).every((now, n) => now > entries[n]), 'both have put their sums into the journal', { timeout: 15000 });
  for (const name of ['ingress-0', 'ingress-1']) {
    const old = pid(name);
    process.kill(old, 'SIGKILL'); // what was in the journal is sent again
    await waitFor(() => pid(name) !== old, `${name} again`);
  }
  for (const name of ['worker-0', 'worker-1']) process.kill(pid(name), 'SIGCONT');
  await counted(site, 'ip', refused);
  await waitFor(() => stack.sql('metrics', 'select count(*) from applied')[0][0] === '0', 'nothing is to come');
  assert.equal(sums(site).ip, refused);
});

test('the command line sets rules and choices, shows what was refused, and says what is wrong', async () => {
  const { domain, property_id, site_id } = await stack.site('typed.example');
  const footfall = (...args) => stack.footfall(args);
  assert.deepEqual(await footfall('site', 'rule', 'add', domain, 'ip', '192.0.2.9/24'), { site_id, kind: 'ip', value: '192.0.2.0/24' });
  await footfall('site', 'rule', 'add', property_id, 'path', '/admin/*');
  assert.deepEqual(await footfall('site', 'rule', 'list', `www.${domain}`), [{ kind: 'ip', value: '192.0.2.0/24' }, { kind: 'path', value: '/admin/*' }]);
  assert.deepEqual(await footfall('site', 'rule', 'remove', domain, 'ip', '192.0.2.0/24'), { removed: true });
  const set = await footfall('site', 'set', domain, '--bots', 'refuse', '--origin-required', 'yes', '--honour-dnt=yes');
  assert.deepEqual([set.bots, set.origin_required, set.honour_dnt], ['refuse', true, true]);
  await known();
  const answer = await send({ domain, property_id }, { body: { u: `https://${domain}/admin/x` }, headers: { Origin: 'https://x.example' } });
  assert.equal(answer.headers['x-footfall-dropped'], 'path');
  await counted({ site_id }, 'path', 1);
  const shown = await footfall('site', 'show', domain);
  assert.deepEqual([shown.bots, shown.rules, shown.dropped_30_days], ['refuse', 1, { path: 1 }]);
  const people = (await stack.footfallRaw(['site', 'show', domain])).stdout;
  assert.match(people, new RegExp(`dropped +1 in 30 days: path`));
  assert.ok(people.includes(`https://${domain}/#footfall-ignore`));
  for (const [args, code, reason] of [
    [['add', domain, 'ip', 'x'], 1, /not an address/], [['add', domain, 'path', '/admin/*'], 1, /already/], [['add', 'nosuch.example', 'ip', '::1'], 1, /no site/],
    [['remove', domain, 'ip', '::1'], 1, /no rule/], [['add', domain, 'ip'], 2, /VALUE is missing/], [['list'], 2, /missing/], [['add', domain, 'ip', '::1', 'x'], 2, /too many/],
  ]) {
    const done = await stack.footfallRaw(['site', 'rule', ...args]);
    assert.equal(done.code, code, args.join(' '));
    assert.match(done.stderr, reason);
    assert.equal(done.stderr.trim().split('\n').length, 1, done.stderr);
  }
  const bad = await stack.footfallRaw(['site', 'set', domain, '--honour-dnt', 'perhaps']);
  assert.deepEqual([bad.code, /yes or no/.test(bad.stderr)], [2, true]);
  for (const command of ['add', 'list', 'remove']) assert.equal((await stack.footfallRaw(['site', 'rule', command, '--help'])).code, 0);
});

test('a site that is removed takes its rules, its sums and its samples along', async () => {
  const site = await siteWith([['ip', GB]]);
  await send(site);
  await counted(site, 'ip', 1);
  await stack.footfall(['site', 'remove', site.domain, '--yes']);
  for (const [database, table] of [['app', 'site_rule'], ['metrics', 'dropped'], ['metrics', 'dropped_sample']])
    assert.equal(stack.sql(database, `select count(*) from ${table} where site_id = ${site.site_id}`)[0][0], '0', table);
});

test('ingresses keep the rules on disk', async () => {
  const site = await siteWith([['ip', GB]], { bots: 'refuse' });
  const kept = JSON.parse(fs.readFileSync(path.join(stack.home, 'journal/snapshot.json'), 'utf8'));
  const row = kept.sites.find((one) => one[2] === site.domain);
  assert.deepEqual(row[5], [false, true, false, [['ip', GB]]]);
});
