// Panel: the values of one dimension, most visitors first, as rows with bars. `shown` is another that
// says the same in the words that people read. `others` are further views, to choose from by their titles.

import { html, useState } from '/vendor/htm-preact.js';
import { full, short } from '/format.js';
import { useQuery } from '/query.js';
import { Failure } from '/ui.js';

const FIRST = 9;
const STEPS = [FIRST, 100, 1000, 9999]; // what "more" goes through; the service gives 10,000 at most

function Row({ label, words, visitors, most, name, icon, href }) {
  const text = name ? name(words) : words;
  const picture = icon?.(label);
  const fill = { width: `${Math.max(1, (visitors / most) * 100)}%` };
  return html`<li data-label=${label} data-value=${visitors}>
    <span class="what">
      <span class="fill" style=${fill} aria-hidden="true"></span>
      <span class="text" title=${text}>${picture && html`<span class="icon" aria-hidden="true">${picture}</span>`}${text}</span>
      ${href && html`<a class="out" href=${href} target="_blank" rel="noreferrer" aria-label=${`Open ${text}`}>↗</a>`}
    </span>
    <span class="count" title=${full(visitors)}>${short(visitors)}</span>
  </li>`;
}

// Only a path of the site itself becomes a link; what visitors sent is never an address on its own.
function pageLink(site, label) {
  const scheme = /^(localhost|127\.|\[::1\])/.test(site.domain) ? 'http' : 'https';
  return /^\/(?![/\\])/.test(label) ? `${scheme}://${site.domain}${label}` : null;
}

function Rows({ rows, common, site, page, name, icon }) {
  const most = Math.max(1, ...rows.map((row) => row.visitors));
  if (!rows.length) return html`<p class="none">No data yet in this range</p>`;
  return html`<ol class="rows" tabindex=${rows.length > FIRST ? 0 : undefined}>
    ${rows.map((row) => html`<${Row} key=${row.dimensions.join()} label=${String(row.dimensions[0])} words=${String(row.dimensions.at(-1))} visitors=${row.visitors}
      most=${most} name=${name} icon=${icon} href=${page && pageLink(site, String(row.dimensions[0]))} />`)}
  </ol>`;
}

function Head({ views, chosen, choose }) {
  return html`<div class="head">
    <h2>${views.length === 1 ? views[0].title : views.map(({ title }, i) => html`<button type="button" class="view" key=${title}
      aria-pressed=${String(i === chosen)} onClick=${() => choose(i)}>${title}</button>`)}</h2>
    <span class="muted">Visitors</span>
  </div>`;
}

export function Panel({ id, others = [], site, common, refresher, ...first }) {
  const [chosen, choose] = useState(0);
  const views = [first, ...others];
  return html`<${View} key=${chosen} id=${id} ...${views[chosen]} head=${html`<${Head} views=${views} chosen=${chosen} choose=${choose} />`}
    site=${site} common=${common} refresher=${refresher} />`;
}

function View({ id, head, title, dimension, shown, page, name, icon, site, common, refresher }) {
  const [step, setStep] = useState(0);
  const limit = STEPS[step];
  // One row more than shown tells whether there are more.
  const report = useQuery({ ...common, metrics: ['visitors'], dimensions: shown ? [dimension, shown] : [dimension],
    order_by: [['visitors', 'desc'], [dimension, 'asc']], pagination: { limit: limit + 1, offset: 0 } }, refresher);
  const rows = report.data?.rows ?? [];
  const hasMore = rows.length > limit && step < STEPS.length - 1;

  let body;
  if (report.error && (!report.data || report.stale)) body = html`<${Failure} error=${report.error} retry=${report.retry} small />`;
  else if (!report.data) body = html`<div class="ghosts" aria-hidden="true">${[80, 62, 50, 41, 33].map((w) => html`<span style=${{ width: `${w}%` }}></span>`)}</div>`;
  else body = html`<${Rows} rows=${rows.slice(0, limit)} site=${site} page=${page} name=${name} icon=${icon} />`;

  return html`<section class=${`sheet panel ${report.stale && report.data ? 'stale' : ''}`} data-testid=${`panel-${id}`}
    aria-label=${title} aria-busy=${String(report.stale && !report.error)}>
    ${head}
    ${body}
    ${(hasMore || step > 0) && html`<div class="more">
      ${hasMore && html`<button type="button" class="link" onClick=${() => setStep(step + 1)}>More<span class="hidden"> ${title}</span></button>`}
      ${step > 0 && html`<button type="button" class="link" onClick=${() => setStep(0)}>Fewer<span class="hidden"> ${title}</span></button>`}
    </div>`}
  </section>`;
}
