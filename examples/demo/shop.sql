-- The demo's shop: made-up people, made-up numbers, the same on every run. Read by `provost demo`, and by anyone with psql.
CREATE TABLE public.customers (
    id           integer PRIMARY KEY,
    name         text NOT NULL,
    email        text NOT NULL UNIQUE,
    phone        text,
    ssn          char(11) NOT NULL UNIQUE,
    card_number  text,
    city         text NOT NULL,
    joined       date NOT NULL
);

INSERT INTO public.customers
SELECT n,
       given || ' ' || family,
       lower(given) || '.' || lower(family) || n || '@' || (ARRAY['example.com', 'example.org', 'example.net'])[1 + n % 3],
       '+1-555-' || lpad((n * 7919 % 10000)::text, 4, '0'),
       -- 900 to 999 are area numbers that no one has.
       (900 + n % 100) || '-' || lpad((10 + n * 37 % 89)::text, 2, '0') || '-' || lpad((n * 7919 % 10000)::text, 4, '0'),
       '4000' || lpad((n::bigint * 104729 * 7919 % 1000000000000)::text, 12, '0'),
       (ARRAY['Oslo', 'Lyon', 'Porto', 'Gent', 'Turin', 'Graz', 'Cork'])[1 + n % 7],
       date '2021-01-01' + (n * 13 % 1500)
FROM (
    SELECT n,
           (ARRAY['Ada', 'Ben', 'Cleo', 'Dan', 'Eve', 'Finn', 'Gia', 'Hugo', 'Ines', 'Jon', 'Kim'])[1 + n % 11] AS given,
           (ARRAY['Moreau', 'Larsen', 'Costa', 'Peeters', 'Rossi', 'Huber', 'Byrne', 'Novak', 'Silva'])[1 + n % 9] AS family
    FROM generate_series(1, 200) AS n
) AS people;

CREATE TABLE public.orders (
    id           integer PRIMARY KEY,
    customer_id  integer NOT NULL REFERENCES public.customers (id),
    item         text NOT NULL,
    quantity     integer NOT NULL CHECK (quantity > 0),
    total        numeric(10, 2) NOT NULL,
    status       text NOT NULL DEFAULT 'open',
    placed_at    timestamp with time zone NOT NULL
);

INSERT INTO public.orders
SELECT n,
       1 + n * 31 % 200,
       (ARRAY['lamp', 'desk', 'chair', 'shelf', 'rug', 'clock'])[1 + n % 6],
       1 + n % 4,
       (1 + n % 4) * (19.90 + n % 6 * 25),
       (ARRAY['open', 'paid', 'shipped', 'returned'])[1 + n % 4],
       timestamp with time zone '2026-01-01 08:00:00+00' + n * interval '37 minutes'
FROM generate_series(1, 1000) AS n;

CREATE INDEX orders_customer ON public.orders (customer_id);

CREATE VIEW public.customer_contacts AS
    SELECT id, name, email, phone, city FROM public.customers;

CREATE SCHEMA hr;

CREATE TABLE hr.salaries (
    employee_id  integer PRIMARY KEY,
    employee     text NOT NULL,
    title        text NOT NULL,
    salary       numeric(10, 2) NOT NULL
);

INSERT INTO hr.salaries
SELECT n,
       (ARRAY['Ana Lima', 'Dora Weiss', 'Priya Shah', 'Tom Berg', 'Lea Fontaine', 'Omar Aziz'])[n],
       (ARRAY['analyst', 'database administrator', 'privacy officer', 'engineer', 'engineer', 'support'])[n],
       52000 + n * 7310
FROM generate_series(1, 6) AS n;

ANALYZE;
