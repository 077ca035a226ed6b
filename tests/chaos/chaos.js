// Whatever is killed: every event that was answered 2xx is in the tables exactly once, one that was not
// at most once, and one that only ingresses themselves refused not at all. ROUNDS and SEED are read from
// the environment; the same seed gives the same schedule of faults. Ends with "N passed, N failed": a
// round is passed when it counted (see counts()) and nothing was wrong in it.

import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { sleep, until } from '../parts/until.js';
import { bag, KINDS } from './faults.js';
import { Load } from './load.js';
import { Random } from '../parts/random.js';
import { Stack } from './stack.js';

const ROUNDS = Number(process.env.ROUNDS || (process.env.FOOTFALL_LONG ? 20 : 3));
const SEED = Number(process.env.SEED || Math.floor(Math.random() * 1e9));
const RATE = 3000; // events/s that clients try to send
const CONNECTIONS = { direct: 20, door: 32 };
const ACCEPTED_LEAST = 10000, KILLS_LEAST = 3, REDELIVERED_LEAST = 1;
const ROUND_MOST_MS = 90000; // to fulfil these
const ANSWERS_MOST_MS = 60000; // with everything running
const STILL_MS = 60000; // nothing changes for so long: what is missing will not come
const SHOWN = 5; // events with their history

const logs = path.join(process.env.FOOTFALL_TEST_LOGS || fileURLToPath(new URL('../../build/test-logs', import.meta.url)), 'chaos');
fs.rmSync(logs, { recursive: true, force: true });
fs.mkdirSync(logs, { recursive: true });

const clock = (ms = Date.now()) => new Date(ms).toISOString().slice(11, 23);
const note = (text) => fs.appendFileSync(path.join(logs, 'timeline.log'), `${clock()} ${text}\n`);
const number = (n) => n.toLocaleString('en');

const totals = { accepted: 0, ms: 0, others: 0, missing: 0, doubled: 0, kept: 0, redelivered: 0, repeats: 0, faults: {} };
const stack = new Stack(logs);
let load;

async function fault({ kind, plan }) {
  const { kill, name, run } = KINDS[kind], what = `${kill ? 'kill' : kind} ${name(plan)}`;
  note(`${what} for ${plan.ms} ms`);
  totals.faults[kind] = (totals.faults[kind] ?? 0) + 1;
  await run(stack, plan);
  note(`${what} is over`);
}

const redelivered = () => stack.total('footfall_records_resent_total');
const repeats = () => stack.total('footfall_records_repeated_total');

function counts(round) {
  return round.accepted >= ACCEPTED_LEAST && round.kills >= KILLS_LEAST
    && round.redelivered + round.repeats >= REDELIVERED_LEAST;
}

// Faults, one bag after the other, until the round counts.
async function storm(random, n, round) {
  const before = [redelivered(), repeats()];
  for (const end = Date.now() + ROUND_MOST_MS; Date.now() < end;) {
    const running = [];
    for (const next of bag(random, n)) {
      await sleep(next.after);
      running.push(fault(next));
      round.kills += KINDS[next.kind].kill;
    }
    await Promise.all(running);
    await stack.look();
    Object.assign(round, { accepted: load.accepted, redelivered: redelivered() - before[0], repeats: repeats() - before[1] });
    if (counts(round)) return;
  }
}

// How often each number is in the tables, from `first` on.
async function stored(first) {
  const rows = await stack.metrics(`select substr(s.value, 4), count(*) from event e
    join string s on s.site_id = e.site_id and s.id = e.page
    where s.value like '/e/%' and substr(s.value, 4)::int >= ${first} group by 1`);
  return new Map(rows.map(([n, times]) => [Number(n), Number(times)]));
}

// Wait until all that was accepted is in the tables, or nothing changes any more.
async function delivered(events) {
  let rows, last = -1, since = Date.now();
  for (;;) {
    rows = await stored(events[0].n);
    if (rows.size !== last) since = Date.now();
    last = rows.size;
    if (events.every((event) => event.state !== 'accepted' || rows.has(event.n)) || Date.now() - since > STILL_MS) return rows;
    await sleep(500);
  }
}

// Wait until no record is on its way any more: a repeat may still come behind its first copy.
function quiet() {
  return until(async () => (await stack.look()).every((now) => now && !now.footfall_records_in_flight), { timeout: 90000, every: 500 });
}

function show(what, events, rows) {
  for (const event of events.slice(0, SHOWN)) {
    const tries = event.history.map(([at, target, answer]) => `${clock(at)} ${target}: ${answer}`);
    console.log(`    ${what}: /e/${event.n} of ${event.site}, ${rows.get(event.n) ?? 0} times in the tables; ${tries.join('; ') || 'never sent'}`);
  }
}

