// Collect a backlog: COUNT events to POST /api/v1/events, a thousand a request, two requests at a time
// as `footfall log import` has them. Their times are the last hour's (BENCH_HOURS), in order: two of three are page views, each
// third tells how long one of the last half minute was looked at. Pages, visitors and agents are those of a
// middling blog: few have most of the events, as it is everywhere. BENCH_VISITORS visitors come alike often,
// instead; BENCH_PAGES is how many pages there are. Arguments: URL, KEY, COUNT, file of user agents, domains…

import fs from 'node:fs';
import http from 'node:http';

const [url, key, count, agentsFile, ...domains] = process.argv.slice(2);
const { BENCH_VISITORS, BENCH_PAGES, BENCH_HOURS } = process.env;
const BATCH = 1000, SPAN_MS = Number(BENCH_HOURS ?? 1) * 3600 * 1000;
const agents = fs.readFileSync(agentsFile, 'utf8').split('\n').filter(Boolean);
const agent = new http.Agent({ keepAlive: true });
const start = Date.now() - SPAN_MS;
const EACH_MS = SPAN_MS / count;

// A number from 0 to 1, the same for the same view and use each time it is asked.
function random(view, use) {
  let x = Math.imul(view + 1, 0x9e3779b1) ^ Math.imul(use, 0x85ebca6b);
  x = Math.imul(x ^ (x >>> 16), 0x7feb352d);
  x = Math.imul(x ^ (x >>> 15), 0x846ca68b);
  return ((x ^ (x >>> 16)) >>> 0) / 2 ** 32;
}

function event(n) {
  const read = n % 3 === 2 ? Math.floor((5000 + 25000 * random(n, 1)) / EACH_MS) : 0;
  const view = Math.max(n - (n % 3 === 2) - 3 * Math.floor(read / 3), 0);
  const visitor = BENCH_VISITORS ? Math.floor(Number(BENCH_VISITORS) * random(view, 2)) : Math.floor(5000 * random(view, 2) ** 3);
  const page = Math.floor(Number(BENCH_PAGES ?? 3000) * random(view, 3) ** 3);
  return {
    id: `e${n}`,
    name: n % 3 === 2 ? 'engagement' : 'pageview',
    ...(n % 3 === 2 && { engaged_ms: Math.floor(120000 * random(n, 4)), scroll_depth: Math.floor(101 * random(n, 5)) }),
    url: `/blog/${2015 + page % 12}/an-article-about-something-${page}`,
    domain: domains[visitor % domains.length],
    timestamp: new Date(start + EACH_MS * n).toISOString(),
    ip: `${visitor % 222 + 1}.${visitor % 251}.${(visitor >> 8) % 256}.${visitor >> 16}`,
    user_agent: agents[visitor % agents.length],
    referrer: `https://www.search.example/results/${Math.floor(300 * random(view, 6))}`,
    title: `An article about something, number ${page}`,
    language: 'de-DE',
    screen: 320 + visitor % 2000,
  };
}

function send(body) {
  return new Promise((resolve, reject) => {
    const request = http.request(`${url}/api/v1/events`, {
      method: 'POST', agent, headers: { Authorization: `Bearer ${key}`, 'Content-Length': Buffer.byteLength(body) },
    });
    request.on('error', reject).on('response', async (response) => {
      const chunks = [];
      for await (const chunk of response) chunks.push(chunk);
      resolve({ status: response.statusCode, text: Buffer.concat(chunks).toString() });
    });
    request.end(body);
  });
}

let next = 0;
async function sender() {
  while (next < count) {
    const from = next, size = Math.min(BATCH, count - from);
    next += size;
    const { status, text } = await send(JSON.stringify(Array.from({ length: size }, (_, i) => event(from + i))));
    if (status !== 200 || JSON.parse(text).accepted !== size) throw new Error(`${status}: ${text.slice(0, 500)}`);
  }
}
await Promise.all([sender(), sender()]);
agent.destroy();
