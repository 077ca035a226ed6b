// What tests of delivery prove in the end.

import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { Parts } from './parts.js';
import { until } from './until.js';

// Then stacks end, too (parts.js). A second signal must not end that half-way, so: on, not once.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => process.exit(1));

const some = (paths) => `${paths.length}: ${paths.slice(0, 5).join(' ')}`;

// A stack for a test file, with its logs where the file's other logs are.
export async function startParts(domains, settings) {
  const name = path.basename(process.argv[1], '.test.js');
  const logs = path.join(process.env.FOOTFALL_TEST_LOGS ?? fileURLToPath(new URL('../../build/test-logs', import.meta.url)), name);
  fs.rmSync(logs, { recursive: true, force: true });
  fs.mkdirSync(logs, { recursive: true });
  const stack = new Parts(logs);
  try {
    await stack.databaseStart(settings);
    await stack.sitesMake(domains);
  } catch (error) {
    await stack.end();
    throw error;
  }
  return stack;
}

// Nothing is under way from them any more.
export function isQuiet(ingresses) {
  return until(async () => (await Promise.all(ingresses.map((ingress) => ingress.metric('records_in_flight')))).every((n) => n === 0));
}

// All that was accepted comes into the tables, each once, and nothing that was refused does.
export async function proveDelivered(stack, { prefix, accepted, refused = [] }, ingresses) {
  let rows = new Map();
  await until(async () => {
    rows = await stack.stored(prefix);
    return accepted.every((path) => rows.has(path));
  }, { every: 200 });
  const missing = accepted.filter((path) => !rows.has(path));
  assert.equal(missing.length, 0, `missing of ${accepted.length} accepted ones, ${some(missing)}`);
  assert.ok(await isQuiet(ingresses), 'records are still under way');
  rows = await stack.stored(prefix);
  const doubled = [...rows].filter(([, times]) => times > 1).map(([path]) => path);
  const kept = refused.filter((path) => rows.has(path));
  assert.equal(doubled.length, 0, `counted twice, ${some(doubled)}`);
  assert.equal(kept.length, 0, `refused but kept, ${some(kept)}`);
}
