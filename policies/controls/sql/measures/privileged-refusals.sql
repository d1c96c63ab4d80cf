-- Evidence: statements that would have changed schema, grants or roles, truncated or maintained tables, and were refused.
-- Exceptions: refused ones that completed all the same.
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
  count(*) AS evidence,
  count(*) FILTER (WHERE outcome IN ('completed', 'cut')) AS exceptions
FROM counted
WHERE kind IN ('ddl', 'grant', 'truncate', 'maintain', 'replication') AND verdict = 'deny' AND decided_at >= TIMESTAMPTZ '1970-01-01 00:00:00+00' AND decided_at < TIMESTAMPTZ '2200-01-01 00:00:00+00';
