-- Evidence: statements that looked a value up in a masked column.
-- Exceptions: hours in which one principal ran more than 20 of them.
WITH counted AS (
  SELECT * FROM statements WHERE outcome <> 'open'
  UNION ALL
  SELECT * FROM statements AS opened
  WHERE outcome = 'open'
    AND NOT EXISTS (
      SELECT 1 FROM statements AS ending
      WHERE ending.gateway = opened.gateway AND ending.ends_log_index = opened.log_index
    )
), hourly AS (
  SELECT principal, date_trunc('hour', decided_at) AS hour, count(*) AS probed
  FROM counted
  WHERE probes IS NOT NULL AND decided_at >= TIMESTAMPTZ '1970-01-01 00:00:00+00' AND decided_at < TIMESTAMPTZ '2200-01-01 00:00:00+00'
  GROUP BY principal, date_trunc('hour', decided_at)
)
SELECT
  CAST(coalesce(sum(probed), 0) AS BIGINT) AS evidence,
  count(*) FILTER (WHERE probed > 20) AS exceptions
FROM hourly;
