/** A table out of columns and rows that is updated in place: neither focus nor scroll position is lost to new numbers. */

import { fill, h, setText, unseen } from "../dom.js";

/**
 * @template Row
 * @typedef {object} Column the first one is the rows' header
 * @property {string} name
 * @property {boolean} [isUnseen] the name is for screen readers alone
 * @property {boolean} [isNumber]
 * @property {string} [class]
 * @property {(row: Row) => string} [text] what a cell says; or
 * @property {(row: Row) => Node} [node] what it holds
 */

/**
 * @template Row
 * @param {object} what
 * @param {string} what.caption read out, not shown
 * @param {Column<Row>[]} what.columns
 * @param {string} what.whenEmpty what to say without rows: a sentence
 * @returns {{element: HTMLElement, show: (rows: Row[]) => void}}
 */
export function liveTable({ caption, columns, whenEmpty }) {
  const classOf = (column) => [column.isNumber ? "num" : "", column.class ?? ""].join(" ").trim() || null;
  const names = columns.map((column) =>
    h("th", { scope: "col", class: classOf(column) }, column.isUnseen ? unseen(column.name) : column.name),
  );
  const body = h("tbody");
  const table = h("table", {}, h("caption", { class: "unseen" }, caption), h("thead", {}, h("tr", {}, ...names)), body);
  const scroll = h("div", { class: "scroll", tabindex: 0, role: "group", "aria-label": caption, hidden: true }, table);
  const empty = h("p", { class: "empty" }, whenEmpty);

  function addRow() {
    const cells = columns.map((column, place) =>
      h(place === 0 ? "th" : "td", { scope: place === 0 ? "row" : null, class: classOf(column) }),
    );
    body.append(h("tr", {}, ...cells));
  }

  function show(rows) {
    empty.hidden = rows.length > 0;
    scroll.hidden = rows.length === 0;
    while (body.children.length > rows.length) body.lastElementChild.remove();
    while (body.children.length < rows.length) addRow();
    rows.forEach((row, line) => {
      const cells = body.children[line].children;
      columns.forEach((column, place) => {
        if (column.node) fill(cells[place], column.node(row));
        else setText(cells[place], column.text(row));
      });
    });
  }

  return { element: h("div", {}, empty, scroll), show };
}
