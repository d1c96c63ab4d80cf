SELECT add(id, 2) FROM customers
;;
SELECT ssn_of(1), public.ssn_of(id), early.ssn_of(3) FROM customers
;;
SELECT standard(7)
;;
SELECT i, n FROM atomic(3)
;;
SELECT * FROM several()
;;
SELECT (several()).s
;;
SELECT id, email FROM whole() AS w
;;
SELECT second FROM pairs()
;;
SELECT b FROM loose() AS t(a text, b text)
;;
SELECT * FROM ssn_of(4) AS s
;;
SELECT over_loaded(ssn) FROM customers
;;
SELECT looks_pure(1)
;;
SELECT looks_pure(1, 'y')
;;
SELECT looks_pure(a => id) FROM customers
;;
SELECT variable_many('a', ssn, name) FROM customers
;;
SELECT variable_many(VARIADIC ARRAY[ssn]) FROM customers
;;
SELECT upper(name), pg_catalog.upper(name) FROM customers
;;
SELECT polymorphic(ssn) FROM customers
;;
SELECT own_path(), whose_path()
;;
SELECT shadowed('x')
;;
SELECT peers()
;;
SELECT session_wide()
;;
SELECT fact(5), fact(id) FROM customers
;;
SELECT leak_by_variable(1)
;;
SELECT leak_by_branch(1)
;;
SELECT leak_by_error(1)
;;
SELECT leak_by_notice()
;;
SELECT * FROM leak_by_cursor()
;;
SELECT gives_cursor()
;;
SELECT reads_cursor('x')
;;
SELECT dynamic('customers')
;;
SELECT literal_dynamic(4)
;;
SELECT s FROM rows_out(4)
;;
SELECT own_pure(id) FROM customers
;;
SELECT conflicting(1)
;;
CALL archive(1, NULL)
;;
CALL plain_note('x')
;;
CALL calls_other('y')
;;
CALL nothing_of_the_kind()
;;
SELECT 1.5 === name FROM customers
;;
SELECT 1 FROM orders WHERE total === note
;;
SELECT (name::pair).second FROM customers
;;
SELECT total_length(ssn) FROM customers
;;
UPDATE customers SET name = 'x' WHERE id = 1
;;
INSERT INTO customers (id, name) VALUES (1, 'a')
;;
INSERT INTO orders (id, note) VALUES (1, 'a')
;;
INSERT INTO checked (id, word) VALUES (1, 'a')
;;
SELECT 'a'::worded
;;
SELECT id FROM guarded
;;
INSERT INTO ruled VALUES (1, 'a')
;;
DO $$ DECLARE v text; BEGIN SELECT ssn INTO v FROM customers; INSERT INTO log (what) VALUES (v); END $$
;;
DO $$ BEGIN EXECUTE 'DROP TABLE customers'; END $$
;;
DO $$ BEGIN PERFORM pg_sleep(1); COMMIT; END $$
;;
DO LANGUAGE plperl $$ x $$
;;
DO $$ BEGIN not sql at all; END $$
;;
SELECT crypt(ssn, 'x'), gen_salt('bf') FROM customers
;;
SELECT * FROM dblink('a', 'b') AS t(a int)
;;
SELECT * FROM crosstab('SELECT 1') AS t(a int)
;;
SELECT id FROM customers WHERE email = 'a@b'
;;
SELECT name::citext, lower(email) FROM customers
;;
SELECT pg_advisory_lock(id), pg_notify('c', ssn), set_config('my.x', ssn, false), lo_from_bytea(0, ssn::bytea) FROM customers
;;
SELECT pg_cancel_backend(1), txid_current(), setseed(0.5), pg_stat_reset()
;;
SELECT pg_input_is_valid('1', 'int4'), ts_rewrite('a'::tsquery, 'SELECT a, b FROM c')
;;
SELECT information_schema._pg_truetypid(a, t) FROM pg_attribute a, pg_type t
;;
SELECT * FROM unnest(ARRAY[1], '{a,b}'::text[]) AS u(a, b)
;;
SELECT percentile_disc(0.5) WITHIN GROUP (ORDER BY total), mode() WITHIN GROUP (ORDER BY note), rank(1, 'a') WITHIN GROUP (ORDER BY id, note) FROM orders
;;
SELECT set_config(name, 'view', false) FROM pg_settings WHERE name = 'restrict_nonsystem_relation_kind'
;;
SELECT set_config(s.name, 'postgres', false) FROM pg_settings s WHERE s.name = 'role'
;;
SELECT set_config(name, 'x', false) FROM pg_settings WHERE name = 'jit' OR true
;;
SELECT 1 FROM pg_settings WHERE name = 'jit' AND set_config(name, 'x', false) = 'x'
;;
SELECT (SELECT max(1) FROM orders JOIN pg_settings t ON t.name = 'jit' AND set_config(t.name, 'x', false) = 'x')
;;
SELECT set_config(n, 'x', false) FROM (SELECT 'ro' || name FROM pg_settings WHERE name = 'jit') s(n)
;;
SELECT set_config(n, 'x', false) FROM (SELECT name FROM pg_settings WHERE name = 'jit' UNION ALL SELECT 'role') s(n)
;;
SELECT set_config(name, 'x', false) FROM pg_settings WHERE name = 'jit' ORDER BY set_config(name, 'x', false)
;;
DO $$ DECLARE v text; BEGIN SELECT name INTO v FROM pg_settings WHERE name = 'jit'; v := 'role'; PERFORM set_config(v, 'x', false) FROM pg_settings WHERE name = 'jit'; END $$
;;
SELECT s.name, current_setting(s.name) FROM pg_settings s
;;
SELECT leak_by_alias(1)
;;
SELECT leak_by_number(name) FROM log JOIN customers ON true
;;
SELECT leak_by_number_written($1)
;;
INSERT INTO renamed VALUES (1)
;;
UPDATE kinds SET label = label
;;
UPDATE kinds SET code = (SELECT ssn FROM customers LIMIT 1) WHERE label = $1
;;
DELETE FROM kinds
;;
SELECT * FROM unnest($$a:1$$::tsvector)
;;
SELECT * FROM unnest(ARRAY[($1, 2)::pair, NULL::pair])
;;
SELECT * FROM unnest((SELECT array_agg(ssn) FROM customers)) ORDER BY 1
;;
SELECT regclass($$customers$$), text(1)
;;
UPDATE renamed SET word = (SELECT ssn FROM customers LIMIT 1)
;;
SELECT copies_pair(ROW(name, ssn)::pair) FROM customers
;;
SELECT makes_table()
;;
SELECT explains()
;;
DELETE FROM grades WHERE code = 'x'
;;
UPDATE grades SET code = 'y' WHERE code = 'x'
;;
UPDATE grades SET label = 'y' WHERE code = 'x'
;;
SELECT id FROM secp_a
;;
SELECT id FROM secp
;;
SELECT id, tableoid FROM secp
;;
SELECT tableoid, count(*) FROM secp GROUP BY tableoid
;;
SELECT id FROM secp WHERE tableoid = 5
;;
SELECT id, ctid FROM secp
;;
SELECT id FROM secp_b
;;
SELECT id, tableoid FROM secp_b
;;
SELECT id FROM secp_b_0
;;
SELECT id FROM of_secp_a
;;
SELECT 1 FROM customers, secp_a
;;
TABLE ONLY secp_a
;;
COPY secp_a (id) TO STDOUT
;;
UPDATE secp_a SET id = 5 WHERE id = 1
;;
UPDATE secp SET id = id WHERE id = 1 RETURNING tableoid
;;
DELETE FROM secp_a
;;
UPDATE of_secp_a SET id = 5
;;
INSERT INTO secp_a (id) VALUES (1)
;;
INSERT INTO secp_b_0 (id, secret) VALUES (1, 'b') ON CONFLICT (id) DO NOTHING
;;
MERGE INTO secp_a USING orders ON secp_a.id = orders.id WHEN NOT MATCHED THEN INSERT (id) VALUES (1)
;;
EXPLAIN (ANALYZE) SELECT id FROM secp
;;
EXPLAIN SELECT id FROM secp_a
;;
EXPLAIN UPDATE secp SET id = 5
;;
EXPLAIN SELECT id FROM customers
