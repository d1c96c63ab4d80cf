//! Attributes that conditions ask for, with what they may be compared with.

use provost_engine::{
    facts::{Kind, Operation, Use},
    graph::condition::{Flag, NumberAttribute, TextAttribute},
    principal::{Authentication, PrincipalKind},
};

use crate::diagnostic::nearest;

/// What an attribute is one of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Of {
    /// Who asks.
    Principal,
    /// Over which session.
    Session,
    /// The statement as a whole.
    Statement,
    /// Each access of the statement, with each use of a column.
    Access,
    /// When.
    Time,
}

impl Of {
    /// Its name in the language.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Principal => "principal",
            Self::Session => "session",
            Self::Statement => "statement",
            Self::Access => "access",
            Self::Time => "time",
        }
    }
}

/// An attribute.
#[derive(Debug)]
pub struct Attribute {
    /// Its full name.
    pub name: &'static str,
    /// The name without what it is of, where nothing else is called so.
    pub short: Option<&'static str>,
    /// What it is one of.
    pub of: Of,
    /// One sentence.
    pub about: &'static str,
    /// A condition that asks for it.
    pub example: &'static str,
    pub(crate) reading: Reading,
}

/// What the engine reads for an attribute.
#[derive(Debug)]
pub(crate) enum Reading {
    Flag(Flag),
    Number(NumberAttribute),
    Text(TextAttribute),
    PrincipalKind,
    Authentication,
    StatementKind,
    Operation,
    Use,
    Class,
    /// The actor itself: `principal in agents`.
    Actor,
    ActorGroups,
    /// The person behind it.
    Person,
    PersonGroups,
    Claims,
    Network,
    Tables,
    Functions,
    Time,
    Weekday,
    Hour,
}

impl Attribute {
    /// What it is, in words.
    #[must_use]
    pub fn sort(&self) -> String {
        match &self.reading {
            Reading::Flag(_) => "yes or no".to_owned(),
            Reading::Number(_) => "a whole number".to_owned(),
            Reading::Text(_) => "a text".to_owned(),
            Reading::Class => "a class of the policy".to_owned(),
            Reading::Actor => "somebody, who is in groups".to_owned(),
            Reading::Person => "somebody or nobody".to_owned(),
            Reading::ActorGroups | Reading::PersonGroups => "a list of texts".to_owned(),
            Reading::Claims => "a text, a whole number, yes or no, or a list of texts".to_owned(),
            Reading::Network => "an address".to_owned(),
            Reading::Tables | Reading::Functions => "a list of names".to_owned(),
            Reading::Time => "a moment".to_owned(),
            Reading::Hour => "an hour, from 0 to 23".to_owned(),
            Reading::PrincipalKind
            | Reading::Authentication
            | Reading::StatementKind
            | Reading::Operation
            | Reading::Use
            | Reading::Weekday => format!("one of {}", self.values().join(", ")),
        }
    }

    /// The words that it may be compared with, where they are fixed.
    #[must_use]
    pub fn values(&self) -> Vec<&'static str> {
        match &self.reading {
            Reading::PrincipalKind => PRINCIPAL_KINDS.iter().map(|kind| kind.name()).collect(),
            Reading::Authentication => AUTHENTICATIONS.iter().map(|way| way.name()).collect(),
            Reading::StatementKind => kind_names().collect(),
            Reading::Operation => Operation::ALL.iter().map(|one| one.name()).collect(),
            Reading::Use => USES.iter().map(|(name, _)| *name).collect(),
            Reading::Weekday => provost_engine::graph::window::Weekdays::NAMES.to_vec(),
            Reading::Flag(_)
            | Reading::Number(_)
            | Reading::Text(_)
            | Reading::Class
            | Reading::Actor
            | Reading::ActorGroups
            | Reading::Person
            | Reading::PersonGroups
            | Reading::Claims
            | Reading::Network
            | Reading::Tables
            | Reading::Functions
            | Reading::Time
            | Reading::Hour => Vec::new(),
        }
    }
}

/// Kinds of principals.
pub(crate) const PRINCIPAL_KINDS: [PrincipalKind; 3] = [
    PrincipalKind::Human,
    PrincipalKind::Agent,
    PrincipalKind::Service,
];

/// Ways to prove who one is.
pub(crate) const AUTHENTICATIONS: [Authentication; 1] = [Authentication::TokenAsPassword];

