-- One row per category and bin of duration in which something happened that day: what is watched to its end.
--   date             the day (UTC)
--   category         the video's category when the event happened; NULL where it was not known
--   duration_bin     '0-15s', '15-30s', '30-60s', '1-3m', '3m+' by the event's video_duration_ms, each with its lower end;
--                    'unknown' without one
--   videos           different videos
--   impressions, play_start, play_finish, skips   events of that kind, each once
--   watch_time_ms    time watched, over all events
--   completion_rate  play_finish / max(play_start, 1)
--   skip_rate        skips / max(play_start, 1)
{% import "dialect" as d -%}
WITH binned AS (
    SELECT category,
           CASE
               WHEN video_duration_ms IS NULL THEN 'unknown'
               WHEN video_duration_ms < 15000 THEN '0-15s'
               WHEN video_duration_ms < 30000 THEN '15-30s'
               WHEN video_duration_ms < 60000 THEN '30-60s'
               WHEN video_duration_ms < 180000 THEN '1-3m'
               ELSE '3m+'
           END AS duration_bin,
           video_id,
           event_type,
           watch_time_ms
    FROM silver.fact_user_engagement
    WHERE event_timestamp >= {{ d.moment(day_start) }} AND event_timestamp < {{ d.moment(day_end) }}
),
by_video AS (
    SELECT category,
           duration_bin,
           video_id,
           count(CASE WHEN event_type = 'impression' THEN 1 END)  AS impressions,
           count(CASE WHEN event_type = 'play_start' THEN 1 END)  AS play_start,
           count(CASE WHEN event_type = 'play_finish' THEN 1 END) AS play_finish,
           count(CASE WHEN event_type = 'skip' THEN 1 END)        AS skips,
           coalesce(sum(watch_time_ms), 0)                        AS watch_time_ms
    FROM binned
    GROUP BY category, duration_bin, video_id
),
counted AS (
    SELECT category,
           duration_bin,
           count(*)           AS videos,
           sum(impressions)   AS impressions,
           sum(play_start)    AS play_start,
           sum(play_finish)   AS play_finish,
           sum(skips)         AS skips,
           sum(watch_time_ms) AS watch_time_ms
    FROM by_video
    GROUP BY category, duration_bin
)
SELECT {{ d.date(date) }}                                     AS date,
       category,
       duration_bin,
       videos,
       impressions,
       play_start,
       play_finish,
       skips,
       watch_time_ms,
       CAST(play_finish AS double) / greatest(play_start, 1) AS completion_rate,
       CAST(skips AS double) / greatest(play_start, 1)       AS skip_rate
FROM counted
