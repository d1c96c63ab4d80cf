//! Modules: policies of another language that take part in a decision like rules. An error of a module denies.
//!
//! The engine knows none of these languages: a module is a [`Module`], a pure function from [`Input`] to verdicts. One that
//! reads nothing of the statement is asked once for a session's view, any other once for a decision.
//!
//! A module's [`crate::verdict::RuleId`] follows those of the rules: modules are sorted by name behind them.

mod explain;
#[cfg(test)]
mod tests;
mod verdict;

use std::{borrow::Cow, collections::BTreeSet, fmt, sync::Arc};

use jiff::Timestamp;
use thiserror::Error;

pub(super) use self::explain::explain;
pub use self::verdict::{
    ModuleApproval, ModuleLimits, ModuleMask, ModuleOutputMask, ModuleProbing, ModuleVerdict,
    VerdictError, WrittenTransform,
};
use super::{
    CompiledMask, Policy, SessionView, access, built_in,
    condition::{Context, DearFact, Unknown},
    findings::Findings,
    index::Bits,
    input::{self, Input},
    prove::{self, Proof},
    rule::{Claim, Invariant},
};
use crate::{
    facts::{Access, Column, Facts, How, Operation},
    principal::{Circumstances, Dear, Session},
    transform::Transform,
    verdict::{OutputMask, Verdict},
};

/// A policy of another language. Pure: the same input gives the same answer.
pub trait Module: fmt::Debug + Send + Sync {
    /// Its name in decisions and evidence.
    fn name(&self) -> &Arc<str>;

    /// The controls that it satisfies: ids such as `nist-800-53:AC-3(11)`, sorted.
    fn controls(&self) -> &[Arc<str>];

    /// The parts of the input that it may read. A part that is not among them is not given.
    fn reads(&self) -> Reads;

    /// What it may mask. A mask that is not announced here is an error.
    fn masks(&self) -> Announced;

    /// What it says; nothing adds nothing.
    ///
    /// # Errors
    /// [`ModuleError`]. Whoever asks must deny.
    fn evaluate(&self, input: &Input<'_>) -> Result<Vec<ModuleVerdict>, ModuleError>;
}

/// The parts of the input that a module may read, beyond principal and session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Reads {
    /// `input.time`.
    pub time: bool,
    /// `input.statement`.
    pub statement: bool,
    /// `input.circumstances`, without the dear facts.
    pub circumstances: bool,
    /// `input.circumstances.estimated_rows`.
    pub estimated_rows: bool,
    /// `input.circumstances.novel`.
    pub novel: bool,
}

impl Reads {
    /// Everything.
    pub const ALL: Self = Self {
        time: true,
        statement: true,
        circumstances: true,
        estimated_rows: true,
        novel: true,
    };

    /// Whether it reads nothing that changes while a session's view holds.
    #[must_use]
    pub const fn is_of_session(self) -> bool {
        !(self.statement || self.circumstances || self.estimated_rows || self.novel)
    }
}

/// What a module may mask.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Announced {
    /// Classes of columns.
    pub masks: bool,
    /// Single columns of results.
    pub output_masks: bool,
}

/// Why a module gave no verdict.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ModuleError {
    /// The facts are larger than a module may be given.
    #[error("the facts take {bytes} bytes, and a module is given at most {bytes_max}")]
    InputTooLarge {
        /// How large they are.
        bytes: usize,
        /// The limit.
        bytes_max: usize,
    },
    /// It did not come to an end within its steps.
    #[error("more than {instructions_max} instructions")]
    TooManyInstructions {
        /// The limit.
        instructions_max: usize,
    },
    /// It did not come to an end within its time.
    #[error("more than {time_ms_max} ms")]
    TooLong {
        /// The limit.
        time_ms_max: u64,
    },
    /// It made more than it may.
    #[error("more than {bytes_max} bytes of values")]
    TooLarge {
        /// The limit.
        bytes_max: usize,
    },
    /// It failed.
    #[error("{message}")]
    Failed {
        /// What its evaluator said, in one line.
        message: Arc<str>,
    },
    /// What it answered is no verdict.
    #[error("`decision` is no verdict: {message}")]
    Shape {
        /// What is wrong, in one line.
        message: Arc<str>,
    },
    /// What it answered contradicts itself or the statement.
    #[error("`decision`: {0}")]
    Verdict(VerdictError),
    /// A dear fact that it reads was not to be had.
    #[error("{0}")]
    Fact(Unknown),
}

/// What a module said.
type Answer = Result<Vec<ModuleVerdict>, ModuleError>;

