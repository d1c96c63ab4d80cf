SELECT id, ssn FROM customers WHERE id = 7
;;
SELECT * FROM customers
;;
SELECT c FROM customers c
;;
SELECT (c).ssn, (c).* FROM customers c
;;
SELECT count(*), count(ssn), min(ssn) FROM customers WHERE tenant = $1 GROUP BY name ORDER BY 1
;;
SELECT * FROM customer_contacts
;;
SELECT contact FROM contact_names
;;
WITH RECURSIVE r(a, b) AS (SELECT id, ssn FROM customers UNION ALL SELECT a + 1, b FROM r) SELECT * FROM r
;;
SELECT o.id, name FROM orders o JOIN customers c ON c.id = o.customer_id WHERE o.total > 5
;;
SELECT ssn FROM events
;;
SELECT id FROM staff
;;
INSERT INTO orders (customer_id, note) SELECT id, ssn FROM customers RETURNING id
;;
UPDATE customers SET email = ssn WHERE id = 3 RETURNING *
;;
DELETE FROM customers USING orders WHERE orders.customer_id = customers.id
;;
MERGE INTO customers c USING orders o ON c.id = o.customer_id WHEN MATCHED THEN UPDATE SET name = o.note WHEN NOT MATCHED THEN INSERT (id, name, tenant) VALUES (o.id, o.note, 'x')
;;
INSERT INTO customers VALUES (1, 'a') ON CONFLICT (ssn) DO UPDATE SET name = excluded.name
;;
SELECT CASE WHEN ssn = '1' THEN 1 ELSE 0 END FROM customers
;;
SELECT name FROM customers WHERE EXISTS (SELECT 1 FROM hr.salaries WHERE person = name)
;;
SELECT (SELECT s.amount FROM hr.salaries s WHERE s.person = customers.ssn) FROM customers
;;
SELECT id FROM customers UNION SELECT customer_id FROM orders
;;
SELECT peek('x')
;;
SELECT * FROM dblink('a', 'b') AS t(a int)
;;
SELECT set_config('a','b',false), pg_sleep(1)
;;
COPY customers TO STDOUT
;;
COPY (SELECT ssn FROM customers) TO STDOUT
;;
COPY customers (id, name) FROM STDIN
;;
COPY customers FROM '/etc/passwd'
;;
CREATE TABLE x AS SELECT ssn FROM customers
;;
SELECT ssn INTO y FROM customers
;;
CREATE VIEW v AS SELECT * FROM customers
;;
CREATE TABLE t (id serial primary key, a text default now()::text, b int check (b > 0) references orders)
;;
ALTER TABLE customers ADD COLUMN z int DEFAULT 5
;;
DROP TABLE customers, orders CASCADE
;;
EXPLAIN SELECT ssn FROM customers
;;
BEGIN; SELECT 1; COMMIT
;;
SET search_path = hr
;;
SET application_name = 'x'
;;
INSERT INTO audited VALUES (1, 'x')
;;
INSERT INTO ruled VALUES (1)
;;
SELECT row_number() OVER (PARTITION BY tenant ORDER BY ssn) FROM customers
;;
SELECT a.id FROM customers a, LATERAL (SELECT a.ssn AS x) s WHERE x = '1'
;;
SELECT * FROM customers JOIN orders USING (id)
;;
SELECT * FROM customers NATURAL JOIN people
;;
SELECT generate_series(1,3), x FROM unnest(ARRAY['a']) AS x
;;
SELECT * FROM json_each('{}') j
;;
SELECT system_user FROM customers
;;
SELECT 1_000
;;
SELEC 1
;;
SELECT ü, x y z FROM é where
;;
SELECT * FROM customers WHERE true AND 1=1
;;
SELECT 'customers'::regclass, '(1)'::customers, 'calm'::mood, '12345'::zip
;;
SELECT name FROM customers FOR UPDATE
;;
TRUNCATE orders
;;
SELECT * FROM customers WHERE id IN (1,2)
;;
TABLE customers
;;
CREATE INDEX ON customers (lower(name)) WHERE ssn IS NOT NULL
;;
SELECT name FROM (SELECT * FROM customers) s
;;
CREATE TEMP TABLE a (b int)
;;
SELECT nextval('tickets')
;;
MERGE INTO orders AS o USING orders AS b ON o.id = b.customer_id WHEN NOT MATCHED THEN INSERT (id, customer_id, note) VALUES (900, 1, note)
