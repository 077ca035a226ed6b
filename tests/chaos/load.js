// Clients that send events, and remember what became of each. What got no answer, or "not now", is sent
// again with the same id, wherever the next free connection leads; a few clients give up instead, and a
// few send everything twice at once.

import { Connection } from '../parts/connection.js';

const GIVES_UP = 0.1;
const TWINS = 0.02;
const BATCHES = 0.015; // of the requests
const BATCH_MOST = 40;
const LARGE = 0.15; // events with much in them, so that journals fill segments
const RETRY_MS = [50, 500];
const PAUSE_MS = 150; // of a connection that was lost

const OPEN = 'open', ACCEPTED = 'accepted', REFUSED = 'refused';
const NOT_NOW = new Set([429, 502, 503, 504]);

function agents(random) {
  const systems = ['Windows NT 10.0; Win64; x64', 'Macintosh; Intel Mac OS X 10_15_7', 'X11; Linux x86_64', 'Linux; Android 13; Pixel 7'];
  return Array.from({ length: 300 }, () => random.next() < 0.7
    ? `Mozilla/5.0 (${random.pick(systems)}) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/${random.between(80, 130)}.0.${random.between(0, 9)}.0 Safari/537.36`
    : `Mozilla/5.0 (${random.pick(systems)}; rv:${random.between(90, 130)}.0) Gecko/20100101 Firefox/${random.between(90, 130)}.0`);
}

export class Load {
  // sites: domains; key: for batches; targets: where connections lead, with how many each.
  constructor({ random, sites, key, targets, rate }) {
    Object.assign(this, { random, sites, key, rate });
    this.agents = agents(random);
    this.addresses = Array.from({ length: 3000 }, () => [random.between(11, 99), ...[0, 1, 2].map(() => random.between(1, 254))].join('.'));
    this.idle = [];
    this.again = []; // parcels to be sent again
    this.outstanding = 0; // parcels that are under way or wait to be sent again
    this.count = 0; // events ever made
    this.clients = targets.flatMap((target) => Array.from({ length: target.connections }, () => new Connection(target)));
    this.idle = random.shuffled(this.clients);
  }

  // A new round: its events are numbered from `first` on.
  begin() {
    this.first = this.count;
    this.events = [];
    this.accepted = 0;
    this.began = Date.now();
    this.making = true;
    this.timer = setInterval(() => this.pump(), 5);
  }

  // No new events; resolves to whether all clients have got an answer, or given up, within `ms`.
  async end(ms) {
    this.making = false;
    this.lasted = Date.now() - this.began;
    const until = Date.now() + ms;
    while (this.outstanding && Date.now() < until) await new Promise((resolve) => setTimeout(resolve, 20));
    clearInterval(this.timer);
    return !this.outstanding;
  }

  close() {
    clearInterval(this.timer);
    this.making = false;
    for (const client of this.clients) client.close();
  }

  pump() {
    while (this.idle.length) {
      const parcel = this.again.pop() ?? this.make();
      if (!parcel) return;
      this.send(this.idle.shift(), parcel);
    }
  }

  make() {
    const due = (Date.now() - this.began) / 1000 * this.rate;
    if (!this.making || this.events.length >= due) return null;
    const batch = this.random.next() < BATCHES;
    const events = Array.from({ length: batch ? this.random.between(2, BATCH_MOST) : 1 }, () => this.event());
    const parcel = { batch, events };
    this.outstanding++;
    if (this.random.next() < TWINS) {
      this.outstanding++;
      this.again.push({ batch, events });
    }
    return parcel;
  }

  event() {
    const { random } = this;
    const event = {
      n: this.count++,
      site: random.pick(this.sites),
      address: random.pick(this.addresses),
      agent: random.pick(this.agents),
      large: random.next() < LARGE,
      givesUp: random.next() < GIVES_UP,
      state: OPEN,
      doubtful: false, // an attempt was neither answered nor refused by an ingress itself: it may count
      history: [],
    };
    this.events.push(event);
    return event;
  }

  send(client, parcel) {
    const at = Date.now();
    client.send(parcel.batch ? this.batchRequest(parcel.events) : this.singleRequest(parcel.events[0]), (answer) => {
      this.judge(client.target, parcel, at, answer);
      const rest = () => {
        this.idle.push(client);
        this.pump();
      };
      if (typeof answer === 'string') setTimeout(rest, PAUSE_MS);
      else rest();
    });
  }

  judge(target, parcel, at, answer) {
    const lost = typeof answer === 'string';
    const outcome = this.outcomes(parcel, answer);
    const again = [];
    parcel.events.forEach((event, i) => {
      event.history.push([at, target.name, lost ? answer : `${answer.status}${outcome[i] === OPEN ? ' not now' : ''}`]);
      if (outcome[i] === OPEN && (lost || target.door || !NOT_NOW.has(answer.status))) event.doubtful = true;
      if (outcome[i] === ACCEPTED && event.state !== ACCEPTED) this.accepted++;
      if (outcome[i] === ACCEPTED || event.state === OPEN) event.state = outcome[i];
      if (event.state === OPEN && !event.givesUp) again.push(event);
    });
    if (!again.length) return this.outstanding--;
    setTimeout(() => this.again.push({ batch: parcel.batch, events: again }), this.random.between(...RETRY_MS));
  }

  // Of each event of the parcel.
  outcomes({ batch, events }, answer) {
    const all = (outcome) => events.map(() => outcome);
    if (typeof answer === 'string' || NOT_NOW.has(answer.status)) return all(OPEN);
    if (!batch && answer.status === 202) return all(answer.dropped === undefined ? ACCEPTED : REFUSED);
    if (!batch || answer.status !== 200) return all(answer.status >= 500 ? OPEN : REFUSED);
    const outcome = all(ACCEPTED);
    for (const { index, status } of JSON.parse(answer.body).results) outcome[index] = status === 'unavailable' ? OPEN : REFUSED;
    return outcome;
  }

  props(event) {
    return event.large ? Object.fromEntries([0, 1, 2].map((i) => [`p${i}`, 'x'.repeat(1000)])) : { n: String(event.n) };
  }

  singleRequest(event) {
    const body = JSON.stringify({ n: event.n % 4 ? 'pageview' : 'Click', u: `https://${event.site}/e/${event.n}`, d: event.site, id: `chaos-${event.n}`, p: this.props(event) });
    return `POST /api/event HTTP/1.1\r\nHost: chaos\r\nUser-Agent: ${event.agent}\r\nX-Forwarded-For: ${event.address}\r\n`
      + `Content-Type: text/plain\r\nContent-Length: ${body.length}\r\n\r\n${body}`;
  }

  batchRequest(events) {
    const body = JSON.stringify(events.map((event) => ({ name: event.n % 4 ? 'pageview' : 'Click', url: `/e/${event.n}`, domain: event.site,
      id: `chaos-${event.n}`, ip: event.address, user_agent: event.agent, props: this.props(event) })));
    return `POST /api/v1/events HTTP/1.1\r\nHost: chaos\r\nAuthorization: Bearer ${this.key}\r\n`
      + `Content-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body}`;
  }
}
