-- Refused statements by reason.
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
  coalesce(reason, 'no reason recorded') AS reason,
  count(*) AS refused,
  count(DISTINCT principal) AS principals
FROM counted
WHERE verdict = 'deny' AND decided_at >= TIMESTAMPTZ '1970-01-01 00:00:00+00' AND decided_at < TIMESTAMPTZ '2200-01-01 00:00:00+00'
GROUP BY coalesce(reason, 'no reason recorded')
ORDER BY refused DESC, reason;
