// Pages with the script on them, in a real browser, and what became of them: a server of pages of another
// origin than the stack, gates between them (proxies that know what was sent, and can fail), and the rows of
// the table of events. A test has a place of its own, a folder of pages whose events are its alone:
//
//   const world = new World();
//   before(() => world.start()); after(() => world.end());
//   world.proves('a sentence', { body: '<a href="b">b</a>' }, async (place) => { … });

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import http from 'node:http';
import os from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { isDeepStrictEqual } from 'node:util';
import { until } from '../parts/until.js';
import { AGENT, openBrowser, run, startStack, waitFor } from './harness.js';

const KINDS = [null, 'pageview', null, 'engagement', 'exit', 'ping'];
const ALIVE_MS = 180000; // an undriven browser that nobody ended is ended then
const EVENTS_MS = 90000; // a hundred events, one after the other, on a busy machine
const COLUMNS = ['host', 'title', 'referrer', 'language', 'locale', 'utm_source'];

async function bodyOf(request) {
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  return Buffer.concat(chunks);
}

// Between pages and the stack. What it is asked under its prefix goes on without it; events go on one after the
// other, so that the table has them in the order in which pages sent them, however busy this machine is.
export class Gate {
  constructor(to, prefix = '') {
    Object.assign(this, { to, prefix });
    this.client = undefined; // the address that it says it asks for; this machine itself has no limits
    this.sent = []; // the events that arrived here, and to each the status that was answered, if any
    this.rule = () => {}; // event => nothing (pass it on), a status (answer so), or how else: 'swallow', 'hold'
    this.passed = Promise.resolve(); // the event before has been answered
    this.server = http.createServer((asked, answer) => this.take(asked, answer).catch(() => answer.destroy()));
  }

  // Listen, on the same port again when it has been closed.
  async open() {
    this.server.listen(this.port ?? 0, '127.0.0.1');
    await once(this.server, 'listening');
    this.port = this.server.address().port;
    this.origin = `http://localhost:${this.port}`;
    this.url = this.origin + this.prefix;
    return this;
  }

  // Nobody listens from now on: connections are refused.
  async close() {
    if (!this.server.listening) return;
    const closed = once(this.server, 'close');
    this.server.close();
    this.server.closeAllConnections();
    await closed;
  }

  async take(asked, answer) {
    const body = await bodyOf(asked);
    if (!asked.url.startsWith(`${this.prefix}/`)) return answer.writeHead(404).end();
    const isEvent = asked.method === 'POST';
    const event = isEvent ? { ...JSON.parse(body), headers: asked.headers } : {};
    if (isEvent) this.sent.push(event);
    const how = isEvent ? this.rule(event) : undefined;
    if (how === 'hold') return undefined;
    if (typeof how === 'number') {
      event.status = how;
      return answer.writeHead(how, { 'Access-Control-Allow-Origin': '*', 'Retry-After': '1' }).end();
    }
    const passed = isEvent ? this.passed.then(() => this.pass(asked, body)) : this.pass(asked, body);
    if (isEvent) this.passed = passed.catch(() => {});
    const [come, whole] = await passed;
    event.status = come.statusCode;
    if (how === 'swallow') return answer.destroy();
    return answer.writeHead(come.statusCode, come.headers).end(whole);
  }

  // Asks the stack the same; resolves to its answer and the answer's body.
  async pass(asked, body) {
    const next = http.request(this.to + asked.url.slice(this.prefix.length), { method: asked.method, headers: { ...asked.headers, ...(this.client && { 'X-Forwarded-For': this.client }) }, agent: false });
    next.end(body);
    const [come] = await once(next, 'response');
    return [come, await bodyOf(come)];
  }
}

// The pages of one test: all addresses under its prefix are pages.
class Place {
  constructor(world, number, given) {
    Object.assign(this, { site: world.site, gate: world.gate, attributes: '', head: '', body: '', headers: {}, status: 200 }, given);
    this.world = world;
    this.prefix = `/p${number}`;
    this.url = world.web + this.prefix;
    this.tag ??= `<script defer src="${this.gate.url}/js/${this.file ?? `${this.site.property_id}.js`}" ${this.attributes}></script>`;
    this.errors = []; // what the script let the pages see
    this.contexts = [];
    this.asks = new Map(); // of undriven pages that wait for orders, by path
    this.results = new Map(); // of orders, by path
  }

