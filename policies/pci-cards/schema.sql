-- What the pack's tests run against.
CREATE SCHEMA test_payments;

CREATE TABLE test_payments.payments (
    id           integer PRIMARY KEY,
    card_number  text NOT NULL,
    refund_pan   text,
    cvv          text,
    amount       numeric(10, 2) NOT NULL
);

-- Has no card in it.
CREATE TABLE test_payments.refunds (
    id       integer PRIMARY KEY,
    comment  text
);

-- Stands for the view of the extension pg_stat_statements, which is made in any schema.
CREATE TABLE test_payments.pg_stat_statements (
    userid  oid,
    query   text
);
