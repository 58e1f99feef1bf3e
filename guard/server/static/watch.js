/**
 * What runs on the server now: one connection to /guard/api/live for the whole page, open while a view listens.
 * A connection that breaks is made again, later each time; listeners hear `{type: "down"}` and `{type: "up"}`.
 */

import { address, events, request } from "./api.js";

const listeners = new Set();
let running = null;

/** Hear every event from now on; returns the function that ends it. */
export function watch(listener) {
  listeners.add(listener);
  running ??= run(new AbortController());
  return () => {
    listeners.delete(listener);
    if (!listeners.size && running) {
      running.abort();
      running = null;
    }
  };
}

function run(control) {
  follow(control.signal);
  return control;
}

async function follow(signal) {
  for (let failures = 0; !signal.aborted; failures += 1) {
    try {
      const response = await request(address("live"), { signal });
      failures = 0;
      tell({ type: "up" });
      for await (const data of events(response)) if (!signal.aborted) tell(JSON.parse(data));
      if (!signal.aborted) tell({ type: "down", why: "The stream ended." });
    } catch (error) {
      if (signal.aborted) return;
      tell({ type: "down", why: error.message });
      if (error.status === 401 || error.status === 403) return;
    }
    await rested(Math.min(500 * 2 ** failures, 15000) * (0.75 + Math.random() / 2), signal);
  }
}

function tell(event) {
  for (const listener of [...listeners]) listener(event);
}

function rested(milliseconds, signal) {
  return new Promise((done) => {
    const timer = setTimeout(done, milliseconds);
    signal.addEventListener("abort", () => (clearTimeout(timer), done()), { once: true });
  });
}
