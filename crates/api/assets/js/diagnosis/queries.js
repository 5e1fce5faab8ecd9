/** The queries of the Diagnosis. Each says where its numbers come from: the batch tables, or what stands in for them. */

import { binOf } from "../lib/duration_bins.js";
import { quoted } from "../lib/sql_rows.js";

/** Which tables there are. */
export const TABLES = "SELECT table_schema, table_name FROM information_schema.tables";

/** The newest window of the real-time table. */
export const NEWEST_WINDOW = "SELECT max(window_start) AS newest FROM gold.rt_video_stats_1min";

/** The first and the last upload that is known. */
export const UPLOAD_SPAN =
  "SELECT min(upload_time) AS first_upload, max(upload_time) AS last_upload FROM dims.dim_videos";

/** Plays of the last 24 hours by category and bin of length. @param {string} since RFC 3339 */
export function completionByBin(since) {
  return `SELECT videos.category, ${binOf("videos.duration_ms")} AS duration_bin,
       sum(stats.play_start) AS play_start, sum(stats.play_finish) AS play_finish
FROM gold.rt_video_stats_1min AS stats
JOIN dims.dim_videos AS videos ON videos.video_id = stats.video_id
WHERE stats.window_start >= TIMESTAMP ${quoted(since)}
  AND videos.category IS NOT NULL AND videos.duration_ms IS NOT NULL
GROUP BY 1, 2
ORDER BY 1, 2`;
}

/** Creators by the period of their first upload and the periods in which they uploaded. @param {"hour"|"day"|"week"} unit */
export function uploadCohorts(unit) {
  return `WITH uploads AS (
    SELECT DISTINCT creator_id, date_trunc('${unit}', upload_time) AS period
    FROM dims.dim_videos
    WHERE creator_id IS NOT NULL AND upload_time IS NOT NULL
), firsts AS (
    SELECT creator_id, min(period) AS cohort FROM uploads GROUP BY 1
)
SELECT firsts.cohort, uploads.period, count(*) AS creators
FROM uploads JOIN firsts ON firsts.creator_id = uploads.creator_id
GROUP BY 1, 2
ORDER BY 1, 2`;
}

/** The newest day of the batch table. */
export const BATCH_DAILY = `SELECT date, video_id, category_at_date AS category, total_watch_time_hrs AS watch_hours,
       completion_rate, unique_viewers, retention_d1
FROM gold.batch_video_daily
WHERE date = (SELECT max(date) FROM gold.batch_video_daily)
ORDER BY total_watch_time_hrs DESC
LIMIT 50`;

/** The same day out of the real-time table, as far as it can tell. @param {string} since RFC 3339 */
export function realTimeDaily(since) {
  return `SELECT stats.video_id, max(videos.category) AS category, sum(stats.impressions) AS impressions,
       sum(stats.play_start) AS play_start, sum(stats.play_finish) AS play_finish,
       sum(stats.watch_time_sum_ms) / 3600000.0 AS watch_hours
FROM gold.rt_video_stats_1min AS stats
LEFT JOIN dims.dim_videos AS videos ON videos.video_id = stats.video_id
WHERE stats.window_start >= TIMESTAMP ${quoted(since)}
GROUP BY stats.video_id
ORDER BY watch_hours DESC
LIMIT 50`;
}
