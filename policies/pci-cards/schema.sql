-- What the pack's tests run against.
CREATE TABLE public.payments (
    id           integer PRIMARY KEY,
    card_number  text NOT NULL,
    cvv          text,
    amount       numeric(10, 2) NOT NULL
);
