/** An action's badge, its state, and the buttons that change it. */

import { post } from "../api.js";
import { fill, h, setText } from "../dom.js";
import { changesOf, isOpen, refusalInWords, timeLeft } from "../lib/actions.js";
import { millisOf } from "../lib/format.js";
import { announce } from "../shell/announce.js";
import { explainToken, hasToken } from "../shell/token_dialog.js";

/** Statuses that mean: the token is missing or wrong. */
const WRONG_TOKEN = [401, 403];
/** The engine answers after its commit, which may wait for others. */
const PATIENCE_MS = 60_000;

/**
 * @param {(action: object) => void} onChanged gets the action as it is after a change
 * @returns {{element: HTMLElement, show: (action: object|null, nowMs: number) => void}}
 */
export function actionControls(onChanged) {
  const badge = h("span", { class: "badge" });
  const state = h("span", { class: "state" });
  const buttons = h("span", { class: "buttons" });
  const element = h("div", { class: "action" }, badge, state, buttons);
  let shown = "";

  function show(action, nowMs) {
    element.hidden = action === null;
    if (action === null) return;
    setText(badge, action.decision_type);
    badge.dataset.type = action.decision_type;
    setText(state, stateInWords(action, nowMs));
    const key = `${action.action_id} ${action.state}`;
    if (key === shown) return;
    shown = key;
    const hadFocus = buttons.contains(document.activeElement);
    fill(buttons, ...changesOf(action).map((change) => button(action, change, onChanged)));
    // Somebody who uses the keyboard goes on where they were.
    if (hadFocus)
      (buttons.querySelector("button") ?? element.closest("tr, li")?.querySelector("button"))?.focus({
        preventScroll: true,
      });
  }

  return { element, show };
}

function stateInWords(action, nowMs) {
  const name = action.state.toLowerCase();
  const left = isOpen(action) ? timeLeft(millisOf(action.expires_at), nowMs) : "";
  return left ? `${name}, ${left}` : name;
}

function button(action, change, onChanged) {
  const what = `${action.decision_type} of ${action.video_id}`;
  const made = h(
    "button",
    { type: "button", "data-verb": change.verb, "aria-label": `${change.means} ${what}` },
    change.label,
  );
  made.addEventListener("click", () => apply(made, action, change, what, onChanged));
  return made;
}

async function apply(pressed, action, change, what, onChanged) {
  if (!hasToken()) {
    explainToken();
    return;
  }
  if (pressed.getAttribute("aria-busy") === "true") return;
  pressed.setAttribute("aria-busy", "true");
  try {
    const path = `decisions/${encodeURIComponent(action.action_id)}/${change.verb}`;
    const changed = await post(path, { expected_state: action.state }, PATIENCE_MS);
    announce(`${what} was ${change.done}.`, "good");
    onChanged(changed);
  } catch (error) {
    if (WRONG_TOKEN.includes(error.status)) explainToken(refusalInWords(error));
    else announce(refusalInWords(error), "bad");
    if (error.state) onChanged({ ...action, state: error.state });
  } finally {
    pressed.removeAttribute("aria-busy");
  }
}
