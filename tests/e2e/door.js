// The door by itself for a test: deploy/door/door on loopback, before services that only tell what they were asked.

import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import http from 'node:http';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { freePort } from './cluster.js';
import { ROOT, waitFor } from './harness.js';

const DOOR = path.join(ROOT, 'deploy/door/door');
const alive = new Set();
process.on('exit', () => {
  for (const one of alive) one.child?.kill('SIGKILL'); // nginx ends with it
});

// A service that answers every request with what it got; answer(request, response, body) may answer otherwise.
export async function startStub(name, { host = '127.0.0.1', port = 0 } = {}) {
  const stub = { name, asked: [], answer: null };
  stub.server = http.createServer(async (request, response) => {
    const chunks = [];
    for await (const chunk of request) chunks.push(chunk);
    const { method, url, headers } = request;
    const got = { service: name, method, url, headers, body: Buffer.concat(chunks).length };
    stub.asked.push(got);
    if (stub.answer?.(request, response, got)) return;
    response.writeHead(200, { 'Content-Type': 'application/json' }).end(JSON.stringify(got));
  });
  stub.server.keepAliveTimeout = 65000;
  stub.server.listen(port, host);
  await once(stub.server, 'listening');
  stub.at = `${host}:${stub.server.address().port}`;
  stub.port = stub.server.address().port;
  stub.close = async () => {
    const closed = once(stub.server, 'close');
    stub.server.close();
    stub.server.closeAllConnections();
    await closed;
  };
  return stub;
}

export class Door {
  constructor() {
    this.home = fs.mkdtempSync(path.join(os.tmpdir(), 'footfall-door-'));
    fs.chmodSync(this.home, 0o755); // as root, nginx's workers run as another user
    this.run = path.join(this.home, 'run');
    this.file('web/index.html', '<html>dashboard</html>');
    this.file('web/404.html', '<html>no such page of the dashboard</html>');
    // getent of our own: NAME ADDRESS… a line in `hosts`.
    this.file('bin/getent', `#!/bin/sh\necho "$2" >>${this.home}/asked\nawk -v n="$2" '$1 == n { for (i = 2; i <= NF; i++) print $i, "STREAM" }' ${this.home}/hosts\n`, 0o755);
    this.file('hosts', '');
    this.said = '';
    alive.add(this);
  }

  // A file below our folder, made with the folders above it; renamed into place.
  file(name, text, mode = 0o644) {
    const to = path.join(this.home, name);
    fs.mkdirSync(path.dirname(to), { recursive: true });
    fs.writeFileSync(`${to}.new`, text, { mode });
    fs.renameSync(`${to}.new`, to);
    return to;
  }

  spawn(env) {
    this.child = spawn(DOOR, [this.run], { env: { PATH: `${this.home}/bin:${process.env.PATH}`, ...env }, stdio: ['ignore', 'ignore', 'pipe'] });
    this.child.stderr.on('data', (text) => { this.said += text; });
    this.over = once(this.child, 'exit').then(([code, signal]) => ({ code, signal }));
  }

  // env: its settings, beside the addresses where it listens.
  async start(env) {
    this.port = await freePort();
    this.tlsPort = await freePort();
    this.spawn({ FOOTFALL_DOOR_ADDR: `127.0.0.1:${this.port}`, FOOTFALL_WEB_DIR: `${this.home}/web`, ...env(this) });
    await waitFor(() => accepts(this.port), `the door listens: ${this.said}`);
    return this;
  }

  // It has looked where names lead once more, wholly, and done what follows.
  async looked() {
    const times = () => fs.readFileSync(path.join(this.home, 'asked'), 'utf8').length;
    const before = times();
    await waitFor(() => times() > before, 'a look');
    const one = times();
    await waitFor(() => times() > one, 'and the next');
  }

  // The lines that it logged about something.
  lines(pattern) {
    return this.said.split('\n').filter((line) => pattern.test(line));
  }

  // Of nginx: its first process, those that now take connections.
  nginx() {
    const master = Number(fs.readFileSync(`${this.run}/nginx.pid`, 'utf8'));
    const children = spawnSync('pgrep', ['-P', String(master)]).stdout.toString().split('\n').filter(Boolean).map(Number);
    return { master, children };
  }

  async remove() {
    this.child.kill('SIGTERM');
    await this.over;
    fs.rmSync(this.home, { recursive: true, force: true });
    alive.delete(this);
  }
}

export function accepts(port) {
  return new Promise((resolve) => {
    const socket = net.connect(port, '127.0.0.1', () => resolve(true)).on('error', () => resolve(false));
    socket.on('connect', () => socket.destroy());
  });
}

// A certificate authority in a folder; make(name, hosts) gives {fullchain, privkey} as texts.
export function authority(folder) {
  const openssl = (...args) => {
    const { status, stderr } = spawnSync('openssl', args, { cwd: folder });
    if (status !== 0) throw new Error(`openssl ${args.join(' ')}: ${stderr}`);
  };
  const read = (name) => fs.readFileSync(path.join(folder, name), 'utf8');
  const key = (name) => openssl('ecparam', '-name', 'prime256v1', '-genkey', '-noout', '-out', name);
  fs.mkdirSync(folder, { recursive: true });
  key('ca.key');
  openssl('req', '-x509', '-new', '-key', 'ca.key', '-days', '30', '-subj', '/CN=Test authority', '-out', 'ca.pem');
  let serial = 1;
  return {
    root: read('ca.pem'),
    make(hosts) {
      const n = serial++;
      key(`${n}.key`);
      fs.writeFileSync(path.join(folder, `${n}.ext`), `subjectAltName=${hosts.map((host) => `DNS:${host}`).join(',')}\n`);
      openssl('req', '-new', '-key', `${n}.key`, '-subj', `/CN=${hosts[0]}`, '-out', `${n}.csr`);
      openssl('x509', '-req', '-in', `${n}.csr`, '-CA', 'ca.pem', '-CAkey', 'ca.key', '-set_serial', String(n), '-days', '20', '-extfile', `${n}.ext`, '-out', `${n}.pem`);
      return { serial: n, fullchain: read(`${n}.pem`) + read('ca.pem'), privkey: read(`${n}.key`) };
    },
  };
}
