// Reports for components: useQuery() keeps the last answer while the next is on its way, and a
// refresher asks all reports of a page again, one round at a time.

import { useState, useEffect, useRef, useCallback } from '/vendor/htm-preact.js';
import * as api from '/api.js';

const ROUND_GAP_MS = 500; // at most two rounds a second, however many events there are

export function createRefresher() {
  const reports = new Set();
  let busy = false;
  let wanted = false;
  let timer = null;

  async function round() {
    timer = null;
    busy = true;
    wanted = false;
    const began = performance.now();
    await Promise.allSettled([...reports].map((report) => report()));
    busy = false;
    if (wanted) timer = setTimeout(round, Math.max(0, ROUND_GAP_MS - (performance.now() - began)));
  }
  return {
    add(report) {
      reports.add(report);
      return () => reports.delete(report);
    },
    refresh() {
      if (busy) wanted = true;
      else timer ??= setTimeout(round, 0);
    },
    end() {
      clearTimeout(timer);
      reports.clear();
    },
  };
}

// Metrics that this query service does not have (it answered 400 for them on their own).
const unknown = new Set();

async function findUnknown(body) {
  const answers = await Promise.allSettled(
    body.metrics.map((metric) => api.query({ ...body, metrics: [metric] })));
  if (answers.every((a) => a.status === 'rejected')) return false; // not the metrics' fault
  answers.forEach((a, i) => a.status === 'rejected' && a.reason.status === 400 && unknown.add(body.metrics[i]));
  return true;
}

// Ask; when the metrics are refused together, do without those that are refused alone.
export async function ask(body, signal) {
  const known = (b) => ({ ...b, metrics: b.metrics.filter((m) => !unknown.has(m)) });
  let asked = known(body);
  let answer;
  try {
    answer = await api.query(asked, signal);
  } catch (error) {
    if (error.status !== 400 || asked.metrics.length < 2 || !(await findUnknown(asked))) throw error;
    asked = known(body);
    answer = await api.query(asked, signal);
  }
  const rows = answer.results.map((row) => ({
    dimensions: row.dimensions ?? [],
    ...Object.fromEntries(asked.metrics.map((metric, i) => [metric, row.metrics[i]])),
  }));
  return { rows, metrics: asked.metrics, labels: answer.meta?.time_labels, dates: answer.query?.date_range };
}

// body null: nothing to ask yet. data belongs to the body with key `of`; stale says that this is not
// the present one. live: asked again in each round of the refresher.
export function useQuery(body, refresher, live = true) {
  const key = body ? JSON.stringify(body) : null;
  const [state, setState] = useState({ data: null, of: null, error: null });
  const asked = useRef(null); // the question under way: { key, abort, again, done }

  // Asked again while it is under way, a question is put once more after its answer.
  const run = useCallback(() => {
    if (!key) return undefined;
    if (asked.current?.key === key) {
      asked.current.again = true;
      return asked.current.done;
    }
    const mine = { key, abort: new AbortController(), again: false };
    const { signal } = mine.abort;
    asked.current = mine;
    mine.done = (async () => {
      do {
        mine.again = false;
        try {
          const data = await ask(JSON.parse(key), signal);
          if (!signal.aborted) setState({ data, of: key, error: null });
        } catch (error) {
          if (!signal.aborted) setState((old) => ({ ...old, error }));
        }
      } while (mine.again && !signal.aborted);
      if (asked.current === mine) asked.current = null;
    })();
    return mine.done;
  }, [key]);

  useEffect(() => {
    setState((old) => (old.error ? { ...old, error: null } : old));
    run();
    const remove = live && refresher ? refresher.add(run) : null;
    return () => {
      remove?.();
      asked.current?.abort.abort();
      asked.current = null;
    };
  }, [run, refresher, live]);

  const retry = useCallback(() => {
    setState((old) => ({ ...old, error: null }));
    run();
  }, [run]);
  return { data: state.data, stale: state.of !== key, error: state.error, retry };
}
