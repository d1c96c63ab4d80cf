-- Evidence: statements that changed schema, grants or roles, truncated or maintained tables, and were allowed; and those that broke glass.
-- Exceptions: those that an agent ran.
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
SELECT count(*) AS evidence, count(agents.session_id) AS exceptions
FROM counted
LEFT JOIN agents ON agents.gateway = counted.gateway AND agents.session_id = counted.session_id
WHERE ((verdict = 'break-glass' AND phase <> 'prepare' AND outcome <> 'skipped') OR (kind IN ('ddl', 'grant', 'truncate', 'maintain', 'replication') AND verdict = 'allow')) AND decided_at >= TIMESTAMPTZ '1970-01-01 00:00:00+00' AND decided_at < TIMESTAMPTZ '2200-01-01 00:00:00+00';
