// Collect a backlog: COUNT events to POST /api/v1/events, a thousand a request, two requests at a time
// as `footfall log import` has them. Their times are the last hour's, in order; their visitors, pages and
// agents those of a middling blog, or BENCH_VISITORS and BENCH_PAGES alike. Arguments: URL, KEY, COUNT, file of
// user agents, domains…

import fs from 'node:fs';
import http from 'node:http';

const [url, key, count, agentsFile, ...domains] = process.argv.slice(2);
const BATCH = 1000, SPAN_MS = 3600 * 1000;
const { BENCH_VISITORS, BENCH_PAGES } = process.env;
const agents = fs.readFileSync(agentsFile, 'utf8').split('\n').filter(Boolean);
const agent = new http.Agent({ keepAlive: true });
const start = Date.now() - SPAN_MS;
const draw = (n) => Math.floor(Math.random() * n);

// Few visitors and pages have most of the events, as it is everywhere.
const drawSkewed = (n) => Math.floor(n * Math.random() ** 3);

function event(n) {
  const visitor = BENCH_VISITORS ? draw(Number(BENCH_VISITORS)) : drawSkewed(5000);
  const page = BENCH_PAGES ? draw(Number(BENCH_PAGES)) : drawSkewed(3000);
  return {
    id: `e${n}`,
    name: n % 3 ? 'pageview' : 'engagement',
    ...(n % 3 === 0 && { engaged_ms: draw(120000), scroll_depth: draw(101) }),
    url: `/blog/${2015 + page % 12}/an-article-about-something-${page}`,
    domain: domains[visitor % domains.length],
    timestamp: new Date(start + SPAN_MS * n / count).toISOString(),
    ip: `${visitor % 222 + 1}.${visitor % 251}.${(visitor >> 8) % 256}.${visitor >> 16}`,
    user_agent: agents[visitor % agents.length],
    referrer: `https://www.search.example/results/${draw(300)}`,
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
