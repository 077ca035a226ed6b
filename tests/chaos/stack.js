// Two ingresses that share a folder of journals on a small filesystem, three workers, the door, and a
// PostgreSQL of its own. Between each worker and each ingress lies a link that can fail. All of it is
// bound to one random loopback network, so that no port is anybody else's.

import fs from 'node:fs';
import path from 'node:path';
import { Disk } from '../parts/disk.js';
import { Link } from '../parts/link.js';
import { HTTP_PORT, LINK_PORTS, Parts, ROOT } from '../parts/parts.js';
import { until } from '../parts/until.js';

const INGRESSES = 2, WORKERS = 3;
const DISK_MIB = 96, JOURNAL_MAX_MIB = 40;
const DENIED_MAX_MIB = 16; // the least there is: then it is this bound that is met, not a full disk
const DOOR_PORT = 7080;
const SITES = ['alpha', 'beta', 'gamma', 'delta', 'epsilon'].map((name) => `${name}.example`);

export class Stack extends Parts {
  constructor(logs) {
    super(logs);
    this.lost = []; // services that find() starts again
    this.links = []; // [worker][ingress]
  }

  start() {
    this.starting = this.make();
    return this.starting;
  }

  async make() {
    this.disk = await Disk.mount(this.folder('journal'), DISK_MIB);
    await this.databaseStart();
    await this.sitesMake(SITES);
    this.ingresses = Array.from({ length: INGRESSES }, (_, i) => this.ingress(`ingress-${i}`, 10 + i, {
      FOOTFALL_HTTP_THREADS: '128', // with the other one dead, all connections lead here
      FOOTFALL_JOURNAL_DIR: this.disk.dir,
      FOOTFALL_JOURNAL_MAX_MIB: String(this.disk.denied ? DENIED_MAX_MIB : JOURNAL_MAX_MIB),
    }, { revive: true }));
    this.workers = Array.from({ length: WORKERS }, (_, w) => this.worker(`worker-${w}`, 20 + w, this.linksOf(w), {}, { revive: true }));
    await Promise.all(this.links.flat().map((link) => link.listening()));
    this.door = this.doorMake();
    for (const service of this.services) service.start();
    if (!await until(() => this.ready())) throw new Error(`the stack is not ready; its logs are in ${this.logs}`);
  }

  // A worker's links, each with a proxy in between.
  linksOf(w) {
    const hosts = this.ingresses.map((_, i) => this.host(100 + 10 * w + i));
    this.links.push(hosts.map((host, i) => new Link({ host, ...LINK_PORTS }, { host: this.ingresses[i].http.host, ...LINK_PORTS })));
    return hosts.map((host) => `${host}:${LINK_PORTS.push}:${LINK_PORTS.ack}`);
  }

  // The local stack's own door, in front of our ingresses; the other services are nobody.
  doorMake() {
    const nobody = `${this.host(1)}:9`;
    return this.service('door', path.join(ROOT, 'deploy/door/door'), [this.folder('nginx')], {
      env: {
        PATH: process.env.PATH,
        FOOTFALL_DOOR_ADDR: `${this.host(1)}:${DOOR_PORT}`, FOOTFALL_WEB_DIR: path.join(ROOT, 'build/web'),
        FOOTFALL_INGRESS_HOSTS: this.ingresses.map(({ http }) => `${http.host}:${HTTP_PORT}`).join(','),
        FOOTFALL_QUERY_HOSTS: nobody, FOOTFALL_CONSOLE_HOSTS: nobody,
      },
      revive: true,
    });
  }

  // Where clients may send: {name, host, port}.
  targets() {
    return [...this.ingresses.map((service) => service.http), { name: 'door', host: this.host(1), port: DOOR_PORT, door: true }];
  }

  async lose(service) {
    await service.kill();
    this.lost.push(service);
  }

  find() {
    for (const service of this.lost.splice(0)) service.start();
  }

  living() {
    return [...this.ingresses, ...this.workers].filter((service) => !this.lost.includes(service));
  }

  async ready() {
    const ready = await Promise.all(this.living().map((service) => service.ready()));
    return ready.every(Boolean) && this.door.child !== null;
  }

  look() {
    return Promise.all(this.living().map((service) => service.look()));
  }

  total(name) {
    return this.services.reduce((sum, service) => sum + service.total(name), 0);
  }

  surprises() {
    return this.services.filter((service) => service.surprises).map((service) => `${service.name} ${service.surprises}`);
  }

  async end() {
    await this.starting?.catch(() => {});
    for (const link of this.links.flat()) link.close();
    await super.end();
    await this.disk?.unmount();
  }
}
