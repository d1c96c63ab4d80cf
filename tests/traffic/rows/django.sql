INSERT INTO shop_customer (id, name, email, ssn, balance, tags, profile, created) OVERRIDING SYSTEM VALUE VALUES (1, 'Ada', 'ada@canary.example', 'canary-ssn', 10, '{a}', '{"k": 1}', '2026-01-02'), (2, 'C1', 'bob@canary.example', 'canary-ssn', 5, '{}', '{}', '2026-01-02');
INSERT INTO shop_product (id, title, price) OVERRIDING SYSTEM VALUE VALUES (1, 'P1', 1);
INSERT INTO shop_order (id, placed, note, customer_id) OVERRIDING SYSTEM VALUE VALUES (1, '2026-01-02', 'x', 1);
INSERT INTO shop_line (id, quantity, order_id, product_id) OVERRIDING SYSTEM VALUE VALUES (1, 2, 1, 1);
INSERT INTO auth_user (id, password, is_superuser, username, first_name, last_name, email, is_staff, is_active, date_joined) OVERRIDING SYSTEM VALUE VALUES (1, 'canary-password', true, 'boss', '', '', 'boss@canary.example', true, true, '2026-01-02');
