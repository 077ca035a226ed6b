// The script that visited pages load. The ingress puts the site's property id in place of
// {{PROPERTY_ID}} and serves it at /js/<property_id>.js. It sets no cookie, stores nothing unasked, never
// throws into the page, and adds one global: footfall('Signup', {props: {plan: 'pro'}}).
//
// Own visits: a page opened with #footfall-ignore leaves a mark in this browser's localStorage, and as long as
// that, or Plausible's, is there nothing is sent; #footfall-count takes it away. Both say so in a dialog.
(function (site) {
  'use strict';
  var page = window.location;
  var here = document.currentScript;
  var early = window.footfall && window.footfall.q;
  var shown, from = document.referrer;
  if (!here || !here.src) return;
  var api = new URL(here.src).origin + '/api/event';

  // Without localStorage, as some settings have it, nobody can have asked.
  function ignored() {
    try {
      return localStorage.footfall_ignore === 'true' || localStorage.plausible_ignore === 'true';
    } catch (e) {
      return false;
    }
  }

  function choose() {
    try {
      if (page.hash === '#footfall-ignore') {
        localStorage.footfall_ignore = 'true';
        alert('Footfall: visits with this browser are not counted on ' + page.host + ' any more.');
      } else if (page.hash === '#footfall-count') {
        localStorage.removeItem('footfall_ignore');
        alert('Footfall: visits with this browser are counted on ' + page.host + ' again.');
      }
    } catch (e) { /* the page must not notice */ }
  }

  // What drives a browser without a person says so here; the server decides what becomes of it.
  function isDriven() {
    return navigator.webdriver === true || window.callPhantom || window._phantom || window.__nightmare ||
      document.__selenium_unwrapped || document.__webdriver_evaluate || document.__driver_evaluate ? true : undefined;
  }

  // The server drops query and fragment but for campaign parameters; the fragment never leaves.
  function address() {
    return page.origin + page.pathname + page.search;
  }

  function eventId() {
    var bytes = crypto.getRandomValues(new Uint8Array(16)), text = '';
    for (var i = 0; i < 16; i++) text += (bytes[i] + 256).toString(16).slice(1);
    return text;
  }

  function send(name, options) {
    try {
      if (ignored()) return;
      var more = options || {};
      var body = JSON.stringify({
        n: name, u: address(), d: site, r: from, t: document.title, w: screen.width,
        l: navigator.language, id: eventId(), p: more.props, $: more.revenue, i: more.interactive,
        b: isDriven()
      });
      // A string goes as text/plain, which needs no preflight; both ways outlive the page.
      if (navigator.sendBeacon && navigator.sendBeacon(api, body)) return;
      fetch(api, { method: 'POST', body: body, keepalive: true, credentials: 'omit' }).catch(function () {});
    } catch (e) { /* the page must not notice */ }
  }

  function pageview() {
    var path = page.pathname + page.search;
    if (path === shown) return;
    if (shown !== undefined) from = page.origin + shown.split('?')[0];
    shown = path;
    send('pageview');
  }

  function watch(name) {
    var original = history[name];
    history[name] = function () {
      var result = original.apply(this, arguments);
      pageview();
      return result;
    };
  }

  function start() {
    pageview();
    watch('pushState');
    watch('replaceState');
    addEventListener('popstate', pageview);
    // Back from the browser's cache: the page is seen again, and no script of it has run anew.
    addEventListener('pageshow', function (event) {
      if (!event.persisted) return;
      shown = undefined;
      pageview();
    });
  }

  choose();
  window.footfall = send;
  if (early) early.forEach(function (call) { send.apply(null, call); });
  if (document.prerendering) document.addEventListener('prerenderingchange', start, { once: true });
  else start();
})('{{PROPERTY_ID}}');
