-- Evidence: statements that policy decided before they went on.
-- Exceptions: ends of statements whose decision is not known.
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
  count(*) FILTER (WHERE verdict IS NOT NULL) AS evidence,
  count(*) FILTER (WHERE verdict IS NULL) AS exceptions
FROM counted
WHERE coalesce(decided_at, ended_at) >= TIMESTAMPTZ '1970-01-01 00:00:00+00' AND coalesce(decided_at, ended_at) < TIMESTAMPTZ '2200-01-01 00:00:00+00';
