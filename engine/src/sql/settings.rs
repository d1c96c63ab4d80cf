//! Where a statement that is no query sets settings: SET itself, what sessions start with, SET clauses of functions.
//!
//! Must never pass one over: a setting that the gateway holds would be a client's to change.

use pg_query::{
    NodeEnum,
    protobuf::{Node, VariableSetStmt},
};

/// What begins the names of the settings that say to the server who the principal is.
pub(super) const OWN: &str = "provost.";

/// The SET, or SET clauses, of a statement; names are as the server reads them, but for case.
pub(super) fn set_by(node: &NodeEnum) -> Vec<&VariableSetStmt> {
    let later = match node {
        NodeEnum::VariableSetStmt(set) => return vec![set],
        NodeEnum::CreateFunctionStmt(create) => return in_options(&create.options).collect(),
        NodeEnum::AlterFunctionStmt(alter) => return in_options(&alter.actions).collect(),
        NodeEnum::AlterRoleSetStmt(alter) => &alter.setstmt,
        NodeEnum::AlterDatabaseSetStmt(alter) => &alter.setstmt,
        NodeEnum::AlterSystemStmt(alter) => &alter.setstmt,
        _ => return Vec::new(),
    };
    later.iter().collect()
}

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
/// written out.
pub(super) fn reads_settings_of_clients(text: &str) -> bool {
    const READER: &str = "current_setting";
    let text = text.to_lowercase();
    let is_own = |(start, found): (usize, &str)| {
        let behind = text.get(start + found.len()..).unwrap_or_default();
        behind
            .trim_start()
            .strip_prefix('(')
            .and_then(|inside| inside.trim_start().strip_prefix('\''))
            .is_some_and(|name| name.starts_with(OWN))
    };
    // An escaped name may be any.
    text.contains("u&") || !text.match_indices(READER).all(is_own)
}

#[cfg(test)]
mod tests {
    use pg_query::NodeEnum;

    use super::{reads_settings_of_clients, set_by};

    #[test]
    fn every_set_of_a_statement_is_found() {
        for (text, expected) in [
            ("SET Work_Mem = '1MB'", &["work_mem"][..]),
            ("SET provost . \"principal\" = 'x'", &["provost.principal"]),
            (r#"SET LOCAL U&"\0070rovost".kind = 'x'"#, &["provost.kind"]),
            ("RESET \"Provost.Kind\"", &["Provost.Kind"]),
            ("ALTER ROLE a SET provost.kind = 'x'", &["provost.kind"]),
            ("ALTER ROLE ALL IN DATABASE d RESET role", &["role"]),
            ("ALTER DATABASE d SET a.b TO 1", &["a.b"]),
            ("ALTER SYSTEM SET a.b = 1", &["a.b"]),
            (
                "CREATE FUNCTION f() RETURNS int LANGUAGE sql SET a = 1 SET role = x AS ''",
                &["a", "role"],
            ),
            (
                "ALTER FUNCTION f() SET provost.kind = 'x'",
                &["provost.kind"],
            ),
            ("ALTER PROCEDURE f() STRICT SET a = 1", &["a"]),
            ("SELECT 1", &[]),
        ] {
            let tree = pg_query::parse(text).unwrap().protobuf;
            let node: &NodeEnum = tree.stmts[0].stmt.as_ref().unwrap().node.as_ref().unwrap();
            let found: Vec<&str> = set_by(node).iter().map(|set| &*set.name).collect();
            assert_eq!(found, expected, "{text}");
        }
    }

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
            ("a = \"current_setting\"('provost.kind')", true),
            (r"a = current_setting(U&'\0061pp.b')", true),
        ] {
            assert_eq!(reads_settings_of_clients(text), expected, "{text}");
        }
    }
}
