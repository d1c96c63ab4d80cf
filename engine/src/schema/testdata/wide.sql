-- Every way to make something that analysis knows of. Compared with what a real PostgreSQL makes of it.
SET client_min_messages = warning;
SELECT pg_catalog.set_config('check_function_bodies', 'false', false);
CREATE SCHEMA IF NOT EXISTS public;
CREATE SCHEMA billing;
CREATE SCHEMA "Odd Names"
    CREATE TABLE plain (id int PRIMARY KEY)
    CREATE VIEW shown AS SELECT id FROM plain;
COMMENT ON SCHEMA billing IS 'money';

CREATE TYPE mood AS ENUM ('calm', 'cross');
ALTER TYPE mood ADD VALUE 'merry';
CREATE TYPE billing.money_of AS (amount numeric(10, 2), currency char(3));
CREATE TYPE span AS RANGE (SUBTYPE = int4);
CREATE DOMAIN zip AS text CHECK (VALUE ~ '^[0-9]{5}$');
CREATE DOMAIN billing.cents AS integer NOT NULL;
CREATE DOMAIN free_text AS text;
ALTER DOMAIN free_text ADD CONSTRAINT short CHECK (length(VALUE) < 100);

CREATE FUNCTION is_fine(value text) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$ SELECT value <> '' $$;
CREATE FUNCTION billing.tax(amount numeric) RETURNS numeric LANGUAGE sql IMMUTABLE AS $$ SELECT amount * 0.2 $$;
CREATE FUNCTION audit() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$;
CREATE PROCEDURE billing.close_month(month date) LANGUAGE sql AS $$ DELETE FROM public.no_such_table $$;
CREATE AGGREGATE longest(text) (SFUNC = textcat, STYPE = text);
CREATE FUNCTION same_text(one text, other text) RETURNS boolean LANGUAGE sql AS $$ SELECT $1 = $2 $$;
CREATE OPERATOR === (LEFTARG = text, RIGHTARG = text, FUNCTION = same_text);
ALTER FUNCTION is_fine(text) OWNER TO CURRENT_USER;

CREATE TABLE customers (
    id         serial PRIMARY KEY,
    name       text NOT NULL,
    email      varchar(200) UNIQUE,
    ssn        char(11),
    zip        zip,
    mood       mood DEFAULT 'calm',
    tags       text[] DEFAULT '{}',
    born       date,
    weight     double precision,
    balance    billing.money_of,
    joined     timestamp with time zone DEFAULT now() NOT NULL,
    shout      text GENERATED ALWAYS AS (upper(name)) STORED,
    secret     bytea,
    extra      jsonb DEFAULT '{}'::jsonb,
    CONSTRAINT ssn_once UNIQUE (ssn),
    CONSTRAINT grown CHECK (born < '2010-01-01'::date AND weight > 0)
);
CREATE TABLE billing.invoices (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    customer   integer NOT NULL REFERENCES customers ON DELETE CASCADE,
    number     text,
    amount     numeric(10, 2) CHECK (amount >= 0),
    cents      billing.cents,
    state      text DEFAULT 'open',
    note       text,
    UNIQUE (customer, number) DEFERRABLE INITIALLY DEFERRED
);
CREATE TABLE billing.lines (
    invoice    bigint,
    line       smallint,
    what       text NOT NULL,
    price      numeric DEFAULT 1 + 1,
    taxed      numeric DEFAULT billing.tax(10),
    PRIMARY KEY (invoice, line),
    FOREIGN KEY (invoice) REFERENCES billing.invoices (id) ON UPDATE SET NULL ON DELETE SET DEFAULT,
    CHECK (is_fine(what)),
    EXCLUDE USING btree (what WITH =) WHERE (price > 5)
);
CREATE TABLE plain (a int, gone int, b text, c text);
ALTER TABLE plain DROP COLUMN gone;
ALTER TABLE plain ADD COLUMN d bigserial;
ALTER TABLE plain ADD COLUMN e integer REFERENCES customers (id) ON DELETE SET NULL;
ALTER TABLE plain ALTER COLUMN b TYPE varchar(10);
ALTER TABLE plain ALTER COLUMN c SET NOT NULL, ALTER COLUMN c SET DEFAULT current_user;
ALTER TABLE plain RENAME COLUMN c TO renamed;
ALTER TABLE plain ADD CONSTRAINT b_once UNIQUE (b);
ALTER TABLE plain ADD PRIMARY KEY (a);
ALTER TABLE plain ADD CONSTRAINT fine CHECK (is_fine(b)) NOT VALID;
ALTER TABLE plain DROP CONSTRAINT b_once;
CREATE TABLE alike (LIKE customers INCLUDING ALL, more text);
CREATE TABLE alike_bare (LIKE customers);
CREATE TABLE old_name (id int UNIQUE);
ALTER TABLE old_name RENAME TO new_name;
ALTER TABLE new_name SET SCHEMA billing;

