SELECT c FROM customers c
;;
SELECT (c).ssn, (c).name FROM customers c
;;
SELECT s.c, (s.c).ssn, (s.c).* FROM (SELECT c FROM customers c) s
;;
SELECT (s).ssn, s.* FROM (SELECT id, ssn FROM customers) s
;;
SELECT (SELECT c FROM customers c WHERE c.id = 1).name
;;
SELECT ((SELECT c FROM customers c WHERE c.id = 1)).*
;;
WITH w AS (SELECT c AS row FROM customers c) SELECT (row).name, (w.row).ssn FROM w
;;
WITH w AS (SELECT c AS row FROM customers c UNION ALL SELECT c FROM customers c) SELECT (row).name FROM w
;;
SELECT (ROW(c.name, c.ssn)).f1 FROM customers c
;;
SELECT (ROW(c.*, 1)).f2 FROM customers c
;;
SELECT row_to_json(c), to_jsonb(s) FROM customers c, (SELECT name FROM customers) s
;;
SELECT ('(1,Ada)'::customers).ssn, ('(1,Ada)'::customers).*
;;
SELECT r.name FROM customers c, json_populate_record(NULL::customers, to_json(c.ssn)) r
;;
SELECT r.* FROM customers c, json_populate_record(c, '{}') r
;;
SELECT x.* FROM (SELECT c AS r FROM customers c) t, LATERAL (SELECT (t.r).id, (t.r).tenant) x
;;
SELECT count(c), count(c.*), c IS NULL, c.* IS NULL FROM customers c GROUP BY 3, 4
;;
SELECT CASE WHEN id = 1 THEN c END FROM customers c
;;
SELECT (coalesce(c, c)).name FROM customers c
;;
SELECT (array_agg(c))[1] FROM customers c
;;
SELECT ((array_agg(c))[1]).name FROM customers c
;;
SELECT c = ROW(1, 'a') FROM customers c
;;
UPDATE orders SET (note, customer_id) = (SELECT ssn, id FROM customers WHERE id = 1) WHERE id = 2
;;
UPDATE orders SET (note, customer_id) = ROW ('a', customer_id) WHERE id = 2
;;
UPDATE orders SET (note, customer_id) = ROW (c.ssn, c.id) FROM customers c WHERE c.id = orders.customer_id
;;
DELETE FROM orders WHERE CURRENT OF c
;;
WITH RECURSIVE a AS (SELECT * FROM b), b AS (SELECT ssn FROM customers) SELECT * FROM a
;;
WITH RECURSIVE a AS (SELECT * FROM b), b AS (SELECT * FROM a) SELECT * FROM a
;;
WITH RECURSIVE t(c, n) AS (SELECT c, 1 FROM customers c UNION ALL SELECT c, n + 1 FROM t WHERE n < 5) SELECT (c).name, (c).ssn FROM t
;;
SELECT * FROM customers c NATURAL JOIN (SELECT (f).* FROM (SELECT doc AS f FROM documents) x) y
;;
SELECT ssn AS b FROM customers ORDER BY (SELECT b)
