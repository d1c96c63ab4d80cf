-- Evidence: policy bundles loaded, refused or expired.
-- Exceptions: bundles that decided statements and whose loading is not recorded.
WITH used AS (
  SELECT DISTINCT bundle_digest FROM statements
  WHERE bundle_digest IS NOT NULL AND decided_at >= TIMESTAMPTZ '1970-01-01 00:00:00+00' AND decided_at < TIMESTAMPTZ '2200-01-01 00:00:00+00'
), loaded AS (
  SELECT DISTINCT digest FROM changes WHERE what = 'bundle-loaded' AND digest IS NOT NULL
), changed AS (
  SELECT count(*) AS evidence FROM changes
  WHERE what IN ('bundle-loaded', 'bundle-refused', 'bundle-expired') AND "at" >= TIMESTAMPTZ '1970-01-01 00:00:00+00' AND "at" < TIMESTAMPTZ '2200-01-01 00:00:00+00'
), unexplained AS (
  SELECT count(*) AS exceptions FROM used LEFT JOIN loaded ON loaded.digest = used.bundle_digest WHERE loaded.digest IS NULL
)
SELECT evidence, exceptions FROM changed CROSS JOIN unexplained;