/// Uses of a column.
pub(crate) const USES: [(&str, Use); 8] = [
    ("output", Use::Output),
    ("filter", Use::Filter),
    ("join", Use::Join),
    ("group", Use::Group),
    ("sort", Use::Sort),
    ("compute", Use::Compute),
    ("write", Use::Write),
    ("returning", Use::Returning),
];

/// Kinds of statements.
pub(crate) const KINDS: [Kind; 25] = [
    Kind::Select,
    Kind::Insert,
    Kind::Update,
    Kind::Delete,
    Kind::Merge,
    Kind::CopyTo,
    Kind::CopyFrom,
    Kind::Truncate,
    Kind::Ddl,
    Kind::Grant,
    Kind::Set,
    Kind::Show,
    Kind::Begin,
    Kind::Commit,
    Kind::Rollback,
    Kind::Savepoint,
    Kind::Explain,
    Kind::Call,
    Kind::Listen,
    Kind::Lock,
    Kind::Maintain,
    Kind::Release,
    Kind::Replication,
    Kind::Empty,
    Kind::Other,
];

/// The names of kinds of statements.
pub(crate) fn kind_names() -> impl Iterator<Item = &'static str> {
    KINDS.iter().map(|kind| kind.name())
}

const fn attribute(
    name: &'static str,
    short: Option<&'static str>,
    of: Of,
    reading: Reading,
    about: &'static str,
    example: &'static str,
) -> Attribute {
    Attribute {
        name,
        short,
        of,
        about,
        example,
        reading,
    }
}

