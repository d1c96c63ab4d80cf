//! What people are told, in words of the operator's: text with placeholders such as `{requester}`.
//!
//! It must never take what a value says for a placeholder, nor leave a value as it is where the receiver knows marks.

use std::fmt::Write as _;

use jiff::Timestamp;
use provost_evidence::{
    approvals::{Request, Rows},
    record::Micros,
};

use super::Standing;

/// The longest template, in bytes.
pub const TEMPLATE_BYTES_MAX: usize = 1_500;
/// How much of a value is told, in characters; of the SQL, [`SQL_CHARS_MAX`].
const VALUE_CHARS_MAX: usize = 200;
/// How much of the SQL is told, in characters.
const SQL_CHARS_MAX: usize = 500;

/// What a placeholder stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Placeholder {
    Application,
    By,
    Expires,
    Gateway,
    Id,
    Link,
    Needs,
    Person,
    Reason,
    Requester,
    Role,
    Rows,
    Rules,
    Sql,
    Standing,
    Target,
}

/// The names of all of them.
const PLACEHOLDERS: [(&str, Placeholder); 16] = [
    ("application", Placeholder::Application),
    ("by", Placeholder::By),
    ("expires", Placeholder::Expires),
    ("gateway", Placeholder::Gateway),
    ("id", Placeholder::Id),
    ("link", Placeholder::Link),
    ("needs", Placeholder::Needs),
    ("person", Placeholder::Person),
    ("reason", Placeholder::Reason),
    ("requester", Placeholder::Requester),
    ("role", Placeholder::Role),
    ("rows", Placeholder::Rows),
    ("rules", Placeholder::Rules),
    ("sql", Placeholder::Sql),
    ("standing", Placeholder::Standing),
    ("target", Placeholder::Target),
];

/// What a template is not.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// There is no such placeholder.
    #[error(
        "line {line}: there is no placeholder `{{{name}}}`: there are {}",
        known()
    )]
    Unknown {
        /// The line, from 1.
        line: usize,
        /// What stands there.
        name: String,
    },
    /// A brace that nothing closes, or that closes nothing.
    #[error("line {line}: a brace stands alone: write `{{{{` or `}}}}` for one that is meant")]
    Brace {
        /// The line, from 1.
        line: usize,
    },
    /// No text of its own, so that what it tells could be empty, which receivers refuse.
    #[error("the template has no text of its own: what it tells could be empty")]
    Empty,
    /// There is too much.
    #[error("the template has more than {TEMPLATE_BYTES_MAX} bytes")]
    TooLong,
}

fn known() -> String {
    let names = PLACEHOLDERS.iter().map(|(name, _)| format!("`{{{name}}}`"));
    names.collect::<Vec<_>>().join(", ")
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    Value(Placeholder),
}

/// A text with placeholders, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template(Vec<Part>);

impl Template {
    /// Reads one. `{{` and `}}` are braces.
    ///
    /// # Errors
    /// [`TemplateError`].
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        let text = text.trim_end();
        if text.len() > TEMPLATE_BYTES_MAX {
            return Err(TemplateError::TooLong);
        }
        let (mut parts, mut plain, mut line) = (Vec::new(), String::new(), 1);
        let mut characters = text.chars().peekable();
        while let Some(character) = characters.next() {
            match character {
                '{' | '}' if characters.next_if_eq(&character).is_some() => plain.push(character),
                '{' => {
                    let mut name = String::new();
                    while let Some(next) =
                        characters.next_if(|next| !matches!(next, '{' | '}' | '\n'))
                    {
                        name.push(next);
                    }
                    if characters.next() != Some('}') {
                        return Err(TemplateError::Brace { line });
                    }
                    let found = PLACEHOLDERS.iter().find(|(known, _)| *known == name);
                    let Some((_, placeholder)) = found else {
                        return Err(TemplateError::Unknown { line, name });
                    };
                    if !plain.is_empty() {
                        parts.push(Part::Text(std::mem::take(&mut plain)));
                    }
                    parts.push(Part::Value(*placeholder));
                }
                '}' => return Err(TemplateError::Brace { line }),
                other => {
                    line += usize::from(other == '\n');
                    plain.push(other);
                }
            }
        }
        if !plain.is_empty() {
            parts.push(Part::Text(plain));
        }
        let says = |part: &Part| matches!(part, Part::Text(plain) if !plain.trim().is_empty());
        match parts.iter().any(says) {
            true => Ok(Self(parts)),
            false => Err(TemplateError::Empty),
        }
    }

    /// The text for this request. Each value is cut, and then goes through `escape`; the template's own text does not.
    pub(super) fn render(&self, told: &News<'_>, escape: impl Fn(&str) -> String) -> String {
        let mut text = String::new();
        for part in &self.0 {
            match part {
                Part::Text(plain) => text.push_str(plain),
                Part::Value(placeholder) => text.push_str(&escape(&told.value(*placeholder))),
            }
        }
        text
    }
}

/// What is told.
pub(super) struct News<'a> {
    pub(super) request: &'a Request,
    pub(super) standing: &'a Standing,
    /// Where people look at it.
    pub(super) link: Option<&'a str>,
}