  // A page's parts can be functions of its path, which is told without the prefix.
  answer(name, answer) {
    const part = (key) => (typeof this[key] === 'function' ? this[key](name) : this[key]);
    const html = `<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Title of ${name}</title>${part('head')}${part('tag')}</head><body>${part('body')}</body></html>`;
    answer.writeHead(part('status'), { 'Content-Type': 'text/html; charset=utf-8', ...part('headers') }).end(html);
  }

  // A new visitor's page. init runs before the page's own scripts.
  async visit(name = '/', { init, at = this.url, ...options } = {}) {
    const context = await this.world.browser.newContext(options);
    this.contexts.push(context);
    context.setDefaultTimeout(30000);
    if (init) await context.addInitScript(init);
    context.on('page', (page) => {
      page.on('pageerror', (error) => this.errors.push(error.message));
      page.on('console', (said) => { if (/Content Security Policy|Uncaught/.test(said.text())) this.errors.push(said.text()); });
    });
    const page = await context.newPage();
    if (name !== null) await page.goto(at + name);
    return page;
  }

  // In a page whose time stands still, and is moved by page.clock alone.
  async visitStopped(name = '/', options = {}) {
    const page = await this.visit(null, options);
    await page.clock.install({ time: Date.now() - 1000 });
    await page.clock.pauseAt(Date.now());
    await page.goto(this.url + name);
    return page;
  }

  // What is in the table, in order: of page views and custom events, or of other kinds. Paths are told
  // without the prefix.
  async events(wanted = (event) => event.kind < 3) {
    const names = COLUMNS.map((column) => `${column}.value as ${column}`).join(', ');
    const joins = COLUMNS.map((column) => `left join string ${column} on ${column}.site_id = e.site_id and ${column}.id = e.${column}`).join('\n');
    const rows = await this.world.metrics(`select row_to_json(x) from (select e.kind, name.value as name, page.value as path, ${names},
      e.visitor::text, e.interactive, e.screen_width, e.engaged_ms, e.scroll_depth, e.revenue, e.currency, e.props, e.metadata, e.bot, e.ts
      from event e join string page on page.site_id = e.site_id and page.id = e.page
      left join string name on name.site_id = e.site_id and name.id = e.name ${joins}
      where page.value = '${this.prefix}' or starts_with(page.value, '${this.prefix}/') order by e.ts, e.id) x`);
    return rows.map((row) => JSON.parse(row))
      .map((event) => ({ ...event, name: KINDS[event.kind] ?? event.name, path: event.path.slice(this.prefix.length) || '/' }))
      .filter(wanted);
  }

  // Waits until exactly these have come, in this order; each is 'name path'. Resolves to them all.
  async came(expected, { wanted, told = (event) => `${event.name} ${event.path}`, ordered = true } = {}) {
    let events;
    const order = (list) => (ordered ? list : list.toSorted());
    await until(async () => {
      events = await this.events(wanted);
      return isDeepStrictEqual(order(events.map(told)), order(expected)) || events.length > expected.length;
    }, { timeout: EVENTS_MS });
    assert.deepEqual(order(events.map(told)), order(expected));
    return events;
  }

  // The same, and nothing else has been sent before: a mark that is sent now comes as the next.
  async cameAlone(page, expected, options = {}) {
    const path = await page.evaluate(() => { footfall('Mark'); return location.pathname; });
    const mark = `Mark ${decodeURI(path).slice(this.prefix.length).replace(/(.)\/$/, '$1')}`;
    return (await this.came([...expected, options.told ? 'Mark' : mark], options)).slice(0, -1);
  }

  // --- a browser that no debugger is attached to, where pages can be prerendered or in the background ------

  // The place's pages need the tag of orders() in their head.
  async visitUndriven(name) {
    const home = fs.mkdtempSync(path.join(os.tmpdir(), 'footfall-browser-'));
    const child = spawn('timeout', ['-s', 'KILL', String(ALIVE_MS / 1000), '/usr/bin/chromium', '--headless=new', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
      '--disable-popup-blocking', '--disable-background-networking', '--disable-component-update', '--disable-sync', `--user-agent=${AGENT}`, `--user-data-dir=${home}`, this.url + name],
    { env: { ...process.env, HOME: home, XDG_CONFIG_HOME: home, XDG_CACHE_HOME: home }, stdio: 'ignore', detached: true });
    const over = once(child, 'exit');
    this.contexts.push({ close: async () => {
      try { process.kill(-child.pid, 'SIGKILL'); } catch { /* it has ended */ }
      await over;
      fs.rmSync(home, { recursive: true, force: true, maxRetries: 20 });
    } });
    await this.order(name, '');
  }