/// What the modules said of a session, before any statement.
#[derive(Debug, Clone, Default)]
pub(super) struct SessionAnswers {
    /// By module; `None` for one that reads the statement.
    answers: Arc<[Option<Answer>]>,
    /// The masks among them.
    masks: Arc<[CompiledMask]>,
    /// Whether any of them can mask anything for this session (ruling 1).
    binds: bool,
}

impl SessionAnswers {
    /// The masks that bind the session.
    pub(super) fn masks(&self) -> &[CompiledMask] {
        &self.masks
    }

    /// Whether any module can mask anything for this session.
    pub(super) fn binds(&self) -> bool {
        self.binds
    }
}

impl Policy {
    /// The policy with modules that take part in its decisions.
    ///
    /// # Errors
    /// [`super::Error::DuplicateRule`]: two modules, or a rule and a module, of one name.
    pub fn with_modules(mut self, modules: Vec<Arc<dyn Module>>) -> Result<Self, super::Error> {
        self.modules.extend(modules);
        self.modules
            .sort_by(|left, right| left.name().cmp(right.name()));
        let mut names: BTreeSet<&Arc<str>> = self.set.rules.iter().map(|rule| &rule.name).collect();
        if let Some(twice) = self
            .modules
            .iter()
            .find(|module| !names.insert(module.name()))
        {
            return Err(super::Error::DuplicateRule {
                rule: Arc::clone(twice.name()),
            });
        }
        if self.modules.iter().any(|module| module.masks().masks) {
            // Which classes a module will mask is not known before it is asked: any of them may be.
            for class in 0..self.classes.names.len() {
                self.classes.masked.insert(class);
            }
        }
        Ok(self)
    }

    /// Proves an invariant of the whole set. What its rules prove may not hold for its modules: nobody knows what those
    /// allow or refuse before they are asked. That they can't take a mask away is known.
    #[must_use]
    pub fn prove(&self, invariant: &Invariant) -> Proof {
        let proof = prove::prove(&self.set, invariant);
        let Some(module) = self.modules.first() else {
            return proof;
        };
        match (&proof, &invariant.claim) {
            (Proof::Unknown(_), _) | (Proof::Holds, Claim::AlwaysMask(_)) => proof,
            (Proof::Holds, Claim::NeverAllow(_)) | (Proof::Violated(_), _) => {
                let (name, others) = (module.name(), self.modules.len() - 1);
                let others = if others > 0 {
                    format!(" and {others} more")
                } else {
                    String::new()
                };
                Proof::Unknown(format!(
                    "what module `{name}`{others} says is known only when it is asked"
                ))
            }
        }
    }

    /// The modules, sorted by name.
    #[must_use]
    pub fn modules(&self) -> &[Arc<dyn Module>] {
        &self.modules
    }

    /// The first instant after `now` at which the time that modules are given changes.
    pub(super) fn next_change_for_modules(&self, now: Timestamp) -> Timestamp {
        if self.modules.iter().any(|module| module.reads().time) {
            input::next_minute(now)
        } else {
            Timestamp::MAX
        }
    }

    /// Asks the modules that read nothing of the statement.
    pub(super) fn ask_for_session(&self, session: &Session, now: Timestamp) -> SessionAnswers {
        if self.modules.is_empty() {
            return SessionAnswers::default();
        }
        let input = Input::of_session(session, now);
        let mut answers: Vec<Option<Answer>> = Vec::with_capacity(self.modules.len());
        let mut masks = Vec::new();
        let mut binds = false;
        for (index, module) in self.modules.iter().enumerate() {
            if !module.reads().is_of_session() {
                binds |= module.masks().output_masks;
                answers.push(None);
                continue;
            }
            let answer = ask(&**module, &input).and_then(|verdicts| {
                self.masks_of(index, &verdicts)
                    .map(|found| (verdicts, found))
            });
            match answer {
                Ok((verdicts, found)) => {
                    binds |= !found.is_empty()
                        || verdicts.iter().any(|one| !one.output_masks.is_empty());
                    masks.extend(found);
                    answers.push(Some(Ok(verdicts)));
                }
                Err(error) => {
                    // What it would have masked is not known; everything is denied, and nothing is shown on the way.
                    binds |= module.masks() != Announced::default();
                    answers.push(Some(Err(error)));
                }
            }
        }
        SessionAnswers {
            answers: answers.into(),
            masks: masks.into(),
            binds,
        }
    }

    /// The masks on classes that a module asks for.
    fn masks_of(
        &self,
        module: usize,
        verdicts: &[ModuleVerdict],
    ) -> Result<Vec<CompiledMask>, ModuleError> {
        let compile = |mask: &ModuleMask| {
            let mut classes = Bits::empty(self.classes.names.len());
            for class in &mask.classes {
                match self.classes.names.binary_search(class) {
                    Ok(number) => classes.insert(number),
                    Err(_) => {
                        return Err(ModuleError::Verdict(VerdictError::UnknownClass {
                            class: Arc::clone(class),
                        }));
                    }
                }
            }
            Ok(CompiledMask {
                rule: self.set.rules.len() + module,
                classes,
                mask: mask.to_mask(),
            })
        };
        verdicts
            .iter()
            .flat_map(|verdict| &verdict.masks)
            .map(compile)
            .collect()
    }
}

