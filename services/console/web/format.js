// Numbers, durations, dates and names as people read them. Dates and hours are the strings of the
// query service, in the site's own time zone: they are read as plain calendar fields (the UTC below
// only keeps the browser's zone out of it).

const LOCALE = 'en-GB';
const whole = new Intl.NumberFormat(LOCALE, { maximumFractionDigits: 2 });

export const full = (n) => (n == null ? '–' : whole.format(n));

export function short(n) {
  if (n == null) return '–';
  for (const [size, unit] of [[1e9, 'b'], [1e6, 'm'], [1e3, 'k']]) {
    if (n < size * 0.9995) continue;
    const scaled = n / size;
    return (scaled < 99.95 ? scaled.toFixed(1).replace(/\.0$/, '') : Math.round(scaled)) + unit;
  }
  return whole.format(n);
}

export function duration(seconds) {
  if (seconds == null) return '–';
  const s = Math.round(seconds);
  if (s < 60) return `${s}s`;
  if (s < 3600) return `${Math.floor(s / 60)}m ${String(s % 60).padStart(2, '0')}s`;
  return `${Math.floor(s / 3600)}h ${String(Math.floor((s % 3600) / 60)).padStart(2, '0')}m`;
}

export const percent = (n) => (n == null ? '–' : `${whole.format(n)}%`);

// The change from one number to another, in whole per cent; null when there is nothing to compare.
export function change(now, before) {
  if (now == null || before == null) return null;
  if (before === 0) return now === 0 ? 0 : null;
  return Math.round(((now - before) / before) * 100);
}

const fields = {
  day: { day: 'numeric', month: 'short' },
  dayLong: { weekday: 'short', day: 'numeric', month: 'short', year: 'numeric' },
  month: { month: 'short', year: '2-digit' },
  monthLong: { month: 'long', year: 'numeric' },
};
const formats = Object.fromEntries(
  Object.entries(fields).map(([name, f]) => [name, new Intl.DateTimeFormat(LOCALE, { ...f, timeZone: 'UTC' })]));

const calendar = (text) => new Date(`${text.slice(0, 10)}T00:00:00Z`);
const hour = (text) => text.slice(11, 16);

export const day = (text) => formats.day.format(calendar(text));
export const dayLong = (text) => formats.dayLong.format(calendar(text));

// Of a bucket of the chart: for the axis, and in words.
export function bucketShort(text, interval) {
  if (interval === 'hour') return hour(text);
  return interval === 'month' ? formats.month.format(calendar(text)) : day(text);
}
export function bucketLong(text, interval) {
  if (interval === 'hour') return `${dayLong(text)}, ${hour(text)}`;
  return interval === 'month' ? formats.monthLong.format(calendar(text)) : dayLong(text);
}

export function span(from, to) {
  return from === to ? dayLong(from) : `${day(from)} – ${dayLong(to).replace(/^\w+,? /, '')}`;
}

const isCountry = (code) => /^[A-Z]{2}$/.test(code);

// "desktop" as a heading; "tv" is letters.
export const device = (word) => (word === 'tv' ? 'TV' : word.charAt(0).toUpperCase() + word.slice(1));

const letters = (code) => String.fromCodePoint(...[...code].map((c) => 0x1f1a5 + c.charCodeAt(0)));

// Flags are letters that a font may join to a picture. Where none does (Windows, bare Linux) boxes or
// bare letters would stand there; then there are no flags at all. A picture shows in colours.
let flagsWork;
function canDrawFlags() {
  const canvas = Object.assign(document.createElement('canvas'), { width: 20, height: 20 });
  const pen = canvas.getContext('2d', { willReadFrequently: true });
  pen.font = '16px sans-serif';
  pen.fillText(letters('DE'), 0, 16);
  const { data } = pen.getImageData(0, 0, 20, 20);
  for (let i = 0; i < data.length; i += 4) if (data[i] !== data[i + 1] || data[i] !== data[i + 2]) return true;
  return false;
}
export function flag(code) {
  flagsWork ??= canDrawFlags();
  return flagsWork ? (isCountry(code) ? letters(code) : '🌐') : null;
}
