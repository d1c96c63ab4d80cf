CREATE DOMAIN percent AS int CHECK (VALUE BETWEEN 0 AND 100) DEFAULT 5
;;
ALTER DOMAIN zip ADD CONSTRAINT short CHECK (length(VALUE) < 9)
;;
CREATE TYPE address AS (street text, zip zip)
;;
CREATE TYPE span AS RANGE (subtype = float8)
;;
ALTER TYPE mood ADD VALUE 'glad'
;;
CREATE FUNCTION f(a int DEFAULT 1) RETURNS text LANGUAGE sql RETURN (SELECT ssn FROM customers LIMIT 1)
;;
CREATE FUNCTION f() RETURNS int LANGUAGE c AS '/tmp/evil', 'f'
;;
CREATE PROCEDURE p() LANGUAGE plpgsql AS 'BEGIN END'
;;
ALTER FUNCTION audit() SECURITY DEFINER
;;
CREATE AGGREGATE total(int) (sfunc = int4pl, stype = int)
;;
CREATE OPERATOR === (leftarg = int, rightarg = int, function = int4eq)
;;
CREATE OPERATOR CLASS c FOR TYPE int USING btree AS OPERATOR 1 <, FUNCTION 1 btint4cmp(int, int)
;;
CREATE CAST (text AS mood) WITH INOUT AS IMPLICIT
;;
CREATE COLLATION german (locale = 'de_DE')
;;
CREATE DEFAULT CONVERSION c FOR 'LATIN1' TO 'UTF8' FROM peek
;;
CREATE TRIGGER t BEFORE UPDATE OF ssn ON customers FOR EACH ROW WHEN (OLD.ssn <> NEW.ssn) EXECUTE FUNCTION audit()
;;
CREATE EVENT TRIGGER e ON ddl_command_end EXECUTE FUNCTION audit()
;;
CREATE RULE r AS ON INSERT TO orders DO ALSO INSERT INTO people (name) SELECT ssn FROM customers
;;
CREATE POLICY own ON customers USING (tenant = current_user)
;;
ALTER TABLE customers ENABLE ROW LEVEL SECURITY
;;
CREATE STATISTICS s (dependencies) ON ssn, email FROM customers
;;
CREATE PUBLICATION p FOR TABLE customers (id, name) WHERE (id > 1), TABLES IN SCHEMA hr
;;
CREATE PUBLICATION p FOR ALL TABLES
;;
CREATE SUBSCRIPTION s CONNECTION 'host=x' PUBLICATION p
;;
CREATE SERVER s FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host 'x')
;;
CREATE FOREIGN TABLE away (a int) SERVER s
;;
IMPORT FOREIGN SCHEMA remote FROM SERVER s INTO public
;;
CREATE TABLESPACE t LOCATION '/tmp/t'
;;
CREATE DATABASE d
;;
ALTER DATABASE shop SET search_path = hr
;;
ALTER SYSTEM SET shared_preload_libraries = 'evil'
;;
ALTER ROLE bob SET provost.principal = 'x'
;;
ALTER DATABASE shop SET provost.kind = 'human'
;;
CREATE FUNCTION sneaky() RETURNS int LANGUAGE sql SET provost.principal = 'x' AS 'SELECT 1'
;;
CREATE FUNCTION sneaky() RETURNS int LANGUAGE sql SET role = postgres AS 'SELECT 1'
;;
ALTER FUNCTION sneaky() SET U&"\0070rovost".principal = 'x'
;;
ALTER FUNCTION sneaky() RESET role
;;
ALTER ROLE bob SET work_mem = '1GB'
;;
CREATE EXTENSION dblink
;;
CREATE SCHEMA shopfront CREATE TABLE a (b int) CREATE VIEW v AS SELECT b FROM a CREATE VIEW w AS SELECT ssn FROM public.customers
;;
ALTER SCHEMA hr RENAME TO staff
;;
DROP SCHEMA hr CASCADE
;;
ALTER TABLE customers RENAME COLUMN ssn TO note
;;
ALTER TABLE customers RENAME TO clients
;;
ALTER TABLE hr.salaries SET SCHEMA public
;;
ALTER TABLE orders ALTER COLUMN note TYPE text USING (SELECT ssn FROM customers LIMIT 1)
;;
ALTER TABLE orders ADD COLUMN twice text GENERATED ALWAYS AS (note || note) STORED
;;
ALTER TABLE customers ADD CONSTRAINT long CHECK (length(ssn) > 3)
;;
ALTER TABLE customers ADD UNIQUE (email)
;;
ALTER TABLE orders ADD FOREIGN KEY (note) REFERENCES customers (ssn)
;;
ALTER TABLE events ATTACH PARTITION staff FOR VALUES FROM ('2026-01-01') TO ('2027-01-01')
;;
ALTER TABLE customers OWNER TO bob
;;
ALTER TABLE customers DISABLE TRIGGER ALL, SET (fillfactor = 70), ALTER ssn SET STATISTICS 100
;;
CREATE TABLE a (LIKE customers INCLUDING ALL, b int CHECK (b > a.b), EXCLUDE USING gist (b WITH =)) PARTITION BY RANGE (lower(b::text))
;;
CREATE TABLE p PARTITION OF events FOR VALUES FROM (MINVALUE) TO ('2020-01-01')
;;
CREATE TABLE IF NOT EXISTS c (a) AS VALUES (1), (2)
;;
CREATE TABLE c AS TABLE customers
;;
CREATE TEMP TABLE c ON COMMIT DROP AS SELECT ssn FROM customers
;;
SELECT ssn INTO TEMP stolen FROM customers
;;
CREATE TEMP VIEW orders AS SELECT ssn FROM customers
;;
CREATE RECURSIVE VIEW r (n) AS SELECT 1 UNION ALL SELECT n + 1 FROM r WHERE n < 5
;;
CREATE OR REPLACE VIEW contact_names AS SELECT name, ssn AS contact FROM customers WITH CHECK OPTION
;;
CREATE UNIQUE INDEX ON customers (email, (lower(ssn))) WHERE tenant = 'a'
;;
GRANT SELECT ON ALL TABLES IN SCHEMA hr TO PUBLIC
;;
GRANT SELECT (ssn) ON customers TO bob
;;
GRANT EXECUTE ON FUNCTION audit() TO bob
;;
REVOKE ALL ON SCHEMA public FROM PUBLIC
;;
GRANT admins TO bob WITH ADMIN OPTION
;;
ALTER DEFAULT PRIVILEGES IN SCHEMA hr GRANT SELECT ON TABLES TO bob
;;
REASSIGN OWNED BY bob TO eve
;;
DROP OWNED BY bob
;;
SECURITY LABEL FOR x ON COLUMN customers.ssn IS 'secret'
;;
COMMENT ON CONSTRAINT orders_pkey ON orders IS 'x'
;;
COMMENT ON FUNCTION audit() IS 'x'
;;
DROP FUNCTION audit() CASCADE
;;
DROP POLICY own ON customers
;;
DROP CAST (text AS mood)
;;
REINDEX TABLE customers
;;
REINDEX INDEX customers_pkey
;;
REINDEX SCHEMA hr
;;
CLUSTER customers USING customers_pkey
;;
CHECKPOINT
;;
LOAD 'evil'
;;
PREPARE TRANSACTION 'x'
;;
COMMIT PREPARED 'x'
;;
LOCK TABLE customer_contacts, ONLY people IN EXCLUSIVE MODE
;;
VACUUM (FULL, ANALYZE) customers (ssn)
;;
DO $$ BEGIN DELETE FROM customers; END $$
;;
CALL audit()
;;
EXPLAIN CREATE TABLE a AS SELECT ssn FROM customers
;;
EXPLAIN DECLARE c CURSOR FOR SELECT ssn FROM customers
;;
EXPLAIN ANALYZE REFRESH MATERIALIZED VIEW order_totals
;;
COPY (DELETE FROM orders RETURNING note) TO STDOUT WITH (FORMAT csv, HEADER, FORCE_QUOTE (note))
;;
COPY customers (name, ssn) FROM STDIN WITH (FORMAT csv, DEFAULT 'x') WHERE ssn <> ''
;;
DISCARD TEMP
;;
SET CONSTRAINTS ALL DEFERRED
;;
NOTIFY c, 'payload'
;;
DROP TABLE customers CASCADE
;;
DROP TABLE orders CASCADE
;;
ALTER TABLE customers DROP COLUMN ssn CASCADE
;;
DROP TYPE pair CASCADE
