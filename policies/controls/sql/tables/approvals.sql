-- What people were asked and what became of it, by approval; the first 10,000.
SELECT
  approval_id,
  min(requested_at) AS asked_at,
  min(requester) AS requester,
  min(on_behalf_of) AS person,
  min(target) AS target,
  min(array_to_string(needs, ', ')) AS needed,
  count(DISTINCT CASE WHEN event = 'approved' THEN actor END) AS approvers,
  count(DISTINCT CASE WHEN event = 'refused' THEN actor END) AS refusers,
  count(*) FILTER (WHERE event IN ('approved', 'refused') AND (actor = requester OR actor = on_behalf_of)) AS own_votes,
  count(*) FILTER (WHERE event = 'used') AS used,
  count(*) FILTER (WHERE event = 'expired') AS expired,
  count(*) FILTER (WHERE event = 'withdrawn') AS withdrawn
FROM approvals
WHERE requested_at >= TIMESTAMPTZ '1970-01-01 00:00:00+00' AND requested_at < TIMESTAMPTZ '2200-01-01 00:00:00+00'
GROUP BY approval_id
ORDER BY approval_id
LIMIT 10000;
