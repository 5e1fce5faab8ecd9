/**
 * What all charts have in common: a figure that draws itself anew when its width changes, says in words what it shows, and
 * offers its numbers as a table.
 */

import { h, s } from "../dom.js";

/** A chart is not made flatter than this, pixels. */
const LEAST_HEIGHT = 180;

/**
 * Puts a chart into `host` (a `figure` element).
 * @param {HTMLElement} host
 * @param {object} options
 * @param {number} options.height pixels; less on a narrow page
 * @param {(data: any, size: {width: number, height: number}) => SVGElement[]} options.draw
 * @param {(data: any) => string} options.describe one or two sentences for those who can't see it
 * @param {(data: any) => {head: string[], rows: (string|number)[][]}} options.tabulate
 * @param {(data: any) => string} [options.whenEmpty] what to say instead of drawing; empty when there is something to draw
 * @returns {{show: (data: any) => void}}
 */
export function chart(host, { height, draw, describe, tabulate, whenEmpty = () => "" }) {
  const svg = s("svg", { class: "chart", role: "img", height, width: "100%" });
  const empty = h("p", { class: "empty", hidden: true });
  const table = h("table", { class: "plain" });
  const details = h(
    "details",
    { class: "as-table" },
    h("summary", {}, "As a table"),
    h("div", { class: "scroll", tabindex: 0, role: "group", "aria-label": "The chart's numbers" }, table),
  );
  host.append(svg, empty, details);
  let data = null;
  let width = 0;
  let tall = height;

  function redraw() {
    // A circle that is drawn anew between press and release would lose the click.
    if (data === null || width === 0 || svg.matches(":active")) return;
    const said = whenEmpty(data);
    empty.textContent = said;
    empty.hidden = said === "";
    svg.toggleAttribute("hidden", said !== "");
    details.hidden = said !== "";
    if (said !== "") return;
    svg.setAttribute("height", tall);
    svg.setAttribute("viewBox", `0 0 ${width} ${tall}`);
    svg.setAttribute("aria-label", describe(data));
    svg.replaceChildren(...draw(data, { width, height: tall }));
    if (details.open) fillTable(table, tabulate(data));
  }

  details.addEventListener("toggle", redraw);
  new ResizeObserver(([entry]) => {
    const wide = Math.floor(entry.contentRect.width);
    if (wide === width) return;
    width = wide;
    tall = Math.min(height, Math.max(LEAST_HEIGHT, Math.round(wide * 0.9)));
    redraw();
  }).observe(host);

  return {
    show(next) {
      data = next;
      redraw();
    },
  };
}

function fillTable(table, { head, rows }) {
  const header = h("thead", {}, h("tr", {}, ...head.map((text) => h("th", { scope: "col" }, text))));
  const body = h("tbody", {}, ...rows.map((row) => h("tr", {}, ...row.map((text) => h("td", {}, String(text))))));
  table.replaceChildren(header, body);
}
