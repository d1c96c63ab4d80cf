-- What a view's text calls by name: view, what sort of object (relation, function, operator, type), its oid; `x` where the text
-- says something besides that may become another word: an enum's label, a collation, an index. Then each object with its name
-- behind its length in characters, which no catalog has where it is not the newest.
SELECT concat_ws(E'\n',
  (SELECT string_agg(concat_ws(' ', 'u', c.view::pg_catalog.int8, c.sort, c.oid::pg_catalog.int8), E'\n') FROM calls AS c),
  (SELECT string_agg(concat_ws(' ', 'n', n.sort, n.oid::pg_catalog.int8, char_length(n.called) + (NOT n.is_newest)::pg_catalog.int4,
    concat(n.called, CASE WHEN NOT n.is_newest THEN '!' END)), E'\n') FROM names AS n))
