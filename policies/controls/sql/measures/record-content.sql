-- Evidence: statements recorded with what was asked, when, where, by whom, and how it ended.
-- Exceptions: statements that lack one of these.
WITH counted AS (
  SELECT * FROM statements WHERE outcome <> 'open'
  UNION ALL
  SELECT * FROM statements AS opened
  WHERE outcome = 'open'
    AND NOT EXISTS (
      SELECT 1 FROM statements AS ending
      WHERE ending.gateway = opened.gateway AND ending.ends_log_index = opened.log_index
    )
)
SELECT
  count(*) FILTER (WHERE NOT is_lacking) AS evidence,
  count(*) FILTER (WHERE is_lacking) AS exceptions
FROM (
  SELECT principal IS NULL OR target IS NULL OR session_id IS NULL OR sql_digest IS NULL OR outcome = 'unknown' AS is_lacking
  FROM counted
  WHERE coalesce(decided_at, ended_at) >= TIMESTAMPTZ '1970-01-01 00:00:00+00' AND coalesce(decided_at, ended_at) < TIMESTAMPTZ '2200-01-01 00:00:00+00'
) AS recorded;
