/** The trending table with its filters: what the live events say, or, with a filter or another order, what the API is asked. */

import { get } from "../api.js";
import { byId, fill, h, setText } from "../dom.js";
import { count } from "../lib/format.js";
import { keyedRows } from "./keyed_rows.js";
import { MEASURES, trendingRow } from "./trending_row.js";

const LIMIT = 50;
/** Fields of a video by which the table can be narrowed: the page's select, and what it shows for all. */
const FILTERS = { category: "All categories", region: "All regions" };

/**
 * @param {object} options
 * @param {ReturnType<typeof import("./action_store.js").actionStore>} options.store
 * @param {(videoId: string) => void} options.onPick
 * @param {() => number} options.now
 * @param {(trending: object) => void} options.onShown what the table shows now
 */
export function trendingTable({ store, onPick, now, onShown }) {
  const seen = { category: new Set(), region: new Set() };
  const rows = keyedRows(byId("trending-rows"), {
    keyOf: (video) => video.video_id,
    make: () => trendingRow({ onPick, onChanged: store.put, now }),
  });
  let last = null;
  let isAsking = false;
  addHead();
  for (const id of ["category", "region", "order"]) byId(id).addEventListener("change", () => ask());

  /** Path of what the table wants to show. */
  function path() {
    const wanted = new URLSearchParams({ limit: String(LIMIT) });
    for (const id of ["category", "region", "order"]) {
      const value = byId(id).value;
      if (value !== "" && value !== "velocity") wanted.set(id, value);
    }
    return `trending?${wanted}`;
  }

  /** Whether the table shows something else than the live events. */
  const isFiltered = () => path() !== `trending?limit=${LIMIT}`;

  /** Asks the API for what the filters say; one question at a time. */
  async function ask() {
    if (isAsking) return;
    isAsking = true;
    const asked = path();
    try {
      const answer = await get(asked);
      if (asked === path()) show(answer);
    } catch (error) {
      setText(byId("trending-note"), `The filter got no answer: ${error.message}.`);
    } finally {
      isAsking = false;
    }
    if (asked !== path()) ask();
  }

  function show(trending) {
    last = trending;
    learn(trending.videos);
    const videos = trending.videos.map((video) => ({ ...video, action: withVideo(store.newest(video.action), video) }));
    const { isHeld } = rows.show(videos);
    setText(byId("trending-note"), note(videos.length, isHeld));
    byId("trending-empty").hidden = videos.length > 0;
    byId("trending-table").hidden = videos.length === 0;
    onShown(trending);
  }

  function learn(videos) {
    for (const [field, all] of Object.entries(FILTERS)) {
      const before = seen[field].size;
      for (const video of videos) if (video[field]) seen[field].add(video[field]);
      if (seen[field].size === before) continue;
      const select = byId(field);
      const chosen = select.value;
      fill(
        select,
        h("option", { value: "" }, all),
        ...[...seen[field]].sort().map((value) => h("option", { value }, value)),
      );
      select.value = chosen;
    }
  }

  store.listen(() => last && show(last));

  return {
    isFiltered,
    /** An event of the live stream, which knows no filter. @param {object} trending */
    came(trending) {
      if (isFiltered()) {
        learn(trending.videos);
        ask();
      } else {
        show(trending);
      }
    },
    /** What polling got for `path()`. */
    show,
  };
}

/** Actions inside of a video don't repeat its id. */
function withVideo(action, video) {
  return action ? { ...action, video_id: video.video_id } : null;
}

function note(shown, isHeld) {
  const many = shown === 1 ? "1 video" : `${count(shown)} videos`;
  return isHeld ? `${many}; the order is held while you work in the table` : many;
}

function addHead() {
  const name = (text, className = "") => h("th", { scope: "col", role: "columnheader", class: className }, text);
  fill(
    byId("trending-head"),
    h(
      "tr",
      { role: "row" },
      name("Rank", "num"),
      name("Video"),
      ...MEASURES.map((one) => name(one.name, one.isNumber ? "num" : "")),
      name("Decision"),
    ),
  );
}
