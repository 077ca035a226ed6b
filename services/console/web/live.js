// Tells when a site has new events: by the live stream, or every 15 s while that cannot be had. Only
// while the page is visible; coming back counts as news.

const POLL_MS = 15000;
const BACKOFF_MS = [1000, 2000, 5000, 10000, 30000, 60000];

// Calls onNews(), and onState('live' | 'polling'). Returns the function that ends it.
export function watch(propertyId, onNews, onState = () => {}) {
  let source = null;
  let retry = null;
  let poll = null;
  let failures = 0;

  function lost() {
    onState('polling');
    poll ??= setInterval(onNews, POLL_MS);
  }
  function open() {
    retry = null;
    source = new EventSource(`/api/live/${propertyId}`);
    source.onopen = () => {
      onNews(); // what happened between the last answer and now was not told
      failures = 0;
      clearInterval(poll);
      poll = null;
      onState('live');
    };
    source.onmessage = onNews;
    source.onerror = () => {
      source.close();
      lost();
      const wait = BACKOFF_MS[Math.min(failures++, BACKOFF_MS.length - 1)];
      clearTimeout(retry);
      retry = setTimeout(open, wait * (0.8 + 0.4 * Math.random()));
    };
  }
  function close() {
    source?.close();
    clearTimeout(retry);
    clearInterval(poll);
    source = retry = poll = null;
  }
  function visibility() {
    close();
    if (document.hidden) return;
    onNews();
    failures = 0;
    open();
  }
  function online() {
    if (!document.hidden) visibility();
  }
  function offline() {
    source?.onerror();
  }

  document.addEventListener('visibilitychange', visibility);
  window.addEventListener('online', online);
  window.addEventListener('offline', offline);
  if (!document.hidden) open();
  return () => {
    document.removeEventListener('visibilitychange', visibility);
    window.removeEventListener('online', online);
    window.removeEventListener('offline', offline);
    close();
  };
}
