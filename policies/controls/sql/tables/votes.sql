-- Who voted on what, with which groups and reason; the first 10,000.
SELECT gateway, log_index, "at", approval_id, event, actor, array_to_string(actor_groups, ', ') AS groups_of_actor, requester, reason
FROM approvals
WHERE event IN ('approved', 'refused') AND "at" >= TIMESTAMPTZ '1970-01-01 00:00:00+00' AND "at" < TIMESTAMPTZ '2200-01-01 00:00:00+00'
ORDER BY gateway, log_index
LIMIT 10000;
