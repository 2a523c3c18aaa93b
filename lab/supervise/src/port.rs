//! Ports for programs that cannot pick one and say which.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use tokio::net::TcpSocket;

/// A port that the kernel gives to nobody else as long as this lives, though nobody listens there. A program that names
/// it may: it is held with `SO_REUSEADDR`, as servers bind theirs, and two of that kind meet only where both listen.
#[derive(Debug)]
pub struct Port {
    /// Where to listen.
    pub address: SocketAddr,
    _held: TcpSocket,
}

impl Port {
    /// A port of `ip` that nobody has.
    ///
    /// # Errors
    /// If all are taken, or `ip` is none of this machine's.
    pub fn reserve(ip: IpAddr) -> io::Result<Port> {
        let held = if ip.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
        held.set_reuseaddr(true)?;
        held.bind(SocketAddr::new(ip, 0))?;
        Ok(Port { address: held.local_addr()?, _held: held })
    }

    /// A port of loopback.
    ///
    /// # Errors
    /// If all are taken.
    pub fn of_loopback() -> io::Result<Port> {
        Port::reserve(Ipv4Addr::LOCALHOST.into())
    }

    /// Its number.
    #[must_use]
    pub fn number(&self) -> u16 {
        self.address.port()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn a_port_is_given_once_and_who_names_it_listens_there_again_and_again() {
        let ports: Vec<_> = (0..50).map(|_| Port::of_loopback().unwrap()).collect();
        let numbers: HashSet<_> = ports.iter().map(Port::number).collect();
        assert_eq!(numbers.len(), ports.len());
        for _ in 0..2 {
            assert!(TcpStream::connect(ports[0].address).is_err());
            let listener = TcpListener::bind(ports[0].address).unwrap();
            let to = TcpStream::connect(ports[0].address).unwrap();
            // The side that closes first keeps its end of the connection for a while.
            drop(listener.accept().unwrap());
            drop(to);
        }
    }

    #[test]
    fn who_does_not_name_it_as_servers_do_is_not_given_it() {
        let port = Port::of_loopback().unwrap();
        let other = TcpSocket::new_v4().unwrap();
        let error = other.bind(port.address).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
        other.set_reuseaddr(true).unwrap();
        other.bind(port.address).unwrap();
    }
}
