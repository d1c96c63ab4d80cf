-- Statements as events, with the session that they came from, in order.
WITH counted AS (
  SELECT * FROM statements WHERE outcome <> 'open'
  UNION ALL
  SELECT * FROM statements AS opened
  WHERE outcome = 'open'
    AND NOT EXISTS (
      SELECT 1 FROM statements AS ending
      WHERE ending.gateway = opened.gateway AND ending.ends_log_index = opened.log_index
    )
), opened AS (
  SELECT gateway, session_id, min(principal_kind) AS principal_kind, min(client_addr) AS client_addr, min(application) AS application, min(database) AS database_name
  FROM sessions
  WHERE event = 'opened'
  GROUP BY gateway, session_id
), masked AS (
  SELECT gateway, statement_log_index, count(*) AS masked_columns
  FROM maskings
  WHERE decided_at >= TIMESTAMPTZ '1970-01-01 00:00:00+00' AND decided_at < TIMESTAMPTZ '2200-01-01 00:00:00+00'
  GROUP BY gateway, statement_log_index
)
SELECT
  counted.gateway, log_index, statement_id, counted.session_id, seq, decided_at, ended_at, principal, on_behalf_of, principal_kind,
  client_addr, application, database_name, target, sql, sql_digest, fingerprint, kind, relations, columns, verdict, rules, reason, controls,
  bundle_digest, outcome, rows, bytes, duration_us, sqlstate, coalesce(masked_columns, 0) AS masked_columns
FROM counted
LEFT JOIN opened ON opened.gateway = counted.gateway AND opened.session_id = counted.session_id
LEFT JOIN masked ON masked.gateway = counted.gateway AND masked.statement_log_index = counted.log_index
WHERE verdict IS NOT NULL AND decided_at >= TIMESTAMPTZ '1970-01-01 00:00:00+00' AND decided_at < TIMESTAMPTZ '2200-01-01 00:00:00+00'
ORDER BY gateway, log_index;