CREATE TABLE people (id int NOT NULL, name text DEFAULT 'nobody', CHECK (id > 0));
CREATE TABLE staff (badge text UNIQUE) INHERITS (people);
CREATE TABLE managers (name text, bonus numeric) INHERITS (staff);
ALTER TABLE people ADD COLUMN ssn text;

CREATE TABLE events (id bigint, at date NOT NULL, who integer REFERENCES customers ON DELETE CASCADE, ssn text, payload jsonb, PRIMARY KEY (id, at))
    PARTITION BY RANGE (at);
CREATE TABLE events_2024 PARTITION OF events FOR VALUES FROM ('2024-01-01') TO ('2025-01-01');
CREATE TABLE events_2025 (ssn text, id bigint NOT NULL, at date NOT NULL, who integer, payload jsonb);
ALTER TABLE events ATTACH PARTITION events_2025 FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');
CREATE TABLE events_later PARTITION OF events FOR VALUES FROM ('2026-01-01') TO ('2030-01-01') PARTITION BY LIST (id);
CREATE TABLE events_later_1 PARTITION OF events_later DEFAULT;

CREATE INDEX ON customers (born);
CREATE UNIQUE INDEX customers_shout ON customers (lower(name), weight);
CREATE UNIQUE INDEX invoices_open ON billing.invoices (note) WHERE state = 'open';
CREATE UNIQUE INDEX invoices_with ON billing.invoices (number) INCLUDE (amount);
CREATE INDEX lines_fine ON billing.lines (is_fine(what)) WHERE billing.tax(price) > 1;

CREATE SEQUENCE tickets START 100;
CREATE TABLE numbered (id int DEFAULT nextval('tickets'), note free_text);

CREATE TABLE audited (id int PRIMARY KEY, value text);
CREATE TRIGGER audited_changes AFTER INSERT OR UPDATE ON audited FOR EACH ROW EXECUTE FUNCTION audit();
CREATE TRIGGER audited_gone BEFORE TRUNCATE ON audited EXECUTE FUNCTION audit();
CREATE TRIGGER audited_off BEFORE DELETE ON audited FOR EACH ROW EXECUTE FUNCTION audit();
ALTER TABLE audited DISABLE TRIGGER audited_off;
CREATE TRIGGER events_changes BEFORE UPDATE ON events FOR EACH ROW EXECUTE FUNCTION audit();
CREATE TABLE ruled (id int);
CREATE RULE ruled_log AS ON INSERT TO ruled DO ALSO DELETE FROM audited;

CREATE VIEW contacts AS SELECT c.id, c.name, c.email AS contact, upper(c.ssn) AS ssn_upper, length(c.name) FROM customers c WHERE c.zip <> '00000';
CREATE VIEW contact_names (who, how) AS SELECT name, contact FROM contacts;
CREATE VIEW all_of_customers AS SELECT * FROM customers;
CREATE VIEW joined AS SELECT c.name, i.amount, billing.tax(i.amount) AS tax, i.amount * 2 AS twice, coalesce(c.email, 'none') AS mail
    FROM customers c JOIN billing.invoices i ON i.customer = c.id ORDER BY c.name;
CREATE VIEW fine_ones AS SELECT id, is_fine(name) AS fine, name === 'x' AS same FROM customers;
CREATE VIEW top AS WITH best AS (SELECT customer, sum(amount) AS total, count(*) AS many FROM billing.invoices GROUP BY customer)
    SELECT c.name, b.total, b.many, CASE WHEN b.total > 10 THEN 'big' ELSE 'small' END AS size FROM best b JOIN customers c ON c.id = b.customer;
CREATE VIEW both_kinds AS SELECT id, name FROM customers UNION ALL SELECT id, name FROM people;
CREATE MATERIALIZED VIEW totals AS SELECT customer, sum(amount) AS total, max(note) AS last FROM billing.invoices GROUP BY customer;
CREATE UNIQUE INDEX totals_customer ON totals (customer);
CREATE OR REPLACE VIEW contact_names (who, how, which) AS SELECT name, contact, id FROM contacts;
CREATE TABLE copied AS SELECT id, name, upper(name) AS loud FROM customers;
ALTER TABLE customers ADD COLUMN late text;
CREATE VIEW drop_me AS SELECT 1 AS one;
DROP VIEW drop_me;

CREATE POLICY own ON customers USING (name = CURRENT_USER);
ALTER TABLE customers ENABLE ROW LEVEL SECURITY;
GRANT SELECT ON customers TO PUBLIC;
ALTER DEFAULT PRIVILEGES IN SCHEMA billing GRANT SELECT ON TABLES TO PUBLIC;
INSERT INTO audited VALUES (1, 'one');
ANALYZE audited;
CREATE COLLATION loose (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
CREATE DOMAIN any_case AS text COLLATE loose;
CREATE TABLE collated (id int PRIMARY KEY, a text COLLATE loose, b any_case, c text COLLATE "C", UNIQUE (a, b));
CREATE VIEW collated_shown AS SELECT a, upper(b) AS b, c FROM collated;
