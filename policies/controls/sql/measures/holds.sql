-- Evidence: statements that policy held for somebody's approval.
-- Exceptions: held statements that ran without an approval that was used for them.
WITH counted AS (
  SELECT * FROM statements WHERE outcome <> 'open'
  UNION ALL
  SELECT * FROM statements AS opened
  WHERE outcome = 'open'
    AND NOT EXISTS (
      SELECT 1 FROM statements AS ending
      WHERE ending.gateway = opened.gateway AND ending.ends_log_index = opened.log_index
    )
), used AS (
  SELECT DISTINCT approval_id FROM approvals WHERE event = 'used'
)
SELECT
  count(*) AS evidence,
  count(*) FILTER (WHERE outcome IN ('completed', 'failed', 'cut') AND used.approval_id IS NULL) AS exceptions
FROM counted
LEFT JOIN used ON used.approval_id = counted.approval_id
WHERE verdict = 'hold' AND decided_at >= TIMESTAMPTZ '1970-01-01 00:00:00+00' AND decided_at < TIMESTAMPTZ '2200-01-01 00:00:00+00';