  // Runs a function's text in the undriven page at that path, once it is there and has nothing else to do;
  // resolves to what it returns.
  async order(name, code) {
    const waits = await waitFor(() => this.asks.get(name), `the page ${name} waits for orders`);
    this.asks.delete(name);
    waits.writeHead(200, { 'Cache-Control': 'no-store' }).end(code || 'return null');
    await waitFor(() => this.results.has(name), `the page ${name} has done: ${code}`);
    const result = this.results.get(name);
    this.results.delete(name);
    return result;
  }

  async close() {
    this.closing = true;
    for (const answer of this.asks.values()) answer.destroy();
    for (const context of this.contexts) await context.close();
  }
}

// For the head of pages that are driven by Place.order().
export const ORDERS = `<script>(async () => {
  const at = location.pathname; // it may navigate
  for (;;) {
    const code = await (await fetch(at + '?order', { cache: 'no-store' })).text();
    const result = await new Function('return (async () => {' + code + '})()')();
    await fetch(at + '?done', { method: 'POST', body: JSON.stringify(result ?? null) });
  }
})();</script>`;

export class World {
  places = new Map();

  async start() {
    this.stack = await startStack();
    await this.stack.account();
    this.site = await this.stack.site('localhost');
    this.browser = await openBrowser({ cachesBack: true });
    this.gate = await new Gate(this.stack.url).open();
    this.server = http.createServer((asked, answer) => this.serve(asked, answer));
    this.server.listen(0); // by every name of this host: 127.0.0.1 is another one to a browser
    await once(this.server, 'listening');
    this.web = `http://localhost:${this.server.address().port}`;
    this.elsewhere = `http://127.0.0.1:${this.server.address().port}`;
    return this;
  }

  async end() {
    await this.browser?.close();
    await this.gate?.close();
    this.server?.close();
    this.server?.closeAllConnections();
    await this.stack?.remove();
  }

  // Lines of a statement on the metrics database; without holding up gates and pages, which are of this process.
  async metrics(text) {
    const conninfo = fs.readFileSync(path.join(this.stack.home, 'secrets/owner.metrics'), 'utf8').trim();
    const { code, stdout, stderr } = await run('psql', ['-XAtq', '-v', 'ON_ERROR_STOP=1', conninfo, '-f', '-'], { input: text });
    assert.equal(code, 0, stderr);
    return stdout.split('\n').filter(Boolean);
  }

  serve(asked, answer) {
    const url = new URL(asked.url, 'http://x');
    const [, prefix, name] = /^(\/p\d+)(.*)$/.exec(decodeURI(url.pathname)) ?? [];
    const place = this.places.get(prefix);
    if (!place) return answer.writeHead(204).end(); // who clicks on a link to there stays
    if (url.search === '?order' && !place.closing) return place.asks.set(name, answer);
    if (url.search === '?done') {
      return bodyOf(asked).then((body) => {
        answer.end();
        place.results.set(name, JSON.parse(body));
      });
    }
    return place.answer(name, answer);
  }

  place(given) {
    const place = new Place(this, this.places.size + 1, given);
    this.places.set(place.prefix, place);
    return place;
  }

  // A site of its own settings (`footfall site set`), whose script the ingress serves already.
  async siteWith(domain, ...settings) {
    const site = await this.stack.site(domain);
    const script = async () => (await fetch(`${this.stack.url}/js/${site.property_id}.js`)).text();
    const before = await script();
    await this.stack.footfall(['site', 'set', domain, ...settings]);
    await waitFor(async () => await script() !== before, `the script of ${domain} with ${settings}`);
    return site;
  }

  // A gate of one test's own.
  openGate(prefix) {
    return new Gate(this.stack.url, prefix).open();
  }

  // A test in a place of its own. given may be a function, for what is known only when the world has
  // started; what it has under `gate` is closed in the end. Whatever the script throws into a page fails it.
  proves(sentence, given, prove) {
    test(sentence, async () => {
      const place = this.place(typeof given === 'function' ? await given(this) : given);
      try {
        await prove(place);
        assert.deepEqual(place.errors, [], 'a page saw errors');
      } finally {
        await place.close();
        if (place.gate !== this.gate) await place.gate.close();
      }
    });
  }
}
