-- Decisions by the rules that determined them.
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
  SELECT rules, verdict, count(*) AS decision_count
  FROM counted
  WHERE decided_at >= TIMESTAMPTZ '1970-01-01 00:00:00+00' AND decided_at < TIMESTAMPTZ '2200-01-01 00:00:00+00'
  GROUP BY rules, verdict
), named AS (
  SELECT unnest(rules) AS rule, verdict, decision_count FROM decided
)
SELECT
  rule,
  CAST(sum(decision_count) AS BIGINT) AS decisions,
  CAST(sum(CASE WHEN verdict = 'allow' THEN decision_count ELSE 0 END) AS BIGINT) AS allowed,
  CAST(sum(CASE WHEN verdict = 'break-glass' THEN decision_count ELSE 0 END) AS BIGINT) AS glass_broken,
  CAST(sum(CASE WHEN verdict = 'hold' THEN decision_count ELSE 0 END) AS BIGINT) AS held,
  CAST(sum(CASE WHEN verdict = 'deny' THEN decision_count ELSE 0 END) AS BIGINT) AS refused
FROM named
WHERE rule IS NOT NULL
GROUP BY rule
ORDER BY rule;
