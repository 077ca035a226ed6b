// What the tables hold of events, with texts in place of their ids, for tests of what came in.
import { waitFor } from './harness.js';

const TEXTS = ['name', 'host', 'page', 'title', 'referrer', 'source', 'country', 'language', 'utm_source', 'utm_medium', 'utm_campaign', 'utm_term', 'utm_content', 'click_id', 'channel'];
const PLAIN = ['kind', 'interactive', 'screen_width', 'engaged_ms', 'scroll_depth', 'revenue', 'currency', 'props'];
export const PAGEVIEW = 1, CUSTOM = 2, ENGAGEMENT = 3, EXIT = 4;

// Events of a site, oldest first.
export function storedEvents(stack, site) {
  const columns = [...TEXTS.map((name) => `'${name}', coalesce(${name}.value, '')`), ...PLAIN.map((name) => `'${name}', e.${name}`)];
  const joins = TEXTS.map((name) => `left join string ${name} on ${name}.site_id = e.site_id and ${name}.id = e.${name}`);
  return stack.sql('metrics', `select json_build_object(${columns.join(', ')}) from event e ${joins.join(' ')}
    where e.site_id = ${Number(site.site_id)} order by e.ts, e.id`).map(([json]) => JSON.parse(json));
}

// The events that a site has more once `send` is done: as many as are expected, and the wait is for those.
export async function eventsOf(stack, site, send, expected = 1) {
  const before = stack.events(site);
  await send();
  await waitFor(() => stack.events(site) >= before + expected, `${expected} more of ${site.domain}`);
  return storedEvents(stack, site).slice(before);
}
