WITH sides AS (
    SELECT video_id,
           date_trunc('minute', event_timestamp)                  AS window_start,
           count(CASE WHEN event_type = 'impression' THEN 1 END)  AS impressions,
           count(CASE WHEN event_type = 'play_start' THEN 1 END)  AS play_start,
           count(CASE WHEN event_type = 'play_finish' THEN 1 END) AS play_finish,
           count(CASE WHEN event_type = 'like' THEN 1 END)        AS likes,
           count(CASE WHEN event_type = 'share' THEN 1 END)       AS shares,
           count(CASE WHEN event_type = 'skip' THEN 1 END)        AS skips,
           coalesce(sum(watch_time_ms), 0)                        AS watch_time_sum_ms
    FROM silver.fact_user_engagement
    WHERE event_timestamp >= TIMESTAMP '{day_start}' AND event_timestamp < TIMESTAMP '{day_end}' AND {taken_in}
    GROUP BY video_id, date_trunc('minute', event_timestamp)
    UNION ALL
    SELECT video_id,
           window_start,
           -impressions AS impressions,
           -play_start AS play_start,
           -play_finish AS play_finish,
           -likes AS likes,
           -shares AS shares,
           -skips AS skips,
           -watch_time_sum_ms AS watch_time_sum_ms
    FROM gold.rt_video_stats_1min
    WHERE window_start >= TIMESTAMP '{day_start}' AND window_start < TIMESTAMP '{day_end}'
),
differences AS (
    SELECT video_id,
           window_start,
           sum(impressions)       AS impressions,
           sum(play_start)        AS play_start,
           sum(play_finish)       AS play_finish,
           sum(likes)             AS likes,
           sum(shares)            AS shares,
           sum(skips)             AS skips,
           sum(watch_time_sum_ms) AS watch_time_sum_ms
    FROM sides
    GROUP BY video_id, window_start
)
SELECT video_id,
       window_start,
       impressions,
       play_start,
       play_finish,
       likes,
       shares,
       skips,
       watch_time_sum_ms
FROM differences
WHERE impressions <> 0 OR play_start <> 0 OR play_finish <> 0 OR likes <> 0 OR shares <> 0 OR skips <> 0 OR watch_time_sum_ms <> 0
