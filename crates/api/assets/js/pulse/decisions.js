/** The queue of open decisions, newest first, with what may be done about each. */

import { byId, h, setText } from "../dom.js";
import { isOpen, reasonsInWords } from "../lib/actions.js";
import { clockMinute, fixed, millisOf, percent } from "../lib/format.js";
import { actionControls } from "./action_controls.js";
import { keyedRows } from "./keyed_rows.js";

const SHOWN = 30;

/**
 * @param {object} options
 * @param {ReturnType<typeof import("./action_store.js").actionStore>} options.store
 * @param {(videoId: string) => void} options.onPick
 * @param {() => number} options.now
 */
export function decisionList({ store, onPick, now }) {
  const rows = keyedRows(byId("decision-rows"), {
    keyOf: (action) => action.action_id,
    make: (action) => decisionItem(action, { onPick, onChanged: store.put, now }),
  });

  store.listen((actions) => {
    const open = actions.filter(isOpen);
    rows.show(open.slice(0, SHOWN));
    setText(byId("decision-count"), open.length === 0 ? "" : `${open.length} open`);
    byId("decision-empty").hidden = open.length > 0;
  });
}

function decisionItem(first, { onPick, onChanged, now }) {
  const name = h("button", { type: "button", class: "link", onclick: () => onPick(first.video_id) }, first.video_id);
  const why = h("p", { class: "why" });
  const controls = actionControls(onChanged);
  const element = h(
    "li",
    { "data-action": first.action_id },
    h("div", { class: "decision-head" }, name, controls.element),
    why,
  );

  function show(action) {
    const numbers = `velocity ${fixed(action.velocity_30m, 3)}, completion ${percent(action.completion_rate_30m, 0)}`;
    const reasons = reasonsInWords(action.reason_codes);
    setText(
      why,
      `${clockMinute(millisOf(action.window_start ?? action.decided_at))} · ${reasons || "no reasons given"} · ${numbers}`,
    );
    controls.show(action, now());
  }

  return { element, show };
}
