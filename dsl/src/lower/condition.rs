//! Conditions: attributes looked up, values checked against what the attribute is. Never guesses a type: an attribute
//! compared with the wrong sort of value is an error that says which sort it wants.

use std::{collections::BTreeSet, net::IpAddr, sync::Arc};

use ipnet::IpNet;
use provost_engine::{
    facts::Operation,
    graph::{
        condition::{
            ClaimPath, Comparison, Condition, Flag, Mentioned, NumberAttribute, Presence, Test,
            TextAttribute, TextOperand, TextTest, Who,
        },
        glob::Glob,
        name::NamePattern,
        rule::{ObjectPattern, Operations},
    },
};

use super::{Check, contradiction, pattern, time};
use crate::{
    ast::{
        self, Among, AmongItem, Ask, Name, Negated, Path, Pattern, PatternName, Quoting, Span,
        Value, ValueKind,
    },
    vocabulary::{self, Attribute, KINDS, Reading, USES, known_names, nearest_claim, nearest_name},
};

/// What a condition belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// A rule over accesses.
    Access,
    /// A mask, which may ask for the session and the time only.
    Mask,
}

/// Lowers a condition; [`Condition::Always`] in place of what has a mistake.
pub(super) fn lower(
    condition: &ast::Condition,
    place: Place,
    check: &mut Check<'_, '_>,
) -> Condition {
    let before = check.errors();
    let lowered = match condition {
        ast::Condition::Ask(ask) => return lower_ask(ask, place, check),
        ast::Condition::Not(inner, _) => Condition::Not(Box::new(lower(inner, place, check))),
        ast::Condition::And(..) => {
            let mut parts = Vec::new();
            gather_and(condition, &mut parts);
            Condition::All(parts.iter().map(|part| lower(part, place, check)).collect())
        }
        ast::Condition::Or(..) => {
            let mut parts = Vec::new();
            gather_or(condition, &mut parts);
            Condition::Any(parts.iter().map(|part| lower(part, place, check)).collect())
        }
    };
    if check.errors() == before {
        check_possible(&lowered, condition.span(), check);
    }
    lowered
}

fn gather_and<'c>(condition: &'c ast::Condition, parts: &mut Vec<&'c ast::Condition>) {
    match condition {
        ast::Condition::And(left, right, _) => {
            gather_and(left, parts);
            gather_and(right, parts);
        }
        other => parts.push(other),
    }
}

fn gather_or<'c>(condition: &'c ast::Condition, parts: &mut Vec<&'c ast::Condition>) {
    match condition {
        ast::Condition::Or(left, right, _) => {
            gather_or(left, parts);
            gather_or(right, parts);
        }
        other => parts.push(other),
    }
}

/// Refuses what can never be true, and warns of what always is.
fn check_possible(condition: &Condition, span: &Span, check: &mut Check<'_, '_>) {
    let written = check.written(span);
    if !contradiction::is_possible(condition) {
        check.error_with_help(
            span,
            format!("`{written}` can never be true"),
            "never true",
            "nothing satisfies all of it at once; did you mean `or`, or other values?",
        );
    } else if !contradiction::is_possible(&Condition::Not(Box::new(condition.clone()))) {
        check.warn(
            span,
            format!("`{written}` is always true"),
            "says nothing",
            Some("leave it out, or ask for something that can be otherwise"),
        );
    }
}

fn lower_ask(ask: &Ask, place: Place, check: &mut Check<'_, '_>) -> Condition {
    let before = check.errors();
    let Some(lowered) = attribute_of(&ask.attribute, check).and_then(|(attribute, claim)| {
        Asked {
            attribute,
            claim,
            ask,
        }
        .lower(check)
    }) else {
        return Condition::Always;
    };
    if check.errors() > before {
        return Condition::Always;
    }
    if place == Place::Mask && !lowered.is_of_session() {
        let written = check.written(&ask.span);
        check.error_with_help(
            &ask.span,
            format!("a mask can't ask for `{written}`"),
            "depends on the statement",
            "a mask that came and went with the statement could be got round: ask for `principal`, `session` or `time`",
        );
        return Condition::Always;
    }
    check_possible(&lowered, &ask.span, check);
    lowered
}

