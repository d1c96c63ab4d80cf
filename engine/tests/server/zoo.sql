-- What random queries ask about: a small table of every sort. Integers and texts only, so that any two columns compare.
CREATE SCHEMA yard;
CREATE TABLE people (id int, name text, city text, age int, boss int);
CREATE TABLE orders (id int PRIMARY KEY, person int, amount int, note text, total int GENERATED ALWAYS AS (amount * 2) STORED);
CREATE TABLE yard.items (id int, sku text, amount int, name text);
CREATE TABLE "Odd Name" ("Id" int, "a b" text, c int);
-- Inheritance; the grandchild has its columns in another order.
CREATE TABLE animals (a int, b text, c int);
CREATE TABLE birds (wings int) INHERITS (animals);
CREATE TABLE parrots (word text, c int, b text, a int, wings int);
ALTER TABLE parrots INHERIT birds;
-- Partitions; the second was a table of its own, with a dropped column.
CREATE TABLE events (k int, who text, w int) PARTITION BY LIST (k);
CREATE TABLE events_low PARTITION OF events FOR VALUES IN (0, 1);
CREATE TABLE events_rest (gone int, w int, who text, k int);
ALTER TABLE events_rest DROP COLUMN gone;
ALTER TABLE events ATTACH PARTITION events_rest DEFAULT;
-- Views: renamed columns, joins, sets, aggregates, views of views, barriers, stars, laterals.
CREATE VIEW adults AS SELECT id, name AS n, age + 1 AS older FROM people WHERE age > 1;
CREATE VIEW sales (x, y, z) AS SELECT p.id, o.amount, p.name FROM people AS p JOIN orders AS o ON o.person = p.id;
CREATE VIEW by_name AS SELECT n, count(*)::int AS how_many, max(older) AS m FROM adults GROUP BY n;
CREATE VIEW everyone WITH (security_barrier) AS SELECT id, name FROM people UNION SELECT id, sku FROM yard.items;
CREATE VIEW starred AS SELECT * FROM yard.items NATURAL JOIN (SELECT id, person FROM orders) AS o;
CREATE VIEW yard.nested AS WITH recent AS (SELECT k, who FROM events WHERE w > 1) SELECT r.k, r.who, s.z AS seller
  FROM recent AS r LEFT JOIN LATERAL (SELECT z FROM sales WHERE x = r.k ORDER BY z LIMIT 1) AS s ON true;
CREATE MATERIALIZED VIEW kept AS SELECT id, city, age FROM people WHERE boss IS NOT NULL;
