-- Statements held for approval: who asked, why, how it ended, and by which approval; the first 10,000.
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
SELECT gateway, log_index, decided_at, principal, on_behalf_of, reason, outcome, approval_id
FROM counted
WHERE verdict = 'hold' AND decided_at >= TIMESTAMPTZ '1970-01-01 00:00:00+00' AND decided_at < TIMESTAMPTZ '2200-01-01 00:00:00+00'
ORDER BY gateway, log_index
LIMIT 10000;
