/** Cohorts of creators: of those who began in one period, the share that is still there some periods later. Pure. */

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;

/** @typedef {{unit: "hour"|"day"|"week", ms: number}} Grain */
const GRAINS = {
  hour: { unit: "hour", ms: HOUR_MS },
  day: { unit: "day", ms: DAY_MS },
  week: { unit: "week", ms: 7 * DAY_MS },
};

/**
 * The period that fits what is there: hours for a young table, weeks for an old one.
 * @param {number} firstMs
 * @param {number} lastMs
 * @returns {Grain}
 */
export function grainFor(firstMs, lastMs) {
  const span = lastMs - firstMs;
  if (span < 3 * DAY_MS) return GRAINS.hour;
  return span < 15 * DAY_MS ? GRAINS.day : GRAINS.week;
}

/**
 * @param {{cohort: number, period: number, creators: number}[]} rows starts of periods, milliseconds since the epoch
 * @param {Grain} grain
 * @param {number} most cohorts and periods that are kept, the newest and the first
 * @returns {{start: number, size: number, shares: (number|null)[]}[]} oldest cohort first; `shares[0]` is 1; `null` lies in
 *   the future
 */
export function cohortsOf(rows, grain, most = 12) {
  const starts = [...new Set(rows.map((row) => row.cohort))].sort((left, right) => left - right).slice(-most);
  const newest = rows.reduce((latest, row) => Math.max(latest, row.period), 0);
  return starts.map((start) => {
    const counts = new Map();
    for (const row of rows)
      if (row.cohort === start) counts.set(Math.round((row.period - start) / grain.ms), row.creators);
    const size = counts.get(0) ?? 0;
    const shares = Array.from({ length: most }, (_, later) => {
      if (start + later * grain.ms > newest || size === 0) return null;
      return (counts.get(later) ?? 0) / size;
    });
    return { start, size, shares };
  });
}
