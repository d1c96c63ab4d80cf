//! Learns what a session's search path comes to, and which schemas on it could still appear.
//!
//! The server looks a path's schemas up at every statement, analysis once: a schema that is on the path and comes into
//! being later would change what names mean (security.md, class 10). The judge refuses from then on.

use std::sync::Arc;

use serde::Deserialize;

use crate::{
    catalog::Keeper,
    judgement::SearchPath,
    upstream::{self, Server, one_text},
};

/// Asks for the schemas in effect, the setting they come from, and the role that `$user` stands for.
const QUERY: &str = "SELECT pg_catalog.json_build_object('effective', pg_catalog.current_schemas(false), \
     'setting', pg_catalog.current_setting('search_path'), 'role', CURRENT_USER)::pg_catalog.text";

#[derive(Deserialize)]
struct Answer {
    effective: Vec<Arc<str>>,
    setting: String,
    role: String,
}

/// Learns it from the session's own server connection.
pub(super) async fn learn(
    server: &mut Server,
    keeper: &Keeper,
) -> Result<SearchPath, upstream::Error> {
    let json = one_text(server, QUERY).await?.unwrap_or_default();
    let answer: Answer = serde_json::from_slice(&json).map_err(|_| upstream::Error::Protocol {
        what: "a search path that can't be read",
    })?;
    let catalog = keeper.current().catalog;
    // A schema that is there and not in effect may not be used: that it is not in effect is no matter of time.
    let absent = names(&answer.setting, &answer.role)
        .into_iter()
        .filter(|name| {
            !answer
                .effective
                .iter()
                .any(|effective| **effective == **name)
                && !catalog.has_schema(name)
        })
        .map(Arc::from)
        .collect();
    Ok(SearchPath {
        effective: answer.effective.into(),
        absent,
    })
}

/// The names of a path: unquoted ones folded, `$user` replaced.
///
/// # Source
/// PostgreSQL's `SplitIdentifierString`; the server checked the text when it was set.
fn names(setting: &str, role: &str) -> Vec<String> {
    let mut names = Vec::new();
    let mut name = String::new();
    let mut quoted = false;
    let mut characters = setting.chars().peekable();
    while let Some(character) = characters.next() {
        match (character, quoted) {
            ('"', true) if characters.peek() == Some(&'"') => name.extend(characters.next()),
            ('"', _) => quoted = !quoted,
            (',', false) => names.push(std::mem::take(&mut name)),
            (space, false) if space.is_ascii_whitespace() => {}
            (other, false) => name.push(other.to_ascii_lowercase()),
            (other, true) => name.push(other),
        }
    }
    names.push(name);
    names.retain(|name| !name.is_empty());
    for name in &mut names {
        if name == "$user" {
            role.clone_into(name);
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::names;

    fn check(setting: &str, expected: &[&str]) {
        assert_eq!(names(setting, "Ann"), expected, "{setting}");
    }

    #[test]
    fn names_are_read_as_the_server_reads_them() {
        check("", &[]);
        check(r#""$user", public"#, &["Ann", "public"]);
        check("Shop,HR", &["shop", "hr"]);
        check(
            r#""Shop" , "a,b", "say ""x""" "#,
            &["Shop", "a,b", r#"say "x""#],
        );
        check(r#""""#, &[]);
    }
}
