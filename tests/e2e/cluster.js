// A throw-away PostgreSQL cluster with our roles and both databases migrated, for tests that need a
// database and no more. Works as root (PostgreSQL then runs as its own user) and as a normal user.

import { execFile, execFileSync, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const SCHEMA = fileURLToPath(new URL('../../deploy/schema', import.meta.url));
const LIBRARY = '/usr/lib/postgresql';
const ROLES = ['ingress', 'worker', 'query', 'console'].map((name) => `footfall_${name}`);
const DATABASES = ['app', 'metrics'];
const STATEMENT_MS = 300000; // what runs longer hangs

function binaries() {
  const versions = fs.readdirSync(LIBRARY).filter((name) => fs.existsSync(`${LIBRARY}/${name}/bin/initdb`));
  if (!versions.length) throw new Error(`there is no PostgreSQL server in ${LIBRARY}`);
  return `${LIBRARY}/${versions.sort((a, b) => b - a)[0]}/bin`;
}

// A port that nobody has, and that no connection takes as its own end before it is used: the system gives
// those from 32768 on.
export async function freePort(host = '127.0.0.1') {
  for (let tries = 0; tries < 100; tries++) {
    const server = net.createServer().listen(10000 + Math.floor(Math.random() * 9900), host);
    const free = await once(server, 'listening').then(() => server.address().port, () => 0);
    if (!free) continue;
    server.close();
    return free;
  }
  throw new Error('no free port');
}

// Run a program of the server as the user who may: PostgreSQL refuses root.
function asServer(program, args, cwd, exec = execFileSync) {
  const own = process.getuid() === 0 ? ['setpriv', '--reuid=postgres', '--regid=postgres', '--clear-groups', program] : [program];
  return exec(own[0], [...own.slice(1), ...args], { cwd, stdio: ['ignore', 'ignore', 'pipe'], timeout: STATEMENT_MS, env: { ...process.env, LC_ALL: 'C.UTF-8' } });
}

function runs(pid) {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

// settings: lines of postgresql.conf.
export async function startCluster(settings = '') {
  const bin = binaries();
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'footfall-pg-'));
  const port = await freePort();
  const data = path.join(dir, 'data');
  const control = (...args) => asServer(`${bin}/pg_ctl`, ['-D', data, '-w', '-l', path.join(dir, 'log'), ...args], dir);

  if (process.getuid() === 0) execFileSync('chown', ['postgres:', dir]);
  asServer(`${bin}/initdb`, ['-D', data, '-U', 'postgres', '-A', 'trust', '-E', 'UTF8', '--no-locale'], dir);
  fs.appendFileSync(path.join(data, 'postgresql.conf'),
    `port = ${port}\nlisten_addresses = '127.0.0.1'\nunix_socket_directories = ''\nlog_statement = 'none'\n${settings}\n`);
  control('start');

  // As the superuser; text may be several statements. Answers unaligned rows, "|" between columns.
  const psql = (database) => ['-X', '-q', '-At', '-v', 'ON_ERROR_STOP=1', '-h', '127.0.0.1', '-p', port, '-U', 'postgres', '-d', database];
  const options = { encoding: 'utf8', maxBuffer: 1 << 28, timeout: STATEMENT_MS, env: { ...process.env, PGOPTIONS: '-c client_min_messages=error -c timezone=UTC' } };
  const sql = (database, text) => {
    const done = spawnSync('psql', psql(database), { ...options, input: text });
    if (done.status !== 0) throw new Error(`psql: ${done.stderr || done.error}`);
    return done.stdout;
  };
  // The same of one statement, while other things go on here.
  const query = async (database, text) => (await promisify(execFile)('psql', [...psql(database), '-c', text], options)).stdout;
  const stop = async () => {
    try {
      if (fs.existsSync(path.join(data, 'postmaster.pid'))) control('stop', '-m', 'immediate');
    } finally {
      fs.rmSync(dir, { recursive: true, force: true });
    }
  };

  try {
    sql('postgres', fs.readFileSync(`${SCHEMA}/roles.sql`, 'utf8'));
    sql('postgres', ROLES.map((role) => `alter role ${role} login;`).join('\n'));
    for (const name of DATABASES) {
      sql('postgres', `create database footfall_${name} owner footfall_owner`);
      const files = fs.readdirSync(`${SCHEMA}/${name}`).filter((file) => file.endsWith('.sql')).sort();
      // The table is that of `footfall migrate`, as services want it.
      sql(`footfall_${name}`, ['set role footfall_owner;', 'create table migration (number integer primary key, name text); grant select on migration to public;',
        ...files.map((file) => `begin;\n${fs.readFileSync(`${SCHEMA}/${name}/${file}`, 'utf8')}\ncommit; insert into public.migration values (${parseInt(file, 10)}, '${file}');`)].join('\n'));
    }
  } catch (error) {
    await stop();
    throw error;
  }
  return {
    port,
    sql,
    stop,
    query,
    log: path.join(dir, 'log'),
    restart: () => control('restart', '-m', 'immediate'),
    // What a crash is to it, and the recovery from that, while other things go on here.
    crash: async () => {
      const pid = Number(fs.readFileSync(path.join(data, 'postmaster.pid'), 'utf8').split('\n')[0]);
      process.kill(pid, 'SIGQUIT'); // as pg_ctl stop -m immediate
      while (runs(pid)) await new Promise((resolve) => setTimeout(resolve, 5));
    },
    recover: () => asServer(`${bin}/pg_ctl`, ['-D', data, '-w', '-l', path.join(dir, 'log'), 'start'], dir, promisify(execFile)),
    conninfo: (role, database, viaPort = port) => `host=127.0.0.1 port=${viaPort} user=${role} dbname=${database}`,
  };
}
