-- Who saw which class of data masked, from which columns, how, and how many values.
SELECT
  principal,
  class,
  array_to_string(source_columns, ', ') AS source_column_names,
  transform,
  count(DISTINCT statement_id) AS statement_count,
  CAST(coalesce(sum(values_masked), 0) AS BIGINT) AS masked_values
FROM maskings
WHERE decided_at >= TIMESTAMPTZ '1970-01-01 00:00:00+00' AND decided_at < TIMESTAMPTZ '2200-01-01 00:00:00+00'
GROUP BY principal, class, array_to_string(source_columns, ', '), transform
ORDER BY principal, class, source_column_names, transform;
