// The door between clients and services that are only pretended: who gets what, over what, and what goes on while
// names, certificates and sites change, services go, and clients are slow.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import http2 from 'node:http2';
import https from 'node:https';
import net from 'node:net';
import path from 'node:path';
import tls from 'node:tls';
import { after, afterEach, before, describe, test } from 'node:test';
import { ROOT, note, request, run, waitFor } from './harness.js';
import { Door, accepts, authority, startStub } from './door.js';

const ID = '0b54cd4e-6ac3-4a4c-8d0a-3b1f8f1d2e11';
const APP = 'stats.example', BLOG = 'blog.example', SHOP = 'shop.example';
const LONG = `${'a'.repeat(63)}.${'b'.repeat(63)}.${'c'.repeat(63)}.example`;
const COLLECTION = [`/js/${ID}.js`, '/api/event', '/api/send', '/api/batch', '/api/v0/count', '/api/v1/events', '/count', `/${ID}/count`, '/matomo.php', `/pixel/${ID}.gif`];
const REPORTS = ['/api/v1/stats/aggregate', '/api/v2/query', '/api/reports/dropped', '/api/live/1', '/api/debug/request', '/api/openapi.json', '/counter/a.json', `/${ID}/counter/a.json`];
const CONSOLE = ['/api/login', '/api/sites', '/api/setup'];

let ingress, second, query, people, door;

before(async () => {
  [ingress, second, query, people] = await Promise.all(['ingress', 'second', 'query', 'console'].map((name) => startStub(name)));
});
after(() => Promise.all([ingress, second, query, people].map((stub) => stub.close())));
afterEach(() => {
  for (const stub of [ingress, second, query, people]) Object.assign(stub, { asked: [], answer: null });
});

const services = () => ({ FOOTFALL_INGRESS_HOSTS: ingress.at, FOOTFALL_QUERY_HOSTS: query.at, FOOTFALL_CONSOLE_HOSTS: people.at });
const startDoor = (env) => new Door().start((it) => ({ ...services(), ...env?.(it) }));
const ask = (url, { host, ...options } = {}) => request(`http://127.0.0.1:${door.port}${url}`, { ...options, headers: { ...host && { Host: host }, ...options.headers } });
const post = (url, { body = '{}', ...options } = {}) => ask(url, { method: 'POST', body, ...options });

// Bytes as they are, to a port; the first line of the answer.
async function raw(port, bytes) {
  const socket = net.connect(port, '127.0.0.1').setEncoding('latin1').on('error', () => {});
  let text = '';
  socket.on('data', (more) => { text += more; });
  socket.end(bytes);
  await once(socket, 'close');
  return text;
}

