//! Questions of a condition about lists: `in`, `has`, `is present` and `bounded by`.

use std::{collections::BTreeSet, sync::Arc};

use ipnet::IpNet;
use provost_engine::graph::{
    condition::{
        Comparison, Condition, Flag, Mentioned, NumberAttribute, Presence, Test, TextAttribute,
        TextOperand, TextTest, Who,
    },
    rule::ObjectPattern,
};

use super::{
    Check,
    asked::{Asked, member_of, text, text_of},
    condition::{any, network, whole},
    pattern, time,
};
use crate::{
    ast::{self, Among, AmongItem, Name, Pattern, PatternName, Quoting, Value, ValueKind},
    vocabulary::Reading,
};

impl Asked<'_> {
    pub(super) fn among(&self, among: &Among, check: &mut Check<'_, '_>) -> Option<Condition> {
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

    pub(super) fn networks(
        &self,
        values: &[Value],
        check: &mut Check<'_, '_>,
    ) -> Option<Condition> {
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

    pub(super) fn has(&self, what: &Pattern, check: &mut Check<'_, '_>) -> Option<Condition> {
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

    pub(super) fn present(&self, check: &mut Check<'_, '_>) -> Option<Condition> {
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

    pub(super) fn bounded_by(
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
