-- Evidence: rows of all datasets, of the whole store whatever the period: each is a leaf of its gateway's signed tree.
-- Exceptions: log_index values of the store that no row has.
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
), gateways AS (
  SELECT max(newest) AS newest, sum(leaf_count) AS leaf_count FROM leaves GROUP BY gateway
)
SELECT
  CAST(coalesce(sum(leaf_count), 0) AS BIGINT) AS evidence,
  CAST(coalesce(sum(newest + 1 - leaf_count), 0) AS BIGINT) AS exceptions
FROM gateways;
