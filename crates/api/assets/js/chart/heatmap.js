/** A table whose cells are shaded by their value: a heatmap that needs no other form for screen readers. */

import { h, unseen } from "../dom.js";

/** Shades, from pale to strong; the classes `shade-0` … in charts.css. */
const SHADES = 7;

/**
 * Which shade a value gets.
 * @param {number} value
 * @param {[number, number]} domain
 */
export function shadeOf(value, [low, high]) {
  const place = (value - low) / (high - low || 1);
  return Math.min(SHADES - 1, Math.max(0, Math.floor(place * SHADES)));
}

/**
 * @param {object} what
 * @param {string} what.caption
 * @param {string} what.corner name of the row headers
 * @param {string[]} what.columns
 * @param {{name: string, cells: ({value: number, note: string, text?: string}|null)[]}[]} what.rows `null`: nothing is known; a cell with a text of its own is not shaded
 * @param {[number, number]} what.domain values of the palest and the strongest shade
 * @param {(value: number) => string} what.format
 * @returns {HTMLElement}
 */
export function heatmap({ caption, corner, columns, rows, domain, format }) {
  const head = h(
    "tr",
    {},
    h("th", { scope: "col" }, corner),
    ...columns.map((name) => h("th", { scope: "col", class: "num" }, name)),
  );
  const body = rows.map((row) =>
    h("tr", {}, h("th", { scope: "row" }, row.name), ...row.cells.map((cell) => cellOf(cell, domain, format))),
  );
  return h(
    "table",
    { class: "heatmap" },
    h("caption", { class: "unseen" }, caption),
    h("thead", {}, head),
    h("tbody", {}, ...body),
  );
}

function cellOf(cell, domain, format) {
  if (cell === null)
    return h("td", { class: "num nothing" }, h("span", { "aria-hidden": "true" }, "·"), unseen("nothing known"));
  if (cell.text) return h("td", { class: "num", "data-tip": cell.note }, cell.text);
  return h("td", { class: `num shade-${shadeOf(cell.value, domain)}`, "data-tip": cell.note }, format(cell.value));
}
