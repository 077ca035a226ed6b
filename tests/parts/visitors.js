// Requests that carry page views, and clients that send many and remember what was answered.

import { Connection } from './connection.js';
import { sleep } from './until.js';

const AGENT = 'Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0 Safari/537.36';
const PAUSE_MS = 50; // before what lost its connection, or was told to wait, goes on

export function post(path, headers, body) {
  const lines = Object.entries({ Host: 'test', 'User-Agent': AGENT, ...headers, 'Content-Length': Buffer.byteLength(body) });
  return `POST ${path} HTTP/1.1\r\n${lines.map(([name, value]) => `${name}: ${value}\r\n`).join('')}\r\n${body}`;
}

// more: fields of the event. headers: of the request.
export function pageView(site, path, more = {}, headers = {}) {
  return post('/api/event', { 'X-Forwarded-For': '198.51.100.7', ...headers },
    JSON.stringify({ n: 'pageview', u: `https://${site.domain}${path}`, d: site.domain, ...more }));
}

// Page views of several paths in one request, with a key.
export function batch(key, site, paths, more = {}) {
  return post('/api/v1/events', { Authorization: `Bearer ${key}` },
    JSON.stringify(paths.map((path) => ({ name: 'pageview', url: path, domain: site.domain, ...more }))));
}

// One request over a connection of its own.
export async function once(target, request) {
  const connection = new Connection(target);
  const answer = await connection.ask(request);
  connection.close();
  return answer;
}

export const isTaken = (answer) => (answer.status === 202 || answer.status === 200) && answer.dropped === undefined;

// Clients that send page views of PREFIX0, PREFIX1, … over connections of their own, one after the
// other, or `rate` a second in all. Each path is sent once.
export class Visitors {
  // request: of a path, where it is no page view.
  constructor({ targets, connections = 8, site, prefix, rate, more, request = (path) => pageView(site, path, more) }) {
    Object.assign(this, { prefix, rate, request });
    this.connections = Array.from({ length: connections }, (_, i) => new Connection(targets[i % targets.length]));
    this.count = 0;
    this.accepted = []; // paths
    this.acceptedMs = []; // when, of each of them
    this.refused = []; // those of which an ingress said that it kept nothing
    this.open = []; // no answer: they may be there or not
    this.statuses = new Map(); // how often each was answered
    this.latest = null; // answer
  }

  start() {
    this.going = true;
    this.began = performance.now();
    this.all = Promise.all(this.connections.map((connection) => this.visit(connection)));
  }

  async visit(connection) {
    while (this.going) {
      const early = this.rate ? this.count / this.rate - (performance.now() - this.began) / 1000 : 0;
      if (early > 0) {
        await sleep(early * 1000);
        continue;
      }
      const path = `${this.prefix}${this.count++}`;
      const answer = await connection.ask(this.request(path));
      this.latest = answer;
      if (answer.status) this.statuses.set(answer.status, (this.statuses.get(answer.status) ?? 0) + 1);
      if (isTaken(answer)) {
        this.accepted.push(path);
        this.acceptedMs.push(Date.now());
      } else (answer.status === 503 ? this.refused : this.open).push(path);
      if (!isTaken(answer)) await sleep(PAUSE_MS);
    }
    connection.close();
  }

  // No more; resolves when all have their answers.
  stop() {
    this.going = false;
    return this.all;
  }
}
