-- The schema of calls.answer: functions, procedures, operators, casts, triggers, rules and policies of users.
SET check_function_bodies = off;
CREATE EXTENSION citext;
CREATE EXTENSION dblink;
CREATE EXTENSION pgcrypto;
CREATE EXTENSION tablefunc;
CREATE TABLE customers (id int PRIMARY KEY, name text NOT NULL, ssn text, email citext, tenant text);
CREATE TABLE log (at timestamptz DEFAULT now(), what text, who text);
CREATE TABLE orders (id int PRIMARY KEY, customer_id int, total numeric, note text);
CREATE TYPE pair AS (first text, second text);
CREATE SCHEMA early;

CREATE FUNCTION add(a int, b int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT a + b';
CREATE FUNCTION ssn_of(int) RETURNS text LANGUAGE sql AS 'SELECT ssn FROM customers WHERE id = $1';
CREATE FUNCTION early.ssn_of(int) RETURNS text LANGUAGE sql AS $$ SELECT 'none'::text $$;
CREATE FUNCTION standard(who int) RETURNS text RETURN (SELECT ssn FROM customers WHERE id = who);
CREATE FUNCTION atomic(who int) RETURNS TABLE (i int, n text) BEGIN ATOMIC
  INSERT INTO log (what) VALUES ('read'); SELECT id, name FROM customers WHERE id = who; END;
CREATE FUNCTION several(OUT i int, OUT s text) LANGUAGE sql AS 'SELECT id, ssn FROM customers LIMIT 1';
CREATE FUNCTION whole() RETURNS SETOF customers LANGUAGE sql AS 'SELECT * FROM customers';
CREATE FUNCTION pairs() RETURNS SETOF pair LANGUAGE sql AS 'SELECT name, ssn FROM customers';
CREATE FUNCTION loose() RETURNS SETOF record LANGUAGE sql AS 'SELECT name, ssn FROM customers';
CREATE FUNCTION over_loaded(text) RETURNS text LANGUAGE sql AS 'SELECT upper($1)';
CREATE FUNCTION over_loaded(int) RETURNS text LANGUAGE sql AS $$ DELETE FROM orders WHERE id = $1 RETURNING note $$;
CREATE FUNCTION note_it(what text) RETURNS text LANGUAGE sql AS 'INSERT INTO log (what) VALUES (what) RETURNING what';
CREATE FUNCTION looks_pure(a int, b text DEFAULT note_it('x')) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT a';
CREATE FUNCTION variable_many(VARIADIC words text[]) RETURNS text LANGUAGE sql AS $$ SELECT array_to_string(words, ',') $$;
CREATE FUNCTION upper(text) RETURNS text LANGUAGE sql AS 'SELECT ssn FROM customers WHERE name = $1';
CREATE FUNCTION polymorphic(anyelement) RETURNS anyelement LANGUAGE sql AS 'SELECT $1';
CREATE FUNCTION own_path() RETURNS text LANGUAGE sql SET search_path = early, public AS 'SELECT ssn_of(1)';
CREATE FUNCTION whose_path() RETURNS text LANGUAGE sql SET search_path = "$user" AS 'SELECT ssn_of(1)';
CREATE FUNCTION shadowed(ssn text) RETURNS text LANGUAGE sql AS 'SELECT ssn FROM customers WHERE shadowed.ssn = name';
CREATE FUNCTION peers() RETURNS text LANGUAGE sql AS $$ SELECT string_agg(a, '') FROM dblink('x', 'SELECT 1') AS t(a text) $$;
CREATE FUNCTION session_wide() RETURNS text LANGUAGE sql AS $$ SELECT set_config('search_path', 'early', false) $$;

CREATE FUNCTION fact(n numeric) RETURNS numeric LANGUAGE plpgsql AS $$
BEGIN IF n < 2 THEN RETURN 1; END IF; RETURN n * fact(n - 1); END $$;
CREATE FUNCTION leak_by_variable(who int) RETURNS text LANGUAGE plpgsql AS $$
DECLARE v text; w text;
BEGIN
  SELECT ssn INTO v FROM customers WHERE id = who;
  w := v;
  RETURN w;
END $$;
CREATE FUNCTION leak_by_branch(who int) RETURNS int LANGUAGE plpgsql AS $$
DECLARE r customers%ROWTYPE; n int := 0;
BEGIN
  SELECT * INTO r FROM customers WHERE id = who;
  IF r.ssn LIKE '1%' THEN n := 1; END IF;
  RETURN n;
END $$;
CREATE FUNCTION leak_by_error(who int) RETURNS text LANGUAGE plpgsql AS $$
DECLARE n int;
BEGIN
  BEGIN
    SELECT ssn::int INTO n FROM customers WHERE id = who;
  EXCEPTION WHEN others THEN RETURN SQLERRM;
  END;
  RETURN 'fine';
END $$;
CREATE FUNCTION leak_by_notice() RETURNS void LANGUAGE plpgsql AS $$
DECLARE r record;
BEGIN FOR r IN SELECT ssn FROM customers LOOP RAISE NOTICE 'see %', r.ssn; END LOOP; END $$;
CREATE FUNCTION leak_by_cursor() RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE c CURSOR (k int) FOR SELECT ssn FROM customers WHERE id > k; v text;
BEGIN OPEN c(3); FETCH c INTO v; RETURN NEXT v; CLOSE c; FOR x IN c(k := 2) LOOP RETURN NEXT x.ssn; END LOOP; END $$;
CREATE FUNCTION gives_cursor() RETURNS refcursor LANGUAGE plpgsql AS $$
DECLARE c refcursor := 'mine'; BEGIN OPEN c FOR SELECT ssn FROM customers; RETURN c; END $$;
CREATE FUNCTION reads_cursor(c refcursor) RETURNS text LANGUAGE plpgsql AS $$
DECLARE v text; BEGIN FETCH c INTO v; RETURN v; END $$;
CREATE FUNCTION dynamic(t text) RETURNS int LANGUAGE plpgsql AS $$
DECLARE n int; BEGIN EXECUTE format('SELECT count(*) FROM %I', t) INTO n; RETURN n; END $$;
CREATE FUNCTION literal_dynamic(who int) RETURNS text LANGUAGE plpgsql AS $$
DECLARE v text; BEGIN EXECUTE 'SELECT ssn FROM customers WHERE id = $1' INTO v USING who; RETURN v; END $$;
CREATE FUNCTION rows_out(who int) RETURNS TABLE (n text, s text) LANGUAGE plpgsql AS $$
BEGIN RETURN QUERY SELECT c.name, c.ssn FROM customers c WHERE c.id = who; n := 'end'; RETURN NEXT; END $$;
CREATE FUNCTION own_pure(a int) RETURNS int LANGUAGE plpgsql AS $$
DECLARE t int := 0; BEGIN FOR i IN 1..a LOOP t := t + i; END LOOP; RETURN t; END $$;
CREATE FUNCTION conflicting(id int) RETURNS int LANGUAGE plpgsql AS $$
#variable_conflict use_variable
BEGIN RETURN (SELECT count(*) FROM customers WHERE id = id); END $$;
CREATE PROCEDURE archive(who int, INOUT gone text) LANGUAGE plpgsql AS $$
BEGIN DELETE FROM customers WHERE id = who RETURNING ssn INTO gone; COMMIT; END $$;
CREATE PROCEDURE plain_note(what text) LANGUAGE sql AS 'INSERT INTO log (what) VALUES (what)';
CREATE PROCEDURE calls_other(INOUT x text) LANGUAGE plpgsql AS $$ BEGIN CALL plain_note(x); x := 'done'; END $$;

CREATE FUNCTION numeric_eq_text(numeric, text) RETURNS boolean LANGUAGE sql AS 'SELECT $1::text = ssn FROM customers WHERE name = $2';
CREATE OPERATOR === (LEFTARG = numeric, RIGHTARG = text, FUNCTION = numeric_eq_text);
CREATE FUNCTION pair_of(text) RETURNS pair LANGUAGE sql AS $$ SELECT ROW($1, ssn)::pair FROM customers WHERE name = $1 $$;
CREATE CAST (text AS pair) WITH FUNCTION pair_of(text);
CREATE FUNCTION plus(int, text) RETURNS int LANGUAGE sql AS 'SELECT $1 + length($2)';
CREATE AGGREGATE total_length(text) (SFUNC = plus, STYPE = int, INITCOND = '0');

CREATE FUNCTION audit() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO log (what, who) VALUES (TG_OP || NEW.name, OLD.ssn);
  NEW.name := upper(NEW.name);
  RETURN NEW;
END $$;
CREATE TRIGGER customers_audit BEFORE UPDATE ON customers FOR EACH ROW WHEN (OLD.name IS DISTINCT FROM NEW.name) EXECUTE FUNCTION audit();
CREATE FUNCTION counted() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN INSERT INTO log (what) SELECT note FROM added; RETURN NULL; END $$;
CREATE TRIGGER orders_counted AFTER INSERT ON orders REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION counted();
CREATE FUNCTION valid(text) RETURNS boolean LANGUAGE sql AS $$ SELECT $1 <> 'x' AND EXISTS (SELECT FROM log) $$;
CREATE TABLE checked (id int, word text CHECK (valid(word)), code text DEFAULT note_it('default'));
CREATE DOMAIN worded AS text CHECK (valid(VALUE));
CREATE TABLE guarded (id int, tenant text);
ALTER TABLE guarded ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON guarded USING (tenant IN (SELECT tenant FROM customers WHERE name = current_user));
CREATE TABLE ruled (id int, word text);
CREATE RULE ruled_log AS ON INSERT TO ruled WHERE NEW.id > 3 DO ALSO INSERT INTO log (what) VALUES (NEW.word);
CREATE FUNCTION leak_by_alias(who int) RETURNS text LANGUAGE plpgsql AS $$
DECLARE one ALIAS FOR $1; v text; "Same" ALIAS FOR v; same_again ALIAS FOR "Same";
BEGIN SELECT ssn INTO "Same" FROM customers WHERE id = one; RETURN same_again; END $$;
CREATE FUNCTION leak_by_number(who text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN who := (SELECT ssn FROM customers WHERE name = $1); RETURN $1; END $$;
CREATE FUNCTION leak_by_number_written(who text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN $1 := (SELECT ssn FROM customers WHERE name = who); RETURN who; END $$;
CREATE TABLE renamed (id int, word text);
CREATE FUNCTION renames() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE fresh ALIAS FOR NEW; stale ALIAS FOR OLD;
BEGIN fresh.word := (SELECT ssn FROM customers WHERE id = fresh.id); RETURN fresh; END $$;
CREATE TRIGGER renamed_on_insert BEFORE INSERT ON renamed FOR EACH ROW EXECUTE FUNCTION renames();
CREATE TABLE kinds (code text PRIMARY KEY, label text);
CREATE TABLE things (id int, kind text REFERENCES kinds ON UPDATE CASCADE ON DELETE SET NULL);
CREATE TABLE renamed_copies (id int, word text);
CREATE FUNCTION copies() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN INSERT INTO renamed_copies VALUES (NEW.*); RETURN NEW; END $$;
CREATE TRIGGER renamed_on_update BEFORE UPDATE ON renamed FOR EACH ROW EXECUTE FUNCTION copies();
CREATE FUNCTION copies_pair(p pair) RETURNS void LANGUAGE sql AS 'INSERT INTO renamed_copies VALUES ((p).*)';
CREATE FUNCTION makes_table() RETURNS void LANGUAGE sql AS 'CREATE TABLE made AS SELECT id, ssn FROM customers';
CREATE FUNCTION explains() RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE line text; BEGIN FOR line IN EXPLAIN ANALYZE SELECT ssn FROM customers LOOP RETURN NEXT line; END LOOP; END $$;
CREATE TABLE grades (code text PRIMARY KEY, label text);
CREATE TABLE graded (id int, grade text DEFAULT ssn_of(1) REFERENCES grades ON DELETE SET DEFAULT ON UPDATE SET DEFAULT, other text DEFAULT note_it('x'));
CREATE TABLE secp (id int, secret text, plain text) PARTITION BY LIST (secret);
CREATE TABLE secp_a PARTITION OF secp FOR VALUES IN ('a');
CREATE TABLE secp_b PARTITION OF secp FOR VALUES IN ('b') PARTITION BY HASH (lower(plain));
CREATE TABLE secp_b_0 PARTITION OF secp_b FOR VALUES WITH (MODULUS 1, REMAINDER 0);
CREATE UNIQUE INDEX ON secp_b_0 (id);
CREATE VIEW of_secp_a AS SELECT id FROM secp_a;
