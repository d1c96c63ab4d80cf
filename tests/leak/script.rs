//! What is sent: statements, the protocol that carries each, and what a script needs around it. It must never hold a canary.

/// One statement and how it goes over the wire.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Step {
    pub(crate) sql: String,
    /// Parameters in text format, and never in a simple Query.
    pub(crate) parameters: Vec<String>,
    pub(crate) way: Way,
}

/// How results come and in how many parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Extended {
    /// The format of every result column: 0 text, 1 binary.
    pub(crate) format: u8,
    pub(crate) describe: Describe,
    /// Rows for each Execute; 0: all.
    pub(crate) rows_max: u32,
    /// Named statement and portal, else unnamed.
    pub(crate) named: bool,
    /// A Flush between the messages, and nothing awaited.
    pub(crate) flush: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Describe {
    No,
    Statement,
    Portal,
    Both,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    Simple,
    /// In one Query text with the next step.
    Joined,
    Extended(Extended),
    /// The same, without a Sync of its own: the next step follows in one pipeline.
    Piped(Extended),
}

/// Statements that belong together, on one session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Script {
    /// The generator's name for what it tries.
    pub(crate) name: &'static str,
    pub(crate) steps: Vec<Step>,
    /// Whether its writes are kept, so that what COMMIT says is seen too.
    pub(crate) keeps: bool,
    /// Whether two databases that differ in masked values must give the same bytes.
    pub(crate) repeatable: bool,
}

impl Script {
    /// The script in a form that a report can show and a reader can repeat.
    pub(crate) fn told(&self) -> String {
        self.steps
            .iter()
            .map(|step| {
                let parameters = if step.parameters.is_empty() {
                    String::new()
                } else {
                    format!("  -- parameters {:?}", step.parameters)
                };
                format!("    [{}] {}{parameters}\n", step.way.told(), step.sql)
            })
            .collect()
    }
}

impl Way {
    pub(crate) fn told(self) -> String {
        match self {
            Self::Simple => "simple".to_owned(),
            Self::Joined => "simple, one text with the next".to_owned(),
            Self::Extended(extended) => extended.told(),
            Self::Piped(extended) => format!("{}, piped", extended.told()),
        }
    }
}

impl Extended {
    fn told(self) -> String {
        format!(
            "extended, {}, {} rows at a time, {}, described: {:?}{}",
            if self.format == 1 { "binary" } else { "text" },
            if self.rows_max == 0 {
                "all".to_owned()
            } else {
                self.rows_max.to_string()
            },
            if self.named { "named" } else { "unnamed" },
            self.describe,
            if self.flush { ", flushed" } else { "" },
        )
    }
}
