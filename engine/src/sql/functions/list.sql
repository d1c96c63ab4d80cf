-- One line for each function of the server's own and of installed extensions, tabs between:
-- owner (an extension's name, or empty) . schema if not pg_catalog . name, argument types, required arguments, result, volatility, kind, columns of OUT arguments.
SELECT pg_catalog.concat_ws(E'\t',
    CASE WHEN e.extname IS NOT NULL THEN e.extname || ':' || p.proname
         WHEN n.nspname = 'pg_catalog' THEN p.proname::text ELSE n.nspname || '.' || p.proname END,
    '(' || COALESCE((SELECT pg_catalog.string_agg(CASE WHEN p.provariadic <> 0 AND a.place = p.pronargs THEN '*' ELSE '' END
        || CASE WHEN a.place > p.pronargs - p.pronargdefaults THEN '=' ELSE '' END || t.typname, ',' ORDER BY a.place)
      FROM pg_catalog.unnest(p.proargtypes::oid[]) WITH ORDINALITY AS a(type, place) JOIN pg_catalog.pg_type AS t ON t.oid = a.type), '') || ')',
    CASE WHEN p.proretset THEN '+' ELSE '' END || r.typname,
    p.provolatile::text || p.prokind::text,
    (SELECT pg_catalog.string_agg(m.name, ',' ORDER BY m.place)
      FROM ROWS FROM (pg_catalog.unnest(p.proargnames), pg_catalog.unnest(p.proargmodes)) WITH ORDINALITY AS m(name, mode, place) WHERE m.mode IN ('o', 'b', 't')))
FROM pg_catalog.pg_proc AS p
  JOIN pg_catalog.pg_namespace AS n ON n.oid = p.pronamespace
  JOIN pg_catalog.pg_type AS r ON r.oid = p.prorettype
  LEFT JOIN pg_catalog.pg_depend AS d ON d.classid = 'pg_catalog.pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e'
  LEFT JOIN pg_catalog.pg_extension AS e ON e.oid = d.refobjid
WHERE p.prolang <> 0 AND (e.extname IS NOT NULL OR n.nspname IN ('pg_catalog', 'information_schema'))
ORDER BY 1
