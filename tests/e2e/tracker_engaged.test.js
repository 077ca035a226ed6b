// How long and how far pages were looked at, as the script tells it from a real browser. Where times are
// exact the page's clock stands still but for what the test moves it by; a page in the background, a tab that
// is closed and prerendered pages are those of a browser that no debugger is attached to.
import assert from 'node:assert/strict';
import { after, before } from 'node:test';
import { ORDERS, World } from './tracked.js';

const world = new World();
before(() => world.start());
after(() => world.end());

const SECOND = 1000;
const isEngagement = ({ kind }) => kind >= 3;
const told = ({ name, path, engaged_ms: ms }) => `${name} ${path} ${ms}`;
const ENGAGEMENT = { wanted: isEngagement, told };
const TALL = '<div style="height: 4000px"></div>';
const go = (page, url) => page.evaluate((to) => history.pushState({}, '', to), url);
const sum = (events) => events.reduce((all, { engaged_ms: ms }) => all + (ms ?? 0), 0);

// Its queue does not stand still with its clock, should an attempt fail on a busy machine: this script comes before the
// one that stops the clock.
const visitStopped = (place, options = {}) => place.visitStopped('/a', {
  ...options, init: () => setInterval(() => dispatchEvent(new Event('online')), 1000),
});

// A page that is said to be hidden or visible again; the browser's own way is slow and not exact.
const show = (page, state) => page.evaluate((visibilityState) => {
  Object.defineProperty(document, 'visibilityState', { value: visibilityState, configurable: true });
  Object.defineProperty(document, 'hidden', { value: visibilityState === 'hidden', configurable: true });
  document.dispatchEvent(new Event('visibilitychange', { bubbles: true }));
}, state);

// Really without focus: another page of the same browser has it from then on.
async function blur(page) {
  const session = await page.context().newCDPSession(page);
  await session.send('Emulation.setFocusEmulationEnabled', { enabled: false });
  await page.evaluate(() => { window.blurred = new Promise((resolve) => { addEventListener('blur', resolve, { once: true }); }); });
  const other = await page.context().newPage();
  await other.bringToFront();
  await page.evaluate(() => window.blurred);
  return async () => {
    await page.evaluate(() => { window.focused = new Promise((resolve) => { addEventListener('focus', resolve, { once: true }); }); });
    await other.close();
    await page.bringToFront();
    await page.evaluate(() => document.hasFocus() || window.focused);
  };
}

// --- the exit -------------------------------------------------------------------------------------------

world.proves('leaving a page by single-page navigation tells how long it was looked at, and of which page', {}, async (place) => {
  const page = await visitStopped(place);
  await page.clock.runFor(4 * SECOND);
  await go(page, 'b');
  await page.clock.runFor(7 * SECOND);
  await go(page, 'c');
  await place.came(['exit /a 4000', 'exit /b 7000'], ENGAGEMENT);
});

world.proves('leaving the page altogether tells it, too', {}, async (place) => {
  const page = await visitStopped(place);
  await page.clock.runFor(4 * SECOND);
  await page.goto(`${place.url}/b`);
  await place.came(['exit /a 4000'], ENGAGEMENT);
});

world.proves('a tab that is closed in the middle tells it, and how far it was scrolled', { body: TALL }, async (place) => {
  const page = await visitStopped(place, { viewport: { width: 800, height: 1000 } });
  await place.came(['pageview /a']);
  await page.clock.runFor(4 * SECOND);
  await page.close();
  const [exit] = await place.came(['exit /a 4000'], ENGAGEMENT);
  assert.ok(exit.scroll_depth >= 24 && exit.scroll_depth <= 26, String(exit.scroll_depth));
});

world.proves('back from the back/forward cache a new count begins', {}, async (place) => {
  const page = await visitStopped(place);
  await page.evaluate(() => addEventListener('pageshow', (event) => { window.cached = event.persisted; }));
  await page.clock.runFor(4 * SECOND);
  await page.goto(`${place.url}/b`);
  await place.came(['exit /a 4000'], ENGAGEMENT);
  await page.evaluate(() => { history.back(); });
  await page.waitForFunction(() => window.cached === true);
  await page.clock.runFor(2 * SECOND);
  await go(page, 'c');
  await place.came(['exit /a 4000', 'exit /b 0', 'exit /a 2000'], ENGAGEMENT);
});

