-- Evidence: principals who opened a session.
-- Exceptions: agents among them that opened one without naming the person behind them.
SELECT
  count(DISTINCT principal) AS evidence,
  count(DISTINCT CASE WHEN principal_kind = 'agent' AND on_behalf_of IS NULL THEN principal END) AS exceptions
FROM sessions
WHERE event = 'opened' AND "at" >= TIMESTAMPTZ '1970-01-01 00:00:00+00' AND "at" < TIMESTAMPTZ '2200-01-01 00:00:00+00';
