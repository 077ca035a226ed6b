// What lies between two processes: a TCP proxy that can be cut (connections are reset, new ones are
// refused) or stalled (nothing is forwarded, and what was sent arrives later).

import { once } from 'node:events';
import net from 'node:net';

// When all is done node takes itself apart, and waits for ever now and then for a socket that was reset
// (20.20, in Environment::CleanupHandles()): so we exit before, behind what others do at that moment.
let ends = 0;
process.on('beforeExit', () => (ends++ ? process.exit() : setImmediate(() => {})));

export class Pipe {
  constructor(at, to) {
    this.at = at;
    this.to = to;
    this.pairs = new Set();
    this.state = 'whole';
    this.joined = 0; // connections so far
    this.server = net.createServer((near) => this.join(near));
    this.listening = once(this.server.listen(at), 'listening');
  }

  join(near) {
    this.joined++;
    if (this.state === 'cut') return near.resetAndDestroy();
    const far = net.connect(this.to), pair = [near, far];
    const end = () => {
      this.pairs.delete(pair);
      for (const socket of pair) socket.destroy();
    };
    for (const socket of pair) socket.setNoDelay().on('error', end).on('close', end);
    this.pairs.add(pair);
    near.on('data', (bytes) => this.awaits(bytes, far) || this.pass(bytes, near, far));
    far.on('data', (bytes) => this.pass(bytes, far, near));
    near.on('end', () => far.end());
    far.on('end', () => near.end());
    if (this.state === 'stall') for (const socket of pair) socket.pause();
  }

  pass(bytes, from, to) {
    if (to.write(bytes)) return;
    from.pause();
    to.once('drain', () => this.state === 'whole' && from.resume());
  }

  // Stall when what connects to us is about to send the last of these texts, having sent the others
  // before. Resolves when that is so, with the last not forwarded yet or, with `after`, with only its
  // answer held back.
  stallAt(texts, { after = false } = {}) {
    return new Promise((resolve) => { this.awaited = { texts: [...texts], after, resolve }; });
  }

  // Whether the bytes were the awaited ones, and were taken care of.
  awaits(bytes, far) {
    const { awaited } = this;
    if (!awaited || !bytes.includes(awaited.texts[0])) return false;
    awaited.texts.shift();
    if (awaited.texts.length) return false;
    this.awaited = null;
    if (awaited.after) far.write(bytes);
    else this.held = [far, bytes];
    this.set('stall');
    awaited.resolve();
    return true;
  }

  // whole, stall or cut
  set(state) {
    const was = this.state;
    this.state = state;
    if (state === 'cut') for (const pair of this.pairs) for (const socket of pair) socket.resetAndDestroy();
    if (state === 'stall') for (const pair of this.pairs) for (const socket of pair) socket.pause();
    if (state !== 'whole' || was !== 'stall') return;
    if (this.held && !this.held[0].destroyed) this.held[0].write(this.held[1]);
    this.held = null;
    for (const pair of this.pairs) for (const socket of pair) socket.resume();
  }

  close() {
    this.set('cut');
    this.server.close();
  }
}

// Between a worker and an ingress.
export class Link {
  // at, to: {host, push, ack}
  constructor(at, to) {
    this.pipes = ['push', 'ack'].map((port) => new Pipe({ host: at.host, port: at[port] }, { host: to.host, port: to[port] }));
  }

  listening() {
    return Promise.all(this.pipes.map((pipe) => pipe.listening));
  }

  // parts: of push (0) and ack (1). Acks alone failing is how records come twice.
  set(state, parts) {
    for (const part of parts) this.pipes[part].set(state);
  }

  close() {
    for (const pipe of this.pipes) pipe.close();
  }
}