describe('two kinds of hosts', () => {
  before(async () => {
    door = await startDoor((it) => {
      it.file(`sites/${BLOG}/index.html`, '<html>the blog</html>');
      it.file(`sites/${BLOG}/404.html`, '<html>not in this blog</html>');
      it.file(`sites/${BLOG}/about/index.html`, '<html>about</html>');
      it.file(`sites/${BLOG}/post.html`, `<html>${'a post '.repeat(500)}</html>`);
      it.file(`sites/${BLOG}/app.3f2a91bc.js`, 'versioned');
      it.file(`sites/${BLOG}/style.css`, 'p {}');
      for (const name of ['report-20261122.pdf', 'news-3f2a91bc.html', 'shot-iphone12.png']) it.file(`sites/${BLOG}/${name}`, 'replaced one day');
      it.file(`sites/${BLOG}/.git/config`, 'secret');
      it.file(`sites/${BLOG}/.env`, 'secret');
      it.file(`sites/${BLOG}/.well-known/security.txt`, 'Contact');
      it.file(`sites/${BLOG}/.well-known/.env`, 'secret');
      it.file('outside.html', 'secret');
      fs.symlinkSync('../../outside.html', `${it.home}/sites/${BLOG}/link.html`);
      fs.symlinkSync('..', `${it.home}/sites/${BLOG}/up`);
      it.file(`sites/${SHOP}/index.html`, '<html>the shop</html>');
      it.file(`sites/${LONG}/index.html`, '<html>a long name</html>');
      it.file('sites/Not_A_Host/index.html', 'never');
      return { FOOTFALL_APP_HOST: APP, FOOTFALL_SITES_DIR: `${it.home}/sites`, FOOTFALL_ADMIN_ADDR: '127.0.0.2:' + it.port };
    });
  });
  after(() => door.remove());

  test('the app host has the dashboard and every service, by the routes of the design', async () => {
    assert.match((await ask('/', { host: APP })).text, /dashboard/);
    for (const [paths, name] of [[COLLECTION, 'ingress'], [REPORTS, 'query'], [CONSOLE, 'console']])
      for (const url of paths) assert.equal((await ask(url, { host: APP })).json?.service, name, url);
  });

  test('a site host has its files and the public routes', async () => {
    assert.match((await ask('/', { host: BLOG })).text, /the blog/);
    assert.match((await ask('/', { host: SHOP })).text, /the shop/);
    assert.match((await ask('/', { host: LONG })).text, /a long name/);
    assert.match((await ask('/post', { host: BLOG })).text, /a post/);
    assert.match((await ask('/about/', { host: BLOG })).text, /about/);
    assert.equal((await ask('/about', { host: BLOG })).headers.location, '/about/');
    assert.equal((await ask('/.well-known/security.txt', { host: BLOG })).text, 'Contact');
    for (const url of COLLECTION) assert.equal((await ask(url, { host: BLOG })).json?.service, 'ingress', url);
  });

  test('on a site host reports and console are 404, with the blog\'s own page, and nobody is asked', async () => {
    for (const url of [...REPORTS, ...CONSOLE, '/api/', '/nothing', '/js/../api/sites', '/js/..%2fapi/sites', '//api/sites', '/api%2fsites'])
      for (const method of ['GET', 'POST']) {
        const answer = await ask(url, { host: BLOG, method, body: method === 'POST' ? '{}' : undefined });
        assert.deepEqual([answer.status, answer.text], [404, '<html>not in this blog</html>'], `${method} ${url}`);
      }
    assert.deepEqual([...query.asked, ...people.asked, ...ingress.asked], []);
    assert.equal((await ask('/nothing', { host: SHOP })).status, 404, 'also without a page of its own');
  });

  test('nothing that begins with a dot, and nothing outside of the folder, is served', async () => {
    for (const url of ['/.git/config', '/.env', '/.well-known/.env', '/%2eenv', '/link.html', '/up/outside.html', '/up/', '/../outside.html', '/%2e%2e/%2e%2e/outside.html', '/..%2f..%2foutside.html']) {
      const text = await raw(door.port, `GET ${url} HTTP/1.1\r\nHost: ${BLOG}\r\nConnection: close\r\n\r\n`);
      assert.match(text, /^HTTP\/1\.1 40[04] /, url);
      assert.doesNotMatch(text, /secret/, url);
    }
  });

  test('where the app host has a name, other names are 404, and so is a folder that is not named as a host is', async () => {
    for (const host of ['other.example', 'Not_A_Host', '127.0.0.1']) assert.equal((await ask('/', { host })).status, 404, host);
    assert.equal(door.lines(/Not_A_Host is no site/).length, 1);
  });

  test('a page of the dashboard that is not there is 404, with a page that says so', async () => {
    const answer = await ask('/nothing', { host: APP });
    assert.deepEqual([answer.status, answer.text], [404, '<html>no such page of the dashboard</html>']);
  });

  test('what a service says itself goes through as it is: 404, 403, 413, 429, 500', async () => {
    for (const status of [404, 403, 413, 429, 500]) {
      ingress.answer = (_, response) => response.writeHead(status, { 'Retry-After': '77' }).end('mine');
      const answer = await post('/api/event', { host: BLOG });
      assert.deepEqual([answer.status, answer.text, answer.headers['retry-after']], [status, 'mine', '77']);
    }
  });

  test('a site is there as soon as its folder is, and gone with it', async () => {
    door.file('sites/new.example/index.html', 'new');
    await waitFor(async () => (await ask('/', { host: 'new.example' })).text === 'new', 'the new site');
    fs.rmSync(`${door.home}/sites/new.example`, { recursive: true });
    await waitFor(async () => (await ask('/', { host: 'new.example' })).text.includes('no such host'), 'nobody');
  });

  test('files have an ETag and are asked for again, those with a version in their name are kept', async () => {
    const first = await ask('/style.css', { host: BLOG });
    assert.equal(first.headers['cache-control'], 'no-cache');
    assert.equal((await ask('/style.css', { host: BLOG, headers: { 'If-None-Match': first.headers.etag } })).status, 304);
    for (const url of ['/app.3f2a91bc.js', '/style.css?v=12'])
      assert.match((await ask(url, { host: BLOG })).headers['cache-control'], /max-age=31536000, immutable/, url);
    for (const url of ['/', '/post.html', '/post.html?v=2', '/about/', '/style.css?from=x.12345678.js', '/report-20261122.pdf', '/news-3f2a91bc.html', '/shot-iphone12.png']) assert.equal((await ask(url, { host: BLOG })).headers['cache-control'], 'no-cache', url);
  });

  test('texts are compressed for who can read that', async () => {
    const answer = await ask('/post.html', { host: BLOG, headers: { 'Accept-Encoding': 'gzip' } });
    assert.equal(answer.headers['content-encoding'], 'gzip');
    assert.match(answer.headers.vary, /Accept-Encoding/);
    assert.equal((await ask('/post.html', { host: BLOG })).headers['content-encoding'], undefined);
  });

  test('/healthz is answered where it is not for clients', async () => {
    assert.equal((await request(`http://127.0.0.2:${door.port}/healthz`)).text, 'ok');
    assert.equal((await ask('/healthz', { host: APP })).status, 404);
  });
});