/// The attribute that a path names, and the claim's path where it is one.
fn attribute_of(
    path: &Path,
    check: &mut Check<'_, '_>,
) -> Option<(&'static Attribute, Option<ClaimPath>)> {
    let names: Vec<&str> = path.names.iter().map(|name| &*name.text).collect();
    if let Some((attribute, claims)) = vocabulary::find(&names) {
        let claim: Vec<Arc<str>> = names
            .iter()
            .skip(names.len().saturating_sub(claims))
            .map(|name| Arc::from(*name))
            .collect();
        return Some((attribute, (!claim.is_empty()).then_some(ClaimPath(claim))));
    }
    let written = path.text();
    let error = check.file.error(
        &path.span,
        format!("unknown attribute `{written}`"),
        "no such attribute",
    );
    let kinds = ["principal.kind", "statement.kind"];
    let diagnostic = if written == "kind" {
        error.with_help(format!("say whose: {}", crate::diagnostic::quoted(&kinds)))
    } else if let Some(meant) = nearest_claim(&written) {
        error.with_help(format!("did you mean `{meant}`?"))
    } else if let Some(meant) = nearest_name(&written) {
        error.with_help(format!("did you mean `{meant}`?"))
    } else if check.symbols.is_group(&written) {
        error.with_help(format!(
            "`{written}` is a group: write `principal in {written}`"
        ))
    } else if let Some(of) = names.first().filter(|first| is_owner(first)) {
        let alike = known_names()
            .filter(|name| {
                name.strip_prefix(*of)
                    .is_some_and(|rest| rest.starts_with('.'))
            })
            .map(|name| format!("`{name}`"))
            .collect::<Vec<_>>()
            .join(", ");
        error.with_help(format!("of `{of}` there are {alike}"))
    } else {
        error.with_help(
            "conditions ask for `principal`, `session`, `statement`, `access` and `time`; `filtered`, `bounded` and others may stand alone",
        )
    };
    check.diagnostics.push(diagnostic);
    None
}

fn is_owner(name: &str) -> bool {
    matches!(
        name,
        "principal" | "session" | "statement" | "access" | "time"
    )
}

/// An attribute with what is asked of it.
struct Asked<'q> {
    attribute: &'static Attribute,
    /// Which claim, for claims.
    claim: Option<ClaimPath>,
    ask: &'q Ask,
}

