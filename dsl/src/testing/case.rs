//! What a `test` block says, names resolved: who asks, over which session, which statements, and what must come of them.
//! Made by lowering only; run by [`crate::testing`].

use std::{
    collections::BTreeMap,
    net::IpAddr,
    ops::Range,
    path::{Path, PathBuf},
    sync::Arc,
};

use provost_engine::{
    principal::PrincipalKind,
    reason::StatedReason,
    transform::Transform,
    verdict::{Limits, Recording, Verdict},
};

use crate::diagnostic::File;

/// One `test` block.
#[derive(Debug, Clone)]
pub struct PolicyTest {
    /// The text after `test`, each once in a set.
    pub name: Arc<str>,
    /// `schema "shop.sql"`, relative to the folder of the test's own file. `None`: a database with nothing in it but what
    /// PostgreSQL brings.
    pub schema: Option<PathBuf>,
    /// `as "devin@corp" in agents`
    pub principal: TestPrincipal,
    /// `session target = "shop"`
    pub session: TestSession,
    /// `at "2026-03-01T09:00:00+01:00"`. `None`: [`DEFAULT_MOMENT`].
    pub at: Option<jiff::Timestamp>,
    /// `given estimated_rows = 5_000`
    pub given: Given,
    /// `run "..."`, at least one. Each is a text as a client would send it, judged by itself; all must be as expected.
    pub run: Vec<Run>,
    /// `expect ...`, at least one.
    pub expect: Vec<Expected>,
    pub(crate) file: File,
    /// Where its name is in the file.
    pub span: Range<usize>,
}

/// When a test without `at` takes place: a Monday, at noon UTC.
pub const DEFAULT_MOMENT: &str = "2026-01-05T12:00:00Z";

impl PolicyTest {
    /// The file it is in, relative to the policy folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        Path::new(self.file.name())
    }
}

/// Who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TestPrincipal {
    /// The id.
    pub id: Arc<str>,
    /// `None`: human, as the gateway takes whoever its configuration calls nothing else.
    pub kind: Option<PrincipalKind>,
    /// Names as the issuer gives them. `in agents` names a group of the policy and stands for its first name; a text
    /// (`in "ai-agents"`) stands for itself.
    pub groups: Vec<Arc<str>>,
    /// `for "ana@corp" in analysts`: the person behind an agent.
    pub on_behalf_of: Option<TestPerson>,
    /// Claims of the token.
    pub claims: BTreeMap<String, serde_json::Value>,
}

/// The person behind an agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TestPerson {
    /// The id.
    pub id: Arc<str>,
    /// As [`TestPrincipal::groups`].
    pub groups: Vec<Arc<str>>,
}

/// Over which session. What a test does not say is as written at each field.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TestSession {
    /// The target's configured name; `test`.
    pub target: Option<Arc<str>>,
    /// The database; `test`.
    pub database: Option<Arc<str>>,
    /// The database role; `test`. A schema of the same name is first on the search path, then comes `public`.
    pub role: Option<Arc<str>>,
    /// `application_name`; empty.
    pub application: Option<Arc<str>>,
    /// The client's address; `127.0.0.1`.
    pub client_address: Option<IpAddr>,
    /// Whether the client's connection is encrypted; `true`.
    pub tls: Option<bool>,
    /// Whether the session is in a transaction block when the first statement comes; `false`.
    pub in_transaction: Option<bool>,
    /// Why its statements must run, as it states it; nothing.
    pub reason: Option<StatedReason>,
}

/// Dear facts, which a gateway would ask somebody for. One that a test does not give can't be had: a condition that
/// needs it is unknown, and what needs it is refused.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Given {
    /// How many rows the server's planner expects.
    pub estimated_rows: Option<u64>,
    /// Whether the principal has not run a statement of this shape before.
    pub novel: Option<bool>,
}

/// One `run`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// The text, exactly as a client would send it.
    pub text: Arc<str>,
    /// Where it is in the file, quotes included.
    pub span: Range<usize>,
}

/// One item of an `expect`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expected {
    /// What must hold.
    pub what: Expectation,
    /// Where it is in the file.
    pub span: Range<usize>,
}

/// What must hold of the decision on every `run`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expectation {
    /// `allow`, `hold`, `deny`: this verdict, whatever else is decided.
    Verdict(Verdict),
    /// `by bulk-write`, behind a verdict: the rule is among those that determined the decision.
    By(Arc<str>),
    /// `mask s`: the result's column of this name is masked.
    Mask {
        /// The name as the client sees it.
        output: Arc<str>,
        /// `mask s with last 4`: by exactly this transform; `None`: by any.
        transform: Option<Transform>,
        /// `mask s by mask-pii`: this rule is among those that ask for it.
        by: Option<Arc<str>>,
    },
    /// `no mask id`: there is a result column of this name, and it is not masked.
    NoMask {
        /// The name as the client sees it.
        output: Arc<str>,
    },
    /// `unmasked`: no column of the result is masked. `allow` by itself says nothing of masks.
    Unmasked,
    /// `controls nist.AC-3`: these are among the decision's, as `nist-800-53:AC-3`.
    Controls(Vec<Arc<str>>),
    /// `limit rows 10_000 per statement`: the decision carries exactly these limits; it may carry others.
    Limit(Limits),
    /// `record results`: the decision asks for exactly this recording.
    Record(Recording),
    /// `because "no business"`: a reason of the decision, or the `because` of a rule that determined it, has this text in
    /// it.
    Reason(Arc<str>),
    /// `error`: analysis refuses the text before any rule is asked (a name that nothing has, text that does not parse).
    /// `deny` is not enough for a text that PostgreSQL itself would refuse, so that a slip in a test does not pass it.
    Error,
}
