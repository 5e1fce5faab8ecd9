/**
 * The most viewed videos, for the scatter: the table holds the fastest ones, all of which may lie above the threshold; beside
 * the most viewed it is seen how far they stand out.
 */

import { get } from "../api.js";

const LIMIT = 150;
const EVERY_MS = 3_000;

/**
 * Asks now and then.
 * @param {(videos: object[]) => void} onVideos
 */
export function followMostViewed(onVideos) {
  const ask = async () => {
    try {
      onVideos((await get(`trending?order=impressions&limit=${LIMIT}`)).videos);
    } catch {
      // The connection's lamp tells; the scatter keeps what it has.
    }
  };
  ask();
  setInterval(ask, EVERY_MS);
}

/**
 * Both lists without doubles; what both have is taken from the first, which is newer.
 * @template {{video_id: string}} Video
 * @param {Video[]} first
 * @param {Video[]} second
 * @returns {Video[]}
 */
export function joined(first, second) {
  const known = new Set(first.map((video) => video.video_id));
  return [...first, ...second.filter((video) => !known.has(video.video_id))];
}
