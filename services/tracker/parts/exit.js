// Page exit, engaged time, scroll, and the ping. Engaged is a page that is visible and focused; each report carries the
// time since the last, so that none counts twice.
var engaged = 0; // ms that no report has told yet
var total = 0; // ms on this page
var since = 0; // when the time began that is in neither, 0: it stands still
var pingAt = 0, pinger = 0; // ms of total; a timer
var deepest = 0, told = 0; // px from the top: the lowest that was seen, and that a report told of
var height = 0; // of the document
var gone = 0; // 1: the page was left, and its exit told

function measure() {
  deepest = Math.max(deepest, scrollY + innerHeight);
  height = (document.scrollingElement || document.documentElement).scrollHeight;
}

// Add up the time until now, and see whether it goes on.
function clock() {
  var now = performance.now();
  if (since) {
    engaged += now - since;
    total += now - since;
  }
  since = !gone && !document.hidden && document.hasFocus() ? now : 0;
  clearTimeout(pinger);
  if (since) pinger = setTimeout(ping, pingAt - total);
}

function report(name, last) {
  var ms = Math.floor(engaged);
  if (!counted || gone) return;
  if (!deepest) measure();
  engaged -= ms;
  told = deepest;
  send(name, { url: counted }, { e: ms, sd: Math.min(100, Math.round(100 * deepest / height) || 0) }, last);
}

// After 15 s, 30 s, 60 s, then each 60 s.
var ping = guard(() => {
  measure();
  clock();
  if (total < pingAt) return;
  pingAt += Math.min(pingAt, 6e4);
  report('footfall:ping');
  clock();
});

// Another page, or the same again.
function begun() {
  engaged = total = since = deepest = told = gone = 0;
  pingAt = 15e3;
  clock();
}

// Someone looks at the page, or away from it; and not at an element of it.
function look(event) {
  if (event.target.tagName) return;
  measure();
  clock();
  if (!since && (engaged >= 3e3 || deepest > told)) report('engagement');
}

leave = () => {
  clock();
  report('footfall:exit');
  begun();
};

begun();
['focus', 'blur', 'visibilitychange'].forEach((type) => on(type, look));
// No layout is forced upon the page: these come after one. The document's element grows as the document does.
['scroll', 'load'].forEach((type) => on(type, (event) => event.target.tagName || measure()));
// Safari has it since 13.1.
if (window.ResizeObserver) new ResizeObserver(guard(measure)).observe(document.documentElement);
on('pagehide', () => {
  clock();
  report('footfall:exit', true);
  gone = 1;
  clock();
});
on('pageshow', (event) => { if (event.persisted && manual) begun(); }); // else its page view does that
