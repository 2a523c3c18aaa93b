//! Whether a process that spans name is the one that has its id here.
//!
//! In a container a process may well be number 1, which on this machine is another. So an id alone is not
//! believed: something else that the resource says must fit what `/proc` says of the process with that id.

use std::time::Duration;

/// How far the start of a process may be from what its resource says: SDKs and the kernel round it.
const START: u64 = 2 * 1_000_000_000;

/// What a resource says of its process beside its id.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Claim {
    /// `process.executable.name` and `process.executable.path`.
    pub(crate) executables: Vec<String>,
    /// `process.command`: the first argument, or the script.
    pub(crate) command: Option<String>,
    /// `process.command_args`.
    pub(crate) arguments: Vec<String>,
    /// `process.command_line`.
    pub(crate) line: Option<String>,
    /// `process.creation.time`, in nanoseconds since 1970.
    pub(crate) created: Option<u64>,
    /// `container.id`.
    pub(crate) container: Option<String>,
    /// `host.name`.
    pub(crate) host: Option<String>,
}

/// What `/proc` says of a process.
#[derive(Debug, Default)]
struct Seen {
    executable: String,
    name: String,
    arguments: Vec<String>,
    created: Option<u64>,
}

impl Claim {
    /// What its texts take in memory, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        let lists = self.executables.iter().chain(&self.arguments);
        let texts = [&self.command, &self.line, &self.container, &self.host];
        lists.chain(texts.into_iter().flatten()).map(|text| size_of::<String>() + text.len()).sum()
    }

    /// Why process `pid` of this machine, called `host`, is not the one that is meant, if so.
    pub(super) fn check(&self, pid: u32, host: &str) -> Result<(), &'static str> {
        if self.container.as_ref().is_some_and(|id| !is_own_container(id)) {
            return Err("its container.id is another's: its pid counts there, not here");
        }
        if self.host.as_ref().is_some_and(|theirs| !same_host(theirs, host)) {
            return Err("its host.name is not this machine's");
        }
        let says_more = !self.executables.is_empty()
            || self.command.is_some()
            || !self.arguments.is_empty()
            || self.line.is_some()
            || self.created.is_some();
        if !says_more {
            return Err("its resource says nothing beside process.pid that could be checked \
                        (process.executable.name, process.command, process.creation.time)");
        }
        let Some(seen) = Seen::read(pid) else {
            return Err("there is no process with its pid here");
        };
        match self.fits(&seen) {
            true => Ok(()),
            false => Err("the process with its pid here is another program"),
        }
    }

    fn fits(&self, seen: &Seen) -> bool {
        let first = seen.arguments.first().map_or("", String::as_str);
        let known = [seen.executable.as_str(), &seen.name, first];
        let executable = self.executables.iter().any(|claimed| {
            let name = file_name(claimed);
            !name.is_empty() && known.iter().any(|known| file_name(known) == name)
        });
        let said = |text: &&String| !text.is_empty();
        let command = self.command.as_ref().filter(said);
        let command = command.is_some_and(|it| seen.arguments.contains(it));
        let arguments = !self.arguments.is_empty()
            && seen.arguments.windows(self.arguments.len()).any(|part| part == self.arguments);
        let line = self
            .line
            .as_ref()
            .filter(said)
            .is_some_and(|line| seen.arguments.join(" ").ends_with(line));
        let created = self.created.zip(seen.created).is_some_and(|(a, b)| a.abs_diff(b) < START);
        executable || command || arguments || line || created
    }
}

impl Seen {
    fn read(pid: u32) -> Option<Seen> {
        let process = procfs::process::Process::new(i32::try_from(pid).ok()?).ok()?;
        let stat = process.stat().ok()?;
        // Another user's program is not told of: then the rest must do.
        let executable = process.exe().ok().and_then(|path| path.to_str().map(str::to_owned));
        let arguments = process.cmdline().unwrap_or_default();
        let ticks = procfs::ticks_per_second();
        let since_boot = Duration::from_millis(stat.starttime.saturating_mul(1_000) / ticks.max(1));
        let booted = procfs::boot_time_secs().ok().map(Duration::from_secs);
        let created = booted.map(|booted| booted + since_boot);
        let created = created.and_then(|at| u64::try_from(at.as_nanos()).ok());
        let executable = executable.unwrap_or_default();
        Some(Seen { executable, name: stat.comm, arguments, created })
    }
}

