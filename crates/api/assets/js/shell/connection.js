/** The lamp in the page's head, the time of the data, and the notice when data stops. */

import { byId, setAttribute, setText } from "../dom.js";
import { clockSecond } from "../lib/format.js";
import { connectionState } from "../lib/stale.js";

const LOOK_EVERY_MS = 1_000;

/** Gives the functions that tell it what happens. */
export function startConnection() {
  const chip = byId("connection");
  const notice = byId("stale");
  let channel = "connecting";
  let lastDataMs = null;
  let asOfMs = null;
  let reason = "";

  function show() {
    const { state, text } = connectionState({ channel, lastDataMs, nowMs: Date.now() });
    setAttribute(chip, "data-state", state);
    setText(byId("connection-text"), text);
    setText(byId("as-of"), asOfMs === null ? "" : `${clockSecond(asOfMs)} UTC`);
    const isStale = state === "stale";
    if (notice.hidden !== !isStale) notice.hidden = !isStale;
    if (!isStale) return;
    const shown = asOfMs === null ? "" : ` What you see is of ${clockSecond(asOfMs)} UTC.`;
    const because = reason ? ` (${reason})` : "";
    setText(notice, `${text}${because}.${shown} The page goes on trying.`);
  }

  setInterval(show, LOOK_EVERY_MS);
  show();

  return {
    /** @param {"connecting"|"live"|"polling"|"offline"} next @param {Error|null} error */
    channelIs(next, error) {
      channel = next;
      reason = error?.message ?? "";
      show();
    },
    /** Data came. @param {number|null} ofMs the moment that it describes, milliseconds since the epoch */
    dataCame(ofMs) {
      lastDataMs = Date.now();
      asOfMs = ofMs ?? asOfMs;
      show();
    },
  };
}
