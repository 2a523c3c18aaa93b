//! Who holds a port of this machine: what `/proc` says, for whoever wanted it.

use std::fs;

/// The process that listens on `port`, in words; nothing where `/proc` does not show it.
pub(super) fn holder(port: u16) -> Option<String> {
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"];
    let text: String = tables.iter().filter_map(|table| fs::read_to_string(table).ok()).collect();
    let sockets: Vec<String> = text
        .lines()
        .filter_map(|line| listening(line, port))
        .map(|inode| format!("socket:[{inode}]"))
        .collect();
    for process in fs::read_dir("/proc").ok()?.flatten() {
        let name = process.file_name();
        let Some(pid) = name.to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
        // Those of other users show nothing to us.
        let Ok(files) = fs::read_dir(process.path().join("fd")) else { continue };
        let held =
            |link: std::path::PathBuf| sockets.iter().any(|socket| link.as_os_str() == &**socket);
        if files.flatten().filter_map(|file| fs::read_link(file.path()).ok()).any(held) {
            let command = fs::read_to_string(process.path().join("comm")).unwrap_or_default();
            return Some(format!("process {pid} ({})", command.trim()));
        }
    }
    None
}

/// The inode of the socket of a line of `/proc/net/tcp`, if it listens on `port` (state 0A, proc(5)).
fn listening(line: &str, port: u16) -> Option<&str> {
    let mut words = line.split_ascii_whitespace().skip(1);
    let local = words.next()?;
    let (_, hex) = local.rsplit_once(':')?;
    let state = words.nth(1)?;
    let own = u16::from_str_radix(hex, 16).ok()? == port && state == "0A";
    own.then(|| words.nth(5)).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_listens_on_a_port_is_named() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let named = holder(port).unwrap();
        assert!(named.starts_with(&format!("process {} (", std::process::id())), "{named}");
        assert_eq!(holder(1), None);
    }
}
