-- Evidence: statements of agents, decided.
-- Exceptions: those that were not allowed.
WITH counted AS (
  SELECT * FROM statements WHERE outcome <> 'open'
  UNION ALL
  SELECT * FROM statements AS opened
  WHERE outcome = 'open'
    AND NOT EXISTS (
      SELECT 1 FROM statements AS ending
      WHERE ending.gateway = opened.gateway AND ending.ends_log_index = opened.log_index
    )
), agents AS (
  SELECT DISTINCT gateway, session_id FROM sessions WHERE event = 'opened' AND principal_kind = 'agent'
)
SELECT count(*) AS evidence, count(*) FILTER (WHERE verdict <> 'allow') AS exceptions
FROM counted
JOIN agents ON agents.gateway = counted.gateway AND agents.session_id = counted.session_id
WHERE verdict IS NOT NULL AND decided_at >= TIMESTAMPTZ '1970-01-01 00:00:00+00' AND decided_at < TIMESTAMPTZ '2200-01-01 00:00:00+00';
