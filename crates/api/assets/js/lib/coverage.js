/** Sentences about how much of the last 30 minutes the board knows. Pure. */

import { clockMinute } from "./format.js";

/** Minutes that the metrics look back over. */
export const ROLLING_MINUTES = 30;

/**
 * What to say about an incomplete board, or an empty text when it is complete.
 * @param {{complete: boolean, covered_minutes: number, missing_peers?: string[]}|null|undefined} coverage
 * @param {number|null} minuteMs the board's newest minute, milliseconds since the epoch
 */
export function coverageInWords(coverage, minuteMs) {
  if (!coverage || coverage.complete) return "";
  const missing = coverage.missing_peers ?? [];
  if (missing.length > 0) return `Videos are missing: no answer from ${missing.join(", ")}.`;
  const covered = Math.max(0, Math.min(ROLLING_MINUTES, Math.floor(coverage.covered_minutes ?? 0)));
  const start = `The board covers ${covered} of ${ROLLING_MINUTES} minutes`;
  if (minuteMs === null) return `${start}: it waits for the first events.`;
  if (covered === ROLLING_MINUTES) return `${start}, but not in every partition: decisions wait for the rest.`;
  const begins = minuteMs + (ROLLING_MINUTES - covered) * 60_000;
  return `${start}: decisions begin at about ${clockMinute(begins)} UTC of the events' time.`;
}
