-- Evidence: sessions that opened over TLS.
-- Exceptions: sessions that opened without TLS.
SELECT count(*) FILTER (WHERE tls) AS evidence, count(*) FILTER (WHERE NOT tls) AS exceptions
FROM sessions
WHERE event = 'opened' AND "at" >= TIMESTAMPTZ '1970-01-01 00:00:00+00' AND "at" < TIMESTAMPTZ '2200-01-01 00:00:00+00';
