-- For the tests of sequences: the shop's own tables have none.
CREATE TABLE public.orders (
    id    serial PRIMARY KEY,
    item  text NOT NULL
);
