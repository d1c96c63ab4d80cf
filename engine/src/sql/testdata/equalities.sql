SELECT id FROM customers WHERE tenant = 'acme'
;;
SELECT id FROM customers WHERE 'acme' = tenant AND name > 'a'
;;
SELECT id FROM customers WHERE (tenant = 'acme' AND (id = 007 AND name IS NOT NULL))
;;
SELECT id FROM customers WHERE tenant = 'acme'::text AND id = '-12'::bigint AND id = -3
;;
SELECT id FROM customers WHERE tenant = 'acme'::varchar(2) AND tenant = 'acme'::char AND tenant = 'acme'::name AND id = 5.0 AND id = ' 5' AND id = '0x10'
;;
SELECT id FROM customers WHERE tenant::varchar(3) = 'acme' AND lower(tenant) = 'acme' AND tenant || '' = 'acme' AND tenant = 'acme' COLLATE "C"
;;
SELECT id FROM customers WHERE tenant = 'acme' OR id = 7
;;
SELECT id FROM customers WHERE NOT tenant = 'acme' AND NOT (id <> 7)
;;
SELECT id FROM customers WHERE (tenant = 'acme') IS NOT FALSE AND tenant IS NOT DISTINCT FROM 'acme' AND CASE WHEN tenant = 'acme' THEN true ELSE true END
;;
SELECT id FROM customers WHERE tenant = ANY (ARRAY['acme']) AND tenant IN ('acme') AND tenant IN ('acme', 'other') AND (tenant, id) = ('acme', 1)
;;
SELECT id FROM customers WHERE tenant = NULL AND tenant = name AND tenant = (SELECT 'acme')
;;
SELECT id FROM customers WHERE tenant = 'acme' AND tenant = 'other'
;;
SELECT c.id FROM customers c, customers d WHERE c.tenant = 'acme'
;;
SELECT o.id FROM orders o JOIN customers c ON c.tenant = 'acme' WHERE o.customer_id = 5
;;
SELECT c.id FROM orders o LEFT JOIN customers c ON c.id = o.customer_id WHERE c.tenant = 'acme'
;;
SELECT id FROM customers a FULL JOIN orders b USING (id) WHERE id = 5
;;
SELECT id FROM (SELECT * FROM customers) c WHERE tenant = 'acme'
;;
SELECT id FROM (SELECT * FROM customers WHERE tenant = 'acme') c
;;
WITH c AS (SELECT * FROM customers) SELECT id FROM c WHERE tenant = 'acme'
;;
WITH c AS (SELECT * FROM customers WHERE tenant = 'acme') SELECT id FROM c
;;
SELECT id FROM customers WHERE tenant = 'acme' UNION SELECT id FROM customers
;;
SELECT id FROM customers c WHERE EXISTS (SELECT 1 FROM orders WHERE c.tenant = 'acme' AND customer_id = 3)
;;
SELECT id FROM customers c, LATERAL (SELECT o.total FROM orders o WHERE c.tenant = 'acme') x
;;
SELECT tenant, count(*) FROM customers GROUP BY tenant HAVING tenant = 'acme'
;;
SELECT id FROM customers WHERE tenant = $1 AND id = $2::int
;;
SELECT $1 AS given, id FROM customers WHERE tenant = $1
;;
SELECT id, '$9' AS no, $$ $8 $$ AS neither, $3::int FROM customers WHERE tenant = $1 /* $7 */
;;
SELECT contact FROM customer_contacts WHERE name = 'Ann'
;;
SELECT * FROM events WHERE id = 7
;;
SELECT * FROM people WHERE id = 7
;;
UPDATE customers SET tenant = 'other' FROM orders o WHERE customers.tenant = 'acme' AND o.customer_id = customers.id RETURNING customers.id
;;
UPDATE orders SET note = 'x' FROM customers c WHERE c.tenant = 'acme'
;;
DELETE FROM customers USING orders o WHERE tenant = 'acme' AND o.id = 3
;;
DELETE FROM customers WHERE tenant = 'acme' AND id IN (SELECT customer_id FROM orders)
;;
INSERT INTO customers (id, name, tenant) VALUES (1, 'a', 'x') ON CONFLICT (id) DO UPDATE SET name = 'b' WHERE customers.tenant = 'acme' RETURNING id
;;
INSERT INTO orders (customer_id) SELECT id FROM customers WHERE tenant = 'acme'
;;
MERGE INTO customers c USING orders o ON c.tenant = 'acme' WHEN MATCHED AND c.id = 5 THEN DELETE
;;
SELECT id FROM customers WHERE tenant OPERATOR(pg_catalog.=) 'acme'
;;
SELECT id FROM customers WHERE ssn = '123' LIMIT 10
;;
SELECT id FROM customers WHERE ssn = $1 AND tenant = 'acme' LIMIT ALL
;;
SELECT id FROM customers WHERE ssn = '123' AND ssn = '123' LIMIT $1
;;
SELECT id FROM customers WHERE ssn = '123' AND ssn <> '' FETCH FIRST 3 ROWS ONLY
;;
SELECT id FROM customers WHERE ssn = '123' ORDER BY ssn FETCH FIRST 3 ROWS WITH TIES
;;
SELECT id FROM customers WHERE ssn = '123' GROUP BY id HAVING max(ssn) > '1' LIMIT 3000000000
;;
SELECT CASE WHEN ssn > '5' THEN 1 END FROM customers WHERE ssn = '123' LIMIT 1 + 1
;;
SELECT (SELECT count(*) FROM customers WHERE ssn = '123') LIMIT '5'
;;
SELECT id FROM customers WHERE ssn = '123' AND EXISTS (SELECT 1 FROM customers WHERE ssn = '124') LIMIT -1
;;
SELECT id FROM customers WHERE ssn = '123' UNION ALL SELECT id FROM customers WHERE ssn = '124' LIMIT 2
;;
WITH x AS (SELECT id FROM customers WHERE ssn = '123') SELECT * FROM x LIMIT 4
;;
SELECT id FROM customers WHERE ssn IN ('123') OFFSET 5
;;
SELECT c.id FROM customers c JOIN orders o ON c.ssn = '123'
;;
SELECT a.id FROM customers a, customers b WHERE a.ssn = '123' AND b.ssn = '124'
;;
UPDATE customers SET name = 'x' WHERE ssn = $1
;;
DELETE FROM customers WHERE ssn = '123' RETURNING id
;;
COPY (SELECT id FROM customers WHERE ssn = '123' LIMIT 5) TO STDOUT
;;
EXPLAIN SELECT id FROM customers WHERE ssn = '123' LIMIT 5
;;
SELECT * INTO copied FROM customers WHERE tenant = 'acme' LIMIT 5