impl Asked<'_> {
    fn lower(&self, check: &mut Check<'_, '_>) -> Option<Condition> {
        use ast::Test as Written;
        match &self.ask.test {
            Written::Holds => self.flag(true, check),
            Written::Compare {
                comparison,
                value,
                zone,
            } => {
                self.refuse_zone(zone.as_ref(), check);
                self.compare(comparison, value, zone.as_ref(), check)
            }
            Written::In { negated, among } => {
                self.refuse_zone(among.zone.as_ref(), check);
                Some(negate(*negated, self.among(among, check)?))
            }
            Written::Like { negated, glob } => {
                let test = TextTest::Matches(NamePattern::from(Glob::with_stars(&glob.value)));
                let attribute = self.text_or_report("`like`", check)?;
                Some(negate(*negated, text(attribute, test)))
            }
            Written::Matches { negated, regex } => {
                let attribute = self.text_or_report("`matches`", check)?;
                let pattern = check.symbols.regex(regex, check.file, check.diagnostics)?;
                Some(negate(
                    *negated,
                    text(attribute, TextTest::Matches(pattern)),
                ))
            }
            Written::Has { negated, what } => Some(negate(*negated, self.has(what, check)?)),
            Written::Present { negated } => Some(negate(*negated, self.present(check)?)),
            Written::By { column, value } => self.bounded_by(column, value, check),
        }
    }

    /// Reports that the attribute can't be asked like this, with how it is asked.
    fn wrong(&self, span: &Span, message: String, label: &str, check: &mut Check<'_, '_>) {
        let help = format!("written like this: `{}`", self.attribute.example);
        check.error_with_help(span, message, label, help);
    }

    /// What it is called, as written.
    fn name(&self) -> String {
        self.ask.attribute.text()
    }

    fn sort_mismatch(&self, span: &Span, check: &mut Check<'_, '_>) {
        let message = format!("`{}` is {}", self.name(), self.attribute.sort());
        self.wrong(span, message, "can't be compared with this", check);
    }

    fn refuse_zone(&self, zone: Option<&Name>, check: &mut Check<'_, '_>) {
        if let Some(zone) = zone
            && !matches!(
                self.attribute.reading,
                Reading::Time | Reading::Weekday | Reading::Hour
            )
        {
            check.error(
                &zone.span,
                format!("`{}` has nothing to do with a zone", self.name()),
                "only times have one",
            );
        }
    }

    fn flag(&self, holds: bool, check: &mut Check<'_, '_>) -> Option<Condition> {
        let flag = match (&self.attribute.reading, &self.claim) {
            (Reading::Flag(flag), _) => flag.clone(),
            (Reading::Claims, Some(path)) => Flag::Claim(path.clone()),
            (Reading::Person, _) => {
                check.error_with_help(
                    &self.ask.span,
                    format!("`{}` is not yes or no", self.name()),
                    "nothing is asked of it",
                    format!("write `{} is present`", self.name()),
                );
                return None;
            }
            _ => {
                let message = format!(
                    "`{}` is {}, not yes or no",
                    self.name(),
                    self.attribute.sort()
                );
                self.wrong(&self.ask.span, message, "compare it with something", check);
                return None;
            }
        };
        let test = Condition::Test(Test::Flag(flag));
        Some(if holds {
            test
        } else {
            Condition::Not(Box::new(test))
        })
    }

    fn compare(
        &self,
        comparison: &Name,
        value: &Value,
        zone: Option<&Name>,
        check: &mut Check<'_, '_>,
    ) -> Option<Condition> {
        let compared = match &*comparison.value {
            "=" => Comparison::Equal,
            "!=" => Comparison::NotEqual,
            "<" => Comparison::Less,
            "<=" => Comparison::LessOrEqual,
            ">" => Comparison::Greater,
            _ => Comparison::GreaterOrEqual,
        };
        if let Reading::Hour = self.attribute.reading {
            return time::hour(compared, value, zone, check);
        }
        if let Some(attribute) = self.number(value) {
            let ValueKind::Number(digits) = &value.kind else {
                self.sort_mismatch(&value.span, check);
                return None;
            };
            let value = whole(digits, &value.span, check)?;
            return Some(Condition::Test(Test::Number {
                attribute,
                comparison: compared,
                value,
            }));
        }
        let equals = match compared {
            Comparison::Equal => true,
            Comparison::NotEqual => false,
            Comparison::Less
            | Comparison::LessOrEqual
            | Comparison::Greater
            | Comparison::GreaterOrEqual => {
                let message = format!(
                    "`{}` is {}, which has no order",
                    self.name(),
                    self.attribute.sort()
                );
                self.wrong(
                    &comparison.span,
                    message,
                    "only numbers have an order",
                    check,
                );
                return None;
            }
        };
        if let Some(word) = yes_or_no(value)
            && matches!(self.attribute.reading, Reading::Flag(_) | Reading::Claims)
        {
            return self.flag(word == equals, check);
        }
        let one = self.equals(value, zone, check)?;
        Some(if equals {
            one
        } else {
            Condition::Not(Box::new(one))
        })
    }

    /// The number that it is, where it is one (a claim is what it is compared with).
    fn number(&self, value: &Value) -> Option<NumberAttribute> {
        match (&self.attribute.reading, &self.claim, &value.kind) {
            (Reading::Number(attribute), _, _) => Some(attribute.clone()),
            (Reading::Claims, Some(path), ValueKind::Number(_)) => {
                Some(NumberAttribute::Claim(path.clone()))
            }
            _ => None,
        }
    }

    fn text(&self) -> Option<TextAttribute> {
        match (&self.attribute.reading, &self.claim) {
            (Reading::Text(attribute), _) => Some(attribute.clone()),
            (Reading::Claims, Some(path)) => Some(TextAttribute::Claim(path.clone())),
            _ => None,
        }
    }

    fn text_or_report(&self, how: &str, check: &mut Check<'_, '_>) -> Option<TextAttribute> {
        let attribute = self.text();
        if attribute.is_none() {
            let message = format!(
                "`{}` is {}, and {how} is asked of texts",
                self.name(),
                self.attribute.sort()
            );
            self.wrong(&self.ask.span, message, "no text", check);
        }
        attribute
    }

    /// `attribute = value`, for everything that has no order.
    fn equals(
        &self,
        value: &Value,
        zone: Option<&Name>,
        check: &mut Check<'_, '_>,
    ) -> Option<Condition> {
        if let Some(attribute) = self.text() {
            let test = match &value.kind {
                ValueKind::Text(literal) => {
                    TextTest::Equals(TextOperand::Literal(Arc::from(&**literal)))
                }
                ValueKind::Path(path) => {
                    TextTest::Equals(TextOperand::Attribute(text_of(path, check)?))
                }
                _ => {
                    self.sort_mismatch(&value.span, check);
                    return None;
                }
            };
            return Some(text(attribute, test));
        }
        match &self.attribute.reading {
            Reading::Network => self.networks(std::slice::from_ref(value), check),
            Reading::Weekday => {
                let day = time::day(&self.word(value, check)?, check)?;
                time::days(day, zone, check)
            }
            Reading::Class => {
                let word = self.word(value, check)?;
                check.symbols.class(&word, check.file, check.diagnostics)?;
                Some(Condition::Test(Test::Class(Arc::from(&*word.value))))
            }
            Reading::PrincipalKind
            | Reading::Authentication
            | Reading::StatementKind
            | Reading::Operation
            | Reading::Use => self.one_of(std::slice::from_ref(value), check),
            Reading::Actor | Reading::Person => {
                let help = format!(
                    "ask for the id, `{}.id = \"...\"`, or for a group, `{} in GROUP`",
                    self.name(),
                    self.name()
                );
                let message = format!("`{}` is somebody", self.name());
                check.error_with_help(&value.span, message, "can't be compared with this", help);
                None
            }
            _ => {
                self.sort_mismatch(&value.span, check);
                None
            }
        }
    }

    /// A bare word.
    fn word(&self, value: &Value, check: &mut Check<'_, '_>) -> Option<Name> {
        match &value.kind {
            ValueKind::Path(path) => Some(Name {
                value: path.text(),
                span: path.span.clone(),
            }),
            ValueKind::Text(text) if self.attribute.values().contains(&&**text) => {
                check.error_with_help(
                    &value.span,
                    format!("`{text}` is a word of the language, not a text"),
                    "in quotes",
                    format!("write it without quotes: `{text}`"),
                );
                None
            }
            _ => {
                self.sort_mismatch(&value.span, check);
                None
            }
        }
    }

    /// One of a fixed set of words.
    fn one_of(&self, values: &[Value], check: &mut Check<'_, '_>) -> Option<Condition> {
        let mut words = Vec::new();
        for value in values {
            let word = self.word(value, check)?;
            if !self.attribute.values().contains(&&*word.value) {
                let last = self.attribute.name.rsplit('.').next().unwrap_or_default();
                let what = format!("{} {last}", self.attribute.of.name());
                check.unknown(
                    &what,
                    &word.span,
                    &word.value,
                    self.attribute.values().into_iter(),
                );
                return None;
            }
            words.push(word.value);
        }
        let has = |name: &str| words.iter().any(|word| word == name);
        Some(Condition::Test(match &self.attribute.reading {
            Reading::PrincipalKind => Test::PrincipalKind(
                vocabulary::PRINCIPAL_KINDS
                    .into_iter()
                    .filter(|kind| has(kind.name()))
                    .collect(),
            ),
            Reading::Authentication => Test::Authentication(
                vocabulary::AUTHENTICATIONS
                    .into_iter()
                    .filter(|way| has(way.name()))
                    .collect(),
            ),
            Reading::StatementKind => {
                Test::Kind(KINDS.into_iter().filter(|kind| has(kind.name())).collect())
            }
            Reading::Operation => Test::Operation(
                Operation::ALL
                    .into_iter()
                    .filter(|operation| has(operation.name()))
                    .fold(Operations::NONE, Operations::with),
            ),
            _ => Test::Use(
                USES.into_iter()
                    .filter(|(name, _)| has(name))
                    .map(|(_, used)| used)
                    .collect(),
            ),
        }))
    }

    fn among(&self, among: &Among, check: &mut Check<'_, '_>) -> Option<Condition> {
        if let Reading::Time = self.attribute.reading {
            return time::window(among, check);
        }
        if let Some((from, to)) = &among.hours {
            check.error_with_help(
                &(from.span.start..to.span.end),
                format!("`{}` is not a time of day", self.name()),
                "hours of a day",
                "write `time in 09:00 to 17:00 zone \"Europe/Berlin\"`",
            );
            return None;
        }
        if let Reading::Weekday = self.attribute.reading {
            let days = time::weekdays(&among.items, check)?;
            return time::days(days, among.zone.as_ref(), check);
        }
        let mut values: Vec<Value> = Vec::new();
        for item in &among.items {
            match item {
                AmongItem::Value(value) => values.push(value.clone()),
                AmongItem::Range(from, to) => {
                    check.error_with_help(
                        &(from.span.start..to.span.end),
                        format!("`{}` has no order", self.name()),
                        "from where to where?",
                        "list them: `in (a, b, c)`",
                    );
                    return None;
                }
            }
        }
        match &self.attribute.reading {
            Reading::Actor => self.member(Who::Actor, &values, check),
            Reading::Person => self.member(Who::Person, &values, check),
            Reading::Network => self.networks(&values, check),
            Reading::PrincipalKind
            | Reading::Authentication
            | Reading::StatementKind
            | Reading::Operation
            | Reading::Use => self.one_of(&values, check),
            Reading::Class => {
                let parts: Option<Vec<Condition>> = values
                    .iter()
                    .map(|value| self.equals(value, None, check))
                    .collect();
                Some(any(parts?))
            }
            Reading::Hour => {
                let parts: Option<Vec<Condition>> = values
                    .iter()
                    .map(|value| time::hour(Comparison::Equal, value, among.zone.as_ref(), check))
                    .collect();
                Some(any(parts?))
            }
            Reading::Number(_) | Reading::Claims
                if values
                    .iter()
                    .all(|value| matches!(value.kind, ValueKind::Number(_))) =>
            {
                let mut parts = Vec::new();
                for value in &values {
                    let attribute = self.number(value)?;
                    let ValueKind::Number(digits) = &value.kind else {
                        return None;
                    };
                    parts.push(Condition::Test(Test::Number {
                        attribute,
                        comparison: Comparison::Equal,
                        value: whole(digits, &value.span, check)?,
                    }));
                }
                Some(any(parts))
            }
            Reading::Text(_) | Reading::Claims if self.text().is_some() => {
                let attribute = self.text()?;
                let mut texts: BTreeSet<Arc<str>> = BTreeSet::new();
                for value in &values {
                    let ValueKind::Text(text) = &value.kind else {
                        self.text_wanted(value, check);
                        return None;
                    };
                    texts.insert(Arc::from(&**text));
                }
                Some(text(attribute, TextTest::In(texts)))
            }
            Reading::ActorGroups | Reading::PersonGroups => {
                let message = format!("`{}` is {}", self.name(), self.attribute.sort());
                self.wrong(&among.span, message, "a list is not in a list", check);
                None
            }
            _ => {
                self.sort_mismatch(&among.span, check);
                None
            }
        }
    }

    fn text_wanted(&self, value: &Value, check: &mut Check<'_, '_>) {
        if let ValueKind::Path(path) = &value.kind {
            check.error_with_help(
                &value.span,
                format!("`{}` is compared with texts", self.name()),
                "not a text",
                format!("write it in quotes: `\"{}\"`", path.text()),
            );
        } else {
            self.sort_mismatch(&value.span, check);
        }
    }

    fn member(&self, who: Who, values: &[Value], check: &mut Check<'_, '_>) -> Option<Condition> {
        let mut parts = Vec::new();
        for value in values {
            let ValueKind::Path(path) = &value.kind else {
                let message = format!("`{}` is in groups of the policy", self.name());
                let help = match &value.kind {
                    ValueKind::Text(text) => format!(
                        "for the issuer's name of a group, write `{}.groups has \"{text}\"`",
                        self.name()
                    ),
                    _ => format!("write `{} in GROUP`", self.name()),
                };
                check.error_with_help(&value.span, message, "no group", help);
                return None;
            };
            let name = Name {
                value: path.text(),
                span: path.span.clone(),
            };
            let group = check.group(&name)?.names.clone();
            parts.push(Condition::Test(Test::Member { who, group }));
        }
        Some(any(parts))
    }

    fn networks(&self, values: &[Value], check: &mut Check<'_, '_>) -> Option<Condition> {
        let mut networks: Vec<IpNet> = Vec::new();
        for value in values {
            let (ValueKind::Address(written) | ValueKind::Text(written)) = &value.kind else {
                self.sort_mismatch(&value.span, check);
                return None;
            };
            networks.push(network(written, &value.span, check)?);
        }
        networks.sort_unstable();
        networks.dedup();
        Some(Condition::Test(Test::Network(networks)))
    }

    fn has(&self, what: &Pattern, check: &mut Check<'_, '_>) -> Option<Condition> {
        let mentioned = match (&self.attribute.reading, &self.claim) {
            (Reading::Tables, _) => Mentioned::Tables,
            (Reading::Functions, _) => Mentioned::Functions,
            (Reading::ActorGroups, _) => {
                return Some(member_of(Who::Actor, self.quoted(what, check)?));
            }
            (Reading::PersonGroups, _) => {
                return Some(member_of(Who::Person, self.quoted(what, check)?));
            }
            (Reading::Claims, Some(path)) => {
                return Some(Condition::Test(Test::ClaimHas {
                    claim: path.clone(),
                    value: self.quoted(what, check)?,
                }));
            }
            _ => {
                let message = format!(
                    "`{}` is {}, and `has` is asked of lists",
                    self.name(),
                    self.attribute.sort()
                );
                self.wrong(&self.ask.span, message, "no list", check);
                return None;
            }
        };
        let objects = pattern::objects(what, check);
        let mut parts = Vec::new();
        for object in objects {
            let ObjectPattern::Qualified { schema, name } = object else {
                let message = format!("`{}` lists names of two parts", self.name());
                self.wrong(&what.span, message, "not `schema.name`", check);
                return None;
            };
            parts.push(Condition::Test(Test::Mentions {
                what: mentioned,
                schema,
                name,
            }));
        }
        (!parts.is_empty()).then(|| any(parts))
    }

    /// A text behind `has`.
    fn quoted(&self, what: &Pattern, check: &mut Check<'_, '_>) -> Option<Arc<str>> {
        if let ast::PatternOf::Names(parts) = &what.of
            && let [only] = parts.as_slice()
            && let [
                PatternName {
                    text,
                    quoting: Quoting::Quoted,
                    ..
                },
            ] = only.as_slice()
        {
            return Some(Arc::from(&**text));
        }
        let written = check.written(&what.span);
        check.error_with_help(
            &what.span,
            format!("`{}` is a list of texts", self.name()),
            "not a text",
            format!("write it in quotes: `has \"{written}\"`"),
        );
        None
    }

    fn present(&self, check: &mut Check<'_, '_>) -> Option<Condition> {
        let presence = match (&self.attribute.reading, &self.claim) {
            (Reading::Claims, Some(path)) => Presence::Claim(path.clone()),
            (Reading::Person, _) => Presence::OnBehalfOf,
            (Reading::Network, _) => Presence::ClientAddress,
            (Reading::Number(NumberAttribute::Limit), _) => Presence::Limit,
            _ => {
                check.error_with_help(
                    &self.ask.span,
                    format!("`{}` is always there", self.name()),
                    "always present",
                    "`is present` is asked of claims, `on_behalf_of`, `client_address` and `limit`",
                );
                return None;
            }
        };
        Some(Condition::Test(Test::Present(presence)))
    }

    fn bounded_by(
        &self,
        column: &PatternName,
        value: &Value,
        check: &mut Check<'_, '_>,
    ) -> Option<Condition> {
        if !matches!(self.attribute.reading, Reading::Flag(Flag::Bounded)) {
            let message = format!("`{} by` is not a test", self.name());
            check.error_with_help(
                &self.ask.span,
                message,
                "only `bounded` has a `by`",
                "write `bounded by tenant_id = principal.claims.tenant`",
            );
            return None;
        }
        let operand = match &value.kind {
            ValueKind::Text(text) => TextOperand::Literal(Arc::from(&**text)),
            ValueKind::Number(digits) => {
                TextOperand::Literal(Arc::from(whole(digits, &value.span, check)?.to_string()))
            }
            ValueKind::Path(path) => {
                let attribute = text_of(path, check)?;
                if matches!(
                    attribute,
                    TextAttribute::Schema | TextAttribute::Relation | TextAttribute::Column
                ) {
                    check.error_with_help(
                        &value.span,
                        "a column is compared with what the session says",
                        "of the access itself",
                        "write `bounded by tenant_id = principal.claims.tenant`",
                    );
                    return None;
                }
                TextOperand::Attribute(attribute)
            }
            _ => {
                check.error_with_help(
                    &value.span,
                    "a column can't be compared with this here",
                    "neither text, number nor attribute",
                    "write `bounded by tenant_id = principal.claims.tenant`",
                );
                return None;
            }
        };
        Some(Condition::Test(Test::BoundedBy {
            column: Arc::from(column.text.to_lowercase()),
            value: operand,
        }))
    }
}

