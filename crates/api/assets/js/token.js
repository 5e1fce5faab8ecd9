/**
 * The action token: taken out of the address once, kept for this tab (`sessionStorage`), and removed from the address bar,
 * so that it is neither in a bookmark nor on a shared screen.
 */

import { takeToken } from "./lib/token_in_hash.js";

const KEY = "pulselake.token";

/** Takes the token out of the address if it is there. Called once, before the first request. */
export function adoptToken() {
  const { token, rest } = takeToken(location.hash);
  if (token === null) return;
  keepToken(token);
  history.replaceState(history.state, "", location.pathname + location.search + rest);
}

/** The token of this tab. @returns {string|null} */
export function currentToken() {
  try {
    return sessionStorage.getItem(KEY);
  } catch {
    // Storage can be switched off: then there is no token.
    return null;
  }
}

/** Keeps a token for this tab; an empty one forgets it. @param {string} token */
export function keepToken(token) {
  try {
    if (token) sessionStorage.setItem(KEY, token);
    else sessionStorage.removeItem(KEY);
  } catch {
    // As above.
  }
}
