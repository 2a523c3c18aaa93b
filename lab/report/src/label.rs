//! What a cell is called in a report, and which cells belong side by side.

use lab_judge::result::units::{count, payload, rate, time};
use lab_judge::result::{CellResult, RunResult, Subject};
use lab_model::{Knobs, PayloadSource, Protocol};
use settings::{Bandwidth, Span};

/// The protocol's name for people.
pub(super) const fn protocol(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Rest => "REST",
        Protocol::Grpc => "gRPC",
    }
}

/// Cells that differ in their protocol only.
pub(super) struct Group<'a> {
    /// What they ask for.
    pub subject: Subject,
    /// What else was set, in words; empty where nothing was.
    pub setting: String,
    /// The cells, in plan order.
    pub cells: Vec<&'a CellResult>,
}

impl Group<'_> {
    /// What they ask for, and what else was set.
    pub(super) fn title(&self) -> String {
        let subject = &self.subject;
        if self.setting.is_empty() {
            subject.to_string()
        } else {
            format!("{subject} ({})", self.setting)
        }
    }
}

/// The cells of `result`, grouped: first by setting in plan order, then by payload.
pub(super) fn groups(result: &RunResult) -> Vec<Group<'_>> {
    let mut settings: Vec<String> = Vec::new();
    let mut groups: Vec<Group<'_>> = Vec::new();
    for cell in &result.cells {
        let setting = setting(result, cell);
        if !settings.contains(&setting) {
            settings.push(setting.clone());
        }
        let subject = cell.factors.subject();
        match groups.iter_mut().find(|group| group.subject == subject && group.setting == setting) {
            Some(group) => group.cells.push(cell),
            None => groups.push(Group { subject, setting, cells: vec![cell] }),
        }
    }
    groups.sort_by_key(|group| {
        (settings.iter().position(|known| *known == group.setting), group.subject.clone())
    });
    groups
}

/// What was set for `cell` beyond payload and protocol, in words. Rate and requests in flight only where cells differ in them.
pub(super) fn setting(result: &RunResult, cell: &CellResult) -> String {
    let mut parts = knobs(&cell.factors.knobs);
    if let Some(arm) = &cell.factors.arm {
        parts.insert(0, arm.clone());
    }
    let same = |test: &dyn Fn(&CellResult) -> bool| result.cells.iter().all(test);
    let asked = &cell.factors;
    if !same(&|other| other.factors.max_in_flight == asked.max_in_flight) {
        parts.insert(0, format!("at most {} in flight", asked.max_in_flight));
    }
    if !same(&|other| other.factors.rate_per_s == asked.rate_per_s) {
        parts.insert(0, format!("{}/s", rate(asked.rate_per_s)));
    }
    parts.join(", ")
}

/// The settings that are not the defaults, in words.
pub(super) fn knobs(knobs: &Knobs) -> Vec<String> {
    let mut parts = Vec::new();
    let sizes = [
        ("stream window", knobs.stream_window),
        ("connection window", knobs.connection_window),
        ("frame", knobs.frame_size),
    ];
    parts.extend(sizes.into_iter().filter_map(|(name, size)| {
        size.map(|size| format!("{name} {}", payload(u64::from(size))))
    }));
    if let Some(ns) = knobs.rtt {
        parts.push(format!("RTT {}", Span(ns)));
    }
    if let Some(bits) = knobs.bandwidth {
        parts.push(format!("a line of {}", Bandwidth(bits)));
    }
    let flags = [
        (knobs.connection_per_request, "a connection per request"),
        (knobs.nagle, "Nagle on"),
        (knobs.payload_source == PayloadSource::PerRequest, "payload made per request"),
        (knobs.probes_off, "probes off"),
        (knobs.unindexed, "no index on e-mail"),
    ];
    parts.extend(flags.into_iter().filter(|(set, _)| *set).map(|(_, name)| name.to_owned()));
    if let Some(threads) = knobs.worker_threads {
        parts.push(format!("{threads} worker thread{}", if threads == 1 { "" } else { "s" }));
    }
    if let Some(connections) = knobs.pool_size {
        parts.push(format!("a pool of {connections}"));
    }
    if let Some(users) = knobs.users {
        parts.push(format!("{} users", count(users)));
    }
    if let Some(bytes) = knobs.rest_size_bug {
        parts.push(format!("REST always {}", payload(bytes)));
    }
    parts.extend(
        knobs.inject.iter().map(|(stage, ns)| format!("{} in {stage}", time(*ns as f64 / 1e3))),
    );
    parts
}