describe('what services are told', () => {
  afterEach(() => door.remove());
  const seen = async (options) => (await post('/api/event', options)).json.headers;

  test('X-Forwarded-For is appended to, X-Request-Id is the door\'s own', async () => {
    door = await startDoor();
    const got = await seen({ headers: { 'X-Forwarded-For': '203.0.113.9', 'X-Request-Id': 'mine', 'X-Forwarded-Proto': 'https', Host: 'x.example' } });
    assert.equal(got['x-forwarded-for'], '203.0.113.9, 127.0.0.1');
    assert.equal(got['x-forwarded-proto'], 'http');
    assert.equal(got.host, 'x.example');
    assert.match(got['x-request-id'], /^[0-9a-f]{32}$/);
    assert.equal((await seen())['x-forwarded-for'], '127.0.0.1');
    assert.notEqual((await seen())['x-request-id'], got['x-request-id']);
  });

  test('a proxy that is trusted is believed about the scheme, and stands behind the client', async () => {
    door = await startDoor(() => ({ FOOTFALL_TRUSTED_PROXIES: '127.0.0.1, 198.51.100.0/24' }));
    const got = await seen({ headers: { 'X-Forwarded-For': '203.0.113.9, 198.51.100.7', 'X-Forwarded-Proto': 'https' } });
    assert.equal(got['x-forwarded-for'], '203.0.113.9, 198.51.100.7, 127.0.0.1');
    assert.equal(got['x-forwarded-proto'], 'https');
  });

  test('CF-Connecting-IP is believed from who is trusted', async () => {
    door = await startDoor(() => ({ FOOTFALL_TRUSTED_PROXIES: '127.0.0.1', FOOTFALL_CLIENT_HEADER: 'CF-Connecting-IP' }));
    const got = await seen({ headers: { 'CF-Connecting-IP': '203.0.113.9', 'X-Forwarded-For': '192.0.2.1' } });
    assert.equal(got['x-forwarded-for'], '192.0.2.1, 203.0.113.9, 127.0.0.1');
  });

  test('CF-Connecting-IP is not believed from anybody else', async () => {
    door = await startDoor(() => ({ FOOTFALL_TRUSTED_PROXIES: '198.51.100.7', FOOTFALL_CLIENT_HEADER: 'CF-Connecting-IP' }));
    assert.equal((await seen({ headers: { 'CF-Connecting-IP': '203.0.113.9' } }))['x-forwarded-for'], '127.0.0.1');
  });
});

describe('services that are away', () => {
  afterEach(() => door.remove());
  const unavailable = (answer) => {
    assert.deepEqual([answer.status, answer.headers['retry-after'], answer.headers['access-control-allow-origin']], [503, '5', '*']);
    assert.ok(answer.json.error);
  };

  test('an event is taken to another ingress when one is away, breaks off, or keeps nothing, with the same id', async () => {
    const gone = await startStub('gone');
    await gone.close();
    door = await startDoor(() => ({ FOOTFALL_INGRESS_HOSTS: `${gone.at},${second.at}` }));
    for (let i = 0; i < 4; i++) assert.equal((await post('/api/event')).json.service, 'second');
    await door.remove();
    door = await startDoor(() => ({ FOOTFALL_INGRESS_HOSTS: `${ingress.at},${second.at}` }));
    for (const answer of [(request_) => request_.socket.destroy(), (_, response) => response.writeHead(503).end()]) {
      ingress.asked = [], second.asked = [];
      ingress.answer = (...args) => { answer(...args); return true; };
      for (let i = 0; i < 4; i++) assert.equal((await post('/api/event')).json.service, 'second');
      const ids = (stub) => stub.asked.map(({ headers }) => headers['x-request-id']);
      assert.ok(ids(ingress).length > 0 && ids(ingress).every((id) => ids(second).includes(id)));
    }
  });

  test('nothing is sent a third time, and a report not a second', async () => {
    const third = await startStub('third');
    const cut = (request_) => { request_.socket.destroy(); return true; };
    for (const stub of [ingress, second, third, query]) stub.answer = cut;
    door = await startDoor(() => ({ FOOTFALL_INGRESS_HOSTS: [ingress, second, third].map(({ at }) => at).join(), FOOTFALL_QUERY_HOSTS: `${query.at},${query.at}` }));
    unavailable(await post('/api/event'));
    assert.equal(ingress.asked.length + second.asked.length + third.asked.length, 2);
    unavailable(await post('/api/v2/query'));
    assert.equal(query.asked.length, 1);
    await third.close();
  });

  test('with the only ingress, all of them, or console and query away, the answer is 503 with Retry-After', async () => {
    const gone = await startStub('gone');
    await gone.close();
    door = await startDoor(() => ({ FOOTFALL_INGRESS_HOSTS: gone.at, FOOTFALL_QUERY_HOSTS: gone.at, FOOTFALL_CONSOLE_HOSTS: gone.at }));
    for (const url of ['/api/event', '/matomo.php', '/api/v2/query', '/api/login']) unavailable(await post(url));
    await door.remove();
    door = await startDoor(() => ({ FOOTFALL_INGRESS_HOSTS: `${gone.at},127.0.0.3:${gone.port}` }));
    unavailable(await post('/api/event'));
  });
});

test('the door\'s log says which service cannot be had and why, and holds no client\'s address', async () => {
  const gone = await startStub('gone');
  await gone.close();
  door = await startDoor((it) => {
    fs.mkdirSync(`${it.home}/web/locked`, { mode: 0 }); // nginx says of all in it that it may not look, and what it is
    return { FOOTFALL_INGRESS_HOSTS: 'ingress:1', FOOTFALL_CONSOLE_HOSTS: gone.at, FOOTFALL_TRUSTED_PROXIES: '127.0.0.8' };
  });
  query.answer = (request_) => { request_.socket.destroy(); return true; };
  const client = { localAddress: '127.0.0.9', headers: { Referer: 'http://x, upstream: "http://192.0.2.5:1/", client: 192.0.2.6 [alert] ' } };
  const behindProxy = { localAddress: '127.0.0.8', headers: { 'X-Forwarded-For': '203.0.113.9', 'User-Agent': '203.0.113.9' } };
  for (const options of [client, behindProxy])
    for (const url of ['/api/event', '/api/v2/query', '/api/login?from=127.0.0.9', '/locked/x', '/locked/%0anginx:%20[alert]%20forged', '/locked/%0a2026/11/22%2004:05:06%20[alert]%20forged'])
      await ask(url, options);
  await waitFor(() => door.lines(/upstream/).length >= 3, 'said');
  await door.remove();
  const said = door.said.trim().split('\n').map((line) => JSON.parse(line)).filter(({ level }) => level === 'error').map(({ msg }) => msg.replace(/, \d+ times since this was said$/, ''));
  assert.deepEqual([...new Set(said)].sort(), [
    `${gone.at}: connect() failed (111: Connection refused) while connecting to upstream`,
    `${query.at}: upstream prematurely closed connection while reading response header from upstream`,
    'ingress: no live upstreams while connecting to upstream',
  ].sort());
  assert.doesNotMatch(door.said, /127\.0\.0\.[89]|203\.0|192\.0|forged|locked/);
});

