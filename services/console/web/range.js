// Ranges of days in the site's time zone. A day is its text "2026-11-21"; arithmetic on days is done
// in UTC, where every day has 24 hours.

export const CHOICES = [
  ['today', 'Today'],
  ['yesterday', 'Yesterday'],
  ['7d', 'Last 7 days'],
  ['28d', 'Last 28 days'],
  ['30d', 'Last 30 days'],
  ['month', 'This month'],
  ['last-month', 'Last month'],
  ['12mo', 'Last 12 months'],
  ['all', 'All time'],
];
export const DEFAULT = '7d';

// The date and time now in a zone: "2026-11-21 14:05:00".
export function nowIn(zone) {
  const options = { year: 'numeric', month: '2-digit', day: '2-digit', hour: '2-digit', minute: '2-digit', second: '2-digit', hourCycle: 'h23' };
  let format;
  try {
    format = new Intl.DateTimeFormat('en', { ...options, timeZone: zone });
  } catch {
    format = new Intl.DateTimeFormat('en', { ...options, timeZone: 'UTC' }); // a zone this browser does not know
  }
  const p = Object.fromEntries(format.formatToParts(new Date()).map((part) => [part.type, part.value]));
  return `${p.year}-${p.month}-${p.day} ${p.hour}:${p.minute}:${p.second}`;
}

const toDate = (day) => new Date(`${day}T00:00:00Z`);
const toDay = (date) => date.toISOString().slice(0, 10);

export function addDays(day, n) {
  const date = toDate(day);
  date.setUTCDate(date.getUTCDate() + n);
  return toDay(date);
}
function firstOfMonth(day, months) {
  const date = toDate(`${day.slice(0, 7)}-01`);
  date.setUTCMonth(date.getUTCMonth() + months);
  return toDay(date);
}
export const daysIn = (from, to) => Math.round((toDate(to) - toDate(from)) / 86400000) + 1;

export function isDay(text) {
  return /^\d{4}-\d{2}-\d{2}$/.test(text) && !Number.isNaN(+toDate(text)) && toDay(toDate(text)) === text;
}

// The days of a choice, or of "from,to"; all of time has none. Ranges up to now include today.
export function resolve(choice, today) {
  const of = (from, to) => ({ choice, from, to });
  switch (choice) {
    case 'today': return of(today, today);
    case 'yesterday': return of(addDays(today, -1), addDays(today, -1));
    case '28d': return of(addDays(today, -27), today);
    case '30d': return of(addDays(today, -29), today);
    case 'month': return of(firstOfMonth(today, 0), today);
    case 'last-month': return of(firstOfMonth(today, -1), addDays(firstOfMonth(today, 0), -1));
    case '12mo': return of(firstOfMonth(today, -11), today);
    case 'all': return { choice };
  }
  const [from, to] = String(choice).split(',');
  if (from && to && isDay(from) && isDay(to) && from <= to) return of(from, to);
  return { choice: DEFAULT, from: addDays(today, -6), to: today };
}

// As the query service takes it.
export const dateRange = (range) => (range.from ? [range.from, range.to] : 'all');

// As many days as the range has, right before it; null for all of time.
export function preceding(range) {
  if (!range.from) return null;
  const to = addDays(range.from, -1);
  return { from: addDays(to, 1 - daysIn(range.from, range.to)), to };
}

// Buckets of the chart: enough to see a shape, few enough to see each.
export function interval(from, to) {
  const days = daysIn(from, to);
  return days <= 2 ? 'hour' : days <= 92 ? 'day' : 'month';
}
