/** The Pulse: what is happening now. */

import { get } from "../api.js";
import { scatterChart } from "../chart/scatter.js";
import { byId, setText } from "../dom.js";
import { coverageInWords } from "../lib/coverage.js";
import { millisOf } from "../lib/format.js";
import { startPage } from "../shell/page.js";
import { actionStore } from "./action_store.js";
import { decisionList } from "./decisions.js";
import { doomscrollPanel } from "./doomscroll.js";
import { followMostViewed, joined } from "./most_viewed.js";
import { showDecisionTile, showPulseTiles } from "./tiles.js";
import { trendingTable } from "./trending.js";
import { openVideo, videoInAddress } from "./video_dialog.js";

/** The queue is asked as a whole now and then: an event that was missed is made good. */
const QUEUE_EVERY_MS = 5_000;

const store = actionStore();
let asOfMs = Date.now();
let pulse = null;
let trending = null;
let mostViewed = [];
let decisions = {};

const now = () => asOfMs;
const doomscroll = doomscrollPanel();
const scatter = scatterChart(byId("scatter"), { height: 470, onPick: openVideo });
const table = trendingTable({ store, onPick: openVideo, now, onShown: trendingShown });
decisionList({ store, onPick: openVideo, now });
store.listen((actions) => showDecisionTile(decisions, actions));

function showScatter() {
  if (trending === null) return;
  const thresholds = pulse?.thresholds ?? { velocity_p90: null, completion: 0.55 };
  // With a filter, only what the table shows: the most viewed are of all categories and regions.
  const videos = table.isFiltered() ? trending.videos : joined(trending.videos, mostViewed);
  scatter.show({ videos, thresholds });
}

function trendingShown(shown) {
  trending = shown;
  const words = coverageInWords(shown.coverage, millisOf(shown.minute));
  const notice = byId("coverage");
  notice.hidden = words === "";
  setText(notice, words);
  showScatter();
}

function pulseCame(data) {
  pulse = data;
  showPulseTiles(data);
  doomscroll.show(data.doomscroll);
  showScatter();
}

function queueCame(data) {
  decisions = data;
  store.replace(data.actions);
}

const handlers = { pulse: pulseCame, trending: table.came, decision: store.put, queue: queueCame };

startPage({
  sources: { pulse: () => "pulse", trending: () => "trending?limit=50", queue: () => "decisions?limit=200" },
  onEvent(event, data) {
    asOfMs = millisOf(data?.as_of) ?? asOfMs;
    handlers[event]?.(data);
  },
});

followMostViewed((videos) => {
  mostViewed = videos;
  showScatter();
});

const asked = videoInAddress();
if (asked !== null) openVideo(asked);

async function askQueue() {
  try {
    queueCame(await get("decisions?limit=200"));
  } catch {
    // The connection's lamp tells; the list stays as it was.
  }
}
askQueue();
setInterval(askQueue, QUEUE_EVERY_MS);
