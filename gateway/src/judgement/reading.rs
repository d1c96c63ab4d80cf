//! Reads a text in what its session sees at the moment.
//!
//! Must never read it by a view or by names that a statement of the session may have changed since: it asks first.

use std::{collections::BTreeSet, rc::Rc, sync::Arc};

use provost_engine::{
    facts::{Facts, Kind, Object, SessionEffect},
    sql::{self, Refusal, Statement},
};

use super::{
    SessionJudge, Step,
    analysis::{Admission, Analysed, Asking, analyse},
    limit,
    notes::Noted,
    obstacle, view,
};
use crate::{
    catalog::{self, Loaded},
    judge::{Look, Stop},
};

/// How often definitions are read for one text, which is refused then: once for the views that it names and all beneath, again for
/// what functions in those read.
const DEFINITION_ROUNDS_MAX: usize = 8;

/// Why a text has no analysis.
enum Unread {
    Refused(Refusal),
    Look(Look),
    Names,
}

impl From<Refusal> for Unread {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl SessionJudge {
    /// The step's statements, or its refusal in the log.
    pub(super) async fn analyse(&mut self, step: &Step<'_>) -> Result<Analysed, Stop> {
        match self.read(step).await {
            Ok(analysed) => {
                self.looked_again = false;
                Ok(analysed)
            }
            Err(Unread::Look(look)) => {
                self.pinning.lost();
                Err(Stop::Look(look))
            }
            Err(Unread::Names) => {
                self.pinning.lost();
                Err(Stop::Names)
            }
            Err(Unread::Refused(refusal)) => {
                self.pinning.over();
                self.looked_again = false;
                if let Some(unbounded) = self.despite(step, &refusal) {
                    return Ok(unbounded);
                }
                self.given = None;
                Err(self.refuse_text(step, refusal).await)
            }
        }
    }

    /// Analyses the step's text in what the session sees now. An unknown name is looked up in a fresh catalog once (ruling 4).
    async fn read(&mut self, step: &Step<'_>) -> Result<Analysed, Unread> {
        if step.text.len() > self.bench.statement_bytes_max {
            return Err(too_long(self.bench.statement_bytes_max).into());
        }
        if let Some(failure) = self.sight.failure() {
            return Err(obstacle::unseen(&failure).into());
        }
        if let Some(look) = self.sight.wanted(&self.everybodys()) {
            return match self.analyse_once(step).await {
                // A look takes a snapshot: what can do without one goes first, a SET TRANSACTION among them.
                Ok(analysed) if analysed.iter().all(|one| view::is_independent(&one.facts)) => {
                    Ok(analysed)
                }
                _ if self.status == b'E' => Err(obstacle::aborted().into()),
                _ => Err(Unread::Look(look)),
            };
        }
        let refused = match self.analyse_defined(step).await {
            Err(Unread::Refused(refusal)) if refusal.unknown_name => refusal,
            // A name that only the session knows.
            Err(Unread::Refused(refusal))
                if self.given.is_none() && matches!(refusal.sqlstate, "26000" | "34000") =>
            {
                return Err(Unread::Names);
            }
            other => return other,
        };
        if self.status == b'I' && !self.sight.is_special() {
            return match self.keeper.refresh(BTreeSet::new()).await {
                Ok(_) => self.analyse_defined(step).await,
                Err(_) => Err(refused.into()),
            };
        }
        if self.status == b'E' || std::mem::replace(&mut self.looked_again, true) {
            return Err(refused.into());
        }
        // The name may be one that only this session can see.
        self.sight.doubt(self.status);
        let look = self.sight.wanted(&self.everybodys());
        Err(look.map_or_else(|| refused.into(), Unread::Look))
    }

    /// Analyses it, and reads the definitions of views that it rests on where nobody asked for them before. Those of views beneath
    /// come along; bodies of functions may speak of further ones. They are read for everybody, or through the session's own
    /// connection: where it has a catalog of its own, where somebody has locked what a view reads, who may be the session
    /// itself, and where names changed while they were read for everybody.
    async fn analyse_defined(&mut self, step: &Step<'_>) -> Result<Analysed, Unread> {
        let mut asked: BTreeSet<u32> = BTreeSet::new();
        for _ in 0..DEFINITION_ROUNDS_MAX {
            let refusal = match self.analyse_once(step).await {
                Err(refusal) if !refusal.lacking.is_empty() => refusal,
                outcome => return Ok(outcome?),
            };
            let was_asked = refusal.lacking.iter().all(|view| asked.contains(view));
            if !self.sight.is_own() && !was_asked {
                asked.extend(&*refusal.lacking);
                let lacking = refusal.lacking.iter().copied().collect();
                match self.keeper.refresh(lacking).await {
                    Ok(_) => continue,
                    Err(error) if matches!(*error, catalog::Error::Undefined) => {}
                    Err(_) => return Err(refusal.into()),
                }
            }
            if self.status == b'E' || !self.sight.lack(&refusal.lacking) {
                return Err(refusal.into());
            }
            let look = self.sight.wanted(&self.everybodys());
            return Err(look.map_or_else(|| refusal.into(), Unread::Look));
        }
        Ok(self.analyse_once(step).await?)
    }

