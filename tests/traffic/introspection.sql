---- simple
SELECT 1;
---- simple
SHOW search_path;
---- simple
SELECT current_schema(), session_user;
---- simple
SELECT version();
---- simple
SHOW server_version_num;
---- simple
SET extra_float_digits = 3;
---- simple
SET application_name = 'tool - main';
---- simple
SELECT db.oid, db.* FROM pg_catalog.pg_database AS db WHERE datallowconn AND NOT datistemplate ORDER BY db.datname;
---- simple
SELECT n.oid, n.*, d.description FROM pg_catalog.pg_namespace AS n LEFT OUTER JOIN pg_catalog.pg_description AS d ON d.objoid = n.oid AND d.objsubid = 0 AND d.classoid = 'pg_namespace'::regclass ORDER BY nspname;
---- simple
SELECT c.oid, c.*, d.description, pg_catalog.pg_get_expr(c.relpartbound, c.oid) AS partition_expr, pg_catalog.pg_get_partkeydef(c.oid) AS partition_key FROM pg_catalog.pg_class AS c LEFT OUTER JOIN pg_catalog.pg_description AS d ON d.objoid = c.oid AND d.objsubid = 0 AND d.classoid = 'pg_class'::regclass WHERE c.relnamespace = 2200 AND c.relkind NOT IN ('i', 'I', 'c');
---- simple
SELECT c.relname, a.*, pg_catalog.pg_get_expr(ad.adbin, ad.adrelid, true) AS def_value, dsc.description, dep.objid FROM pg_catalog.pg_attribute AS a INNER JOIN pg_catalog.pg_class AS c ON a.attrelid = c.oid LEFT OUTER JOIN pg_catalog.pg_attrdef AS ad ON a.attrelid = ad.adrelid AND a.attnum = ad.adnum LEFT OUTER JOIN pg_catalog.pg_description AS dsc ON c.oid = dsc.objoid AND a.attnum = dsc.objsubid LEFT OUTER JOIN pg_depend AS dep ON dep.refobjid = a.attrelid AND dep.deptype = 'i' AND dep.refobjsubid = a.attnum AND dep.classid = dep.refclassid WHERE NOT a.attisdropped AND c.relkind NOT IN ('i', 'I', 'c') AND c.oid = 'public.thing'::regclass ORDER BY a.attnum;
---- simple
SELECT c.oid, c.*, t.relname AS tabrelname, rt.relnamespace AS refnamespace, d.description, CASE WHEN c.contype = 'c' THEN pg_catalog.pg_get_constraintdef(c.oid) END AS definition FROM pg_catalog.pg_constraint AS c INNER JOIN pg_catalog.pg_class AS t ON t.oid = c.conrelid LEFT OUTER JOIN pg_catalog.pg_class AS rt ON rt.oid = c.confrelid LEFT OUTER JOIN pg_catalog.pg_description AS d ON d.objoid = c.oid AND d.objsubid = 0 AND d.classoid = 'pg_constraint'::regclass WHERE c.conrelid = 'thing'::regclass ORDER BY c.oid;
---- simple
SELECT i.*, i.indkey AS keys, c.relname, c.relnamespace, c.relam, c.reltablespace, tc.relname AS tabrelname, dsc.description, pg_catalog.pg_get_expr(i.indpred, i.indrelid) AS pred_expr, pg_catalog.pg_get_expr(i.indexprs, i.indrelid, true) AS expr, pg_catalog.pg_relation_size(i.indexrelid) AS index_rel_size, pg_catalog.pg_stat_get_numscans(i.indexrelid) AS index_num_scans FROM pg_catalog.pg_index AS i INNER JOIN pg_catalog.pg_class AS c ON c.oid = i.indexrelid INNER JOIN pg_catalog.pg_class AS tc ON tc.oid = i.indrelid LEFT OUTER JOIN pg_catalog.pg_description AS dsc ON i.indexrelid = dsc.objoid WHERE i.indrelid = 'thing'::regclass ORDER BY tabrelname, c.relname;
---- simple
SELECT t.oid, t.*, c.relkind, format_type(nullif(t.typbasetype, 0), t.typtypmod) AS base_type_name, d.description FROM pg_catalog.pg_type AS t LEFT OUTER JOIN pg_catalog.pg_type AS et ON et.oid = t.typelem LEFT OUTER JOIN pg_catalog.pg_class AS c ON c.oid = t.typrelid LEFT OUTER JOIN pg_catalog.pg_description AS d ON t.oid = d.objoid WHERE t.typname IS NOT NULL AND (c.relkind IS NULL OR c.relkind = 'c') AND (et.typcategory IS NULL OR et.typcategory <> 'C');
---- simple
SELECT p.oid AS poid, p.*, pg_catalog.pg_get_expr(p.proargdefaults, 0) AS arg_defaults, d.description, l.lanname FROM pg_catalog.pg_proc AS p LEFT OUTER JOIN pg_catalog.pg_language AS l ON l.oid = p.prolang LEFT OUTER JOIN pg_catalog.pg_description AS d ON d.objoid = p.oid WHERE p.pronamespace = 2200 ORDER BY p.proname;
---- simple
SELECT x.oid, x.*, p.pronamespace AS func_schema_id, d.description FROM pg_catalog.pg_trigger AS x LEFT OUTER JOIN pg_catalog.pg_proc AS p ON p.oid = x.tgfoid LEFT OUTER JOIN pg_catalog.pg_description AS d ON d.objoid = x.oid WHERE x.tgrelid = 'thing'::regclass AND NOT x.tgisinternal;
---- simple
SELECT e.enumlabel FROM pg_catalog.pg_enum AS e WHERE e.enumtypid = 'colour'::regtype ORDER BY e.enumsortorder;
---- simple
SELECT pg_catalog.pg_get_viewdef('thing_names'::regclass, true);
---- simple
SELECT pg_catalog.pg_get_functiondef('twice'::regproc);
---- simple
SELECT pg_catalog.pg_total_relation_size('thing'), pg_catalog.pg_relation_size('thing');
---- simple
SELECT s.sequencename, s.last_value FROM pg_catalog.pg_sequences AS s WHERE schemaname = 'public';
---- simple
SELECT r.rolname, r.rolsuper, r.oid FROM pg_catalog.pg_roles AS r ORDER BY r.rolname;
---- simple
SELECT a.oid, a.* FROM pg_catalog.pg_roles AS a ORDER BY a.rolname;
---- simple
SELECT n.nspname, c.relname, c.reltuples::bigint FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace WHERE c.relkind IN ('r', 'p') AND n.nspname NOT LIKE 'pg\_%';
---- simple
SELECT i.inhparent::regclass, i.inhrelid::regclass FROM pg_catalog.pg_inherits AS i;
---- simple
SELECT e.extname, e.extversion, n.nspname FROM pg_catalog.pg_extension AS e JOIN pg_catalog.pg_namespace AS n ON n.oid = e.extnamespace;
---- simple
SELECT table_schema, table_name, column_name, data_type, is_nullable, column_default FROM information_schema.columns WHERE table_schema NOT IN ('pg_catalog', 'information_schema') ORDER BY 1, 2, ordinal_position;
---- simple
SELECT tc.table_name, kcu.column_name, ccu.table_name AS references_table FROM information_schema.table_constraints AS tc JOIN information_schema.key_column_usage AS kcu USING (constraint_schema, constraint_name) JOIN information_schema.constraint_column_usage AS ccu USING (constraint_schema, constraint_name) WHERE tc.constraint_type = 'FOREIGN KEY';
---- simple
SELECT * FROM public.thing LIMIT 200;
---- simple
SELECT x.* FROM public.thing x ORDER BY id;
---- simple
SELECT count(*) FROM public.thing;
---- simple
SELECT t.*, ctid FROM public.thing AS t LIMIT 501;
---- simple
UPDATE public.thing SET weight = 4 WHERE id = 1;
---- simple
EXPLAIN (FORMAT json, ANALYZE) SELECT * FROM public.thing;
---- simple
SELECT pid, usename, state, query FROM pg_catalog.pg_stat_activity WHERE datname = current_database();
---- simple
SELECT l.*, a.query FROM pg_catalog.pg_locks AS l LEFT JOIN pg_catalog.pg_stat_activity AS a ON a.pid = l.pid;
---- simple
SELECT name, setting, short_desc FROM pg_catalog.pg_settings ORDER BY name;
