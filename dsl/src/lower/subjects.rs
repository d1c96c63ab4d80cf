//! Whom a rule is about: `for ... except ...`.

use std::{collections::BTreeSet, sync::Arc};

use provost_engine::graph::rule::{self, Group, Subjects};

use super::Check;
use crate::{
    ast::{Audience, Name, Span},
    diagnostic::Diagnostic,
};

/// Lowers a `for`.
pub(super) fn lower(audience: &Audience, except: &[Name], check: &mut Check<'_, '_>) -> Subjects {
    let before = check.errors();
    let subjects = Subjects {
        audience: match audience {
            Audience::Anyone => rule::Audience::Anyone,
            Audience::Groups(names) => rule::Audience::Groups(groups(names, check)),
        },
        except: groups(except, check),
    };
    if check.errors() == before {
        check_nobody(&subjects, except, check);
    }
    subjects
}

fn groups(names: &[Name], check: &mut Check<'_, '_>) -> Vec<Group> {
    let mut seen: Vec<&str> = Vec::new();
    let mut groups: BTreeSet<Group> = BTreeSet::new();
    for name in names {
        if seen.contains(&&*name.value) {
            check.warn(
                &name.span,
                format!("`{}` is listed already", name.value),
                "says nothing new",
                Some("leave it out"),
            );
            continue;
        }
        if seen.len() < 100 {
            seen.push(&name.value);
        }
        let found = if name.value == "anyone" {
            None
        } else {
            check.group(name).map(|group| group.names.clone())
        };
        groups.extend(found);
    }
    groups.into_iter().collect()
}

/// An exception that is as wide as the audience leaves nobody.
fn check_nobody(subjects: &Subjects, except: &[Name], check: &mut Check<'_, '_>) {
    let rule::Audience::Groups(audience) = &subjects.audience else {
        return;
    };
    let excepted: BTreeSet<&Arc<str>> = subjects.except.iter().flatten().collect();
    let everybody = audience
        .iter()
        .all(|group| group.iter().all(|name| excepted.contains(name)));
    let (Some(first), Some(last)) = (except.first(), except.last()) else {
        return;
    };
    if everybody && !audience.is_empty() {
        let span: Span = first.span.start..last.span.end;
        check.error_with_help(
            &span,
            "the exception leaves nobody",
            "everybody of `for` is in these",
            "leave a group out of `except`, or the rule out of the policy",
        );
    }
}

/// Reports that a declaration has no `for`.
pub(super) fn missing(what: &str, name: &Name, check: &mut Check<'_, '_>) {
    let error: Diagnostic = check.file.error(
        &name.span,
        format!("{what} `{}` does not say for whom", name.value),
        "no `for`",
    );
    check
        .diagnostics
        .push(error.with_help("add `for anyone`, or `for` and groups"));
}
