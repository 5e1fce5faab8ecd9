/** Pauses between attempts to connect. Pure. */

const FIRST_MS = 1_000;
const LONGEST_MS = 30_000;

/**
 * Pause before the next attempt: doubles from 1 s to 30 s, less up to a quarter, so that many pages don't come at once.
 * @param {number} failures attempts that have failed in a row, from 1
 * @param {number} chance 0 to 1
 * @returns {number} milliseconds
 */
export function pauseMs(failures, chance) {
  const full = Math.min(LONGEST_MS, FIRST_MS * 2 ** Math.max(0, failures - 1));
  return Math.round(full * (1 - chance / 4));
}
