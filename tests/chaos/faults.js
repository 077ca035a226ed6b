// What may go wrong. A kind's plan() draws all that is random about one fault, so that a seed gives the
// same schedule whatever the stack does; its run() makes it happen, waits, and heals it.

import { sleep, until } from '../parts/until.js';

const LINK_PARTS = [[0, 1], [0], [1]]; // both ways, records only, acknowledgements only
const LOCK_MOST_MS = 10000; // to try
const DISK_FULL_MOST_MS = 12000; // until an ingress has met the full disk

const link = (state) => ({
  kill: false,
  plan: (random) => ({ worker: random.between(0, 2), ingress: random.between(0, 1), parts: random.pick(LINK_PARTS), ms: random.between(300, 5000) }),
  name: (plan) => `worker-${plan.worker} to ingress-${plan.ingress}${['', ' records', ' acks'][LINK_PARTS.indexOf(plan.parts)]}`,
  run: async (stack, plan) => {
    const one = stack.links[plan.worker][plan.ingress];
    one.set(state, plan.parts);
    await sleep(plan.ms);
    one.set('whole', plan.parts);
  },
});

async function restart(service, ms) {
  await service.kill();
  await sleep(ms);
  service.start();
}

export const KINDS = {
  ingress: {
    kill: true,
    // In turn: one; one that does not come back before all is delivered, so that the other has to deliver
    // what it left; both.
    plan: (random, round) => ({ n: random.between(0, 1), ms: random.between(50, 2500), lost: round % 3 === 2, both: round % 3 === 0 }),
    name: (plan) => plan.both ? 'both ingresses' : `ingress-${plan.n}${plan.lost ? ' until all is delivered' : ''}`,
    run: (stack, plan) => plan.lost ? stack.lose(stack.ingresses[plan.n])
      : Promise.all((plan.both ? stack.ingresses : [stack.ingresses[plan.n]]).map((service) => restart(service, plan.ms))),
  },
  worker: {
    kill: true,
    plan: (random) => ({ n: random.between(0, 2), ms: random.between(50, 2500) }),
    name: (plan) => `worker-${plan.n}`,
    run: (stack, plan) => restart(stack.workers[plan.n], plan.ms),
  },
  postgres: {
    kill: true,
    plan: (random) => ({ ms: random.between(50, 2000) }),
    name: () => 'PostgreSQL',
    run: async (stack, plan) => {
      await stack.database.crash();
      await sleep(plan.ms);
      await stack.database.recover();
    },
  },
  lock: { // as a migration or a person may
    kill: false,
    plan: (random) => ({ ms: random.between(500, 8000) }),
    name: () => 'the table of events',
    // PostgreSQL may be killed before it, or meanwhile: once more, then.
    run: (stack, plan) => until(() => stack.metrics(`begin; lock table event in access exclusive mode; select pg_sleep(${plan.ms / 1000})`)
      .then(() => true, () => false), { timeout: LOCK_MOST_MS }),
  },
  door: {
    kill: true,
    plan: (random) => ({ ms: random.between(50, 1500) }),
    name: () => 'the door',
    run: (stack, plan) => restart(stack.door, plan.ms),
  },
  stop: {
    kill: false,
    plan: (random) => ({ n: random.between(0, 2), ms: random.between(500, 8000) }),
    name: (plan) => `worker-${plan.n}`,
    run: async (stack, plan) => {
      const go = stack.workers[plan.n].pause();
      await sleep(plan.ms);
      go();
    },
  },
  cut: link('cut'),
  stall: link('stall'),
  'disk full': {
    kill: false,
    plan: (random) => ({ ms: random.between(300, 2000) }),
    name: () => 'the journals',
    run: async (stack, plan) => {
      await stack.disk.fill();
      await until(() => stack.ingresses.some((service) => service.now.footfall_journal_full), { timeout: DISK_FULL_MOST_MS });
      await sleep(plan.ms);
      stack.disk.empty();
    },
  },
};

// A round's faults: each kind once, in random order, each a random time after the one before it.
export function bag(random, round) {
  return random.shuffled(Object.keys(KINDS)).map((kind) => ({ kind, after: random.between(200, 1800), plan: KINDS[kind].plan(random, round) }));
}
