-- What the pack's tests run against.
CREATE TABLE public.orders (
    id      serial PRIMARY KEY,
    status  text NOT NULL,
    total   numeric(10, 2) NOT NULL
);

-- Stands for the view of the extension pg_stat_statements, which is made in any schema.
CREATE TABLE public.pg_stat_statements (
    userid  oid,
    query   text
);

CREATE SCHEMA reporting;

CREATE VIEW reporting.totals AS
    SELECT status, sum(total) AS total FROM public.orders GROUP BY status;

CREATE SCHEMA hr;

CREATE TABLE hr.salaries (
    employee  text PRIMARY KEY,
    salary    integer NOT NULL
);

-- A view shows what the relations below it show: an analyst must be allowed both.
CREATE VIEW reporting.payroll AS
    SELECT sum(salary) AS total FROM hr.salaries;
