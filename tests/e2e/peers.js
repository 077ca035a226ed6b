// What the tests of peers' formats have in common: sites with rules that the ingress knows of, and what of
// their events is in the tables.
import assert from 'node:assert/strict';
import { AGENT, request, waitFor } from './harness.js';

export const GB = '81.2.69.142', US = '8.8.8.8'; // with the default database
export const GOOGLEBOT = 'Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)';
export const KIND = { pageview: 1, event: 2, ping: 5, vital: 7 }; // proto/event.md

let number = 0;

// Sites of their own, each by its rules, [[kind, value]], and flags; all known when this returns.
export async function sitesWith(stack, wanted) {
  const sites = {};
  for (const [name, { rules = [], identity, ...flags }] of Object.entries(wanted)) {
    const site = await stack.footfall(['site', 'add', `${name}.example`, '--owner', 'owner@example.org', '--timezone', 'UTC', ...(identity ? ['--identity', identity] : [])]);
    const set = Object.entries(flags).map(([flag, value]) => `p_${flag} => '${value}'`);
    stack.sql('app', [...rules.map(([kind, value]) => `select from site_rule_add(${site.site_id}, '${kind}', '${value}');`),
      ...(set.length ? [`select from site_set('${site.domain}', ${set.join(', ')});`] : [])].join('\n'));
    sites[name] = site;
  }
  await stack.site(`last${++number}.example`); // a snapshot that has it has them
  return sites;
}

// A request from a browser at an address.
export function ask(stack, path, { method = 'POST', headers = {}, body, address = GB, ingress } = {}) {
  return request(`${ingress === undefined ? stack.url : `http://127.0.0.1:${stack.port + 10 + ingress}`}${path}`, {
    method, headers: { 'User-Agent': AGENT, 'X-Forwarded-For': address, ...headers }, body: typeof body === 'object' ? JSON.stringify(body) : body });
}

// A site's events in the order of their times, once there are so many.
export async function eventsOf(stack, site, count) {
  const text = (column) => `(select value from string s where s.site_id = e.site_id and s.id = e.${column}) as ${column}`;
  const rows = () => JSON.parse(stack.sql('metrics', `select coalesce(jsonb_agg(x), '[]') from (select kind, visitor::text, ${['name', 'host', 'page', 'title', 'referrer', 'source', 'country', 'region', 'browser', 'language'].map(text).join(', ')},
    screen_width, revenue::float, currency, props, bot, extract(epoch from ts)::float as time from event e where site_id = ${site.site_id} order by ts, id) x`)[0][0]);
  await waitFor(() => stack.events(site) >= count, `${count} events of ${site.domain}`);
  const found = rows();
  assert.equal(found.length, count);
  return found;
}

// Each row has what is wanted of it, by columns.
export function assertRows(rows, wanted) {
  assert.equal(rows.length, wanted.length);
  for (const [i, [what, want]] of wanted.entries())
    assert.deepEqual(Object.fromEntries(Object.keys(want).map((key) => [key, rows[i][key]])), want, what);
}

export const dropped = (stack, site) => Object.fromEntries(stack.sql('metrics', `select reason, sum(count) from dropped where site_id = ${site?.site_id ?? 0} group by reason`)
  .map(([reason, count]) => [reason, Number(count)]));
