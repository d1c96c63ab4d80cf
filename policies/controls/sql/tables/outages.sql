-- Stops because evidence could not be written, and what followed.
SELECT gateway, log_index, "at", what, after
FROM changes
WHERE what IN ('audit-stopped', 'audit-resumed') AND "at" >= TIMESTAMPTZ '1970-01-01 00:00:00+00' AND "at" < TIMESTAMPTZ '2200-01-01 00:00:00+00'
ORDER BY gateway, log_index;