describe('names of services', () => {
  afterEach(() => door.remove());
  const named = (at) => ({ FOOTFALL_INGRESS_HOSTS: `ingress:${at.port}` });
  const servedBy = (...names) => waitFor(async () => {
    const got = new Set();
    for (let i = 0; i < 6; i++) got.add((await post('/api/event')).json?.service);
    return [...got].sort().join() === [...names].sort().join();
  }, `served by ${names}`, { every: 100 });

  test('a name that leads nowhere does not stop the door from starting, collection is 503; then it is taken', async () => {
    door = await startDoor(() => named(ingress));
    const answer = await post('/api/event');
    assert.deepEqual([answer.status, answer.headers['retry-after']], [503, '5']);
    assert.match((await ask('/')).text, /dashboard/);
    door.file('hosts', 'ingress 127.0.0.1\n');
    await servedBy('ingress');
  });

  test('every address of a name is used, one that comes or goes is followed, and who has lost his name keeps what he had', async () => {
    const other = await startStub('other', { host: '127.0.0.3', port: ingress.port });
    door = await startDoor((it) => {
      it.file('hosts', 'ingress 127.0.0.1 127.0.0.3\n');
      return named(ingress);
    });
    await servedBy('ingress', 'other');
    door.file('hosts', 'ingress 127.0.0.3\n');
    await servedBy('other');
    door.file('hosts', '');
    const said = door.said.length;
    await door.looked();
    await servedBy('other');
    assert.equal(door.said.length, said);
    door.file('hosts', 'ingress 127.0.0.1 127.0.0.3\n');
    await servedBy('ingress', 'other');
    await other.close();
  });

  test('no new connection fails while the door is configured anew', async () => {
    door = await startDoor((it) => {
      it.file('hosts', 'ingress 127.0.0.1\n');
      return named(ingress);
    });
    const failed = [];
    let running = true, done = 0;
    const client = async () => {
      while (running) {
        const answer = await ask('/').catch((error) => ({ status: error.message }));
        if (answer.status !== 200) failed.push(answer.status);
        done++;
      }
    };
    const clients = Array.from({ length: 16 }, client);
    for (let times = 1; times <= 3; times++) {
      door.file('hosts', `ingress 127.0.0.1${times % 2 ? ' 127.0.0.3' : ''}\n`);
      await waitFor(() => door.lines(/configured anew/).length === times, 'configured anew');
    }
    const soFar = done;
    await waitFor(() => done > soFar + 500, 'more requests');
    running = false;
    await Promise.all(clients);
    note(`${done} new connections while the door was configured anew three times, ${failed.length} failed`);
    assert.deepEqual(failed, []);
  });

  test('a request in flight and a live stream go on while the door is configured anew', async () => {
    door = await startDoor((it) => {
      it.file('hosts', 'ingress 127.0.0.1\n');
      return named(ingress);
    });
    let answerNow;
    ingress.answer = (_, response) => {
      if (answerNow) return false;
      answerNow = () => response.end('late');
      return true;
    };
    query.answer = (_, response) => {
      response.writeHead(200, { 'Content-Type': 'text/event-stream' }).write('data: 1\n\n');
      query.stream = response;
      return true;
    };
    const late = post('/api/event');
    await waitFor(() => answerNow, 'the request is there');
    const stream = net.connect(door.port, '127.0.0.1').setEncoding('latin1');
    let text = '';
    stream.on('data', (more) => { text += more; });
    stream.write('GET /api/live/1 HTTP/1.1\r\nHost: x\r\n\r\n');
    await waitFor(() => text.includes('data: 1'), 'the stream');
    const before_ = door.nginx().children;
    door.file('hosts', 'ingress 127.0.0.3\n');
    await waitFor(() => door.nginx().children.some((pid) => !before_.includes(pid)) && door.lines(/configured anew/).length === 1, 'configured anew');
    await waitFor(async () => (await post('/api/event')).status === 503, 'the new one is used');
    query.stream.write('data: 2\n\n');
    await waitFor(() => text.includes('data: 2'), 'the stream goes on');
    answerNow();
    assert.equal((await late).text, 'late');
    stream.destroy();
  });
});

