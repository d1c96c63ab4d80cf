//! Who may open a page: whoever is logged in and has its role. It must never run a page's own code for anybody else.

use std::{marker::PhantomData, sync::Arc};

use axum::{
    extract::FromRequestParts,
    http::{StatusCode, request::Parts},
    response::Response,
};

use super::{page, session::Session, troubled, view};
use crate::console::{Room, role::Rank};

/// The session of somebody who has at least this role; who has not gets the page that says what is missing.
pub(super) struct Entered<R> {
    pub(super) session: Arc<Session>,
    rank: PhantomData<R>,
}

impl<R: Rank> FromRequestParts<Arc<Room>> for Entered<R> {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, room: &Arc<Room>) -> Result<Self, Response> {
        let Some(session) = super::session(room, &parts.headers) else {
            let welcome = view::welcome(room.issuer.url());
            return Err(page(StatusCode::UNAUTHORIZED, welcome));
        };
        match session.onlooker().must_be(R::ROLE) {
            Ok(()) => Ok(Self {
                session,
                rank: PhantomData,
            }),
            Err(problem) => Err(troubled(Some(&session), &problem)),
        }
    }
}
