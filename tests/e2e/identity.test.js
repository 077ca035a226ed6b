// Who is the same visitor: by day, or by an id that the browser keeps, as the site says.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { proveDelivered, startParts } from '../parts/proof.js';
import { until } from '../parts/until.js';
import { batch, isTaken, once, pageView } from '../parts/visitors.js';

let stack, daily, persistent, ingress;

before(async () => {
  stack = await startParts(['daily.example', 'persistent.example']);
  [daily, persistent] = stack.sites;
  stack.database.sql('footfall_app', `update site_identity set identity = 'persistent' where site_id = ${persistent.site_id}`);
  ingress = stack.ingress('ingress', 10, { FOOTFALL_JOURNAL_DIR: stack.folder('journal') });
  await stack.running(ingress, stack.worker('worker', 20, [ingress.link]));
});
after(() => stack?.end());

const AGENTS = ['Mozilla/5.0 (X11; Linux x86_64) Firefox/128.0', 'Mozilla/5.0 (Windows NT 10.0) Chrome/120.0.0.0'];

// Send page views, each of {path, agent, id}; resolves to the visitor of each, as a BigInt.
async function visitorsOf(site, views) {
  for (const { path, agent = 0, id } of views) {
    const answer = await once(ingress.http, pageView(site, path, id === undefined ? {} : { visitor: id }, { 'User-Agent': AGENTS[agent] }));
    assert.ok(isTaken(answer), JSON.stringify(answer));
  }
  await proveDelivered(stack, { prefix: views[0].path.slice(0, 2), accepted: views.map(({ path }) => path) }, [ingress]);
  const rows = new Map(await stack.metrics(`select s.value, e.visitor from event e join string s on s.site_id = e.site_id and s.id = e.page where e.site_id = ${site.site_id}`));
  return views.map(({ path }) => BigInt(rows.get(path)));
}

const isPersistent = (visitor) => (visitor & 1n) === 1n;

test('a daily visitor is known by address and agent, whatever id it sends', async () => {
  const [one, same, other] = await visitorsOf(daily, [{ path: '/d1', id: 'a' }, { path: '/d2', id: 'b' }, { path: '/d3', id: 'a', agent: 1 }]);
  assert.equal(one, same);
  assert.notEqual(one, other);
  assert.deepEqual([one, other].map(isPersistent), [false, false]);
});

test('a persistent visitor is known by its id, and one without any is counted daily', async () => {
  const [one, same, other, none] = await visitorsOf(persistent, [{ path: '/p1', id: 'a' }, { path: '/p2', id: 'a', agent: 1 }, { path: '/p3', id: 'b' }, { path: '/p4' }]);
  assert.equal(one, same);
  assert.notEqual(one, other);
  assert.deepEqual([one, other, none].map(isPersistent), [true, true, false]);
});

test('events of a server may have an id of their visitor, too, on the dates on which that counts', async () => {
  const ids = stack.database.sql('footfall_app', `insert into site_identity values (${persistent.site_id}, current_date - 10, 'daily'), (${persistent.site_id}, current_date - 5, 'persistent') returning 1`);
  assert.equal(ids.trim().split('\n').length, 2);
  const at = (days) => ({ visitor: 'server', user_agent: AGENTS[0], timestamp: new Date(Date.now() - days * 86_400_000).toISOString() });
  const ask = (path, days) => once(ingress.http, batch(stack.key, persistent, [path], at(days)));
  let tries = 0, visitor;
  // The ingress hears of the change, and not at once.
  assert.ok(await until(async () => {
    const path = `/s-between-${tries++}`;
    assert.ok(isTaken(await ask(path, 7)));
    await proveDelivered(stack, { prefix: path, accepted: [path] }, [ingress]);
    [[visitor]] = await stack.metrics(`select e.visitor from event e join string s on s.site_id = e.site_id and s.id = e.page where s.value = '${path}'`);
    return !isPersistent(BigInt(visitor));
  }), 'a date of a daily identity');
  for (const [path, days] of [['/s-before', 20], ['/s-after', 2]]) {
    assert.ok(isTaken(await ask(path, days)));
    await proveDelivered(stack, { prefix: path, accepted: [path] }, [ingress]);
    [[visitor]] = await stack.metrics(`select e.visitor from event e join string s on s.site_id = e.site_id and s.id = e.page where s.value = '${path}'`);
    assert.ok(isPersistent(BigInt(visitor)), path);
  }
});

test("a change of identity holds from the site's next midnight on, and back again before that it never was", async () => {
  const history = () => stack.database.sql('footfall_app', `select from_date - (now() at time zone zone)::date, i.identity from site_identity i
    join site s on s.id = i.site_id where i.site_id = ${daily.site_id} order by from_date`).trim().split('\n').slice(1);
  const set = (identity) => stack.command('site', 'set', daily.domain, '--identity', identity);
  assert.equal((await set('persistent')).identity, 'persistent');
  assert.deepEqual(history(), ['1|persistent']);
  await set('daily');
  assert.deepEqual(history(), []);
  await assert.rejects(set('weekly'), /identity is \\?"daily\\?" or \\?"persistent\\?"/);
  await assert.rejects(stack.command('site', 'set', 'nobody.example', '--identity', 'daily'), /there is no site/);
});

test("a visitor's id beyond its bound is refused", async () => {
  const answer = await once(ingress.http, pageView(persistent, '/long', { visitor: 'x'.repeat(65) }));
  assert.equal(answer.status, 400);
});
