// The images together, by compose.yml and scale.yml: what a start takes, who can reach whom and do what, and that
// nothing is lost by a stop. Needs the images of this tree: `make test-compose`.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { note, request, waitFor } from '../e2e/harness.js';
import { FORBIDDEN } from '../parts/forbidden.js';
import { Visitors, once, pageView } from '../parts/visitors.js';
import { RESIDENT_MOST_KIB, SERVICES as OURS, startCompose } from './harness.js';

const INGRESSES = 2, WORKERS = 3, QUERIES = 2;
const OTHERS = ['door', 'db-app', 'db-metrics'];

let stack, site, link, firstSeconds;

before(async () => {
  stack = await startCompose(undefined, {}, firstEvent);
});
after(() => stack?.removeNow());

// What its owner does while `up` still runs.
async function firstEvent(starting) {
  link = await starting.setupLink();
  site = await starting.firstSite('first.example');
  await waitFor(async () => {
    const { status, dropped } = await once(starting.door, pageView(site, '/first'));
    return status === 202 && dropped === undefined;
  }, 'the first event', { timeout: 60000 });
  firstSeconds = starting.seconds();
}

// [service, container] of all that run.
async function everyContainer(services = [...OURS, ...OTHERS]) {
  const lists = await Promise.all(services.map(async (service) => (await stack.containers(service)).map((id) => [service, id])));
  return lists.flat();
}

// All of paths are in the tables, each once.
async function proveStored(paths) {
  let rows;
  await waitFor(async () => {
    rows = await stack.stored(site);
    return paths.every((path) => rows.has(path));
  }, `${paths.length} events in the tables`, { timeout: 60000, every: 200 });
  assert.deepEqual([...rows].filter(([, times]) => times !== 1), []);
}