/// Asks a module and checks its answer as far as it can be without a statement.
fn ask(module: &dyn Module, input: &Input<'_>) -> Answer {
    let announced = module.masks();
    let verdicts = module.evaluate(input)?;
    for verdict in &verdicts {
        verdict.check().map_err(ModuleError::Verdict)?;
        let unannounced = |key| Err(ModuleError::Verdict(VerdictError::Unannounced { key }));
        if !verdict.masks.is_empty() {
            if !module.reads().is_of_session() {
                return Err(ModuleError::Verdict(VerdictError::MaskOfStatement));
            }
            if !announced.masks {
                return unannounced("masks");
            }
        }
        if !verdict.output_masks.is_empty() && !announced.output_masks {
            return unannounced("output_masks");
        }
    }
    Ok(verdicts)
}

/// Joins what every module says of a statement. Comes before the accesses are judged: modules cover some of them.
pub(super) fn judge(
    policy: &Policy,
    view: &SessionView,
    context: Context<'_>,
    findings: &mut Findings,
) {
    if policy.modules.is_empty() || built_in::is_always_allowed(context.facts) {
        return;
    }
    let judge = Judge {
        policy,
        facts: context.facts,
    };
    let implied = access::implied(context.facts);
    let mut questions = Questions::of(policy, view, context, implied.as_ref());
    for (index, module) in policy.modules.iter().enumerate() {
        let speaker = policy.set.rules.len() + index;
        let answer = match questions.ask(index, &**module) {
            Ok(answer) => answer,
            Err(missing) => {
                // Nobody knows yet what it will cover: whatever else refuses comes first.
                findings.need(missing);
                findings.cover_pending();
                continue;
            }
        };
        match &*answer {
            Ok(verdicts) => {
                let accesses = questions.accesses().count();
                for verdict in verdicts {
                    if let Err(error) =
                        judge.join(speaker, module.name(), verdict, accesses, findings)
                    {
                        judge.fail(speaker, &**module, &ModuleError::Verdict(error), findings);
                    }
                }
            }
            Err(error) => judge.fail(speaker, &**module, error, findings),
        }
    }
}

/// One statement, as modules are asked about it.
struct Questions<'a> {
    policy: &'a Policy,
    view: &'a SessionView,
    context: Context<'a>,
    /// The access that the statement implies, behind its own.
    implied: Option<&'a Access>,
    whole: Option<Input<'a>>,
}

impl<'a> Questions<'a> {
    fn of(
        policy: &'a Policy,
        view: &'a SessionView,
        context: Context<'a>,
        implied: Option<&'a Access>,
    ) -> Self {
        Self {
            policy,
            view,
            context,
            implied,
            whole: None,
        }
    }

    /// The accesses that modules are shown.
    fn accesses(&self) -> impl Iterator<Item = &'a Access> + use<'a> {
        self.context.facts.accesses.iter().chain(self.implied)
    }

    /// Whether the statement compares a column with a value that is not bound yet.
    fn values_follow(&self) -> bool {
        let Context {
            circumstances,
            facts,
            ..
        } = self.context;
        circumstances.values_follow && circumstances.parameters.is_none() && facts.compares_values()
    }

    /// What a module says.
    ///
    /// # Errors
    /// The fact that must be known before it can be asked.
    fn ask(&mut self, index: usize, module: &dyn Module) -> Result<Cow<'a, Answer>, DearFact> {
        if let Some(Some(answer)) = self.view.modules.answers.get(index) {
            return Ok(Cow::Borrowed(answer));
        }
        if module.reads().statement && self.values_follow() {
            return Err(DearFact::Values);
        }
        match dear_facts(module.reads(), self.context.circumstances) {
            Ok(None) => {}
            Ok(Some(missing)) => return Err(missing),
            Err(why) => return Ok(Cow::Owned(Err(ModuleError::Fact(why)))),
        }
        let (policy, context, accesses) = (self.policy, self.context, self.accesses());
        let input = self.whole.get_or_insert_with(|| {
            Input::of_session(context.session, context.now).with_statement(
                context.facts,
                accesses,
                context.circumstances,
                &policy.classes,
            )
        });
        Ok(Cow::Owned(ask(module, input)))
    }
}

