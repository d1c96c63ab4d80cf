-- Every describing command of psql, over a schema with one of everything.
CREATE TABLE thing (id serial PRIMARY KEY, name text NOT NULL UNIQUE, secret text, weight numeric CHECK (weight > 0), twice numeric GENERATED ALWAYS AS (weight * 2) STORED);
CREATE TABLE part (id integer GENERATED ALWAYS AS IDENTITY, thing_id integer REFERENCES thing (id), EXCLUDE USING btree (id WITH =));
CREATE VIEW thing_names AS SELECT id, name FROM thing;
CREATE MATERIALIZED VIEW thing_copy AS SELECT id FROM thing;
CREATE TYPE colour AS ENUM ('red', 'green');
CREATE DOMAIN small AS integer CHECK (VALUE < 10);
CREATE TABLE log (day date, words text) PARTITION BY RANGE (day);
CREATE TABLE log_2026 PARTITION OF log FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
CREATE FUNCTION twice(integer) RETURNS integer LANGUAGE sql IMMUTABLE AS 'SELECT $1 * 2';
CREATE STATISTICS thing_stats ON name, secret FROM thing;
CREATE PUBLICATION everything FOR ALL TABLES;
INSERT INTO thing (name, secret, weight) VALUES ('a', 's', 1), ('b', 't', 2);
\d
\d+
\d thing
\d+ thing
\d part
\d thing_names
\d+ thing_names
\d thing_copy
\d log
\d+ log
\d log_2026
\d thing_pkey
\d thing_id_seq
\da
\dA+
\db+
\dc
\dC
\dconfig
\dd
\dD+
\ddp
\dE
\deu
\des
\dew
\det
\df
\df+ twice
\dF+
\dFd+
\dFp+
\dFt+
\dg+
\di+
\dl
\dL+
\dm+
\dn+
\do
\dO+
\dp
\dP+
\drds
\dRp+
\dRs+
\ds+
\dS
\dt+
\dT+
\du
\dv+
\dx+
\dX
\dy
\l+
\sf twice
\sv thing_names
\z thing
\conninfo
\encoding
SELECT name, secret FROM thing WHERE id = 1;
UPDATE thing SET weight = 3 WHERE id = 2 RETURNING *;
\copy (SELECT name FROM thing) TO '/dev/null'
