// The page as a whole: who is here, and which view that makes.

import { html, render, useState, useEffect, useCallback } from '/vendor/htm-preact.js';
import * as api from '/api.js';
import { go, siteLink, useRoute } from '/route.js';
import { Dashboard } from '/dashboard.js';
import { Login, NotSetUp } from '/login.js';
import { Setup } from '/setup.js';
import { AddSite, Script, SiteList } from '/sites.js';
import { Card, Failure, Logo, Menu } from '/ui.js';

const RETRY_MS = 5000;

function useMe() {
  const [me, setMe] = useState({ state: 'loading' });
  const load = useCallback(async () => {
    try {
      setMe({ state: 'in', ...(await api.me()) });
    } catch (error) {
      if (error.status === 401) setMe({ state: 'out', setup: error.body.setup === true });
      else setMe((old) => (old.state === 'in' ? old : { state: 'error', error }));
    }
  }, []);
  useEffect(() => {
    load();
    window.addEventListener('footfall:unauthorised', load);
    return () => window.removeEventListener('footfall:unauthorised', load);
  }, [load]);
  useEffect(() => {
    if (me.state !== 'error') return undefined;
    const timer = setTimeout(load, RETRY_MS);
    return () => clearTimeout(timer);
  }, [me, load]);
  return [me, load];
}

function OfflineBanner() {
  const [online, setOnline] = useState(api.isOnline());
  useEffect(() => {
    const read = () => setOnline(api.isOnline());
    const names = ['online', 'offline', 'footfall:online'];
    names.forEach((name) => window.addEventListener(name, read));
    return () => names.forEach((name) => window.removeEventListener(name, read));
  }, []);
  return !online && html`<div class="banner" role="status">The server cannot be reached. The numbers below are the last known ones.</div>`;
}

function Header({ me, site, route, onLogout }) {
  const others = me.sites.filter((s) => s !== site);
  return html`<header class="top">
    <a class="brand" href="#/" aria-label="Footfall: all sites"><${Logo} /><span>Footfall</span></a>
    ${site && html`<${Menu} label=${html`<span class="domain">${site.domain}</span>`} title="Switch site">
      ${others.map((s) => html`<a href=${siteLink(s.property_id, route.range)}>${s.domain}</a>`)}
      ${others.length > 0 && html`<hr />`}
      <a href=${`#/${site.property_id}/script`}>Script of this site</a>
      <a href="#/">All sites</a>
      <a href="#/new">Add a site</a>
    <//>`}
    <span class="space"></span>
    <${Menu} label=${html`<span class="who">${me.email}</span>`} title="Account" align="right">
      <button type="button" onClick=${onLogout}>Log out</button>
    <//>
  </header>`;
}

function Inside({ me, route, reload }) {
  const site = me.sites.find((s) => s.property_id === route.id);
  const onLogout = async () => {
    await api.logout().catch(() => {});
    await reload();
    go('#/', true);
  };
  const onAdded = async (added) => {
    await reload();
    go(siteLink(added.property_id));
  };

  useEffect(() => {
    if (route.name === 'setup') go('#/', true);
    if (route.name === 'sites' && me.sites.length === 1) go(siteLink(me.sites[0].property_id), true);
  }, [route, me]);
  useEffect(() => {
    document.title = site ? `${site.domain} · Footfall` : 'Footfall';
  }, [site?.domain]);

  let view;
  if (route.name === 'new' || !me.sites.length) view = html`<${AddSite} first=${!me.sites.length} onAdded=${onAdded} />`;
  else if (site && route.name === 'script') view = html`<${Script} site=${site} key=${site.property_id} />`;
  else if (site) view = html`<${Dashboard} site=${site} choice=${route.range} key=${site.property_id} />`;
  else if (route.id) view = html`<${Card} title="No such site"><p>There is no such site, or it is not yours to see.</p><p><a href="#/">All sites</a></p><//>`;
  else view = html`<${SiteList} sites=${me.sites} />`;
  return html`<${Header} me=${me} site=${site} route=${route} onLogout=${onLogout} />${view}`;
}

function App() {
  const route = useRoute();
  const [me, reload] = useMe();

  if (me.state === 'in') return html`<${OfflineBanner} /><${Inside} me=${me} route=${route} reload=${reload} />`;
  let view = html`<main class="card" aria-busy="true"><p class="muted">Loading…</p></main>`;
  if (me.state === 'error') {
    view = html`<${Card} title="Footfall does not answer"><${Failure} error=${me.error} retry=${reload} />
      <p class="muted">This page tries again by itself.</p><//>`;
  } else if (me.state === 'out' && me.setup) {
    view = route.name === 'setup' ? html`<${Setup} token=${route.token} onDone=${reload} />` : html`<${NotSetUp} reload=${reload} />`;
  } else if (me.state === 'out') {
    view = html`<${Login} onDone=${reload} note=${route.name === 'setup' && 'There is an account already: please log in.'} />`;
  }
  return html`<div class="lone"><div class="brand"><${Logo} /><span>Footfall</span></div>${view}</div>`;
}

render(html`<${App} />`, document.getElementById('app'));
