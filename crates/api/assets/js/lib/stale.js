/** When what is shown counts as old. Pure. */

/** Without an answer for this long the numbers are stale. */
export const STALE_AFTER_MS = 10_000;

/**
 * @typedef {"connecting"|"live"|"polling"|"offline"} Channel how data comes in
 * @param {{channel: Channel, lastDataMs: number|null, nowMs: number}} seen
 * @returns {{state: "waiting"|"live"|"polling"|"stale", text: string}}
 */
export function connectionState({ channel, lastDataMs, nowMs }) {
  if (lastDataMs === null) {
    return channel === "offline"
      ? { state: "stale", text: "The engine does not answer" }
      : { state: "waiting", text: "Connecting" };
  }
  const age = nowMs - lastDataMs;
  if (age >= STALE_AFTER_MS) return { state: "stale", text: `No data for ${Math.floor(age / 1_000)} s` };
  return channel === "live" ? { state: "live", text: "Live" } : { state: "polling", text: "Polling" };
}
