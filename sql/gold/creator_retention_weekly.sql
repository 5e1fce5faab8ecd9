-- One row per cohort of creators and week since, up to the week of the day: who goes on uploading.
-- Uploads are those of the videos as they were known at the end of the day; deleted ones don't count.
--   date             the day (UTC)
--   cohort_week      Monday of the week of the creators' first upload
--   week_number      weeks after that one; 0 is itself
--   creators         creators of the cohort
--   active_creators  those of them that uploaded something in that week
--   retention        active_creators / creators
{% import "dialect" as d -%}
WITH uploads AS (
    SELECT creator_id,
           {{ d.monday_of('upload_time') }} AS upload_week
    FROM {{ view('v_dim_videos_history') }} AS version
    WHERE started_at < {{ d.moment(day_end) }} AND (valid_to >= {{ d.moment(day_end) }} OR valid_to IS NULL) AND NOT is_deleted
      AND creator_id <> '' AND upload_time < {{ d.moment(day_end) }}
    GROUP BY creator_id, {{ d.monday_of('upload_time') }}
),
firsts AS (
    SELECT creator_id,
           min(upload_week) AS cohort_week
    FROM uploads
    GROUP BY creator_id
),
cohorts AS (
    SELECT cohort_week,
           count(*) AS creators,
           {{ d.whole(d.days_between('cohort_week', d.monday_of(d.date(date))), 7) }} AS last_week_number
    FROM firsts
    GROUP BY cohort_week
),
active AS (
    SELECT firsts.cohort_week,
           {{ d.whole(d.days_between('firsts.cohort_week', 'uploads.upload_week'), 7) }} AS week_number,
           count(*) AS active_creators
    FROM firsts
    JOIN uploads ON uploads.creator_id = firsts.creator_id
    GROUP BY firsts.cohort_week, {{ d.whole(d.days_between('firsts.cohort_week', 'uploads.upload_week'), 7) }}
),
digits AS (
    SELECT n
    FROM (VALUES (0), (1), (2), (3), (4), (5), (6), (7), (8), (9)) AS digit(n)
),
-- 190 years of weeks: no dialect's series of numbers is another's.
weeks AS (
    SELECT 1000 * thousands.n + 100 * hundreds.n + 10 * tens.n + ones.n AS week_number
    FROM digits AS thousands
    CROSS JOIN digits AS hundreds
    CROSS JOIN digits AS tens
    CROSS JOIN digits AS ones
)
SELECT {{ d.date(date) }}                                              AS date,
       cohorts.cohort_week,
       CAST(weeks.week_number AS integer)                              AS week_number,
       cohorts.creators,
       coalesce(active.active_creators, 0)                             AS active_creators,
       CAST(coalesce(active.active_creators, 0) AS double) / cohorts.creators AS retention
FROM cohorts
JOIN weeks ON weeks.week_number <= cohorts.last_week_number
LEFT JOIN active ON active.cohort_week = cohorts.cohort_week AND active.week_number = weeks.week_number
