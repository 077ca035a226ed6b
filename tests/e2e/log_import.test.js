// `footfall log import` against a server of our own that keeps what it is sent: no stack is needed.
// What a real stack makes of it is another test's matter.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import fs from 'node:fs';
import http from 'node:http';
import os from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import zlib from 'node:zlib';

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../..');
const footfall = process.env.FOOTFALL_BIN || path.join(root, 'build/bin/footfall');
const realLog = path.join(root, 'tests/data/logs/apache_combined_10k.log');
const site = '0b54cd4e-6ac3-4a4c-8d0a-3b1f8f1d2e11';
const key = 'a-key';

let folder, server, requests, answerNext, logFile, followed;

// Every request is kept; answerNext(events, number) may say {status, headers, body} or 'hang' or 'cut'.
async function startServer(port = 0) {
  requests = [];
  answerNext = () => undefined;
  server = http.createServer((req, res) => {
    const chunks = [];
    req.on('data', (chunk) => chunks.push(chunk));
    req.on('end', () => {
      const body = Buffer.concat(chunks);
      const events = body.toString('utf8').split('\n').filter(Boolean).map((line) => JSON.parse(line));
      const request = { events, bytes: body.length, url: req.url, headers: req.headers, accepted: false };
      requests.push(request);
      const said = answerNext(events, requests.length) || {};
      if (said === 'hang') return;
      if (said === 'cut') {
        request.accepted = true; // taken, but the client does not hear of it
        req.socket.destroy();
        return;
      }
      request.accepted = !said.status || said.status === 200;
      res.writeHead(said.status || 200, { 'Content-Type': 'application/json', ...said.headers });
      res.end(JSON.stringify(said.body || { accepted: events.length, rejected: 0, unavailable: 0, results: [] }));
    });
  });
  await new Promise((resolve) => server.listen(port, '127.0.0.1', resolve));
}

beforeEach(async () => {
  folder = fs.mkdtempSync(path.join(os.tmpdir(), 'log-import-'));
  logFile = path.join(folder, 'access.log');
  followed = [];
  await startServer();
});

afterEach(async () => {
  for (const child of followed) child.kill('SIGKILL'); // of a test that failed
  server.closeAllConnections?.();
  await new Promise((resolve) => server.close(resolve));
  fs.rmSync(folder, { recursive: true });
});

function start(args, options = {}) {
  const env = { PATH: process.env.PATH, HOME: folder };
  const child = spawn(footfall, ['log', 'import', ...args], { env, cwd: folder });
  child.stdin.on('error', () => {});
  child.stdin.end(options.input);
  const done = new Promise((resolve) => {
    const out = [], err = [];
    child.stdout.on('data', (chunk) => out.push(chunk));
    child.stderr.on('data', (chunk) => err.push(chunk));
    child.on('close', (code, signal) =>
      resolve({ code, signal, out: Buffer.concat(out).toString(), err: Buffer.concat(err).toString() }));
  });
  return { child, done };
}

const url = () => `http://127.0.0.1:${server.address().port}`;
const remote = (file, ...more) =>
  [file, '--site', site, '--url', url(), '--key', key, '--domain', 'example.org', ...more];

// Run it, expect success, and give its JSON.
async function runImport(file, options = {}) {
  const result = await start([...remote(file, '--json'), ...(options.args || [])], options).done;
  assert.equal(result.code, 0, result.err);
  return JSON.parse(result.out);
}

const sentEvents = () => requests.filter((r) => r.accepted).flatMap((r) => r.events);
const ids = (events) => events.map((event) => event.id);
const distinctIds = () => new Set(ids(sentEvents()));

const line = (n, request = `GET /page/${n} HTTP/1.1`, status = 200) =>
  `192.0.2.${n % 250} - - [10/Oct/2020:13:55:${String(n % 60).padStart(2, '0')} +0200] "${request}" ${status} 12 "-" "Agent/${n}"\n`;
const lines = (from, to) => Array.from({ length: to - from + 1 }, (_, i) => line(from + i)).join('');