fn member_of(who: Who, name: Arc<str>) -> Condition {
    Condition::Test(Test::Member {
        who,
        group: vec![name],
    })
}

fn text(attribute: TextAttribute, test: TextTest) -> Condition {
    Condition::Test(Test::Text { attribute, test })
}

/// The text attribute that a value names.
fn text_of(path: &Path, check: &mut Check<'_, '_>) -> Option<TextAttribute> {
    let names: Vec<&str> = path.names.iter().map(|name| &*name.text).collect();
    if let [only] = names.as_slice()
        && vocabulary::find(&names).is_none()
    {
        check.error_with_help(
            &path.span,
            format!("`{only}` is neither a text nor an attribute"),
            "a text?",
            format!("write it in quotes: `\"{only}\"`"),
        );
        return None;
    }
    let (attribute, claim) = attribute_of(path, check)?;
    match (&attribute.reading, claim) {
        (Reading::Text(attribute), _) => Some(attribute.clone()),
        (Reading::Claims, Some(path)) => Some(TextAttribute::Claim(path)),
        _ => {
            let message = format!("`{}` is {}", path.text(), attribute.sort());
            check.error(&path.span, message, "a text is compared with texts");
            None
        }
    }
}

fn negate(negated: Negated, condition: Condition) -> Condition {
    match negated {
        Negated::No => condition,
        Negated::Yes => Condition::Not(Box::new(condition)),
    }
}

