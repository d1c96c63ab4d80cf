-- Evidence: sessions that opened with a principal who was authenticated.
-- Exceptions: sessions that opened without.
SELECT
  count(*) FILTER (WHERE principal IS NOT NULL AND authentication IS NOT NULL) AS evidence,
  count(*) FILTER (WHERE principal IS NULL OR authentication IS NULL) AS exceptions
FROM sessions
WHERE event = 'opened' AND "at" >= TIMESTAMPTZ '1970-01-01 00:00:00+00' AND "at" < TIMESTAMPTZ '2200-01-01 00:00:00+00';
