/** The names of a chart's series, each beside its colour. */

import { h } from "../dom.js";

/**
 * @param {{name: string, tone: string}[]} series
 * @returns {HTMLElement}
 */
export function legend(series) {
  return h(
    "ul",
    { class: "legend" },
    ...series.map((one) => h("li", {}, h("span", { class: `key ${one.tone}` }), one.name)),
  );
}
