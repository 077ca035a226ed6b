// The script as a guest of the page, in a real browser: whom it leaves in peace, what it leaves behind, and that
// no page comes to harm by it, however strict or broken that is.
import assert from 'node:assert/strict';
import { after, before, describe } from 'node:test';
import { waitFor } from './harness.js';
import { World } from './tracked.js';

const world = new World();
let honouring, persistent;
before(async () => {
  await world.start();
  honouring = await world.siteWith('honouring.example', '--honour-dnt', 'yes');
  persistent = (await world.stack.footfall(['site', 'add', 'persistent.example', '--owner', 'owner@example.org', '--timezone', 'UTC', '--identity', 'persistent']));
  await waitFor(async () => (await fetch(`${world.stack.url}/js/${persistent.property_id}.js`)).status === 200, 'its script');
});
after(() => world.end());

// --- who does not want to be counted --------------------------------------------------------------------

const SIGNS = [
  ['Global Privacy Control', () => Object.defineProperty(Navigator.prototype, 'globalPrivacyControl', { value: true }), { 'Sec-GPC': '1' }],
  ['Do Not Track', () => Object.defineProperty(Navigator.prototype, 'doNotTrack', { value: '1' }), { DNT: '1' }],
];
// What sends all that a page can send.
const useAll = async (page) => {
  await page.evaluate(() => {
    footfall('Event');
    footfall('pageview');
    history.pushState({}, '', 'b');
  });
  await page.click('button');
  await page.goto('about:blank');
};
const BUTTON = '<button data-footfall-event="Clicked">x</button>';

for (const [name, init, extraHTTPHeaders] of SIGNS) {
  world.proves(`with ${name} nothing at all is sent where the site honours it`, async () => ({ site: honouring, gate: await world.openGate(), body: BUTTON }), async (place) => {
    await useAll(await place.visit('/a', { init, extraHTTPHeaders }));
    await place.visit('/b'); // by somebody else
    await place.came(['pageview /b']);
    assert.equal(place.gate.sent.length, 1);
  });

  world.proves(`with ${name} a page is counted where the site does not say so`, {}, async (place) => {
    await place.visit('/a', { init, extraHTTPHeaders });
    await place.came(['pageview /a']);
  });
}

for (const mark of ['footfall_ignore', 'plausible_ignore']) {
  world.proves(`with ${mark} in localStorage nothing at all is sent`, async () => ({ gate: await world.openGate(), body: BUTTON }), async (place) => {
    const page = await place.visit('/a', { init: `if (location.protocol === 'http:') localStorage.${mark} = 'true'` });
    await useAll(page);
    await place.visit('/b'); // in another browser
    await place.came(['pageview /b']);
    assert.equal(place.gate.sent.length, 1);
  });
}

// --- what it leaves behind ------------------------------------------------------------------------------

world.proves('it sets no cookie, stores nothing, and adds no global but footfall', async () => ({ gate: await world.openGate(), body: BUTTON, tag: '' }), async (place) => {
  const page = await place.visit('/a');
  const globals = () => page.evaluate(() => Object.getOwnPropertyNames(window).filter((name) => !/^__playwright|^__pw|^\d+$/.test(name)));
  const without = await globals();
  await page.addScriptTag({ url: `${place.gate.url}/js/${place.site.property_id}.js` });
  await page.evaluate(() => footfall('Event'));
  await page.click('button');
  await place.came(['pageview /a', 'Event /a', 'Clicked /a']);
  assert.deepEqual((await globals()).filter((name) => !without.includes(name)), ['footfall']);
  assert.deepEqual(await page.context().cookies(), []);
  assert.deepEqual(await page.evaluate(async () => [localStorage.length, sessionStorage.length, document.cookie, (await indexedDB.databases()).length, (await caches.keys()).length]), [0, 0, '', 0, 0]);
});

