WITH RECURSIVE below AS (
  SELECT x.oid FROM unnest('{}'::pg_catalog.oid[]) AS x(oid)
  UNION
  -- What a view's rule depends on.
  SELECT c.oid
  FROM below AS b JOIN pg_catalog.pg_rewrite AS r ON r.ev_class = b.oid
    JOIN pg_catalog.pg_depend AS d ON d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass AND d.objid = r.oid
      AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass
    JOIN pg_catalog.pg_class AS c ON c.oid = d.refobjid AND c.relkind IN ('v', 'm')
), asked AS MATERIALIZED (
  SELECT oid FROM below
)
