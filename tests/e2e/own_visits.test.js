// Visits that nobody wants counted, in a real browser: one's own, and those of browsers that programs drive.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { openBrowser, serveFolder, startStack, waitFor } from './harness.js';

const DEMO = fileURLToPath(new URL('demo', import.meta.url));

let stack, site, demo, browser, driven;
before(async () => {
  stack = await startStack();
  await stack.account();
  site = await stack.site('localhost');
  demo = await serveFolder(DEMO, { SNIPPET: `<script defer src="${stack.url}/js/${site.property_id}.js"></script>` });
  browser = await openBrowser();
});
after(async () => {
  await browser?.close();
  await driven?.close();
  await demo?.close();
  await stack?.remove();
});

// A page whose events and dialogs are noted.
async function visitor(from = browser) {
  const page = await (await from.newContext()).newPage();
  const sent = [], said = [];
  page.on('request', (asked) => { if (asked.url().endsWith('/api/event')) sent.push(JSON.parse(asked.postData())); });
  page.on('dialog', (dialog) => { said.push(dialog.message()); return dialog.accept(); });
  page.on('pageerror', (error) => assert.fail(`the script threw into the page: ${error.message}`));
  const open = async (path) => {
    await page.goto('about:blank'); // or a new fragment would be no new page
    await page.goto(demo.url + path);
    await page.waitForFunction(() => typeof window.footfall === 'function');
  };
  return { page, open, sent, said };
}

test('a page opened with #footfall-ignore is not counted from then on, until #footfall-count', async () => {
  const { page, open, sent, said } = await visitor();
  await open('/#footfall-ignore');
  assert.equal(said.length, 1);
  assert.match(said[0], /not counted$/);
  await open('/about.html');
  await page.click('#signup');
  await page.evaluate(() => history.pushState({}, '', '/elsewhere'));
  await open('/#footfall-ignore');
  assert.deepEqual(sent, []);
  await open('/about.html#footfall-count');
  assert.match(said.at(-1), /are counted$/);
  await waitFor(() => sent.length === 1, 'the page view that is counted again');
  assert.equal(await page.evaluate(() => localStorage.length), 0);
  await page.context().close();
});

test("Plausible's mark keeps its browser's visits away, too", async () => {
  const { page, open, sent, said } = await visitor();
  await open('/');
  await waitFor(() => sent.length === 1, 'without it they are counted');
  await page.evaluate(() => localStorage.setItem('plausible_ignore', 'true'));
  await open('/about.html');
  await open('/');
  assert.equal(sent.length, 1);
  assert.deepEqual(said, []);
  await page.context().close();
});

test('a browser that a program drives says so: it is marked, or refused where the site says so', async () => {
  const person = await visitor();
  await person.open('/');
  await waitFor(() => person.sent.length === 1, 'the page view');
  assert.equal(person.sent[0].b, undefined);
  driven = await openBrowser({ driven: true });
  const program = await visitor(driven);
  await program.open('/');
  await waitFor(() => program.sent.length === 1, 'the page view');
  assert.equal(program.sent[0].b, true);
  await stack.footfall(['site', 'set', 'localhost', '--bots', 'refuse']);
  await waitFor(async () => (await stack.event({ n: 'pageview', u: 'http://localhost/', d: site.property_id, b: true })).headers['x-footfall-dropped'] === 'bot_hint', 'the ingress knows');
  const answer = program.page.waitForResponse((one) => one.url().endsWith('/api/event'));
  await program.open('/about.html');
  assert.equal((await answer).headers()['x-footfall-dropped'], 'bot_hint');
});
