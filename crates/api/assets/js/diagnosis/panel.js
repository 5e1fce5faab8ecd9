/** A card that asks the tables: it says that it waits, shows what came, or says what went wrong and offers another try. */

import { byId, fill, h } from "../dom.js";

/**
 * @param {string} id of the host element
 * @param {() => Promise<{content: Node, note: string, sql: string}>} load
 * @returns {Promise<void>} settled when something is shown
 */
export async function panel(id, load) {
  const host = byId(id);
  fill(host, h("p", { class: "empty" }, "Asking the tables …"));
  host.setAttribute("aria-busy", "true");
  try {
    const { content, note, sql } = await load();
    byId(`${id}-source`).textContent = note;
    fill(host, content, query(sql));
  } catch (error) {
    const again = h("button", { type: "button", onclick: () => panel(id, load) }, "Try again");
    fill(host, h("div", { class: "empty" }, h("p", {}, `No answer: ${error.message}`), again));
  }
  host.removeAttribute("aria-busy");
}

function query(sql) {
  return h(
    "details",
    { class: "as-table" },
    h("summary", {}, "The query"),
    h("pre", { class: "sql", tabindex: 0 }, sql),
  );
}