world.proves('where identity is persistent, one id is kept, by which its visits are of one visitor', () => ({ site: persistent }), async (place) => {
  const page = await place.visit('/a');
  const kept = () => page.evaluate(() => ({ ...localStorage }));
  await place.came(['pageview /a']);
  const first = await kept();
  assert.deepEqual(Object.keys(first), ['footfall_visitor']);
  assert.match(first.footfall_visitor, /^[0-9a-f]{32}$/);
  await page.goto(`${place.url}/b`);
  await place.came(['pageview /a', 'pageview /b']);
  assert.deepEqual(await kept(), first);
  await place.visit('/c'); // of another browser
  const [a, b, c] = (await place.came(['pageview /a', 'pageview /b', 'pageview /c'])).map(({ visitor }) => BigInt(visitor));
  assert.equal(a, b);
  assert.notEqual(a, c);
  assert.equal(a & 1n, 1n, 'persistent');
});

world.proves('where identity is daily, an id that was kept before is taken away, and not sent', async () => ({ gate: await world.openGate() }), async (place) => {
  const page = await place.visit('/a', { init: () => { if (location.protocol === 'http:') Object.assign(localStorage, { footfall_visitor: '0123456789abcdef0123456789abcdef', other: 'the page\'s own' }); } });
  const [{ visitor }] = await place.came(['pageview /a']);
  assert.deepEqual(await page.evaluate(() => ({ ...localStorage })), { other: 'the page\'s own' });
  assert.equal(place.gate.sent[0].visitor, undefined);
  assert.equal(BigInt(visitor) & 1n, 0n);
});

// --- strict pages ---------------------------------------------------------------------------------------

const policy = (of) => `default-src 'none'; script-src ${of.gate.origin}; connect-src ${of.gate.origin}; base-uri 'none'; form-action 'self'; require-trusted-types-for 'script'; trusted-types 'none'`;

world.proves('under a strict Content-Security-Policy all of it works, and nothing is refused', (of) => ({
  headers: { 'Content-Security-Policy': policy(of) }, status: 404, body: `${BUTTON}<a href="${of.elsewhere}/x">out</a><script type="application/json" id="footfall-page">{"type": "article"}</script>`, head: '<meta http-equiv="x-ua-compatible" content="ie=edge">',
}), async (place) => {
  const page = await place.visit('/a', { init: () => { window.refused = []; addEventListener('securitypolicyviolation', (event) => refused.push(event.violatedDirective + event.blockedURI)); } });
  await page.evaluate(() => footfall('Event'));
  await page.click('button');
  await page.click('a');
  await page.evaluate(() => history.pushState({}, '', 'b'));
  const events = await place.came(['pageview /a', '404 /a', 'Event /a', 'Clicked /a', 'Outbound Link: Click /a', 'pageview /b'], { ordered: false });
  assert.deepEqual(events.find(({ name }) => name === 'pageview').metadata, { type: 'article' });
  assert.deepEqual(await page.evaluate(() => refused), []);
});

world.proves('where the policy lets no event through, the page sees no exception', (of) => ({ headers: { 'Content-Security-Policy': `script-src ${of.gate.origin}; connect-src 'none'` }, body: BUTTON }), async (place) => {
  const page = await place.visit('/a');
  await useAll(page);
  place.errors = place.errors.filter((error) => !/Content Security Policy/.test(error)); // the browser's own lines
});

// --- broken pages ---------------------------------------------------------------------------------------