test('by the link in the log of the first start an account and a site are made, and the first event is accepted', async () => {
  note(`docker-compose up: ${stack.upSeconds} s; to the first accepted event, with an account and a site made: ${firstSeconds} s`);
  assert.ok(link.startsWith(`${stack.url}/#`), link);
  const page = await request(link.replace(/#.*/, ''));
  assert.deepEqual([page.status, /<html/.test(page.text)], [200, true], 'the dashboard');
  await stack.siteKnown(site);
  await proveStored(['/first']);
});

test('accounts and sites are made by the command line in a container', async () => {
  await stack.account('second@example.org');
  const second = await stack.site('second.example', 'second@example.org');
  assert.equal((await once(stack.door, pageView(second, '/first'))).status, 202);
});

test('scale.yml starts as many as it says, and each worker is linked to each ingress and query service', async () => {
  for (const [service, count] of [['ingress', INGRESSES], ['worker', WORKERS], ['query', QUERIES]])
    assert.equal((await stack.containers(service)).length, count, service);
  for (const worker of await stack.containers('worker'))
    await waitFor(async () => await stack.metric(worker, 'links') === INGRESSES, 'links to both ingresses');
});

test('events come into the tables once each, by every ingress and every worker', async () => {
  const visitors = new Visitors({ targets: [stack.door], connections: 16, site, prefix: '/many/', rate: 400 });
  visitors.start();
  await waitFor(async () => {
    const taken = await Promise.all((await stack.containers('worker')).map((worker) => stack.metric(worker, 'records_applied_total')));
    return visitors.accepted.length > 1000 && taken.every((records) => records > 0);
  }, 'records at every worker');
  await visitors.stop();
  assert.deepEqual(visitors.open, []);
  await proveStored(visitors.accepted);
  const journals = await stack.shell((await stack.containers('ingress'))[0], 'ls /var/lib/footfall/journal');
  assert.equal(journals.stdout.split('\n').filter((name) => /^\d+$/.test(name)).length, INGRESSES);
});

test('who comes to the door is not believed about his address', async () => {
  for (const [i, address] of ['203.0.113.1', '203.0.113.2, 203.0.113.3', '10.0.0.1'].entries())
    assert.equal((await once(stack.door, pageView(site, `/liar/${i}`, {}, { 'X-Forwarded-For': address }))).status, 202);
  await proveStored(['/liar/0', '/liar/1', '/liar/2']);
  const [[visitors]] = await stack.sql('metrics', `select count(distinct visitor) from event where site_id = ${Number(site.site_id)}`);
  assert.equal(visitors, '1');
});

test('reports are answered through the door', async () => {
  const { key } = await stack.footfall(['key', 'add', '--owner', 'owner@example.org', '--scope', 'stats']);
  const answer = await request(`${stack.url}/api/v2/query`, {
    method: 'POST', headers: { 'Content-Type': 'application/json', Authorization: `Bearer ${key}` },
    body: JSON.stringify({ site_id: site.domain, metrics: ['pageviews', 'visitors'], date_range: 'all' }),
  });
  assert.equal(answer.status, 200, answer.text);
  const [[events]] = await stack.sql('metrics', `select count(*) from event where site_id = ${Number(site.site_id)}`);
  assert.deepEqual(answer.json.results[0].metrics, [Number(events), 1]);
});

test('a log from standard input is imported, and the same log again adds nothing', async () => {
  const yesterday = new Date(Date.now() - 864e5).toUTCString().replace(/^\w+, (\d+) (\w+) (\d+) ([\d:]+) GMT$/, '$1/$2/$3:$4 +0000');
  const log = `198.51.100.9 - - [${yesterday}] "GET /logged HTTP/1.1" 200 512 "-" "Mozilla/5.0 (X11; Linux x86_64) Firefox/140.0"\n`;
  for (let time = 0; time < 2; time++) {
    await stack.footfall(['log', 'import', '-', '--site', site.property_id], log);
    await proveStored(['/logged']);
  }
});

test('the command line says that all is well', async () => {
  const { services, databases } = await stack.footfall(['status']);
  assert.deepEqual(services.map(({ name, ready }) => [name, ready]), OURS.map((name) => [name, true]));
  assert.ok(databases.app.reachable && databases.metrics.reachable);
});

test('every container becomes healthy', async () => {
  await waitFor(async () => {
    const states = await Promise.all((await everyContainer()).map(async ([service, id]) => [service, (await stack.inspect(id)).State.Health.Status]));
    return states.every(([, status]) => status === 'healthy');
  }, 'all healthy', { timeout: 90000, every: 500 });
});

test('only the door is published', async () => {
  for (const [service, id] of await everyContainer()) {
    const published = Object.values((await stack.inspect(id)).NetworkSettings.Ports).filter(Boolean).flat();
    assert.deepEqual(published.map(({ HostIp, HostPort }) => `${HostIp}:${HostPort}`), service === 'door' ? [`127.0.0.1:${stack.port}`] : [], service);
  }
});

describe('nobody is root or can write where he need not', () => {
  test('processes have a user of their own, no capabilities, and can get none', async () => {
    for (const [service, id] of await everyContainer()) {
      const { stdout } = await stack.shell(id, 'cat /proc/1/status');
      assert.match(stdout, /^Uid:\s+10001\s+10001\s+10001\s+10001$/m, service);
      assert.match(stdout, /^CapEff:\s+0+$/m, service);
      assert.match(stdout, /^CapBnd:\s+0+$/m, service);
      assert.match(stdout, /^NoNewPrivs:\s+1$/m, service);
    }
  });

  test('root file systems are read-only, memory, processors and processes bounded', async () => {
    for (const [service, id] of await everyContainer()) {
      const { HostConfig } = await stack.inspect(id);
      assert.ok(HostConfig.ReadonlyRootfs && HostConfig.Memory > 0 && HostConfig.NanoCpus > 0 && HostConfig.PidsLimit > 0, service);
      assert.notEqual((await stack.shell(id, 'touch /usr/bin/x')).code, 0, service);
    }
  });

  test('each has the secrets of its own and no others', async () => {
    const theirs = {
      door: [], ingress: ['ingress.app'], worker: ['worker.app', 'worker.metrics'], query: ['query.app', 'query.metrics'],
      console: ['console.app', 'console.metrics'],
      'db-app': ['console.password', 'ingress.password', 'owner.password', 'query.password', 'worker.password'],
      'db-metrics': ['console.password', 'owner.password', 'query.password', 'worker.password'],
    };
    for (const [service, id] of await everyContainer()) {
      const { stdout } = await stack.shell(id, 'cd /run/secrets 2>/dev/null && ls');
      assert.deepEqual(stdout.split('\n').filter(Boolean).sort(), theirs[service], service);
    }
  });
});

describe('containers reach what they need, by name and by address, and nothing else', () => {
  const PORT = { ingress: 8001, worker: 8050, query: 8003, console: 8004, 'db-app': 5432, 'db-metrics': 5432, door: 8080 };
  const reaches = {
    door: ['ingress', 'query', 'console'],
    ingress: ['door', 'worker', 'query', 'console', 'db-app'],
    worker: ['ingress', 'query', 'console', 'db-app', 'db-metrics'],
    query: ['door', 'ingress', 'worker', 'console', 'db-app', 'db-metrics'],
    console: ['door', 'ingress', 'worker', 'query', 'db-app', 'db-metrics'],
    'db-app': ['ingress', 'worker', 'query', 'console'],
    'db-metrics': ['worker', 'query', 'console'],
  };
  for (const [from, expected] of Object.entries(reaches)) {
    test(`${from} reaches ${expected.join(', ')} at most`, async () => {
      const tries = [];
      for (const to of Object.keys(PORT).filter((name) => name !== from)) {
        const [other] = await stack.containers(to);
        const { Networks } = (await stack.inspect(other)).NetworkSettings;
        for (const host of [to, ...Object.values(Networks).map((network) => network.IPAddress)])
          tries.push(`timeout 3 bash -c '</dev/tcp/${host}/${PORT[to]}' 2>/dev/null && echo ${to} &`);
      }
      const { stdout } = await stack.shell((await stack.containers(from))[0], `${tries.join('\n')}\nwait`);
      assert.deepEqual([...new Set(stdout.split('\n').filter(Boolean))].sort(), [...expected].sort());
    });
  }

  test('but for the door none is in a network with a way out', async () => {
    for (const [service, id] of await everyContainer()) {
      const names = Object.keys((await stack.inspect(id)).NetworkSettings.Networks);
      const networks = JSON.parse(await stack.docker('network', 'inspect', ...names));
      const open = networks.filter(({ Internal }) => !Internal).map(({ Name }) => Name);
      assert.deepEqual(open, service === 'door' ? [`${stack.project}_public`] : [], service);
    }
  });
});

describe('each role may what its service needs, and no more', () => {
  for (const [role, attempts] of Object.entries(FORBIDDEN))
    for (const database of ['app', 'metrics'])
      test(`${role} is refused what it must not do in the ${database} database`, async () => {
        const statements = attempts.filter(([where]) => where === database).map(([, statement]) => statement);
        const { code, stderr } = await stack.psql(database, role, statements.map((statement) => `begin; ${statement}; rollback;\n`).join(''));
        if (database === 'metrics' && role === 'ingress') { // it has no password there
          assert.notEqual(code, 0);
          assert.match(stderr, /password authentication failed/);
        } else {
          const refused = stderr.split('\n').filter((line) => /ERROR: .*(permission denied|must be owner)/.test(line));
          assert.equal(refused.length, statements.length, stderr);
        }
      });

  test('the superuser cannot be had over the network', async () => {
    for (const database of ['app', 'metrics']) {
      const [id] = await stack.containers(`db-${database}`);
      const { code } = await stack.shell(id, 'PGPASSWORD= psql -Xw -h 127.0.0.1 -U postgres -c "select 1" postgres');
      assert.notEqual(code, 0);
    }
  });
});

test('clusters have checksums, keep what they commit, and divide the memory of their container', async () => {
  for (const [database, memory] of [['app', 256], ['metrics', 768]]) {
    const shown = await stack.sql(database, 'select name, setting from pg_settings');
    const settings = Object.fromEntries(shown);
    for (const name of ['data_checksums', 'fsync', 'full_page_writes', 'synchronous_commit']) assert.equal(settings[name], 'on', name);
    assert.equal(settings.password_encryption, 'scram-sha-256');
    assert.equal(Number(settings.shared_buffers) * 8192, (memory << 20) / 4);
  }
});

test('what is left over and killed in the container of a database does not disturb it', async () => {
  const [id] = await stack.containers('db-metrics');
  await stack.shell(id, '(sleep 0.2; kill -9 $BASHPID) >/dev/null 2>&1 & true');
  await stack.sql('metrics', 'select pg_sleep(1)');
  assert.doesNotMatch(await stack.docker('logs', id), /terminated by signal/);
});

test('our services stay under 30 MB resident', async () => {
  const used = await stack.docker('stats', '--no-stream', '--format', '{{.Name}} {{.MemUsage}}', ...(await everyContainer()).map(([, id]) => id));
  for (const line of used.trim().split('\n').sort()) note(`memory of ${line.slice(stack.project.length + 1)}`);
  for (const [service, id] of await everyContainer()) {
    const { VmRSS, VmHWM, RssAnon, RssShmem } = await stack.resident(id);
    note(`${service.padEnd(10)} VmRSS ${VmRSS} kB (anonymous ${RssAnon}, shared ${RssShmem}), VmHWM ${VmHWM} kB`);
    if (OURS.includes(service)) assert.ok(VmRSS - RssShmem < RESIDENT_MOST_KIB, service);
  }
});

test('no secret is in a log or in what Docker tells of a container', async () => {
  const told = [await stack.compose(['logs', '--no-color'])];
  for (const [, id] of await everyContainer()) told.push(await stack.docker('inspect', id));
  for (const role of ['owner', 'ingress', 'worker', 'query', 'console'])
    assert.ok(!told.join('\n').includes(stack.password(role)), role);
});

test('both databases can be dumped from their containers, without the keys of days', async () => {
  const app = await stack.compose(['exec', '-T', 'db-app', 'pg_dump', '-U', 'postgres', '--exclude-table-data=day_key', 'footfall_app']);
  assert.match(app, /COPY public\.site /);
  assert.doesNotMatch(app, /COPY public\.day_key /);
  assert.match(await stack.compose(['exec', '-T', 'db-metrics', 'pg_dump', '-U', 'postgres', 'footfall_metrics']), /COPY public\.string /);
});

test('docker-compose up again changes nothing, and neither does init-env', async () => {
  const before = await everyContainer();
  await stack.initEnv();
  await stack.compose(['up', '-d']);
  assert.deepEqual(await everyContainer(), before);
});

test('docker-compose stop under load ends every service by itself, and all that was accepted is in the tables', async () => {
  const visitors = new Visitors({ targets: [stack.door], connections: 16, site, prefix: '/stop/', rate: 400 });
  visitors.start();
  await waitFor(() => visitors.accepted.length > 400, 'events');
  await stack.compose(['stop']);
  await visitors.stop();
  for (const [service, id] of await everyContainer()) {
    const { State } = await stack.inspect(id);
    assert.deepEqual([State.ExitCode, State.OOMKilled], [0, false], service);
  }
  await stack.compose(['start']);
  await proveStored(visitors.accepted);
});