describe('TLS', () => {
  let issuer;
  const put = (host, { fullchain, privkey }) => {
    // As certbot leaves it: live/ has links into archive/.
    const n = put.n = (put.n ?? 0) + 1;
    door.file(`letsencrypt/archive/${host}/fullchain${n}.pem`, fullchain);
    door.file(`letsencrypt/archive/${host}/privkey${n}.pem`, privkey);
    fs.mkdirSync(`${door.home}/letsencrypt/live/${host}`, { recursive: true });
    for (const kind of ['privkey', 'fullchain']) {
      const link = `${door.home}/letsencrypt/live/${host}/${kind}.pem`;
      fs.symlinkSync(`../../archive/${host}/${kind}${n}.pem`, `${link}.new`);
      fs.renameSync(`${link}.new`, link);
    }
  };
  const secure = (url, { host = APP, agent = false, ...options } = {}) => new Promise((resolve, reject) => {
    https.request({ host: '127.0.0.1', port: door.tlsPort, path: url, servername: host, ca: issuer.root, agent, ...options, headers: { Host: host, ...options.headers } }, async (response) => {
      const serial = response.socket.getPeerCertificate().serialNumber;
      let text = '';
      for await (const more of response.setEncoding('utf8')) text += more;
      resolve({ status: response.statusCode, headers: response.headers, text, serial: parseInt(serial, 16) });
    }).on('error', reject).end(options.body);
  });
  const handshake = (options) => new Promise((resolve, reject) => {
    const socket = tls.connect({ host: '127.0.0.1', port: door.tlsPort, servername: APP, ca: issuer.root, ...options }, () => {
      resolve({ protocol: socket.getProtocol(), cipher: socket.getCipher().name, alpn: socket.alpnProtocol, serial: parseInt(socket.getPeerCertificate().serialNumber, 16) });
      socket.destroy();
    }).on('error', reject);
  });
  const startSecure = (env, hosts = [APP, BLOG]) => startDoor((it) => {
    door = it;
    issuer = authority(`${it.home}/ca`);
    it.file(`sites/${BLOG}/index.html`, 'the blog');
    it.file('acme/.well-known/acme-challenge/token', 'challenge');
    for (const host of hosts) put(host, issuer.make([host]));
    return {
      FOOTFALL_DOOR_TLS_ADDR: `127.0.0.1:${it.tlsPort}`, FOOTFALL_HTTPS_PORT: String(it.tlsPort), FOOTFALL_APP_HOST: APP, FOOTFALL_SITES_DIR: `${it.home}/sites`,
      FOOTFALL_CERTIFICATES_DIR: `${it.home}/letsencrypt/live`, FOOTFALL_ACME_DIR: `${it.home}/acme`, ...env,
    };
  });
  afterEach(() => door.remove());

  test('TLS 1.2 and 1.3 with forward secrecy and HTTP/2 are offered, nothing older or weaker', async () => {
    door = await startSecure();
    assert.equal((await handshake()).protocol, 'TLSv1.3');
    const { protocol, cipher, alpn } = await handshake({ maxVersion: 'TLSv1.2', ALPNProtocols: ['h2', 'http/1.1'] });
    assert.deepEqual([protocol, alpn], ['TLSv1.2', 'h2']);
    assert.match(cipher, /^ECDHE-ECDSA-(AES...-GCM|CHACHA20)/);
    for (const weak of [{ maxVersion: 'TLSv1.1', minVersion: 'TLSv1' }, { maxVersion: 'TLSv1.2', ciphers: 'AES128-SHA:ECDHE-ECDSA-AES128-SHA:AES128-GCM-SHA256' }])
      await assert.rejects(handshake({ ...weak, ciphers: `${weak.ciphers ?? 'DEFAULT'}:@SECLEVEL=0` }));
  });

  test('HTTP/2 has the dashboard, collection and a site', async () => {
    door = await startSecure();
    const session = http2.connect(`https://127.0.0.1:${door.tlsPort}`, { servername: APP, ca: issuer.root });
    const get = async (headers, body) => {
      const stream = session.request(headers, { endStream: body === undefined });
      if (body !== undefined) stream.end(body);
      const [answer] = await once(stream, 'response');
      let text = '';
      for await (const more of stream.setEncoding('utf8')) text += more;
      return { status: answer[':status'], text };
    };
    assert.match((await get({ ':path': '/', ':authority': APP })).text, /dashboard/);
    assert.equal((await get({ ':path': '/', ':authority': BLOG })).text, 'the blog');
    const event = JSON.parse((await get({ ':path': '/api/event', ':authority': BLOG, ':method': 'POST' }, '{"n":"pageview"}')).text);
    assert.deepEqual([event.service, event.body, event.headers['x-forwarded-proto'], event.headers['x-forwarded-for']], ['ingress', 16, 'https', '127.0.0.1']);
    session.destroy();
  });

  test('by HTTP/2 one address has few requests at once, over however many connections; others go on', async () => {
    door = await startSecure();
    const sessions = [], statuses = [];
    const send = (session, end) => {
      const stream = session.request({ ':path': '/api/event', ':authority': APP, ':method': 'POST', 'content-length': 2 }).on('error', () => {}).on('response', (answer) => statuses.push(answer[':status']));
      stream[end ? 'end' : 'write'](end ? '{}' : '{');
    };
    const connect = (localAddress) => {
      const session = http2.connect(`https://127.0.0.1:${door.tlsPort}`, { servername: APP, ca: issuer.root, localAddress }).on('error', () => {});
      sessions.push(session);
      return session;
    };
    for (let i = 0; i < 5; i++) {
      const session = connect('127.0.0.1');
      for (let n = 0; n < 60; n++) send(session); // 300 that do not end
    }
    await waitFor(() => statuses.length > 0, 'an answer to those that are too many');
    assert.deepEqual([...new Set(statuses.splice(0))], [429]);
    send(connect('127.0.0.2'), true);
    await waitFor(() => statuses.includes(200), 'an answer to another address');
    for (const session of sessions) session.destroy();
  });

  test('copied keys can be read by nginx alone, and be written by no worker of it', async () => {
    door = await startSecure();
    const folder = `${door.run}/certificates`, asRoot = process.getuid() === 0;
    assert.equal(fs.statSync(folder).mode & 0o777, asRoot ? 0o710 : 0o700);
    for (const name of fs.readdirSync(folder)) {
      const { mode, uid } = fs.statSync(path.join(folder, name));
      assert.deepEqual([mode & 0o777, uid], [asRoot ? 0o640 : 0o600, process.getuid()], name);
    }
  });

  test('plain HTTP leads to HTTPS, and a POST stays one; only challenges are answered there', async () => {
    door = await startSecure();
    for (const host of [APP, BLOG]) {
      const answer = await post('/api/event?a=b', { host });
      assert.deepEqual([answer.status, answer.headers.location], [308, `https://${host}:${door.tlsPort}/api/event?a=b`]);
      assert.equal((await ask('/.well-known/acme-challenge/token', { host })).text, 'challenge');
    }
    assert.deepEqual(ingress.asked, []);
  });

  test('browsers are told to come by HTTPS, by every answer of files and services, unless it is unwanted', async () => {
    door = await startSecure();
    for (const [url, host] of [['/', APP], ['/', BLOG], ['/api/login', APP], ['/nothing', BLOG]])
      assert.equal((await secure(url, { host })).headers['strict-transport-security'], 'max-age=31536000', `${host}${url}`);
    await door.remove();
    door = await startSecure({ FOOTFALL_HSTS_SECONDS: '0' });
    assert.equal((await secure('/')).headers['strict-transport-security'], undefined);
  });

  test('a changed certificate is taken over while requests run, and none fails', async () => {
    door = await startSecure();
    const agent = new https.Agent({ keepAlive: true, maxSockets: 8 });
    const failed = [], serials = new Set();
    let running = true, done = 0;
    const client = async (agent_) => {
      while (running) {
        const answer = await secure('/api/event', { method: 'POST', body: '{}', agent: agent_ }).catch((error) => ({ status: error.message }));
        done++;
        if (answer.status !== 200) failed.push(answer.status);
        else serials.add(answer.serial);
      }
    };
    const clients = [...Array.from({ length: 8 }, () => client(agent)), client(false), client(false)];
    const { children } = door.nginx();
    for (let i = 0; i < 2; i++) {
      await waitFor(() => done > 200 * (i + 1), 'requests');
      const next = issuer.make([APP]);
      put(APP, next);
      await waitFor(() => serials.has(next.serial), 'the new certificate is seen');
    }
    running = false;
    await Promise.all(clients);
    agent.destroy();
    note(`${done} requests by TLS while the certificate changed twice, ${failed.length} failed`);
    assert.deepEqual(failed, []);
    assert.deepEqual(door.nginx().children, children, 'no connection was closed for it');
  });

  test('a certificate that does not fit is said once, in one line, and the one before stays in use', async () => {
    door = await startSecure();
    const { serial } = await handshake();
    const [one, other] = [issuer.make([APP]), issuer.make([APP])];
    for (const bad of [{ fullchain: one.fullchain, privkey: other.privkey }, { fullchain: 'nonsense', privkey: one.privkey }, { fullchain: one.fullchain, privkey: '' }]) {
      const before_ = door.lines(/cannot be used/).length;
      put(APP, bad);
      await waitFor(() => door.lines(/cannot be used, the one before stays in use/).length > before_, 'said');
      assert.equal((await handshake()).serial, serial);
    }
    const lines = door.lines(/cannot be used/);
    assert.match(lines.join('\n'), /key values mismatch/);
    for (const line of lines) assert.equal(JSON.parse(line).level, 'error');
    put(APP, one);
    await waitFor(async () => (await handshake()).serial === one.serial, 'the good one');
    assert.deepEqual(door.lines(/cannot be used/), lines);
  });

  test('without a certificate yet only challenges are answered; the first one is taken as soon as it is there', async () => {
    door = await startSecure({}, []);
    assert.equal((await ask('/.well-known/acme-challenge/token', { host: APP })).text, 'challenge');
    for (const host of [APP, BLOG]) assert.equal((await ask('/', { host })).status, 503);
    await assert.rejects(handshake());
    assert.equal(door.lines(/there is no .*letsencrypt\/live\/stats\.example\/fullchain\.pem/).length, 1, door.said);
    put(APP, issuer.make([APP, BLOG]));
    await waitFor(async () => (await secure('/')).status === 200, 'the app host by TLS');
    await waitFor(async () => (await secure('/', { host: BLOG })).text === 'the blog', 'the site by the app host\'s certificate, until there is one of its own');
    await waitFor(async () => (await ask('/', { host: BLOG })).status === 308, 'plain HTTP leads there');
    const own = issuer.make([BLOG]);
    put(BLOG, own);
    await waitFor(async () => (await secure('/', { host: BLOG })).serial === own.serial, 'its own');
  });
});

