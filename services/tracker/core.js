// What runs on every page: page views, custom events, and the queue that brings them to the server. build.js puts this
// file into a function of one argument, `site`, which the ingress fills in, and the parts where it is marked below.
// Nothing here may throw into the page, delay it, or store what nobody asked for. README.md names the options.
if (window.footfall && footfall.live) throw 0; // twice in a page, the script counts once; build.js catches it
var page = location;
var tag = document.currentScript;
var option = tag.dataset;
var api = option.api || tag.src.replace(/(.*)\/js\/.*/, '$1/api/event');
var off = !/^http/.test(page) || (option.local === 'false' && /^(localhost$|127\.|\[::1])/.test(page.hostname));
var manual = 'manual' in option; // no page views but those that the page asks for
var hashed; // 1: the page routes by its fragment (part hash)
var live; // events are taken; before, they gather in `early`
var early = [];
var shown; // path of the page that is seen
var counted; // its address, when its page view was sent
var from = document.referrer;
var extras = []; // of parts: functions of an event, to which they add something
var leave; // of the part exit: what is told of a page before the next one begins
var queue = []; // of events; the first is being sent or will be tried again, the others wait
var flying = 0; // 1: it is being sent
var timer, delay = 1e3; // until it is tried again, if it failed

// What goes wrong here is not the page's matter.
var guard = (work) => (...args) => {
  try { return work(...args); } catch (e) { /* the page must not notice */ }
};

// Listens to all of the page, and before the page does, which could stop an event.
var on = (type, listener) => addEventListener(type, guard(listener), true);

var randomId = () => Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, 0)).join('');

// Without localStorage, as some settings have it, nobody can have asked.
var ignored = guard(() => (localStorage.footfall_ignore || localStorage.plausible_ignore) === 'true');

// Of a browser that opened a page with #footfall-ignore nothing counts, until it opens one with #footfall-count.
var choose = guard(() => {
  var again = page.hash === '#footfall-count';
  if (!again && page.hash !== '#footfall-ignore') return;
  if (again) delete localStorage.footfall_ignore;
  else localStorage.footfall_ignore = true;
  alert('Your visits are ' + (again ? '' : 'not ') + 'counted');
});

// A string goes as text/plain, which needs no preflight.
var beacon = (item) => navigator.sendBeacon(api, item.body);

// Send the first of the queue, and when it is answered the next. Without an answer, or with 429 or 5xx, it is tried
// again for ten minutes: not for ever, as the browser hides the answer of a server that refuses the page's origin.
// Events have ids: what arrives twice counts once.
var next = guard(() => {
  var item = queue[0];
  timer = clearTimeout(timer);
  if (flying || !item) return;
  fetch(api, {
    method: 'POST', body: item.body, credentials: 'omit',
    keepalive: item.body.length < 2e4 // of 64 KiB and more none is taken, nor of many at once
  }).then(({ status }) => status === 429 || status > 499, () => 1).then((again) => {
    flying = 0;
    if (again && Date.now() < item.until) {
      timer = setTimeout(next, delay);
      delay = Math.min(delay * 2, 3e4);
    } else {
      queue.shift();
      delay = 1e3;
      next();
    }
  });
  flying = 1;
});

// The page may be gone in a moment: what waits goes by sendBeacon, and stays in the queue in case it is not. So does what
// is being sent where the browser does not let that outlive the page (Firefox until 2024).
var flush = () => queue.slice('keepalive' in Request.prototype ? flying : 0).forEach(beacon);

// The page's path; where it routes by its fragment, with that.
var path = (query = '') => page.pathname + query + (hashed ? page.hash : '');

// Whether a comma list of paths has the page's: * is anything but a slash, ** anything.
var signs = { '*': '[^/]*', '**': '.*', ',': '|' };
var isListed = (list) => RegExp('^(' + list.trim().replace(/\s*(\*+|\W)\s*/g, (all, sign) => signs[sign] || '\\' + sign) + ')/?$').test(path());

// Send an event. more: fields that only parts set. last: the page goes, there is no time to queue.
var send = guard((name, options, more, last) => {
  options = options || {};
  var event = {
    n: name, d: site,
    // Of more than 2,000 bytes the server takes none, and of its query it looks for campaigns only.
    u: new URL(options.url || options.u || page.origin + path(page.search.slice(0, 1e3)), page),
    h: hashed, r: from, t: document.title, w: screen.width, l: navigator.language, id: randomId(),
    p: options.props, $: options.revenue, i: options.interactive,
    b: navigator.webdriver || undefined // a program drives the browser; the server decides what becomes of that
  };
  var quiet = off || ignored();
  // As Plausible has it, but at once: the queue outlives what it may do.
  if (options.callback) setTimeout(options.callback, 0, {});
  if (name === 'pageview') {
    if (leave) leave();
    quiet = quiet || !isListed(option.include || '**') || isListed(option.exclude || '-'); // no path begins so
    counted = !quiet && event.u;
  }
  if (quiet) return;
  extras.forEach((add) => add(event));
  var item = { body: JSON.stringify({ ...event, ...more }), until: Date.now() + 6e5 };
  if (last && beacon(item)) return;
  if (queue.push(item) > 101) queue.splice(flying, 1); // besides the one that is tried 100 wait
  if (!timer) next();
});

// A page view, unless it is still the same page: what differs by its query only is.
var view = guard(() => {
  if (manual || path() === shown) return;
  if (shown) from = page.origin + shown;
  shown = path();
  send('pageview');
});

// Take a call of the page's function: a list of a name and options.
var take = (call) => { if (live) send(...call); else early.push(call); };

// A stub that gathered calls until we came hands on the further ones. It may be Plausible's, of a page written for that.
var adopt = guard((stub) => {
  (stub.q || []).forEach(take);
  stub.q = { push: take };
});

// Not while a page is rendered before anybody asked for it.
var begin = guard(() => {
  if (live || document.prerendering) return;
  live = true;
  choose();
  view();
  early.forEach((call) => send(...call));
  var entries = window.navigation || 0; // which may be something of the page's
  if (entries.currentEntry) return entries.addEventListener('currententrychange', view);
  ['pushState', 'replaceState'].forEach((name) => {
    var original = history[name];
    history[name] = (...args) => {
      original.apply(history, args);
      view();
    };
  });
  on('popstate', view);
});
//# parts
[window.footfall, window.plausible].forEach(adopt);
window.footfall = (...call) => take(call);
footfall.live = 1;
on('prerenderingchange', begin);
on('DOMContentLoaded', begin); // before, there may be no title
on('pagehide', () => {
  begin();
  flush();
});
// Back from the browser's cache: the page is seen again, and no script of it has run anew.
on('pageshow', (event) => event.persisted && view(shown = 0));
on('visibilitychange', flush);
on('online', next);
if (document.readyState !== 'loading') begin();