function judge(round, rows) {
  const { events } = load;
  const missing = events.filter((event) => event.state === 'accepted' && !rows.has(event.n));
  const doubled = events.filter((event) => rows.get(event.n) > 1);
  const kept = events.filter((event) => event.state !== 'accepted' && !event.doubtful && rows.has(event.n));
  const refused = events.filter((event) => event.state === 'refused');
  show('missing', missing, rows);
  show('doubled', doubled, rows);
  show('refused but kept', kept, rows);
  show('refused for good', refused, rows);
  Object.assign(round, { missing: missing.length, doubled: doubled.length, kept: kept.length, refused: refused.length, others: events.length - load.accepted });
}

async function play(n, random) {
  const round = { kills: 0, redelivered: 0, repeats: 0 };
  const before = [redelivered(), repeats()];
  note(`round ${n}`);
  stack.find();
  await until(() => stack.ready());
  load.begin();
  await storm(random, n, round);
  const answered = await load.end(ANSWERS_MOST_MS);
  const ready = await until(() => stack.ready());
  const healed = Date.now();
  const rows = await delivered(load.events);
  const took = Date.now() - healed;
  const still = await quiet();
  judge(round, still ? await stored(load.first) : rows);
  Object.assign(round, { accepted: load.accepted, redelivered: redelivered() - before[0], repeats: repeats() - before[1] });
  for (const name of ['accepted', 'others', 'missing', 'doubled', 'kept', 'redelivered', 'repeats']) totals[name] += round[name];
  totals.ms += load.lasted;
  const faults = [
    !counts(round) && 'it does not count',
    !answered && 'clients were left without an answer',
    !ready && 'not everything came back',
    !still && 'records are still under way',
    round.refused && `${round.refused} refused for good`,
    round.kept && `${round.kept} refused but kept`,
    round.missing && `${round.missing} missing`,
    round.doubled && `${round.doubled} doubled`,
  ].filter(Boolean);
  console.log(`round ${n}: ${(load.lasted / 1000).toFixed(1)} s, ${number(round.accepted)} accepted (${number(Math.round(round.accepted / load.lasted * 1000))}/s), `
    + `${round.others} others, ${round.kills} kills, ${round.redelivered} redelivered, ${round.repeats} repeats refused, `
    + `delivered ${(took / 1000).toFixed(1)} s after: ${faults.join(', ') || 'ok'}`);
  return !faults.length;
}

async function run() {
  const random = new Random(SEED);
  let passed = 0;
  console.log(`chaos: ROUNDS=${ROUNDS} SEED=${SEED}`);
  await stack.start();
  if (stack.disk.denied) console.log('# note: this system allows no small filesystem: the journals met a small bound, not a full disk');
  const targets = stack.targets().map((target) => ({ ...target, connections: target.door ? CONNECTIONS.door : CONNECTIONS.direct }));
  load = new Load({ random: new Random(SEED + 1), sites: stack.sites.map(({ domain }) => domain), key: stack.key, targets, rate: RATE });
  const looking = setInterval(() => stack.look(), 250);
  for (let n = 1; n <= ROUNDS; n++) passed += await play(n, random);
  clearInterval(looking);
  const twice = [...(await stored(0))].filter(([, times]) => times > 1).length;
  const aside = Number((await stack.metrics('select count(*) from dead_letter'))[0][0]);
  const kinds = Object.entries(totals.faults).map(([kind, times]) => `${kind} ${times}`).join(', ');
  const surprises = stack.surprises();
  console.log(`faults: ${kinds}`);
  if (surprises.length) console.log(`# note: ended by themselves, and were started again: ${surprises.join(', ')}`);
  console.log(`in all: ${number(totals.accepted)} accepted (${number(Math.round(totals.accepted / totals.ms * 1000))}/s), ${totals.others} others, `
    + `${totals.redelivered} redelivered, ${totals.repeats} repeats refused, ${aside} set aside, ${totals.missing} missing, ${twice} doubled, ${totals.kept} refused but kept`);
  const failed = ROUNDS - passed + (twice > totals.doubled);
  console.log(`${passed} passed, ${failed} failed`);
  return failed ? 1 : 0;
}

let ending;
function end(status) {
  ending ??= (async () => {
    load?.close();
    await stack.end();
    process.exit(status);
  })();
  return ending;
}
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => end(1));
const fail = (error) => {
  if (!ending) console.log(`chaos: ${error.stack}\n0 passed, 1 failed`);
  return end(1);
};
process.on('uncaughtException', fail).on('unhandledRejection', fail);
end(await run().catch((error) => fail(error) && 1));
