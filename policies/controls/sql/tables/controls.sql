-- Decisions and masked columns by the controls that rules name with `satisfies`.
WITH counted AS (
  SELECT * FROM statements WHERE outcome <> 'open'
  UNION ALL
  SELECT * FROM statements AS opened
  WHERE outcome = 'open'
    AND NOT EXISTS (
      SELECT 1 FROM statements AS ending
      WHERE ending.gateway = opened.gateway AND ending.ends_log_index = opened.log_index
    )
), decided AS (
  SELECT controls, verdict, count(*) AS decision_count
  FROM counted
  WHERE decided_at >= TIMESTAMPTZ '1970-01-01 00:00:00+00' AND decided_at < TIMESTAMPTZ '2200-01-01 00:00:00+00'
  GROUP BY controls, verdict
), masked AS (
  SELECT controls, count(*) AS masking_count FROM maskings WHERE decided_at >= TIMESTAMPTZ '1970-01-01 00:00:00+00' AND decided_at < TIMESTAMPTZ '2200-01-01 00:00:00+00' GROUP BY controls
), named AS (
  SELECT unnest(controls) AS control, verdict, decision_count, CAST(0 AS BIGINT) AS masking_count FROM decided
  UNION ALL
  SELECT unnest(controls) AS control, NULL AS verdict, CAST(0 AS BIGINT) AS decision_count, masking_count FROM masked
)
SELECT
  control,
  CAST(sum(decision_count) AS BIGINT) AS decisions,
  CAST(sum(CASE WHEN verdict = 'deny' THEN decision_count ELSE 0 END) AS BIGINT) AS refused,
  CAST(sum(CASE WHEN verdict = 'hold' THEN decision_count ELSE 0 END) AS BIGINT) AS held,
  CAST(sum(masking_count) AS BIGINT) AS masked_columns
FROM named
WHERE control IS NOT NULL
GROUP BY control
ORDER BY control;