/// Whether this very process is in the container `id`: where SDKs find that id, it is ours.
fn is_own_container(id: &str) -> bool {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let mounted = |line: &str| line.contains(id) && line.contains(" /etc/hostname ");
    id.len() >= 32
        && (read("/proc/self/cgroup").contains(id)
            || read("/proc/self/mountinfo").lines().any(mounted))
}

/// The last part of a path; of a name the name.
fn file_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or_default()
}

/// Whether two names are of one machine: one may be with its domain, the other without.
fn same_host(a: &str, b: &str) -> bool {
    let first = |name: &str| name.split('.').next().unwrap_or_default().to_ascii_lowercase();
    first(a) == first(b)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOST: &str = "lab-1";

    /// What SDKs say of this very process.
    fn own() -> (u32, Vec<String>) {
        (std::process::id(), std::env::args().collect())
    }

    #[test]
    fn an_id_alone_is_not_believed() {
        let why = Claim::default().check(own().0, HOST).unwrap_err();
        assert!(why.contains("nothing beside process.pid"), "{why}");
        let wrong = Claim { executables: vec!["nginx".into()], ..Claim::default() };
        assert!(wrong.check(own().0, HOST).unwrap_err().contains("another program"));
        assert!(wrong.check(u32::MAX, HOST).unwrap_err().contains("no process"));
    }

    #[test]
    fn any_of_what_sdks_say_of_a_process_that_fits_is_enough() {
        let (pid, arguments) = own();
        let path = std::env::current_exe().unwrap().display().to_string();
        let name = file_name(&path).to_owned();
        let started = Seen::read(pid).unwrap().created.unwrap();
        for claim in [
            Claim { executables: vec![path], ..Claim::default() },
            Claim { executables: vec![name], ..Claim::default() },
            Claim { command: Some(arguments[0].clone()), ..Claim::default() },
            Claim { arguments: arguments.clone(), ..Claim::default() },
            Claim { line: Some(arguments.join(" ")), ..Claim::default() },
            Claim { created: Some(started + START / 2), ..Claim::default() },
        ] {
            assert_eq!(claim.check(pid, HOST), Ok(()), "{claim:?}");
            let here = Claim { host: Some("LAB-1.example.org".into()), ..claim.clone() };
            assert_eq!(here.check(pid, HOST), Ok(()));
            let elsewhere = Claim { host: Some("3f2a11".into()), ..claim.clone() };
            assert!(elsewhere.check(pid, HOST).unwrap_err().contains("host.name"));
            let contained = Claim { container: Some("3f2a11".repeat(10)), ..claim };
            assert!(contained.check(pid, HOST).unwrap_err().contains("container.id"));
        }
    }

    #[test]
    fn the_script_of_an_interpreter_is_enough_and_its_link_is_followed_by_name() {
        let seen = Seen {
            executable: "/usr/bin/python3.11".into(),
            name: "python".into(),
            arguments: ["/venv/bin/python", "shop.py", "stock"].map(str::to_owned).into(),
            created: None,
        };
        let fits = |claim: Claim| claim.fits(&seen);
        assert!(fits(Claim { executables: vec!["/venv/bin/python".into()], ..Claim::default() }));
        assert!(fits(Claim { command: Some("shop.py".into()), ..Claim::default() }));
        assert!(fits(Claim { line: Some("shop.py stock".into()), ..Claim::default() }));
        assert!(!fits(Claim { command: Some("other.py".into()), ..Claim::default() }));
        assert!(!fits(Claim { arguments: vec!["stock".into(), "x".into()], ..Claim::default() }));
    }
}