impl News<'_> {
    fn value(&self, placeholder: Placeholder) -> String {
        let request = self.request;
        let (by, reason) = super::webhook::words(self.standing);
        let whole = match placeholder {
            Placeholder::Application => request.application.clone(),
            Placeholder::By => by.unwrap_or_default(),
            Placeholder::Expires => self.expires(),
            Placeholder::Gateway => request.gateway.clone(),
            Placeholder::Id => request.id.to_string(),
            Placeholder::Link => self.link.unwrap_or_default().to_owned(),
            Placeholder::Needs => request.needs_told(),
            Placeholder::Person => request.on_behalf_of.clone().unwrap_or_default(),
            // What people said, and before they did, what the policy says.
            Placeholder::Reason => reason
                .or_else(|| request.reason.clone())
                .unwrap_or_default(),
            Placeholder::Requester => request.requester.clone(),
            Placeholder::Role => request.role.clone(),
            Placeholder::Rows => self.rows(),
            Placeholder::Rules => request.rules.join(", "),
            Placeholder::Sql => return self.sql(),
            Placeholder::Standing => self.standing.name().to_owned(),
            Placeholder::Target => request.target.clone(),
        };
        shortened(&whole, VALUE_CHARS_MAX)
    }

    /// The statement, or as much of it as is told.
    pub(super) fn sql(&self) -> String {
        let sql = self.request.sql.as_deref().unwrap_or("(not kept)");
        shortened(sql, SQL_CHARS_MAX)
    }

    /// When it expires.
    pub(super) fn expires(&self) -> String {
        moment(self.request.expires_at)
    }

    /// The estimate.
    pub(super) fn rows(&self) -> String {
        let count = self.request.estimate.as_ref().and_then(Rows::count);
        count.map_or_else(|| "unknown".to_owned(), |count| count.to_string())
    }
}

/// A time, to the second.
pub(super) fn moment(at: Micros) -> String {
    Timestamp::from_microsecond(at.0).map_or_else(|_| String::new(), |at| format!("{at:.0}"))
}

/// The text, or as much of it as is told, saying so.
fn shortened(whole: &str, characters_max: usize) -> String {
    let mut text: String = whole.chars().take(characters_max).collect();
    if text.len() < whole.len() {
        let _ = write!(text, " ... (more of it)");
    }
    text
}

#[cfg(test)]
mod tests {
    use provost_evidence::approvals::{ApprovalId, Need};

    use super::*;

    fn request() -> Request {
        let id = ApprovalId::parse("019a5d2f8c00-3f1b7a9e4c52").unwrap();
        let needs = vec![Need {
            group: "dbas".to_owned(),
            members: vec!["db-admins".to_owned()],
            count: 1,
            within_ms: 60_000,
        }];
        Request {
            requester: "devin@corp".to_owned(),
            sql: Some("DELETE FROM a WHERE b < 1 AND c = '{id}'".to_owned()),
            reason: Some("deletes need people".to_owned()),
            estimate: Some(Rows::Count(7)),
            ..Request::new(id, "gateway-1", Micros(1_800_000_000_000_000), needs)
        }
    }

    fn render(template: &str, request: &Request, standing: &Standing) -> String {
        let told = News {
            request,
            standing,
            link: Some("https://a.example/approvals/1"),
        };
        let template = Template::parse(template).unwrap();
        template.render(&told, |value| value.replace('<', "&lt;"))
    }

    #[test]
    fn values_are_escaped_and_never_templates() {
        let told = render(
            "<b> {{{requester}}} wants {sql}; {rows} rows, {needs}: {reason}{by} {link}\n",
            &request(),
            &Standing::Waiting,
        );
        assert_eq!(
            told,
            "<b> {devin@corp} wants DELETE FROM a WHERE b &lt; 1 AND c = '{id}'; 7 rows, 1 of dbas within 1 min: deletes need people https://a.example/approvals/1"
        );
        let refused = Standing::Refused {
            by: Some("dora".to_owned()),
            reason: Some("no".to_owned()),
        };
        let told = render(
            "Now {standing} {by} {reason} {expires}",
            &request(),
            &refused,
        );
        assert!(
            told.starts_with("Now refused dora no 2027-01-15T08:0"),
            "{told}"
        );
    }

    #[test]
    fn long_values_are_cut() {
        let long = Request {
            sql: Some("é".repeat(2_000)),
            requester: "x".repeat(2_000),
            ..request()
        };
        let told = render("{sql}|{requester}", &long, &Standing::Waiting);
        let (sql, requester) = told.split_once('|').unwrap();
        assert_eq!(sql.chars().filter(|one| *one == 'é').count(), 500);
        assert_eq!(requester.len(), 200 + " ... (more of it)".len());
    }

    #[test]
    fn what_is_no_template_says_where() {
        let unknown = |line, name: &str| TemplateError::Unknown {
            line,
            name: name.to_owned(),
        };
        let cases = [
            ("a\n{requestor}", unknown(2, "requestor")),
            ("{}", unknown(1, "")),
            ("{ id }", unknown(1, " id ")),
            ("a {id", TemplateError::Brace { line: 1 }),
            ("\n\n}", TemplateError::Brace { line: 3 }),
            ("{a{id}", TemplateError::Brace { line: 1 }),
            ("{i\nd}", TemplateError::Brace { line: 1 }),
            (" \n", TemplateError::Empty),
            ("{by}\n{reason}", TemplateError::Empty),
            (&"x".repeat(1_501), TemplateError::TooLong),
        ];
        for (text, expected) in cases {
            assert_eq!(Template::parse(text), Err(expected), "{text:?}");
        }
        let told = unknown(2, "requestor").to_string();
        assert!(
            told.contains("`{requestor}`") && told.contains("`{requester}`, "),
            "{told}"
        );
        assert!(PLACEHOLDERS.is_sorted_by_key(|(name, _)| *name));
    }
}