/// The first dear fact that must be fetched before a module can be asked.
fn dear_facts(
    reads: Reads,
    circumstances: &Circumstances<'_>,
) -> Result<Option<DearFact>, Unknown> {
    let novel = state(reads.novel, DearFact::Novel, &circumstances.novel)?;
    let rows = state(
        reads.estimated_rows,
        DearFact::EstimatedRows,
        &circumstances.estimated_rows,
    )?;
    Ok(novel.or(rows))
}

fn state<T>(read: bool, fact: DearFact, value: &Dear<T>) -> Result<Option<DearFact>, Unknown> {
    match value {
        _ if !read => Ok(None),
        Dear::Known(_) => Ok(None),
        Dear::NotAsked => Ok(Some(fact)),
        Dear::Failed(reason) => Err(Unknown::Failed {
            fact,
            reason: Arc::clone(reason),
        }),
    }
}

/// One statement before the modules of one policy.
struct Judge<'a> {
    policy: &'a Policy,
    facts: &'a Facts,
}

impl Judge<'_> {
    fn fail(
        &self,
        speaker: usize,
        module: &dyn Module,
        error: &ModuleError,
        findings: &mut Findings,
    ) {
        let message = format!("module `{}` can't be evaluated: {error}", module.name());
        findings.refuse(Some((speaker, module.name())), &message, None);
    }

    /// Joins one verdict. `accesses` is how many the module was shown.
    fn join(
        &self,
        speaker: usize,
        name: &Arc<str>,
        verdict: &ModuleVerdict,
        accesses: usize,
        findings: &mut Findings,
    ) -> Result<(), VerdictError> {
        let places = verdict.accesses.as_ref();
        if let Some(&place) = places.and_then(|places| places.last())
            && place >= accesses
        {
            return Err(VerdictError::Place {
                key: "accesses",
                place,
                count: accesses,
            });
        }
        match verdict.verdict {
            None => {}
            // Checked before.
            Some(Verdict::BreakGlass) => return Err(VerdictError::Glass),
            Some(Verdict::Deny) => {
                let named: Arc<str> = match &verdict.rule {
                    Some(rule) => Arc::from(format!("{name}/{rule}")),
                    None => Arc::clone(name),
                };
                let message = verdict.because.as_deref().unwrap_or("the module denies it");
                findings.refuse(Some((speaker, &named)), message, None);
            }
            // What covers nothing says nothing, like a rule that no access matches.
            Some(Verdict::Allow | Verdict::Hold) if places.is_some_and(BTreeSet::is_empty) => {}
            Some(Verdict::Allow) => {
                findings.cover(places);
                findings.applied(speaker);
            }
            Some(Verdict::Hold) => {
                findings.cover(places);
                findings.hold(speaker, &verdict.hold());
                findings.hold_for_good();
            }
        }
        if verdict.limits != ModuleLimits::default() {
            findings.limit(speaker, &verdict.limits.into());
        }
        if let Some(recording) = verdict.recording {
            findings.record(speaker, recording);
        }
        for mask in &verdict.output_masks {
            self.mask_output(speaker, name, mask, findings)?;
        }
        Ok(())
    }

    fn mask_output(
        &self,
        speaker: usize,
        name: &Arc<str>,
        mask: &ModuleOutputMask,
        findings: &mut Findings,
    ) -> Result<(), VerdictError> {
        let outputs = self.facts.outputs.as_deref().unwrap_or_default();
        let Some(output) = outputs.get(mask.output) else {
            return Err(VerdictError::Place {
                key: "output_masks",
                place: mask.output,
                count: outputs.len(),
            });
        };
        let sources = &output.lineage.sources;
        let transform = if sources.iter().any(|source| source.how == How::Derived) {
            // What is left of a computed value is not what the transform was written for.
            mask.transform.0.join(&Transform::Redact)
        } else {
            mask.transform.0.clone()
        };
        let columns: BTreeSet<&Column> = sources.iter().map(|source| &*source.column).collect();
        let classes: BTreeSet<&str> = columns
            .iter()
            .flat_map(|column| self.policy.classes.names_of(column))
            .collect();
        findings.applied(speaker);
        findings.mask(OutputMask {
            output: mask.output,
            transform,
            rules: vec![Arc::clone(name)],
            class: Arc::from(classes.into_iter().collect::<Vec<_>>().join(", ")),
            sources: columns
                .iter()
                .map(|column| {
                    Arc::from(format!(
                        "{}.{}.{}",
                        column.schema, column.relation, column.name
                    ))
                })
                .collect(),
            controls: self
                .policy
                .voice(speaker)
                .map_or_else(Vec::new, |voice| voice.controls.to_vec()),
        });
        Ok(())
    }
}

/// Whether an access is one that no module covers without naming it.
pub(super) fn must_be_named(operation: Operation) -> bool {
    operation == Operation::Opaque
}