    /// Analyses it, by what is known now.
    pub(super) async fn analyse_once(&self, step: &Step<'_>) -> Result<Analysed, Refusal> {
        let (ground, own_cache) = self.sight.ground(self.everybodys());
        let search_path = step.path.unwrap_or_else(|| self.sight.path());
        // What a session of its own sees is read by itself.
        let memory = step
            .memory
            .filter(|_| own_cache.is_none() && self.given.is_none());
        let place = (ground.catalog.version(), search_path);
        if let Some(analysed) = memory.and_then(|memory| memory.find(place)) {
            self.cache.borrow_mut().touch(&analysed);
            return Ok(analysed);
        }
        let asking = Asking {
            text: step.text,
            types: step.types,
            search_path,
            target: &self.session.target,
            catalog: &ground.catalog,
            witness: self.bench.witness,
            names: self.given.as_ref().map(|given| &given.names),
        };
        let cache = own_cache.unwrap_or(&self.cache);
        let admission = match step.memory {
            Some(_) => Admission::AtOnce,
            None => Admission::SecondTime,
        };
        let analysed = analyse(cache, &self.bench.workers, asking, admission).await?;
        if let Some(memory) = memory {
            memory.keep(place, &analysed);
        }
        Ok(analysed)
    }

    /// The catalog that the session's names are looked up in.
    pub(super) fn loaded(&self) -> Rc<Loaded> {
        self.sight.ground(self.everybodys()).0
    }

    /// The catalog that everybody sees.
    pub(super) fn everybodys(&self) -> Rc<Loaded> {
        self.glance.look(self.keeper.shared())
    }

    /// Whether the server may still run a statement by other names than the present ones: it keeps what it made of a prepared
    /// statement although a relation came to be that hides another of the same name (PostgreSQL manual, PREPARE, Notes).
    pub(super) fn may_be_outdated(&self, step: &Step<'_>, statement: &Statement) -> bool {
        let given = self.given.as_ref();
        let of_names = statement
            .rests_on
            .iter()
            .flat_map(|name| given.into_iter().flat_map(|given| given.made_at(name)));
        let now = statement.facts.catalog_version;
        if of_names.chain(step.made_at).all(|made_at| made_at == now) {
            return false;
        }
        let mut paths = vec![step.path.unwrap_or_else(|| self.sight.path())];
        for name in &statement.rests_on {
            paths.extend(given.and_then(|given| given.path(name)));
        }
        self.has_namesakes(&statement.facts, &paths)
    }

    /// Whether a relation of the statement has the name of another one on the same path.
    pub(super) fn has_namesakes(&self, facts: &Facts, paths: &[&Arc<[Arc<str>]>]) -> bool {
        let loaded = self.loaded();
        let several = |name: &str| {
            let holds = |schema: &&Arc<str>| loaded.catalog.relation_named(schema, name).is_some();
            paths
                .iter()
                .any(|path| path.iter().filter(holds).count() > 1)
        };
        facts.accesses.iter().any(|access| match &access.object {
            Object::Relation { name, .. } => several(name),
            Object::Function { .. }
            | Object::Setting(_)
            | Object::Channel(_)
            | Object::Other { .. }
            | Object::Nothing => false,
        })
    }

    /// Analyses, and gives the one statement of a text that may hold one; an empty text gives an empty statement.
    pub(super) async fn analyse_one(&mut self, step: &Step<'_>) -> Result<Analysed, Stop> {
        let statements = self.analyse(step).await?;
        match statements.len() {
            0 => Ok(Rc::new(Noted::new(Arc::from([self.empty(step)])))),
            1 => Ok(statements),
            _ => {
                let refusal = several();
                match self.despite(step, &refusal) {
                    Some(unbounded) => Ok(unbounded),
                    None => Err(self.refuse_text(step, refusal).await),
                }
            }
        }
    }

    fn empty(&self, step: &Step<'_>) -> Statement {
        let whole = 0..step.text.len();
        let text = std::str::from_utf8(step.text).ok();
        Statement {
            facts: Facts {
                kind: Kind::Empty,
                accesses: Vec::new(),
                outputs: None,
                writes: Vec::new(),
                opaque: std::collections::BTreeSet::new(),
                session_effect: SessionEffect::None,
                through_views: false,
                views: BTreeSet::new(),
                limit: None,
                parameters: 0,
                lookups: BTreeSet::new(),
                uncounted: false,
                fingerprint: Arc::from(""),
                catalog_version: self.loaded().catalog.version(),
            },
            literals: text
                .and_then(sql::literal_spans)
                .unwrap_or_else(|| vec![whole.clone()]),
            span: whole,
            binding: None,
            states: None,
            rests_on: BTreeSet::new(),
            copy: None,
        }
    }

    /// The cursors that a statement reads on from.
    pub(super) fn cursors(&self, statement: &Statement) -> Vec<Arc<str>> {
        let is_cursor = |name: &&Arc<str>| {
            self.given
                .as_ref()
                .is_some_and(|given| given.is_cursor(name))
        };
        statement
            .rests_on
            .iter()
            .filter(is_cursor)
            .cloned()
            .collect()
    }
}

fn too_long(bytes_max: usize) -> Refusal {
    limit(
        format!("the statement is longer than {bytes_max} bytes"),
        "send large values as parameters or with COPY",
    )
}

fn several() -> Refusal {
    Refusal {
        sqlstate: "42601",
        message: "cannot insert multiple commands into a prepared statement".to_owned(),
        detail: None,
        hint: None,
        position: None,
        unknown_name: false,
        lacking: Box::default(),
    }
}
