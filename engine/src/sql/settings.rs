//! Settings in definitions: what functions set for themselves, and what row-level security compares with.
//!
//! Must never take a setting that a client may set for one of the gateway's own.

use pg_query::{
    NodeEnum,
    protobuf::{Node, VariableSetStmt},
};

use crate::reason;

/// What begins the names of the settings that say to the server who the principal is.
pub(super) const OWN: &str = "provost.";

/// The SET clauses among a function's options.
pub(super) fn in_options(options: &[Node]) -> impl Iterator<Item = &VariableSetStmt> {
    options.iter().filter_map(|node| match &node.node {
        Some(NodeEnum::DefElem(option)) => match &option.arg.as_deref()?.node {
            Some(NodeEnum::VariableSetStmt(set)) => Some(set),
            _ => None,
        },
        _ => None,
    })
}

/// Whether a definition's text reads settings that a client may set. Those that begin with [`OWN`] are none, where their names are
/// written out; the reason that a session states is.
pub(super) fn reads_settings_of_clients(text: &str) -> bool {
    const READER: &str = "current_setting";
    let text = text.to_lowercase();
    let is_own = |(start, found): (usize, &str)| {
        let behind = text.get(start + found.len()..).unwrap_or_default();
        behind
            .trim_start()
            .strip_prefix('(')
            .and_then(|inside| inside.trim_start().strip_prefix('\''))
            .and_then(|inside| inside.split_once('\''))
            .is_some_and(|(name, rest)| {
                let rest = rest.strip_prefix("::text").unwrap_or(rest).trim_start();
                let is_all = rest.starts_with([',', ')']);
                is_all && name.starts_with(OWN) && !name.starts_with(reason::SETTING)
            })
    };
    // An escaped name may be any.
    text.contains("u&") || !text.match_indices(READER).all(is_own)
}

#[cfg(test)]
mod tests {
    use super::reads_settings_of_clients;

    #[test]
    fn what_only_the_gateway_sets_is_no_clients() {
        for (text, expected) in [
            (
                "(owner = current_setting('provost.principal'::text, true))",
                false,
            ),
            ("a = CURRENT_SETTING ( 'Provost.Kind' )", false),
            ("a = 1", false),
            ("a = current_setting('app.tenant')", true),
            (
                "a = current_setting('provost.kind') OR b = current_setting('app.b')",
                true,
            ),
            ("a = current_setting(name)", true),
            ("a = current_setting('provost')", true),
            ("a = current_setting('provost.' || 'reason')", true),
            ("a = current_setting('provost.kind'' || b)", true),
            ("a = current_setting('provost.kind", true),
            ("a = current_setting('Provost.Reason', true)", true),
            ("a = \"current_setting\"('provost.kind')", true),
            (r"a = current_setting(U&'\0061pp.b')", true),
        ] {
            assert_eq!(reads_settings_of_clients(text), expected, "{text}");
        }
    }
}
