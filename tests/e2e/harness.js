// A real stack for a test, in a folder and on ports of its own, and a real browser.
// A test file calls startStack() in before() and remove() in after(). The stack's logs are kept in
// FOOTFALL_TEST_LOGS (build/test-logs under tests/run). A signal to the test ends its stacks, too.

import assert from 'node:assert/strict';
import { execFile, execFileSync, spawnSync } from 'node:child_process';
import crypto from 'node:crypto';
import { once } from 'node:events';
import fs from 'node:fs';
import http from 'node:http';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';

export const ROOT = fileURLToPath(new URL('../..', import.meta.url));
export const DATA = path.join(ROOT, 'tests/data');
export const PICTURES = path.join(ROOT, 'build/screenshots');
const FOOTFALL = path.join(ROOT, 'build/bin/footfall');
const STACK = path.join(ROOT, 'deploy/local/stack');
const PORTS = 80; // one stack's block
const RUN_MS = 300000; // what runs longer hangs
export const AGENT = 'Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0 Safari/537.36';

// Ask again and again until the answer is truthy, which is returned.
export async function waitFor(ask, what, { timeout = 20000, every = 25 } = {}) {
  const end = Date.now() + timeout;
  let last;
  for (;;) {
    try {
      last = await ask();
      if (last) return last;
    } catch (error) {
      last = error;
    }
    if (Date.now() > end) assert.fail(`not within ${timeout} ms: ${what} (last: ${last?.message ?? JSON.stringify(last)})`);
    await new Promise((resolve) => setTimeout(resolve, every));
  }
}

// Run a program to its end, or kill it; never throws.
export function run(program, args, { input = '', env = {}, cwd = ROOT } = {}) {
  const options = { cwd, env: { ...process.env, ...env }, maxBuffer: 64 << 20, timeout: RUN_MS, killSignal: 'SIGKILL' };
  return new Promise((resolve) => {
    const child = execFile(program, args, options,
      (error, stdout, stderr) => resolve({ code: error ? error.code ?? 128 : 0, stdout, stderr }));
    child.stdin.on('error', () => {});
    child.stdin.end(input);
  });
}

function portIsFree(port) {
  return new Promise((resolve) => {
    const server = net.createServer().once('error', () => resolve(false));
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)));
  });
}

// Two tests that run at once (tests/run) look in lanes of their own.
export async function freePortBlock() {
  const lane = process.env.FOOTFALL_TEST_LANE ? Number(process.env.FOOTFALL_TEST_LANE) : crypto.randomInt(2);
  for (let tries = 0; tries < 200; tries++) {
    const first = 20000 + (crypto.randomInt(50) * 2 + lane) * 100;
    const free = await Promise.all([0, 10, 11, 20, 30, 40, 41, 42, 44, 50, 60, 70, 71].map((n) => portIsFree(first + n)));
    if (free.every(Boolean)) return first;
  }
  throw new Error(`no block of ${PORTS} free ports`);
}

export function request(url, { method = 'GET', headers = {}, body, localAddress } = {}) {
  return new Promise((resolve, reject) => {
    const sent = http.request(url, { method, headers: { ...(body !== undefined && { 'Content-Length': Buffer.byteLength(body) }), ...headers }, agent: false, localAddress });
    sent.on('error', reject).on('response', async (response) => {
      const chunks = [];
      for await (const chunk of response) chunks.push(chunk);
      const text = Buffer.concat(chunks).toString();
      let json;
      try { json = JSON.parse(text); } catch { /* not JSON */ }
      resolve({ status: response.statusCode, headers: response.headers, text, json });
    });
    sent.end(body);
  });
}

export class Stack {
  constructor(home, port, env) {
    this.home = home;
    this.port = port;
    this.url = `http://localhost:${port}`;
    this.env = { FOOTFALL_HOME: home, FOOTFALL_PORT: String(port), ...env };
  }

  async up() {
    const { code, stdout, stderr } = await run(STACK, ['up'], { env: this.env });
    assert.equal(code, 0, stdout + stderr);
    this.greeting = stdout;
  }

  stack(...args) {
    return run(STACK, args, { env: this.env });
  }

  // `footfall ARGS --json`, its answer parsed; throws when it fails.
  async footfall(args, input) {
    const { code, stdout, stderr } = await run(FOOTFALL, [...args, '--json'], { input, env: this.env });
    assert.equal(code, 0, `footfall ${args.join(' ')}: ${stderr}`);
    return JSON.parse(stdout);
  }

  footfallRaw(args, input) {
    return run(FOOTFALL, args, { input, env: this.env });
  }

  // The rows of a statement, cells as text, run as the databases' owner (or another role).
  sql(database, text, role = 'owner') {
    const conninfo = fs.readFileSync(path.join(this.home, 'secrets', `${role}.${database}`), 'utf8').trim();
    const out = execFileSync('psql', ['-XAtq', '-F', '\t', '-v', 'ON_ERROR_STOP=1', conninfo, '-f', '-'], { input: text, stdio: ['pipe', 'pipe', 'pipe'] });
    return out.toString().split('\n').filter(Boolean).map((line) => line.split('\t'));
  }

