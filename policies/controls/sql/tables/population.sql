-- What the period holds, by gateway: statements counted once, their indexes, rows of the whole store that retention deleted, and rows that are missing.
WITH counted AS (
  SELECT * FROM statements WHERE outcome <> 'open'
  UNION ALL
  SELECT * FROM statements AS opened
  WHERE outcome = 'open'
    AND NOT EXISTS (
      SELECT 1 FROM statements AS ending
      WHERE ending.gateway = opened.gateway AND ending.ends_log_index = opened.log_index
    )
), stated AS (
  SELECT
    gateway,
    count(*) AS statement_count,
    count(*) FILTER (WHERE outcome = 'open') AS open_count,
    min(log_index) AS first_log_index,
    max(log_index) AS last_log_index,
    min(coalesce(decided_at, ended_at)) AS first_at,
    max(coalesce(decided_at, ended_at)) AS last_at
  FROM counted
  WHERE coalesce(decided_at, ended_at) >= TIMESTAMPTZ '1970-01-01 00:00:00+00' AND coalesce(decided_at, ended_at) < TIMESTAMPTZ '2200-01-01 00:00:00+00'
  GROUP BY gateway
), leaves AS (
  SELECT gateway, max(log_index) AS newest, count(*) AS leaf_count FROM statements GROUP BY gateway
  UNION ALL
  SELECT gateway, max(log_index) AS newest, count(*) AS leaf_count FROM maskings GROUP BY gateway
  UNION ALL
  SELECT gateway, max(log_index) AS newest, count(*) AS leaf_count FROM sessions GROUP BY gateway
  UNION ALL
  SELECT gateway, max(log_index) AS newest, count(*) AS leaf_count FROM changes GROUP BY gateway
  UNION ALL
  SELECT gateway, max(log_index) AS newest, count(*) AS leaf_count FROM approvals GROUP BY gateway
  UNION ALL
  SELECT gateway, max(log_index) AS newest, count(*) AS leaf_count FROM recordings GROUP BY gateway
), there AS (
  SELECT gateway, log_index FROM statements
  UNION ALL
  SELECT gateway, log_index FROM maskings
  UNION ALL
  SELECT gateway, log_index FROM sessions
  UNION ALL
  SELECT gateway, log_index FROM approvals
  UNION ALL
  SELECT gateway, log_index FROM recordings
), announced AS (
  SELECT DISTINCT
    gateway,
    CAST(split_part("after", ' ', 1) AS BIGINT) AS row_count,
    CAST(split_part(split_part("after", 'log_index ', 2), ' ', 1) AS BIGINT) AS first_index
  FROM changes
  WHERE what = 'evidence-deleted'
), deleted AS (
  SELECT announced.gateway, CAST(sum(row_count) AS BIGINT) AS deleted_rows
  FROM announced
  LEFT JOIN there ON there.gateway = announced.gateway AND there.log_index = announced.first_index
  WHERE there.log_index IS NULL
  GROUP BY announced.gateway
), gateways AS (
  SELECT gateway, max(newest) + 1 AS tree_size, CAST(sum(leaf_count) AS BIGINT) AS leaf_count FROM leaves GROUP BY gateway
)
SELECT
  gateways.gateway,
  coalesce(statement_count, 0) AS statement_count,
  coalesce(open_count, 0) AS open_count,
  first_log_index,
  last_log_index,
  first_at,
  last_at,
  tree_size,
  coalesce(deleted_rows, 0) AS deleted_rows,
  tree_size - leaf_count - coalesce(deleted_rows, 0) AS missing_rows
FROM gateways
LEFT JOIN stated ON stated.gateway = gateways.gateway
LEFT JOIN deleted ON deleted.gateway = gateways.gateway
ORDER BY gateways.gateway;
