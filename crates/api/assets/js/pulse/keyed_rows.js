/**
 * Rows that are updated in place, each known by a key: nothing flickers, and neither focus nor pointer loses its row. While
 * somebody works in the rows, their order is held.
 */

/** The order is held for this long after the last key or pointer movement in the rows. */
const HELD_MS = 4_000;

/**
 * @template Item
 * @param {HTMLElement} host parent of the rows
 * @param {object} options
 * @param {(item: Item) => string} options.keyOf
 * @param {(item: Item) => {element: HTMLElement, show: (item: Item) => void}} options.make
 * @returns {{show: (items: Item[]) => {isHeld: boolean}}}
 */
export function keyedRows(host, { keyOf, make }) {
  const rows = new Map();
  let touchedMs = -HELD_MS;
  for (const kind of ["pointermove", "pointerdown", "keydown", "focusin"]) {
    host.addEventListener(kind, () => (touchedMs = performance.now()), { passive: true });
  }

  function show(items) {
    const wanted = new Set(items.map(keyOf));
    const isHeld = performance.now() - touchedMs < HELD_MS && rows.size > 0;
    for (const item of items) {
      const key = keyOf(item);
      if (!rows.has(key)) rows.set(key, make(item));
      rows.get(key).show(item);
    }
    if (isHeld) {
      host.append(...items.map((item) => rows.get(keyOf(item)).element).filter((element) => !element.isConnected));
      return { isHeld };
    }
    for (const [key, row] of rows) {
      if (wanted.has(key)) continue;
      row.element.remove();
      rows.delete(key);
    }
    arrange(
      host,
      items.map((item) => rows.get(keyOf(item)).element),
    );
    return { isHeld };
  }

  return { show };
}

/** Puts the elements in order without moving the one that has the focus: moving would take the focus away. */
function arrange(host, elements) {
  const isThere =
    elements.length === host.children.length && elements.every((element, place) => host.children[place] === element);
  if (isThere) return;
  const focused = elements.find((element) => element.contains(document.activeElement));
  if (!focused) {
    host.append(...elements);
    return;
  }
  const place = elements.indexOf(focused);
  for (const element of elements.slice(0, place)) host.insertBefore(element, focused);
  host.append(...elements.slice(place + 1));
}
