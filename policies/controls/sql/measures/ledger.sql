-- Evidence: rows of all datasets, of the whole store whatever the period: each is a leaf of its gateway's signed tree.
-- Exceptions: log_index values of the store that no row has, but for those whose deletion under retention is logged.
WITH leaves AS (
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
), gateways AS (
  SELECT max(newest) AS newest, sum(leaf_count) AS leaf_count FROM leaves GROUP BY gateway
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
  SELECT coalesce(sum(row_count), 0) AS row_count
  FROM announced
  LEFT JOIN there ON there.gateway = announced.gateway AND there.log_index = announced.first_index
  WHERE there.log_index IS NULL
), counted AS (
  SELECT
    coalesce(sum(leaf_count), 0) AS leaf_count,
    coalesce(sum(newest + 1 - leaf_count), 0) AS gap_count
  FROM gateways
)
SELECT
  CAST(counted.leaf_count AS BIGINT) AS evidence,
  CAST(counted.gap_count - deleted.row_count AS BIGINT) AS exceptions
FROM counted CROSS JOIN deleted;
