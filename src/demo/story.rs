//! The guided story: what is sent, by whom, and what must come of it. Data; [`super::play`] runs it.

use super::people::{ANA, DEVIN, DORA, Person};

/// How a statement is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Protocol {
    /// A simple Query, as psql sends it.
    Simple,
    /// Parse, Bind, Execute with these parameters, as drivers send it; values come back in binary.
    Extended(&'static [i32]),
}

/// What must come of it. What is expected here is checked against what the client saw *and* against evidence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Expected {
    /// This many rows, with these result columns masked (and no raw value of the shop's secrets anywhere).
    Rows {
        /// How many.
        count: usize,
        /// Which, by name.
        masked: &'static [&'static str],
    },
    /// Rows with nothing masked, secrets and all.
    RawRows {
        /// How many.
        count: usize,
    },
    /// Done, with this many rows affected.
    Done {
        /// How many.
        rows: u64,
    },
    /// Held until this person approves; then done, with this many rows affected.
    Approved {
        /// By whom.
        by: &'static Person,
        /// How many.
        rows: u64,
    },
    /// Refused with this SQLSTATE, the session alive.
    Denied {
        /// 42501 and the like.
        sqlstate: &'static str,
    },
}

/// One statement of the story.
#[derive(Debug, Clone, Copy)]
pub(super) struct Step {
    /// Who sends it.
    pub(super) who: &'static Person,
    /// What it shows.
    pub(super) says: &'static str,
    /// How it is sent.
    pub(super) protocol: Protocol,
    /// The text.
    pub(super) sql: &'static str,
    /// What must come of it.
    pub(super) expected: Expected,
}

const SIMPLE: Protocol = Protocol::Simple;
const DENIED: Expected = Expected::Denied { sqlstate: "42501" };

/// The statements, in order; each person has one session, in which a refusal changes nothing.
pub(super) const STEPS: &[Step] = &[
    Step {
        who: &DEVIN,
        says: "An agent reads customers: it gets its rows, and personal data only masked.",
        protocol: SIMPLE,
        sql: "SELECT id, name, email, phone, ssn, card_number FROM customers ORDER BY id LIMIT 3",
        expected: Expected::Rows {
            count: 3,
            masked: &["email", "phone", "ssn", "card_number"],
        },
    },
    Step {
        who: &DEVIN,
        says: "The same by a driver's prepared statement, in binary.",
        protocol: Protocol::Extended(&[7]),
        sql: "SELECT c.id, c.name, c.ssn AS harmless FROM customers AS c WHERE c.id = $1",
        expected: Expected::Rows {
            count: 1,
            masked: &["harmless"],
        },
    },
    Step {
        who: &DEVIN,
        says: "Neither a CTE nor a computation washes a mask off.",
        protocol: SIMPLE,
        sql: "WITH c AS (SELECT id, ssn FROM customers) SELECT id, upper(ssn) || '!' AS note FROM c ORDER BY id LIMIT 2",
        expected: Expected::Rows {
            count: 2,
            masked: &["note"],
        },
    },
    Step {
        who: &DEVIN,
        says: "Guessing a masked value by a predicate is refused.",
        protocol: SIMPLE,
        sql: "SELECT id FROM customers WHERE ssn LIKE '907-%'",
        expected: DENIED,
    },
    Step {
        who: &DEVIN,
        says: "Copying masked values elsewhere is refused.",
        protocol: SIMPLE,
        sql: "UPDATE orders SET item = (SELECT ssn FROM customers WHERE customers.id = 1) WHERE orders.id = 42",
        expected: DENIED,
    },
    Step {
        who: &DEVIN,
        says: "What no rule allows is refused, and the message says so.",
        protocol: SIMPLE,
        sql: "SELECT employee, salary FROM hr.salaries",
        expected: DENIED,
    },
    Step {
        who: &DEVIN,
        says: "Schema changes are for people.",
        protocol: SIMPLE,
        sql: "DROP TABLE orders",
        expected: DENIED,
    },
    Step {
        who: &DEVIN,
        says: "A harmless statement in front hides nothing.",
        protocol: SIMPLE,
        sql: "SELECT 1; DELETE FROM orders",
        expected: DENIED,
    },
    Step {
        who: &DEVIN,
        says: "Its actual work goes through, joins included.",
        protocol: SIMPLE,
        sql: "SELECT c.city, count(*) AS orders, sum(o.total) AS total FROM orders AS o JOIN customers AS c ON c.id = o.customer_id GROUP BY c.city ORDER BY c.city LIMIT 3",
        expected: Expected::Rows {
            count: 3,
            masked: &[],
        },
    },
    Step {
        who: &DEVIN,
        says: "So does a write that rules allow.",
        protocol: SIMPLE,
        sql: "UPDATE orders SET status = 'paid' WHERE id = 42",
        expected: Expected::Done { rows: 1 },
    },
    Step {
        who: &DEVIN,
        says: "Deleting waits, in the open connection, until a DBA has approved it.",
        protocol: SIMPLE,
        sql: "DELETE FROM orders WHERE id = 43",
        expected: Expected::Approved { by: &DORA, rows: 1 },
    },
    Step {
        who: &ANA,
        says: "The analyst the agent works for sees masked data too.",
        protocol: SIMPLE,
        sql: "SELECT id, name, ssn, city FROM customers WHERE city = 'Oslo' ORDER BY id LIMIT 2",
        expected: Expected::Rows {
            count: 2,
            masked: &["ssn"],
        },
    },
    Step {
        who: &ANA,
        says: "She may not change anything.",
        protocol: SIMPLE,
        sql: "DELETE FROM orders WHERE id = 42",
        expected: DENIED,
    },
    Step {
        who: &DORA,
        says: "The DBA sees raw values, and it is on record that she did.",
        protocol: SIMPLE,
        sql: "SELECT id, name, ssn FROM customers WHERE id = 7",
        expected: Expected::RawRows { count: 1 },
    },
    Step {
        who: &DORA,
        says: "She changes the schema.",
        protocol: SIMPLE,
        sql: "CREATE INDEX orders_status ON orders (status)",
        expected: Expected::Done { rows: 0 },
    },
    Step {
        who: &DEVIN,
        says: "Text that PostgreSQL itself would refuse gets PostgreSQL's own answer.",
        protocol: SIMPLE,
        sql: "SELEC 1",
        expected: Expected::Denied { sqlstate: "42601" },
    },
];

/// What an auditor asks afterwards; the same SQL works in DuckDB.
pub(super) const QUESTIONS: &[(&str, &str)] = &[
    (
        "Who did what, and what became of it?",
        "SELECT principal, on_behalf_of, verdict, count(*) AS statements FROM statements WHERE phase <> 'prepare' GROUP BY principal, on_behalf_of, verdict ORDER BY principal, verdict",
    ),
    (
        "Which columns were masked, by which rule?",
        "SELECT output_column, class, transform, rule, sum(values_masked) AS masked FROM maskings GROUP BY output_column, class, transform, rule ORDER BY output_column, rule",
    ),
    (
        "What waited for people, and what did they say?",
        "SELECT event, actor, requester, on_behalf_of, reason FROM approvals ORDER BY log_index",
    ),
    (
        "What was refused, and why?",
        "SELECT principal, sqlstate, reason FROM statements WHERE verdict = 'deny' ORDER BY log_index",
    ),
];
