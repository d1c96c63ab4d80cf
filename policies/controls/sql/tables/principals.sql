-- What each principal did.
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
  count(*) AS statement_count,
  count(*) FILTER (WHERE verdict = 'allow') AS allowed,
  count(*) FILTER (WHERE verdict = 'break-glass') AS glass_broken,
  count(*) FILTER (WHERE verdict = 'hold') AS held,
  count(*) FILTER (WHERE verdict = 'deny') AS refused,
  count(*) FILTER (WHERE probes IS NOT NULL) AS probing
FROM counted
WHERE decided_at >= TIMESTAMPTZ '1970-01-01 00:00:00+00' AND decided_at < TIMESTAMPTZ '2200-01-01 00:00:00+00'
GROUP BY principal, on_behalf_of
ORDER BY principal NULLS LAST, on_behalf_of NULLS LAST;
