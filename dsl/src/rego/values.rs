//! That a rule has one value, and that `else` is tried when it has none. The virtual machine keeps the last of several values
//! that an iteration yields, where OPA ends with a conflict: `decision := {"verdict": v} if some v in ["deny", "allow"]` would
//! allow. And it takes a body whose iteration yields nothing for one that held, and leaves out its `else`. Here each value that
//! a rule gets within a loop is compared with the one before, and a body without a value fails. What is undefined is no member of
//! a comprehension either.

use std::sync::Arc;

use regorus::rvm::{
    Instruction, Program,
    instructions::{BuiltinCallParams, GuardMode},
    program::{BuiltinInfo, RuleType},
};

use super::guard;

/// Puts the comparisons and the failures into a program. `None` if it grows too large for them.
pub(super) fn check_each(program: &mut Program) -> Option<()> {
    let mut additions = Vec::new();
    let mut one_value = None;
    for found in yields(program) {
        match found {
            Yield::End { place, result } => additions.push(Addition {
                place,
                instructions: vec![defined(result)],
            }),
            Yield::Member { place, parts } => additions.push(Addition {
                place,
                instructions: parts.into_iter().map(defined).collect(),
            }),
            Yield::Value {
                place,
                result,
                value,
            } => {
                let builtin_index = *one_value.get_or_insert_with(|| {
                    program.resolved_builtins.push(guard::ONE_VALUE.1);
                    program.add_builtin_info(BuiltinInfo {
                        name: guard::ONE_VALUE.0.to_owned(),
                        num_args: 2,
                    })
                });
                let params_index = program.add_builtin_call_params(BuiltinCallParams {
                    dest: result,
                    builtin_index,
                    num_args: 2,
                    args: [result, value, 0, 0, 0, 0, 0, 0],
                });
                *program.instructions.get_mut(place)? = Instruction::BuiltinCall { params_index };
                // What is called with something undefined is undefined: a result that is not there yet is null.
                additions.push(Addition {
                    place,
                    instructions: vec![
                        defined(value),
                        Instruction::CoalesceUndefinedToNull { register: result },
                    ],
                });
            }
        }
    }
    insert(program, &additions)
}

/// Ends the iteration, or the body, where a register is undefined.
fn defined(register: u8) -> Instruction {
    Instruction::Guard {
        register,
        mode: GuardMode::NotUndefined,
    }
}

/// Where something gets a value.
enum Yield {
    /// It gets a value within a loop.
    Value {
        place: usize,
        /// The register of the rule's value.
        result: u8,
        value: u8,
    },
    /// One of its bodies ends.
    End { place: usize, result: u8 },
    /// A comprehension gets a member, made of these registers.
    Member { place: usize, parts: Vec<u8> },
}

fn yields(program: &Program) -> Vec<Yield> {
    let mut found = Vec::new();
    let mut rule = None;
    let mut loops: Vec<usize> = Vec::new();
    for (place, instruction) in program.instructions.iter().enumerate() {
        loops.retain(|end| *end > place);
        match instruction {
            Instruction::RuleInit {
                result_reg,
                rule_index,
            } => {
                let info = program.rule_infos.get(usize::from(*rule_index));
                rule = info
                    .filter(|info| info.rule_type == RuleType::Complete)
                    .map(|_| *result_reg);
            }
            Instruction::RuleReturn {} => {
                let end = rule.take().map(|result| Yield::End { place, result });
                found.extend(end);
            }
            Instruction::LoopStart { params_index } => {
                let parameters = program.instruction_data.get_loop_params(*params_index);
                loops.extend(parameters.map(|parameters| usize::from(parameters.loop_end)));
            }
            Instruction::ComprehensionYield { value_reg, key_reg } => found.push(Yield::Member {
                place,
                parts: std::iter::once(*value_reg).chain(*key_reg).collect(),
            }),
            // `name := value` binds what is undefined too, where OPA fails.
            Instruction::Move { dest, src } if is_loose_binding(program, place, *dest, rule) => {
                found.push(Yield::Member {
                    place,
                    parts: vec![*src],
                });
            }
            Instruction::Move { dest, src } if Some(*dest) == rule && !loops.is_empty() => {
                found.push(Yield::Value {
                    place,
                    result: *dest,
                    value: *src,
                });
            }
            _ => {}
        }
    }
    found
}

