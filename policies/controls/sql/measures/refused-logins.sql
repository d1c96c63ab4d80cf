-- Evidence: logins that were refused.
-- Exceptions: refused logins without a reason.
SELECT count(*) AS evidence, count(*) FILTER (WHERE reason IS NULL) AS exceptions
FROM sessions
WHERE event = 'refused' AND "at" >= TIMESTAMPTZ '1970-01-01 00:00:00+00' AND "at" < TIMESTAMPTZ '2200-01-01 00:00:00+00';
