SELECT 1; DELETE FROM customers
;;
COMMIT; DROP TABLE customers
;;
SELECT 1 END; DELETE FROM customers
;;
SELECT "ssn" FROM "customers"
;;
SELECT SSN FROM Customers
;;
SELECT U&"\0073sn" FROM customers
;;
SELECT ssn/**/FROM/**/customers
;;
SELECT name AND ssn IS NULL FROM customers
;;
SELECT query_to_xml('select ssn from customers', true, false, '')
;;
SELECT * FROM pg_read_file('/etc/passwd')
;;
SELECT lo_import('/etc/passwd')
;;
SELECT pg_terminate_backend(1)
;;
COPY customers TO PROGRAM 'cat'
;;
DO $$ BEGIN DELETE FROM customers; END $$
;;
CALL something()
;;
PREPARE p AS SELECT ssn FROM customers
;;
EXECUTE p
;;
DECLARE c CURSOR FOR SELECT ssn FROM customers
;;
FETCH ALL FROM c
;;
EXPLAIN ANALYZE DELETE FROM customers
;;
CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'
;;
CREATE RULE r AS ON SELECT TO customers DO INSTEAD NOTHING
;;
CREATE TRIGGER t AFTER INSERT ON customers FOR EACH ROW EXECUTE FUNCTION audit()
;;
SELECT row_to_json(c), to_jsonb(c.*), c::text FROM customers c
;;
SELECT array_agg(ssn), string_agg(ssn, ','), max(ssn) FILTER (WHERE name = 'x') FROM customers
;;
SELECT first_value(ssn) OVER w FROM customers WINDOW w AS (ORDER BY name)
;;
WITH c AS (DELETE FROM customers RETURNING ssn) SELECT * FROM c
;;
WITH customers AS (SELECT 1 AS ssn) SELECT ssn FROM customers
;;
WITH x AS (SELECT ssn FROM public.customers) SELECT (SELECT ssn FROM x LIMIT 1)
;;
SELECT l.y FROM customers c CROSS JOIN LATERAL (VALUES (c.ssn)) l(y)
;;
SELECT name FROM customers ORDER BY ssn
;;
SELECT name FROM customers ORDER BY 1, length(ssn) LIMIT (SELECT length(ssn) FROM customers LIMIT 1)
;;
SELECT DISTINCT ON (ssn) name FROM customers
;;
SELECT name FROM customers GROUP BY name, ssn HAVING max(card_number) > '1'
;;
SELECT 1 / (length(ssn) - 9) FROM customers
;;
SELECT pg_sleep(1) FROM customers WHERE ssn LIKE '1%'
;;
UPDATE orders SET note = (SELECT ssn FROM customers WHERE customers.id = orders.customer_id)
;;
NOTIFY c, 'payload'
;;
INSERT INTO customers (id, name, tenant) VALUES (1, 'a', 'b') ON CONFLICT DO NOTHING RETURNING ssn
;;
SELECT ssn(customers) FROM customers
;;
SELECT c.row_to_json FROM customers c
;;
SELECT c.peek FROM customers c
;;
SELECT s.z FROM (SELECT * FROM customers) AS s(a, b, z)
;;
SELECT upper(a.contact) FROM contact_names AS a
;;
SELECT most_common_vals FROM pg_stats
;;
SELECT * FROM pg_catalog.pg_class WHERE relname = 'x'
;;
SET ROLE postgres
;;
SET client_encoding = 'LATIN1'
;;
SET standard_conforming_strings = off
;;
RESET search_path
;;
SET provost.x = 1
;;
SELECT current_setting('provost.x')
;;
SHOW provost.principal
;;
SET LOCAL "provost"."principal" = 'x'
;;
SET U&"\0070rovost".principal TO DEFAULT
;;
RESET provost.principal
;;
SELECT set_config('Provost.Principal', 'x', true)
;;
DO $$BEGIN SET provost.principal = 'x'; END$$
;;
UPDATE pg_settings SET setting = 'x' WHERE name = 'provost.principal'
;;
DISCARD ALL
;;
SELECT * FROM nowhere
;;
SELECT * FROM other.public.customers
;;
SELECT ssn FROM ONLY events
;;
SELECT xmax, ctid FROM customers
;;
SELECT ssn FROM customers TABLESAMPLE system (10)
;;
SELECT * FROM ROWS FROM (generate_series(1,2), unnest(ARRAY[1,2])) WITH ORDINALITY
;;
SELECT json_object(ssn : name) FROM customers
;;
SELECT (WITH c AS (SELECT ssn FROM customers) SELECT ssn FROM c LIMIT 1)
;;
DELETE FROM customers WHERE id = 1 OR true
;;
UPDATE customers SET (name, email) = (SELECT person, person FROM hr.salaries WHERE amount > 1)
;;
SELECT ssn COLLATE "C", ssn::varchar, ssn || '' FROM customers
;;
VALUES ((SELECT ssn FROM customers))
;;
LISTEN x
;;
LOCK TABLE customers
;;
VACUUM customers
;;
SELECT 1 <>/* 2 FROM orders -- */ 1, ssn FROM customers
;;
SELECT ssn FROM "Customers"
;;
INSERT INTO customers (id, name, tenant) VALUES (1, 'a', 'b') ON CONFLICT (id) WHERE id = 1 DO UPDATE SET ssn = excluded.ssn
;;
SELECT * FROM (customers c JOIN orders o ON true) AS j
;;
SELECT pg_catalog.count(*), set_masklen('1.2.3.4', 8) FROM ONLY (customers)
;;
SELECT count(nullif(ssn, '123-45-6789')), nullif(email, 'a'), count(substring(phone from '^1')) FROM customers
;;
SELECT ((ssn = '1') OR NULL)::text, (email IN ('a', NULL))::text, (phone BETWEEN 'a' AND NULL)::text, ((card_number, 1) = ('1', NULL))::text FROM customers
;;
SELECT c.id FROM customers c, generate_series(1, ascii(c.ssn)), unnest(string_to_array(c.email, '@'))
;;
SELECT id, generate_series(1, length(ssn)), ssn::int, 1 / length(email), (string_to_array(phone, '1'))[2] FROM customers
;;
SELECT ('/etc/passwd'::text).pg_read_file
;;
SELECT (ssn).pg_read_file, (name).upper, (email).substring FROM customers
;;
SELECT upper(ssn), ssn || 'x', coalesce(email, ''), concat(phone, name), left(ssn, 3), substring(ssn, 1, 3), to_json(email), length(phone), string_agg(card_number, ',') FROM customers GROUP BY id
;;
SELECT substring(ssn, '1'), left(ssn, length(email)), lag(name, length(phone)) OVER () FROM customers
;;
SELECT '1' IN (SELECT ssn FROM customers), '1' = ANY (ARRAY(SELECT email FROM customers)) FROM orders
;;
WITH RECURSIVE t(id, ssn) AS (SELECT id, ssn FROM customers UNION ALL SELECT id + 1, ssn FROM t WHERE id < 3) CYCLE ssn SET seen USING path SELECT id FROM t
;;
SELECT set_config('search_path', 'hr', false)
;;
SELECT set_config('se' || 'arch_path', 'hr', false)
;;
SELECT set_config('work_mem', '1MB', true)
;;
INSERT INTO orders (customer_id) VALUES (7)
;;
INSERT INTO hr.salaries (person, zip) VALUES ('a', '12345')
;;
SELECT c::text, (c).ssn FROM customers c, unnest(array(SELECT 'a')) u
;;
SELECT set_config('search_path.x'::varchar(11), 'hr', false)
;;
SELECT set_config('role '::bpchar, 'owner', false)
;;
SELECT a.r = b.r FROM (SELECT ROW(ssn, '{}'::json) AS r FROM customers) AS a, (SELECT ROW('901'::text, '{}'::json) AS r) AS b
;;
SELECT a.r IS DISTINCT FROM b.r FROM (SELECT ROW(ssn, '{}'::json) AS r FROM customers) AS a, (SELECT ROW('901'::text, '{}'::json) AS r) AS b
;;
SELECT coalesce(ROW(ssn, '{}'::json)) = coalesce(ROW('901'::text, '{}'::json)) FROM customers
;;
SELECT greatest(ROW(ssn, '{}'::json), ROW('901'::text, '{}'::json)) FROM customers
;;
SELECT max(x) FROM (SELECT ARRAY[ROW(ssn, '{}'::json)] AS x FROM customers UNION ALL SELECT ARRAY[ROW('901'::text, '{}'::json)]) AS q
;;
SELECT sum(x) FROM (SELECT id AS x FROM customers UNION ALL SELECT repeat('9', 131072)::numeric - 50000) AS q
;;
SELECT ssn = 'x', 'x' = ssn, lower(ssn) = 'x', max(ssn) FROM customers GROUP BY id
;;
SELECT max(lower(ssn)) = min(ssn) FROM customers
;;
SELECT coalesce(ssn, name) < upper(name), greatest(ssn, 'x'), ssn || name, ARRAY[ssn] FROM customers
;;
SELECT sum(id), array_agg(ssn), ARRAY(SELECT ssn || '') FROM customers
;;
SELECT (SELECT ssn) = 'x', (SELECT ssn FROM customers WHERE id = 1) = 'x' FROM customers
;;
SELECT x = 'a', ssn IS NULL = true FROM (SELECT ssn AS x, ssn FROM customers UNION ALL SELECT 'x', name FROM customers) AS q
;;
SELECT name::text = ssn FROM customers
;;
SELECT count(*) FROM staff WHERE name = 'x'
;;
UPDATE staff SET name = 'x'
;;
UPDATE events SET payload['a']['b'] = '1'
;;
DELETE FROM customers WHERE id = 1
;;
UPDATE customers SET id = 2 WHERE id = 1
;;
SELECT ARRAY[payload, '1'], array_agg(ARRAY[ssn]), ARRAY(SELECT ARRAY[ssn]) FROM events
;;
SELECT pg_stat_get_xact_tuples_hot_updated('customers'::regclass), pg_current_wal_insert_lsn()
;;
SELECT repeat('x', 67108853) || translate(substr(ssn, 1, 1), '0123', '') FROM customers
;;
SELECT c.ssn || '-x', 'id ' || c.name || c.id FROM customers c
;;
SELECT c.ssn || $1 FROM customers c
;;
SELECT c.ssn || e.payload FROM customers c, events e
;;
WITH a AS (SELECT ssn || ssn AS v FROM customers), b AS (SELECT v || v || v || v AS v FROM a), c AS (SELECT v || v || v || v AS v FROM b) SELECT v || v || v FROM c
;;
SELECT concat(c.ssn, e.payload) FROM customers c, events e
;;
SELECT concat(email, repeat('x', 1000000)), to_jsonb(to_json(phone)::text), concat_ws(', ', name, ssn) FROM customers
;;
CREATE OR REPLACE FUNCTION hr.hf() RETURNS int LANGUAGE sql AS 'SELECT 1'
;;
CREATE OR REPLACE FUNCTION audit() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'
;;
DROP FUNCTION hr.hf()
;;
DROP FUNCTION shop.hr.hf()
;;
DROP FUNCTION audit, nobody, lower
;;
DROP PROCEDURE hr.hp()
;;
DROP AGGREGATE hr.ha(int)
;;
DROP ROUTINE hr.hr
;;
DROP TYPE hr.ht
;;
DROP TYPE mood, int4
;;
DROP DOMAIN hr.hd
;;
DROP OPERATOR hr.=== (int, int)
;;
DROP COLLATION hr.hc
;;
DROP STATISTICS hr.hs
;;
DROP STATISTICS hs
;;
DROP OPERATOR CLASS hr.hoc USING btree
;;
DROP TEXT SEARCH CONFIGURATION hr.htc
;;
DROP CONVERSION hr.hcv
;;
DROP INDEX hr.salaries_pkey
;;
DROP INDEX customers_pkey
;;
DROP INDEX hr.nothing_there
;;
ALTER INDEX customers_pkey RENAME TO other
;;
ALTER INDEX public.customers_pkey SET (fillfactor = 50)
;;
COMMENT ON INDEX hr.hidx IS 'x'
;;
COMMENT ON INDEX customers_pkey IS 'x'
;;
COMMENT ON TYPE hr.ht IS 'x'
;;
COMMENT ON CONSTRAINT c ON DOMAIN hr.hd IS 'x'
;;
COMMENT ON OPERATOR FAMILY hr.hof USING btree IS 'x'
;;
COMMENT ON STATISTICS hr.hs IS 'x'
;;
ALTER STATISTICS hr.hs SET STATISTICS 5
;;
ALTER FUNCTION hr.hf() OWNER TO bob
;;
ALTER FUNCTION hr.hf() RENAME TO hg
;;
ALTER FUNCTION audit() SET SCHEMA hr
;;
ALTER TABLE orders SET SCHEMA hr
;;
ALTER TYPE hr.ht RENAME TO hu
;;
ALTER OPERATOR CLASS hr.hoc USING btree SET SCHEMA public
;;
ALTER EXTENSION plpgsql SET SCHEMA hr
;;
ALTER TABLE ALL IN TABLESPACE pg_default SET TABLESPACE other
;;
ALTER INDEX ALL IN TABLESPACE pg_default SET TABLESPACE other
;;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA hr TO bob
;;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA public TO bob
;;
GRANT USAGE ON TYPE hr.ht TO bob
;;
CREATE STATISTICS ON amount, zip FROM hr.salaries
;;
CREATE TYPE hr.hcomp AS (a int)
;;
CREATE FUNCTION pg_temp.f() RETURNS int LANGUAGE sql AS 'SELECT 1'
;;
CREATE RULE r AS ON INSERT TO orders DO ALSO DELETE FROM hr.salaries
;;
CREATE RULE r AS ON UPDATE TO orders WHERE OLD.note <> NEW.note DO INSTEAD (INSERT INTO hr.salaries (person) VALUES (NEW.note); NOTIFY c)
;;
CREATE RULE r AS ON INSERT TO orders WHERE total > 5 DO ALSO DELETE FROM hr.salaries
;;
CREATE RULE "_RETURN" AS ON SELECT TO people DO INSTEAD SELECT id, ssn FROM customers
;;
CREATE RULE r AS ON INSERT TO nobody DO ALSO DELETE FROM hr.salaries
;;
SELECT id FROM events_2024
;;
SELECT id, tableoid FROM events
;;
EXPLAIN ANALYZE SELECT id FROM events
;;
DELETE FROM events_2025 WHERE id = 1
