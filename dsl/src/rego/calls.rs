//! What a program's rules call. Never lets one through that calls itself, that is nested deeper than the stack allows, or that
//! could come to two values: the virtual machine would run out of stack on the first two, and take the third for undefined.

use std::collections::BTreeSet;

use regorus::{
    Value,
    rvm::{
        Instruction, Program,
        instructions::LiteralOrRegister,
        program::{RuleInfo, RuleType},
    },
};

use super::offset;
use crate::{
    compile::Source,
    diagnostic::{Diagnostic, File},
};

/// How deep rules may call one another: each level takes some of the stack of whoever decides.
const DEPTH_MAX: usize = 32;

/// What is wrong with a program's rules.
pub(super) fn check(program: &Program, files: &[File], sources: &[&Source]) -> Vec<Diagnostic> {
    let depths = Calls::of(program).depths();
    let error = |instruction: usize, message: String, label, help: &str| {
        let place = program
            .get_instruction_span(instruction)
            .and_then(|span| Some((span, program.get_source_name(span.source_index)?)));
        let found = place.and_then(|(span, name)| {
            let file = files.iter().find(|file| file.name() == name)?;
            let source = sources
                .iter()
                .find(|source| source.path.display().to_string() == name)?;
            Some(file.error(
                &offset(&source.text, span.line, span.column),
                &message,
                label,
            ))
        });
        let diagnostic = found.unwrap_or_else(|| {
            let file = files.first().cloned();
            let file = file.unwrap_or_else(|| File::new("policy".as_ref(), ""));
            file.error(&(0..0), &message, label)
        });
        diagnostic.with_help(help)
    };
    let mut found = Vec::new();
    for (rule, info) in program.rule_infos.iter().enumerate() {
        let start = |place: usize| {
            let bodies = info
                .definitions
                .get(place)
                .and_then(|bodies| bodies.first());
            bodies.map_or(0, |start| *start as usize)
        };
        let shown = short(&info.name);
        if is_torn(info) {
            found.push(error(
                start(1),
                format!("`{shown}` is defined more than once, with values that can differ"),
                "another definition",
                "a rule has one value: write the others after the first one as `else := ...`, or make it a set with `contains`",
            ));
        }
        match depths.get(rule).copied().flatten() {
            None => found.push(error(
                start(0),
                format!("`{shown}` calls itself, or a rule that does"),
                "leads back",
                "rules can't be recursive",
            )),
            Some(depth) if depth > DEPTH_MAX => found.push(error(
                start(0),
                format!("`{shown}` calls rules {depth} deep, and {DEPTH_MAX} is the limit"),
                "nested too deep",
                "split it",
            )),
            Some(_) => {}
        }
    }
    found
}

/// Whether a rule with one value has several definitions that are not known to agree.
fn is_torn(rule: &RuleInfo) -> bool {
    rule.rule_type == RuleType::Complete
        && rule.definitions.len() > 1
        && !rule.early_exit_on_first_success
}

/// `data.provost.lib.f` without its root.
fn short(name: &str) -> &str {
    name.strip_prefix("data.").unwrap_or(name)
}

/// The rules that each rule calls.
struct Calls {
    called: Vec<BTreeSet<usize>>,
}

impl Calls {
    fn of(program: &Program) -> Self {
        let mut called = vec![BTreeSet::new(); program.rule_infos.len()];
        let mut current = None;
        for instruction in &program.instructions {
            let found = match instruction {
                Instruction::RuleInit { rule_index, .. } => {
                    current = Some(usize::from(*rule_index));
                    continue;
                }
                Instruction::RuleReturn {} => {
                    current = None;
                    continue;
                }
                Instruction::CallRule { rule_index, .. } => vec![usize::from(*rule_index)],
                Instruction::FunctionCall { params_index } => program
                    .instruction_data
                    .get_function_call_params(*params_index)
                    .map(|parameters| usize::from(parameters.func_rule_index))
                    .into_iter()
                    .collect(),
                Instruction::VirtualDataDocumentLookup { params_index } => {
                    below(program, *params_index)
                }
                _ => continue,
            };
            if let Some(calls) = current.and_then(|rule: usize| called.get_mut(rule)) {
                calls.extend(found);
            }
        }
        Self { called }
    }

    /// How deep the calls of each rule are nested; `None` where they come back to it, or lead there.
    fn depths(&self) -> Vec<Option<usize>> {
        let mut callers = vec![Vec::new(); self.called.len()];
        let mut open: Vec<usize> = self.called.iter().map(BTreeSet::len).collect();
        for (caller, called) in self.called.iter().enumerate() {
            for rule in called {
                if let Some(callers) = callers.get_mut(*rule) {
                    callers.push(caller);
                }
            }
        }
        let mut depths = vec![None; self.called.len()];
        let mut known: Vec<(usize, usize)> = open
            .iter()
            .enumerate()
            .filter(|(_, open)| **open == 0)
            .map(|(rule, _)| (rule, 1))
            .collect();
        let mut reached = vec![1; self.called.len()];
        while let Some((rule, depth)) = known.pop() {
            if let Some(slot) = depths.get_mut(rule) {
                *slot = Some(depth);
            }
            for caller in callers.get(rule).into_iter().flatten() {
                let (Some(open), Some(reached)) = (open.get_mut(*caller), reached.get_mut(*caller))
                else {
                    continue;
                };
                *open -= 1;
                *reached = (*reached).max(depth + 1);
                if *open == 0 {
                    known.push((*caller, *reached));
                }
            }
        }
        depths
    }
}

/// The rules that a look into `data` may call: all those below the names that are written out.
fn below(program: &Program, params_index: u16) -> Vec<usize> {
    let Some(parameters) = program
        .instruction_data
        .get_virtual_data_document_lookup_params(params_index)
    else {
        return (0..program.rule_infos.len()).collect();
    };
    let mut prefix = "data".to_owned();
    for part in &parameters.path_components {
        let LiteralOrRegister::Literal(literal) = part else {
            break;
        };
        match program.literals.get(usize::from(*literal)) {
            Some(Value::String(name)) => {
                prefix.push('.');
                prefix.push_str(name);
            }
            _ => break,
        }
    }
    let is_below = |name: &str| super::is_below(name, &prefix) || super::is_below(&prefix, name);
    program
        .rule_infos
        .iter()
        .enumerate()
        .filter(|(_, info)| is_below(&info.name))
        .map(|(rule, _)| rule)
        .collect()
}