describe('bounds', () => {
  afterEach(() => door.remove());
  // A request of which the body does not come to its end.
  const unfinished = (length, url) => {
    const socket = net.connect(door.port, '127.0.0.1').on('error', () => {}).resume();
    socket.write(`POST ${url} HTTP/1.1\r\nHost: x\r\nContent-Length: ${length}\r\n\r\n`);
    return socket;
  };

  test('a body of 64 KiB is taken, of 2 MiB where many events come at once; beyond that is 413, which pages may read', async () => {
    door = await startDoor();
    for (const [url, most] of [['/api/event', 64 << 10], ['/api/v1/events', 2 << 20], ['/matomo.php', 2 << 20], ['/api/login', 64 << 10]]) {
      assert.equal((await post(url, { body: 'x'.repeat(most) })).json.body, most, url);
      const answer = await post(url, { body: 'x'.repeat(most + 1) });
      assert.deepEqual([answer.status, answer.headers['access-control-allow-origin']], [413, '*'], url);
    }
  });

  test('requests of one address, of IPv6 of one /64, beyond the rate are 429 with Retry-After, those of another are not', async () => {
    const rate = 5;
    door = await startDoor(() => ({ FOOTFALL_CLIENT_RATE: String(rate), FOOTFALL_TRUSTED_PROXIES: '127.0.0.1' }));
    const from = (address) => post('/api/event', { headers: { 'X-Forwarded-For': address } });
    for (const [address, other] of [
      [() => '203.0.113.1', '203.0.113.2'],
      [(n) => `2001:db8:0:a::${(n + 1).toString(16)}`, '2001:db8:0:b::1'],
      [() => '::ffff:203.0.113.3', '::ffff:203.0.113.4'], // IPv4
    ]) {
      const answers = [], began = performance.now();
      const busy = await waitFor(async () => {
        answers.push(...await Promise.all(Array.from({ length: 30 }, (_, n) => from(address(n)))));
        return answers.find(({ status }) => status === 429);
      }, `${address(0)} is told to wait`);
      const most = rate + 1 + rate * (performance.now() - began) / 1000;
      assert.ok(answers.filter(({ status }) => status === 200).length <= most, address(0));
      assert.deepEqual([busy.headers['retry-after'], busy.headers['access-control-allow-origin']], ['1', '*']);
      assert.equal((await from(other)).status, 200, other);
    }
  });

  test('bodies beyond 4 KB are few at once, of one address and in all, so that they have room in memory; small ones go on', async () => {
    door = await startDoor();
    const held = [];
    // One that is held each time, until there is no room for ours: ours may have taken the last one's from it.
    const full = (length, url, body) => waitFor(async () => {
      held.push(unfinished(length, url));
      return (await post(url, { body: 'x'.repeat(body) })).status === 429;
    }, 'one more is refused');
    const drips = setInterval(() => held.forEach((socket) => socket.write('x')), 1000); // however slow we are
    drips.unref();
    await full(65536, '/api/event', 5000);
    const chunked = net.connect(door.port, '127.0.0.1').setEncoding('latin1').on('error', () => {});
    chunked.write('POST /api/event HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n');
    assert.match((await once(chunked, 'data'))[0], /^HTTP\/1\.1 429/, 'of unknown length, too');
    assert.equal((await post('/api/event', { body: 'x'.repeat(3999) })).status, 200);
    assert.equal((await post('/api/v1/events', { body: 'x'.repeat(1 << 20) })).status, 200);
    await full(2 << 20, '/api/v1/events', 1 << 20);
    clearInterval(drips);
    for (const socket of [...held, chunked]) socket.destroy();
    await waitFor(async () => (await post('/api/event', { body: 'x'.repeat(5000) })).status === 200, 'room again');
  });
});

