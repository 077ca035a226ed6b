// Page exit, engaged time, scroll, and the ping. Engaged is a page that is visible and focused; each report carries the
// time since the last, so that none counts twice.
var engaged = 0; // ms that no report has told
var total = 0; // ms on this page
var since = 0; // when the time began that is in neither
var pingAt, pinger;
var deepest, height; // px
var told; // the deepest point that a report has told
var gone; // the exit is told

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
var ping = guard(function () {
  measure();
  clock();
  if (total >= pingAt) {
    pingAt += Math.min(pingAt, 6e4);
    report('footfall:ping');
    clock();
  }
});

function begun() {
  engaged = total = since = deepest = told = gone = 0;
  pingAt = 15e3;
  clock();
}

// Someone looks, or looks away.
function look() {
  measure();
  clock();
  if (!since && (engaged >= 3e3 || deepest > told)) report('engagement');
}

leave = function () {
  clock();
  report('footfall:exit');
  begun();
};

begun();
new ResizeObserver(guard(measure)).observe(document.documentElement); // with the document, its height grows
on('scroll', measure);
on('focus', look);
on('blur', look);
on('visibilitychange', look);
on('pagehide', function () {
  measure();
  clock();
  report('footfall:exit', true);
  gone = true;
  clock();
});
on('pageshow', function (event) { if (event.persisted && manual) begun(); }); // else the page view does
