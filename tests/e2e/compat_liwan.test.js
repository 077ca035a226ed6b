// Liwan's events, by hand-written requests: they come to POST /api/event as Plausible's do. There is no package of its
// tracker to run; what its script sends is written down below.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { AGENT, request, startStack, waitFor } from './harness.js';
import { CUSTOM, EXIT, PAGEVIEW, eventsOf } from './stored.js';

let stack, site, key;
before(async () => {
  stack = await startStack();
  await stack.account();
  site = await stack.site('example.org');
  key = await stack.key('stats');
});
after(() => stack?.remove());

const view = (more = {}) => ({ entity_id: 'example.org', name: 'pageview', url: 'https://example.org/', ...more });

function post(body, headers = {}) {
  return request(`${stack.url}/api/event`, { method: 'POST', headers: { 'User-Agent': AGENT, 'Content-Type': 'application/json', Origin: 'https://example.org', ...headers }, body: typeof body === 'string' ? body : JSON.stringify(body) });
}

function assertAnswer(answer, status, text, dropped) {
  assert.equal(answer.status, status, answer.text);
  assert.equal(answer.text, text);
  assert.match(answer.headers['content-type'], /^application\/json/);
  assert.equal(answer.headers['access-control-allow-origin'], '*');
  assert.equal(answer.headers['x-footfall-dropped'], dropped);
}

async function take(body, headers) {
  const [event] = await eventsOf(stack, site, async () => assertAnswer(await post(body, headers), 200, '{"status":"OK"}'));
  return event;
}

async function refuse(body, reason) {
  const count = stack.events(site);
  const answer = await post(body);
  assertAnswer(answer, 400, JSON.stringify({ status: 'Bad Request', message: answer.json?.message, code: 400 }), 'invalid');
  assert.match(answer.json.message, reason);
  await take(view({ url: 'https://example.org/after' }));
  assert.equal(stack.events(site), count + 1);
}

test('a page view and an event of any name are taken, and the site is named by domain or property id', async () => {
  const event = await take(view({ url: 'https://www.example.org/a/?utm_source=News#x', referrer: 'https://news.example/b?c', screen_width: '1920', orientation: 'landscape' }));
  assert.deepEqual([event.kind, event.host, event.page, event.referrer, event.screen_width, event.utm_source], [PAGEVIEW, 'example.org', '/a', 'news.example/b', 1920, 'News']);
  const signup = await take({ entity_id: site.property_id, name: 'Signup', url: 'https://example.org/b' });
  assert.deepEqual([signup.kind, signup.name, signup.page], [CUSTOM, 'Signup', '/b']);
  await waitFor(async () => (await stack.query(key, { site_id: 'example.org', date_range: 'day', metrics: ['pageviews', 'events', 'visitors'] }))[0].metrics.join() === '1,2,1', 'the report');
});

test('what its script sends is taken: nulls, and the campaign beside the URL', async () => {
  const event = await take({ entity_id: 'example.org', name: 'pageview', referrer: '', url: 'https://example.org/script', utm: { campaign: 'spring', content: null, medium: 'email', source: 'A "list"', term: null } });
  assert.deepEqual([event.utm_campaign, event.utm_medium, event.utm_source, event.utm_term], ['spring', 'email', 'A "list"', '']);
  assert.equal((await take(view({ url: 'https://example.org/?utm_source=url', referrer: null, utm: { source: 'beside', term: 7 } }))).utm_source, 'url');
});

test('its exit is no page view', async () => {
  const event = await take(view({ exit: true, url: 'https://example.org/left' }));
  assert.deepEqual([event.kind, event.page], [EXIT, '/left']);
});

test('the body is JSON whatever its Content-Type says', async () => {
  for (const type of ['text/plain', 'application/json', 'application/octet-stream', '']) await take(view(), { 'Content-Type': type });
});

test('what is wrong is refused with the reason', async () => {
  await refuse(view({ name: undefined }), /^name .*blank/);
  await refuse(view({ name: ' ' }), /^name .*blank/);
  await refuse(view({ url: undefined }), /^url /);
  await refuse(view({ url: 'not a URL' }), /^url /);
  await refuse(view({ url: `https://example.org/${'x'.repeat(2000)}` }), /^url .*2000/);
  await refuse(view({ referrer: `https://news.example/${'x'.repeat(256)}` }), /^referrer .*256/);
  assert.equal((await take(view({ referrer: `https://news.example/${'x'.repeat(256 - 21)}` }))).referrer.length, 256 - 'https://'.length);
});

test('an entity_id that is no text, blank or too long is refused, one of no site of ours is dropped and said', async () => {
  for (const entity_id of [17, ['example.org'], 'x'.repeat(256), '', ' ']) {
    const answer = await post(view({ entity_id }));
    assert.equal(answer.status, 400);
    assert.match(answer.json.message, /^entity_id /);
  }
  for (const entity_id of ['nosuch.example', 'x'.repeat(255)]) assertAnswer(await post(view({ entity_id })), 200, '{"status":"OK"}', 'unknown_site');
});

test('unlike Liwan, which takes 255 bytes, a name has at most 120 characters', async () => {
  assert.equal((await take(view({ name: 'ü'.repeat(120) }))).name, 'ü'.repeat(120));
  await refuse(view({ name: 'x'.repeat(121) }), /^name .*120/);
});
