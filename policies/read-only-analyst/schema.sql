-- What the pack's tests run against.
CREATE TABLE public.orders (
    id      integer PRIMARY KEY,
    status  text NOT NULL,
    total   numeric(10, 2) NOT NULL
);

CREATE SCHEMA reporting;

CREATE VIEW reporting.totals AS
    SELECT status, sum(total) AS total FROM public.orders GROUP BY status;

CREATE SCHEMA hr;

CREATE TABLE hr.salaries (
    employee  text PRIMARY KEY,
    salary    integer NOT NULL
);
