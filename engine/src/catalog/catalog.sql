fixed AS MATERIALIZED (
  -- The catalog in one row with one text: JSON, and columns behind it. `search_path` must be pg_catalog alone, for operators
  -- and functions. Relations and types are qualified, for a temporary one comes before any path. What there are many of comes
  -- as lines, in no order, because JSON costs the server more than everything else: numbers, then a text behind its length in
  -- characters. Definitions come out qualified. `wanted` stands before this text: the views that they are given of, and `locked`:
  -- relations whose texts are not read, for deparsing takes a lock. What stands for such a text can't be parsed, so that whatever
  -- rests on it is refused.
  SELECT set_config('search_path', 'pg_catalog', true) AS search_path
), spaces AS MATERIALIZED (
  SELECT oid, nspname, oid >= 16384 OR nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast') AS of_users
  FROM pg_catalog.pg_namespace
  -- Of temporary schemas only this session's own.
  WHERE nspname !~ '^pg_(toast|temp)' OR oid = pg_my_temp_schema()
), classes AS MATERIALIZED (
  SELECT c.oid, c.relname, c.relkind, c.relnamespace, c.reltype, c.relrowsecurity, c.relforcerowsecurity, c.oid >= 16384 AS of_users
  FROM pg_catalog.pg_class AS c JOIN spaces AS s ON s.oid = c.relnamespace
  WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S', 'c')
), with_functions AS MATERIALIZED (
  -- Functions and operators of the server's own leave no dependency.
  SELECT DISTINCT classid, objid FROM pg_catalog.pg_depend
  WHERE refclassid IN ('pg_catalog.pg_proc'::pg_catalog.regclass, 'pg_catalog.pg_operator'::pg_catalog.regclass)
    AND classid IN ('pg_catalog.pg_constraint'::pg_catalog.regclass, 'pg_catalog.pg_class'::pg_catalog.regclass)
), write_expressions AS MATERIALIZED (
  SELECT n.conrelid AS relid, CASE WHEN n.conrelid IN (SELECT relation FROM locked) THEN 'locked by another session'
      ELSE pg_get_expr(n.conbin, n.conrelid) END AS expression
    FROM pg_catalog.pg_constraint AS n JOIN classes AS c ON c.oid = n.conrelid AND c.of_users
      JOIN with_functions AS f ON f.classid = 'pg_catalog.pg_constraint'::pg_catalog.regclass AND f.objid = n.oid
    WHERE n.contype = 'c'
  UNION
  SELECT i.indrelid, CASE WHEN i.indrelid IN (SELECT relation FROM locked) THEN 'locked by another session'
      ELSE pg_get_indexdef(i.indexrelid, k.place, false) END
    FROM pg_catalog.pg_index AS i JOIN classes AS c ON c.oid = i.indrelid AND c.of_users
      JOIN with_functions AS f ON f.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND f.objid = i.indexrelid
      CROSS JOIN LATERAL generate_series(1, i.indnatts) AS k(place)
    WHERE i.indexprs IS NOT NULL AND i.indkey[k.place - 1] = 0
  UNION
  SELECT i.indrelid, CASE WHEN i.indrelid IN (SELECT relation FROM locked) THEN 'locked by another session'
      ELSE pg_get_expr(i.indpred, i.indrelid) END
    FROM pg_catalog.pg_index AS i JOIN classes AS c ON c.oid = i.indrelid AND c.of_users
      JOIN with_functions AS f ON f.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND f.objid = i.indexrelid
    WHERE i.indpred IS NOT NULL
  UNION
  -- A row that goes into a partition is tried against the keys of all tables above it.
  SELECT b.relid, CASE WHEN p.partrelid IN (SELECT relation FROM locked) THEN 'locked by another session'
      ELSE pg_get_expr(p.partexprs, p.partrelid) END
    FROM pg_catalog.pg_partitioned_table AS p
      JOIN with_functions AS f ON f.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND f.objid = p.partrelid
      CROSS JOIN LATERAL pg_partition_tree(p.partrelid) AS b
    WHERE p.partexprs IS NOT NULL
), functions AS MATERIALIZED (
  SELECT p.oid, p.proname, s.nspname, p.prokind, l.lanname, p.provolatile, p.proisstrict, p.prosecdef, p.proconfig, p.prosrc, p.prorettype, p.proretset,
    p.proargnames, p.proargmodes, p.pronargdefaults, COALESCE(p.proallargtypes, p.proargtypes::pg_catalog.oid[]) AS types,
    -- Compiled code that only computes is as trusted as the server: only a superuser installs it (citext, hstore, pg_trgm).
    p.prolang IN (12, 13) AND p.provolatile <> 'v' AS trusted
  FROM pg_catalog.pg_proc AS p JOIN spaces AS s ON s.oid = p.pronamespace JOIN pg_catalog.pg_language AS l ON l.oid = p.prolang
  WHERE s.of_users OR p.oid >= 16384
), arguments AS MATERIALIZED (
  SELECT f.oid, json_agg(json_build_object('name', NULLIF(f.proargnames[a.place], ''), 'type', a.type::bigint, 'mode', COALESCE(f.proargmodes[a.place], 'i'),
    'default', CASE WHEN f.pronargdefaults > 0 THEN pg_get_function_arg_default(f.oid, a.place::integer) END) ORDER BY a.place) AS arguments
  FROM functions AS f CROSS JOIN LATERAL unnest(f.types) WITH ORDINALITY AS a(type, place)
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
  SELECT x.type, json_agg(DISTINCT x.function::bigint) AS functions FROM (
    SELECT t.oid, u.function FROM pg_catalog.pg_type AS t
      CROSS JOIN LATERAL (VALUES (t.typinput::pg_catalog.oid), (t.typoutput), (t.typreceive), (t.typsend), (t.typmodin), (t.typmodout)) AS u(function)
      WHERE t.oid >= 16384 AND t.typtype = 'b' AND u.function >= 16384
        -- Few types have any.
        AND GREATEST(t.typinput::pg_catalog.oid, t.typoutput, t.typreceive, t.typsend, t.typmodin, t.typmodout) >= 16384
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
)
SELECT concat(json_build_object(
  'server_version_num', current_setting('server_version_num')::integer,
  'database', current_database(),
  'temp_schema', (SELECT nspname FROM spaces WHERE oid = pg_my_temp_schema()),
  'schemas', (SELECT json_object_agg(oid, nspname) FROM spaces),
  -- oid, schema, kind, row security (1 enabled, 2 forced), its row type, name
  'relations', (SELECT string_agg(concat_ws(' ', oid::integer, relnamespace::integer, relkind,
      relrowsecurity::integer + 2 * relforcerowsecurity::integer, reltype::integer, char_length(relname::pg_catalog.text), relname), E'\n')
    FROM classes),
  -- relation, number, expression. Constants run nothing, whatever they are, nor do the server's own conversions to the length
  -- and scale of a column: deparsing them is what would take the time. Only generated columns refer to others: without a
  -- relation it takes a fraction of the time.
  'defaults', (SELECT string_agg(concat_ws(' ', x.adrelid::integer, x.adnum, char_length(x.expression), x.expression), E'\n') FROM (
      SELECT d.adrelid, d.adnum, CASE WHEN d.adbin::pg_catalog.text LIKE '{FUNCEXPR :funcid 1299 %' THEN 'now()'
          WHEN strpos(d.adbin::pg_catalog.text, '{VAR ') = 0 THEN pg_get_expr(d.adbin, 0)
          WHEN d.adrelid IN (SELECT relation FROM locked) THEN 'locked by another session'
          ELSE pg_get_expr(d.adbin, d.adrelid) END AS expression
      FROM pg_catalog.pg_attrdef AS d WHERE d.adbin::pg_catalog.text NOT LIKE '{CONST %'
        AND d.adbin::pg_catalog.text NOT LIKE '{FUNCEXPR :funcid 1703 :funcresulttype 1700 :funcretset false :funcvariadic false :funcformat 2 '
          || ':funccollid 0 :inputcollid 0 :args ({CONST %'
        AND d.adbin::pg_catalog.text NOT LIKE '{FUNCEXPR :funcid 1703 :funcresulttype 1700 :funcretset false :funcvariadic false :funcformat 2 '
          || ':funccollid 0 :inputcollid 0 :args ({FUNCEXPR :funcid 1740 :funcresulttype 1700 :funcretset false :funcvariadic false '
          || ':funcformat 2 :funccollid 0 :inputcollid 0 :args ({CONST %'
        AND d.adbin::pg_catalog.text NOT LIKE '{FUNCEXPR :funcid 669 :funcresulttype 1043 :funcretset false :funcvariadic false :funcformat 2 '
          || ':funccollid 100 :inputcollid 100 :args ({CONST %' OFFSET 0) AS x
    -- The server has no text where the table is dropped meanwhile.
    WHERE x.expression IS NOT NULL),
  -- relation, columns that a check is about
  'checked', (SELECT string_agg(concat_ws(' ', conrelid::integer, array_to_string(conkey, ',')), E'\n')
    FROM pg_catalog.pg_constraint WHERE contype = 'c' AND conrelid >= 16384 AND cardinality(conkey) > 0),
  -- oid, relation, referenced relation, what deleting and updating there does, columns, referenced columns
  'foreign_keys', (SELECT string_agg(concat_ws(' ', oid::integer, conrelid::integer, confrelid::integer, confdeltype, confupdtype,
      array_to_string(conkey, ','), array_to_string(confkey, ',')), E'\n')
    FROM pg_catalog.pg_constraint WHERE contype = 'f'),
  -- relation, properties (1 unique, 2 exclusion, 4 valid, 8 immediate, 16 partial, 32 on expressions), key columns' number, how many
  -- columns follow, columns, name
  'indexes', (SELECT string_agg(concat_ws(' ', i.indrelid::integer, i.indisunique::integer + 2 * i.indisexclusion::integer
      + 4 * i.indisvalid::integer + 8 * i.indimmediate::integer + 16 * (i.indpred IS NOT NULL)::integer + 32 * (i.indexprs IS NOT NULL)::integer,
      i.indnkeyatts, i.indnatts, i.indkey, char_length(n.relname::pg_catalog.text), n.relname), E'\n')
    FROM pg_catalog.pg_class AS n JOIN pg_catalog.pg_index AS i ON i.indexrelid = n.oid
    WHERE n.oid >= 16384 AND n.relkind IN ('i', 'I') AND (n.relnamespace IN (SELECT oid FROM spaces)) IS TRUE),
  -- relation, column that an expression or a predicate of an index is about
  'index_columns', (SELECT string_agg(DISTINCT concat_ws(' ', i.indrelid::integer, d.refobjsubid), E'\n')
    FROM pg_catalog.pg_index AS i JOIN pg_catalog.pg_depend AS d ON d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objid = i.indexrelid
      AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.refobjid = i.indrelid AND d.refobjsubid > 0
    WHERE (i.indisunique OR i.indisexclusion) AND (i.indexprs IS NOT NULL OR i.indpred IS NOT NULL)),
  -- partitioned table, column that its key, or an expression of it, is about: such a column can't be dropped alone
  'partition_keys', (SELECT string_agg(concat_ws(' ', p.partrelid::integer, d.objsubid), E'\n')
    FROM pg_catalog.pg_partitioned_table AS p JOIN pg_catalog.pg_depend AS d ON d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass
      AND d.objid = p.partrelid AND d.objsubid > 0 AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.refobjid = p.partrelid
      AND d.refobjsubid = 0 AND d.deptype = 'i'),
  -- child, parent, place
  'parents', (SELECT string_agg(concat_ws(' ', inhrelid::integer, inhparent::integer, inhseqno), E'\n') FROM pg_catalog.pg_inherits),
  -- relation, definition
  'views', (SELECT string_agg(concat_ws(' ', x.oid::integer, char_length(x.definition), x.definition), E'\n') FROM (
      SELECT oid, pg_get_viewdef(oid) AS definition FROM classes WHERE of_users AND relkind IN ('v', 'm')
        AND oid IN (SELECT oid FROM wanted) OFFSET 0) AS x),
  -- Views whose definitions, which stand before this, call something by a newer name than this snapshot's.
  'torn', (SELECT json_agg(DISTINCT c.view::bigint) FROM calls AS c JOIN names AS n ON n.sort = c.sort AND n.oid = c.oid WHERE NOT n.is_newest),
  -- relation, the transaction that made its definition what it is
  'view_marks', (SELECT string_agg(concat_ws(' ', r.ev_class, r.xmin), E'\n') FROM pg_catalog.pg_rewrite AS r
    WHERE r.ev_class >= 16384 AND r.ev_type = '1' AND r.rulename = '_RETURN'),
  'write_expressions', (SELECT json_agg(json_build_array(relid::bigint, expression) ORDER BY relid, expression) FROM write_expressions
    WHERE expression IS NOT NULL),
  'triggers', (SELECT json_agg(json_build_array(t.tgrelid::bigint, json_build_object('name', t.tgname, 'events', t.tgtype, 'function', t.tgfoid::bigint,
      'columns', NULLIF(to_json(t.tgattr::pg_catalog.int2[])::pg_catalog.text, '[]')::pg_catalog.json, 'old_table', t.tgoldtable, 'new_table', t.tgnewtable,
      'definition', CASE WHEN t.tgqual IS NULL THEN NULL WHEN t.tgrelid IN (SELECT relation FROM locked) THEN 'locked by another session'
        ELSE pg_get_triggerdef(t.oid) END)))
    FROM classes AS c JOIN pg_catalog.pg_trigger AS t ON t.tgrelid = c.oid WHERE c.of_users AND NOT t.tgisinternal AND t.tgenabled <> 'D'),
  'rules', (SELECT json_agg(json_build_array(r.ev_class::bigint, json_build_object('name', r.rulename, 'event', r.ev_type, 'instead', r.is_instead,
      'enabled', r.ev_enabled <> 'D', 'definition', CASE WHEN r.oid IN (SELECT d.objid FROM pg_catalog.pg_depend AS d
          WHERE d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass
            AND d.refobjid IN (SELECT relation FROM locked)) THEN 'locked by another session'
        ELSE pg_get_ruledef(r.oid) END)))
    FROM classes AS c JOIN pg_catalog.pg_rewrite AS r ON r.ev_class = c.oid WHERE c.of_users AND NOT (r.rulename = '_RETURN' AND r.ev_type = '1')),
  'policies', (SELECT json_agg(json_build_array(y.polrelid::bigint, json_build_object('name', y.polname, 'command', y.polcmd, 'permissive', y.polpermissive,
      'roles', (SELECT json_agg(r.rolname ORDER BY r.rolname) FROM pg_catalog.pg_roles AS r WHERE r.oid = ANY (y.polroles)),
      'using', CASE WHEN y.polqual IS NOT NULL AND y.polrelid IN (SELECT relation FROM locked) THEN 'locked by another session'
        ELSE pg_get_expr(y.polqual, y.polrelid) END,
      'check', CASE WHEN y.polwithcheck IS NOT NULL AND y.polrelid IN (SELECT relation FROM locked) THEN 'locked by another session'
        ELSE pg_get_expr(y.polwithcheck, y.polrelid) END)))
    FROM classes AS c JOIN pg_catalog.pg_policy AS y ON y.polrelid = c.oid),
  'functions', (SELECT json_agg(json_build_object('oid', f.oid::bigint, 'schema', f.nspname, 'name', f.proname, 'kind', f.prokind,
        'language', f.lanname, 'volatility', f.provolatile, 'strict', f.proisstrict, 'security_definer', f.prosecdef, 'settings', f.proconfig,
        'arguments', a.arguments, 'result', f.prorettype::bigint, 'returns_set', f.proretset, 'extension', e.extname, 'body',
        CASE WHEN f.prokind = 'a' THEN json_build_object('aggregate', (SELECT json_agg(DISTINCT g.part::bigint) FROM aggregates AS g WHERE g.oid = f.oid))
          WHEN f.lanname IN ('internal', 'c') THEN '"compiled"'::pg_catalog.json
          -- An SQL-standard body leaves no source. pg_get_function_sqlbody comes with 14 only, and its text stands on no feet of its own.
          WHEN f.lanname = 'sql' AND f.prosrc = '' AND f.oid IN (SELECT d.objid FROM pg_catalog.pg_depend AS d
              WHERE d.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass
                AND d.refobjid IN (SELECT relation FROM locked)) THEN json_build_object('standard', 'locked by another session')
          WHEN f.lanname = 'sql' AND f.prosrc = '' AND pg_get_functiondef(f.oid) NOT LIKE E'%$function$\n'
            THEN json_build_object('standard', pg_get_functiondef(f.oid))
          ELSE json_build_object('text', f.prosrc) END))
    FROM functions AS f LEFT JOIN arguments AS a ON a.oid = f.oid
      LEFT JOIN pg_catalog.pg_depend AS d ON d.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass AND d.objid = f.oid AND d.deptype = 'e'
        AND d.refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass
      LEFT JOIN pg_catalog.pg_extension AS e ON e.oid = d.refobjid),
  'called', (SELECT json_object_agg(oid, proname) FROM servers),
  'operators', (SELECT json_agg(json_build_object('oid', o.oid::bigint, 'schema', o.nspname, 'name', o.oprname,
        'left', o.oprleft::bigint, 'right', o.oprright::bigint, 'result', o.oprresult::bigint, 'function', o.function::bigint,
        'estimators', json_build_array(CASE WHEN o.restrict >= 16384 THEN o.restrict::bigint ELSE 0 END,
          CASE WHEN o.join_estimator >= 16384 THEN o.join_estimator::bigint ELSE 0 END),
        'trusted', o.function IN (SELECT oid FROM trusted)))
    FROM operators AS o),
  -- oid, schema, kind, element or base, not null, name. Row types are told with their relations.
  'types', (SELECT string_agg(concat_ws(' ', t.oid::integer, t.typnamespace::integer, CASE WHEN t.typtype = 'b' AND t.typelem <> 0 AND t.typlen = -1 THEN 'a' ELSE t.typtype END,
      (CASE WHEN t.typtype = 'd' THEN t.typbasetype ELSE t.typelem END)::integer, t.typnotnull::integer,
      char_length(t.typname::pg_catalog.text), t.typname), E'\n')
    FROM pg_catalog.pg_type AS t JOIN spaces AS s ON s.oid = t.typnamespace WHERE t.typrelid = 0 AND (s.of_users OR t.oid >= 16384)),
  -- Columns of a domain are constrained, of the server's own ones too.
  'server_domains', (SELECT json_agg(oid::bigint) FROM pg_catalog.pg_type WHERE typtype = 'd' AND oid < 16384),
  -- With what a domain's default computes.
  'domain_checks', (SELECT json_agg(json_build_array(x.type::bigint, x.expression) ORDER BY x.type, x.oid) FROM (
      SELECT contypid, pg_get_expr(conbin, 0), oid FROM pg_catalog.pg_constraint WHERE contypid >= 16384
      UNION ALL
      SELECT oid, pg_get_expr(typdefaultbin, 0), 0 FROM pg_catalog.pg_type
      WHERE typtype = 'd' AND oid >= 16384 AND typdefaultbin IS NOT NULL AND typdefaultbin::pg_catalog.text NOT LIKE '{CONST %'
    ) AS x(type, expression, oid)),
  'support', (SELECT json_object_agg(type, functions) FROM support),
  'comparisons', (SELECT json_agg(DISTINCT x.function::bigint) FROM (
      SELECT amproc::pg_catalog.oid FROM pg_catalog.pg_amproc WHERE amproc >= 16384
      UNION ALL
      SELECT o.oprcode FROM pg_catalog.pg_amop AS a JOIN pg_catalog.pg_operator AS o ON o.oid = a.amopopr WHERE o.oprcode >= 16384
    ) AS x(function) WHERE x.function NOT IN (SELECT oid FROM trusted)),
  'casts', (SELECT json_agg(json_build_object('source', castsource::bigint, 'target', casttarget::bigint,
        'function', castfunc::bigint, 'context', castcontext, 'trusted', castfunc IN (SELECT oid FROM trusted)))
    FROM casts),
  'event_triggers', (SELECT json_agg(json_build_object('name', evtname, 'event', evtevent, 'function', evtfoid::bigint, 'tags', evttags)) FROM event_triggers),
  'builtins', (SELECT json_agg(DISTINCT proname) FROM pg_catalog.pg_proc
    WHERE pronamespace = 'pg_catalog'::pg_catalog.regnamespace AND oid < 16384 AND pronargs >= 1 AND pronargs - pronargdefaults <= 1)
), E'\n',
  -- Columns, of which there are more than of everything else, and which are spared JSON altogether: relation, number and properties
  -- (1 not null, 2 generated, 4 identity, 8 nondeterministic, 16 with a default), type, name. What is generated has a default's row,
  -- what is identity is not null: the server sees to both. A dropped column has no type: other marks of it stand further back in
  -- the row. `IS TRUE` keeps this from becoming a join, which is planned by what tables are guessed to hold.
  (SELECT string_agg(concat_ws(' ', a.attrelid::integer, a.attnum::integer * 32
      + CASE WHEN a.attnotnull THEN CASE a.attidentity WHEN '' THEN 1 ELSE 5 END ELSE 0 END
      + CASE WHEN a.atthasdef THEN CASE a.attgenerated WHEN '' THEN 16 ELSE 18 END ELSE 0 END
      + CASE WHEN a.attcollation = ANY (ARRAY(SELECT n.oid FROM pg_catalog.pg_collation AS n WHERE NOT n.collisdeterministic)) THEN 8 ELSE 0 END,
      a.atttypid::integer, char_length(a.attname::pg_catalog.text), a.attname), E'\n')
    FROM pg_catalog.pg_attribute AS a WHERE a.attnum > 0 AND a.atttypid <> 0 AND (a.attrelid IN (SELECT oid FROM classes)) IS TRUE),
  -- Nothing is cut off.
  E'\n.') FROM fixed
