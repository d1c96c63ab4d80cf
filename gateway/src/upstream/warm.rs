//! Connections made ahead: logged in, and used by nobody. Each was started with the very parameters (role, principal, whatever the client
//! asks for) that a session which may come will start with, so that one takes it as if it were new.
//!
//! Must never give a connection that somebody used, nor one that was started with other parameters.

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    sync::Notify,
    time::{Instant, sleep_until},
};

use super::Server;
use crate::settings;

/// The start-up parameters of a session, beside those that all sessions of a target have.
pub(crate) type Parameters = Arc<[(String, String)]>;

/// When a connection is made ahead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Occasion {
    /// A session of these parameters began: others may come beside it. They get half of the room at most.
    Began,
    /// One ended: it may come again.
    Ended,
}

/// A target's connections that were made ahead.
pub(crate) struct Warm {
    connections_max: usize,
    idle: Duration,
    state: Mutex<State>,
    /// Something changed that [`Warm::run`] goes by.
    changed: Notify,
}

#[derive(Default)]
struct State {
    /// Those that wait, oldest first.
    waiting: Vec<Waiting>,
    /// Those on their way.
    making: Vec<Parameters>,
    /// Those that nobody shall have: they are said goodbye to.
    over: Vec<Server>,
    /// How often all were dropped.
    dropped: u64,
    is_closed: bool,
}

struct Waiting {
    parameters: Parameters,
    server: Server,
    until: Instant,
}

/// Room for a connection on its way; dropping it gives the room back.
pub(crate) struct Place {
    warm: Arc<Warm>,
    parameters: Parameters,
    /// [`State::dropped`] when it was taken.
    dropped: u64,
}

impl Warm {
    pub(super) fn new(limits: settings::Warm) -> Self {
        Self {
            connections_max: limits.connections_max,
            idle: Duration::from_millis(limits.idle_ms),
            state: Mutex::default(),
            changed: Notify::new(),
        }
    }

    /// The newest connection that was started so.
    pub(crate) fn take(&self, parameters: &Parameters) -> Option<Server> {
        self.take_at(parameters, Instant::now())
    }

    fn take_at(&self, parameters: &Parameters, now: Instant) -> Option<Server> {
        let mut state = self.state();
        let is_good = |one: &Waiting| one.parameters == *parameters && now < one.until;
        let place = state.waiting.iter().rposition(is_good)?;
        Some(state.waiting.remove(place).server)
    }

    /// Room to make one; `None` where there are enough.
    pub(crate) fn room(
        self: &Arc<Self>,
        parameters: &Parameters,
        occasion: Occasion,
    ) -> Option<Place> {
        let mut state = self.state();
        let waiting = state.waiting.iter().map(|one| &one.parameters);
        let all = waiting.chain(&state.making);
        let alike = all.clone().filter(|one| *one == parameters).count();
        let alike_max = match occasion {
            Occasion::Began => self.connections_max.div_ceil(2),
            Occasion::Ended => 1,
        };
        if state.is_closed || alike >= alike_max || all.count() >= self.connections_max {
            return None;
        }
        state.making.push(Arc::clone(parameters));
        Some(Place {
            warm: Arc::clone(self),
            parameters: Arc::clone(parameters),
            dropped: state.dropped,
        })
    }

    /// Nobody shall have what there is: it was logged in with a credential that is good no more.
    pub(super) fn drop_all(&self) {
        let all = self.take_all();
        self.state().over.extend(all);
        self.changed.notify_one();
    }

    /// Gives all that there is, for its room at the server is wanted.
    pub(super) fn take_all(&self) -> Vec<Server> {
        let mut state = self.state();
        state.dropped += 1;
        let all = std::mem::take(&mut state.waiting);
        all.into_iter().map(|one| one.server).collect()
    }

    /// Closes all, and makes no more.
    pub(crate) async fn close(&self) {
        self.state().is_closed = true;
        let mut all = self.take_all();
        all.append(&mut self.state().over);
        for server in all {
            server.leave().await;
        }
    }

    /// Closes what waited too long; runs until it is dropped.
    pub(crate) async fn run(self: Arc<Self>) {
        loop {
            let (over, next) = self.over(Instant::now());
            for server in over {
                server.leave().await;
            }
            match next {
                None => self.changed.notified().await,
                Some(next) => tokio::select! {
                    () = sleep_until(next) => {}
                    () = self.changed.notified() => {}
                },
            }
        }
    }

