/** Results of what somebody did: shown at the page's foot for a while, and read out. */

import { byId } from "../dom.js";

const SHOWN_MS = 8_000;
let hiding = 0;

/** @param {string} text @param {"good"|"bad"} tone */
export function announce(text, tone) {
  const region = byId("result");
  region.dataset.tone = tone;
  region.textContent = text;
  clearTimeout(hiding);
  hiding = setTimeout(() => (region.textContent = ""), SHOWN_MS);
}
