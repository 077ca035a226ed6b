// Sites: the list, a new one, and the line that goes into its pages.

import { html, useState, useEffect, useRef } from '/vendor/htm-preact.js';
import * as api from '/api.js';
import { full, short } from '/format.js';
import { watch } from '/live.js';
import { useQuery } from '/query.js';
import { dateRange, nowIn, resolve } from '/range.js';
import { siteLink } from '/route.js';
import { Card, Field, Form } from '/ui.js';

// The last 7 days as a line, 100 by 28.
function Spark({ values }) {
  const most = Math.max(...values, 1);
  const x = (i) => (values.length > 1 ? (i * 100) / (values.length - 1) : 50);
  const points = values.map((v, i) => `${x(i).toFixed(1)},${(26 - (v / most) * 24).toFixed(1)}`).join(' ');
  return html`<svg class="spark" viewBox="0 0 100 28" preserveAspectRatio="none" aria-hidden="true">
    <polyline points=${points} /></svg>`;
}

function SiteCard({ site }) {
  const range = dateRange(resolve('7d', nowIn(site.timezone).slice(0, 10)));
  const common = { site_id: site.property_id, metrics: ['visitors'], date_range: range };
  const total = useQuery(common);
  const days = useQuery({ ...common, dimensions: ['time:day'], include: { time_labels: true } });
  const byDay = new Map(days.data?.rows.map((r) => [r.dimensions[0], r.visitors]));
  const visitors = total.data?.rows[0]?.visitors;

  return html`<li><a class="site" href=${siteLink(site.property_id)}>
    <strong>${site.domain}</strong>
    ${days.data?.labels ? html`<${Spark} values=${days.data.labels.map((l) => byDay.get(l) ?? 0)} />` : html`<span class="spark"></span>`}
    <span class="muted" title=${visitors == null ? undefined : full(visitors)}>
      ${total.error ? total.error.message : html`<b>${visitors == null ? '…' : short(visitors)}</b> visitors in 7 days`}
    </span>
  </a></li>`;
}

export function SiteList({ sites }) {
  return html`<main class="page">
    <div class="bar"><h1>Sites</h1><span class="space"></span><a class="button" href="#/new">Add a site</a></div>
    <ul class="sites">${sites.map((site) => html`<${SiteCard} site=${site} key=${site.property_id} />`)}</ul>
  </main>`;
}

// People paste addresses: what counts of "https://www.example.org/path" is the host.
function domainOf(text) {
  const trimmed = text.trim().toLowerCase();
  const host = trimmed.replace(/^[a-z][a-z0-9+.-]*:\/\//, '').replace(/[/?#].*$/, '');
  return host || trimmed;
}

export function AddSite({ first, onAdded }) {
  const own = Intl.DateTimeFormat().resolvedOptions().timeZone || 'UTC';
  const [domain, setDomain] = useState('');
  const [zone, setZone] = useState(own);
  const [zones, setZones] = useState([own]);
  const chosen = useRef(false);

  useEffect(() => {
    let alive = true;
    api.timezones().then((list) => {
      if (!alive) return;
      setZones(list);
      if (!list.includes(own) && !chosen.current) setZone('UTC');
    }, () => {}); // the browser's own zone is there to choose
    return () => { alive = false; };
  }, []);

  return html`<${Card} title=${first ? 'Add your first site' : 'Add a site'}>
    <${Form} onSubmit=${async () => onAdded(await api.addSite(domainOf(domain), zone))} submit="Add site" submitId="site-submit">
      <${Field} label="Domain" id="site-domain" placeholder="example.org" autocomplete="off" autocapitalize="none"
        spellcheck="false" autofocus hint="Where the pages are, without https://"
        value=${domain} onInput=${(e) => setDomain(e.target.value)} />
      <label class="field"><span>Time zone</span>
        <select data-testid="site-timezone" value=${zone}
          onChange=${(e) => { chosen.current = true; setZone(e.target.value); }}>
          ${zones.map((z) => html`<option value=${z} key=${z} selected=${z === zone}>${z.replaceAll('_', ' ')}</option>`)}
        </select>
        <small>Days in reports begin at midnight there.</small></label>
    <//>
    ${!first && html`<p class="after"><a href="#/">Back to all sites</a></p>`}
  <//>`;
}

function copyBySelection(element) {
  const range = document.createRange();
  range.selectNodeContents(element);
  getSelection().removeAllRanges();
  getSelection().addRange(range);
  return document.execCommand('copy');
}

export function Snippet({ site }) {
  const line = `<script defer src="${location.origin}/js/${site.property_id}.js"></script>`;
  const code = useRef(null);
  const [copied, setCopied] = useState('');

  async function copy() {
    let done;
    try {
      await navigator.clipboard.writeText(line); // exists on https and localhost only
      done = true;
    } catch {
      done = copyBySelection(code.current);
    }
    setCopied(done ? 'Copied' : 'Select the line and copy it');
    setTimeout(() => setCopied(''), 3000);
  }
  return html`<p>Put this line into the <code>head</code> of every page of <strong>${site.domain}</strong>:</p>
    <div class="snippet">
      <pre data-testid="snippet" tabindex="0" aria-label="Script tag"><code ref=${code}>${line}</code></pre>
      <button type="button" class="quiet" onClick=${copy}>${copied || 'Copy'}</button>
    </div>
    <span class="hidden" role="status">${copied}</span>`;
}

export function Script({ site }) {
  return html`<${Card} title="Script" wide>
    <${Snippet} site=${site} />
    <p class="after"><a href=${siteLink(site.property_id)}>Back to the dashboard</a></p>
  <//>`;
}

// A site without any event: the line to put in, until the first event is there.
export function Waiting({ site, check }) {
  useEffect(() => {
    const stop = watch(site.property_id, check);
    const timer = setInterval(() => document.hidden || check(), 5000);
    return () => {
      stop();
      clearInterval(timer);
    };
  }, [site.property_id, check]);
  return html`<${Card} title="One line to go" wide>
    <${Snippet} site=${site} />
    <p class="waiting" role="status"><span class="pulse" aria-hidden="true"></span>Waiting for the first event…</p>
    <p class="muted">Open a page of the site in a browser; the dashboard then appears here by itself.</p>
  <//>`;
}
