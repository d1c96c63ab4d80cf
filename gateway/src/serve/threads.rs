//! The threads that serve: one runtime each, both sockets of a session on one thread.

use std::{
    io,
    num::NonZeroUsize,
    rc::Rc,
    sync::Arc,
    thread::{self, JoinHandle},
};

use tokio::{
    net::TcpStream,
    runtime::Builder,
    sync::mpsc,
    task::{LocalSet, spawn_local},
};

use super::{connection::Desk, count::Connection, house::House, relay::Scratch};
use crate::judgement::STACK_BYTES;

/// Accepted connections that wait for a thread; at the limit the listener waits, and the system's own queue fills.
const QUEUE_MAX: usize = 128;

/// An accepted connection on its way to a thread.
type Accepted = (std::net::TcpStream, std::net::SocketAddr, Connection);

/// The serving threads.
pub(super) struct Threads {
    threads: Vec<(mpsc::Sender<Accepted>, JoinHandle<()>)>,
    next: usize,
}

impl Threads {
    /// Starts them.
    pub(super) fn start(house: &Arc<House>, count: Option<NonZeroUsize>) -> io::Result<Self> {
        let count = count
            .or_else(|| thread::available_parallelism().ok())
            .map_or(1, NonZeroUsize::get);
        let mut threads = Vec::with_capacity(count);
        for number in 0..count {
            let (sender, connections) = mpsc::channel(QUEUE_MAX);
            let runtime = Builder::new_current_thread().enable_all().build()?;
            let house = Arc::clone(house);
            let thread = thread::Builder::new()
                .name(format!("serve-{number}"))
                .stack_size(STACK_BYTES)
                .spawn(move || {
                    let local = LocalSet::new();
                    local.block_on(&runtime, serve(house, connections));
                    // Sessions that are still open at the end run to theirs.
                    runtime.block_on(local);
                })?;
            threads.push((sender, thread));
        }
        Ok(Self { threads, next: 0 })
    }

    /// Gives a connection to the next thread in turn.
    pub(super) async fn give(
        &mut self,
        stream: TcpStream,
        address: std::net::SocketAddr,
        counted: Connection,
    ) -> io::Result<()> {
        let stream = stream.into_std()?;
        self.next = self.next.wrapping_add(1);
        let index = self.next.checked_rem(self.threads.len()).unwrap_or(0);
        if let Some((sender, _)) = self.threads.get(index) {
            // A thread that is gone drops the connection: the client sees a close.
            let _ = sender.send((stream, address, counted)).await;
        }
        Ok(())
    }

    /// Takes no more connections and waits until every session ended. Blocks.
    pub(super) fn join(self) {
        for (sender, thread) in self.threads {
            drop(sender);
            if thread.join().is_err() {
                tracing::error!("a serving thread panicked");
            }
        }
    }
}

async fn serve(house: Arc<House>, mut connections: mpsc::Receiver<Accepted>) {
    let desk = Desk {
        house,
        cache: Rc::default(),
        scratch: Scratch::new(),
    };
    while let Some((stream, address, counted)) = connections.recv().await {
        match TcpStream::from_std(stream) {
            Ok(stream) => drop(spawn_local(desk.clone().serve(stream, address, counted))),
            Err(error) => tracing::warn!(%address, %error, "a connection could not be taken over"),
        }
    }
}
