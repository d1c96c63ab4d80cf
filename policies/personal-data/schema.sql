-- What the pack's tests run against.
CREATE SCHEMA test_people;

CREATE TABLE test_people.people (
    id             integer PRIMARY KEY,
    name           text NOT NULL,
    ssn            text,
    spouse_ssn     text,
    email          text,
    work_email     text,
    phone          text,
    date_of_birth  date,
    street         text,
    postal_code    text,
    notes          text
);

CREATE TABLE test_people.letters (
    id    integer PRIMARY KEY,
    body  text
);

CREATE VIEW test_people.directory AS
    SELECT name, phone AS how_to_reach FROM test_people.people;

-- Stands for the view of the extension pg_stat_statements, which is made in any schema.
CREATE TABLE test_people.pg_stat_statements (
    userid  oid,
    query   text
);