/// A condition of a comprehension, outside its own iteration and within another one: where it fails, the virtual machine leaves
/// out the other one's turn, and not the member.
pub(super) fn stray_condition(program: &Program) -> Option<usize> {
    let mut within: Vec<(usize, bool)> = Vec::new();
    for (place, instruction) in program.instructions.iter().enumerate() {
        within.retain(|(end, _)| *end > place);
        let parameters = &program.instruction_data;
        match instruction {
            Instruction::LoopStart { params_index } => {
                let found = parameters.get_loop_params(*params_index)?;
                within.push((usize::from(found.loop_end), true));
            }
            Instruction::ComprehensionBegin { params_index } => {
                let found = parameters.get_comprehension_begin_params(*params_index)?;
                within.push((usize::from(found.comprehension_end), false));
            }
            Instruction::Guard { .. } | Instruction::AssertEq { .. } => {
                let is_own = within.last().is_none_or(|(_, is_loop)| *is_loop);
                if !is_own && within.iter().any(|(_, is_loop)| *is_loop) {
                    return Some(place);
                }
            }
            _ => {}
        }
    }
    None
}

/// Whether a value is bound to a name there, and nothing behind it asks that it be defined.
fn is_loose_binding(program: &Program, place: usize, dest: u8, result: Option<u8>) -> bool {
    let is_asked = matches!(
        program.instructions.get(place + 1),
        Some(Instruction::Guard { register, mode: GuardMode::NotUndefined }) if *register == dest
    );
    result != Some(dest) && !is_asked
}

/// What is put before an instruction.
struct Addition {
    place: usize,
    instructions: Vec<Instruction>,
}

/// Puts instructions before others; every jump follows. `additions` are in the order of their places.
fn insert(program: &mut Program, additions: &[Addition]) -> Option<()> {
    // A jump to such a place goes to what was put before it.
    let mut added = 0;
    let mut moved_to = Vec::with_capacity(program.instructions.len() + 1);
    let mut next = additions.iter().peekable();
    for place in 0..=program.instructions.len() {
        moved_to.push(place + added);
        if let Some(addition) = next.next_if(|addition| addition.place == place) {
            added += addition.instructions.len();
        }
    }
    let moved = |place: usize| moved_to.get(place).copied();
    let short = |place: u16| u16::try_from(moved(usize::from(place))?).ok();
    let long = |place: u32| u32::try_from(moved(usize::try_from(place).ok()?)?).ok();
    for parameters in &mut program.instruction_data.loop_params {
        parameters.body_start = short(parameters.body_start)?;
        parameters.loop_end = short(parameters.loop_end)?;
    }
    for parameters in &mut program.instruction_data.comprehension_begin_params {
        parameters.body_start = short(parameters.body_start)?;
        parameters.comprehension_end = short(parameters.comprehension_end)?;
    }
    for instruction in &mut program.instructions {
        if let Instruction::LoopNext {
            body_start,
            loop_end,
        } = instruction
        {
            *body_start = short(*body_start)?;
            *loop_end = short(*loop_end)?;
        }
    }
    for info in &mut program.rule_infos {
        for start in Arc::make_mut(&mut info.definitions).iter_mut().flatten() {
            *start = long(*start)?;
        }
        for start in info.destructuring_blocks.iter_mut().flatten() {
            *start = long(*start)?;
        }
    }
    for start in program.entry_points.values_mut() {
        *start = moved(*start)?;
    }
    program.main_entry_point = long(program.main_entry_point)?;
    for addition in additions.iter().rev() {
        let place = addition.place;
        let span = program.instruction_spans.get(place).cloned()?;
        let spans = addition.instructions.iter().map(|_| span.clone());
        program.instruction_spans.splice(place..place, spans);
        program
            .instructions
            .splice(place..place, addition.instructions.iter().copied());
    }
    Some(())
}
