-- Statements that change schema, grants or roles, truncate or maintain tables, or break glass: who, what, and how it ended.
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
  principal,
  on_behalf_of,
  kind,
  array_to_string(relations, ', ') AS relation_names,
  verdict,
  outcome,
  count(*) AS statement_count,
  min(decided_at) AS first_at,
  max(decided_at) AS last_at
FROM counted
WHERE (kind IN ('ddl', 'grant', 'truncate', 'maintain', 'replication') OR verdict = 'break-glass') AND decided_at >= TIMESTAMPTZ '1970-01-01 00:00:00+00' AND decided_at < TIMESTAMPTZ '2200-01-01 00:00:00+00'
GROUP BY principal, on_behalf_of, kind, array_to_string(relations, ', '), verdict, outcome
ORDER BY principal NULLS LAST, on_behalf_of NULLS LAST, kind, relation_names NULLS LAST, verdict, outcome;
