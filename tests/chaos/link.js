// What lies between a worker and an ingress: a TCP proxy that can be cut (connections are reset, new
// ones are refused) or stalled (nothing is forwarded, and what was sent arrives later).

import { once } from 'node:events';
import net from 'node:net';

class Pipe {
  constructor(at, to) {
    this.to = to;
    this.pairs = new Set();
    this.state = 'whole';
    this.server = net.createServer((near) => this.join(near));
    this.listening = once(this.server.listen(at), 'listening');
  }

  join(near) {
    if (this.state === 'cut') return near.resetAndDestroy();
    const pair = [near, net.connect(this.to)];
    const end = () => {
      this.pairs.delete(pair);
      for (const socket of pair) socket.destroy();
    };
    for (const socket of pair) socket.setNoDelay().on('error', end).on('close', end);
    this.pairs.add(pair);
    if (this.state === 'whole') this.flow(pair);
  }

  flow([near, far]) {
    near.pipe(far).pipe(near);
  }

  set(state) {
    if (state === 'cut') for (const pair of this.pairs) for (const socket of pair) socket.resetAndDestroy();
    if (state === 'stall') for (const [near, far] of this.pairs) near.unpipe(far) && far.unpipe(near);
    if (state === 'whole' && this.state === 'stall') for (const pair of this.pairs) this.flow(pair);
    this.state = state;
  }
}

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
    for (const pipe of this.pipes) {
      pipe.set('cut');
      pipe.server.close();
    }
  }
}
