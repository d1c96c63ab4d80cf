CREATE TABLE orders (id int PRIMARY KEY, customer_id int NOT NULL, note text);
CREATE TABLE customers (id int PRIMARY KEY, email text, ssn text);
CREATE TABLE audit_trail (id int PRIMARY KEY, what text NOT NULL);
