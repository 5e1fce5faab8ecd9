/** Answers of POST /api/v1/sql as objects. Pure. */

/**
 * @param {{columns: {name: string}[], rows: unknown[][]}} answer
 * @returns {Record<string, any>[]}
 */
export function rowsOf(answer) {
  const names = answer.columns.map((column) => column.name);
  return answer.rows.map((row) => Object.fromEntries(names.map((name, place) => [name, row[place] ?? null])));
}

/** A text as a literal of SQL. @param {string} text */
export function quoted(text) {
  return `'${String(text).replaceAll("'", "''")}'`;
}
