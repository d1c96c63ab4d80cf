INSERT INTO customer_contacts (id, name) VALUES (1, 'Ada')
;;
UPDATE customer_contacts SET contact = ssn_upper WHERE id = 5
;;
UPDATE contact_names SET name = 'x' WHERE contact = 'y' RETURNING name
;;
DELETE FROM contact_names WHERE name = 'x'
;;
DELETE FROM hr.top
;;
UPDATE order_totals SET total = 1
;;
MERGE INTO contact_names v USING orders o ON v.name = o.note WHEN MATCHED THEN UPDATE SET name = o.note WHEN NOT MATCHED THEN INSERT (name) VALUES (o.note)
;;
INSERT INTO contact_names SELECT ssn, ssn FROM customers
;;
INSERT INTO contact_names VALUES ('a', 'b') ON CONFLICT DO NOTHING
;;
SELECT * FROM customer_contacts FOR UPDATE
;;
UPDATE orders SET note = c.ssn FROM customers c WHERE c.id = customer_id RETURNING note, orders.id
;;
INSERT INTO orders (customer_id, note) SELECT id, ssn FROM customers RETURNING note, total
;;
TRUNCATE customers CASCADE
;;
TRUNCATE customers
