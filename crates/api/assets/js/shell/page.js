/** What every page starts with: token, colours, tips, and the live connection. */

import { startTips } from "../chart/tip.js";
import { byId } from "../dom.js";
import { millisOf } from "../lib/format.js";
import { startLive } from "../live.js";
import { adoptToken } from "../token.js";
import { startConnection } from "./connection.js";
import { startTheme } from "./theme.js";

/**
 * @param {object} options
 * @param {Record<string, () => string>} options.sources as in `startLive`
 * @param {(event: string, data: any) => void} options.onEvent
 */
export function startPage({ sources, onEvent }) {
  adoptToken();
  startTheme(byId("theme"));
  startTips();
  const connection = startConnection();
  startLive({
    sources,
    onChannel: connection.channelIs,
    onEvent(event, data) {
      connection.dataCame(millisOf(data?.as_of));
      onEvent(event, data);
    },
  });
}
