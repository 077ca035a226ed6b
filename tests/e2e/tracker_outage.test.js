// What becomes of events while the server is away, in a real browser: they wait, and arrive once. A gate before
// the stack refuses connections, answers in its place, or loses the answers.
import assert from 'node:assert/strict';
import { after, before, describe } from 'node:test';
import { sleep } from '../parts/until.js';
import { waitFor } from './harness.js';
import { World } from './tracked.js';

const AWAY_MS = 10000;
const MOST = 100; // events that wait in a page

const world = new World();
before(() => world.start());
after(() => world.end());

const ownGate = async () => ({ gate: await world.openGate() });
const send = (page, from, to) => page.evaluate(([first, last]) => {
  for (let n = first; n <= last; n++) footfall('Event', { props: { n } });
}, [from, to]);
const numbers = (from, to) => Array.from({ length: to - from + 1 }, (_, n) => String(from + n));
const wanted = ({ name }) => name === 'Event';
const told = ({ props }) => props.n;
const EVENTS = { wanted, told };
// What had been answered before has come to the page's script.
const settled = (page) => page.evaluate(() => fetch(location.href).then((answer) => answer.text()));
const attempts = (place, n) => place.gate.sent.filter(({ p }) => p?.n === n).length;

describe('at the same time', { concurrency: 3 }, () => {
  world.proves('what was made while the server refused connections for 10 s arrives once, in its order', ownGate, async (place) => {
    const page = await place.visit('/a');
    await place.came(['pageview /a']);
    await place.gate.close();
    await send(page, 1, 20);
    await page.evaluate(() => history.pushState({}, '', 'b'));
    await sleep(AWAY_MS);
    await send(page, 21, 30);
    await place.gate.open();
    await place.came(numbers(1, 30), EVENTS);
    await place.cameAlone(page, ['pageview /a', 'pageview /b'], { wanted: ({ kind, name }) => kind < 3 && name !== 'Event' });
    await place.came(numbers(1, 30), EVENTS);
  });

  world.proves('what was made while the server answered 503 for 10 s arrives once, in its order', ownGate, async (place) => {
    place.gate.rule = () => 503;
    const page = await place.visit('/a');
    await send(page, 1, 20);
    await page.evaluate(() => history.pushState({}, '', 'b'));
    await sleep(AWAY_MS);
    await send(page, 21, 30);
    place.gate.rule = () => {};
    await place.came(numbers(1, 30), EVENTS);
    await place.cameAlone(page, ['pageview /a', 'pageview /b'], { wanted: ({ kind, name }) => kind < 3 && name !== 'Event' });
    await place.came(numbers(1, 30), EVENTS);
  });

  world.proves('a page that was opened while the server was away for its events only is counted when it is back', async () => {
    const away = await world.openGate();
    await away.close();
    return { gate: away, tag: `<script defer src="${world.gate.url}/js/${world.site.property_id}.js" data-api="${away.url}/api/event"></script>` };
  }, async (place) => {
    await place.visit('/a');
    await sleep(AWAY_MS);
    await place.gate.open();
    await place.came(['pageview /a']);
  });
});

world.proves('a hundred events in a burst all count, once, in their order, whatever limit their address has', ownGate, async (place) => {
  place.gate.client = '203.0.113.9';
  const page = await place.visit('/a');
  await place.came(['pageview /a']);
  await send(page, 1, 100);
  await place.came(numbers(1, 100), EVENTS);
  await place.cameAlone(page, ['pageview /a'], { wanted: ({ kind, name }) => kind < 3 && name !== 'Event' });
  await place.came(numbers(1, 100), EVENTS);
});

world.proves('large events, more of them than a browser lets a page have under way, all count', ownGate, async (place) => {
  const page = await place.visit('/a');
  await page.evaluate(() => {
    for (let n = 1; n <= 6; n++) footfall('Event', { props: { n, ...Object.fromEntries(Array.from({ length: 20 }, (_, key) => [`key${key}`, 'x'.repeat(1000)])) } });
  });
  await place.came(numbers(1, 6), EVENTS);
});

world.proves('of more than a hundred events that wait the latest hundred arrive', ownGate, async (place) => {
  const page = await place.visit('/a');
  await place.came(['pageview /a']);
  place.gate.rule = () => 503;
  await send(page, 1, 1);
  await waitFor(() => attempts(place, 1), 'the first attempt');
  await send(page, 2, 2 * MOST);
  place.gate.rule = () => {};
  await place.came([String(2 * MOST)], { wanted: (event) => wanted(event) && event.props.n === String(2 * MOST), told });
  const came = (await place.events(wanted)).map(told);
  assert.deepEqual(came.slice(-MOST), numbers(MOST + 1, 2 * MOST));
  assert.ok(came.length <= MOST + 1, `${came.length} came`);
});

