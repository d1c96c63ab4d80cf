-- Evidence: approvals that a held statement used.
-- Exceptions: those that nobody but the requester, or the person behind, had approved.
WITH voted AS (
  SELECT DISTINCT approval_id FROM approvals
  WHERE event = 'approved' AND actor <> requester AND (on_behalf_of IS NULL OR actor <> on_behalf_of)
)
SELECT count(*) AS evidence, count(*) FILTER (WHERE voted.approval_id IS NULL) AS exceptions
FROM approvals
LEFT JOIN voted ON voted.approval_id = approvals.approval_id
WHERE event = 'used' AND "at" >= TIMESTAMPTZ '1970-01-01 00:00:00+00' AND "at" < TIMESTAMPTZ '2200-01-01 00:00:00+00';