/// Every attribute, in the order of the reference.
pub static ATTRIBUTES: &[Attribute] = &[
    attribute(
        "principal",
        None,
        Of::Principal,
        Reading::Actor,
        "Who asks: the actor itself, not the person behind it.",
        "principal in agents",
    ),
    attribute(
        "principal.id",
        Some("id"),
        Of::Principal,
        Reading::Text(TextAttribute::PrincipalId),
        "The actor's id, from the claim that the configuration names.",
        "principal.id like \"*@corp.example\"",
    ),
    attribute(
        "principal.kind",
        None,
        Of::Principal,
        Reading::PrincipalKind,
        "What sort of actor it is.",
        "principal.kind in (agent, service)",
    ),
    attribute(
        "principal.groups",
        Some("groups"),
        Of::Principal,
        Reading::ActorGroups,
        "The actor's groups as the issuer names them, byte for byte.",
        "principal.groups has \"ai-agents\"",
    ),
    attribute(
        "principal.issuer",
        Some("issuer"),
        Of::Principal,
        Reading::Text(TextAttribute::Issuer),
        "The URL of whoever issued the token.",
        "principal.issuer = \"https://login.example\"",
    ),
    attribute(
        "principal.claims",
        Some("claims"),
        Of::Principal,
        Reading::Claims,
        "A claim of the token, by its path; one that is missing or of another type refuses whatever hangs on it.",
        "principal.claims.scopes has \"reports\"",
    ),
    attribute(
        "principal.on_behalf_of",
        Some("on_behalf_of"),
        Of::Principal,
        Reading::Person,
        "The person whom the actor works for, if the token names one.",
        "principal.on_behalf_of in analysts",
    ),
    attribute(
        "principal.on_behalf_of.id",
        Some("on_behalf_of.id"),
        Of::Principal,
        Reading::Text(TextAttribute::PersonId),
        "That person's id; nobody has none.",
        "principal.on_behalf_of.id = \"ana@corp.example\"",
    ),
    attribute(
        "principal.on_behalf_of.groups",
        Some("on_behalf_of.groups"),
        Of::Principal,
        Reading::PersonGroups,
        "That person's groups as the issuer names them, byte for byte.",
        "principal.on_behalf_of.groups has \"analysts\"",
    ),
    attribute(
        "session.target",
        Some("target"),
        Of::Session,
        Reading::Text(TextAttribute::Target),
        "The target's name in the gateway's configuration.",
        "session.target = \"shop\"",
    ),
    attribute(
        "session.database",
        Some("database"),
        Of::Session,
        Reading::Text(TextAttribute::Database),
        "The database that the client asked for.",
        "session.database in (\"shop\", \"shop_test\")",
    ),
    attribute(
        "session.role",
        Some("role"),
        Of::Session,
        Reading::Text(TextAttribute::Role),
        "The database role that the session starts in: its principal's by the configuration, or the one that the gateway logs in as.",
        "session.role = \"app\"",
    ),
    attribute(
        "session.application",
        Some("application"),
        Of::Session,
        Reading::Text(TextAttribute::Application),
        "What the client says that it is called; anybody can say anything.",
        "session.application matches /psql|pg_dump/",
    ),
    attribute(
        "session.client_address",
        Some("client_address"),
        Of::Session,
        Reading::Network,
        "The client's address; over a Unix socket there is none.",
        "session.client_address in 10.0.0.0/8, fd00::/8",
    ),
    attribute(
        "session.tls",
        Some("tls"),
        Of::Session,
        Reading::Flag(Flag::Tls),
        "Whether the client's connection is encrypted.",
        "session.tls",
    ),
    attribute(
        "session.authentication",
        Some("authentication"),
        Of::Session,
        Reading::Authentication,
        "How the client proved who it is.",
        "session.authentication = token-as-password",
    ),
    attribute(
        "statement.kind",
        None,
        Of::Statement,
        Reading::StatementKind,
        "Which command it is.",
        "statement.kind in (select, explain)",
    ),
    attribute(
        "statement.filtered",
        Some("filtered"),
        Of::Statement,
        Reading::Flag(Flag::Filtered),
        "Whether a predicate that is not constantly true limits the access's rows; asked of each access.",
        "not filtered",
    ),
    attribute(
        "statement.bounded",
        Some("bounded"),
        Of::Statement,
        Reading::Flag(Flag::Bounded),
        "Whether equality or IN with constants on a unique key, ANDed at top level, limits the access's rows; `bounded by` asks for one column and value. Asked of each access.",
        "bounded by tenant_id = principal.claims.tenant",
    ),
    attribute(
        "statement.limit",
        Some("limit"),
        Of::Statement,
        Reading::Number(NumberAttribute::Limit),
        "The literal LIMIT at top level, in rows; without one it is larger than any number.",
        "limit <= 100",
    ),
    attribute(
        "statement.tables",
        Some("tables"),
        Of::Statement,
        Reading::Tables,
        "The relations that it touches.",
        "statement.tables has hr.*",
    ),
    attribute(
        "statement.functions",
        Some("functions"),
        Of::Statement,
        Reading::Functions,
        "The functions that it calls and that are not known to be pure.",
        "statement.functions has pg_catalog.pg_read_*",
    ),
    attribute(
        "statement.opaque",
        Some("opaque"),
        Of::Statement,
        Reading::Flag(Flag::Opaque),
        "Whether analysis could not bound something of it.",
        "not opaque",
    ),
    attribute(
        "statement.estimated_rows",
        Some("estimated_rows"),
        Of::Statement,
        Reading::Number(NumberAttribute::EstimatedRows),
        "How many rows the server's planner expects; the server is asked only where the decision hangs on it.",
        "estimated_rows > 1_000",
    ),
    attribute(
        "statement.novel",
        Some("novel"),
        Of::Statement,
        Reading::Flag(Flag::Novel),
        "Whether this principal runs a statement of this shape for the first time; the history is asked only where the decision hangs on it.",
        "novel",
    ),
    attribute(
        "statement.in_transaction",
        Some("in_transaction"),
        Of::Statement,
        Reading::Flag(Flag::InTransaction),
        "Whether the session is in a transaction block.",
        "in_transaction",
    ),
    attribute(
        "statement.parameters",
        Some("parameters"),
        Of::Statement,
        Reading::Number(NumberAttribute::Parameters),
        "How many parameters (`$1`) its text has.",
        "parameters = 0",
    ),
    attribute(
        "access.schema",
        Some("schema"),
        Of::Access,
        Reading::Text(TextAttribute::Schema),
        "The schema of what is accessed.",
        "access.schema in (\"public\", \"shop\")",
    ),
    attribute(
        "access.relation",
        Some("relation"),
        Of::Access,
        Reading::Text(TextAttribute::Relation),
        "The name of what is accessed.",
        "access.relation like \"tmp_*\"",
    ),
    attribute(
        "access.column",
        Some("column"),
        Of::Access,
        Reading::Text(TextAttribute::Column),
        "The name of the column, where the access names one.",
        "access.column = \"ssn\"",
    ),
    attribute(
        "access.class",
        Some("class"),
        Of::Access,
        Reading::Class,
        "The classes of the column.",
        "access.class = pii",
    ),
    attribute(
        "access.operation",
        Some("operation"),
        Of::Access,
        Reading::Operation,
        "What is done.",
        "access.operation = update",
    ),
    attribute(
        "access.use",
        Some("use"),
        Of::Access,
        Reading::Use,
        "How the column is used.",
        "access.use in (output, returning)",
    ),
    attribute(
        "time",
        None,
        Of::Time,
        Reading::Time,
        "The gateway's time, on the wall of a zone: days, hours, or both. Without `zone` it is UTC.",
        "time in mon to fri 09:00 to 17:00 zone \"Europe/Berlin\"",
    ),
    attribute(
        "time.weekday",
        Some("weekday"),
        Of::Time,
        Reading::Weekday,
        "The day of the week, on the wall of a zone.",
        "time.weekday in (sat, sun) zone \"Europe/Berlin\"",
    ),
    attribute(
        "time.hour",
        Some("hour"),
        Of::Time,
        Reading::Hour,
        "The hour, on the wall of a zone.",
        "time.hour >= 9",
    ),
];

