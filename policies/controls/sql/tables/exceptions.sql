-- What to look at one by one; the first 10,000.
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
), used AS (
  SELECT DISTINCT approval_id FROM approvals WHERE event = 'used'
), found AS (
  SELECT gateway, log_index, decided_at AS "at", principal, 'refused, and completed' AS exception, reason AS detail
  FROM counted
  WHERE verdict = 'deny' AND outcome IN ('completed', 'cut')
  UNION ALL
  SELECT gateway, log_index, decided_at AS "at", principal, 'held, and ran without an approval' AS exception, reason AS detail
  FROM counted
  LEFT JOIN used ON used.approval_id = counted.approval_id
  WHERE verdict = 'hold' AND outcome IN ('completed', 'failed', 'cut') AND used.approval_id IS NULL
  UNION ALL
  SELECT gateway, log_index, coalesce(decided_at, ended_at) AS "at", principal, 'outcome not known' AS exception, kind AS detail
  FROM counted
  WHERE outcome = 'unknown'
  UNION ALL
  SELECT gateway, log_index, ended_at AS "at", principal, 'decision not known' AS exception, NULL AS detail
  FROM counted
  WHERE verdict IS NULL
  UNION ALL
  SELECT gateway, log_index, decided_at AS "at", principal, 'ended before it was decided' AS exception, kind AS detail
  FROM counted
  WHERE ended_at < decided_at
  UNION ALL
  SELECT gateway, log_index, decided_at AS "at", principal, 'ended by a limit or a check' AS exception, sqlstate AS detail
  FROM counted
  WHERE outcome = 'cut'
  UNION ALL
  SELECT counted.gateway, log_index, decided_at AS "at", principal, 'privileged, by an agent' AS exception, kind AS detail
  FROM counted
  JOIN agents ON agents.gateway = counted.gateway AND agents.session_id = counted.session_id
  WHERE kind IN ('ddl', 'grant', 'truncate', 'maintain', 'replication') AND verdict IN ('allow', 'break-glass')
  UNION ALL
  SELECT gateway, log_index, decided_at AS "at", principal, 'let run by a stated reason' AS exception, reason AS detail
  FROM counted
  WHERE verdict = 'break-glass' AND phase <> 'prepare' AND outcome <> 'skipped'
  UNION ALL
  SELECT gateway, log_index, "at", principal, 'session without TLS' AS exception, client_addr AS detail
  FROM sessions
  WHERE event = 'opened' AND NOT tls
  UNION ALL
  SELECT gateway, log_index, "at", actor AS principal, what AS exception, after AS detail
  FROM changes
  WHERE what IN ('audit-stopped', 'bundle-refused', 'bundle-expired')
)
SELECT gateway, log_index, "at", principal, exception, detail
FROM found
WHERE "at" >= TIMESTAMPTZ '1970-01-01 00:00:00+00' AND "at" < TIMESTAMPTZ '2200-01-01 00:00:00+00'
ORDER BY gateway, log_index, exception
LIMIT 10000;
