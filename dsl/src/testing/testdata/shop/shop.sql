CREATE TABLE customers (id int PRIMARY KEY, name text NOT NULL, ssn text, email text);
CREATE TABLE orders (id serial PRIMARY KEY, customer_id int REFERENCES customers, total numeric);
CREATE SCHEMA hr;
CREATE TABLE hr.salaries (person text PRIMARY KEY, amount numeric);
CREATE FUNCTION helper() RETURNS int LANGUAGE plpgsql AS $$ BEGIN EXECUTE current_setting('app.text'); RETURN 1; END $$;
