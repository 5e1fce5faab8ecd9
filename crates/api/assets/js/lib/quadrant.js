/** The quadrants of velocity × completion, as the API names them, and what they are called. Pure. */

/** Text of each quadrant. */
export const QUADRANTS = {
  supernova: { label: "Supernova", means: "fast, and watched to the end" },
  clickbait: { label: "Clickbait", means: "fast, but left early" },
  steady: { label: "Steady", means: "slow, but watched to the end" },
  quiet: { label: "Quiet", means: "slow, and left early" },
};

/**
 * The quadrant of a point: the rule that the API applies too.
 * @param {number} velocity
 * @param {number} completion share, 0 to 1
 * @param {{velocity_p90: number, completion: number}} thresholds
 * @returns {"supernova"|"clickbait"|"steady"|"quiet"}
 */
export function quadrantOf(velocity, completion, thresholds) {
  const isFast = velocity >= thresholds.velocity_p90;
  const isFinished = completion >= thresholds.completion;
  if (isFast) return isFinished ? "supernova" : "clickbait";
  return isFinished ? "steady" : "quiet";
}

/**
 * Upper end of the velocity axis: the threshold lies in it with room above, and no single video squeezes the rest flat
 * more than fourfold.
 * @param {number[]} velocities
 * @param {number|null} threshold
 */
export function velocityEnd(velocities, threshold) {
  const highest = velocities.reduce((most, value) => Math.max(most, value), 0);
  return Math.max(highest * 1.18, (threshold ?? 0) * 1.6, 0.1);
}
