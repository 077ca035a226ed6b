// The place in the page's address: #/ (sites), #/new, #/PROPERTY_ID?range=…, #/PROPERTY_ID/script,
// #setup=TOKEN.

import { useState, useEffect } from '/vendor/htm-preact.js';

const ID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

export function parse(hash) {
  if (hash.startsWith('#setup=')) return { name: 'setup', token: decodeURIComponent(hash.slice(7)) };
  const [path, search] = hash.replace(/^#\/?/, '').split('?');
  const [id, view] = path.split('/');
  if (id === 'new') return { name: 'new' };
  if (!ID.test(id)) return { name: 'sites' };
  if (view === 'script') return { name: 'script', id };
  return { name: 'site', id, range: new URLSearchParams(search).get('range') };
}

export const siteLink = (id, range) => `#/${id}${range ? `?range=${range}` : ''}`;

// Go to a place; replace: the one before is no place to come back to.
export function go(hash, replace) {
  if (replace) history.replaceState(null, '', hash);
  else history.pushState(null, '', hash);
  window.dispatchEvent(new Event('hashchange'));
}

export function useRoute() {
  const [route, setRoute] = useState(() => parse(location.hash));
  useEffect(() => {
    const read = () => setRoute(parse(location.hash));
    window.addEventListener('hashchange', read);
    window.addEventListener('popstate', read);
    return () => {
      window.removeEventListener('hashchange', read);
      window.removeEventListener('popstate', read);
    };
  }, []);
  return route;
}
