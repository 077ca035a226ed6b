// Waiting: for readiness, and now and then for time.

export const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

// Ask again and again until the answer is truthy, which is returned; false when that takes too long.
export async function until(ask, { timeout = 30000, every = 100 } = {}) {
  for (const end = Date.now() + timeout; ; await sleep(every)) {
    const answer = await ask();
    if (answer || Date.now() > end) return answer;
  }
}
