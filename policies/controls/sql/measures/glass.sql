-- Evidence: statements that were let run by a reason that their session stated, past what policy allows or holds; each once, a Parse apart.
-- Exceptions: those without a reason on record.
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
SELECT count(*) AS evidence, count(*) FILTER (WHERE reason IS NULL OR reason = '') AS exceptions
FROM counted
WHERE verdict = 'break-glass' AND phase <> 'prepare' AND outcome <> 'skipped' AND decided_at >= TIMESTAMPTZ '1970-01-01 00:00:00+00' AND decided_at < TIMESTAMPTZ '2200-01-01 00:00:00+00';
