//! Names that SQL gives and takes: PREPARE, DEALLOCATE, DECLARE, CLOSE, DISCARD. They are in the same tables as the
//! protocol's, as they are at the server (ruling 5).
//!
//! Must never take up a name before the server has completed its statement, nor keep one for what it has not.

use std::sync::Arc;

use provost_engine::{
    facts::Kind,
    sql::{Binding, Hold as CursorHold, Named},
};

use super::{
    client::Step,
    core::{Core, Stall, shared},
    names::{Hold, Life, Portal, Statement},
    out::Out,
    pending::{Run, Segment},
};
use crate::judge::{Enforcement, Fatal, Judge, Permitted};

impl<J: Judge> Core<J> {
    /// A frame can't be judged before the session's names are certain: it waits for that, and is looked at again.
    pub(super) fn give_names(&mut self, out: &mut Out) -> Step {
        if !self.pending.is_empty() {
            self.flush(out);
            self.stall = Stall::Idle;
            return Step::Stalled;
        }
        let given = self.names.given();
        self.judge.names(given);
        Step::Again
    }

    /// How long a portal lives that is made now.
    pub(super) const fn life(&self) -> Life {
        if self.savepoint {
            Life::Savepoint
        } else {
            Life::Transaction
        }
    }

    pub(super) fn run(&mut self, permitted: Permitted) -> Box<Run> {
        let mut run = Run::new(permitted);
        self.count_cursors(&mut run);
        run
    }

    /// Limits count what the cursors gave before that a statement reads on from.
    pub(super) fn count_cursors(&mut self, run: &mut Run) {
        for cursor in &run.permitted.enforcement.cursors {
            if let Some(portal) = self.names.certain_portal(cursor.as_bytes()) {
                run.earlier.0 = run.earlier.0.saturating_add(portal.fetched.0);
                run.earlier.1 = run.earlier.1.saturating_add(portal.fetched.1);
            }
        }
    }

    /// A statement completed that read on from cursors.
    pub(super) fn fetched(&mut self, enforcement: &Enforcement, (rows, bytes): (u64, u64)) {
        for cursor in &enforcement.cursors {
            if let Some(portal) = self.names.certain_portal(cursor.as_bytes()) {
                portal.fetched.0 = portal.fetched.0.saturating_add(rows);
                portal.fetched.1 = portal.fetched.1.saturating_add(bytes);
            }
        }
    }

    /// Takes up what a completed statement did to names.
    pub(super) async fn bound_by_sql(
        &mut self,
        enforcement: &Enforcement,
        tag: &[u8],
    ) -> Result<(), Fatal> {
        match tag {
            b"SAVEPOINT" => self.savepoint = true,
            // ROLLBACK TO: what was made since the savepoint is gone.
            b"ROLLBACK" if enforcement.kind == Kind::Savepoint => {
                let gone = self.names.take_where(|portal| {
                    // Of those WITH HOLD it is not known when they were made.
                    matches!(portal.life, Life::Savepoint | Life::Held)
                });
                self.settle(gone).await?;
            }
            b"ROLLBACK" => self.undone = true,
            _ => {}
        }
        match &enforcement.binding {
            Some(Binding::Prepare(name, named)) => {
                let (prepared, _) = self.judge.named(named);
                let statement = Statement {
                    prepared,
                    text_bytes: named.text.len(),
                };
                self.names
                    .define_statement(&shared(name.as_bytes()), Some(statement));
                Ok(())
            }
            Some(Binding::Deallocate(name)) => {
                self.names.define_statement(&shared(name.as_bytes()), None);
                Ok(())
            }
            Some(Binding::Declare { name, cursor, hold }) => {
                self.declared(name, cursor, *hold).await
            }
            Some(Binding::Close(name)) => {
                let gone = self.names.define_portal(&shared(name.as_bytes()), None);
                self.settle(gone.into_iter().collect()).await
            }
            Some(Binding::DeallocateAll) => {
                self.names.forget_statements();
                Ok(())
            }
            Some(Binding::CloseAll) => self.forget_portals().await,
            Some(Binding::Everything) => {
                self.names.forget_statements();
                self.forget_portals().await
            }
            None => self.forgotten_by_tag(tag).await,
        }
    }

    /// What a tag alone tells.
    async fn forgotten_by_tag(&mut self, tag: &[u8]) -> Result<(), Fatal> {
        match tag {
            b"DISCARD ALL" => {
                self.names.forget_statements();
                self.forget_portals().await
            }
            b"DEALLOCATE ALL" => {
                self.names.forget_statements();
                Ok(())
            }
            // Something else could take a closed portal's name, a cursor of a function's among them.
            b"CLOSE CURSOR" | b"CLOSE CURSOR ALL" => self.forget_portals().await,
            _ => Ok(()),
        }
    }

    async fn declared(
        &mut self,
        name: &Arc<str>,
        cursor: &Named,
        hold: CursorHold,
    ) -> Result<(), Fatal> {
        let name = shared(name.as_bytes());
        // Beyond the limit a cursor has no name here: FETCH from it is refused.
        let has_room = self.names.portals() < self.limits.portals_max;
        let portal = has_room.then(|| {
            let (prepared, bound) = self.judge.named(cursor);
            Portal {
                segment: self.segment,
                prepared,
                bound,
                hold: Hold::Ended,
                life: match hold {
                    CursorHold::Transaction => self.life(),
                    CursorHold::Session => Life::Held,
                },
                fetched: (0, 0),
            }
        });
        let gone = self.names.define_portal(&name, portal);
        self.settle(gone.into_iter().collect()).await
    }

    async fn forget_portals(&mut self) -> Result<(), Fatal> {
        let gone = self.names.take_where(|_| true);
        self.settle(gone).await
    }

    /// The transaction of `segment` and those before it are over.
    pub(super) async fn transaction_over(&mut self, segment: Segment) -> Result<(), Fatal> {
        self.savepoint = false;
        if !std::mem::take(&mut self.undone) {
            self.names.keep_held();
        }
        let gone = self.names.take_portals(segment);
        self.settle(gone).await
    }
}