// Each: what the page does to its world, and whether events can still come of it.
const BREAKAGES = [
  ['JSON.stringify is the page\'s own and throws', () => { JSON.stringify = () => { throw new Error('mine'); }; }, false],
  ['JSON is gone', () => { window.JSON = undefined; }, false],
  ['arrays and texts have a toJSON of their own, as by Prototype', () => { Array.prototype.toJSON = function () { return 'broken'; }; }, true],
  ['arrays have enumerable methods', () => { Array.prototype.each = () => {}; Object.prototype.extra = () => {}; }, true],
  ['the history is frozen', () => { Object.freeze(history); }, true],
  ['the history is frozen, and there is no Navigation API', () => { Object.defineProperty(window, 'navigation', { value: undefined }); Object.freeze(history); }, true],
  ['localStorage throws', () => { Object.defineProperty(window, 'localStorage', { get() { throw new DOMException('no', 'SecurityError'); } }); }, true],
  ['localStorage is gone', () => { Object.defineProperty(window, 'localStorage', { value: null }); }, true],
  ['crypto is gone', () => { Object.defineProperty(window, 'crypto', { value: undefined }); }, false],
  ['fetch throws', () => { window.fetch = () => { throw new Error('no fetch'); }; }, false],
  ['fetch is gone', () => { window.fetch = undefined; }, false],
  ['fetch is the page\'s own and answers nothing', () => { window.fetch = () => undefined; }, false],
  ['sendBeacon throws', () => { Navigator.prototype.sendBeacon = () => { throw new TypeError('no'); }; }, true],
  ['sendBeacon is gone', () => { Navigator.prototype.sendBeacon = undefined; }, true],
  ['performance has no entries', () => { Performance.prototype.getEntriesByType = undefined; }, true],
  ['footfall is the page\'s own, and no function', () => { window.footfall = { q: 'not a queue' }; }, true],
  ['footfall is the page\'s own, and cannot be set', () => { Object.defineProperty(window, 'footfall', { value: () => {}, writable: false }); }, true],
  ['the queue has what is no call', () => { window.footfall = () => {}; footfall.q = [null, 7, 'x', [], [null], [{}], ['Fine', null], [Symbol('s')]]; }, true],
];

describe('broken pages', { concurrency: 3 }, () => {
  for (const [what, init, counts] of BREAKAGES) world.proves(`where ${what}, the page sees no exception${counts ? ', and is counted' : ''}`, (of) => ({ body: `${BUTTON}<a href="${of.elsewhere}/x"><b>out</b></a><form onsubmit="return false"><button id="send">send</button></form>` }), async (place) => {
    const page = await place.visit('/a', { init });
    await page.click('button');
    await page.click('a');
    await page.click('#send');
    await page.evaluate(() => {
      // The page's own mistakes in calling it are no exceptions either.
      if (typeof footfall === 'function') for (const call of [[], [null], ['Odd', null], ['Odd', 7], ['Odd', { props: 7, revenue: 'much' }], [Symbol('odd')], ['Odd', { get props() { throw new Error('mine'); } }]]) footfall(...call);
      document.dispatchEvent(new Event('visibilitychange'));
      dispatchEvent(new Event('blur'));
      dispatchEvent(new Event('online'));
    });
    await page.evaluate(() => { try { history.pushState({}, '', 'b'); } catch { /* it is frozen */ } });
    if (counts) await place.came(['pageview /a'], { wanted: ({ name, path }) => name === 'pageview' && path === '/a' });
    await page.goto(`${place.url}/c`);
  });
});

world.proves('a form and elements whose names hide what the script asks for are no harm', {
  body: `<form onsubmit="return false"><input name="checkValidity"><input name="getAttribute"><input name="action"><input name="closest"><input name="dataset"><button id="send" data-footfall-event="Sent">send</button></form>
    <img name="title"><img name="referrer"><img name="visibilityState"><svg><a href="${'http://127.0.0.1'}/x.pdf"><text id="text" y="20">svg</text></a></svg>`,
}, async (place) => {
  const page = await place.visit('/a');
  await page.evaluate(() => { // not by the browser's driver, which these names confuse
    document.getElementById('send').click();
    document.getElementById('text').dispatchEvent(new MouseEvent('click', { bubbles: true, cancelable: true }));
  });
  await place.came(['pageview /a'], { wanted: ({ name, path }) => name === 'pageview' && path === '/a' });
});

world.proves('a page in a sandboxed frame, without an origin, sees no exception', {
  body: (name) => (name === '/a' ? '<iframe sandbox="allow-scripts" src="framed"></iframe>' : BUTTON),
}, async (place) => {
  const page = await place.visit('/a');
  const frame = await waitFor(() => page.frames().find((one) => one.url().endsWith('/framed')), 'the frame');
  await frame.click('button');
  await place.came(['pageview /a'], { wanted: ({ path, name }) => path === '/a' && name === 'pageview' });
});