describe('10,000 connections', () => {
  const hard = Number(spawnSync('sh', ['-c', 'ulimit -Hn']).stdout.toString()) || 1 << 20;
  const count = Math.min(10000, hard - 2000);
  const crowds = {
    'that say nothing': () => '',
    'whose headers drip': () => 'POST /api/event HTTP/1.1\r\nHost: x\r\nX-A',
    'whose bodies of 64 KiB drip': () => `POST /api/event HTTP/1.1\r\nHost: x\r\nContent-Length: 65536\r\n\r\n{`,
    'whose small bodies drip': () => 'POST /api/event HTTP/1.1\r\nHost: x\r\nContent-Length: 500\r\n\r\n{',
  };
  afterEach(() => door.remove());
  for (const [what, bytes] of Object.entries(crowds))
    test(`${what} hold nobody up, and have room in 128 MB`, async () => {
      assert.ok(count > 1000, `as few as ${hard} files may be open here`);
      door = await startDoor();
      const sockets = [];
      for (let i = 0; i < count; i += 250) {
        const more = Array.from({ length: Math.min(250, count - i) }, () => net.connect(door.port, '127.0.0.1').on('error', () => {}));
        await Promise.all(more.map((socket) => once(socket, 'connect')));
        for (const socket of more) if (bytes()) socket.write(bytes());
        sockets.push(...more);
      }
      for (let i = 0; i < 50; i++) {
        assert.equal((await post('/api/event')).status, 200);
        assert.equal((await ask('/')).status, 200);
      }
      const { master, children } = door.nginx();
      const kib = [master, ...children].map((pid) => Number(fs.readFileSync(`/proc/${pid}/status`, 'utf8').match(/^RssAnon:\s+(\d+)/m)[1]));
      note(`${count} connections ${what}: nginx has ${(kib.reduce((a, b) => a + b) / 1024).toFixed(0)} MiB (RssAnon of its ${kib.length} processes)`);
      assert.ok(kib.reduce((a, b) => a + b) < 128 * 1024);
      for (const socket of sockets) socket.destroy();
    });
});

