// deploy/install where it may not install: a copy of it, in a folder of its own, that wants one package
// more than anybody has.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { ROOT, run } from './harness.js';

const NOBODY = 65534;
let folder;

before(async () => {
  folder = fs.mkdtempSync(path.join(os.tmpdir(), 'footfall-install-'));
  for (const name of ['deploy', 'bin', 'build']) fs.mkdirSync(path.join(folder, name));
  for (const name of ['deploy/install', 'versions.mk']) fs.copyFileSync(path.join(ROOT, name), path.join(folder, name));
  fs.writeFileSync(path.join(folder, 'deploy/packages.list'), '# the one list\nmake run make\nno-such-package run\nno-such-tool test\n');
  fs.writeFileSync(path.join(folder, 'bin/sudo'), '#!/bin/sh\nexit 1\n', { mode: 0o755 }); // it asks for a password
  if (process.getuid() === 0) await run('chown', ['-R', String(NOBODY), folder]);
  fs.chmodSync(folder, 0o755);
});
after(() => fs.rmSync(folder, { recursive: true, force: true }));

test('a missing package without the right to install it is one clear line that names it, and no test tool', async () => {
  const as = process.getuid() === 0 ? ['setpriv', `--reuid=${NOBODY}`, `--regid=${NOBODY}`, '--clear-groups'] : ['env'];
  const { code, stdout, stderr } = await run(as[0], [...as.slice(1), path.join(folder, 'deploy/install'), 'run'],
    { cwd: folder, env: { PATH: `${folder}/bin:${process.env.PATH}` } });
  assert.equal(code, 1);
  assert.equal(stdout, '');
  assert.match(stderr, /^footfall: [^\n]*missing[^\n]* no-such-package\n$/);
  assert.equal(stderr.includes('no-such-tool'), false);
});

test('asked for what it does not know it says how it is used', async () => {
  const { code, stderr } = await run(path.join(folder, 'deploy/install'), ['nonsense'], { cwd: folder });
  assert.equal(code, 2);
  assert.match(stderr, /^usage: [^\n]*\n$/);
});
