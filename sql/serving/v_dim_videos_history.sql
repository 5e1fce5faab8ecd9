-- Every version of a video with the time it was valid: [started_at, valid_to), without overlap or gap.
-- The state as of a moment T:  WHERE started_at <= T AND (valid_to > T OR valid_to IS NULL) AND NOT is_deleted
--   started_at  valid_from, but never before that of the version before it: clocks are set back
--   version     1 for the first one
--   valid_to    where the next version begins; NULL for the last one
--   is_current  whether it is the video's present row: the last version, and no deletion
--   is_deleted  whether the video was deleted then
-- Versions follow each other in the source's own order; where that ends, in the order of time and of delivery.
WITH ordered AS (
    SELECT history.*,
           max(valid_from) OVER (
               PARTITION BY video_id
               ORDER BY source_position NULLS FIRST, source_position_minor NULLS FIRST, source_ts_ms, source_offset
               ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
           ) AS started_at,
           row_number() OVER (
               PARTITION BY video_id
               ORDER BY source_position NULLS FIRST, source_position_minor NULLS FIRST, source_ts_ms, source_offset
           ) AS version
    FROM dims.dim_videos_history AS history
)
SELECT ordered.*,
       lead(started_at) OVER versions AS valid_to,
       op <> 'd' AND lead(started_at) OVER versions IS NULL AS is_current,
       op = 'd' AS is_deleted
FROM ordered
WINDOW versions AS (PARTITION BY video_id ORDER BY version)