world.proves('an answer that is lost after the server took the event does not make it count twice', ownGate, async (place) => {
  const page = await place.visit('/a');
  await place.came(['pageview /a']);
  place.gate.rule = ({ p }) => (p?.n === 1 && attempts(place, 1) < 3 ? 'swallow' : undefined);
  await send(page, 1, 2);
  await place.came(numbers(1, 2), EVENTS);
  assert.ok(attempts(place, 1) >= 3);
  await place.cameAlone(page, ['pageview /a'], { wanted: ({ kind, name }) => kind < 3 && name !== 'Event' });
  await place.came(numbers(1, 2), EVENTS);
});

world.proves('what is answered 429 is sent again, what is answered 400 or 413 is not, and those behind it come', ownGate, async (place) => {
  const page = await place.visit('/a');
  await place.came(['pageview /a']);
  const first = { 1: 429, 2: 400, 3: 413, 4: 500 };
  place.gate.rule = ({ p }) => (p && attempts(place, p.n) === 1 ? first[p.n] : undefined);
  await send(page, 1, 5);
  await place.came(['1', '4', '5'], EVENTS);
  assert.deepEqual([1, 2, 3, 4, 5].map((n) => attempts(place, n)), [2, 1, 1, 2, 1]);
});

world.proves('a repetition has the same id', ownGate, async (place) => {
  const page = await place.visit('/a');
  place.gate.rule = ({ p }) => (p && attempts(place, 1) < 3 ? 503 : undefined);
  await send(page, 1, 1);
  await place.came(['1'], EVENTS);
  const [first, ...others] = place.gate.sent.filter(({ p }) => p).map(({ id }) => id);
  assert.match(first, /^[0-9a-f]{32}$/);
  assert.deepEqual(others, [first, first]);
});

world.proves('what waits when the page is left goes along', ownGate, async (place) => {
  const page = await place.visitStopped('/a');
  await place.came(['pageview /a']);
  place.gate.rule = ({ p }) => (p?.n === 1 ? 503 : undefined);
  await send(page, 1, 5);
  await waitFor(() => attempts(place, 1), 'the first attempt');
  await settled(page);
  place.gate.rule = () => {};
  await page.goto('about:blank'); // its clock stands still: no repetition comes
  await place.came(numbers(1, 5), { ...EVENTS, ordered: false });
});

world.proves('what waits when the page is hidden is sent then, and counts once though the page comes back', ownGate, async (place) => {
  const page = await place.visitStopped('/a');
  await place.came(['pageview /a']);
  place.gate.rule = () => 503;
  await send(page, 1, 5);
  await waitFor(() => attempts(place, 1), 'the first attempt');
  await settled(page);
  place.gate.rule = () => {};
  await page.evaluate(() => {
    Object.defineProperty(document, 'visibilityState', { value: 'hidden', configurable: true });
    Object.defineProperty(document, 'hidden', { value: true, configurable: true });
    document.dispatchEvent(new Event('visibilitychange', { bubbles: true }));
  });
  await place.came(numbers(1, 5), { ...EVENTS, ordered: false });
  await page.clock.runFor(60000); // by now the queue has had its turn
  await waitFor(() => attempts(place, 5) >= 1, 'the last one is sent');
  await page.evaluate(() => footfall('Mark'));
  await place.came(['Mark /a'], { wanted: ({ name }) => name === 'Mark' });
  await place.came(numbers(1, 5), { ...EVENTS, ordered: false });
});

world.proves('as soon as the browser is online again what waits is sent', ownGate, async (place) => {
  const page = await place.visitStopped('/a');
  await place.came(['pageview /a']);
  await page.context().setOffline(true);
  await send(page, 1, 3);
  await page.context().setOffline(false); // an online event; the clock stands still
  await place.came(numbers(1, 3), EVENTS);
});

world.proves('repetitions come after 1 second, then half as often each time down to every 30 s, and end after about 10 minutes', ownGate, async (place) => {
  const page = await place.visitStopped('/a');
  await place.came(['pageview /a']);
  place.gate.rule = ({ p }) => (p?.n === 1 ? 503 : undefined);
  await send(page, 1, 1);
  let tried = 1, waited = 0;
  await waitFor(() => attempts(place, 1) === tried, 'the first attempt');
  for (const seconds of [1, 2, 4, 8, 16, 30, 30]) {
    await settled(page);
    await page.clock.runFor(seconds * 1000);
    tried++;
    waited += seconds;
    await waitFor(() => attempts(place, 1) === tried, `attempt ${tried} after ${waited} s`);
  }
  await send(page, 2, 2);
  await waitFor(async () => {
    await page.clock.runFor(30000);
    waited += 30;
    await settled(page);
    return attempts(place, 2);
  }, 'the next one has its turn');
  assert.ok(waited > 500 && waited < 720, `after ${waited} s`);
  await place.came(['2'], EVENTS);
});
