/**
 * Live data of a page: the event stream while it works, polling while it does not. Connects again with growing pauses,
 * and never stops trying.
 */

import { authorization, get } from "./api.js";
import { pauseMs } from "./lib/backoff.js";
import { eventStreamParser } from "./lib/event_stream.js";

const POLL_EVERY_MS = 2_000;
/** A stream from which nothing came for this long, not even a comment, is dead. */
const SILENCE_MS = 30_000;

/**
 * @param {object} options
 * @param {Record<string, () => string>} options.sources paths that polling asks, by the event that each stands for
 * @param {(event: string, data: any) => void} options.onEvent
 * @param {(channel: "connecting"|"live"|"polling"|"offline", error: Error|null) => void} options.onChannel
 */
export function startLive({ sources, onEvent, onChannel }) {
  let isStreaming = false;
  let isPolling = false;

  async function pollOnce() {
    const asked = Object.entries(sources).map(async ([event, path]) => onEvent(event, await get(path())));
    const failed = (await Promise.allSettled(asked)).filter((result) => result.status === "rejected");
    if (isStreaming) return;
    const isOffline = failed.length > 0 && failed.length === asked.length;
    onChannel(isOffline ? "offline" : "polling", failed[0]?.reason ?? null);
  }

  async function pollMeanwhile() {
    if (isPolling) return;
    isPolling = true;
    while (!isStreaming) {
      await pollOnce();
      await pause(POLL_EVERY_MS);
    }
    isPolling = false;
  }

  async function follow() {
    for (let failures = 0; ;) {
      try {
        await readStream((event, data) => {
          failures = 0;
          isStreaming = true;
          onChannel("live", null);
          onEvent(event, data);
        });
      } catch {
        // Whatever ended the stream: polling bridges the time until the next attempt, and tells what is wrong.
      }
      failures += 1;
      isStreaming = false;
      pollMeanwhile();
      await pause(pauseMs(failures, Math.random()));
    }
  }

  onChannel("connecting", null);
  follow();
}

/** Reads the event stream until it ends or is silent for too long. */
async function readStream(onEvent) {
  const abort = new AbortController();
  let watchdog = setTimeout(() => abort.abort(), SILENCE_MS);
  try {
    const headers = { ...authorization(), Accept: "text/event-stream" };
    const answer = await fetch("/api/v1/events", { headers, signal: abort.signal, cache: "no-store" });
    if (!answer.ok || !answer.body) throw new Error(`the event stream answered with status ${answer.status}`);
    const parse = eventStreamParser();
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      clearTimeout(watchdog);
      watchdog = setTimeout(() => abort.abort(), SILENCE_MS);
      for (const { event, data } of parse(value)) onEvent(event, JSON.parse(data));
    }
  } finally {
    clearTimeout(watchdog);
    abort.abort();
  }
}

function pause(millis) {
  return new Promise((resolve) => setTimeout(resolve, millis));
}
