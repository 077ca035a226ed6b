// Custom events of the script in a real browser: those that pages send, and those that it finds itself.
import assert from 'node:assert/strict';
import { after, before } from 'node:test';
import { World } from './tracked.js';

const world = new World();
let bare;
before(async () => {
  await world.start();
  bare = await world.siteWith('bare.example', '--script', 'none');
});
after(() => world.end());

const STUB = '<script>window.footfall = window.footfall || function () { (footfall.q = footfall.q || []).push(arguments) }</script>';
const props = (events, ...names) => events.filter(({ kind }) => kind === 2).map((event) => (names.length ? names.map((name) => event.props?.[name]) : event.props));

// --- sent by pages --------------------------------------------------------------------------------------

world.proves('a custom event has properties and revenue, and says whether it is an interaction', {}, async (place) => {
  const page = await place.visit('/a');
  await page.evaluate(() => {
    footfall('Signup', { props: { plan: 'pro', seats: 3, paid: true }, revenue: { currency: 'EUR', amount: 12.5 } });
    footfall('Seen', { interactive: false });
    footfall('Plain');
  });
  const [, signup, seen, plain] = await place.came(['pageview /a', 'Signup /a', 'Seen /a', 'Plain /a']);
  assert.deepEqual(signup.props, { plan: 'pro', seats: '3', paid: 'true' });
  assert.deepEqual([Number(signup.revenue), signup.currency], [12.5, 'EUR']);
  assert.deepEqual([signup.interactive, seen.interactive, plain.interactive], [true, false, true]);
  assert.deepEqual([plain.props, plain.revenue], [null, null]);
});

world.proves('calls made before the script has come are sent in their order, and later ones behind them', {
  head: STUB, body: '<script>for (const n of [1, 2, 3]) footfall("Early", { props: { n } })</script>',
}, async (place) => {
  const page = await place.visit('/a');
  await page.evaluate(() => footfall('Late', { props: { n: 4 } }));
  const events = await place.came(['Early /a', 'Early /a', 'Early /a', 'Late /a'], { wanted: ({ kind }) => kind === 2 });
  assert.deepEqual(props(events, 'n').flat(), ['1', '2', '3', '4']);
  await place.came(['Early /a', 'Early /a', 'Early /a', 'Late /a', 'pageview /a'], { ordered: false });
});

world.proves("a page written for Plausible's script has its queue taken over and its function answered", {
  head: '<script>window.plausible = window.plausible || function () { (plausible.q = plausible.q || []).push(arguments) }; plausible("Early", { props: { n: 1 } })</script>',
}, async (place) => {
  const page = await place.visit('/a');
  await page.evaluate(() => plausible('Late', { props: { n: 2 }, revenue: { currency: 'USD', amount: 3 } }));
  const events = await place.came(['Early /a', 'Late /a'], { wanted: ({ kind }) => kind === 2 });
  assert.deepEqual(props(events, 'n').flat(), ['1', '2']);
  assert.equal(events[1].currency, 'USD');
});

// --- links ----------------------------------------------------------------------------------------------

world.proves('a click on a link to another host is counted, and followed', (of) => ({ body: (name) => (name === '/a' ? `<a href="${of.elsewhere}/p${of.places.size}/b?q=1"><b>there</b></a>` : '') }), async (place) => {
  const page = await place.visit('/a');
  await page.click('a b');
  await page.waitForURL(`${world.elsewhere}${place.prefix}/b?q=1`);
  const events = await place.came(['pageview /a', 'Outbound Link: Click /a', 'pageview /b'], { ordered: false });
  assert.deepEqual(props(events), [{ url: `${world.elsewhere}${place.prefix}/b?q=1` }]);
});