/// The attribute that a path names, and how many of its parts are the claim's.
pub(crate) fn find(path: &[&str]) -> Option<(&'static Attribute, usize)> {
    let whole = path.join(".");
    let named = |name: &str| {
        ATTRIBUTES
            .iter()
            .find(|one| one.name == name || one.short == Some(name))
    };
    if let Some(found) = named(&whole) {
        return Some((found, 0));
    }
    // `principal.claims.realm.tenant`
    let claims = match path {
        ["principal", "claims", rest @ ..] | ["claims", rest @ ..] => rest.len(),
        _ => 0,
    };
    (claims > 0)
        .then(|| named("principal.claims"))
        .flatten()
        .map(|found| (found, claims))
}

/// Every way to write an attribute's name.
pub(crate) fn known_names() -> impl Iterator<Item = &'static str> {
    ATTRIBUTES
        .iter()
        .flat_map(|one| std::iter::once(one.name).chain(one.short))
}

/// The attribute whose name was probably meant.
pub(crate) fn nearest_name(written: &str) -> Option<&'static str> {
    let known: Vec<&'static str> = known_names().collect();
    nearest(written, &known).or_else(|| {
        // The right word behind the wrong one: `session.kind`, `statement.tls`.
        let last = written.rsplit('.').next().unwrap_or(written);
        let of: Vec<&'static str> = ATTRIBUTES
            .iter()
            .filter(|one| one.name.rsplit('.').next() == Some(last))
            .map(|one| one.name)
            .collect();
        of.first().copied()
    })
}

/// The claim that was probably meant: `principal.claim.tenant` is `principal.claims.tenant`.
pub(crate) fn nearest_claim(written: &str) -> Option<String> {
    let (word, claim) = written
        .strip_prefix("principal.")
        .unwrap_or(written)
        .split_once('.')?;
    let meant = format!("principal.claims.{claim}");
    (nearest(word, &["claims"]).is_some() && meant != written).then_some(meant)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_are_unique() {
        let mut seen = BTreeSet::new();
        for name in known_names() {
            assert!(seen.insert(name), "`{name}` twice");
        }
    }

    #[test]
    fn names_begin_with_what_they_are_of() {
        for one in ATTRIBUTES {
            assert_eq!(one.name.split('.').next(), Some(one.of.name()), "{one:?}");
            if let Some(short) = one.short {
                assert_eq!(one.name, format!("{}.{short}", one.of.name()));
            }
        }
    }

    #[test]
    fn a_name_without_a_short_one_would_be_ambiguous() {
        for one in ATTRIBUTES.iter().filter(|one| one.short.is_none()) {
            let last = one.name.rsplit('.').next().expect("a last part");
            let alike = ATTRIBUTES
                .iter()
                .filter(|other| other.name.rsplit('.').next() == Some(last));
            assert!(alike.count() > 1 || !one.name.contains('.'), "{one:?}");
        }
    }

    #[test]
    fn every_kind_is_listed_once() {
        let names: BTreeSet<&str> = kind_names().collect();
        assert_eq!(names.len(), KINDS.len());
        // The engine's last kind has the last number: none is missing.
        assert_eq!(Kind::Other as usize + 1, KINDS.len());
        assert_eq!(Use::Returning as usize + 1, USES.len());
        assert_eq!(PrincipalKind::Service as usize + 1, PRINCIPAL_KINDS.len());
    }
}
