// The dashboard of a site.

import { html, useState, useEffect, useMemo } from '/vendor/htm-preact.js';
import { change, device, duration, flag, full, percent, short, span } from '/format.js';
import { watch } from '/live.js';
import { Panel } from '/panel.js';
import { createRefresher, useQuery } from '/query.js';
import { DEFAULT, dateRange, interval, nowIn, preceding, resolve } from '/range.js';
import { RangePicker } from '/range-picker.js';
import { go, siteLink } from '/route.js';
import { Waiting } from '/sites.js';
import { TimeChart } from '/chart.js';
import { Failure } from '/ui.js';

// name, label, text, whether more is worse. Six are shown; the last stands in where the query
// service lacks another.
const METRICS = [
  ['visitors', 'Visitors', short],
  ['visits', 'Visits', short],
  ['pageviews', 'Page views', short],
  ['views_per_visit', 'Views per visit', full],
  ['bounce_rate', 'Bounce rate', percent, true],
  ['visit_duration', 'Visit duration', duration],
  ['events', 'Events', short],
];
const TILES = 6;

const PANELS = [
  { id: 'pages', title: 'Top pages', dimension: 'event:page', page: true },
  { id: 'sources', title: 'Sources', dimension: 'visit:source', others: [{ title: 'Channels', dimension: 'visit:channel' }] },
  { id: 'countries', title: 'Countries', dimension: 'visit:country', shown: 'visit:country_name', icon: flag, others: [
    { title: 'Regions', dimension: 'visit:region', shown: 'visit:region_name' }, { title: 'Cities', dimension: 'visit:city', shown: 'visit:city_name' }] },
  { id: 'browsers', title: 'Browsers', dimension: 'visit:browser' },
  { id: 'systems', title: 'Systems', dimension: 'visit:os' },
  { id: 'devices', title: 'Devices', dimension: 'visit:device', name: device },
];

// The date in the site's zone, which may change while we look.
function useToday(zone) {
  const [today, setToday] = useState(() => nowIn(zone).slice(0, 10));
  useEffect(() => {
    const timer = setInterval(() => setToday(nowIn(zone).slice(0, 10)), 5000);
    return () => clearInterval(timer);
  }, [zone]);
  return today;
}

function Change({ now, before, period, moreIsWorse }) {
  const by = change(now, before);
  if (by === null) return html`<span class="change"> </span>`;
  const way = by === 0 ? 'same' : (by > 0) !== Boolean(moreIsWorse) ? 'good' : 'bad';
  const words = `${by === 0 ? 'as' : `${percent(Math.abs(by))} ${by > 0 ? 'more than' : 'less than'}`} in the period before (${span(period.from, period.to)})`;
  return html`<span class=${`change ${way}`} title=${words}>
    <span aria-hidden="true">${by === 0 ? '' : by > 0 ? '↑ ' : '↓ '}${percent(Math.abs(by))}</span>
    <span class="hidden">${words}</span></span>`;
}

function Numbers({ now, before, period }) {
  if (now.error && (!now.data || now.stale)) return html`<${Failure} error=${now.error} retry=${now.retry} />`;
  const row = now.data?.rows[0];
  const old = period && !before.stale ? before.data?.rows[0] : null;
  const shown = METRICS.filter(([name]) => !now.data || now.data.metrics.includes(name)).slice(0, TILES);
  return html`<dl class=${`numbers ${now.stale ? 'stale' : ''}`} aria-busy=${String(now.stale)}>
    ${shown.map(([name, label, text, moreIsWorse]) => html`<div key=${name}>
      <dt>${label}</dt>
      ${row ? html`<dd data-testid=${`metric-${name}`} data-value=${row[name] ?? 0} title=${full(row[name])}>${text(row[name])}</dd>`
        : html`<dd class="skeleton"> </dd>`}
      <dd class="by">${old && html`<${Change} now=${row?.[name]} before=${old[name]} period=${period} moreIsWorse=${moreIsWorse} />`}</dd>
    </div>`)}
  </dl>`;
}

// New events of the site, as rounds of the refresher.
function useLive(site, refresher) {
  const [state, setState] = useState('connecting');
  useEffect(() => {
    const stop = watch(site.property_id, refresher.refresh, setState);
    return () => {
      stop();
      refresher.end();
    };
  }, [site.property_id, refresher]);
  return state;
}

const LIVE = {
  connecting: ['Connecting', 'Connecting to the live stream'],
  live: ['Live', 'New events appear at once'],
  polling: ['Every 15 s', 'The live stream cannot be had right now; numbers are fetched every 15 seconds'],
};

function Reports({ site, choice }) {
  const refresher = useMemo(createRefresher, []);
  const state = useLive(site, refresher);
  const today = useToday(site.timezone);
  const range = resolve(choice ?? DEFAULT, today);
  const period = preceding(range);
  const common = { site_id: site.property_id, date_range: dateRange(range) };
  const metrics = METRICS.map(([name]) => name);

  const now = useQuery({ ...common, metrics }, refresher);
  const before = useQuery(period && { ...common, metrics, date_range: dateRange(period) }, refresher, false);
  // The days of "all time" are known only from an answer.
  const days = range.from ? range : !now.stale && now.data?.dates
    ? { from: now.data.dates[0].slice(0, 10), to: now.data.dates[1].slice(0, 10) } : null;
  const unit = days && interval(days.from, days.to);
  const times = useQuery(unit && { ...common, metrics: ['visitors', 'pageviews'], dimensions: [`time:${unit}`], include: { time_labels: true } }, refresher);
  const [text, words] = LIVE[state];

  return html`<main class="page" aria-label=${`Numbers of ${site.domain}`}>
    <div class="bar">
      <span class=${`live ${state}`} title=${words} role="status"><span class="dot" aria-hidden="true"></span>${text}</span>
      <span class="space"></span>
      <${RangePicker} range=${range} today=${today} zone=${site.timezone} onChange=${(to) => go(siteLink(site.property_id, to))} />
    </div>
    <section class="sheet" aria-label="Overview">
      <${Numbers} now=${now} before=${before} period=${period} />
      <${TimeChart} report=${times} unit=${unit} zone=${site.timezone} />
    </section>
    <div class="panels">
      ${PANELS.map((panel) => html`<${Panel} key=${panel.id} ...${panel} site=${site} common=${common} refresher=${refresher} />`)}
    </div>
    <footer>${days && span(days.from, days.to)} · ${site.timezone.replaceAll('_', ' ')}</footer>
  </main>`;
}

// A site that has no event at all yet shows how to send the first.
export function Dashboard({ site, choice }) {
  const [empty, setEmpty] = useState(false);
  const ever = useQuery({ site_id: site.property_id, metrics: ['events'], date_range: 'all' });
  useEffect(() => {
    if (ever.data) setEmpty(!ever.data.rows[0]?.events);
  }, [ever.data]);
  if (empty) return html`<${Waiting} site=${site} check=${ever.retry} />`;
  return html`<${Reports} site=${site} choice=${choice} />`;
}
