//! One question to a service: do you answer 200? For images, which have no other program to ask with.
//!
//! The standard library is enough: one `GET` over HTTP/1.1 to an address, the status line, done. No TLS,
//! no redirects, no proxies. What is an address, `settings` says.

use std::io::{self, Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use settings::{HttpUrl, UrlError};

/// How long the service may take to read and to answer.
const PATIENCE: Duration = Duration::from_secs(2);
/// The longest reply that is read, in bytes: what a health check says is short.
const LONGEST_REPLY: u64 = 64 * 1024;

/// Why a service is not healthy.
#[derive(Debug)]
pub enum Unhealthy {
    /// The URL is not `http://HOST:PORT/PATH`.
    Url(UrlError),
    /// It cannot be reached, or does not answer in time.
    Silent(String, io::Error),
    /// It answered something else than 200.
    Answer(String, String),
}

impl std::fmt::Display for Unhealthy {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Unhealthy::Url(error) => error.fmt(out),
            Unhealthy::Silent(url, error) => write!(out, "{url}: {error}"),
            Unhealthy::Answer(url, reply) => write!(out, "{url}: {reply}"),
        }
    }
}

impl std::error::Error for Unhealthy {}

/// Asks for `url`; its body if the answer was 200.
///
/// # Errors
/// [`Unhealthy`] says what was asked and what came instead.
pub fn ask(url: &str) -> Result<String, Unhealthy> {
    let asked: HttpUrl = url.parse().map_err(Unhealthy::Url)?;
    let reply = exchange(&asked.authority(), asked.target())
        .map_err(|error| Unhealthy::Silent(url.to_owned(), error))?;
    let (head, body) = reply.split_once("\r\n\r\n").unwrap_or((&reply, ""));
    let status = head.lines().next().unwrap_or_default();
    if status.split(' ').nth(1) == Some("200") {
        Ok(body.to_owned())
    } else {
        Err(Unhealthy::Answer(url.to_owned(), format!("{status} {body}")))
    }
}

/// Sends the request and reads the reply to its end, which `close` asks the service for.
fn exchange(address: &str, path: &str) -> io::Result<String> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    // In one piece: a service that answers and closes before it has read all would reset the connection.
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let mut reply = Vec::new();
    stream.take(LONGEST_REPLY).read_to_end(&mut reply)?;
    Ok(String::from_utf8_lossy(&reply).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;
    use std::thread;

    /// Asks a server that answers `reply` to whatever it is asked.
    fn asked(reply: &'static str) -> Result<String, Unhealthy> {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/healthz", listener.local_addr().unwrap());
        let server = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = Vec::new();
            let mut piece = [0; 256];
            while !request.ends_with(b"\r\n\r\n") {
                let count = stream.read(&mut piece).unwrap();
                assert!(count > 0, "the request ends before its head does");
                request.extend_from_slice(&piece[..count]);
            }
            stream.write_all(reply.as_bytes()).unwrap();
            String::from_utf8_lossy(&request).into_owned()
        });
        let answer = ask(&url);
        assert!(server.join().unwrap().starts_with("GET /healthz HTTP/1.1\r\n"));
        answer
    }

    #[test]
    fn only_200_is_healthy() {
        assert_eq!(asked("HTTP/1.1 200 OK\r\n\r\nfine").unwrap(), "fine");
        let error = asked("HTTP/1.1 503 Service Unavailable\r\n\r\nno database").unwrap_err();
        assert!(error.to_string().ends_with("503 Service Unavailable no database"), "{error}");
        assert!(matches!(asked(""), Err(Unhealthy::Answer(..))));
        assert!(matches!(asked("HTTP/1.1 2000 OK\r\n\r\n"), Err(Unhealthy::Answer(..))));
    }

    #[test]
    fn nobody_listening_is_said_with_the_address() {
        let error = ask("http://127.0.0.1:1/healthz").unwrap_err();
        assert!(matches!(&error, Unhealthy::Silent(..)) && error.to_string().contains("refused"));
    }

    #[test]
    fn what_is_no_url_is_refused() {
        for url in ["", "localhost:1/", "https://a:1/", "http://a:1/ HTTP/1.1", "http://a:99999/"] {
            let error = ask(url).unwrap_err();
            assert!(matches!(&error, Unhealthy::Url(_)), "{url}");
            assert!(error.to_string().contains("write http://HOST:PORT/PATH"), "{error}");
        }
    }
}
