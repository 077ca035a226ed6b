// The door's overlays: the demo's blog, names of services that come and go, slow clients within its memory, TLS, and a
// tunnel. One stack, whose files change. Needs the images of this tree: `make test-compose`.
import assert from 'node:assert/strict';
import { once as event } from 'node:events';
import fs from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { after, before, test } from 'node:test';
import tls from 'node:tls';
import { freePort } from '../e2e/cluster.js';
import { authority } from '../e2e/door.js';
import { ROOT, note, openBrowser, request, run, waitFor } from '../e2e/harness.js';
import { startCompose } from './harness.js';

const BLOG = 'blog.localhost', APP = 'stats.example', CROWD = 10000;

let stack, network;

before(async () => { stack = await startCompose(['compose.yml', 'demo.yml']); });
after(async () => {
  stack?.removeNow();
  if (network) await stack.docker('network', 'rm', network);
  // Those of tls.yml and development.yml, which are not among the files any more.
  for (const kind of ['volume', 'network']) {
    const left = await stack.docker(kind, 'ls', '-q', '--filter', `label=com.docker.compose.project=${stack.project}`);
    if (left) await stack.docker(kind, 'rm', ...left.trim().split('\n'));
  }
});

const ask = (url, host) => request(`${stack.url}${url}`, { headers: { Host: host } });

// docker-compose up with these files and further settings; the last one of a name counts.
async function upWith(files, settings) {
  stack.files = files;
  fs.appendFileSync(path.join(stack.home, '.env'), Object.entries(settings).map(([name, value]) => `${name}=${value}\n`).join(''));
  await stack.compose(['up', '-d']);
}

test('demo.yml serves a blog with our script in it, and its visits come into the tables', async () => {
  let inRow = 0; // workers of before the blog may answer, too, for a moment
  const page = await waitFor(async () => {
    const answer = await ask('/', BLOG);
    inRow = answer.text.includes('A small blog') ? inRow + 1 : 0;
    return inRow > 8 && answer;
  }, 'the blog', { timeout: 60000 });
  const id = page.text.match(/src="\/js\/([0-9a-f-]{36})\.js"/)[1];
  await waitFor(async () => (await ask(`/js/${id}.js`, BLOG)).status === 200, 'its script');
  assert.match((await ask('/nowhere', BLOG)).text, /Not in this blog/);
  assert.equal((await ask('/api/sites', BLOG)).status, 404);
  assert.match(await stack.compose(['logs', '--no-color', 'demo']), /account is demo@example\.org, its password [0-9a-f]{24}/);
  const browser = await openBrowser();
  try {
    const tab = await browser.newPage();
    await tab.goto(`http://${BLOG}:${stack.port}/`);
    await tab.click('text=A second post');
    await waitFor(async () => Number((await stack.sql('metrics', "select count(*) from event e join string s on s.site_id = e.site_id and s.id = e.page where s.value in ('/', '/second-post/')"))[0][0]) >= 2, 'both views in the tables');
  } finally {
    await browser.close();
  }
});

// The ingresses' addresses that the door knows, and those that they have in the network of the two.
async function upstream() {
  const [door] = await stack.containers('door');
  const { stdout } = await stack.shell(door, 'cat /tmp/door/nginx.conf');
  return [...stdout.matchAll(/server ([0-9.]+):8001 /g)].map(([, address]) => address).sort().join();
}
async function inEdge() {
  const containers = await Promise.all((await stack.containers('ingress')).map((id) => stack.inspect(id)));
  return containers.map(({ NetworkSettings }) => NetworkSettings.Networks[`${stack.project}_edge`].IPAddress).sort();
}

test('an ingress that comes is used within seconds, and one that goes is not asked any more', async () => {
  for (const count of [3, 1]) {
    await stack.compose(['up', '-d', '--no-recreate', '--scale', `ingress=${count}`]);
    const addresses = await inEdge();
    assert.equal(addresses.length, count);
    await waitFor(async () => await upstream() === addresses.join(), `${count} ingresses at the door`, { every: 200 });
  }
});

test('10,000 slow senders hold nobody up, and the door stays within its memory', async () => {
  const [id] = await stack.containers('door');
  const host = (await stack.inspect(id)).NetworkSettings.Networks[`${stack.project}_public`].IPAddress; // not by docker's proxy
  const crowd = [];
  for (const bytes of ['POST /api/event HTTP/1.1\r\nHost: x\r\nX-A', `POST /api/event HTTP/1.1\r\nHost: x\r\nContent-Length: 2000\r\n\r\n{${' '.repeat(1800)}`]) {
    for (let i = 0; i < CROWD; i += 250) {
      const more = Array.from({ length: 250 }, () => net.connect(8080, host).on('error', () => {}));
      await Promise.all(more.map((socket) => event(socket, 'connect')));
      for (const socket of more) socket.write(bytes);
      crowd.push(...more);
    }
    for (let i = 0; i < 20; i++) assert.equal((await ask('/', BLOG)).status, 200);
    note(`door with ${CROWD} slow senders: ${(await stack.docker('stats', '--no-stream', '--format', '{{.MemUsage}}', id)).trim()}`);
    for (const socket of crowd.splice(0)) socket.destroy();
  }
  const { State, RestartCount } = await stack.inspect(id);
  assert.deepEqual([State.Running, State.OOMKilled, RestartCount], [true, false, 0]);
  assert.doesNotMatch(await stack.docker('logs', id), /signal 9/);
});

