-- Evidence: statements refused, cut by a limit, looking up a masked value or breaking glass, and logins refused.
-- Exceptions: statements whose outcome is not known.
WITH counted AS (
  SELECT * FROM statements WHERE outcome <> 'open'
  UNION ALL
  SELECT * FROM statements AS opened
  WHERE outcome = 'open'
    AND NOT EXISTS (
      SELECT 1 FROM statements AS ending
      WHERE ending.gateway = opened.gateway AND ending.ends_log_index = opened.log_index
    )
), events AS (
  SELECT
    verdict IN ('deny', 'break-glass') OR outcome = 'cut' OR probes IS NOT NULL AS is_event,
    outcome = 'unknown' AS is_unknown
  FROM counted
  WHERE decided_at >= TIMESTAMPTZ '1970-01-01 00:00:00+00' AND decided_at < TIMESTAMPTZ '2200-01-01 00:00:00+00'
  UNION ALL
  SELECT true AS is_event, false AS is_unknown FROM sessions WHERE event = 'refused' AND "at" >= TIMESTAMPTZ '1970-01-01 00:00:00+00' AND "at" < TIMESTAMPTZ '2200-01-01 00:00:00+00'
)
SELECT count(*) FILTER (WHERE is_event) AS evidence, count(*) FILTER (WHERE is_unknown) AS exceptions
FROM events;
