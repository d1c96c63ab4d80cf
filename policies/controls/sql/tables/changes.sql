-- What happened to the gateways: starts, stops, policies, outages of evidence.
SELECT gateway, log_index, "at", actor, what, before, after, digest
FROM changes
WHERE "at" >= TIMESTAMPTZ '1970-01-01 00:00:00+00' AND "at" < TIMESTAMPTZ '2200-01-01 00:00:00+00'
ORDER BY gateway, log_index;
