// The system calls of a service, as strace writes them down. A tracee stands still while strace notes
// the begin or the end of a call, so the order of lines is the order in which things happened.

import { spawnSync } from 'node:child_process';
import fs from 'node:fs';

const DATA_MOST = 1 << 21; // bytes of a call's data that are shown: more than any has

// Some containers deny it.
export function canTrace() {
  return spawnSync('strace', ['-f', '-o', '/dev/null', 'true']).status === 0;
}

// Options of a Service: it runs under strace, which notes these calls in the file, or has them fail.
export function traced({ file = '/dev/null', calls, inject = [] }) {
  return {
    wrap: ['strace', '-f', '--seccomp-bpf', '-y', '-s', String(DATA_MOST), '-e', 'signal=none', '-o', file, '-e', `trace=${calls.join()}`,
      ...inject.flatMap((one) => ['-e', `inject=${one}`])],
    wrapStays: true,
  };
}

// The calls in the order of their begin: {name, fd, file, text, begun, ended, result}, begun and ended
// being numbers of lines.
export function readTrace(file) {
  const calls = [], unfinished = new Map();
  fs.readFileSync(file, 'latin1').split('\n').forEach((line, at) => {
    const [, thread, rest] = /^(\d+) +(.*)$/.exec(line) ?? [];
    const resumed = /^<\.\.\. \w+ resumed>(.*)$/.exec(rest ?? '');
    if (!resumed && !/^\w+\(/.test(rest ?? '')) return;
    const call = resumed ? unfinished.get(thread) : { text: '', begun: at };
    if (!resumed) calls.push(call);
    if (rest.endsWith(' <unfinished ...>')) {
      call.text = rest.slice(0, -' <unfinished ...>'.length);
      unfinished.set(thread, call);
      return;
    }
    call.text += resumed ? resumed[1] : rest;
    call.ended = at;
    const result = / = (-?\d+)[^"]*$/.exec(call.text);
    Object.assign(call, { result: result ? Number(result[1]) : undefined });
  });
  for (const call of calls) {
    const [, name, fd, named] = /^(\w+)\((\d+)<([^>]*)>/.exec(call.text) ?? [];
    Object.assign(call, { name, fd: Number(fd), file: named });
  }
  return calls;
}