world.proves('so is one with the middle button; links within the host and to other schemes are not counted', (of) => ({
  body: `<a id="out" href="${of.elsewhere}/x">out</a> <a id="in" href="/elsewhere">in</a> <a id="mail" href="mailto:a@b.example">mail</a> <a id="no">no</a> <a id="bad" href="http://%" onclick="return false">bad</a>`,
}), async (place) => {
  const page = await place.visit('/a');
  for (const id of ['in', 'mail', 'no', 'bad']) await page.click(`#${id}`);
  await page.click('#in', { button: 'middle' });
  await page.click('#out', { button: 'right' });
  await page.click('#out', { button: 'middle' });
  const events = await place.cameAlone(page, ['pageview /a', 'Outbound Link: Click /a']);
  assert.deepEqual(props(events, 'url'), [[`${world.elsewhere}/x`]]);
});

world.proves('a click on a link to a file of a known kind is a download', (of) => ({
  body: `<a id="pdf" href="/files/a.pdf?v=2#page=3">pdf</a> <a id="html" href="/a.html">html</a> <a id="query" href="/get?file=a.pdf">query</a> <a id="far" href="${of.elsewhere}/c.dmg">far</a>`,
}), async (place) => {
  const page = await place.visit('/a');
  for (const id of ['pdf', 'html', 'query', 'far']) await page.click(`#${id}`);
  const events = await place.cameAlone(page, ['pageview /a', 'File Download /a', 'File Download /a'], { wanted: ({ kind, name }) => kind < 3 && name !== 'Outbound Link: Click' });
  const urls = props(events, 'url').flat();
  assert.match(urls[0], /\/files\/a\.pdf/);
  assert.match(urls[1], /\/c\.dmg$/);
});

// --- forms, tagged elements -----------------------------------------------------------------------------

world.proves('a form that is submitted is counted once it is valid, and is not held up', {
  body: (name) => (name === '/form' ? '<form action="done"><input name="mail" type="email" required> <button>go</button></form>' : ''),
}, async (place) => {
  const page = await place.visit('/form');
  await page.fill('input', 'nobody');
  await page.click('button');
  await place.cameAlone(page, ['pageview /form']);
  await page.fill('input', 'ada@example.org');
  await page.click('button');
  await page.waitForURL('**/done?*');
  const events = await place.came(['pageview /form', 'Mark /form', 'Form: Submission /form', 'pageview /done'], { ordered: false });
  assert.deepEqual(props(events.filter(({ name }) => name !== 'Mark')), [{ path: `${place.prefix}/form` }]);
});

const TAGGED = `<button id="button" data-footfall-event="Signup" data-footfall-event-plan="pro" data-footfall-event-Place="top bar" data-footfall-revenue="12.50 EUR"><i>sign up</i></button>
  <a id="link" href="#x" data-footfall-event="Menu">menu</a>
  <form data-footfall-event="Search" onsubmit="return false"><input required name="q"><button id="search">search</button></form>
  <select data-footfall-event="Chosen"><option>a<option>b</select>
  <input id="box" type="checkbox" data-footfall-event="Ticked">`;

world.proves('elements that name an event send it, with their properties and revenue: clicked, submitted or changed', { body: TAGGED }, async (place) => {
  const page = await place.visit('/a');
  await page.click('#button i');
  await page.click('#link');
  await page.click('input[name=q]'); // within a form: that is no submission
  await page.click('#search'); // not valid
  await page.fill('input[name=q]', 'x');
  await page.click('#search');
  await page.selectOption('select', 'b');
  await page.check('#box');
  const events = await place.cameAlone(page, ['pageview /a', 'Signup /a', 'Menu /a', 'Search /a', 'Chosen /a', 'Ticked /a'], { wanted: ({ kind, name }) => kind < 3 && name !== 'Form: Submission' });
  const [, signup] = events;
  assert.deepEqual(Object.fromEntries(Object.entries(signup.props).map(([name, value]) => [name.toLowerCase(), value])), { plan: 'pro', place: 'top bar' });
  assert.deepEqual([Number(signup.revenue), signup.currency], [12.5, 'EUR']);
});

