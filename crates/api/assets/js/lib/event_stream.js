/**
 * Server-sent events out of chunks of text, as the HTML standard defines them. `EventSource` can't send an Authorization
 * header, so the stream is read by fetch, and this takes it apart. Pure but for what it remembers between chunks.
 */

/** Longest unfinished line, characters: a stream that is none must not fill the memory. */
const LONGEST_LINE = 8_000_000;

/**
 * Gives a function that takes a chunk of text and gives the events that are complete with it.
 * @returns {(chunk: string) => {event: string, data: string}[]}
 */
export function eventStreamParser() {
  let rest = "";
  let event = "";
  let data = [];

  function take(line, out) {
    if (line === "") {
      if (data.length > 0) out.push({ event: event || "message", data: data.join("\n") });
      [event, data] = ["", []];
      return;
    }
    const colon = line.indexOf(":");
    // A line that begins with a colon is a comment: the server's sign of life.
    if (colon === 0) return;
    const field = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
    if (field === "event") event = value;
    if (field === "data") data.push(value);
  }

  return (chunk) => {
    const out = [];
    const text = rest + chunk;
    // A carriage return at the end may be half of a line's end.
    const kept = text.endsWith("\r") ? 1 : 0;
    const lines = text.slice(0, text.length - kept).split(/\r\n|\n|\r/);
    rest = lines.pop() + text.slice(text.length - kept);
    if (rest.length > LONGEST_LINE)
      throw new Error(`a line of the event stream has more than ${LONGEST_LINE} characters`);
    for (const line of lines) take(line, out);
    return out;
  };
}
