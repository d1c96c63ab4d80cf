SET LOCAL jit = off;
WITH fixed AS MATERIALIZED (
  SELECT pg_catalog.set_config('search_path', 'pg_catalog', true) AS search_path
), spaces AS MATERIALIZED (
  SELECT oid, nspname, oid >= 16384 OR nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast') AS of_users
  FROM pg_catalog.pg_namespace
  -- Of temporary schemas only this session's own.
  WHERE nspname OPERATOR(pg_catalog.!~) '^pg_(toast|temp)' OR oid = pg_catalog.pg_my_temp_schema()
), classes AS MATERIALIZED (
  SELECT c.oid, c.relname, c.relkind, c.relrowsecurity, c.relforcerowsecurity, s.nspname, s.of_users
  FROM fixed CROSS JOIN pg_catalog.pg_class AS c JOIN spaces AS s ON s.oid = c.relnamespace
  WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S', 'c')
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
    UNION
    -- A row that goes into a partition is tried against the keys of all tables above it.
    SELECT b.relid, pg_catalog.pg_get_expr(p.partexprs, p.partrelid)
      FROM pg_catalog.pg_partitioned_table AS p
        JOIN with_functions AS f ON f.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND f.objid = p.partrelid
        CROSS JOIN LATERAL pg_catalog.pg_partition_tree(p.partrelid) AS b
      WHERE p.partexprs IS NOT NULL
  ) AS x
  WHERE x.expression IS NOT NULL
  GROUP BY x.relid
), functions AS MATERIALIZED (
  SELECT p.oid, p.proname, s.nspname, p.prokind, l.lanname, p.provolatile, p.proisstrict, p.prosecdef, p.proconfig, p.prosrc, p.prorettype, p.proretset,
    p.proargnames, p.proargmodes, p.pronargdefaults, COALESCE(p.proallargtypes, p.proargtypes::pg_catalog.oid[]) AS types,
    -- Compiled code that only computes is as trusted as the server: only a superuser installs it (citext, hstore, pg_trgm).
    p.prolang IN (12, 13) AND p.provolatile <> 'v' AS trusted
  FROM pg_catalog.pg_proc AS p JOIN spaces AS s ON s.oid = p.pronamespace JOIN pg_catalog.pg_language AS l ON l.oid = p.prolang
  WHERE s.of_users OR p.oid >= 16384
), arguments AS MATERIALIZED (
  SELECT f.oid, pg_catalog.json_agg(pg_catalog.json_build_object('n', NULLIF(f.proargnames[a.place], ''), 't', a.type::pg_catalog.int8,
    'm', COALESCE(f.proargmodes[a.place], 'i'),
    'd', CASE WHEN f.pronargdefaults > 0 THEN pg_catalog.pg_get_function_arg_default(f.oid, a.place::pg_catalog.int4) END) ORDER BY a.place) AS arguments
  FROM functions AS f CROSS JOIN LATERAL pg_catalog.unnest(f.types) WITH ORDINALITY AS a(type, place)
  GROUP BY f.oid
), aggregates AS MATERIALIZED (
  SELECT a.aggfnoid::pg_catalog.oid AS oid, x.part
  FROM functions AS f JOIN pg_catalog.pg_aggregate AS a ON a.aggfnoid = f.oid
    CROSS JOIN LATERAL (VALUES (a.aggtransfn::pg_catalog.oid), (a.aggfinalfn), (a.aggcombinefn), (a.aggserialfn), (a.aggdeserialfn),
      (a.aggmtransfn), (a.aggminvtransfn), (a.aggmfinalfn)) AS x(part)
  WHERE x.part <> 0
), operators AS MATERIALIZED (
  SELECT o.oid, s.nspname, o.oprname, o.oprleft, o.oprright, o.oprresult, o.oprcode::pg_catalog.oid AS function, o.oprrest::pg_catalog.oid AS restrict,
    o.oprjoin::pg_catalog.oid AS join_estimator
  FROM pg_catalog.pg_operator AS o JOIN spaces AS s ON s.oid = o.oprnamespace WHERE s.of_users OR o.oid >= 16384
), casts AS MATERIALIZED (
  SELECT oid, castsource, casttarget, castfunc, castcontext FROM pg_catalog.pg_cast WHERE oid >= 16384 AND castmethod = 'f'
), event_triggers AS MATERIALIZED (
  SELECT evtname, evtevent, evtfoid, evttags FROM pg_catalog.pg_event_trigger WHERE evtenabled <> 'D'
), servers AS MATERIALIZED (
  -- What the server brings and users' objects call.
  SELECT p.oid, p.proname FROM pg_catalog.pg_proc AS p
  WHERE p.oid < 16384 AND p.oid IN (SELECT part FROM aggregates UNION ALL SELECT function FROM operators UNION ALL SELECT castfunc FROM casts
    UNION ALL SELECT evtfoid FROM event_triggers UNION ALL SELECT tgfoid FROM pg_catalog.pg_trigger WHERE NOT tgisinternal)
), trusted AS MATERIALIZED (
  SELECT oid FROM functions WHERE trusted
), support AS MATERIALIZED (
  -- Users' functions that the server calls by itself over values of a type: it reads, shows, compares, sorts and hashes them.
  SELECT x.type, pg_catalog.json_agg(DISTINCT x.function::pg_catalog.int8) AS functions FROM (
    SELECT t.oid, u.function FROM pg_catalog.pg_type AS t
      CROSS JOIN LATERAL (VALUES (t.typinput::pg_catalog.oid), (t.typoutput), (t.typreceive), (t.typsend), (t.typmodin), (t.typmodout)) AS u(function)
      WHERE t.oid >= 16384 AND u.function >= 16384
    UNION ALL
    SELECT r.rngtypid, u.function FROM pg_catalog.pg_range AS r
      CROSS JOIN LATERAL (VALUES (r.rngsubdiff::pg_catalog.oid), (r.rngcanonical)) AS u(function)
      WHERE u.function >= 16384
    UNION ALL
    SELECT c.opcintype, a.amproc FROM pg_catalog.pg_opclass AS c JOIN pg_catalog.pg_amproc AS a ON a.amprocfamily = c.opcfamily AND a.amproclefttype = c.opcintype
      WHERE c.oid >= 16384 AND a.amproc >= 16384
    UNION ALL
    SELECT c.opcintype, o.oprcode FROM pg_catalog.pg_opclass AS c JOIN pg_catalog.pg_amop AS a ON a.amopfamily = c.opcfamily AND a.amoplefttype = c.opcintype
      JOIN pg_catalog.pg_operator AS o ON o.oid = a.amopopr
      WHERE c.oid >= 16384 AND o.oprcode >= 16384
  ) AS x(type, function)
  WHERE x.function NOT IN (SELECT oid FROM trusted)
  GROUP BY x.type
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
  SELECT tgrelid, pg_catalog.json_agg(pg_catalog.json_build_object('n', tgname, 'e', tgtype, 'f', tgfoid::pg_catalog.int8,
      'c', NULLIF(pg_catalog.to_json(tgattr::pg_catalog.int2[])::pg_catalog.text, '[]')::pg_catalog.json, 'o', tgoldtable, 't', tgnewtable,
      'd', CASE WHEN tgqual IS NOT NULL THEN pg_catalog.pg_get_triggerdef(oid) END) ORDER BY tgname) AS triggers
  FROM pg_catalog.pg_trigger WHERE NOT tgisinternal AND tgenabled <> 'D' GROUP BY tgrelid
), cascades AS MATERIALIZED (
  SELECT confrelid, pg_catalog.json_agg(pg_catalog.json_build_object('o', conrelid::pg_catalog.int8, 'd', confdeltype, 'u', confupdtype) ORDER BY oid) AS cascades
  FROM pg_catalog.pg_constraint WHERE contype = 'f' AND (confdeltype IN ('c', 'n', 'd') OR confupdtype IN ('c', 'n', 'd')) GROUP BY confrelid
), rules AS MATERIALIZED (
  SELECT ev_class, pg_catalog.json_agg(pg_catalog.json_build_object('n', rulename, 'e', ev_type, 'i', is_instead, 'on', ev_enabled <> 'D',
    'd', pg_catalog.pg_get_ruledef(oid)) ORDER BY rulename) AS rules
  FROM pg_catalog.pg_rewrite WHERE NOT (rulename = '_RETURN' AND ev_type = '1') AND ev_class >= 16384 GROUP BY ev_class
), policies AS MATERIALIZED (
  SELECT polrelid, pg_catalog.json_agg(pg_catalog.json_build_object('n', polname, 'c', polcmd, 'p', polpermissive,
    'r', (SELECT pg_catalog.json_agg(r.rolname ORDER BY r.rolname) FROM pg_catalog.pg_roles AS r WHERE r.oid = ANY (polroles)),
    'u', pg_catalog.pg_get_expr(polqual, polrelid), 'k', pg_catalog.pg_get_expr(polwithcheck, polrelid)) ORDER BY polname) AS policies
  FROM pg_catalog.pg_policy GROUP BY polrelid
), indexes AS MATERIALIZED (
  SELECT i.indrelid, pg_catalog.json_agg(x.relname ORDER BY x.relname) AS names
  FROM pg_catalog.pg_index AS i JOIN classes AS c ON c.oid = i.indrelid AND c.of_users JOIN pg_catalog.pg_class AS x ON x.oid = i.indexrelid
  GROUP BY i.indrelid
)
SELECT pg_catalog.json_build_object(
  'server_version_num', pg_catalog.current_setting('server_version_num')::pg_catalog.int4,
  'database', pg_catalog.current_database(),
  'temp_schema', (SELECT nspname FROM spaces WHERE oid = pg_catalog.pg_my_temp_schema()),
  'schemas', (SELECT pg_catalog.json_agg(nspname ORDER BY nspname) FROM spaces),
  'relations', (SELECT pg_catalog.json_agg(pg_catalog.json_build_object(
      'o', c.oid::pg_catalog.int8, 's', c.nspname, 'r', c.relname, 'k', c.relkind,
      'q', CASE WHEN a.attrelid IS NOT NULL THEN pg_catalog.json_build_object('n', a.numbers, 'a', a.names, 't', a.types, 'nn', a.not_null, 'g', a.generated,
        'i', a.identity, 'x', a.nondeterministic, 'c', CASE WHEN c.of_users THEN k.columns END, 'd', d.expressions) END,
      'w', w.expressions, 'f', f.keys,
      'u', u.keys, 'p', p.parents,
      'v', CASE WHEN c.of_users AND c.relkind IN ('v', 'm') THEN pg_catalog.pg_get_viewdef(c.oid) END,
      'tg', t.triggers, 'cs', x.cascades, 'rl', r.rules,
      'y', CASE WHEN c.relrowsecurity THEN CASE WHEN c.relforcerowsecurity THEN 'f' ELSE 'e' END END, 'po', y.policies, 'ix', i.names)
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
      LEFT JOIN rules AS r ON r.ev_class = c.oid AND c.of_users
      LEFT JOIN policies AS y ON y.polrelid = c.oid
      LEFT JOIN indexes AS i ON i.indrelid = c.oid),
  'functions', (SELECT COALESCE(pg_catalog.json_agg(pg_catalog.json_build_object('o', f.oid::pg_catalog.int8, 's', f.nspname, 'n', f.proname, 'k', f.prokind,
        'l', f.lanname, 'v', f.provolatile, 'st', f.proisstrict, 'sd', f.prosecdef, 'c', f.proconfig, 'a', a.arguments,
        'r', f.prorettype::pg_catalog.int8, 'rs', f.proretset, 'x', e.extname, 'b',
        CASE WHEN f.prokind = 'a' THEN pg_catalog.json_build_object('a',
            (SELECT pg_catalog.json_agg(DISTINCT g.part::pg_catalog.int8) FROM aggregates AS g WHERE g.oid = f.oid))
          WHEN f.lanname IN ('internal', 'c') THEN '"c"'::pg_catalog.json
          -- An SQL-standard body leaves no source. pg_get_function_sqlbody comes with 14 only, and its text stands on no feet of its own.
          WHEN f.lanname = 'sql' AND f.prosrc = '' AND pg_catalog.pg_get_functiondef(f.oid) NOT LIKE E'%$function$\n'
            THEN pg_catalog.json_build_object('b', pg_catalog.pg_get_functiondef(f.oid))
          ELSE pg_catalog.json_build_object('s', f.prosrc) END) ORDER BY f.oid), '[]'::pg_catalog.json)
    FROM functions AS f LEFT JOIN arguments AS a ON a.oid = f.oid
      LEFT JOIN pg_catalog.pg_depend AS d ON d.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass AND d.objid = f.oid AND d.deptype = 'e'
        AND d.refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass
      LEFT JOIN pg_catalog.pg_extension AS e ON e.oid = d.refobjid),
  'called', (SELECT COALESCE(pg_catalog.json_object_agg(oid, proname ORDER BY oid), '{}'::pg_catalog.json) FROM servers),
  'operators', (SELECT COALESCE(pg_catalog.json_agg(pg_catalog.json_build_object('o', o.oid::pg_catalog.int8, 's', o.nspname, 'n', o.oprname,
        'l', o.oprleft::pg_catalog.int8, 'r', o.oprright::pg_catalog.int8, 't', o.oprresult::pg_catalog.int8, 'f', o.function::pg_catalog.int8,
        'e', pg_catalog.json_build_array(CASE WHEN o.restrict >= 16384 THEN o.restrict::pg_catalog.int8 ELSE 0 END,
          CASE WHEN o.join_estimator >= 16384 THEN o.join_estimator::pg_catalog.int8 ELSE 0 END),
        'c', o.function IN (SELECT oid FROM trusted)) ORDER BY o.oid), '[]'::pg_catalog.json)
    FROM operators AS o),
  'types', (SELECT COALESCE(pg_catalog.json_agg(pg_catalog.json_build_array(t.oid::pg_catalog.int8, s.nspname, t.typname,
        CASE WHEN t.typtype = 'b' AND t.typelem <> 0 AND t.typlen = -1 THEN 'a' ELSE t.typtype::pg_catalog.text END,
        (CASE WHEN t.typtype = 'd' THEN t.typbasetype ELSE t.typelem END)::pg_catalog.int8, t.typrelid::pg_catalog.int8,
        t.typtype = 'd' AND (t.typnotnull OR x.contypid IS NOT NULL), x.checks, u.functions) ORDER BY t.oid), '[]'::pg_catalog.json)
    FROM pg_catalog.pg_type AS t JOIN spaces AS s ON s.oid = t.typnamespace LEFT JOIN domain_checks AS x ON x.contypid = t.oid
      LEFT JOIN support AS u ON u.type = t.oid
    WHERE s.of_users OR t.oid >= 16384),
  'casts', (SELECT COALESCE(pg_catalog.json_agg(pg_catalog.json_build_object('s', castsource::pg_catalog.int8, 't', casttarget::pg_catalog.int8,
        'f', castfunc::pg_catalog.int8, 'x', castcontext, 'c', castfunc IN (SELECT oid FROM trusted)) ORDER BY oid), '[]'::pg_catalog.json)
    FROM casts),
  'event_triggers', (SELECT COALESCE(pg_catalog.json_agg(pg_catalog.json_build_object('n', evtname, 'e', evtevent, 'f', evtfoid::pg_catalog.int8,
        't', evttags) ORDER BY evtname), '[]'::pg_catalog.json)
    FROM event_triggers),
  'builtins', (SELECT pg_catalog.json_agg(DISTINCT proname) FROM pg_catalog.pg_proc
    WHERE pronamespace = 'pg_catalog'::pg_catalog.regnamespace AND oid < 16384 AND pronargs >= 1 AND pronargs - pronargdefaults <= 1)
)::pg_catalog.text
