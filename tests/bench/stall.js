// Print what it costs the others when one of three workers stalls for a minute: first it is stopped, then
// its database says nothing. How many events a second come into the tables, next to the minute before, and
// how long an event takes from its answer to there. Under a load of BENCH_RATE (2000) a second over two
// ingresses; BENCH_SECONDS (60) for each minute. At the end all must be in the tables, each once.
import { proveDelivered, startParts } from '../parts/proof.js';
import { sleep } from '../parts/until.js';

const seconds = Number(process.env.BENCH_SECONDS ?? 60), rate = Number(process.env.BENCH_RATE ?? 2000);
const PREFIX = '/stall-', NAME_WIDTH = 40;

const part = (sorted, share) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? NaN;

function line(name, visitors, storedMs, [from, to], before) {
  const arrived = [...storedMs.values()].filter((ms) => ms >= from && ms < to).length / ((to - from) / 1000);
  const took = visitors.accepted.flatMap((path, i) => visitors.acceptedMs[i] >= from && visitors.acceptedMs[i] < to ? [storedMs.get(path) - visitors.acceptedMs[i]] : [])
    .sort((a, b) => a - b);
  const columns = [Math.round(arrived), before ? (arrived / before).toFixed(2) : '', ...[0.5, 0.99, 1].map((share) => (part(took, share) / 1000).toFixed(2))];
  console.log(name.padEnd(NAME_WIDTH) + columns.map((column) => String(column).padStart(10)).join(''));
  return arrived;
}

const stack = await startParts(['stall.example'], 'track_commit_timestamp = on');
try {
  const [site] = stack.sites;
  const ingresses = [0, 1].map((i) => stack.ingress(`ingress-${i}`, 10 + i, { FOOTFALL_JOURNAL_DIR: stack.folder(`journal-${i}`) }));
  const links = ingresses.map(({ link }) => link), pipe = await stack.pipe(200);
  const workers = [0, 1].map((i) => stack.worker(`worker-${i}`, 20 + i, links));
  workers.push(stack.worker('worker-2', 22, links, { FOOTFALL_METRICS_DB: stack.conninfo('worker', 'metrics', pipe) }));
  await stack.running(...ingresses, ...workers);
  const visitors = stack.visitors(ingresses, { site, prefix: PREFIX, rate, connections: 32 });
  const phase = async () => {
    const from = Date.now();
    await sleep(seconds * 1000);
    return [from, Date.now()];
  };
  await sleep(5000); // connections, caches
  const phases = { 'three workers': await phase() };
  const goOn = workers[2].pause();
  phases['one of them stopped'] = await phase();
  goOn();
  await sleep(10000);
  pipe.set('stall');
  phases["one of them waits for the database's word"] = await phase();
  pipe.set('whole');
  await visitors.stop();
  await proveDelivered(stack, visitors, ingresses);
  const rows = await stack.metrics(`select s.value, (extract(epoch from pg_xact_commit_timestamp(e.xmin)) * 1000)::bigint
    from event e join string s on s.site_id = e.site_id and s.id = e.page where starts_with(s.value, '${PREFIX}')`);
  const storedMs = new Map(rows.map(([path, ms]) => [path, Number(ms)]));
  console.log(`${rate} events/s over two ingresses, ${seconds} s each; seconds from the answer to the tables, of events of that time`);
  console.log(' '.repeat(NAME_WIDTH) + ['stored/s', 'ratio', 'p50', 'p99', 'longest'].map((name) => name.padStart(10)).join(''));
  let before;
  for (const [name, span] of Object.entries(phases)) {
    const arrived = line(name, visitors, storedMs, span, before);
    before ??= arrived;
  }
  console.log(`${visitors.accepted.length} accepted, all in the tables, each once`);
} finally {
  await stack.end();
}
