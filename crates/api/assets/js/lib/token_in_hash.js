/** The action token in an address: `http://…/#token=…`. Pure. */

/**
 * Takes the token out of a location's hash.
 * @param {string} hash with or without its `#`
 * @returns {{token: string|null, rest: string}} the token, and what is left of the hash
 */
export function takeToken(hash) {
  const parts = hash
    .replace(/^#/, "")
    .split("&")
    .filter((part) => part !== "");
  const found = parts.find((part) => part.startsWith("token="));
  const rest = parts.filter((part) => part !== found).join("&");
  const token = found ? decoded(found.slice("token=".length)) : null;
  return { token: token || null, rest: rest ? `#${rest}` : "" };
}

function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    // Not percent-encoded after all.
    return text;
  }
}
