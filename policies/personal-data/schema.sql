-- What the pack's tests run against.
CREATE TABLE public.people (
    id             integer PRIMARY KEY,
    name           text NOT NULL,
    ssn            text,
    spouse_ssn     text,
    email          text,
    phone          text,
    date_of_birth  date,
    street         text,
    postal_code    text,
    notes          text
);
