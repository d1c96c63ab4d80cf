-- Evidence: decided statements that name the policy bundle which decided them.
-- Exceptions: decided statements that name none.
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
  count(*) FILTER (WHERE bundle_digest <> '') AS evidence,
  count(*) FILTER (WHERE bundle_digest IS NULL OR bundle_digest = '') AS exceptions
FROM counted
WHERE verdict IS NOT NULL AND decided_at >= TIMESTAMPTZ '1970-01-01 00:00:00+00' AND decided_at < TIMESTAMPTZ '2200-01-01 00:00:00+00';
