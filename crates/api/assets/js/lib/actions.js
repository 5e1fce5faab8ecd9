/** Which changes an action allows, and what its parts are called. Pure; the rule is the engine's (states of an action). */

/** Seconds until an action expires, under which that is shown in minutes and seconds. */
const SOON_S = 120;

/** Changes by state: path of the API, text of the button, what it does. */
const CHANGES = {
  ack: { verb: "ack", label: "Ack", means: "Acknowledge", done: "acknowledged" },
  done: { verb: "done", label: "Done", means: "Mark as done:", done: "marked as done" },
  hold: { verb: "hold", label: "Hold", means: "Put on hold:", done: "put on hold" },
};
const ALLOWED = { PENDING: ["ack", "hold"], ACKED: ["done", "hold"] };

const REASONS = {
  HIGH_VELOCITY_P90: "velocity in the top tenth",
  GATE_PASS: "quality gate passed",
  LOW_COMPLETION: "few watch to the end",
  HIGH_SKIP: "many skip",
  NEW_UPLOAD_LT_60M: "younger than 1 h",
  UNDER_EXPOSED_P40: "shown to few",
};

/**
 * The changes that an action allows now.
 * @param {{state: string}|null|undefined} action
 * @returns {{verb: string, label: string, means: string, done: string}[]}
 */
export function changesOf(action) {
  return (ALLOWED[action?.state] ?? []).map((verb) => CHANGES[verb]);
}

/** Whether somebody still has to do something about it. @param {{state: string}} action */
export function isOpen(action) {
  return action.state in ALLOWED;
}

/**
 * What is left of an action's time, as text.
 * @param {number|null} expiresMs
 * @param {number} nowMs
 */
export function timeLeft(expiresMs, nowMs) {
  if (expiresMs === null) return "";
  const seconds = Math.floor((expiresMs - nowMs) / 1_000);
  if (seconds <= 0) return "time is over";
  if (seconds < SOON_S) return `${seconds} s left`;
  return `${Math.floor(seconds / 60)} min left`;
}

/** Reason codes in words; an unknown code stays as it is. @param {string[]|null|undefined} codes */
export function reasonsInWords(codes) {
  return (codes ?? []).map((code) => REASONS[code] ?? code).join(", ");
}

/**
 * The list with a changed action in its place: newest decision first, one entry an action.
 * @template {{action_id: string, decided_at?: string}} Action
 * @param {Action[]} actions
 * @param {Action} changed
 * @returns {Action[]}
 */
export function withChanged(actions, changed) {
  const others = actions.filter((action) => action.action_id !== changed.action_id);
  const all = [...others, changed];
  return all.sort((left, right) => (right.decided_at ?? "").localeCompare(left.decided_at ?? ""));
}

/**
 * What to tell somebody whose change was refused.
 * @param {{status: number, code: string, message: string, state?: string|null}} error
 */
export function refusalInWords(error) {
  if (error.status === 401)
    return "The action token is missing or wrong. Open the address that the engine printed, or enter the token.";
  if (error.status === 403) return `Changes are switched off: ${error.message}`;
  if (error.status === 409) return `Somebody was quicker: the action is ${error.state ?? "in another state"} by now.`;
  if (error.status === 410) return "The action has expired.";
  if (error.status === 404) return "There is no such action any more.";
  if (error.status === 0) return "The engine does not answer. Nothing was changed that we know of; try again.";
  return `Not done: ${error.message}`;
}
