SELECT * FROM customers
SELECT * FROM "Odd Names".plain, "Odd Names".shown
SELECT id, upper(ssn), shout, extra->>'a', tags[1], (balance).amount FROM customers WHERE id = 7
SELECT name FROM customers WHERE email = 'a@b' AND born > '2000-01-01'
SELECT name FROM customers WHERE ssn = '123-45-6789'
SELECT * FROM contacts WHERE id = 3
SELECT who, how, which FROM contact_names
SELECT * FROM all_of_customers WHERE ssn = '1'
SELECT * FROM joined
SELECT tax, twice, mail || 'x' FROM joined
SELECT * FROM fine_ones
SELECT name, size || '!' FROM top
SELECT ssn_upper || name FROM contacts
SELECT * FROM both_kinds
SELECT * FROM totals WHERE customer = 1
SELECT * FROM copied
SELECT loud || name FROM copied
SELECT * FROM people
SELECT * FROM ONLY staff WHERE badge = 'x'
SELECT bonus, ssn FROM managers
SELECT * FROM events WHERE id = 1 AND at = '2024-02-03'
SELECT * FROM events_2025
SELECT ssn FROM events_later_1 WHERE id = 1 AND at = '2026-02-03'
SELECT * FROM billing.invoices WHERE customer = 1 AND number = 'x'
SELECT * FROM billing.lines WHERE invoice = 1 AND line = 2
SELECT late FROM customers
SELECT * FROM plain WHERE a = 1
SELECT * FROM plain WHERE b = 'x'
SELECT renamed, d FROM plain
SELECT * FROM alike
SELECT * FROM alike_bare WHERE id = 1
SELECT shout FROM alike WHERE email = 'x'
SELECT * FROM billing.new_name WHERE id = 1
SELECT last_value FROM tickets
SELECT * FROM customers_id_seq
SELECT longest(name), is_fine('x'), billing.tax(1) FROM customers
SELECT name === 'x' FROM customers
SELECT 'calm'::mood, 'x'::zip, 1::billing.cents, 'y'::free_text, '[1,2]'::span, ROW(1, 'EUR')::billing.money_of
SELECT '{}'::mood[], NULL::customers, '{}'::customers[]
SELECT span(1, 2)
SELECT nextval('tickets')
SELECT no_such_column FROM customers
SELECT * FROM no_such_table
SELECT gone FROM plain
SELECT one FROM drop_me
SELECT relname, relkind FROM pg_class WHERE oid = 1
SELECT c.relname, a.attname, t.typname FROM pg_catalog.pg_class c JOIN pg_attribute a ON a.attrelid = c.oid JOIN pg_type t ON t.oid = a.atttypid
SELECT table_name, column_name FROM information_schema.columns
SELECT usename, query FROM pg_stat_activity
SELECT * FROM pg_stats
INSERT INTO customers (name) VALUES ('x')
INSERT INTO customers (name, zip, mood) VALUES ('x', '12345', 'cross') RETURNING id, shout
INSERT INTO billing.invoices (customer, number, amount, cents) VALUES (1, 'n', 10, 5)
INSERT INTO billing.lines VALUES (1, 1, 'thing')
INSERT INTO numbered (note) SELECT name FROM customers
INSERT INTO plain (a) VALUES (1)
INSERT INTO alike (name) VALUES ('x')
INSERT INTO staff (badge) VALUES ('x')
INSERT INTO managers (bonus) VALUES (1)
INSERT INTO events VALUES (1, '2024-02-03', 1, 's', '{}')
INSERT INTO events_2025 (id, at, who) VALUES (1, '2025-01-01', 1)
INSERT INTO audited VALUES (1, 'x')
INSERT INTO ruled VALUES (1)
INSERT INTO customers (id, name) VALUES (1, 'x') ON CONFLICT (id) DO UPDATE SET name = excluded.name
INSERT INTO customers (name) VALUES ('x') ON CONFLICT ON CONSTRAINT ssn_once DO NOTHING
UPDATE customers SET name = 'x' WHERE id = 1
UPDATE customers SET id = 2, ssn = '1'
UPDATE billing.invoices SET id = 2 WHERE number = 'x'
UPDATE billing.invoices SET note = 'x', state = 'y' WHERE id = 1
UPDATE people SET name = 'x'
UPDATE events SET ssn = 'x' WHERE id = 1
UPDATE audited SET value = 'x' WHERE id = 1
UPDATE plain SET e = 1, b = 'x'
DELETE FROM customers
DELETE FROM customers WHERE id = 1
DELETE FROM billing.invoices WHERE id = 1
DELETE FROM events WHERE id = 1
DELETE FROM audited WHERE id = 1
DELETE FROM people WHERE id = 1
TRUNCATE audited
TRUNCATE customers CASCADE
MERGE INTO audited a USING customers c ON c.id = a.id WHEN MATCHED THEN UPDATE SET value = c.name WHEN NOT MATCHED THEN INSERT VALUES (c.id, c.name)
COPY customers TO STDOUT
COPY billing.lines (invoice, line, what) FROM STDIN
CALL billing.close_month('2026-01-01')
CREATE TABLE more (id int REFERENCES customers, mood mood)
CREATE VIEW more AS SELECT * FROM contacts
ALTER TABLE customers ADD COLUMN again text
DROP TABLE customers
GRANT SELECT ON customers TO PUBLIC
EXPLAIN SELECT * FROM customers
LOCK TABLE customers
SELECT id FROM customers FOR UPDATE
VACUUM customers
REFRESH MATERIALIZED VIEW totals
SELECT id FROM collated WHERE a = 'x' AND b = 'y'
SELECT id FROM collated WHERE c = 'x'
SELECT c FROM collated_shown WHERE a = 'x' AND b = 'Y'