// --- hidden, without focus ------------------------------------------------------------------------------

world.proves('a page that is hidden tells what has gathered from 3 seconds on, each second once', {}, async (place) => {
  const page = await visitStopped(place);
  await page.clock.runFor(5 * SECOND);
  await show(page, 'hidden');
  await page.clock.runFor(60 * SECOND); // nobody looks
  await show(page, 'visible');
  await page.clock.runFor(4 * SECOND);
  await show(page, 'hidden');
  await show(page, 'visible');
  await page.clock.runFor(2 * SECOND);
  await go(page, 'b');
  await place.came(['engagement /a 5000', 'engagement /a 4000', 'exit /a 2000'], ENGAGEMENT);
});

world.proves('a page that is hidden sooner keeps it for the exit', {}, async (place) => {
  const page = await visitStopped(place);
  await page.clock.runFor(2 * SECOND);
  await show(page, 'hidden');
  await show(page, 'visible');
  await page.clock.runFor(0.5 * SECOND);
  await show(page, 'hidden');
  await page.clock.runFor(60 * SECOND);
  await go(page, 'b');
  await place.came(['exit /a'], { wanted: ({ name }) => name === 'exit' }); // how far it was scrolled may have been told before, and with it some of the time
  assert.equal(sum(await place.events(({ path }) => path === '/a')), 2.5 * SECOND);
});

world.proves('a page that loses the focus tells what has gathered, and gains nothing until it has it again', {}, async (place) => {
  const page = await visitStopped(place);
  await page.clock.runFor(5 * SECOND);
  const focus = await blur(page);
  await page.clock.runFor(60 * SECOND);
  await focus();
  await page.clock.runFor(4 * SECOND);
  await go(page, 'b');
  await place.came(['engagement /a 5000', 'exit /a 4000'], ENGAGEMENT);
});

world.proves('a page that was left for good is not told of twice when it is hidden then', {}, async (place) => {
  const page = await visitStopped(place);
  await page.clock.runFor(9 * SECOND);
  await page.goto(`${place.url}/b`); // pagehide, then visibilitychange
  await place.came(['exit /a 9000'], ENGAGEMENT);
  await page.goto(`${place.url}/c`);
  await place.came(['exit /a', 'exit /b'], { wanted: ({ name }) => name === 'exit' });
  assert.equal((await place.events(({ path, kind }) => path === '/a' && kind >= 3)).length, 1);
});

// --- ping -----------------------------------------------------------------------------------------------

world.proves('a page that is looked at for long pings after 15, 30 and 60 seconds, then each minute of it', {}, async (place) => {
  const page = await visitStopped(place);
  await page.clock.runFor(40 * SECOND);
  await show(page, 'hidden');
  await page.clock.runFor(600 * SECOND);
  await show(page, 'visible');
  await page.clock.runFor(145 * SECOND); // 185 in all
  await go(page, 'b');
  const events = await place.came(['ping /a', 'ping /a', 'engagement /a', 'ping /a', 'ping /a', 'ping /a', 'exit /a'], { wanted: isEngagement });
  assert.equal(sum(events), 185 * SECOND);
  const totals = events.map((_, n) => sum(events.slice(0, n + 1)) / SECOND);
  assert.deepEqual(totals, [15, 30, 40, 60, 120, 180, 185]);
});

// --- scroll ---------------------------------------------------------------------------------------------

const scroll = async (page, y) => {
  await page.evaluate((to) => new Promise((resolve) => {
    addEventListener('scroll', () => resolve(), { once: true });
    scrollTo(0, to);
  }), y);
};
const VIEWPORT = { viewport: { width: 800, height: 500 } };

world.proves('the deepest point that was scrolled to is told, not the last', { body: '<style>body { margin: 0 }</style><div style="height: 2000px"></div>' }, async (place) => {
  const page = await place.visit('/a', VIEWPORT);
  await scroll(page, 1000);
  await scroll(page, 100);
  await page.goto(`${place.url}/b`);
  const [exit] = await place.came(['exit /a'], { wanted: ({ name, path }) => name === 'exit' && path === '/a' });
  assert.equal(exit.scroll_depth, 75);
});

