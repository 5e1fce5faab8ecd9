/** The engine's HTTP API: every request carries the token if there is one, and every failure is an `ApiError`. */

import { currentToken } from "./token.js";

/** Longest wait for an ordinary answer, milliseconds. */
const PATIENCE_MS = 15_000;

/** A request that was refused or got no answer (status 0). */
export class ApiError extends Error {
  /** @param {{status: number, code: string, message: string, state?: string|null}} what */
  constructor({ status, code, message, state = null }) {
    super(message);
    this.name = "ApiError";
    this.status = status;
    this.code = code;
    this.state = state;
  }
}

/** Headers of every request. @returns {Record<string, string>} */
export function authorization() {
  const token = currentToken();
  return token ? { Authorization: `Bearer ${token}` } : {};
}

/**
 * GET of a path below /api/v1.
 * @param {string} path such as "trending?limit=50"
 * @returns {Promise<any>}
 */
export function get(path) {
  return ask(path, { headers: authorization() }, PATIENCE_MS);
}

/**
 * POST to a path below /api/v1.
 * @param {string} path
 * @param {object} body
 * @param {number} patienceMs
 * @returns {Promise<any>}
 */
export function post(path, body, patienceMs = PATIENCE_MS) {
  const headers = { ...authorization(), "Content-Type": "application/json" };
  return ask(path, { method: "POST", headers, body: JSON.stringify(body) }, patienceMs);
}

async function ask(path, options, patienceMs) {
  let answer;
  try {
    answer = await fetch(`/api/v1/${path}`, { ...options, signal: AbortSignal.timeout(patienceMs) });
  } catch (error) {
    const message =
      error.name === "TimeoutError" ? `no answer within ${patienceMs / 1_000} s` : "the engine does not answer";
    throw new ApiError({ status: 0, code: "no_answer", message });
  }
  const body = await answer.json().catch(() => null);
  if (answer.ok && body !== null) return body;
  const told = body?.error ?? {};
  throw new ApiError({
    status: answer.status,
    code: told.code ?? "unknown",
    message: told.message ?? `the engine answered with status ${answer.status}`,
    state: told.state ?? null,
  });
}
