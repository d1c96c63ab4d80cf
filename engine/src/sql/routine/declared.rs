//! The types of a PL/pgSQL body's variables: what assigning to them runs. Every name in the body that could be one of a
//! type, or of a relation whose row's type it is, is taken for a declared one.

use pg_query::protobuf::Token;

use super::{
    super::{Refusal, authority, resolver::Resolver},
    folded,
};

impl Resolver<'_> {
    /// Runs what the types that a body declares variables of check: `v zip`, `v customers.zip%TYPE`, `r customers%ROWTYPE`.
    pub(super) fn declared_checks(&mut self, text: &str) -> Result<(), Refusal> {
        let Some(mut tokens) = authority::tokens(text) else {
            return Err(Refusal::not_understood("this body"));
        };
        tokens.retain(|(_, token)| !matches!(token, Token::CComment | Token::SqlComment));
        let declares = tokens
            .iter()
            .position(|(_, token)| *token == Token::Declare);
        let tokens = declares.and_then(|first| tokens.get(first..));
        let tokens = tokens.unwrap_or_default();
        let mut types = Vec::new();
        let mut before = Token::Nul;
        let mut is_relation = false;
        for (range, token) in tokens {
            // What a query reads from or writes into is no type, nor is any part of its name.
            is_relation = matches!(before, Token::From | Token::Into)
                || (is_relation && (before == Token::Ascii46 || *token == Token::Ascii46));
            before = *token;
            let is_text = matches!(token, Token::Sconst | Token::Usconst);
            if is_relation || is_text {
                continue;
            }
            if let Some(word) = text.get(range.clone()) {
                let named = self.catalog.types_named(&folded(word));
                types.extend(named.iter().map(|user_type| user_type.oid));
            }
        }
        types.sort_unstable();
        types.dedup();
        self.all_checks(types)
    }
}
