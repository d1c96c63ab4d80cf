-- The shop that the end-to-end tests and the corpus run against. Values that a mask must hide are canaries
-- (tests/e2e/support/canary.rs knows them); nothing here is real.

CREATE TABLE customers (
    id      integer PRIMARY KEY,
    name    text NOT NULL,
    email   text UNIQUE,
    ssn     text NOT NULL,
    phone   text,
    tenant  integer NOT NULL DEFAULT 1,
    balance numeric(10, 2) NOT NULL DEFAULT 0
);
INSERT INTO customers VALUES
    (1, 'Ada', 'canaryada@example.org', '901-77-0001', '+1-555-7001', 1, 10.50),
    (2, 'Bob', 'canarybob@example.com', '902-78-0002', '+1-555-7002', 1, 20.00),
    (3, 'Cyd', 'canarycyd@example.net', '903-79-0003', NULL, 2, 30.25);

CREATE TABLE orders (
    id          integer PRIMARY KEY,
    customer_id integer NOT NULL REFERENCES customers (id),
    total       numeric(10, 2) NOT NULL,
    note        text,
    placed_at   timestamptz NOT NULL DEFAULT '2026-01-02 03:04:05+00'
);
INSERT INTO orders (id, customer_id, total, note) VALUES
    (1, 1, 99.90, 'first'), (2, 1, 5.00, NULL), (3, 2, 42.00, 'gift'), (4, 3, 7.77, 'late');

CREATE TABLE cards (
    id          integer PRIMARY KEY,
    customer_id integer NOT NULL REFERENCES customers (id),
    card_number text NOT NULL
);
INSERT INTO cards VALUES (1, 1, '4111-7001'), (2, 2, '4111-7002');

CREATE TABLE scratch (id integer, body text);

-- Column names that fool a reader who folds or trims.
CREATE TABLE "Odd Names" ("SSN" text, "select" text, plain text);
INSERT INTO "Odd Names" VALUES ('visible', 'keyword', 'plain');

CREATE VIEW customer_names AS SELECT id, name FROM customers;
CREATE VIEW customer_contacts AS SELECT id, name, email, ssn AS code FROM customers;

CREATE TABLE events (id integer, day date NOT NULL, body text) PARTITION BY RANGE (day);
CREATE TABLE events_2026 PARTITION OF events FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
INSERT INTO events VALUES (1, '2026-03-04', 'started');

-- An heir of customers: its rows appear in SELECT ... FROM customers only through a parent's eyes.
CREATE TABLE people (id integer, ssn text);
CREATE TABLE staff (desk text) INHERITS (people);
INSERT INTO staff VALUES (1, '901-77-0001', 'A1');

CREATE SCHEMA hr;
CREATE TABLE hr.salaries (employee text PRIMARY KEY, salary numeric NOT NULL, date_of_birth date);
INSERT INTO hr.salaries VALUES ('ada', 100000, '1990-01-01'), ('bob', 90000, '1985-05-05');

CREATE FUNCTION leak(integer) RETURNS text LANGUAGE sql STABLE AS 'SELECT ssn FROM public.customers WHERE id = $1';
CREATE FUNCTION opaque(integer) RETURNS text LANGUAGE plpgsql AS $$ BEGIN RETURN (SELECT ssn FROM public.customers WHERE id = $1); END $$;
CREATE FUNCTION shout(text) RETURNS text LANGUAGE plpgsql AS $$ BEGIN RAISE NOTICE 'value %', $1; RETURN $1; END $$;
CREATE PROCEDURE wipe() LANGUAGE plpgsql AS $$ BEGIN DELETE FROM public.scratch; END $$;

-- What a server does with a value by itself: computes it, keeps it elsewhere, hands it on.
CREATE TABLE vouchers (id integer PRIMARY KEY, card_number text, digits text GENERATED ALWAYS AS (upper(card_number)) STORED);
INSERT INTO vouchers (id, card_number) VALUES (1, '4111-7001'), (2, '4111-7002');
CREATE MATERIALIZED VIEW card_copies AS SELECT id, card_number AS number FROM cards;
CREATE VIEW card_views AS SELECT id, upper(number) AS loud FROM (SELECT id, card_number AS number FROM cards) AS c;
CREATE VIEW contact_words AS SELECT id, code || '' AS word FROM customer_contacts;
CREATE FUNCTION first_card() RETURNS text LANGUAGE sql STABLE AS 'SELECT card_number FROM public.cards ORDER BY id LIMIT 1';
CREATE FUNCTION card_of(integer) RETURNS text LANGUAGE sql STABLE AS 'SELECT card_number FROM public.cards WHERE id = $1';
CREATE FUNCTION card_rows() RETURNS SETOF cards LANGUAGE sql STABLE AS 'SELECT * FROM public.cards';
CREATE OPERATOR @# (rightarg = integer, function = card_of);
CREATE TABLE dropped (id integer PRIMARY KEY, body text DEFAULT first_card());
CREATE TABLE handed (id integer PRIMARY KEY, body text);
CREATE FUNCTION hand_on() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.body := (SELECT card_number FROM public.cards WHERE id = NEW.id); RETURN NEW; END $$;
CREATE TRIGGER hand_on BEFORE INSERT ON handed FOR EACH ROW EXECUTE FUNCTION hand_on();
CREATE TABLE echoed (id integer PRIMARY KEY, body text);
CREATE RULE echo AS ON INSERT TO echoed DO INSTEAD INSERT INTO public.scratch SELECT 1, card_number FROM public.cards;

-- Which partition a row is in tells of the column that it is chosen by.
CREATE TABLE wallets (id integer, card_number text) PARTITION BY RANGE (card_number);
CREATE TABLE wallets_4 PARTITION OF wallets FOR VALUES FROM ('4') TO ('5');
CREATE TABLE wallets_5 PARTITION OF wallets FOR VALUES FROM ('5') TO ('6');
INSERT INTO wallets VALUES (1, '4111-7001'), (2, '4111-7002');
-- What a foreign key sets is computed by a default.
CREATE TABLE tiers (code text PRIMARY KEY);
INSERT INTO tiers VALUES ('gold');
CREATE TABLE tiered (id integer PRIMARY KEY, tier text DEFAULT first_card() REFERENCES tiers ON UPDATE SET DEFAULT ON DELETE SET DEFAULT);

CREATE SEQUENCE ticket;
ANALYZE;
