//! Which CPUs a process may run on. What a thread starts, threads and processes alike, inherits it.

use std::fmt;
use std::io;
use std::str::FromStr;

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// Some of the machine's CPUs, by their numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cpus(Vec<usize>);

impl FromStr for Cpus {
    type Err = String;

    /// As `taskset -c` reads them: `0`, `0-2`, `0,3`.
    fn from_str(text: &str) -> Result<Cpus, String> {
        let refused = || format!("{text:?} are no CPUs: write their numbers, such as 0 or 0-2,5");
        let mut cpus = Vec::new();
        for part in text.split(',') {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            let number = |text: &str| text.trim().parse::<usize>().map_err(|_| refused());
            let (first, last) = (number(first)?, number(last)?);
            if first > last || last >= CpuSet::MAX_CPU {
                return Err(refused());
            }
            cpus.extend(first..=last);
        }
        cpus.sort_unstable();
        cpus.dedup();
        let allowed =
            sched_getaffinity(None).map_err(|error| format!("which CPUs there are: {error}"))?;
        match cpus.iter().find(|cpu| !allowed.is_set(**cpu)) {
            None => Ok(Cpus(cpus)),
            Some(other) => {
                Err(format!("CPU {other} is none that this process may use: {}", of(&allowed)))
            }
        }
    }
}

impl fmt::Display for Cpus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let numbers: Vec<String> = self.0.iter().map(ToString::to_string).collect();
        f.write_str(&numbers.join(","))
    }
}

fn of(set: &CpuSet) -> Cpus {
    Cpus((0..CpuSet::MAX_CPU).filter(|cpu| set.is_set(*cpu)).collect())
}

impl Cpus {
    /// Does `work` on these CPUs. Threads and processes that it starts stay on them; this thread does not.
    ///
    /// # Errors
    /// If the system refuses, or `work` fails.
    pub fn start<T>(&self, work: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        let before = sched_getaffinity(None)?;
        let mut wanted = CpuSet::new();
        self.0.iter().for_each(|cpu| wanted.set(*cpu));
        sched_setaffinity(None, &wanted)?;
        let done = work();
        sched_setaffinity(None, &before)?;
        done
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed() -> Cpus {
        of(&sched_getaffinity(None).unwrap())
    }

    #[test]
    fn what_is_started_stays_on_its_cpus_and_who_starts_it_does_not() {
        let all = allowed();
        let last = Cpus(vec![*all.0.last().unwrap()]);
        let started = last.start(|| Ok(std::thread::spawn(allowed))).unwrap();
        assert_eq!(started.join().unwrap(), last);
        let child =
            last.start(|| std::process::Command::new("cat").arg("/proc/self/status").output());
        let status = String::from_utf8(child.unwrap().stdout).unwrap();
        let list = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:")).unwrap();
        assert_eq!(list.trim(), last.to_string());
        assert_eq!(allowed(), all);
    }

    #[test]
    fn cpus_are_numbers_and_ranges_of_those_that_there_are() {
        let first = allowed().0[0];
        assert_eq!(format!("{first}-{first},{first}").parse(), Ok(Cpus(vec![first])));
        for text in ["", "a", "1-0", "0,,1", "99999"] {
            assert!(text.parse::<Cpus>().unwrap_err().contains("no CPUs"), "{text}");
        }
        assert!("1023".parse::<Cpus>().unwrap_err().contains("may use"));
    }
}
