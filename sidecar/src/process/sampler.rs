//! One sample of every watched process and of the host.

use std::collections::HashMap;

use procfs::{Current, CurrentSI, KernelStats};
use sysinfo::{Pid, ProcessRefreshKind, ProcessesToUpdate, System};

use super::threads::Threads;
use super::watched::{Process, Watched};
use crate::runfile::ProcessSample;

/// Reads samples, and remembers what is needed so that counters never go back.
pub(crate) struct Sampler {
    system: System,
    threads: HashMap<(u32, u64), Threads>,
    /// Nanoseconds of a clock tick.
    tick_ns: u64,
    /// What the whole machine is called.
    host: String,
}

impl Sampler {
    /// The whole machine is sampled under the name `host`.
    pub(crate) fn new(host: String) -> Result<Self, sysinfo::Error> {
        let tick_ns = 1_000_000_000 / procfs::ticks_per_second().max(1);
        Ok(Sampler { system: System::new()?, threads: HashMap::new(), tick_ns, host })
    }

    /// Samples the host and every process of `watched` that runs. Blocks for some 100 µs a process.
    pub(crate) fn sample(&mut self, watched: &Watched) -> Vec<ProcessSample> {
        watched.look();
        let processes = watched.running();
        let pids: Vec<_> = processes.iter().map(|process| Pid::from_u32(process.pid)).collect();
        let what = ProcessRefreshKind::nothing().with_cpu().with_memory().without_tasks();
        self.system.refresh_processes_specifics(ProcessesToUpdate::Some(&pids), true, what);
        self.threads
            .retain(|key, _| processes.iter().any(|known| (known.pid, known.started) == *key));
        let mut samples = vec![self.host()];
        samples.extend(processes.iter().filter_map(|process| self.process(process)));
        samples
    }

    /// CPU time is the larger of two readings: the sum of the threads' scheduler times (exact, but
    /// it misses threads that ended between samples) and the process's user and system time (whole,
    /// but in steps of 10 ms). Both only grow, so the larger does too.
    fn process(&mut self, watched: &Process) -> Option<ProcessSample> {
        let at_ns = ledger::clock::now();
        let process = procfs::process::Process::new(i32::try_from(watched.pid).ok()?).ok()?;
        let coarse = self.system.process(Pid::from_u32(watched.pid))?;
        let threads = self.threads.entry((watched.pid, watched.started)).or_default();
        let (totals, count) = threads.read(&process);
        Some(ProcessSample {
            at_ns,
            process: watched.name.clone(),
            pid: watched.pid,
            cpu_ns: totals.run_ns.max(coarse.accumulated_cpu_time() * 1_000_000),
            rss_bytes: coarse.memory(),
            threads: count,
            voluntary_switches: totals.voluntary,
            involuntary_switches: totals.involuntary,
            run_queue_wait_ns: totals.wait_ns,
        })
    }

    /// The whole machine: busy time of all CPUs, memory in use, all switches (the kernel does not
    /// say which were forced) and the time that anything waited for a CPU.
    fn host(&mut self) -> ProcessSample {
        self.system.refresh_memory();
        let at_ns = ledger::clock::now();
        let stats = KernelStats::current().ok();
        let busy = stats.as_ref().map_or(0, |stats| {
            let cpu = &stats.total;
            let kernel = cpu.system + cpu.irq.unwrap_or(0) + cpu.softirq.unwrap_or(0);
            cpu.user + cpu.nice + kernel + cpu.steal.unwrap_or(0)
        });
        ProcessSample {
            at_ns,
            process: self.host.clone(),
            pid: 0,
            cpu_ns: busy * self.tick_ns,
            rss_bytes: self.system.used_memory(),
            threads: procfs::LoadAverage::current().map_or(0, |load| u64::from(load.max)),
            voluntary_switches: stats.map_or(0, |stats| stats.ctxt),
            involuntary_switches: 0,
            run_queue_wait_ns: host_run_queue_wait().unwrap_or(0),
        }
    }
}

/// Sum of the ninth column of the `cpuN` lines of `/proc/schedstat`: nanoseconds that tasks waited
/// to run (`Documentation/scheduler/sched-stats.rst`). Not every kernel keeps it.
fn host_run_queue_wait() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/schedstat").ok()?;
    let cpus = text.lines().filter(|line| line.starts_with("cpu"));
    cpus.map(|line| line.split_ascii_whitespace().nth(8)?.parse::<u64>().ok()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_busy_child_is_seen_to_work_and_forgotten_when_it_ends() {
        let mut child =
            std::process::Command::new("sh").args(["-c", "while :; do :; done"]).spawn().unwrap();
        let watched = Watched::new(Vec::new());
        watched.add("busy", child.id(), false).unwrap();
        let mut sampler = Sampler::new("host".to_owned()).unwrap();
        let mut busy = || sampler.sample(&watched).into_iter().find(|s| s.process == "busy");
        let first = busy().unwrap();
        let deadline = ledger::clock::now() + 20_000_000_000;
        let last = loop {
            let sample = busy().unwrap();
            if sample.cpu_ns > first.cpu_ns + 50_000_000 || ledger::clock::now() > deadline {
                break sample;
            }
            std::thread::yield_now();
        };
        assert!(last.cpu_ns > first.cpu_ns + 50_000_000, "{first:?} {last:?}");
        // One thread cannot use more CPU than time goes by; samples are taken within a tick.
        assert!(last.cpu_ns - first.cpu_ns <= last.at_ns - first.at_ns + 20_000_000);
        assert!(last.rss_bytes > 0 && last.threads == 1);
        assert!(last.involuntary_switches + last.voluntary_switches > 0);
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(busy(), None);
    }

    #[test]
    fn the_host_is_always_sampled() {
        let samples = Sampler::new("node-1".to_owned()).unwrap().sample(&Watched::default());
        assert_eq!(samples.len(), 1);
        assert!(samples[0].process == "node-1" && samples[0].pid == 0);
        assert!(samples[0].cpu_ns > 0 && samples[0].rss_bytes > 0);
        assert!(samples[0].threads > 0 && samples[0].voluntary_switches > 0);
    }
}
