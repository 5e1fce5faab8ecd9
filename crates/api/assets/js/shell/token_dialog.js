/** What is missing when a change is asked for without a token, and a field to enter one. */

import { h } from "../dom.js";
import { currentToken, keepToken } from "../token.js";
import { announce } from "./announce.js";

/** Opens the dialog. @param {string} [refusal] what the engine answered, when it refused a token */
export function explainToken(refusal = "") {
  const field = h("input", { id: "token-field", type: "password", autocomplete: "off", spellcheck: "false" });
  const dialog = h(
    "dialog",
    { class: "dialog narrow", "aria-labelledby": "token-title" },
    h("h2", { id: "token-title" }, "Changes need the action token"),
    refusal ? h("p", { class: "notice bad" }, refusal) : null,
    h(
      "p",
      {},
      "Everybody may look; who changes an action shows a token. Open the address that ",
      h("code", {}, "pulselake demo"),
      " printed (it ends in ",
      h("code", {}, "#token=…"),
      "), or enter the value of the setting ",
      h("code", {}, "http.action_token"),
      ".",
    ),
    h(
      "form",
      {
        method: "dialog",
        onsubmit: () => {
          const given = field.value.trim();
          if (given === "") return;
          keepToken(given);
          announce("The token is kept for this tab. Press the button again.", "good");
        },
      },
      h("label", { for: "token-field" }, "Action token"),
      field,
      h(
        "div",
        { class: "buttons" },
        h("button", { class: "primary" }, "Keep for this tab"),
        h("button", { type: "button", onclick: () => dialog.close() }, "Cancel"),
      ),
    ),
  );
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
}

/** Whether there is a token to try. */
export function hasToken() {
  return currentToken() !== null;
}
