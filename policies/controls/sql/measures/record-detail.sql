-- Evidence: statements recorded with their kind, tables, columns, rules and the facts that decided them.
-- Exceptions: statements that could not be read, and are recorded without these.
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
  count(*) FILTER (WHERE kind IS NOT NULL AND facts_digest IS NOT NULL) AS evidence,
  count(*) FILTER (WHERE kind IS NULL OR facts_digest IS NULL) AS exceptions
FROM counted
WHERE verdict IS NOT NULL AND decided_at >= TIMESTAMPTZ '1970-01-01 00:00:00+00' AND decided_at < TIMESTAMPTZ '2200-01-01 00:00:00+00';
