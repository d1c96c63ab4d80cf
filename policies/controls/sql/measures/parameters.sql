-- Evidence: statements whose bound values are recorded as a keyed digest.
-- Exceptions: none are defined: a statement may have no bound values.
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
SELECT count(*) AS evidence, CAST(NULL AS BIGINT) AS exceptions
FROM counted
WHERE parameters_digest IS NOT NULL AND decided_at >= TIMESTAMPTZ '1970-01-01 00:00:00+00' AND decided_at < TIMESTAMPTZ '2200-01-01 00:00:00+00';