world.proves("Plausible's classes name an event and its properties, too", {
  body: '<div class="box plausible-event-name=Big+Signup plausible-event-plan=very+pro"><button>sign up</button></div><form class="plausible-event-name=Sent" onsubmit="return false"><button id="send">send</button></form>',
}, async (place) => {
  const page = await place.visit('/a');
  await page.click('button');
  await page.click('#send');
  const events = await place.cameAlone(page, ['pageview /a', 'Big Signup /a', 'Sent /a'], { wanted: ({ kind, name }) => kind < 3 && name !== 'Form: Submission' });
  assert.deepEqual(events[1].props, { plan: 'very pro' });
});

// --- 404 ------------------------------------------------------------------------------------------------

world.proves('a page that is not there is counted as such, once', { status: (name) => (name === '/none' ? 404 : 200) }, async (place) => {
  const page = await place.visit('/none');
  await page.evaluate(() => history.pushState({}, '', 'other'));
  await place.cameAlone(page, ['pageview /none', '404 /none', 'pageview /other'], { ordered: false });
  await page.goto(`${place.url}/there`);
  const events = await place.came(['pageview /none', '404 /none', 'pageview /other', 'Mark /other', 'pageview /there'], { ordered: false });
  assert.deepEqual(events.find(({ name }) => name === '404').props, { path: `${place.prefix}/none` });
});

// --- metadata -------------------------------------------------------------------------------------------

const ABOUT = { type: 'article', author: 'Ada', categories: ['Databases', 'C'], tags: ['sql', 'c'] };

world.proves('what a page says of itself in a block is kept with its page views', { body: `<script type="application/json" id="footfall-page">${JSON.stringify(ABOUT)}</script>` }, async (place) => {
  const page = await place.visit('/a');
  await page.evaluate(() => footfall('Event'));
  const [view, event] = await place.came(['pageview /a', 'Event /a']);
  assert.deepEqual(view.metadata, ABOUT);
  assert.equal(event.metadata, null);
});

world.proves("so is what it says by attributes of the script's tag", { attributes: 'data-type="article" data-author="Ada" data-categories="Databases, C" data-tags="sql,c"' }, async (place) => {
  await place.visit('/a');
  const [view] = await place.came(['pageview /a']);
  assert.deepEqual(view.metadata, ABOUT);
});

for (const [how, text] of [['broken', '{"type": "article",'], ['no object', '"article"'], ['null', 'null'], ['of another shape', '{"type": {"a": 1}, "tags": 7}']]) {
  world.proves(`a block that is ${how} is no metadata, and no error`, { body: `<script type="application/json" id="footfall-page">${text}</script>` }, async (place) => {
    const page = await place.visit('/a');
    const [view] = await place.cameAlone(page, ['pageview /a']);
    assert.equal(view.metadata, null);
  });
}

// --- parts ----------------------------------------------------------------------------------------------

world.proves('a site that wants none of the parts has page views and custom events alone', () => ({
  site: bare, status: 404,
  body: `<script type="application/json" id="footfall-page">${JSON.stringify(ABOUT)}</script><a id="out" href="${world.elsewhere}/x">out</a> <a id="pdf" href="/a.pdf">pdf</a> ${TAGGED}`,
}), async (place) => {
  const page = await place.visit('/a');
  await page.click('#out');
  await page.click('#pdf');
  await page.click('#button');
  await page.fill('input[name=q]', 'x');
  await page.click('#search');
  await page.evaluate(() => { history.pushState({}, '', 'b'); footfall('Event'); });
  const [view] = await place.cameAlone(page, ['pageview /a', 'pageview /b', 'Event /b'], { wanted: () => true });
  assert.equal(view.metadata, null);
});

world.proves('the script of a site without parts is smaller', {}, async () => {
  const [small, whole] = await Promise.all([bare, world.site].map(async ({ property_id }) => (await fetch(`${world.stack.url}/js/${property_id}.js`)).text()));
  assert.ok(small.length < whole.length, `${small.length} and ${whole.length}`);
});
