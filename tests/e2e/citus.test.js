// The metrics database can be spread by site: what of that its catalogue can tell. The script runs with
// functions of our own in the place of Citus's.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { ROOT } from '../parts/parts.js';
import { startCluster } from './cluster.js';

const METRICS = 'footfall_metrics';
const ON_THE_COORDINATOR = ['applied', 'dead_letter', 'migration', 'progress'];

let cluster;
before(async () => {
  cluster = await startCluster('fsync = off\n');
  cluster.sql(METRICS, `
    create schema citus;
    create table citus.placed (name regclass, kind text, by text, with_table text);
    create function create_distributed_table(regclass, text, colocate_with text) returns void
      language sql as $$ insert into citus.placed values ($1, 'distributed', $2, $3) $$;
    create function create_reference_table(regclass) returns void
      language sql as $$ insert into citus.placed values ($1, 'reference') $$;`);
  cluster.sql(METRICS, fs.readFileSync(path.join(ROOT, 'deploy/schema/citus.sql'), 'utf8'));
});
after(() => cluster?.stop());

const lines = (statement) => cluster.sql(METRICS, statement).trim().split('\n').filter(Boolean);

test('every table is spread by its site, beside the events, or is on every node, or stays by name', () => {
  const tables = lines(`select relname from pg_class where relnamespace = 'public'::regnamespace and relkind in ('r', 'p') and not relispartition`);
  const placed = lines('select name from citus.placed');
  assert.equal(new Set(placed).size, placed.length, 'each once');
  assert.deepEqual(tables.filter((name) => !placed.includes(name) && !ON_THE_COORDINATOR.includes(name)), []);
  assert.deepEqual(placed.filter((name) => ON_THE_COORDINATOR.includes(name)), []);
  assert.deepEqual(lines(`select name from citus.placed where kind = 'distributed' and (by <> 'site_id' or with_table <> case name::text when 'event' then 'none' else 'event' end)`), []);
});

test("the keys of all that is spread begin with the site's id", () => {
  const others = lines(`select i.indexrelid::regclass from pg_index i join citus.placed p on p.name = i.indrelid and p.kind = 'distributed'
    join pg_attribute a on a.attrelid = i.indrelid and a.attnum = i.indkey[0] where i.indisunique and a.attname <> 'site_id'`);
  assert.deepEqual(others, []);
  assert.deepEqual(lines(`select name from citus.placed p where kind = 'distributed' and not exists (select from pg_index where indrelid = p.name and indisprimary)`), []);
});

test('nothing draws from a sequence', () => {
  assert.deepEqual(lines(`select relname from pg_class where relnamespace = 'public'::regnamespace and relkind = 'S'`), []);
  assert.deepEqual(lines(`select proname from pg_proc where pronamespace = 'public'::regnamespace and prosrc ~* '\\mnextval\\M'`), []);
});

test('who deletes rows by their place says of which site: another node has other rows there', () => {
  const bodies = lines(`select regexp_replace(prosrc, '\\s+', ' ', 'g') from pg_proc where pronamespace = 'public'::regnamespace`);
  const deletions = bodies.flatMap((body) => body.match(/delete from \S+ (?:\w+ )?where [^;]*?ctid/g) ?? []);
  assert.ok(deletions.length > 8, `${deletions.length} of them`);
  assert.deepEqual(deletions.filter((text) => !/where site_id = (p_site|\$1) and ctid$/.test(text)), []);
});
