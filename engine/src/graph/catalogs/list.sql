-- One line for each relation of the server's own and of extensions: its name and its columns in order of name. Extensions
-- put theirs into any schema: `*`.
SELECT concat(CASE WHEN n.nspname IN ('pg_catalog', 'information_schema') THEN n.nspname ELSE '*' END, '.', c.relname, E'\t',
    (SELECT string_agg(a.attname, ',' ORDER BY a.attname::text COLLATE "C") FROM pg_attribute AS a
      WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped))
FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f')
  AND (n.nspname IN ('pg_catalog', 'information_schema')
    OR EXISTS (SELECT FROM pg_depend AS d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e'))
  AND n.nspname NOT LIKE 'pg_toast%'
ORDER BY 1;
