/** The actions as this page knows them: from the queue's list, from events, and from its own changes. */

import { withChanged } from "../lib/actions.js";

/** @returns {ReturnType<typeof makeStore>} */
export function actionStore() {
  return makeStore();
}

function makeStore() {
  let actions = [];
  const listeners = [];
  const tell = () => listeners.forEach((listener) => listener(actions));
  return {
    /** The queue's list, newest first. @param {object[]} list */
    replace(list) {
      actions = list;
      tell();
    },
    /** One action changed or came. @param {{action_id: string}} action */
    put(action) {
      const known = actions.find((one) => one.action_id === action.action_id);
      actions = withChanged(actions, { ...known, ...action });
      tell();
    },
    /** The newest that is known of this action. @param {{action_id: string}|null} action */
    newest(action) {
      return action ? (actions.find((one) => one.action_id === action.action_id) ?? action) : null;
    },
    /** @param {(actions: object[]) => void} listener */
    listen(listener) {
      listeners.push(listener);
    },
  };
}
