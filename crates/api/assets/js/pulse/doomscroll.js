/** The global doomscroll rate: its line with the two marks, and the banner when it is too high. */

import { lineChart } from "../chart/lines.js";
import { byId, fill, h } from "../dom.js";
import { clockMinute, millisOf, percent } from "../lib/format.js";

/** Shares of impressions that are skipped, from which on it is said. */
export const MARKS = { warn: 0.4, alert: 0.45 };

const TONES = { ok: "good", warn: "warn", alert: "bad" };

/** Class of a state's colour. @param {"ok"|"warn"|"alert"|null} state */
export function toneOfRate(state) {
  return TONES[state] ?? "none";
}

/** @returns {{show: (doomscroll: object) => void}} */
export function doomscrollPanel() {
  const line = lineChart(byId("doomscroll-chart"), {
    title: "Skips over impressions by minute",
    format: (value) => percent(value, 0),
    height: 196,
    least: 0.5,
    floor: 0.2,
    thresholds: [
      { value: MARKS.warn, label: "warn 40 %", tone: "warn" },
      { value: MARKS.alert, label: "alert 45 %", tone: "bad" },
    ],
    empty: "No minute has been counted yet.",
  });
  let announced = null;

  return {
    show(doomscroll) {
      const points = doomscroll.minutes.map((minute) => ({ at: millisOf(minute.minute), value: minute.rate }));
      line.show([{ name: "Doomscroll rate", tone: "main", points }]);
      if (doomscroll.state === announced) return;
      announced = doomscroll.state;
      fill(byId("alert"), doomscroll.state === "alert" ? banner(doomscroll) : null);
    },
  };
}

function banner(doomscroll) {
  const last = doomscroll.minutes.at(-1);
  const when = last ? ` in the minute ${clockMinute(millisOf(last.minute))} UTC` : "";
  return h(
    "p",
    { class: "banner bad" },
    h("strong", {}, "Doomscroll alert. "),
    `${percent(doomscroll.rate)} of impressions were skipped${when}; the alert mark is ${percent(MARKS.alert, 0)}.`,
  );
}
