-- One row per video and minute in which something happened to it: everything that the rules look at, and what they come to.
-- The rules are rules-2, whose numbers stand at the top of the query. Whether there is an action in gold.rt_action_queue hangs on
-- more: an action of the last 60 minutes, the freshness of the data, and what the dimension's row was then; here it is the present one.
--   video_id … skip_rate_30m   as in v_rt_video_metrics_30m_1m
--   category, region, status, duration_ms, upload_time   as in v_dim_videos; NULL for a video that the dimension doesn't know
--   upload_age_s        seconds from upload to window_end
--   is_eligible         whether the rules may decide about the video at all, see v_dim_videos
--   velocity_p90, impressions_p40   thresholds in force on the day of window_end (UTC): those of the newest baseline of the version that
--                       is effective and has not ended; effective_to is the first day on which it does not count any more
--   threshold_origin    cohort (the video's category and region) where it has thresholds of its own, else global, else seed
--   effective_from      day of the baseline that they are from; NULL for the seed
--   rule_version        version of the rules
--   passes_gate         completion_rate_30m >= 0.55 and skip_rate_30m <= 0.35 and play_start_30m >= 30
--   is_candidate        velocity_30m >= velocity_p90 and impressions_30m >= 100
--   is_under_exposed    impressions_30m <= impressions_p40
--   is_new              uploaded at most 60 minutes before window_end
--   running_plays       plays that may still be running: min(play_start - play_finish - skips, plays of the newest minutes), where
--                       these are the video's duration in minutes, rounded up, and one more; 5 at most, or for an unknown duration
--   waits_for_plays     an eligible candidate fails the gate by its completion rate alone, and more than 0.2 of the plays may be
--                       running: no REVIEW yet
--   decision_type       NO_ACTION if not eligible; of a candidate: BOOST if the gate passes, else NO_ACTION if it waits for plays,
--                       else REVIEW; else RESCUE if the gate passes, and it is new and under-exposed; else NO_ACTION
WITH rules AS (
    SELECT 'rules-2'              AS rule_version,
           CAST(0.55 AS double)   AS min_completion_rate,
           CAST(0.35 AS double)   AS max_skip_rate,
           30                     AS min_play_starts,
           100                    AS min_candidate_impressions,
           CAST(0.2 AS double)    AS max_running_share,
           CAST(0.2 AS double)    AS seed_velocity_p90,
           CAST(200 AS double)    AS seed_impressions_p40
),
-- A few days against a few baselines: so the many minutes find theirs by an equality.
days AS (
    SELECT DISTINCT CAST(window_end AS date) AS day
    FROM gold.rt_video_stats_1min
),
published AS (
    SELECT days.day,
           effective_from,
           cohort_category,
           cohort_region,
           max(CASE WHEN metric_name = 'velocity_30m' AND percentile = 90 THEN threshold_value END)    AS velocity_p90,
           max(CASE WHEN metric_name = 'impressions_30m' AND percentile = 40 THEN threshold_value END) AS impressions_p40
    FROM dims.rt_rule_quantile_baselines AS baseline
    JOIN rules ON rules.rule_version = baseline.rule_version
    JOIN days ON effective_from <= days.day AND (effective_to IS NULL OR days.day < effective_to)
    GROUP BY days.day, effective_from, cohort_category, cohort_region
),
complete AS (
    SELECT day,
           effective_from,
           cohort_category,
           cohort_region,
           velocity_p90,
           impressions_p40
    FROM published
    WHERE velocity_p90 IS NOT NULL AND impressions_p40 IS NOT NULL
),
in_force AS (
    SELECT day,
           max(effective_from) AS effective_from
    FROM complete
    WHERE cohort_category IS NULL AND cohort_region IS NULL
    GROUP BY day
),
compared AS (
    SELECT metrics.video_id,
           metrics.metric_minute,
           metrics.window_end,
           metrics.impressions_30m,
           metrics.play_start_30m,
           metrics.play_finish_30m,
           metrics.likes_30m,
           metrics.shares_30m,
           metrics.skips_30m,
           metrics.velocity_30m,
           metrics.completion_rate_30m,
           metrics.skip_rate_30m,
           video.category,
           video.region,
           video.status,
           video.duration_ms,
           video.upload_time,
           coalesce(video.is_eligible, false) AS is_eligible,
           coalesce(cohort.velocity_p90, everybody.velocity_p90, rules.seed_velocity_p90)          AS velocity_p90,
           coalesce(cohort.impressions_p40, everybody.impressions_p40, rules.seed_impressions_p40) AS impressions_p40,
           CASE
               WHEN cohort.effective_from IS NOT NULL THEN 'cohort'
               WHEN everybody.effective_from IS NOT NULL THEN 'global'
               ELSE 'seed'
           END AS threshold_origin,
           everybody.effective_from,
           rules.rule_version,
           rules.min_candidate_impressions,
           rules.max_running_share,
           metrics.completion_rate_30m >= rules.min_completion_rate AS completes,
           metrics.skip_rate_30m <= rules.max_skip_rate             AS stays,
           metrics.play_start_30m >= rules.min_play_starts          AS is_played_enough,
           least(
               greatest(metrics.play_start_30m - metrics.play_finish_30m - metrics.skips_30m, 0),
               CASE
                   WHEN video.duration_ms > 0 AND video.duration_ms <= 60000 THEN metrics.play_start_2m
                   WHEN video.duration_ms > 0 AND video.duration_ms <= 120000 THEN metrics.play_start_3m
                   WHEN video.duration_ms > 0 AND video.duration_ms <= 180000 THEN metrics.play_start_4m
                   ELSE metrics.play_start_5m
               END
           ) AS running_plays
    FROM v_rt_video_metrics_30m_1m AS metrics
    CROSS JOIN rules
    LEFT JOIN v_dim_videos AS video ON video.video_id = metrics.video_id
    LEFT JOIN in_force ON in_force.day = CAST(metrics.window_end AS date)
    LEFT JOIN complete AS everybody
        ON everybody.day = in_force.day AND everybody.effective_from = in_force.effective_from
        AND everybody.cohort_category IS NULL AND everybody.cohort_region IS NULL
    LEFT JOIN complete AS cohort
        ON cohort.day = in_force.day AND cohort.effective_from = in_force.effective_from
        AND cohort.cohort_category = video.category AND cohort.cohort_region = video.region
),
judged AS (
    SELECT compared.*,
           completes AND stays AND is_played_enough                                              AS passes_gate,
           velocity_30m >= velocity_p90 AND impressions_30m >= min_candidate_impressions          AS is_candidate,
           impressions_30m <= impressions_p40                                                     AS is_under_exposed,
           coalesce(upload_time >= window_end - INTERVAL '60' MINUTE, false)                      AS is_new,
           NOT completes AND stays AND is_played_enough
               AND running_plays > max_running_share * play_start_30m                             AS is_immature
    FROM compared
)
SELECT video_id,
       metric_minute,
       window_end,
       impressions_30m,
       play_start_30m,
       play_finish_30m,
       likes_30m,
       shares_30m,
       skips_30m,
       velocity_30m,
       completion_rate_30m,
       skip_rate_30m,
       category,
       region,
       status,
       duration_ms,
       upload_time,
       CAST(date_diff('millisecond', upload_time, window_end) AS double) / 1000 AS upload_age_s,
       is_eligible,
       velocity_p90,
       impressions_p40,
       threshold_origin,
       effective_from,
       rule_version,
       passes_gate,
       is_candidate,
       is_under_exposed,
       is_new,
       running_plays,
       is_eligible AND is_candidate AND is_immature AS waits_for_plays,
       CASE
           WHEN NOT is_eligible THEN 'NO_ACTION'
           WHEN is_candidate AND passes_gate THEN 'BOOST'
           WHEN is_candidate AND is_immature THEN 'NO_ACTION'
           WHEN is_candidate THEN 'REVIEW'
           WHEN passes_gate AND is_new AND is_under_exposed THEN 'RESCUE'
           ELSE 'NO_ACTION'
       END AS decision_type
FROM judged
