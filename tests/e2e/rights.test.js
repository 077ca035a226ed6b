// Each role tries what it must not. The least a role needs is proved by every other test.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { FORBIDDEN } from '../parts/forbidden.js';
import { run, startStack } from './harness.js';

let stack;
before(async () => { stack = await startStack(); });
after(() => stack?.remove());

for (const [role, attempts] of Object.entries(FORBIDDEN)) {
  for (const [database, statement] of attempts) {
    test(`${role} may not, in the ${database} database: ${statement}`, () => {
      assert.throws(() => stack.sql(database, statement, role), (error) => /permission denied|must be owner/.test(String(error.stderr)));
    });
  }
}

test('without a password nobody gets in', async () => {
  const { code, stderr } = await run('psql', ['-Xw', '-h', '127.0.0.1', '-p', String(stack.port + 44), '-U', 'footfall_owner', 'footfall_app', '-c', 'select 1']);
  assert.notEqual(code, 0);
  assert.match(stderr, /no password supplied/);
});
