//! One question of a condition: its attribute, compared with what it can be compared with.

use std::sync::Arc;

use provost_engine::{
    facts::Operation,
    graph::{
        condition::{
            ClaimPath, Comparison, Condition, Flag, NumberAttribute, Test, TextAttribute,
            TextOperand, TextTest, Who,
        },
        glob::Glob,
        name::NamePattern,
        rule::Operations,
    },
};

use super::{
    Check,
    condition::{attribute_of, whole},
    time,
};
use crate::{
    ast::{self, Ask, Name, Negated, Path, Span, Value, ValueKind},
    vocabulary::{self, Attribute, KINDS, Reading, USES},
};

/// An attribute with what is asked of it.
pub(super) struct Asked<'q> {
    pub(super) attribute: &'static Attribute,
    /// Which claim, for claims.
    pub(super) claim: Option<ClaimPath>,
    pub(super) ask: &'q Ask,
}

impl Asked<'_> {
    pub(super) fn lower(&self, check: &mut Check<'_, '_>) -> Option<Condition> {
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
    pub(super) fn wrong(
        &self,
        span: &Span,
        message: String,
        label: &str,
        check: &mut Check<'_, '_>,
    ) {
        let help = format!("written like this: `{}`", self.attribute.example);
        check.error_with_help(span, message, label, help);
    }

    /// What it is called, as written.
    pub(super) fn name(&self) -> String {
        self.ask.attribute.text()
    }

    pub(super) fn sort_mismatch(&self, span: &Span, check: &mut Check<'_, '_>) {
        let message = format!("`{}` is {}", self.name(), self.attribute.sort());
        self.wrong(span, message, "can't be compared with this", check);
    }

    pub(super) fn refuse_zone(&self, zone: Option<&Name>, check: &mut Check<'_, '_>) {
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

    pub(super) fn flag(&self, holds: bool, check: &mut Check<'_, '_>) -> Option<Condition> {
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

    pub(super) fn compare(
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
    pub(super) fn number(&self, value: &Value) -> Option<NumberAttribute> {
        match (&self.attribute.reading, &self.claim, &value.kind) {
            (Reading::Number(attribute), _, _) => Some(attribute.clone()),
            (Reading::Claims, Some(path), ValueKind::Number(_)) => {
                Some(NumberAttribute::Claim(path.clone()))
            }
            _ => None,
        }
    }

    pub(super) fn text(&self) -> Option<TextAttribute> {
        match (&self.attribute.reading, &self.claim) {
            (Reading::Text(attribute), _) => Some(attribute.clone()),
            (Reading::Claims, Some(path)) => Some(TextAttribute::Claim(path.clone())),
            _ => None,
        }
    }

    pub(super) fn text_or_report(
        &self,
        how: &str,
        check: &mut Check<'_, '_>,
    ) -> Option<TextAttribute> {
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
    pub(super) fn equals(
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
    pub(super) fn word(&self, value: &Value, check: &mut Check<'_, '_>) -> Option<Name> {
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
    pub(super) fn one_of(&self, values: &[Value], check: &mut Check<'_, '_>) -> Option<Condition> {
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
}

/// The text attribute that a value names.
pub(super) fn text_of(path: &Path, check: &mut Check<'_, '_>) -> Option<TextAttribute> {
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
pub(super) fn member_of(who: Who, name: Arc<str>) -> Condition {
    Condition::Test(Test::Member {
        who,
        group: vec![name],
    })
}

pub(super) fn text(attribute: TextAttribute, test: TextTest) -> Condition {
    Condition::Test(Test::Text { attribute, test })
}
fn negate(negated: Negated, condition: Condition) -> Condition {
    match negated {
        Negated::No => condition,
        Negated::Yes => Condition::Not(Box::new(condition)),
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