  async account(email = 'owner@example.org', password = 'correct horse battery') {
    await this.footfall(['user', 'add', email, '--password-stdin'], password);
    return { email, password };
  }

  // A site that the ingress knows of already.
  async site(domain, zone = 'UTC', owner = 'owner@example.org') {
    const site = await this.footfall(['site', 'add', domain, '--owner', owner, '--timezone', zone]);
    await waitFor(async () => (await request(`${this.url}/js/${site.property_id}.js`)).status === 200, `the script of ${domain}`);
    return site;
  }

  async key(scope, owner = 'owner@example.org') {
    return (await this.footfall(['key', 'add', '--owner', owner, '--scope', scope])).key;
  }

  event(body, headers = {}) {
    return request(`${this.url}/api/event`, { method: 'POST', headers: { 'User-Agent': AGENT, ...headers }, body: typeof body === 'string' ? body : JSON.stringify(body) });
  }

  async query(key, body) {
    const answer = await request(`${this.url}/api/v2/query`, { method: 'POST', headers: { 'Content-Type': 'application/json', Authorization: `Bearer ${key}` }, body: JSON.stringify(body) });
    assert.equal(answer.status, 200, answer.text);
    return answer.json.results;
  }

  events(site) {
    return Number(this.sql('metrics', `select count(*) from event where site_id = ${Number(site.site_id)}`)[0][0]);
  }

  async down() {
    const { code, stdout, stderr } = await this.stack('down');
    assert.equal(code, 0, stdout + stderr);
  }

  pids() {
    return fs.readFileSync(path.join(this.home, 'processes'), 'utf8').trim().split('\n')
      .map((line) => line.split(' ')).map(([name, pid]) => ({ name, pid: Number(pid) }));
  }

  keepLogs() {
    const kept = process.env.FOOTFALL_TEST_LOGS;
    if (!kept || !fs.existsSync(path.join(this.home, 'log'))) return;
    fs.cpSync(path.join(this.home, 'log'), path.join(kept, `${path.basename(process.argv[1], '.test.js')}-${this.port}`), { recursive: true });
  }

  async remove() {
    this.keepLogs();
    await this.stack('reset', '--yes');
    fs.rmSync(this.home, { recursive: true, force: true });
    stacks.delete(this);
  }
}

const stacks = new Set(); // those that run now
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
  process.on(signal, () => { // not once: a second one, as node --test passes on, must not end this half-way
    for (const stack of stacks) {
      stack.keepLogs();
      spawnSync(STACK, ['reset', '--yes'], { env: { ...process.env, ...stack.env } });
    }
    process.exit(1);
  });
}

export async function startStack(env = {}) {
  for (let tries = 1; ; tries++) {
    const home = fs.mkdtempSync(path.join(os.tmpdir(), 'footfall-e2e-'));
    fs.chmodSync(home, 0o755); // as root, the stack runs as a user of its own
    const stack = new Stack(home, await freePortBlock(), env);
    stacks.add(stack);
    try {
      await stack.up();
      return stack;
    } catch (error) {
      await stack.remove();
      // Between our look at the ports and the start somebody else may have taken one.
      if (tries === 3 || !/is in use/.test(error.message)) throw error;
    }
  }
}

// A line for the reader of the whole run: tests/run shows it also when all has passed.
export function note(text) {
  console.log(`# note: ${text}`);
}

// driven: it says that a program drives it; else it is taken for a person's. cachesBack: it keeps pages in its
// back/forward cache; then nothing may wait for the navigation when going back.
export async function openBrowser({ driven = false, cachesBack = false } = {}) {
  fs.mkdirSync(PICTURES, { recursive: true });
  const home = fs.mkdtempSync(path.join(os.tmpdir(), 'footfall-browser-')); // not the user's own
  const browser = await chromium.launch({
    env: { ...process.env, HOME: home, XDG_CONFIG_HOME: home, XDG_CACHE_HOME: home },
    executablePath: '/usr/bin/chromium',
    ignoreDefaultArgs: cachesBack ? ['--disable-back-forward-cache'] : [],
    args: [...driven ? [] : ['--disable-blink-features=AutomationControlled', `--user-agent=${AGENT}`], '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'],
  });
  browser.once('disconnected', () => fs.rmSync(home, { recursive: true, force: true, maxRetries: 20 }));
  return browser;
}

// A small web server for a folder; {{…}} in its pages is replaced.
export async function serveFolder(folder, replace = {}) {
  const types = { '.html': 'text/html; charset=utf-8', '.css': 'text/css' };
  const server = http.createServer((asked, answer) => {
    const name = new URL(asked.url, 'http://x').pathname;
    const file = path.join(folder, path.normalize(name === '/' ? '/index.html' : name));
    if (!fs.existsSync(file)) return answer.writeHead(404).end();
    let text = fs.readFileSync(file, 'utf8');
    for (const [from, to] of Object.entries(replace)) text = text.replaceAll(`{{${from}}}`, to);
    answer.writeHead(200, { 'Content-Type': types[path.extname(file)] ?? 'text/plain' }).end(text);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return { url: `http://localhost:${server.address().port}`, close: () => new Promise((resolve) => { server.close(resolve); server.closeAllConnections(); }) };
}
