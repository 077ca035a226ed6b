// Talks to the console and query services. Every failure is an ApiError with a sentence for people;
// status 0 means that nothing answered. A 401 of a call that needs a login tells the page.

const TIMEOUT_MS = 30000;

export class ApiError extends Error {
  constructor(status, message, body) {
    super(message);
    this.status = status;
    this.body = body ?? {};
  }
}

function sentence(text) {
  const trimmed = String(text).trim();
  return trimmed.charAt(0).toUpperCase() + trimmed.slice(1) + (/[.!?]$/.test(trimmed) ? '' : '.');
}

const GATEWAY = { 502: 1, 504: 1 }; // of the door: a service behind it is down

async function failure(response) {
  let body;
  try {
    body = await response.json();
  } catch {
    body = {};
  }
  if (typeof body?.error === 'string') return new ApiError(response.status, sentence(body.error), body);
  if (GATEWAY[response.status]) return new ApiError(response.status, 'The service does not answer right now.');
  return new ApiError(response.status, `The server answered ${response.status}.`);
}

export async function api(method, path, body, { signal, expect401 } = {}) {
  const limit = new AbortController();
  const timer = setTimeout(() => limit.abort(), TIMEOUT_MS);
  signal?.addEventListener('abort', () => limit.abort(), { once: true });
  if (signal?.aborted) limit.abort();
  try {
    const response = await fetch(path, {
      method,
      signal: limit.signal,
      credentials: 'same-origin',
      cache: 'no-store',
      headers: method === 'GET' ? {} : { 'Content-Type': 'application/json' },
      body: method === 'GET' ? undefined : JSON.stringify(body ?? {}),
    });
    setOnline(true);
    if (response.ok) return response.status === 204 ? null : await response.json();
    if (response.status === 401 && !expect401) window.dispatchEvent(new Event('footfall:unauthorised'));
    throw await failure(response);
  } catch (error) {
    if (error instanceof ApiError) throw error;
    if (signal?.aborted) throw error; // nobody waits for this answer any more
    setOnline(false);
    throw new ApiError(0, limit.signal.aborted ? 'The server took too long to answer.' : 'The server cannot be reached.');
  } finally {
    clearTimeout(timer);
  }
}

export const me = () => api('GET', '/api/me', undefined, { expect401: true });
export const login = (email, password) => api('POST', '/api/login', { email, password }, { expect401: true });
export const setup = (token, email, password) => api('POST', '/api/setup', { token, email, password }, { expect401: true });
export const logout = () => api('POST', '/api/logout', {}, { expect401: true });
export const addSite = (domain, timezone) => api('POST', '/api/sites', { domain, timezone });
export const timezones = () => api('GET', '/api/timezones');
export const query = (body, signal) => api('POST', '/api/v2/query', body, { signal });

// Whether the last call was answered at all; the banner shows it.
let online = true;
function setOnline(now) {
  if (now === online) return;
  online = now;
  window.dispatchEvent(new Event('footfall:online'));
}
export const isOnline = () => online && navigator.onLine !== false;