describe('the access log', () => {
  afterEach(() => door.remove());

  test('there is none unless it is asked for', async () => {
    door = await startDoor((it) => ({ FOOTFALL_SITES_DIR: path.dirname(path.dirname(it.file(`sites/${BLOG}/index.html`, 'the blog'))) }));
    await ask('/', { host: BLOG });
    const files = fs.readdirSync(door.home, { recursive: true }).filter((name) => /log$/.test(name));
    assert.deepEqual(files, []);
  });

  test('a site\'s pages are in a log of its own, which footfall log import reads, with the client\'s address; its events are not', async () => {
    door = await startDoor((it) => {
      it.file(`sites/${BLOG}/index.html`, 'the blog');
      fs.mkdirSync(`${it.home}/logs`, { mode: 0o777 });
      return { FOOTFALL_SITES_DIR: `${it.home}/sites`, FOOTFALL_ACCESS_LOG_DIR: `${it.home}/logs`, FOOTFALL_TRUSTED_PROXIES: '127.0.0.1' };
    });
    const headers = { 'User-Agent': 'A "real" Agent/1', Referer: 'https://example.net/from', 'X-Forwarded-For': '203.0.113.9' };
    await ask('/?utm_source=x', { host: BLOG, headers });
    await ask('/', { host: 'stats.example', headers });
    await ask('/count?p=/x', { host: BLOG, headers });
    await ask('/nothing', { host: BLOG, headers });
    const file = `${door.home}/logs/${BLOG}.log`;
    const logged = (name, pattern) => waitFor(() => pattern.test(fs.readFileSync(name, 'utf8')), `the line of ${pattern}`); // after the answer
    await logged(file, /\/nothing/);
    await logged(`${door.home}/logs/app.log`, /^203\.0\.113\.9 - - \[.*\] "GET \/ HTTP\/1\.1" 200 /);
    const events = [];
    const server = await startStub('importer');
    server.answer = (_, response, got) => {
      events.push(got);
      response.writeHead(200, { 'Content-Type': 'application/json' }).end(JSON.stringify({ accepted: 1, rejected: 0, unavailable: 0, results: [] }));
      return true;
    };
    const result = await run(path.join(ROOT, 'build/bin/footfall'), ['log', 'import', file, '--json', '--site', ID, '--url', `http://${server.at}`, '--key', 'k', '--domain', BLOG], { env: { HOME: door.home } });
    assert.equal(result.code, 0, result.stderr);
    const said = JSON.parse(result.stdout);
    assert.deepEqual([said.lines, said.imported], [2, 1]);
    await server.close();

    // Moved away and opened anew.
    fs.renameSync(file, `${file}.1`);
    process.kill(door.child.pid, 'SIGUSR1');
    await waitFor(() => fs.existsSync(file), 'a new log');
    await ask('/after', { host: BLOG, headers });
    await logged(file, /\/after/);
  });
});

describe('its end', () => {
  afterEach(() => door.remove());

  test('TERM answers what is in hand, and ends it with 0', async () => {
    // Its second lasts until the answer is there, however slow we are: a sleep of our own.
    door = await startDoor((it) => {
      it.file('bin/sleep', `#!/bin/sh\n[ "$1" != 0.05 ] || until [ -e ${it.home}/answered ]; do /bin/sleep 0.01; done\nexec /bin/sleep "$1"\n`, 0o755);
    });
    let answerNow;
    ingress.answer = (_, response) => { answerNow = () => response.end('late'); return true; };
    try {
      const late = post('/api/event');
      await waitFor(() => answerNow, 'the request is there');
      door.child.kill('SIGTERM');
      await waitFor(async () => !(await accepts(door.port)), 'nothing new is taken');
      answerNow();
      assert.equal((await late).text, 'late');
    } finally {
      door.file('answered', '');
    }
    assert.deepEqual(await door.over, { code: 0, signal: null });
  });

  test('when nginx is killed, it ends with its status, and nothing is left', async () => {
    door = await startDoor();
    process.kill(door.nginx().master, 'SIGKILL');
    assert.deepEqual(await door.over, { code: 137, signal: null });
    await waitFor(async () => !(await accepts(door.port)), 'nobody listens');
  });

  test('when it is killed, nginx ends, too', async () => {
    door = await startDoor();
    const { master } = door.nginx();
    door.child.kill('SIGKILL');
    // Whoever is its parent now may be slow to take note of it.
    const ended = () => !fs.existsSync(`/proc/${master}`) || /^State:\s+Z/m.test(fs.readFileSync(`/proc/${master}/status`, 'utf8'));
    await waitFor(ended, 'nginx has ended');
  });
});

test('a wrong setting stops the start with one line that names it', async () => {
  const wrong = [['FOOTFALL_DOOR_ADDR', 'nowhere'], ['FOOTFALL_DOOR_TLS_ADDR', '8443'], ['FOOTFALL_APP_HOST', 'a b'], ['FOOTFALL_INGRESS_HOSTS', 'ingress'], ['FOOTFALL_INGRESS_HOSTS', ''],
    ['FOOTFALL_TRUSTED_PROXIES', 'all;'], ['FOOTFALL_CLIENT_RATE', '-1'], ['FOOTFALL_CLIENT_HEADER', 'A: b'], ['FOOTFALL_WEB_DIR', '/nowhere'], ['FOOTFALL_ACCESS_LOG_DIR', '/nowhere'], ['FOOTFALL_HTTPS_PORT', '70000']];
  for (const [name, value] of wrong) {
    const it = new Door();
    it.spawn({ FOOTFALL_DOOR_ADDR: '127.0.0.1:9', FOOTFALL_WEB_DIR: `${it.home}/web`, ...services(), [name]: value });
    assert.equal((await it.over).code, 1, name);
    const lines = it.said.trim().split('\n');
    assert.equal(lines.length, 1, it.said);
    assert.match(JSON.parse(lines[0]).msg, new RegExp(name), `${name}=${value}`);
    await it.remove();
  }
});
