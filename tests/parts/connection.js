// A keep-alive HTTP/1.1 connection of a client, one request at a time. By hand, because node's own client
// takes several times the processor, which is the stack's here.

import net from 'node:net';

const ANSWER_MS = 6000;

export class Connection {
  constructor(target) {
    this.target = target; // {name, host, port}
    this.socket = null;
    this.done = null;
  }

  // done(answer) is called once, with {status, head, dropped, body} or, when no whole answer came, the
  // reason.
  send(request, done) {
    this.done = done;
    if (!this.socket) this.connect();
    this.socket.write(request);
  }

  connect() {
    const socket = net.connect({ host: this.target.host, port: this.target.port, noDelay: true });
    const lost = (reason) => {
      socket.destroy();
      if (this.socket !== socket) return;
      this.socket = null;
      this.finish(reason);
    };
    this.socket = socket;
    this.text = '';
    socket.setEncoding('latin1').setTimeout(ANSWER_MS);
    socket.on('data', (text) => this.take(text)).on('timeout', () => lost(`no answer in ${ANSWER_MS} ms`))
      .on('error', (error) => lost(error.code)).on('close', () => lost('closed'));
  }

  take(text) {
    this.text += text;
    const end = this.text.indexOf('\r\n\r\n');
    if (end < 0) return;
    const head = this.text.slice(0, end);
    const length = Number(/\r\ncontent-length: *(\d+)/i.exec(head)?.[1] ?? 0);
    if (this.text.length < end + 4 + length) return;
    const body = this.text.slice(end + 4, end + 4 + length);
    this.text = '';
    if (/\r\nconnection: *close/i.test(head)) this.close();
    this.finish({ status: Number(head.slice(9, 12)), head, dropped: /\r\nx-footfall-dropped: *(.*)/i.exec(head)?.[1], body });
  }

  finish(answer) {
    const { done } = this;
    this.done = null;
    done?.(answer);
  }

  // The same as a promise.
  ask(request) {
    return new Promise((resolve) => { this.send(request, resolve); });
  }

  close() {
    const { socket } = this;
    this.socket = null;
    socket?.destroy();
  }
}
