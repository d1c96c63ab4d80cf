-- View, the transaction that made its definition what it is, its definition behind its length in characters.
SELECT COALESCE(string_agg(concat_ws(' ', x.oid::pg_catalog.int8, x.mark, char_length(x.definition), x.definition), E'\n'), '') FROM (
  SELECT r.ev_class AS oid, r.xmin AS mark, pg_get_viewdef(r.ev_class) AS definition
  FROM asked AS b JOIN pg_catalog.pg_rewrite AS r ON r.ev_class = b.oid
  WHERE r.ev_class >= 16384 AND r.ev_type = '1' AND r.rulename = '_RETURN' OFFSET 0) AS x
WHERE x.definition IS NOT NULL