world.proves('of a page that is short all was seen', {}, async (place) => {
  const page = await place.visit('/a', VIEWPORT);
  await page.goto(`${place.url}/b`);
  const [exit] = await place.came(['exit /a'], { wanted: isEngagement });
  assert.equal(exit.scroll_depth, 100);
});

world.proves('of a page that has grown less was seen', { body: '<style>body { margin: 0 }</style><div id="all" style="height: 1000px"></div>' }, async (place) => {
  const page = await place.visit('/a', VIEWPORT);
  await scroll(page, 500); // its end
  await page.evaluate(() => new Promise((resolve) => {
    new ResizeObserver(() => { if (document.documentElement.scrollHeight === 4000) requestAnimationFrame(() => setTimeout(resolve)); }).observe(document.body);
    document.getElementById('all').style.height = '4000px';
  }));
  await page.goto(`${place.url}/b`);
  const [exit] = await place.came(['exit /a'], { wanted: isEngagement });
  assert.equal(exit.scroll_depth, 25);
});

world.proves('after a single-page navigation the depth is that of the new page', { body: '<style>body { margin: 0 }</style><div style="height: 2000px"></div>' }, async (place) => {
  const page = await place.visit('/a', VIEWPORT);
  await scroll(page, 1500);
  await go(page, 'b');
  await scroll(page, 0);
  await go(page, 'c');
  const events = await place.came(['exit /a', 'exit /b'], { wanted: ({ name }) => name === 'exit' });
  assert.equal(events[0].scroll_depth, 100);
});

// --- in a browser of its own ----------------------------------------------------------------------------

const AWAY_MS = 4000;

world.proves('a page in the background gains nothing', { head: ORDERS }, async (place) => {
  await place.visitUndriven('/a');
  await place.order('/a', `
    const hidden = new Promise((resolve) => addEventListener('visibilitychange', resolve, { once: true }));
    open('front');
    await hidden;`);
  assert.equal(await place.order('/a', 'return document.hidden;'), true);
  await place.order('/front', `await new Promise((resolve) => setTimeout(resolve, ${AWAY_MS}));`);
  await place.order('/front', 'setTimeout(() => close());');
  await place.order('/a', 'if (document.hidden) await new Promise((resolve) => addEventListener("visibilitychange", resolve, { once: true }));');
  const there = await place.order('/a', 'history.pushState({}, "", "left"); return performance.now();');
  await place.came(['exit /a'], { wanted: ({ name, path }) => name === 'exit' && path === '/a' });
  const looked = sum(await place.events(({ path }) => path === '/a'));
  assert.ok(looked > 0 && looked <= there - AWAY_MS, `${looked} ms of ${there}`);
});

world.proves('a prerendered page is counted once it is shown', { head: (name) => ORDERS + (name === '/a' ? '<script type="speculationrules">{"prerender": [{"urls": ["b"], "eagerness": "immediate"}]}</script>' : '') }, async (place) => {
  await place.visitUndriven('/a');
  const state = await place.order('/b', 'await new Promise((resolve) => setTimeout(resolve)); return [document.prerendering, typeof footfall];');
  assert.equal(state[0], true, 'it is prerendered');
  await place.order('/b', 'footfall("Early", { props: { prerendered: document.prerendering } })');
  await place.order('/a', 'footfall("Mark")');
  await place.came(['Mark /a'], { wanted: ({ name }) => name === 'Mark' });
  assert.deepEqual(await place.events(({ path }) => path === '/b'), []);
  await place.order('/a', 'setTimeout(() => { location.href = "b" })');
  await place.came(['pageview /a', 'Mark /a', 'pageview /b', 'Early /b'], { ordered: false });
});

world.proves('a prerendered page that is never shown is not counted', { head: (name) => ORDERS + (name === '/a' ? '<script type="speculationrules">{"prerender": [{"urls": ["b"], "eagerness": "immediate"}]}</script>' : '') }, async (place) => {
  await place.visitUndriven('/a');
  assert.equal(await place.order('/b', 'return document.prerendering;'), true);
  await place.order('/a', 'setTimeout(() => { location.href = "c" })');
  await place.order('/c', 'footfall("Mark")');
  await place.came(['pageview /a', 'pageview /c', 'Mark /c']);
  assert.deepEqual(await place.events(({ path }) => path === '/b'), []);
});
