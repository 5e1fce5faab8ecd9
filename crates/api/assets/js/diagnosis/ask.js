/** One query of the Diagnosis. */

import { post } from "../api.js";
import { rowsOf } from "../lib/sql_rows.js";

const TIMEOUT_S = 60;
const MAX_ROWS = 5_000;

/** @param {string} sql @returns {Promise<Record<string, any>[]>} */
export async function ask(sql) {
  const answer = await post(
    "sql",
    { sql, format: "json", max_rows: MAX_ROWS, timeout_s: TIMEOUT_S },
    TIMEOUT_S * 1_000 + 5_000,
  );
  return rowsOf(answer);
}
