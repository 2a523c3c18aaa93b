//! A port that stays a test's own while its part is down, so that the part can be started again where it was.

use std::fs::File;
use std::net::TcpListener;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

/// Below the ports that the kernel gives to connections and to those who listen on port 0: nobody else gets one of
/// these by chance.
const FIRST: u32 = 20_000;
const COUNT: u32 = 12_000;

/// A port of loopback. Other tests, of this process and of others, keep away from it as long as this value lives.
#[derive(Debug)]
pub struct Port {
    /// What it is to be bound to.
    pub number: u16,
    _lock: File,
}

impl Port {
    /// One that nobody listens on.
    ///
    /// # Panics
    /// If every port is taken.
    #[must_use]
    pub fn reserve() -> Port {
        static TRIES: AtomicU32 = AtomicU32::new(0);
        let user = rustix::process::getuid().as_raw();
        let folder = std::env::temp_dir().join(format!("test-parts-{user}"));
        std::fs::create_dir_all(&folder).expect("a folder for the locks of ports");
        for _ in 0..COUNT {
            let next =
                std::process::id().wrapping_mul(101).wrapping_add(TRIES.fetch_add(1, Relaxed));
            let number = u16::try_from(FIRST + next % COUNT).expect("a port");
            let lock = File::create(folder.join(number.to_string())).expect("the lock of a port");
            // The kernel gives the lock back when this process ends, however it ends.
            if lock.try_lock().is_ok() && TcpListener::bind(("127.0.0.1", number)).is_ok() {
                return Port { number, _lock: lock };
            }
        }
        panic!("no port from {FIRST} on is free");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_given_once_though_nobody_listens() {
        let ports: Vec<_> = (0..50).map(|_| Port::reserve()).collect();
        let mut numbers: Vec<_> = ports.iter().map(|port| port.number).collect();
        numbers.sort_unstable();
        numbers.dedup();
        assert_eq!(numbers.len(), ports.len());
    }
}
