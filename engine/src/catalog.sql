SET LOCAL jit = off;
WITH fixed AS MATERIALIZED (
  SELECT pg_catalog.set_config('search_path', 'pg_catalog', true) AS search_path
), spaces AS MATERIALIZED (
  SELECT oid, nspname, oid >= 16384 OR nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast') AS of_users
  FROM pg_catalog.pg_namespace
  WHERE nspname OPERATOR(pg_catalog.!~) '^pg_(toast|temp)'
), classes AS MATERIALIZED (
  SELECT c.oid, c.relname, c.relkind, s.nspname, s.of_users
  FROM fixed CROSS JOIN pg_catalog.pg_class AS c JOIN spaces AS s ON s.oid = c.relnamespace
  WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S', 'c') AND c.relpersistence <> 't'
), constrained AS MATERIALIZED (
  SELECT x.relid, x.attnum FROM (
    SELECT conrelid AS relid, pg_catalog.unnest(conkey) AS attnum FROM pg_catalog.pg_constraint
      WHERE contype IN ('p', 'u', 'f', 'x', 'c') AND conrelid <> 0
    UNION ALL
    SELECT i.indrelid, d.refobjsubid::pg_catalog.int2 FROM pg_catalog.pg_index AS i
      JOIN pg_catalog.pg_depend AS d ON d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objid = i.indexrelid
        AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.refobjid = i.indrelid AND d.refobjsubid > 0
      WHERE i.indisunique OR i.indisexclusion
    UNION ALL
    SELECT i.indrelid, pg_catalog.unnest(i.indkey) FROM pg_catalog.pg_index AS i WHERE i.indisunique OR i.indisexclusion
  ) AS x
), attributes AS MATERIALIZED (
  SELECT a.attrelid,
    pg_catalog.array_agg(a.attnum ORDER BY a.attnum) AS numbers,
    pg_catalog.array_agg(a.attname ORDER BY a.attnum) AS names,
    pg_catalog.array_agg(a.atttypid::pg_catalog.int8 ORDER BY a.attnum) AS types,
    pg_catalog.array_agg(a.attnum ORDER BY a.attnum) FILTER (WHERE a.attnotnull AND c.of_users) AS not_null,
    pg_catalog.array_agg(a.attnum ORDER BY a.attnum) FILTER (WHERE a.attgenerated <> '') AS generated,
    pg_catalog.array_agg(a.attnum ORDER BY a.attnum) FILTER (WHERE a.attidentity <> '') AS identity,
    pg_catalog.array_agg(a.attnum ORDER BY a.attnum) FILTER (WHERE n.oid IS NOT NULL) AS nondeterministic
  FROM classes AS c
    JOIN pg_catalog.pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
    LEFT JOIN pg_catalog.pg_collation AS n ON n.oid = a.attcollation AND NOT n.collisdeterministic
  WHERE c.relkind <> 'S' OR c.of_users
  GROUP BY a.attrelid
), constrained_columns AS MATERIALIZED (
  SELECT x.relid, pg_catalog.array_agg(DISTINCT x.attnum ORDER BY x.attnum) AS columns FROM (
    SELECT relid, attnum FROM constrained
    UNION ALL
    SELECT a.attrelid, a.attnum FROM pg_catalog.pg_attribute AS a JOIN pg_catalog.pg_type AS t ON t.oid = a.atttypid
      WHERE t.typtype = 'd' AND a.attnum > 0 AND NOT a.attisdropped
  ) AS x
  GROUP BY x.relid
), defaults AS MATERIALIZED (
  -- Constants run nothing, whatever they are: deparsing them is what would take the time.
  SELECT d.adrelid, pg_catalog.json_object_agg(d.adnum, CASE WHEN d.adbin::pg_catalog.text LIKE '{CONST %' THEN 'NULL'
    ELSE pg_catalog.pg_get_expr(d.adbin, d.adrelid) END ORDER BY d.adnum) AS expressions
  FROM classes AS c JOIN pg_catalog.pg_attrdef AS d ON d.adrelid = c.oid
  WHERE c.of_users GROUP BY d.adrelid
), with_functions AS MATERIALIZED (
  -- Functions and operators of the server's own leave no dependency.
  SELECT DISTINCT classid, objid FROM pg_catalog.pg_depend
  WHERE refclassid IN ('pg_catalog.pg_proc'::pg_catalog.regclass, 'pg_catalog.pg_operator'::pg_catalog.regclass)
    AND classid IN ('pg_catalog.pg_constraint'::pg_catalog.regclass, 'pg_catalog.pg_class'::pg_catalog.regclass)
), write_expressions AS MATERIALIZED (
  SELECT x.relid, pg_catalog.array_agg(x.expression ORDER BY x.expression) AS expressions FROM (
    SELECT n.conrelid AS relid, pg_catalog.pg_get_expr(n.conbin, n.conrelid) AS expression
      FROM pg_catalog.pg_constraint AS n JOIN classes AS c ON c.oid = n.conrelid AND c.of_users
        JOIN with_functions AS f ON f.classid = 'pg_catalog.pg_constraint'::pg_catalog.regclass AND f.objid = n.oid
      WHERE n.contype = 'c'
    UNION
    SELECT i.indrelid, pg_catalog.pg_get_indexdef(i.indexrelid, k.place, false)
      FROM pg_catalog.pg_index AS i JOIN classes AS c ON c.oid = i.indrelid AND c.of_users
        JOIN with_functions AS f ON f.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND f.objid = i.indexrelid
        CROSS JOIN LATERAL pg_catalog.generate_series(1, i.indnatts) AS k(place)
      WHERE i.indexprs IS NOT NULL AND i.indkey[k.place - 1] = 0
    UNION
    SELECT i.indrelid, pg_catalog.pg_get_expr(i.indpred, i.indrelid)
      FROM pg_catalog.pg_index AS i JOIN classes AS c ON c.oid = i.indrelid AND c.of_users
        JOIN with_functions AS f ON f.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND f.objid = i.indexrelid
      WHERE i.indpred IS NOT NULL
  ) AS x
  WHERE x.expression IS NOT NULL
  GROUP BY x.relid
), user_casts AS MATERIALIZED (
  SELECT x.oid, x.castsource, x.casttarget FROM pg_catalog.pg_cast AS x JOIN pg_catalog.pg_proc AS p ON p.oid = x.castfunc
  WHERE x.oid >= 16384 AND x.castmethod = 'f' AND NOT (p.prolang IN (12, 13) AND p.provolatile <> 'v')
), domain_checks AS MATERIALIZED (
  SELECT contypid, pg_catalog.json_agg(pg_catalog.pg_get_expr(conbin, 0) ORDER BY oid) FILTER (WHERE conbin IS NOT NULL) AS checks
  FROM pg_catalog.pg_constraint WHERE contypid <> 0 GROUP BY contypid
), foreign_keys AS MATERIALIZED (
  SELECT n.conrelid, pg_catalog.json_agg(pg_catalog.json_build_array(n.confrelid::pg_catalog.int8, n.conkey, n.confkey) ORDER BY n.oid) AS keys
  FROM pg_catalog.pg_constraint AS n WHERE n.contype = 'f' GROUP BY n.conrelid
), unique_keys AS MATERIALIZED (
  SELECT x.indrelid, pg_catalog.json_agg(pg_catalog.to_json((x.indkey::pg_catalog.int2[])[0 : x.indnkeyatts - 1]) ORDER BY x.indexrelid) AS keys
  FROM pg_catalog.pg_index AS x JOIN classes AS c ON c.oid = x.indrelid AND c.of_users
  WHERE x.indisunique AND x.indisvalid AND x.indimmediate AND x.indpred IS NULL AND x.indexprs IS NULL
  GROUP BY x.indrelid
), parents AS MATERIALIZED (
  SELECT inhrelid, pg_catalog.json_agg(inhparent::pg_catalog.int8 ORDER BY inhseqno) AS parents FROM pg_catalog.pg_inherits GROUP BY inhrelid
), triggers AS MATERIALIZED (
  SELECT tgrelid, pg_catalog.json_agg(pg_catalog.json_build_object('n', tgname, 'e', tgtype) ORDER BY tgname) AS triggers
  FROM pg_catalog.pg_trigger WHERE NOT tgisinternal AND tgenabled <> 'D' GROUP BY tgrelid
), cascades AS MATERIALIZED (
  SELECT confrelid, pg_catalog.json_agg(pg_catalog.json_build_object('o', conrelid::pg_catalog.int8, 'd', confdeltype, 'u', confupdtype) ORDER BY oid) AS cascades
  FROM pg_catalog.pg_constraint WHERE contype = 'f' AND (confdeltype IN ('c', 'n', 'd') OR confupdtype IN ('c', 'n', 'd')) GROUP BY confrelid
), rules AS MATERIALIZED (
  SELECT ev_class, pg_catalog.json_agg(rulename ORDER BY rulename) AS rules
  FROM pg_catalog.pg_rewrite WHERE NOT (rulename = '_RETURN' AND ev_type = '1') GROUP BY ev_class
)
SELECT pg_catalog.json_build_object(
  'server_version_num', pg_catalog.current_setting('server_version_num')::pg_catalog.int4,
  'database', pg_catalog.current_database(),
  'schemas', (SELECT pg_catalog.json_agg(nspname ORDER BY nspname) FROM spaces),
  'relations', (SELECT pg_catalog.json_agg(pg_catalog.json_build_object(
      'o', c.oid::pg_catalog.int8, 's', c.nspname, 'r', c.relname, 'k', c.relkind,
      'q', CASE WHEN a.attrelid IS NOT NULL THEN pg_catalog.json_build_object('n', a.numbers, 'a', a.names, 't', a.types, 'nn', a.not_null, 'g', a.generated,
        'i', a.identity, 'x', a.nondeterministic, 'c', CASE WHEN c.of_users THEN k.columns END, 'd', d.expressions) END,
      'w', w.expressions, 'f', f.keys,
      'u', u.keys, 'p', p.parents,
      'v', CASE WHEN c.of_users AND c.relkind IN ('v', 'm') THEN pg_catalog.pg_get_viewdef(c.oid) END,
      'tg', t.triggers, 'cs', x.cascades, 'rl', r.rules)
      ORDER BY c.oid)
    FROM classes AS c
      LEFT JOIN attributes AS a ON a.attrelid = c.oid
      LEFT JOIN constrained_columns AS k ON k.relid = c.oid
      LEFT JOIN defaults AS d ON d.adrelid = c.oid
      LEFT JOIN write_expressions AS w ON w.relid = c.oid
      LEFT JOIN foreign_keys AS f ON f.conrelid = c.oid
      LEFT JOIN unique_keys AS u ON u.indrelid = c.oid
      LEFT JOIN parents AS p ON p.inhrelid = c.oid
      LEFT JOIN triggers AS t ON t.tgrelid = c.oid AND c.of_users
      LEFT JOIN cascades AS x ON x.confrelid = c.oid
      LEFT JOIN rules AS r ON r.ev_class = c.oid AND c.of_users),
  'functions', (SELECT COALESCE(pg_catalog.json_agg(DISTINCT pg_catalog.jsonb_build_array(s.nspname, p.proname)), '[]'::pg_catalog.json)
    FROM pg_catalog.pg_proc AS p JOIN spaces AS s ON s.oid = p.pronamespace WHERE s.of_users OR p.oid >= 16384),
  'operators', (SELECT COALESCE(pg_catalog.json_agg(DISTINCT pg_catalog.jsonb_build_array(s.nspname, o.oprname)), '[]'::pg_catalog.json)
    FROM pg_catalog.pg_operator AS o JOIN spaces AS s ON s.oid = o.oprnamespace LEFT JOIN pg_catalog.pg_proc AS p ON p.oid = o.oprcode
    -- Compiled code that only computes is as trusted as the server: only a superuser installs it (citext, hstore, pg_trgm).
    WHERE (s.of_users OR o.oid >= 16384) AND (p.oid IS NULL OR NOT (p.prolang IN (12, 13) AND p.provolatile <> 'v'))),
  'types', (SELECT COALESCE(pg_catalog.json_agg(pg_catalog.json_build_array(t.oid::pg_catalog.int8, s.nspname, t.typname,
        CASE WHEN t.typtype = 'b' AND t.typelem <> 0 AND t.typlen = -1 THEN 'a' ELSE t.typtype::pg_catalog.text END,
        (CASE WHEN t.typtype = 'd' THEN t.typbasetype ELSE t.typelem END)::pg_catalog.int8, t.typrelid::pg_catalog.int8,
        t.typtype = 'd' AND (t.typnotnull OR x.contypid IS NOT NULL), x.checks) ORDER BY t.oid), '[]'::pg_catalog.json)
    FROM pg_catalog.pg_type AS t JOIN spaces AS s ON s.oid = t.typnamespace LEFT JOIN domain_checks AS x ON x.contypid = t.oid
    WHERE s.of_users OR t.oid >= 16384),
  'user_casts', (SELECT pg_catalog.count(*) FROM user_casts),
  'casts', (SELECT COALESCE(pg_catalog.json_agg(pg_catalog.json_build_array(castsource::pg_catalog.int8, casttarget::pg_catalog.int8) ORDER BY oid), '[]'::pg_catalog.json)
    FROM user_casts),
  'builtins', (SELECT pg_catalog.json_agg(DISTINCT proname) FROM pg_catalog.pg_proc
    WHERE pronamespace = 'pg_catalog'::pg_catalog.regnamespace AND oid < 16384 AND pronargs >= 1 AND pronargs - pronargdefaults <= 1)
)::pg_catalog.text
