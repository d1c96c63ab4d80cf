-- Evidence: sessions whose end is recorded.
-- Exceptions: none are defined: a session may outlive the period.
SELECT count(*) AS evidence, CAST(NULL AS BIGINT) AS exceptions
FROM sessions
WHERE event = 'closed' AND "at" >= TIMESTAMPTZ '1970-01-01 00:00:00+00' AND "at" < TIMESTAMPTZ '2200-01-01 00:00:00+00';
