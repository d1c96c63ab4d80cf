//! A module that is ready to be asked: one program for all of a set's modules, one machine for each question. Nothing of one
//! question is left for the next.

use std::{
    num::NonZeroU32,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use provost_engine::graph::{
    input::Input,
    module::{Announced, Module, ModuleError, ModuleVerdict, Reads},
};
use regorus::{
    Value,
    rvm::{Program, RegoVM, vm::VmError},
    utils::limits::ExecutionTimerConfig,
};

use super::{
    RegoLimits,
    guard::{self, Failure},
};

/// The stack that must be left for an evaluation, and how much it gets where it is not. What 25,000 instructions nest is written
/// out and dropped by functions that call themselves for each level.
const STACK_LEFT_BYTES: usize = 24 << 20;
const STACK_BYTES: usize = 64 << 20;

/// The programs of a set's modules and how they run.
#[derive(Debug)]
pub(super) struct Machine {
    pub(super) program: Arc<Program>,
    pub(super) limits: RegoLimits,
}

impl Machine {
    /// Evaluates a rule; undefined is [`Value::Undefined`].
    pub(super) fn run(&self, rule: &str, input: Value) -> Result<Value, ModuleError> {
        let mut machine = RegoVM::new();
        machine.load_program(Arc::clone(&self.program));
        machine.set_max_instructions(self.limits.instructions);
        machine.set_execution_timer_config(Some(ExecutionTimerConfig {
            limit: self.limits.time,
            // Each: one multiplication of long numbers can take as long as all before.
            check_interval: NonZeroU32::MIN,
        }));
        machine.set_strict_builtin_errors(true);
        guard::begin(self.limits.value_bytes);
        machine.set_input(input);
        // INVARIANT: an error anywhere in evaluation denies, with the session alive; a panic of the evaluator is one.
        let result = catch_unwind(AssertUnwindSafe(|| {
            let result = machine.execute_entry_point_by_name(rule);
            (result, machine)
        }));
        let Ok((result, machine)) = result else {
            return Err(ModuleError::Failed {
                message: Arc::from("the evaluator panicked"),
            });
        };
        result.map_err(|error| self.explain(&error, machine.get_pc()))
    }

    /// Where it failed and on what, without any value: values are facts, and reasons are shown and kept.
    fn explain(&self, error: &VmError, instruction: usize) -> ModuleError {
        match error {
            VmError::InstructionLimitExceeded { limit, .. } => {
                return ModuleError::TooManyInstructions {
                    instructions_max: *limit,
                };
            }
            VmError::TimeLimitExceeded { limit, .. } => {
                return ModuleError::TooLong {
                    time_ms_max: u64::try_from(limit.as_millis()).unwrap_or(u64::MAX),
                };
            }
            VmError::RegexSizeLimitExceeded { limit, .. } => {
                return ModuleError::TooLarge { bytes_max: *limit };
            }
            _ => {}
        }
        let near = (0..=instruction).rev().find_map(|instruction| {
            let span = self.program.get_instruction_span(instruction)?;
            let name = self.program.get_source_name(span.source_index)?;
            (span.line > 0).then(|| format!(" near {name}:{}", span.line))
        });
        let near = near.unwrap_or_default();
        let failed = |why: &str| ModuleError::Failed {
            message: Arc::from(format!("evaluation failed{near}{why}")),
        };
        match guard::failure() {
            Some(Failure::TooLarge) => ModuleError::TooLarge {
                bytes_max: self.limits.value_bytes,
            },
            Some(Failure::Call(name)) => {
                let name = match name {
                    "__builtin_sets.union" => "|",
                    "__builtin_sets.intersection" => "&",
                    _ => name,
                };
                failed(&format!(": `{name}` got a value that it can't take"))
            }
            Some(Failure::Values) => failed(": a rule came to two values"),
            Some(Failure::Null) => failed(": a rule got `null` from an iteration"),
            None => failed(""),
        }
    }
}

/// A package with a rule `decision`.
#[derive(Debug)]
pub(super) struct RegoModule {
    pub(super) name: Arc<str>,
    /// `data.provost.decision`
    pub(super) rule: String,
    pub(super) controls: Vec<Arc<str>>,
    pub(super) reads: Reads,
    pub(super) announced: Announced,
    pub(super) machine: Arc<Machine>,
}

impl Module for RegoModule {
    fn name(&self) -> &Arc<str> {
        &self.name
    }

    fn controls(&self) -> &[Arc<str>] {
        &self.controls
    }

    fn reads(&self) -> Reads {
        self.reads
    }

    fn masks(&self) -> Announced {
        self.announced
    }

    fn evaluate(&self, input: &Input<'_>) -> Result<Vec<ModuleVerdict>, ModuleError> {
        stacker::maybe_grow(STACK_LEFT_BYTES, STACK_BYTES, || self.answer(input))
    }
}

impl RegoModule {
    fn answer(&self, input: &Input<'_>) -> Result<Vec<ModuleVerdict>, ModuleError> {
        let failed = |message: String| ModuleError::Failed {
            message: Arc::from(message),
        };
        let document = serde_json::to_value(input)
            .map_err(|error| failed(format!("the facts can't be written as JSON: {error}")))?;
        let bytes_max = self.machine.limits.input_bytes;
        let bytes = document.to_string().len();
        if bytes > bytes_max {
            return Err(ModuleError::InputTooLarge { bytes, bytes_max });
        }
        let said = self.machine.run(&self.rule, guard::to_value(&document))?;
        // What holds one value many times is written out many times.
        if guard::charge(guard::whole(std::slice::from_ref(&said))).is_err() {
            return Err(ModuleError::TooLarge {
                bytes_max: self.machine.limits.value_bytes,
            });
        }
        verdicts(said)
    }
}

/// One verdict, or a set or list of them. Undefined is none.
fn verdicts(said: Value) -> Result<Vec<ModuleVerdict>, ModuleError> {
    if said == Value::Undefined {
        return Ok(Vec::new());
    }
    let shape = |error: &serde_json::Error| ModuleError::Shape {
        message: Arc::from(without_texts(&error.to_string())),
    };
    let said = serde_json::to_value(&said).map_err(|error| shape(&error))?;
    let all = match said {
        serde_json::Value::Array(all) => all,
        one => vec![one],
    };
    all.into_iter()
        .map(|one| match one {
            // A list would be read as the fields in their order.
            serde_json::Value::Object(_) => {
                serde_json::from_value(one).map_err(|error| shape(&error))
            }
            _ => Err(ModuleError::Shape {
                message: Arc::from("it is neither an object nor a set or list of objects"),
            }),
        })
        .collect()
}

/// Texts in double quotes left out: they can be values of the statement.
fn without_texts(message: &str) -> String {
    let mut shown = String::new();
    let mut rest = message;
    while let Some((before, quoted)) = rest.split_once('"') {
        shown.push_str(before);
        shown.push_str("\"...\"");
        // The last quote: what lies between may hold quotes too.
        rest = quoted.rsplit_once('"').map_or("", |(_, after)| after);
    }
    shown.push_str(rest);
    shown
}
