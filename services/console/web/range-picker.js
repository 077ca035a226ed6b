// Chooses the days that reports are about, in the site's time zone.

import { html, useState, useEffect } from '/vendor/htm-preact.js';
import { span } from '/format.js';
import { CHOICES, isDay } from '/range.js';

export function RangePicker({ range, today, zone, onChange }) {
  const custom = !CHOICES.some(([choice]) => choice === range.choice);
  const [asking, setAsking] = useState(false);
  const [from, setFrom] = useState(range.from ?? today);
  const [to, setTo] = useState(range.to ?? today);
  useEffect(() => {
    setAsking(false);
    if (!range.from) return;
    setFrom(range.from);
    setTo(range.to);
  }, [range.choice, range.from, range.to]);

  function choose(event) {
    const { value } = event.target;
    setAsking(value === 'custom');
    if (value !== 'custom') onChange(value);
  }
  function apply(event) {
    event.preventDefault();
    if (!isDay(from) || !isDay(to)) return;
    setAsking(false);
    onChange(from <= to ? `${from},${to}` : `${to},${from}`);
  }
  const value = asking ? 'custom' : custom ? 'shown' : range.choice;
  return html`<div class="range">
    <label><span class="hidden">Range (days in ${zone})</span>
      <select data-testid="range-picker" value=${value} onChange=${choose}>
        ${CHOICES.map(([choice, label]) => html`<option value=${choice} selected=${value === choice}>${label}</option>`)}
        ${custom && html`<option value="shown" selected=${value === 'shown'}>${span(range.from, range.to)}</option>`}
        <option value="custom" selected=${value === 'custom'}>From … to …</option>
      </select></label>
    ${asking && html`<form class="dates" onSubmit=${apply}>
      <label><span>From</span><input type="date" data-testid="range-from" required max=${today} value=${from} onInput=${(e) => setFrom(e.target.value)} /></label>
      <label><span>to</span><input type="date" data-testid="range-to" required max=${today} value=${to} onInput=${(e) => setTo(e.target.value)} /></label>
      <button type="submit" class="main" data-testid="range-apply">Show</button>
      <button type="button" class="quiet" onClick=${() => setAsking(false)}>Cancel</button>
    </form>`}
  </div>`;
}
