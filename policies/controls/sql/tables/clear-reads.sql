-- Who was allowed statements over columns that are masked for others, without a mask on them. A column that was masked for nobody in the period is not known here.
WITH counted AS (
  SELECT * FROM statements WHERE outcome <> 'open'
  UNION ALL
  SELECT * FROM statements AS opened
  WHERE outcome = 'open'
    AND NOT EXISTS (
      SELECT 1 FROM statements AS ending
      WHERE ending.gateway = opened.gateway AND ending.ends_log_index = opened.log_index
    )
), classed AS (
  SELECT DISTINCT class, source_column
  FROM (SELECT class, unnest(source_columns) AS source_column FROM maskings WHERE decided_at >= TIMESTAMPTZ '1970-01-01 00:00:00+00' AND decided_at < TIMESTAMPTZ '2200-01-01 00:00:00+00') AS sources
), touching AS (
  SELECT gateway, log_index, principal, kind, unnest(columns) AS source_column
  FROM counted
  WHERE verdict IN ('allow', 'break-glass') AND decided_at >= TIMESTAMPTZ '1970-01-01 00:00:00+00' AND decided_at < TIMESTAMPTZ '2200-01-01 00:00:00+00'
), masked AS (
  SELECT DISTINCT gateway, statement_log_index, source_column
  FROM (SELECT gateway, statement_log_index, unnest(source_columns) AS source_column FROM maskings) AS sources
)
SELECT
  touching.principal,
  classed.class,
  touching.source_column,
  touching.kind,
  count(*) AS statement_count
FROM touching
JOIN classed ON classed.source_column = touching.source_column
LEFT JOIN masked
  ON masked.gateway = touching.gateway
  AND masked.statement_log_index = touching.log_index
  AND masked.source_column = touching.source_column
WHERE masked.source_column IS NULL
GROUP BY touching.principal, classed.class, touching.source_column, touching.kind
ORDER BY touching.principal NULLS LAST, classed.class, touching.source_column, touching.kind;
