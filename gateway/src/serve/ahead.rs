//! Makes server connections ahead of the sessions that will use them, on the thread of the session that gives the occasion.
//!
//! It must never hold up a session, nor the gateway's end.

use std::sync::Arc;

use tokio::task::spawn_local;

use super::house::House;
use crate::upstream::{Occasion, Parameters, Upstream};

/// Makes one that is started with these parameters, unless there are enough of them.
pub(super) fn make(
    house: &Arc<House>,
    upstream: &Arc<Upstream>,
    parameters: &Parameters,
    occasion: Occasion,
) {
    let Some(place) = upstream.warm().room(parameters, occasion) else {
        return;
    };
    let (house, upstream) = (Arc::clone(house), Arc::clone(upstream));
    let making = async move {
        tokio::select! {
            made = upstream.connect(place.parameters()) => match made {
                Ok(server) => place.fill(server),
                // The session that would have had it finds out for itself.
                Err(error) => tracing::debug!(target_name = %upstream.name(), %error, "no connection could be made ahead"),
            },
            () = house.stopped() => {}
        }
    };
    drop(spawn_local(making));
}
