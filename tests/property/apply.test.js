// The tables are what proto/words.md says of the events, in whichever order, cut and number they came.
//   SEED=n   begins at the history that failed; FOOTFALL_LONG=1 looks at ten times as many
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { after, before, test } from 'node:test';
import { startCluster } from '../e2e/cluster.js';
import { note } from '../e2e/harness.js';
import { difference, formatTables, readTables, sendStatements, tablesStatement } from './apply.js';
import { history, sending, traitsOf } from './histories.js';
import { MUTANTS } from './mutants.js';
import { tables as oracle } from './oracle.js';

const TRAITS = ['join of two visits', 'gap of exactly 30:00', 'equal ts', 'midnight', 'spring', 'autumn', 'repeated id', 'repeated record', 'event in a past month'];
const EACH = 100 * (process.env.FOOTFALL_LONG ? 10 : 1); // histories that hold a trait
const BATCH = 20; // histories in one call of psql
const WAYS = [0, 1]; // of sending a history
// In which a mutant is to be seen: always the same, since some show in one of some hundred only.
const MUTANT_SEED = 201, MUTANT_HISTORIES = 400;
const seed = Number(process.env.SEED ?? Math.floor(Math.random() * 1e9));

let cluster;
before(async () => { cluster = await startCluster('fsync = off\n'); }); // it is thrown away, whatever happens
after(() => cluster?.stop());

function psql(database, text) {
  const child = spawn('psql', ['-X', '-q', '-At', '-v', 'ON_ERROR_STOP=1', '-h', '127.0.0.1', '-p', cluster.port, '-U', 'postgres', '-d', database],
    { stdio: ['pipe', 'pipe', 'pipe'] });
  const out = [], err = [];
  child.stdout.on('data', (chunk) => out.push(chunk));
  child.stderr.on('data', (chunk) => err.push(chunk));
  child.stdin.on('error', () => {}); // of one that has ended: stderr tells why
  child.stdin.end(text);
  return new Promise((resolve, reject) => child.on('close', (code) => (code ? reject(new Error(Buffer.concat(err).toString().slice(0, 2000))) : resolve(Buffer.concat(out).toString()))));
}

// What is wrong with the tables that these histories leave, each sent to sites of its own; null: nothing.
async function wrongOf(database, seeds, firstSite, seen = () => {}) {
  let site = firstSite;
  const plans = seeds.map((one) => {
    const past = history(one), ways = WAYS.map((way) => sending(past, way));
    return { past, ways, sites: ways.map(() => site++) };
  });
  const text = plans.map(({ past, ways, sites }) => ways.map((records, i) => sendStatements(sites[i], past.zone, records)).join('\n')).join('\n');
  const tables = readTables(await psql(database, `${text}\n${tablesStatement(firstSite, site - 1)}`));
  for (const { past, ways, sites } of plans) {
    const should = formatTables(oracle(past.events, { 0: past.zone }));
    for (const [way, at] of sites.entries()) {
      const wrong = difference(tables.get(at), should);
      if (wrong) return `history SEED=${past.seed} in ${past.zone}, sent in way ${way}: + is there, - should be\n${wrong}`;
    }
    seen(traitsOf(past, ways));
  }
  return null;
}

test('every order, cut and repetition of events leaves the tables that the definitions give', async () => {
  const counts = Object.fromEntries(TRAITS.map((trait) => [trait, 0]));
  const few = () => TRAITS.some((trait) => counts[trait] < EACH);
  let next = seed, site = 1, histories = 0;
  const look = async () => {
    while (few()) {
      const seeds = Array.from({ length: BATCH }, () => next++), first = site;
      site += BATCH * WAYS.length;
      const wrong = await wrongOf('footfall_metrics', seeds, first, (traits) => {
        histories++;
        for (const trait of traits) if (trait in counts) counts[trait]++;
      });
      assert.equal(wrong, null, wrong);
    }
  };
  await Promise.all([look(), look()]);
  note(`${histories} histories from SEED=${seed}, each sent in ${WAYS.length} ways: ${Object.entries(counts).map(([trait, count]) => `${trait} ${count}`).join(', ')}`);
});

for (const [name, replacements] of Object.entries(MUTANTS)) {
  test(`it would be seen if ${name}`, async () => {
    const database = `mutant_${Object.keys(MUTANTS).indexOf(name)}`;
    await psql('postgres', `create database ${database} template footfall_metrics owner footfall_owner`);
    let text = await psql(database, "select pg_get_functiondef(name::regproc) || ';' from (values ('visits_count'), ('rollups_add')) f(name)");
    for (const [from, to] of replacements) {
      assert.ok(text.includes(from), `the functions have "${from}"`);
      text = text.replaceAll(from, to);
    }
    await psql(database, `truncate event, string, visit, visit_page, rollup_day, rollup_month, applied, progress, site; ${text}`);
    for (let i = 0; i < MUTANT_HISTORIES; i += BATCH) {
      let wrong;
      try {
        wrong = await wrongOf(database, Array.from({ length: BATCH }, (_, n) => MUTANT_SEED + i + n), 1 + i * WAYS.length);
      } catch (error) {
        if (!/duplicate key|second time/.test(error.message)) throw error;
        wrong = error.message;
      }
      if (wrong) return;
    }
    assert.fail(`${MUTANT_HISTORIES} histories show nothing`);
  });
}
