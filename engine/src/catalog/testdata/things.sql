-- One of everything that runs something, and names that are awkward to write down. `things.answer` is what the catalog query
-- gives over it.
CREATE TABLE base (id int PRIMARY KEY, value text DEFAULT 'x', at timestamptz DEFAULT now(), loud text GENERATED ALWAYS AS (upper(value)) STORED,
    CHECK (id > 0), CHECK (value <> 'y'));
CREATE TABLE "odd
table" ("line
break" int, "Grüße ""q"" \ '" text, id int REFERENCES base ON DELETE CASCADE);
CREATE VIEW shown AS SELECT id, value || 'line
break' AS value FROM base;
CREATE INDEX base_at ON base (at);
CREATE FUNCTION plain(a int, b text DEFAULT 'x') RETURNS int LANGUAGE sql STRICT STABLE AS 'SELECT a';
CREATE FUNCTION standard(a int) RETURNS int LANGUAGE sql BEGIN ATOMIC SELECT a; END;
CREATE FUNCTION empty() RETURNS void LANGUAGE sql AS '';
CREATE FUNCTION rows(INOUT a int, VARIADIC b text[], OUT c text) RETURNS SETOF record LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = public, pg_temp AS 'BEGIN RETURN NEXT; END';
CREATE FUNCTION changed() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
CREATE FUNCTION ended() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END';
CREATE PROCEDURE done(a int) LANGUAGE sql AS 'DELETE FROM base';
CREATE AGGREGATE longest(text) (SFUNC = textcat, STYPE = text);
CREATE FUNCTION alike(text, text) RETURNS boolean LANGUAGE sql AS 'SELECT true';
CREATE OPERATOR === (LEFTARG = text, RIGHTARG = text, FUNCTION = alike);
CREATE OPERATOR ==== (LEFTARG = text, RIGHTARG = text, FUNCTION = texteq);
CREATE TYPE mood AS ENUM ('calm');
CREATE FUNCTION number_of(mood) RETURNS int LANGUAGE sql AS 'SELECT 1';
CREATE CAST (mood AS int) WITH FUNCTION number_of AS ASSIGNMENT;
CREATE TRIGGER each_row BEFORE UPDATE OF value ON base FOR EACH ROW WHEN (old.value IS DISTINCT FROM new.value) EXECUTE FUNCTION changed();
CREATE TRIGGER statement AFTER INSERT ON base REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION changed();
CREATE TRIGGER off AFTER DELETE ON base EXECUTE FUNCTION changed();
ALTER TABLE base DISABLE TRIGGER off;
CREATE TRIGGER same BEFORE UPDATE ON base FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger();
CREATE RULE also AS ON DELETE TO base DO ALSO INSERT INTO "odd
table" (id) VALUES (old.id);
ALTER TABLE base ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON base FOR SELECT TO postgres USING (value = CURRENT_USER);
CREATE FUNCTION key_of(text) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT $1';
CREATE TABLE parts (id text) PARTITION BY HASH (key_of(id));
CREATE TABLE parts_0 PARTITION OF parts FOR VALUES WITH (MODULUS 1, REMAINDER 0);
CREATE DOMAIN short AS text CHECK (length(VALUE) < 5);
CREATE FUNCTION apart(int, int) RETURNS double precision LANGUAGE sql IMMUTABLE AS 'SELECT 1.0::float8';
CREATE TYPE span AS RANGE (SUBTYPE = int4, SUBTYPE_DIFF = apart);
CREATE EVENT TRIGGER watch ON ddl_command_end WHEN TAG IN ('CREATE TABLE') EXECUTE FUNCTION ended();
CREATE TEMPORARY TABLE mine (id int);
