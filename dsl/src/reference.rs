//! The language's reference, in Markdown, made from the tables that the checker reads, so that it can't drift. Says
//! nothing that is not in them.

use std::fmt::{self, Write as _};

use provost_engine::{facts::Operation, transform::Carriers};

use crate::{
    catalogue,
    vocabulary::{
        ATTRIBUTES, CLAUSES, DECLARATIONS, Entry, LIMITS, OPERATIONS, Of, PATTERNS, PROBINGS,
        RECORDINGS, SETS, STEPS, masks,
    },
};

/// A part of the reference.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Section {
    /// Declarations, clauses, patterns, the lines of a test.
    Clauses,
    /// Operations and sets of them.
    Operations,
    /// What conditions ask for.
    Attributes,
    /// The masks, and probing.
    Masks,
    /// Limits and recording levels.
    Limits,
    /// The catalogues of controls, every id with its title.
    Controls,
}

impl Section {
    /// Every section, in order.
    pub const ALL: [Self; 6] = [
        Self::Clauses,
        Self::Operations,
        Self::Attributes,
        Self::Masks,
        Self::Limits,
        Self::Controls,
    ];

    /// Its name on the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Clauses => "clauses",
            Self::Operations => "operations",
            Self::Attributes => "attributes",
            Self::Masks => "masks",
            Self::Limits => "limits",
            Self::Controls => "controls",
        }
    }

    /// Its text.
    #[must_use]
    pub fn text(self) -> String {
        let mut text = String::new();
        // Writing to a String does not fail.
        let _ = match self {
            Self::Clauses => clauses(&mut text),
            Self::Operations => operations(&mut text),
            Self::Attributes => attributes(&mut text),
            Self::Masks => transforms(&mut text),
            Self::Limits => limits(&mut text),
            Self::Controls => controls(&mut text),
        };
        text
    }
}

/// The whole reference but the catalogues of controls, which are long: as `docs/reference.md` has it.
#[must_use]
pub fn document() -> String {
    let mut text = String::from(
        "# Language reference\n\n\
        Made by `provost reference` from the tables that the checker reads; do not edit. What the words mean together is in \
        [language.md](language.md). `provost reference controls` prints the catalogues of controls.\n",
    );
    for section in Section::ALL {
        if section != Section::Controls {
            text.push('\n');
            text.push_str(&section.text());
        }
    }
    text
}

/// What goes into a cell of a table: one line, bars escaped.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', " ")
}

fn code(text: &str) -> String {
    format!("`{}`", cell(text))
}

fn entries(text: &mut String, heading: &str, about: &str, entries: &[Entry]) -> fmt::Result {
    writeln!(text, "## {heading}\n\n{about}\n")?;
    writeln!(text, "| word | meaning | example |\n|---|---|---|")?;
    for Entry {
        name,
        about,
        example,
    } in entries
    {
        writeln!(
            text,
            "| {} | {} | {} |",
            code(name),
            cell(about),
            code(example)
        )?;
    }
    Ok(())
}

fn clauses(text: &mut String) -> fmt::Result {
    entries(
        text,
        "Declarations",
        "What a file is made of, in any order.",
        DECLARATIONS,
    )?;
    text.push('\n');
    entries(
        text,
        "Clauses",
        "What rules and invariants are made of, in any order.",
        CLAUSES,
    )?;
    text.push('\n');
    entries(text, "Patterns", "What `on` lists.", PATTERNS)?;
    text.push('\n');
    entries(text, "Tests", "The lines of a `test`.", STEPS)
}

fn operations(text: &mut String) -> fmt::Result {
    writeln!(text, "## Operations\n")?;
    writeln!(text, "| operation | is |\n|---|---|")?;
    for word in OPERATIONS {
        writeln!(
            text,
            "| {} | {} |",
            code(word.operation.name()),
            cell(word.about)
        )?;
    }
    writeln!(text, "\n| set | is |\n|---|---|")?;
    for set in SETS {
        let members = set.operations.len();
        let names = set
            .operations
            .iter()
            .map(|operation| operation.name())
            .collect::<Vec<_>>()
            .join(", ");
        let missing: Vec<&str> = Operation::ALL
            .iter()
            .filter(|operation| !set.operations.contains(operation))
            .map(|operation| operation.name())
            .collect();
        // A set of nearly all reads better by what is not in it.
        if missing.len() < members / 2 {
            writeln!(
                text,
                "| {} | everything but {} |",
                code(set.name),
                missing.join(", ")
            )?;
        } else {
            writeln!(text, "| {} | {names} |", code(set.name))?;
        }
    }
    Ok(())
}

