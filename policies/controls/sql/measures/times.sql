-- Evidence: statements with the times of their decision and their end.
-- Exceptions: statements that ended before they were decided, by the clock.
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
  count(*) FILTER (WHERE ended_at >= decided_at) AS evidence,
  count(*) FILTER (WHERE ended_at < decided_at) AS exceptions
FROM counted
WHERE ended_at IS NOT NULL AND decided_at >= TIMESTAMPTZ '1970-01-01 00:00:00+00' AND decided_at < TIMESTAMPTZ '2200-01-01 00:00:00+00';
