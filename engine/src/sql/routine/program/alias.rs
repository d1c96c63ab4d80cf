//! Second names of a body's variables: `x ALIAS FOR y` in a DECLARE. The compiler's tree does not have them.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use pg_query::protobuf::Token;

use super::super::{
    super::authority,
    folded,
    variables::{Variable, numbered},
};
use crate::catalog::Function;

/// Second names, each with what it is a name for: blocks inside each other may use one again.
#[derive(Debug, Default)]
pub(in crate::sql::routine) struct Aliases(Vec<(Arc<str>, Arc<str>)>);

impl Aliases {
    /// `$1` and the like, of arguments that have names too.
    pub(in crate::sql::routine) fn of_arguments(function: &Function) -> Self {
        let named = function.inputs().enumerate().filter_map(|(index, input)| {
            let name = input.name.as_ref().filter(|name| !name.is_empty())?;
            Some((numbered(index), name.clone()))
        });
        Self(named.collect())
    }

    /// Adds those that a body declares. What only looks like one is harmless: it adds a meaning and takes none away.
    pub(super) fn declared_in(&mut self, text: &str) {
        let Some(mut tokens) = authority::tokens(text) else {
            return;
        };
        tokens.retain(|(_, token)| !matches!(token, Token::CComment | Token::SqlComment));
        let word = |index: usize| {
            let (range, _) = tokens.get(index)?;
            text.get(range.clone())
        };
        for (index, window) in tokens.windows(4).enumerate() {
            let [(name, _), (alias, _), (_, Token::For), (target, _)] = window else {
                continue;
            };
            let is_alias = text
                .get(alias.clone())
                .is_some_and(|word| word.eq_ignore_ascii_case("alias"));
            if !is_alias {
                continue;
            }
            // `label.variable` is a variable whatever its block.
            let mut last = target.clone();
            let mut place = index.saturating_add(4);
            while word(place) == Some(".") {
                let Some((range, _)) = tokens.get(place.saturating_add(1)) else {
                    break;
                };
                last = range.clone();
                place = place.saturating_add(2);
            }
            if let (Some(name), Some(target)) = (text.get(name.clone()), text.get(last)) {
                self.0.push((folded(name), folded(target)));
            }
        }
    }

    /// The variables that a name may mean: its own, and what it is a second name for.
    pub(super) fn meant(
        &self,
        name: &str,
        variables: &BTreeMap<Arc<str>, Variable>,
    ) -> BTreeSet<Arc<str>> {
        let mut meant = BTreeSet::new();
        let mut asked: Vec<Arc<str>> = vec![name.into()];
        while let Some(name) = asked.pop() {
            if meant.insert(name.clone()) {
                let of_name = self.0.iter().filter(|(alias, _)| *alias == name);
                asked.extend(of_name.map(|(_, target)| target.clone()));
            }
        }
        meant.retain(|name| variables.contains_key(name));
        meant
    }

    /// The variables by all of their names; a name that means several, as blocks inside each other have it, is all of them.
    pub(super) fn applied(
        &self,
        variables: &BTreeMap<Arc<str>, Variable>,
    ) -> BTreeMap<Arc<str>, Variable> {
        let mut named = variables.clone();
        // A name for a name is known once the other is.
        for _ in 0..self.0.len() {
            let mut changed = false;
            for (alias, target) in &self.0 {
                let Some(target) = named.get(target).cloned() else {
                    continue;
                };
                match named.get_mut(alias) {
                    Some(known) => changed |= known.merge(&target),
                    None => {
                        named.insert(alias.clone(), target);
                        changed = true;
                    }
                }
            }
            if !changed {
                break;
            }
        }
        named
    }

    /// Whether this is a second name.
    pub(in crate::sql::routine) fn names(&self, name: &str) -> bool {
        self.0.iter().any(|(alias, _)| **alias == *name)
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn declared_aliases_are_found() {
        for (text, expected) in [
            ("DECLARE a ALIAS FOR $1; BEGIN END", vec![("a", "$1")]),
            (
                "declare A alias for b; \"C d\" Alias For f.\"E\";",
                vec![("a", "b"), ("C d", "E")],
            ),
            ("SELECT 'a alias for b'", vec![]),
            ("a ALIAS /* of */ FOR NEW", vec![("a", "new")]),
            ("a ALIAS FOR", vec![]),
        ] {
            let mut aliases = Aliases::default();
            aliases.declared_in(text);
            let found: Vec<(&str, &str)> = aliases
                .0
                .iter()
                .map(|(name, of)| (&**name, &**of))
                .collect();
            assert_eq!(found, expected, "{text}");
        }
    }
}