// What a page view is, told once more and differently: this list is that of services/cli/README.md.
const readme = fs.readFileSync(path.join(root, 'services/cli/README.md'), 'utf8');
const assetExtensions = new Set([...readme.matchAll(/^\| (?:[a-z ,]+) \| ((?:`[a-z0-9]+` ?)+)\|$/gm)]
  .flatMap((row) => [...row[1].matchAll(/`([a-z0-9]+)`/g)].map((m) => m[1])));

function expectedViews(text) {
  return text.split('\n').flatMap((one) => {
    const m = /^(\S+) \S+ \S+ \[([^\]]+)\] "(\S+) (\S+)[^"]*" (\d+) /.exec(one);
    if (!m || m[3] !== 'GET' || !(/^2/.test(m[5]) || m[5] === '304')) return [];
    const extension = /\.([A-Za-z0-9]+)$/.exec(m[4].split(/[?#;]/)[0]);
    return extension && assetExtensions.has(extension[1].toLowerCase()) ? [] : [{ ip: m[1], url: m[4] }];
  });
}

test('the real log gives the page views that a few lines of another language find', async () => {
  const result = await runImport(realLog);
  const expected = expectedViews(fs.readFileSync(realLog, 'latin1'));
  const events = sentEvents();

  assert.ok(assetExtensions.size > 90);
  assert.equal(result.lines, 10000);
  assert.equal(result.imported, expected.length);
  assert.equal(events.length, expected.length);
  const counted = (list) => list.map((e) => `${e.ip} ${e.url.replace('https://example.org', '')}`).sort();
  assert.deepEqual(counted(events), counted(expected));
  assert.equal(new Set(ids(events)).size, events.length, 'equal lines have ids of their own');
  const skipped = Object.values(result.skipped).reduce((a, b) => a + b);
  assert.equal(skipped + result.imported, 10000);
});

test('batches have at most 1,000 events and less than a MiB, and name key, site, time and visitor', async () => {
  fs.writeFileSync(logFile, lines(1, 2500));
  await runImport(logFile);
  const sizes = requests.map((r) => r.events.length);

  assert.deepEqual(sizes.sort((a, b) => a - b), [500, 1000, 1000]);
  for (const request of requests) {
    assert.equal(request.url, '/api/v1/events');
    assert.equal(request.headers.authorization, `Bearer ${key}`);
    assert.equal(request.headers['content-type'], 'application/x-ndjson');
    assert.ok(request.bytes < 1 << 20);
  }
  const event = sentEvents().find((e) => e.user_agent === 'Agent/7');
  assert.deepEqual({ ...event, id: '' }, {
    id: '', name: 'pageview', property_id: site, timestamp: '2020-10-10T13:55:07+02:00',
    url: 'https://example.org/page/7', ip: '192.0.2.7', user_agent: 'Agent/7',
  });
});

test('long lines make smaller batches', async () => {
  const long = 'r'.repeat(5000);
  fs.writeFileSync(logFile, lines(1, 1000).replaceAll('"-"', `"http://${long}/"`));
  await runImport(logFile);
  assert.equal(sentEvents().length, 1000);
  for (const request of requests) assert.ok(request.bytes < 1 << 20);
});

test('the same log again changes nothing and says so', async () => {
  fs.writeFileSync(logFile, lines(1, 1200));
  await runImport(logFile);
  const before = requests.length;
  const again = await start(remote(logFile)).done;

  assert.equal(again.code, 0);
  assert.match(again.out, /lines 1 to 1,200 were imported on \d{4}-\d\d-\d\dT[\d:]+Z: nothing new/);
  assert.equal(requests.length, before);
});

test('a log that has grown is continued, under another name and compressed as well', async () => {
  fs.writeFileSync(logFile, lines(1, 1500));
  await runImport(logFile);
  fs.appendFileSync(logFile, lines(1501, 1600));
  let result = await runImport(logFile);
  assert.deepEqual([result.lines_before, result.lines, result.imported], [1500, 100, 100]);

  fs.appendFileSync(logFile, lines(1601, 1700));
  fs.renameSync(logFile, `${logFile}.1`);
  result = await runImport(`${logFile}.1`);
  assert.deepEqual([result.lines_before, result.imported], [1600, 100]);

  const text = fs.readFileSync(`${logFile}.1`);
  fs.writeFileSync(`${logFile}.2.gz`, zlib.gzipSync(Buffer.concat([text, Buffer.from(lines(1701, 1750))])));
  result = await runImport(`${logFile}.2.gz`);
  assert.deepEqual([result.lines_before, result.imported], [1700, 50]);
  assert.equal(distinctIds().size, 1750);
  assert.equal(sentEvents().length, 1750);
});

test('gzip and stdin give the same events as the plain file', async () => {
  const text = lines(1, 1100);
  const ledger = path.join(folder, 'ledger.json');
  fs.writeFileSync(logFile, lines(1, 1));
  await runImport(logFile, { args: ['--ledger', ledger] }); // the key of the ids
  const fresh = JSON.parse(fs.readFileSync(ledger, 'utf8'));
  const found = [];

  fs.writeFileSync(logFile, text);
  fs.writeFileSync(`${logFile}.gz`, zlib.gzipSync(text));
  for (const [file, input] of [[logFile], [`${logFile}.gz`], ['-', text], ['-', zlib.gzipSync(text)]]) {
    requests.length = 0;
    fs.writeFileSync(ledger, JSON.stringify({ ...fresh, files: {} }));
    await runImport(file, { input, args: ['--ledger', ledger] });
    found.push(sentEvents().sort((a, b) => (a.id < b.id ? -1 : 1)));
  }
  assert.equal(found[0].length, 1100);
  for (const events of found) assert.deepEqual(events, found[0]);
});

test('equal lines count each, and keep their own ids', async () => {
  fs.writeFileSync(logFile, line(1).repeat(50));
  await runImport(logFile);
  assert.equal(distinctIds().size, 50);
});

test('killed while a batch is on its way, the next run sends it again with the same ids', async () => {
  fs.writeFileSync(logFile, lines(1, 3000));
  const { child, done } = start(remote(logFile));
  // The second batch is taken, but its answer never arrives.
  await new Promise((resolve) => {
    answerNext = (events, number) => {
      if (number < 2) return undefined;
      if (number === 2) resolve();
      return 'hang';
    };
  });
  child.kill('SIGKILL');
  assert.equal((await done).signal, 'SIGKILL');
  for (const request of requests) request.accepted = true;
  const first = requests.slice();
  answerNext = () => undefined;
  const result = await runImport(logFile);

  assert.ok(result.lines_before <= 1000);
  assert.equal(distinctIds().size, 3000);
  const again = new Set(ids(requests.slice(first.length).flatMap((r) => r.events)));
  for (const id of ids(first[1].events)) assert.ok(again.has(id));
});

test('a connection that breaks after the server took the batch repeats its ids', async () => {
  fs.writeFileSync(logFile, lines(1, 10));
  answerNext = (events, number) => (number === 1 ? 'cut' : undefined);
  await runImport(logFile);
  assert.equal(requests.length, 2);
  assert.deepEqual(requests[0].events, requests[1].events);
});

test('503 is tried again, not before Retry-After', async () => {
  const times = [];
  fs.writeFileSync(logFile, lines(1, 10));
  answerNext = (events, number) => {
    times.push(Date.now());
    return number === 1 ? { status: 503, headers: { 'Retry-After': '1' }, body: { error: 'full' } } : undefined;
  };
  const result = await runImport(logFile);
  assert.equal(result.imported, 10);
  assert.equal(requests.length, 2);
  assert.ok(times[1] - times[0] >= 950);
  assert.deepEqual(requests[0].events, requests[1].events);
});

test('events that the server could not take are sent again alone, rejected ones counted by reason', async () => {
  fs.writeFileSync(logFile, lines(0, 9));
  answerNext = (events, number) => (number === 1
    ? { body: { accepted: 6, rejected: 2, unavailable: 2, results: [
      { index: 1, status: 'rejected', error: 'timestamp is in the future' },
      { index: 4, status: 'rejected', error: 'timestamp is in the future' },
      { index: 8, status: 'unavailable', error: 'not taken now' },
      { index: 9, status: 'unavailable', error: 'not taken now' }] } }
    : undefined);
  const result = await runImport(logFile);

  assert.deepEqual(requests[1].events, requests[0].events.slice(8));
  assert.deepEqual([result.imported, result.rejected], [8, 2]);
  assert.deepEqual(result.rejected_reasons, { 'timestamp is in the future': 2 });
});

test('a server that takes nothing is given up in time, and the next run goes on', async () => {
  fs.writeFileSync(logFile, lines(1, 10));
  answerNext = () => ({ status: 503 });
  const failed = await start(remote(logFile, '--retry-for', '1')).done;
  assert.equal(failed.code, 1);
  assert.match(failed.err, /^footfall: gave up after 1 s: .*503/m);
  answerNext = () => undefined;
  assert.equal((await runImport(logFile)).imported, 10);
  assert.equal(new Set(ids(requests.flatMap((r) => r.events))).size, 10);
});

test('a site or key that is not known yet is tried again, and nothing is put down before', async () => {
  const unknown = { body: { accepted: 0, rejected: 1, unavailable: 0, results: [
    { index: 0, status: 'rejected', error: 'no site of this key has that domain or property_id' }] } };
  fs.writeFileSync(logFile, lines(1, 1));
  answerNext = (events, number) => [{ status: 401, body: { error: 'a key is needed' } }, unknown][number - 1];
  assert.equal((await runImport(logFile)).imported, 1);
  assert.equal(requests.length, 3);

  fs.writeFileSync(logFile, lines(2, 2));
  answerNext = () => unknown;
  const failed = await start(remote(logFile)).done;
  assert.equal(failed.code, 1);
  assert.match(failed.err, /no site of this key/);
  answerNext = () => undefined;
  assert.equal((await runImport(logFile)).imported, 1);
});

test('a server that rejects every event is an error, and nothing is put down', async () => {
  fs.writeFileSync(logFile, lines(1, 3));
  answerNext = (events) => ({ body: { accepted: 0, rejected: 3, unavailable: 0,
    results: events.map((e, index) => ({ index, status: 'rejected', error: 'url is wrong' })) } });
  const failed = await start(remote(logFile)).done;
  assert.equal(failed.code, 1);
  assert.match(failed.err, /rejects every event: url is wrong/);
  answerNext = () => undefined;
  assert.equal((await runImport(logFile)).imported, 3);
});

test('without the domain, pages are sent as paths of the site', async () => {
  fs.writeFileSync(logFile, lines(1, 1));
  const result = await start([logFile, '--site', site.toUpperCase(), '--url', `${url()}/`, '--key', key]).done;
  assert.equal(result.code, 0, result.err);
  assert.deepEqual(sentEvents().map((e) => [e.url, e.property_id]), [['/page/1', site]]);
});

test('skipped lines are counted by reason', async () => {
  fs.writeFileSync(logFile, [
    line(1), line(2, 'POST /form HTTP/1.1'), line(3, 'HEAD / HTTP/1.1'), line(4, 'GET /gone HTTP/1.1', 404),
    line(5, 'GET /moved HTTP/1.1', 301), line(6, 'GET /cached HTTP/1.1', 304), line(7, 'GET /a.css?v=1 HTTP/1.1'),
    line(8, 'GET /robots.txt HTTP/1.1'), 'not a line\n', `${'x'.repeat(70000)}\n`, line(9, 'GET /last HTTP/1.1', 206),
  ].join(''));
  const result = await runImport(logFile);
  assert.equal(result.imported, 3);
  assert.deepEqual(result.skipped, { not_get: 2, status: 2, asset: 2, malformed: 1, too_long: 1 });
  assert.deepEqual(sentEvents().map((e) => e.url),
    ['/page/1', '/cached', '/last'].map((p) => `https://example.org${p}`));
});

test('the last line of a plain file waits for its line break; of a stream it is complete', async () => {
  const half = line(3).slice(0, 60), rest = line(3).slice(60);
  fs.writeFileSync(logFile, lines(1, 2) + half);
  let result = await runImport(logFile);
  assert.deepEqual([result.lines, result.half_line_left], [2, true]);
  fs.appendFileSync(logFile, rest);
  result = await runImport(logFile);
  assert.deepEqual([result.lines_before, result.lines, result.half_line_left], [2, 1, false]);
  assert.equal(sentEvents().at(-1).url, 'https://example.org/page/3');

  result = await runImport('-', { input: lines(10, 11).trimEnd() });
  assert.equal(result.imported, 2);
  result = await runImport('-', { input: lines(10, 12) });
  assert.deepEqual([result.lines_before, result.imported], [2, 1]);
});

test('a file that is shorter, or goes on otherwise, than what was imported is refused', async () => {
  fs.writeFileSync(logFile, lines(1, 20));
  await runImport(logFile);
  fs.writeFileSync(logFile, lines(1, 10));
  let failed = await start(remote(logFile)).done;
  assert.equal(failed.code, 1);
  assert.match(failed.err, /shorter than what was imported earlier \(lines 1 to 20,/);
  fs.writeFileSync(logFile, line(1) + lines(100, 150));
  failed = await start(remote(logFile)).done;
  assert.equal(failed.code, 1);
  assert.match(failed.err, /goes on otherwise/);
});

test('a file of another kind, and one cut short, fail with a clear line', async () => {
  fs.writeFileSync(logFile, '{"json": true}\n'.repeat(5));
  let failed = await start(remote(logFile)).done;
  assert.equal(failed.code, 1);
  assert.match(failed.err, /^footfall: .*no line is of Apache's or nginx's/);
  fs.writeFileSync(`${logFile}.gz`, zlib.gzipSync(lines(1, 5000)).subarray(0, 2000));
  failed = await start(remote(`${logFile}.gz`)).done;
  assert.equal(failed.code, 1);
  assert.match(failed.err, /cut short/);
  failed = await start(remote(path.join(folder, 'nothing.log'))).done;
  assert.equal(failed.code, 1);
  assert.match(failed.err, /nothing\.log: No such file/);
});

test('two imports into one site do not run at once', async () => {
  fs.writeFileSync(logFile, lines(1, 10));
  const first = start(remote(logFile));
  let answered;
  await new Promise((resolve) => {
    answerNext = () => { answered = resolve; resolve(); return 'hang'; };
  });
  const second = await start(remote(logFile)).done;
  assert.equal(second.code, 1);
  assert.match(second.err, /another import into this site is under way/);
  first.child.kill('SIGKILL');
  await first.done;
  assert.ok(answered);
});

test('Ctrl-C ends it after the batches under way, and the same command goes on', async () => {
  fs.writeFileSync(logFile, lines(1, 20000));
  const { child, done } = start(remote(logFile, '--json'));
  answerNext = (events, number) => { if (number === 2) child.kill('SIGINT'); return undefined; };
  const stopped = await done;

  assert.equal(stopped.signal, 'SIGINT');
  const report = JSON.parse(stopped.out);
  assert.equal(report.state, 'stopped');
  assert.equal(report.imported, sentEvents().length);
  answerNext = () => undefined;
  const result = await runImport(logFile);
  assert.equal(result.lines_before, report.lines);
  assert.equal(sentEvents().length, 20000, 'nothing was sent twice');
  assert.equal(distinctIds().size, 20000);
});

// `log import --follow` of logFile in the background; stop() ends it by SIGTERM and gives its JSON.
function follow(...more) {
  const { child, done } = start(remote(logFile, '--follow', '--json', ...more));
  followed.push(child);
  return {
    child,
    said: (pattern) => new Promise((resolve) => {
      let text = '';
      child.stderr.on('data', (chunk) => { text += chunk; if (pattern.test(text)) resolve(); });
    }),
    async stop(signal = 'SIGTERM') {
      child.kill(signal);
      const result = await done;
      assert.equal(result.code, 0, result.err);
      return { ...JSON.parse(result.out), said: result.err };
    },
  };
}

// Until the server has answered for so many events.
async function taken(count) {
  const deadline = Date.now() + 60000;
  while (sentEvents().length < count) {
    assert.ok(Date.now() < deadline, `${sentEvents().length} of ${count} events came`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

const pages = () => sentEvents().map((event) => Number(event.url.split('/').at(-1))).sort((a, b) => a - b);
const numbers = (from, to) => Array.from({ length: to - from + 1 }, (_, i) => from + i);
const append = (text) => fs.appendFileSync(logFile, text);

test('following, what is appended comes in, and the next start goes on where SIGTERM or SIGINT ended it', async () => {
  fs.writeFileSync(logFile, lines(1, 1200));
  let run = follow();
  await taken(1200);
  append(lines(1201, 1210));
  await taken(1210);
  append(line(1211, 'GET /a.css HTTP/1.1') + lines(1212, 1213));
  await taken(1212);
  const report = await run.stop();
  assert.deepEqual([report.state, report.lines, report.imported, report.skipped.asset], ['stopped', 1213, 1212, 1]);

  append(lines(1214, 1220));
  run = follow();
  await taken(1219);
  assert.equal((await run.stop('SIGINT')).imported, 7);
  assert.equal(distinctIds().size, 1219);
  assert.equal((await runImport(logFile)).state, 'nothing new');
  assert.equal(sentEvents().length, 1219);
});

test('following, a half-written line waits for its end', async () => {
  fs.writeFileSync(logFile, line(1) + line(2).slice(0, 70));
  const run = follow();
  await taken(1);
  append(line(2).slice(70, 90));
  append(line(2).slice(90) + line(3).slice(0, 10));
  await taken(2);
  append(line(3).slice(10));
  await taken(3);
  assert.equal((await run.stop()).skipped.malformed, 0);
  assert.deepEqual(pages(), [1, 2, 3]);
});

test('following, a log that is not there yet is waited for', async () => {
  const run = follow();
  await run.said(/access\.log is not there yet; waiting for it/);
  fs.writeFileSync(logFile, '');
  append(lines(1, 3));
  await taken(3);
  assert.equal((await run.stop()).imported, 3);
});

test('following, of a log that is renamed the rest is read, then the new one, which writers open later', async () => {
  fs.writeFileSync(logFile, lines(1, 10));
  const run = follow();
  await taken(10);
  append(lines(11, 12));
  fs.renameSync(logFile, path.join(folder, 'moved'));
  fs.appendFileSync(path.join(folder, 'moved'), lines(13, 14));
  await taken(14);
  fs.writeFileSync(logFile, lines(20, 25));
  fs.appendFileSync(path.join(folder, 'moved'), lines(15, 19)); // a worker of before
  await taken(25);
  append(lines(26, 27));
  await taken(27);
  assert.equal((await run.stop()).imported, 27);
  assert.deepEqual(pages(), numbers(1, 27));
});

test('following, a log that is copied and emptied loses and repeats nothing of what the copy has', async () => {
  fs.writeFileSync(logFile, lines(1, 10));
  const run = follow();
  await taken(10);
  for (let round = 1; round < 4; round++) {
    append(lines(10 * round + 1, 10 * round + 4)); // perhaps in the copy only
    fs.copyFileSync(logFile, `${logFile}.${4 - round}`);
    fs.truncateSync(logFile);
    append(lines(10 * round + 5, 10 * round + 10));
    if (round === 2) append(`${line(999, 'POST /long HTTP/1.1').repeat(50)}`); // longer than before at once
    await taken(10 * round + 10);
  }
  assert.equal((await run.stop()).imported, 40);
  assert.deepEqual(pages(), numbers(1, 40));
});

test('following, what was rotated several times meanwhile is read in order, of logs from before nothing', async () => {
  const rotate = (from, to) => {
    fs.renameSync(logFile, `${logFile}-${String(from).padStart(8, '0')}`);
    fs.writeFileSync(logFile, lines(from, to));
  };
  const old = `${logFile}.1`;
  fs.writeFileSync(old, lines(900, 910));
  fs.utimesSync(old, 1e9, 1e9);
  fs.writeFileSync(`${logFile}.txt`, lines(800, 810));
  fs.writeFileSync(logFile, lines(1, 10));
  await (async () => { const run = follow(); await taken(10); await run.stop(); })();

  append(lines(11, 12)); // while it does not run
  rotate(13, 20);
  rotate(21, 30);
  fs.writeFileSync(`${logFile}-1.gz`, zlib.gzipSync(lines(1, 5)).subarray(0, -9)); // being compressed
  const run = follow();
  await run.said(/access\.log-1\.gz is left: the gzip file is cut short/);
  await taken(30);
  answerNext = () => ({ status: 503 }); // while the server takes nothing
  append(lines(31, 31));
  await run.said(/trying again/);
  rotate(32, 40);
  rotate(41, 50);
  answerNext = () => undefined;
  await taken(50);
  await run.stop();
  assert.deepEqual(pages(), numbers(1, 50));
});

test('following, a server that is away for a while is waited for, said once, and nothing is lost', async () => {
  fs.writeFileSync(logFile, lines(1, 5));
  const run = follow();
  await taken(5);
  const { port } = server.address();
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
  append(lines(6, 10));
  await run.said(/trying again/);
  append(lines(11, 15));
  const before = requests;
  await startServer(port);
  requests.unshift(...before);
  await taken(15);
  const { said } = await run.stop();
  assert.match(said, /^footfall: trying again: [^\n]*\nfootfall: the server takes events again\n$/);
  assert.deepEqual(pages(), numbers(1, 15));
});

test('following, stopped while the server takes nothing, the next start sends it with the same ids', async () => {
  fs.writeFileSync(logFile, lines(1, 5));
  answerNext = () => ({ status: 503 });
  const first = follow();
  await first.said(/trying again/);
  assert.equal((await first.stop()).imported, 0);
  const tried = ids(requests[0].events);
  answerNext = () => undefined;
  const run = follow();
  await taken(5);
  await run.stop();
  assert.deepEqual(ids(sentEvents()), tried);
});

test('following, events that the server rejects end nothing and are said once a reason', async () => {
  fs.writeFileSync(logFile, line(1));
  answerNext = (events) => (events[0].url.endsWith('/3') ? undefined : { body: { accepted: 0, rejected: 1,
    unavailable: 0, results: [{ index: 0, status: 'rejected', error: 'url is wrong' }] } });
  const run = follow();
  await run.said(/rejects events: url is wrong/);
  append(line(2));
  await taken(2);
  append(line(3));
  await taken(3);
  const report = await run.stop();
  assert.deepEqual([report.imported, report.rejected_reasons], [1, { 'url is wrong': 2 }]);
  assert.equal(report.said.match(/url is wrong/g).length, 1);
});

test('what cannot be followed is refused with a clear line', async () => {
  fs.writeFileSync(`${logFile}.gz`, zlib.gzipSync(lines(1, 5)));
  fs.writeFileSync(logFile, '{"json": true}\n'.repeat(20));
  for (const [args, code, says] of [
    [remote('-', '--follow'), 2, /--follow needs a file/],
    [remote(`${logFile}.gz`, '--follow'), 2, /access\.log\.gz: --follow needs a plain file/],
    [remote('/dev/null', '--follow'), 2, /\/dev\/null: --follow needs a plain file/],
    [remote(logFile, 'other.log', '--follow'), 2, /"other\.log" is one argument too many/],
    [remote(folder, '--follow'), 1, /is a folder/],
    [remote(logFile, '--follow'), 1, /no line is of Apache's or nginx's/],
  ]) {
    const result = await start(args).done;
    assert.equal(result.code, code, args.join(' '));
    assert.match(result.err, says);
    assert.match(result.err, /^footfall: [^\n]*\n$/);
  }
  assert.equal(requests.length, 0);
});

test('wrong use ends with 2 and says what is wrong', async () => {
  for (const [args, says] of [
    [[], /FILE is missing/],
    [[logFile], /--site/],
    [[logFile, '--site', 'example.org'], /must be a property id/],
    [[logFile, '--site', site, '--url', url()], /--key/],
    [[logFile, '--site', site, '--url', 'example.org', '--key', key], /must be as in https/],
    [remote(logFile, '--retry-for', 'x'), /--retry-for is "x"/],
    [remote(logFile, '--folow'), /no option "--folow"/],
    [remote(logFile, 'more'), /too many/],
  ]) {
    const result = await start(args).done;
    assert.equal(result.code, 2, args.join(' '));
    assert.match(result.err, says);
    assert.match(result.err, /^footfall: [^\n]*\n$/);
  }
});
