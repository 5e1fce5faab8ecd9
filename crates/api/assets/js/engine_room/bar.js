/** A bar in a cell; the number stands beside it. */

import { s } from "../dom.js";

/** @param {number} share 0 to 1 @param {"main"|"warn"|"bad"} tone @returns {SVGElement} */
export function bar(share, tone = "main") {
  const wide = Math.max(0, Math.min(1, share)) * 100;
  return s(
    "svg",
    { class: "bar", viewBox: "0 0 100 8", preserveAspectRatio: "none", "aria-hidden": "true" },
    s("rect", { class: "bar-all", width: 100, height: 8 }),
    s("rect", { class: `bar-part ${tone}`, width: wide.toFixed(1), height: 8 }),
  );
}
