/** Bins of a video's length, for people and as SQL, out of one list. Pure. */

/** Upper ends, milliseconds; the last bin is open. */
const ENDS_MS = [10_000, 20_000, 30_000, 60_000, 120_000];

/** Names of the bins, by number. */
export const BIN_NAMES = ["under 10 s", "10 to 20 s", "20 to 30 s", "30 to 60 s", "1 to 2 min", "2 min and more"];

/** An expression of SQL that gives the number of a length's bin. @param {string} column of milliseconds */
export function binOf(column) {
  const cases = ENDS_MS.map((end, bin) => `WHEN ${column} < ${end} THEN ${bin}`);
  return `CASE ${cases.join(" ")} ELSE ${ENDS_MS.length} END`;
}
