-- Evidence: stops of the gateway because evidence could not be written.
-- Exceptions: those that no later start or resumption follows.
WITH resumed AS (
  SELECT gateway, max("at") AS last_at FROM changes WHERE what IN ('audit-resumed', 'start') GROUP BY gateway
)
SELECT count(*) AS evidence, count(*) FILTER (WHERE resumed.gateway IS NULL) AS exceptions
FROM changes
LEFT JOIN resumed ON resumed.gateway = changes.gateway AND resumed.last_at >= changes."at"
WHERE what = 'audit-stopped' AND "at" >= TIMESTAMPTZ '1970-01-01 00:00:00+00' AND "at" < TIMESTAMPTZ '2200-01-01 00:00:00+00';
