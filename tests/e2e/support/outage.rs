//! A connection to a store that fails as it is told to: between a client and a server of HTTP on loopback.

use std::{
    io::{Read, Write as _},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

/// What becomes of requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Weather {
    /// They are answered.
    Fair,
    /// They are answered with this status, and not passed on.
    Status(u16),
    /// Nobody answers.
    Silence,
    /// They are passed on, and what comes back for a PUT is lost.
    LostAnswers,
}

/// The connection.
pub(crate) struct Outage {
    port: u16,
    weather: Arc<Mutex<Weather>>,
}

impl Outage {
    /// In front of a server on this port.
    pub(crate) fn before(server: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let weather = Arc::new(Mutex::new(Weather::Fair));
        let shared = Arc::clone(&weather);
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let weather = Arc::clone(&shared);
                // A client or a server that goes is what this is for.
                thread::spawn(move || drop(answer(client, server, &weather)));
            }
        });
        Self { port, weather }
    }

    pub(crate) fn endpoint(&self) -> (String, String) {
        let endpoint = format!("http://127.0.0.1:{}", self.port);
        ("AWS_ENDPOINT_URL".to_owned(), endpoint)
    }

    pub(crate) fn set(&self, weather: Weather) {
        *self.weather.lock().unwrap() = weather;
    }
}

/// One request on each connection.
fn answer(mut client: TcpStream, server: u16, weather: &Mutex<Weather>) -> std::io::Result<()> {
    let request = read_request(&mut client)?;
    let now = *weather.lock().unwrap();
    match now {
        Weather::Status(status) => {
            let answer = format!(
                "HTTP/1.1 {status} Trouble\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
            );
            client.write_all(answer.as_bytes())
        }
        Weather::Silence => {
            while *weather.lock().unwrap() == Weather::Silence {
                thread::sleep(Duration::from_millis(20));
            }
            Ok(())
        }
        Weather::Fair | Weather::LostAnswers => {
            let answer = pass_on(&request, server)?;
            if now == Weather::LostAnswers && request.starts_with(b"PUT ") {
                return Ok(());
            }
            client.write_all(&answer)
        }
    }
}

/// Head and body.
fn read_request(client: &mut impl Read) -> std::io::Result<Vec<u8>> {
    let mut request = Vec::new();
    let mut byte = [0];
    while !request.ends_with(b"\r\n\r\n") {
        client.read_exact(&mut byte)?;
        request.push(byte[0]);
    }
    let head = String::from_utf8_lossy(&request).to_ascii_lowercase();
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length:"))
        .map_or(0, |length| length.trim().parse().unwrap());
    let mut body = vec![0; length];
    client.read_exact(&mut body)?;
    request.extend(body);
    Ok(request)
}

fn pass_on(request: &[u8], server: u16) -> std::io::Result<Vec<u8>> {
    let first_line = request.iter().position(|byte| *byte == b'\n').unwrap() + 1;
    let mut server = TcpStream::connect(("127.0.0.1", server))?;
    server.write_all(&request[..first_line])?;
    server.write_all(b"Connection: close\r\n")?;
    server.write_all(&request[first_line..])?;
    let mut answer = Vec::new();
    server.read_to_end(&mut answer)?;
    Ok(answer)
}
