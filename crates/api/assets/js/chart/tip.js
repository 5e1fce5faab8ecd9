/** The small text beside the pointer for everything that has `data-tip`. For the eye only: the same is in the tables. */

import { h } from "../dom.js";

const DISTANCE = 14;

/** Called once a page. */
export function startTips() {
  const tip = h("div", { class: "tip", hidden: true, "aria-hidden": "true" });
  document.body.append(tip);
  document.addEventListener("pointermove", (event) => {
    const text = event.target instanceof Element ? event.target.closest("[data-tip]")?.getAttribute("data-tip") : null;
    tip.hidden = !text;
    if (!text) return;
    if (tip.textContent !== text) tip.textContent = text;
    const { width, height } = tip.getBoundingClientRect();
    const x =
      event.clientX + DISTANCE + width > innerWidth ? event.clientX - DISTANCE - width : event.clientX + DISTANCE;
    const y =
      event.clientY + DISTANCE + height > innerHeight ? event.clientY - DISTANCE - height : event.clientY + DISTANCE;
    tip.style.transform = `translate(${Math.max(4, x)}px, ${Math.max(4, y)}px)`;
  });
  document.addEventListener("pointerleave", () => (tip.hidden = true));
}