test('development.yml opens every service on loopback, with the tree\'s script, and the door reaches them where it did', async () => {
  const { code, stderr } = await run('make', ['web', 'build/tracker/footfall.js']);
  assert.equal(code, 0, stderr);
  await upWith(['compose.yml', 'demo.yml', 'development.yml'], {});
  for (const [service, port] of [['ingress', 8050], ['worker', 8050], ['query', 8050], ['console', 8050]]) {
    const at = (await stack.compose(['port', service, String(port)])).trim();
    assert.match(at, /^127\.0\.0\.1:/);
    await waitFor(async () => (await request(`http://${at}/readyz`)).status === 200, `${service} is ready`, { timeout: 60000 });
  }
  const networks = async (service) => Object.keys((await stack.inspect((await stack.containers(service))[0])).NetworkSettings.Networks);
  const ofDoor = await networks('door');
  for (const service of ['ingress', 'query', 'console'])
    assert.deepEqual((await networks(service)).filter((name) => ofDoor.includes(name)), [`${stack.project}_edge`], service);
  await waitFor(async () => await upstream() === (await inEdge()).join(), 'the ingress at the door', { every: 200 });
  const [ingress] = await stack.containers('ingress');
  const { stdout } = await stack.shell(ingress, 'cat /usr/share/footfall/footfall.js');
  assert.equal(stdout, fs.readFileSync(path.join(ROOT, 'build/tracker/footfall.js'), 'utf8'));
});

test('tls.yml serves both kinds of hosts by TLS, with certificates from files, and plain HTTP leads there', async () => {
  const issuer = authority(path.join(stack.home, 'ca')), port = await freePort(), certificates = path.join(stack.home, 'certificates');
  const put = (host) => {
    const made = issuer.make([host]), folder = path.join(certificates, 'live', host);
    fs.mkdirSync(folder, { recursive: true });
    for (const name of ['fullchain', 'privkey']) fs.writeFileSync(path.join(folder, `${name}.pem`), made[name], { mode: 0o644 });
    return made.serial;
  };
  put(APP);
  await upWith(['compose.yml', 'demo.yml', 'tls.yml'], { FOOTFALL_APP_HOST: APP, FOOTFALL_CERTIFICATES: certificates, FOOTFALL_PUBLISH_TLS: `127.0.0.1:${port}`, FOOTFALL_HTTPS_PORT: port });
  const handshake = (servername) => new Promise((resolve, reject) => {
    const socket = tls.connect({ host: '127.0.0.1', port, servername, ca: issuer.root, ALPNProtocols: ['h2'] }, () => {
      resolve(`${socket.getProtocol()} ${socket.alpnProtocol} ${parseInt(socket.getPeerCertificate().serialNumber, 16)}`);
      socket.destroy();
    }).on('error', reject);
  });
  await waitFor(async () => await handshake(APP) === 'TLSv1.3 h2 1', 'TLS');
  assert.equal((await ask('/x', APP)).headers.location, `https://${APP}:${port}/x`);
  const serial = put(BLOG);
  await waitFor(async () => await handshake(BLOG) === `TLSv1.3 h2 ${serial}`, 'a certificate of its own', { every: 200 });
});

test('tunnel.yml publishes nothing, and believes CF-Connecting-IP from its network, and from further proxies behind it', async () => {
  const subnet = `10.${200 + Math.floor(Math.random() * 50)}.${Math.floor(Math.random() * 250)}.0/24`;
  network = `${stack.project}-tunnel`;
  await stack.docker('network', 'create', '--subnet', subnet, network);
  await upWith(['compose.yml', 'demo.yml', 'tunnel.yml'], { FOOTFALL_APP_HOST: '', FOOTFALL_TUNNEL_NETWORK: network, FOOTFALL_TUNNEL_SUBNET: subnet, FOOTFALL_FURTHER_PROXIES: '192.0.2.7' });
  assert.deepEqual(await stack.containers('door'), []);
  const published = await stack.docker('ps', '--filter', `label=com.docker.compose.project=${stack.project}`, '--format', '{{.Ports}}');
  assert.doesNotMatch(published, /->/);
  const { image } = { image: (await stack.inspect((await stack.containers('tunnel-door'))[0])).Config.Image };
  const inTunnel = async (text) => (await stack.docker('run', '--rm', '--network', network, '--entrypoint', 'bash', image, '-c',
    `exec 3<>/dev/tcp/door/8080; printf '${text}' >&3; cat <&3`)).split('\r\n')[0];
  const body = `{"n":"pageview","u":"http://${BLOG}/tunnelled","d":"${BLOG}"}`;
  for (const address of ['203.0.113.1', '203.0.113.2', '203.0.113.2, 192.0.2.7'])
    await waitFor(async () => (await inTunnel(`POST /api/event HTTP/1.1\\r\\nHost: ${BLOG}\\r\\nConnection: close\\r\\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64) Firefox/140.0\\r\\nCF-Connecting-IP: ${address}\\r\\nContent-Length: ${body.length}\\r\\n\\r\\n${body}`)).includes(' 202 '), 'accepted');
  const visitors = () => stack.sql('metrics', "select count(*), count(distinct e.visitor) from event e join string s on s.site_id = e.site_id and s.id = e.page where s.value = '/tunnelled'");
  await waitFor(async () => (await visitors())[0].join() === '3,2', 'three views of two visitors');
});