/// At least one of them.
pub(super) fn any(mut parts: Vec<Condition>) -> Condition {
    match (parts.len(), parts.pop()) {
        (1, Some(only)) => only,
        (_, last) => {
            parts.extend(last);
            Condition::Any(parts)
        }
    }
}

fn yes_or_no(value: &Value) -> Option<bool> {
    match &value.kind {
        ValueKind::Path(path) => match &*path.text() {
            "true" => Some(true),
            "false" => Some(false),
            _ => None,
        },
        _ => None,
    }
}

/// A whole number as the engine compares them.
pub(super) fn whole(digits: &str, span: &Span, check: &mut Check<'_, '_>) -> Option<i64> {
    let number = digits.parse::<i64>().ok();
    if number.is_none() {
        check.error(
            span,
            format!("`{digits}` is too large a number"),
            "more than 63 bits",
        );
    }
    number
}

/// A network or a single address.
pub(super) fn network(written: &str, span: &Span, check: &mut Check<'_, '_>) -> Option<IpNet> {
    let network = written
        .parse::<IpNet>()
        .or_else(|_| written.parse::<IpAddr>().map(IpNet::from));
    let Ok(network) = network else {
        check.error_with_help(
            span,
            format!("`{written}` is no address and no network"),
            "not valid",
            "write `10.0.0.0/8`, `192.168.1.7` or `fd00::/8`",
        );
        return None;
    };
    if network.trunc() != network {
        check.error_with_help(
            span,
            format!("`{written}` has bits set beyond its length"),
            "no network begins there",
            format!(
                "did you mean `{}` or `{}`?",
                network.trunc(),
                network.addr()
            ),
        );
        return None;
    }
    Some(network)
}
