-- Evidence: starts of a gateway, from which on everything is recorded.
-- Exceptions: none are defined.
SELECT count(*) AS evidence, CAST(NULL AS BIGINT) AS exceptions
FROM changes
WHERE what = 'start' AND "at" >= TIMESTAMPTZ '1970-01-01 00:00:00+00' AND "at" < TIMESTAMPTZ '2200-01-01 00:00:00+00';
