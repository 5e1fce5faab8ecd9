/** A half-circle with zones and a needle, for a share with limits. The number itself stands beside it as text. */

import { s } from "../dom.js";
import { linear } from "../lib/scale.js";

const WIDTH = 132;
const HEIGHT = 74;
const RADIUS = 56;
const CENTRE = { x: WIDTH / 2, y: HEIGHT - 8 };

/**
 * @param {SVGElement} svg
 * @param {{value: number|null, end: number, zones: {until: number, tone: string}[], label: string}} what zones from 0 on, rising
 */
export function drawGauge(svg, { value, end, zones, label }) {
  const angle = linear([0, end], [Math.PI, 0]);
  const arcs = zones.map((zone, place) => {
    const from = place === 0 ? 0 : zones[place - 1].until;
    return s("path", { class: `zone ${zone.tone}`, d: arc(angle(from), angle(zone.until)) });
  });
  const needle =
    value === null ? [] : [pointer(angle(value)), s("circle", { class: "hub", cx: CENTRE.x, cy: CENTRE.y, r: 4 })];
  svg.setAttribute("viewBox", `0 0 ${WIDTH} ${HEIGHT}`);
  svg.setAttribute("aria-label", label);
  svg.replaceChildren(...arcs, ...needle);
}

function pointer(angle) {
  const tip = on(angle, RADIUS - 12);
  return s("line", { class: "needle", x1: CENTRE.x, y1: CENTRE.y, x2: tip.x, y2: tip.y });
}

function arc(from, until) {
  const gap = 0.012;
  const [start, stop] = [on(from - gap, RADIUS), on(until + gap, RADIUS)];
  return `M${start.x} ${start.y}A${RADIUS} ${RADIUS} 0 0 1 ${stop.x} ${stop.y}`;
}

function on(angle, radius) {
  const round = (value) => Number(value.toFixed(2));
  return { x: round(CENTRE.x + Math.cos(angle) * radius), y: round(CENTRE.y - Math.sin(angle) * radius) };
}
