// Where visitors come from and what pages are about, from both ways in to the tables of a real stack.
// That each source has its name is shown by lib/enrich/source_test.c.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { request, startStack, waitFor } from './harness.js';

let stack, site, ingest;

before(async () => {
  stack = await startStack();
  await stack.account();
  site = await stack.site('example.org');
  ingest = await stack.key('ingest');
});
after(() => stack?.remove());

// Sources and referrers, by page; '' where an event has none.
const bySource = () => Object.fromEntries(stack.sql('metrics', `select p.value, coalesce(s.value, ''), coalesce(r.value, '') from event e
  join string p on p.site_id = e.site_id and p.id = e.page
  left join string s on s.site_id = e.site_id and s.id = e.source
  left join string r on r.site_id = e.site_id and r.id = e.referrer`).map(([page, ...what]) => [page, what]));
const metadata = (page) => JSON.parse(stack.sql('metrics', `select coalesce(e.metadata::text, 'null') from event e
  join string p on p.site_id = e.site_id and p.id = e.page where p.value = '${page}'`)[0][0]);
const fromPage = (u, more) => stack.event({ n: 'pageview', u: `https://example.org${u}`, d: site.property_id, ...more });
const fromServer = (event) => request(`${stack.url}/api/v1/events`, { method: 'POST', headers: { Authorization: `Bearer ${ingest}` }, body: JSON.stringify([{ name: 'pageview', domain: 'example.org', ...event }]) });

test('a source is told by campaign parameters of the page, else by the referrer, and the query is stored nowhere', async () => {
  const cases = [
    ['/a', { r: 'https://www.google.co.uk/search?q=secret' }, ['Google', 'google.co.uk/search']],
    ['/b?utm_source=hackernews&token=secret', { r: 'https://acme.example/x' }, ['Hacker News', 'acme.example/x']],
    ['/c?ref=chatgpt.com', {}, ['ChatGPT', '']],
    ['/d', { r: 'https://www.example.org/u/jane@mail.example/' }, ['', 'example.org/u/*/']],
    ['/e', { r: 'android-app://com.google.android.gm/' }, ['Gmail', 'android-app://com.google.android.gm']],
    ['/f', { r: 'https://blog.acme.co.uk/post' }, ['acme.co.uk', 'blog.acme.co.uk/post']],
  ];
  for (const [url, more] of cases) assert.equal((await fromPage(url, more)).status, 202);
  const server = await fromServer({ url: '/g?utm_source=fb', utm_source: 'news.ycombinator.com' });
  assert.equal(server.json.accepted, 1);
  await waitFor(() => stack.sql('metrics', 'select 1 from event').length === 7, 'all in the tables');
  assert.deepEqual(bySource(), Object.fromEntries([...cases.map(([url, , what]) => [url.split('?')[0], what]), ['/g', ['Hacker News', '']]]));
  assert.deepEqual(stack.sql('metrics', "select value from string where value like '%secret%' or value like '%jane%'"), []);
});

test('a page that routes by its fragment is told by it when asked', async () => {
  assert.equal((await fromPage('/app/#/users/7?tab=secret', { h: 1 })).status, 202);
  assert.equal((await fromPage('/plain#/users', {})).status, 202);
  await waitFor(() => ['/app/#/users/7', '/plain'].every((page) => page in bySource()), 'both pages');
});

test('what a page is about is kept from pages and servers, without what reports do not know', async () => {
  const about = { type: 'article', author: 'Ada', categories: ['Databases'], tags: ['c', 'sql'] };
  assert.equal((await fromPage('/about-1', { md: { ...about, words: 700 } })).status, 202);
  assert.equal((await fromPage('/about-2', { metadata: { tags: 7 } })).status, 202);
  assert.equal((await fromServer({ url: '/about-3', metadata: { tags: 'sql' } })).json.accepted, 1);
  await waitFor(() => stack.sql('metrics', "select 1 from string where value like '/about-_'").length === 3, 'all in the tables');
  assert.deepEqual([1, 2, 3].map((n) => metadata(`/about-${n}`)), [about, null, { tags: ['sql'] }]);
});

test('from a server, campaign fields and metadata that are wrong are rejected with the reason', async () => {
  const cases = [
    [{ utm_source: 'x'.repeat(256) }, /^utm_source has more than 255 bytes/],
    [{ utm_medium: 7 }, /^utm_medium is not a text/],
    [{ click_id: 'Cj0KCQ' }, /^click_id is not/],
    [{ metadata: { tags: 7 } }, /^metadata has a value of tags/],
    [{ metadata: 'x' }, /^metadata is not an object/],
  ];
  for (const [more, reason] of cases) {
    const answer = await fromServer({ url: '/wrong', ...more });
    assert.equal(answer.json.rejected, 1);
    assert.match(answer.json.results[0].error, reason);
  }
});