    /// What is to be closed now, and when to look again.
    fn over(&self, now: Instant) -> (Vec<Server>, Option<Instant>) {
        let mut state = self.state();
        // Oldest first.
        let count = state.waiting.partition_point(|one| one.until <= now);
        let mut over = std::mem::take(&mut state.over);
        over.extend(state.waiting.drain(..count).map(|one| one.server));
        (over, state.waiting.first().map(|one| one.until))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Warm {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Warm")
            .field("connections_max", &self.connections_max)
            .field("idle", &self.idle)
            .finish_non_exhaustive()
    }
}

impl Place {
    /// What the connection is to be started with.
    pub(crate) fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    /// Puts the connection there, unless all were dropped meanwhile.
    pub(crate) fn fill(self, server: Server) {
        let mut state = self.warm.state();
        if state.is_closed || state.dropped != self.dropped {
            state.over.push(server);
        } else {
            state.waiting.push(Waiting {
                parameters: Arc::clone(&self.parameters),
                server,
                until: Instant::now() + self.warm.idle,
            });
        }
        drop(state);
        self.warm.changed.notify_one();
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut state = self.warm.state();
        let making = &mut state.making;
        if let Some(place) = making.iter().position(|one| *one == self.parameters) {
            making.swap_remove(place);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, time::Duration};

    use bytes::BytesMut;
    use tokio::{net::UnixStream, time::Instant};

    use super::{Occasion, Parameters, Server, Warm};
    use crate::{settings, stream::Stream, upstream::CancelKey};

    fn parameters(principal: &str) -> Parameters {
        Arc::from([("provost.principal".to_owned(), principal.to_owned())])
    }

    /// A connection, told by its number, and its other end.
    fn server(number: i32) -> (Server, UnixStream) {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let server = Server {
            stream: Stream::Unix(ours),
            read: BytesMut::new(),
            parameters: Vec::new(),
            key: CancelKey {
                process_id: number,
                secret: 0,
            },
        };
        (server, theirs)
    }

    fn warm(connections_max: usize) -> Arc<Warm> {
        Arc::new(Warm::new(settings::Warm {
            connections_max,
            idle_ms: 1_000,
        }))
    }

    fn number(server: Option<Server>) -> Option<i32> {
        server.map(|server| server.key.process_id)
    }

    #[tokio::test]
    async fn a_connection_is_had_once_by_who_starts_with_the_same() {
        let warm = warm(8);
        let (ann, bob) = (parameters("ann"), parameters("bob"));
        let (first, _first) = server(1);
        let (second, _second) = server(2);
        for one in [first, second] {
            warm.room(&ann, Occasion::Began).unwrap().fill(one);
        }
        assert_eq!(number(warm.take(&bob)), None);
        assert_eq!(number(warm.take(&ann)), Some(2), "the newest");
        assert_eq!(number(warm.take(&ann)), Some(1));
        assert_eq!(number(warm.take(&ann)), None);
    }

    #[tokio::test]
    async fn there_is_room_for_so_many() {
        let warm = warm(4);
        let (ann, bob) = (parameters("ann"), parameters("bob"));
        let of_ann = [
            warm.room(&ann, Occasion::Ended).unwrap(),
            warm.room(&ann, Occasion::Began).unwrap(),
        ];
        assert!(warm.room(&ann, Occasion::Began).is_none(), "half of it");
        assert!(warm.room(&ann, Occasion::Ended).is_none());
        let of_bob = warm.room(&bob, Occasion::Ended).unwrap();
        assert!(
            warm.room(&bob, Occasion::Ended).is_none(),
            "one is on its way"
        );
        let of_eve = warm.room(&parameters("eve"), Occasion::Ended).unwrap();
        assert!(warm.room(&bob, Occasion::Began).is_none(), "all of it");
        drop(of_ann);
        assert!(warm.room(&bob, Occasion::Began).is_some());
        drop((of_bob, of_eve));
        assert!(self::warm(0).room(&ann, Occasion::Began).is_none());
    }

    #[tokio::test]
    async fn what_waits_too_long_is_said_goodbye_to() {
        let warm = warm(8);
        let ann = parameters("ann");
        let before = Instant::now();
        let (one, other_end) = server(1);
        warm.room(&ann, Occasion::Ended).unwrap().fill(one);
        let (over, next) = warm.over(before);
        assert!(over.is_empty());
        let until = next.unwrap();
        assert!(until >= before + Duration::from_secs(1));
        assert_eq!(number(warm.take_at(&ann, until)), None);
        let (over, next) = warm.over(until);
        assert_eq!((over.len(), next), (1, None));
        let leaving = async {
            for server in over {
                server.leave().await;
            }
        };
        let ((), said) = tokio::join!(leaving, said(other_end));
        assert_eq!(said, b"X\0\0\0\x04");
    }

    #[tokio::test]
    async fn what_is_dropped_or_made_before_that_is_had_by_nobody() {
        let warm = warm(8);
        let ann = parameters("ann");
        let (one, _one) = server(1);
        let (late, _late) = server(2);
        let on_its_way = warm.room(&ann, Occasion::Began).unwrap();
        warm.room(&ann, Occasion::Began).unwrap().fill(one);
        warm.drop_all();
        on_its_way.fill(late);
        assert_eq!(number(warm.take(&ann)), None);
        let (over, next) = warm.over(Instant::now());
        assert_eq!((over.len(), next), (2, None));
        // What is begun after that is good.
        let (one, _one) = server(3);
        warm.room(&ann, Occasion::Began).unwrap().fill(one);
        assert_eq!(number(warm.take(&ann)), Some(3));
    }

    #[tokio::test]
    async fn what_is_closed_makes_no_more() {
        let warm = warm(8);
        let ann = parameters("ann");
        let (one, other_end) = server(1);
        let on_its_way = warm.room(&ann, Occasion::Began).unwrap();
        warm.room(&ann, Occasion::Began).unwrap().fill(one);
        let ((), said) = tokio::join!(warm.close(), said(other_end));
        assert_eq!(said, b"X\0\0\0\x04");
        let (late, _late) = server(2);
        on_its_way.fill(late);
        assert_eq!(number(warm.take(&ann)), None);
        assert!(warm.room(&ann, Occasion::Ended).is_none());
    }

    /// Everything that comes before the other end closes its sending.
    async fn said(mut stream: UnixStream) -> Vec<u8> {
        let mut said = Vec::new();
        tokio::io::AsyncReadExt::read_to_end(&mut stream, &mut said)
            .await
            .unwrap();
        said
    }
}
