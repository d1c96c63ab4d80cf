-- Evidence: columns of results that were masked, one for each statement and column.
-- Exceptions: none are defined: a column in the clear leaves no row here (see the table clear-reads).
SELECT count(*) AS evidence, CAST(NULL AS BIGINT) AS exceptions
FROM maskings
WHERE decided_at >= TIMESTAMPTZ '1970-01-01 00:00:00+00' AND decided_at < TIMESTAMPTZ '2200-01-01 00:00:00+00';
