//! A relay that looks at nothing: what a proxy on tokio costs at least. For `tests/bench/run.sh`.
//!
//! `bench-relay LISTEN SOCKET THREADS`: as the gateway does, one single-threaded runtime per thread, both sockets of a session on
//! one thread, the server behind a Unix socket.

use std::{
    env,
    error::Error,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    thread,
};

use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream, UnixStream},
    runtime::Builder,
    sync::mpsc,
    task::{LocalSet, spawn_local},
};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = env::args().skip(1);
    let mut next = || arguments.next().ok_or("usage: LISTEN SOCKET THREADS");
    let listen: SocketAddr = next()?.parse()?;
    let socket: Arc<PathBuf> = Arc::new(next()?.into());
    let threads: usize = next()?.parse()?;
    let mut queues = Vec::new();
    for _ in 0..threads.max(1) {
        let (sender, receiver) = mpsc::channel(128);
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let socket = Arc::clone(&socket);
        thread::spawn(move || LocalSet::new().block_on(&runtime, serve(receiver, socket)));
        queues.push(sender);
    }
    let runtime = Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind(listen).await?;
        for queue in queues.iter().cycle() {
            let (stream, _) = listener.accept().await?;
            queue.send(stream.into_std()?).await?;
        }
        Ok(())
    })
}

async fn serve(mut connections: mpsc::Receiver<std::net::TcpStream>, socket: Arc<PathBuf>) {
    while let Some(client) = connections.recv().await {
        let socket = Arc::clone(&socket);
        spawn_local(async move {
            if let Err(error) = relay(client, &socket).await {
                eprintln!("{error}");
            }
        });
    }
}

async fn relay(client: std::net::TcpStream, socket: &Path) -> std::io::Result<()> {
    let mut client = TcpStream::from_std(client)?;
    client.set_nodelay(true)?;
    let mut server = UnixStream::connect(socket).await?;
    copy_bidirectional(&mut client, &mut server).await?;
    Ok(())
}
