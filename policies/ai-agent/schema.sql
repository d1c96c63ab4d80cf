-- What the pack's tests run against.
CREATE TABLE public.customers (
    id    integer PRIMARY KEY,
    name  text NOT NULL,
    city  text NOT NULL
);

CREATE TABLE public.orders (
    id           serial PRIMARY KEY,
    customer_id  integer NOT NULL REFERENCES public.customers (id),
    status       text NOT NULL DEFAULT 'open'
);

-- Stands for the view of the extension pg_stat_statements, which is made in any schema.
CREATE TABLE public.pg_stat_statements (
    userid  oid,
    query   text
);

CREATE SCHEMA hr;

CREATE TABLE hr.salaries (
    employee  text PRIMARY KEY,
    salary    integer NOT NULL
);
