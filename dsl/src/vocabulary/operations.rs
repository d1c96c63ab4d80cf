//! Operations and their sets.

use provost_engine::facts::Operation;

/// An operation in words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OperationWord {
    /// The operation.
    pub operation: Operation,
    /// One sentence.
    pub about: &'static str,
}

/// A name for several operations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SetWord {
    /// The name.
    pub name: &'static str,
    /// What is in it. `opaque` is in none: whoever allows it says so.
    pub operations: &'static [Operation],
}

const fn word(operation: Operation, about: &'static str) -> OperationWord {
    OperationWord { operation, about }
}

/// Every operation, in the order of the engine's.
pub const OPERATIONS: &[OperationWord] = &[
    word(Operation::Read, "Rows or a setting are read."),
    word(Operation::Insert, "Rows are inserted."),
    word(Operation::Update, "Rows are updated."),
    word(Operation::Delete, "Rows are deleted."),
    word(Operation::Truncate, "A relation is truncated."),
    word(Operation::Create, "An object is created."),
    word(
        Operation::Alter,
        "An object is altered, renamed or commented on.",
    ),
    word(Operation::Drop, "An object is dropped."),
    word(Operation::Grant, "Privileges, roles or owners change."),
    word(
        Operation::Call,
        "A function that is not known to be pure is called.",
    ),
    word(Operation::CopyTo, "`COPY ... TO`."),
    word(Operation::CopyFrom, "`COPY ... FROM`."),
    word(Operation::Session, "A session setting changes."),
    word(
        Operation::Transaction,
        "A transaction begins, ends or sets a savepoint.",
    ),
    word(Operation::Listen, "`LISTEN`, `NOTIFY`."),
    word(
        Operation::Maintain,
        "`VACUUM`, `ANALYZE`, `REINDEX`, `CLUSTER`, `CHECKPOINT` and the like.",
    ),
    word(Operation::Lock, "Rows or tables are locked."),
    word(
        Operation::Opaque,
        "Analysis could not bound what the statement does.",
    ),
];

/// Names for several operations.
pub const SETS: &[SetWord] = &[
    SetWord {
        name: "write",
        operations: &[
            Operation::Insert,
            Operation::Update,
            Operation::Delete,
            Operation::Truncate,
            Operation::CopyFrom,
        ],
    },
    SetWord {
        name: "ddl",
        operations: &[Operation::Create, Operation::Alter, Operation::Drop],
    },
    SetWord {
        name: "admin",
        operations: &[Operation::Grant, Operation::Maintain],
    },
    SetWord {
        name: "any",
        operations: &[
            Operation::Read,
            Operation::Insert,
            Operation::Update,
            Operation::Delete,
            Operation::Truncate,
            Operation::Create,
            Operation::Alter,
            Operation::Drop,
            Operation::Grant,
            Operation::Call,
            Operation::CopyTo,
            Operation::CopyFrom,
            Operation::Session,
            Operation::Transaction,
            Operation::Listen,
            Operation::Maintain,
            Operation::Lock,
        ],
    },
];

/// The operations whose accesses name columns.
pub(crate) const COLUMN_OPERATIONS: &[Operation] = &[
    Operation::Read,
    Operation::Insert,
    Operation::Update,
    Operation::CopyTo,
    Operation::CopyFrom,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_operation_is_described_once_and_in_order() {
        let described: Vec<Operation> = OPERATIONS.iter().map(|word| word.operation).collect();
        assert_eq!(described, Operation::ALL);
    }

    #[test]
    fn any_is_everything_but_opaque() {
        let any = SETS.iter().find(|set| set.name == "any").expect("a set");
        for operation in Operation::ALL {
            assert_eq!(
                any.operations.contains(&operation),
                operation != Operation::Opaque,
                "{operation:?}"
            );
        }
    }
}