fn attributes(text: &mut String) -> fmt::Result {
    writeln!(text, "## Attributes\n")?;
    writeln!(
        text,
        "What conditions ask for. The short name may be written where there is one."
    )?;
    for of in [
        Of::Principal,
        Of::Session,
        Of::Statement,
        Of::Access,
        Of::Time,
    ] {
        writeln!(
            text,
            "\n### {}\n\n| attribute | short | is | compared as | example |\n|---|---|---|---|---|",
            of.name()
        )?;
        for attribute in ATTRIBUTES.iter().filter(|attribute| attribute.of == of) {
            writeln!(
                text,
                "| {} | {} | {} | {} | {} |",
                code(attribute.name),
                attribute.short.map(code).unwrap_or_default(),
                cell(attribute.about),
                cell(&attribute.sort()),
                code(attribute.example)
            )?;
        }
    }
    Ok(())
}

fn transforms(text: &mut String) -> fmt::Result {
    writeln!(text, "## Masks\n")?;
    writeln!(
        text,
        "| mask | does | types that carry it | example |\n|---|---|---|---|"
    )?;
    for mask in masks() {
        let written = format!("{} {}", mask.name, mask.argument);
        let types = match mask.types {
            Carriers::Every => "every type".to_owned(),
            Carriers::These(types) => types.join(", "),
        };
        let examples: Vec<String> = mask
            .examples
            .iter()
            .map(|example| {
                format!(
                    "{} → {} ({}, `{}`)",
                    code(example.value),
                    example.masked.map_or_else(|| "NULL".to_owned(), code),
                    example.type_name,
                    example.transform
                )
            })
            .collect();
        writeln!(
            text,
            "| {} | {} | {} | {} |",
            code(written.trim()),
            cell(mask.about),
            types,
            examples.join("; ")
        )?;
    }
    writeln!(
        text,
        "\nArrays carry a mask as their elements do, one by one; ranges and multiranges of numbers and dates carry `round to` and \
         `truncate date`, bound by bound. [obligations.md](obligations.md#masks-of-arrays-and-ranges) says what shows.\n"
    )?;
    entries(
        text,
        "Probing",
        "Whether masked columns may decide which rows there are.",
        PROBINGS,
    )
}

fn limits(text: &mut String) -> fmt::Result {
    entries(text, "Limits", "What `limit` limits.", LIMITS)?;
    text.push('\n');
    entries(
        text,
        "Recording",
        "How fully a statement is recorded, the least first.",
        RECORDINGS,
    )
}

fn controls(text: &mut String) -> fmt::Result {
    writeln!(text, "## Controls")?;
    for framework in catalogue::frameworks() {
        writeln!(
            text,
            "\n### {}: {}\n\n| id | title |\n|---|---|",
            framework.id, framework.name
        )?;
        for id in framework.controls() {
            let title = framework.title(id).unwrap_or_default();
            writeln!(text, "| {} | {} |", code(id), cell(title))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use expect_test::expect_file;

    use super::*;

    /// `UPDATE_EXPECT=1 cargo test -p provost-dsl reference` writes the file anew.
    #[test]
    fn the_document_is_what_the_tables_say() {
        expect_file!["../../docs/reference.md"].assert_eq(&document());
    }

    #[test]
    fn every_operation_and_mask_is_in_it() {
        let text = document();
        for operation in Operation::ALL {
            assert!(
                text.contains(&code(operation.name())),
                "{}",
                operation.name()
            );
        }
        for mask in masks() {
            assert!(text.contains(&format!("`{}", mask.name)), "{}", mask.name);
        }
        assert!(Section::Controls.text().contains("AC-3(11)"));
    }
}
