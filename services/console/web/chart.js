// The time chart. uPlot draws against the number of the bucket, not against time: which buckets there
// are, and what they are called, the query service says in the site's time zone (a day may have 23 or
// 25 hours), and no clock of the browser has a say in it.

import { html, useEffect, useRef, useState } from '/vendor/htm-preact.js';
import uPlot from '/vendor/uplot.js';
import { bucketLong, bucketShort, full, short } from '/format.js';
import { nowIn } from '/range.js';
import { Failure } from '/ui.js';

const HEIGHT = 260;
const LABEL_PX = 72;

const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

// Buckets that lie ahead are gaps; those without a row are 0.
export function series(report, unit, zone) {
  const byLabel = new Map(report.rows.map((row) => [row.dimensions[0], row]));
  const labels = report.labels ?? [...byLabel.keys()];
  const length = { hour: 13, day: 10, month: 7 }[unit];
  const now = nowIn(zone).slice(0, length);
  const of = (metric) => labels.map((label) => (label.slice(0, length) > now ? null : byLabel.get(label)?.[metric] ?? 0));
  return { labels, visitors: of('visitors'), pageviews: of('pageviews') };
}

function ticks(u, most) {
  const count = u.data[0].length;
  const step = Math.max(1, Math.ceil(count / Math.max(1, Math.floor(u.bbox.width / devicePixelRatio / LABEL_PX))));
  return Array.from({ length: Math.ceil(count / step) }, (_, i) => i * step).filter((i) => i <= most);
}

function options(width, shown, onMove) {
  const text = colour('--muted');
  const accent = colour('--accent');
  const second = colour('--second');
  const font = '12px system-ui, sans-serif';
  const fill = (u) => {
    const gradient = u.ctx.createLinearGradient(0, u.bbox.top, 0, u.bbox.top + u.bbox.height);
    gradient.addColorStop(0, `${accent}40`);
    gradient.addColorStop(1, `${accent}00`);
    return gradient;
  };
  return {
    width,
    height: HEIGHT,
    padding: [12, 26, 0, 0],
    legend: { show: false },
    cursor: { x: true, y: false, drag: { x: false, y: false }, points: { size: 8 } },
    scales: {
      x: { time: false, range: (u, min, max) => (max > min ? [min, max] : [min - 1, max + 1]) },
      y: { range: (u, min, max) => [0, Math.max(4, max * 1.08)] },
    },
    axes: [
      { stroke: text, font, grid: { show: false }, ticks: { show: false }, size: 30, gap: 8,
        splits: (u, axis, min, max) => ticks(u, max),
        values: (u, splits) => splits.map((i) => (shown().labels[i] ? bucketShort(shown().labels[i], shown().unit) : '')) },
      { stroke: text, font, size: 44, gap: 6, grid: { stroke: colour('--line'), width: 1 }, ticks: { show: false },
        incrs: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1e3, 2e3, 5e3, 1e4, 2e4, 5e4, 1e5, 2e5, 5e5, 1e6, 2e6, 5e6, 1e7, 1e8],
        space: 46, values: (u, splits) => splits.map(short) },
    ],
    series: [
      {},
      { label: 'Page views', stroke: second, width: 1.5, dash: [5, 4], points: { size: 5, fill: second } },
      { label: 'Visitors', stroke: accent, width: 2, fill, points: { size: 5, fill: accent } },
    ],
    hooks: { setCursor: [(u) => onMove(u.cursor.idx, u.cursor.left)] },
  };
}

function Tip({ at, data, unit, width }) {
  if (at === null || !data.labels[at.index]) return null;
  const left = { transform: `translateX(${Math.round(Math.min(Math.max(at.left - 40, 0), Math.max(0, width - 190)))}px)` };
  return html`<div class="tip" style=${left} role="status">
    <strong>${bucketLong(data.labels[at.index], unit)}</strong>
    <span><i class="key visitors"></i>Visitors<b>${full(data.visitors[at.index])}</b></span>
    <span><i class="key pageviews"></i>Page views<b>${full(data.pageviews[at.index])}</b></span>
  </div>`;
}

function Plot({ data, unit }) {
  const box = useRef(null);
  const plot = useRef(null);
  const shown = useRef(null);
  const [at, setAt] = useState(null);
  const [scheme, setScheme] = useState(0);
  shown.current = { ...data, unit };

  useEffect(() => {
    const dark = matchMedia('(prefers-color-scheme: dark)');
    const repaint = () => setScheme((n) => n + 1);
    dark.addEventListener('change', repaint);
    return () => dark.removeEventListener('change', repaint);
  }, []);
  useEffect(() => {
    const onMove = (index, left) => setAt(index == null || left < 0 ? null : { index, left: left + 44 });
    plot.current = new uPlot(options(box.current.clientWidth, () => shown.current, onMove), [[0], [0], [0]], box.current);
    const resize = new ResizeObserver(() => plot.current.setSize({ width: box.current.clientWidth, height: HEIGHT }));
    resize.observe(box.current);
    return () => {
      resize.disconnect();
      plot.current.destroy();
    };
  }, [scheme]);
  useEffect(() => {
    plot.current.setData([data.labels.map((_, i) => i), data.pageviews, data.visitors]);
  }, [data, scheme]);

  function key(event) {
    const u = plot.current;
    const last = data.labels.length - 1;
    const from = at?.index ?? (event.key === 'ArrowLeft' ? last + 1 : -1);
    const to = { ArrowLeft: from - 1, ArrowRight: from + 1, Home: 0, End: last }[event.key];
    if (to !== undefined) {
      event.preventDefault();
      u.setCursor({ left: u.valToPos(Math.min(Math.max(to, 0), last), 'x'), top: 10 });
    } else if (event.key === 'Escape') u.setCursor({ left: -10, top: -10 });
  }
  const sum = data.pageviews.reduce((a, b) => a + (b ?? 0), 0);
  const words = data.labels.length && `Chart of visitors and page views by ${unit}, ${bucketLong(data.labels[0], unit)} to ${bucketLong(data.labels.at(-1), unit)}; ${full(sum)} page views in all. Left and right arrow keys read it.`;
  return html`<div class="plot" data-testid="chart" tabindex="0" role="group" aria-label=${words} onKeyDown=${key}
    onBlur=${() => plot.current.setCursor({ left: -10, top: -10 })}>
    <div ref=${box}></div>
    <${Tip} at=${at} data=${data} unit=${unit} width=${box.current?.clientWidth ?? 0} />
  </div>`;
}

export function TimeChart({ report, unit, zone }) {
  // Old lines stay until new ones come, with their own unit.
  const last = useRef(null);
  if (report.data && !report.stale && last.current?.report !== report.data)
    last.current = { report: report.data, unit, data: series(report.data, unit, zone) };

  if (report.error && report.stale) return html`<div class="chart"><${Failure} error=${report.error} retry=${report.retry} /></div>`;
  if (!last.current) return html`<div class="chart skeleton" aria-hidden="true"></div>`;
  return html`<div class=${`chart ${report.stale ? 'stale' : ''}`} aria-busy=${String(report.stale)}>
    <p class="legend" aria-hidden="true"><span><i class="key visitors"></i>Visitors</span><span><i class="key pageviews"></i>Page views</span></p>
    <${Plot} data=${last.current.data} unit=${last.current.unit} />
  </div>`;
}
