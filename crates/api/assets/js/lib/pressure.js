/** Back-pressure of an actor as a share of the time between two looks. Pure. */

/** Key of an actor in the two looks. @param {{actor: string, index: string|number}} one */
function keyOf(one) {
  return `${one.actor} ${one.index}`;
}

/**
 * The actors with `pressure`: the share of the time since the look before that each waited for room, 0 to 1; `null` at the
 * first look, or when the engine was started again.
 * @template {{actor: string, index: string|number, backpressure_s: number}} Actor
 * @param {Actor[]} now
 * @param {Actor[]|null} before
 * @param {number} elapsedS between the looks
 * @returns {(Actor & {pressure: number|null})[]}
 */
export function withPressure(now, before, elapsedS) {
  const earlier = new Map((before ?? []).map((one) => [keyOf(one), one.backpressure_s]));
  return now.map((one) => {
    const start = earlier.get(keyOf(one));
    const isKnown = start !== undefined && elapsedS > 0 && one.backpressure_s >= start;
    return { ...one, pressure: isKnown ? Math.min(1, (one.backpressure_s - start) / elapsedS) : null };
  });
}
