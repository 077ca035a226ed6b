// The whole path in a real browser: first account, site, snippet; two pages of a small demo site; the
// dashboard in another page shows each event within 2 seconds.
import assert from 'node:assert/strict';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { note, openBrowser, PICTURES, serveFolder, startStack, waitFor } from './harness.js';

const DEMO = fileURLToPath(new URL('demo', import.meta.url));
const SHOWN_WITHIN_MS = 2000; // the product's promise
const EMAIL = 'ada@example.org';
const PASSWORD = 'correct horse battery';

let stack, browser, office, dashboard, demo, snippet, domain;

const picture = (page, name) => page.screenshot({ path: path.join(PICTURES, `${name}.png`), fullPage: true });
const byId = (page, id) => page.locator(`[data-testid="${id}"]`);

before(async () => {
  stack = await startStack();
  browser = await openBrowser();
  office = await browser.newContext({ viewport: { width: 1280, height: 900 } });
  dashboard = await office.newPage();
});
after(async () => {
  await browser?.close();
  await demo?.close();
  await stack?.remove();
});

test('the link printed at the first start makes the first account', async () => {
  const link = stack.greeting.match(/http:\S+#setup=\S+/)?.[0];
  assert.ok(link, stack.greeting);
  await dashboard.goto(link);
  await byId(dashboard, 'setup-email').fill(EMAIL);
  await byId(dashboard, 'setup-password').fill(PASSWORD);
  await byId(dashboard, 'setup-password2').fill(PASSWORD);
  await picture(dashboard, 'setup');
  await byId(dashboard, 'setup-submit').click();
  await byId(dashboard, 'site-domain').waitFor();
});

test('the link works once', async () => {
  const other = await (await browser.newContext()).newPage();
  await other.goto(stack.greeting.match(/http:\S+#setup=\S+/)[0]);
  // There is an account now: the page asks to log in instead, or refuses the token.
  await waitFor(async () => (await byId(other, 'login-email').count()) || (await byId(other, 'setup-submit').count()), 'a form');
  if (await byId(other, 'setup-submit').count()) {
    await byId(other, 'setup-email').fill('eve@example.org');
    await byId(other, 'setup-password').fill(PASSWORD);
    await byId(other, 'setup-password2').fill(PASSWORD);
    await byId(other, 'setup-submit').click();
    await other.locator('[role="alert"]').first().waitFor();
  }
  assert.equal(stack.sql('app', 'select count(*) from account')[0][0], '1');
  await other.context().close();
});

test('a site is added in the dashboard, which then shows the one line for its pages', async () => {
  domain = 'localhost';
  await byId(dashboard, 'site-domain').fill(domain);
  await byId(dashboard, 'site-timezone').fill('UTC').catch(() => byId(dashboard, 'site-timezone').selectOption('UTC'));
  await picture(dashboard, 'add-site');
  await byId(dashboard, 'site-submit').click();
  await byId(dashboard, 'snippet').waitFor();
  snippet = (await byId(dashboard, 'snippet').inputValue().catch(() => byId(dashboard, 'snippet').innerText())).trim();
  assert.match(snippet, /^<script defer src="http:\/\/localhost:\d+\/js\/[0-9a-f-]{36}\.js"><\/script>$/);
  await picture(dashboard, 'waiting');
  demo = await serveFolder(DEMO, { SNIPPET: snippet });
});

test('each page view shows on the dashboard within two seconds', async () => {
  const visitor = await browser.newContext();
  const page = await visitor.newPage();
  const latencies = [];
  let sentAt = 0;
  page.on('request', (asked) => { if (asked.url().endsWith('/api/event')) sentAt = Date.now(); });
  page.on('pageerror', (error) => assert.fail(`the script threw into the page: ${error.message}`));
  const shows = async (views) => {
    await waitFor(() => sentAt, 'an event is sent');
    await waitFor(async () => (await byId(dashboard, 'metric-pageviews').getAttribute('data-value')) === String(views),
      `${views} page views`, { timeout: SHOWN_WITHIN_MS - (Date.now() - sentAt), every: 10 });
    latencies.push(Date.now() - sentAt);
    sentAt = 0;
  };
  await page.goto(demo.url);
  await shows(1);
  await page.click('#about');
  await shows(2);
  await page.click('#home');
  await shows(3);
  await page.click('#more');
  await shows(4);
  await page.goto(`${demo.url}/about.html`);
  await shows(5);
  await page.click('#signup');
  await waitFor(() => stack.sql('metrics', 'select 1 from event where kind = 2').length === 1, 'the custom event');
  assert.deepEqual(await visitor.cookies(), [], 'no cookie is set');
  assert.equal(await page.evaluate(() => localStorage.length + sessionStorage.length), 0, 'nothing is stored');
  note(`from an event's request to its place on the dashboard: ${latencies.join(', ')} ms`);
  await visitor.close();
});

test('the dashboard shows pages, browser, system and device of these views, and one visitor', async () => {
  const row = async (panel, label) => byId(dashboard, panel).locator(`[data-label="${label}"]`).getAttribute('data-value');
  await waitFor(async () => (await row('panel-pages', '/more')) === '1', 'the page /more');
  assert.equal(await row('panel-pages', '/'), '1');
  assert.equal(await row('panel-pages', '/about.html'), '1');
  assert.equal(await row('panel-devices', 'desktop').catch(() => row('panel-devices', 'Desktop')), '1');
  assert.equal(await byId(dashboard, 'metric-visitors').getAttribute('data-value'), '1');
  assert.equal(await byId(dashboard, 'metric-visits').getAttribute('data-value'), '1');
  await picture(dashboard, 'dashboard');
});

test('a country is shown by its English name', async () => {
  await stack.event({ n: 'pageview', u: 'http://localhost/', d: domain }, { 'X-Forwarded-For': '193.0.6.139' });
  const row = byId(dashboard, 'panel-countries').locator('[data-label="NL"] .text');
  await waitFor(async () => (await row.textContent()).endsWith('Netherlands'), 'the Netherlands on the dashboard');
});

test('channels are listed beside sources, regions and cities beside countries', async () => {
  const list = async (panel, title) => {
    await byId(dashboard, panel).getByRole('button', { name: title }).click();
    return byId(dashboard, panel).locator('[data-label]').first().textContent();
  };
  assert.match(await list('panel-sources', 'Channels'), /^Direct\d/);
  for (const title of ['Regions', 'Cities']) assert.match(await list('panel-countries', title), /^\(not set\)\d/); // by a database of countries
  await list('panel-countries', 'Countries');
  await byId(dashboard, 'panel-countries').locator('[data-label="NL"]').waitFor();
  assert.match(await list('panel-sources', 'Sources'), /^Direct \/ None\d/);
});

for (const [name, width, colorScheme] of [['dark', 1280, 'dark'], ['small', 360, 'light'], ['dark-small', 360, 'dark']]) {
  test(`nothing of the dashboard is cut off, ${width} pixels wide and ${colorScheme}`, async () => {
    const context = await browser.newContext({ viewport: { width, height: 800 }, colorScheme, storageState: await office.storageState() });
    const page = await context.newPage();
    await page.goto(dashboard.url());
    await byId(page, 'metric-visitors').waitFor();
    await byId(page, 'panel-devices').locator('[data-label]').first().waitFor();
    await picture(page, `dashboard-${name}`);
    assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth));
    await context.close();
  });
}

test('who is not logged in sees the login, and a wrong password is refused', async () => {
  const stranger = await browser.newContext();
  const page = await stranger.newPage();
  await page.goto(stack.url);
  await byId(page, 'login-email').fill(EMAIL);
  await byId(page, 'login-password').fill('wrong horse');
  await byId(page, 'login-submit').click();
  await page.locator('[role="alert"]').first().waitFor();
  await picture(page, 'login');
  await byId(page, 'login-password').fill(PASSWORD);
  await byId(page, 'login-submit').click();
  await byId(page, 'metric-visitors').waitFor();
  const [cookie] = await stranger.cookies();
  assert.equal(cookie.httpOnly, true);
  assert.equal(cookie.sameSite, 'Lax');
  await stranger.close();
});
