PREPARE p AS SELECT ssn FROM customers
;;
PREPARE p (int) AS SELECT name, $1 FROM customers WHERE id = $1; EXECUTE p(7)
;;
PREPARE p (text) AS SELECT name FROM customers WHERE tenant = $1; EXECUTE p('acme')
;;
PREPARE p (int) AS SELECT name FROM customers WHERE tenant = $1; EXECUTE p('acme')
;;
PREPARE p AS SELECT name FROM customers WHERE tenant = $1; EXECUTE p(lower('ACME'))
;;
PREPARE p AS SELECT name FROM customers WHERE tenant = $1; EXECUTE p((SELECT ssn FROM customers LIMIT 1))
;;
PREPARE p AS SELECT $1; EXECUTE p((SELECT ssn FROM customers LIMIT 1))
;;
PREPARE p AS SELECT 1; DEALLOCATE p; EXECUTE p
;;
PREPARE p AS SELECT 1; DISCARD ALL; EXECUTE p
;;
PREPARE "P" AS SELECT 1; EXECUTE p
;;
PREPARE p AS UPDATE orders SET note = $1 WHERE id = $2 RETURNING note; EXECUTE p('x', 5)
;;
PREPARE p AS SELECT * FROM customers LIMIT 5; EXPLAIN ANALYZE EXECUTE p
;;
PREPARE p AS SELECT ssn FROM customers LIMIT 5; CREATE TABLE copy AS EXECUTE p
;;
PREPARE p AS SELECT ssn INTO copy FROM customers
;;
PREPARE p AS SELECT ssn FROM nowhere
;;
DECLARE c CURSOR FOR SELECT id, ssn FROM customers WHERE name = 'Ada'; FETCH 10 FROM c; MOVE ALL FROM c; FETCH ALL FROM c; CLOSE c
;;
DECLARE c CURSOR WITH HOLD FOR TABLE customers; FETCH c; CLOSE ALL; FETCH c
;;
FETCH FROM c
;;
DECLARE c CURSOR FOR SELECT id FROM customers; EXECUTE c
