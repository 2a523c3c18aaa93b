//! From a plan file and overrides to a plan: factors become cells, limits are held.

use std::sync::Arc;

use super::arms::{Arms, arms};
use super::certification::CERTIFY_WARMUP;
use super::file::{
    self, DURATIONS, KnobsFile, MAX_IN_FLIGHT, MAX_ROUNDS, PAIRS, PlanFile, TURNS, VariantFile,
};
use super::knobs::{Settings, without_effect};
use super::naming::cell_id;
use super::{Aim, Certify, Overrides, Payload, Plan, PlanError};
use crate::cell::MAX_TRACES_PER_SECOND;
use crate::{Arrivals, Cell, Protocol, Workload, workload};

/// Bytes of a name at most.
const MAX_NAME: usize = 100;

pub(super) fn unroll(file: &str, text: &str, overrides: &Overrides) -> Result<Plan, PlanError> {
    let mut raw: PlanFile = toml::from_str(text)
        .map_err(|error| PlanError::Format { file: file.to_owned(), error: Box::new(error) })?;
    apply(&mut raw, overrides);
    hold_names(file, &raw)?;
    let workloads = Workloads::read(file, &raw)?;
    hold_payloads(file, &raw, &workloads)?;
    hold_limits(file, &raw)?;
    let arms = arms(file, &raw, overrides)?;
    let cells = cells(file, &raw, &workloads, &arms, overrides)?;
    let certify = match &raw.certify {
        Some(certify) if !overrides.no_certify => Some(Certify {
            pairs: certify.pairs,
            cell: Cell {
                duration_ns: certify.round.0,
                arrivals: Arrivals::Constant,
                warmup_ns: CERTIFY_WARMUP,
                // Its two sides are not answered by the same services.
                turn_ns: None,
                rate: certify.rate.map_or(raw.rate.0[0], |rate| rate.0),
                ..cell(
                    &raw,
                    certify.protocol,
                    (workload::first(), certify.payload.0),
                    settings(file, &[&raw.knobs.0, &overrides.knobs])?,
                )
            },
        }),
        _ => None,
    };
    let all = cells.iter().chain(certify.as_ref().map(|certify| &certify.cell));
    without_effect(all.map(|cell| (&cell.knobs, cell.protocol, &*cell.workload)))
        .map_err(|error| refused(file, error))?;
    let objectives = objectives(&raw, overrides);
    Ok(Plan {
        name: raw.name.unwrap_or_else(|| stem(file)),
        about: raw.about.trim().to_owned(),
        cells,
        rounds: raw.rounds,
        timeout_ns: raw.timeout.0,
        preallocated: raw.preallocated.unwrap_or(raw.max_in_flight.min(50)),
        settle_ns: raw.settle.0,
        until: overrides.until,
        objectives,
        certify,
    })
}

/// What is asked of the system by the plan and by the command line.
fn objectives(raw: &PlanFile, overrides: &Overrides) -> Vec<Aim> {
    let of_plan = raw
        .objective
        .iter()
        .map(|objective| Aim { holds: objective.holds, cells: objective.cells.clone() });
    let own = overrides.objectives.iter().map(|&holds| Aim { holds, cells: String::new() });
    of_plan.chain(own).collect()
}

/// A plan without a name is called after its file.
fn stem(file: &str) -> String {
    std::path::Path::new(file)
        .file_stem()
        .map_or_else(|| file.to_owned(), |stem| stem.to_string_lossy().into_owned())
}

fn apply(raw: &mut PlanFile, overrides: &Overrides) {
    if !overrides.protocols.is_empty() {
        raw.protocol.clone_from(&overrides.protocols);
        // A variant's protocols are part of what it is (a gateway that is wrong for REST only), so
        // they are narrowed where the plan's own are replaced.
        for protocols in raw.variant.iter_mut().filter_map(|variant| variant.protocol.as_mut()) {
            protocols.retain(|protocol| overrides.protocols.contains(protocol));
        }
        if let (Some(certify), [only]) = (raw.certify.as_mut(), overrides.protocols.as_slice()) {
            certify.protocol = *only;
        }
    }
    if !overrides.payloads.is_empty() {
        raw.payload = overrides.payloads.iter().map(|&bytes| Payload(bytes)).collect();
        raw.variant.iter_mut().for_each(|variant| variant.payload = None);
    }
    if !overrides.rates.is_empty() {
        raw.rate.0.clone_from(&overrides.rates);
    }
    raw.duration.0 = overrides.duration_ns.unwrap_or(raw.duration.0);
    raw.warmup.0 = overrides.warmup_ns.unwrap_or(raw.warmup.0);
    match overrides.turn_ns {
        None => {}
        Some(0) => raw.turn = None,
        Some(turn) => raw.turn = Some(super::Span(turn)),
    }
    raw.rounds = overrides.rounds.unwrap_or(raw.rounds);
    match overrides.arrivals {
        // A script has no plan.
        None | Some(Arrivals::Script) => {}
        Some(Arrivals::Closed(concurrency)) => raw.concurrency = Some(concurrency),
        Some(Arrivals::Constant) => raw.arrivals = Some(file::Arrivals::Constant),
        Some(Arrivals::Poisson) => raw.arrivals = Some(file::Arrivals::Poisson),
    }
    if let Some(limit) = overrides.traces_per_second {
        raw.traces_per_second = Some(super::Rate(limit));
    }
}

fn hold_limits(file: &str, raw: &PlanFile) -> Result<(), PlanError> {
    let certify = raw.certify.clone().unwrap_or_default();
    let most_allocated = raw.max_in_flight as u64;
    for (key, value, (low, high)) in [
        ("rounds", u64::from(raw.rounds), (1, MAX_ROUNDS)),
        ("max_in_flight", raw.max_in_flight as u64, (1, MAX_IN_FLIGHT)),
        ("preallocated", raw.preallocated.unwrap_or(1) as u64, (1, most_allocated.max(1))),
        ("concurrency", raw.concurrency.unwrap_or(1) as u64, (1, MAX_IN_FLIGHT)),
        ("certify.pairs", u64::from(certify.pairs), PAIRS),
    ] {
        if !(low..=high).contains(&value) {
            return Err(limit(file, key, value, low, high));
        }
    }
    let turn = raw.turn.map(|turn| ("turn", turn, TURNS));
    let durations =
        [("duration", raw.duration), ("certify.round", certify.round), ("timeout", raw.timeout)];
    let durations = durations.map(|(key, span)| (key, span, DURATIONS));
    for (key, span, (low, high)) in durations.into_iter().chain(turn) {
        if !(low..=high).contains(&span.0) {
            return Err(limit(file, key, span, super::Span(low), super::Span(high)));
        }
    }
    Ok(())
}

fn limit<V: ToString, L: ToString>(
    file: &str,
    key: &'static str,
    value: V,
    low: L,
    high: L,
) -> PlanError {
    PlanError::Limit {
        file: file.to_owned(),
        key,
        value: value.to_string(),
        low: low.to_string(),
        high: high.to_string(),
    }
}

fn settings(file: &str, tables: &[&toml::Table]) -> Result<crate::Knobs, PlanError> {
    // Each is looked at by itself: what is laid over another may be spelled otherwise.
    let laid = tables
        .iter()
        .try_fold(Settings::default(), |under, over| Ok(under.under(Settings::read(over)?)));
    laid.and_then(Settings::knobs).map_err(|error| refused(file, error))
}

fn refused(file: &str, error: super::KnobError) -> PlanError {
    PlanError::Knob { file: file.to_owned(), error }
}

/// A cell with the first of the plan's rates.
fn cell(
    raw: &PlanFile,
    protocol: Protocol,
    (workload, payload_bytes): (Arc<Workload>, u64),
    knobs: crate::Knobs,
) -> Cell {
    Cell {
        id: cell_id(protocol, &workload, payload_bytes),
        protocol,
        workload,
        payload_bytes,
        rate: raw.rate.0.first().copied().unwrap_or(super::RATES.0),
        duration_ns: raw.duration.0,
        warmup_ns: raw.warmup.0,
        turn_ns: raw.turn.map(|turn| turn.0),
        // No more than its users are in flight in a closed loop, and no fewer.
        max_in_flight: raw.concurrency.unwrap_or(raw.max_in_flight),
        knobs,
        arm: None,
        arrivals: match (raw.concurrency, raw.arrivals) {
            (Some(concurrency), _) => Arrivals::Closed(concurrency),
            (None, Some(file::Arrivals::Poisson)) => Arrivals::Poisson,
            (None, _) => Arrivals::Constant,
        },
        traces_per_second: raw.traces_per_second.map_or(MAX_TRACES_PER_SECOND, |rate| rate.0),
    }
}

fn cells(
    file: &str,
    raw: &PlanFile,
    workloads: &Workloads,
    arms: &Arms,
    overrides: &Overrides,
) -> Result<Vec<Cell>, PlanError> {
    let refused = |reason: String| PlanError::Cells { file: file.to_owned(), reason };
    let plain = [VariantFile {
        name: String::new(),
        workload: None,
        protocol: None,
        payload: None,
        knobs: KnobsFile::default(),
    }];
    let variants = if raw.variant.is_empty() { &plain[..] } else { &raw.variant[..] };
    let mut cells: Vec<Cell> = Vec::new();
    for variant in variants {
        let knobs = arms.iter().map(|arm| {
            let own = arm.as_ref().map(|(_, knobs)| knobs);
            let plain = [&raw.knobs.0, &variant.knobs.0, &overrides.knobs];
            settings(file, &plain.into_iter().chain(own).collect::<Vec<_>>())
        });
        let knobs: Vec<_> = knobs.collect::<Result<_, _>>()?;
        for subject in subjects(raw, variant, workloads.of(file, raw, variant)?) {
            for &protocol in variant.protocol.as_ref().unwrap_or(&raw.protocol) {
                for &rate in &raw.rate.0 {
                    // Arms beside each other: what is compared is to be near in time.
                    for (arm, knobs) in std::iter::zip(arms, &knobs) {
                        let mut cell =
                            Cell { rate, ..cell(raw, protocol, subject.clone(), knobs.clone()) };
                        cell.id.push_str(&suffix(raw, rate, &variant.name));
                        if let Some((arm, _)) = arm {
                            cell.id.push_str(&format!("-{}", arm.name));
                            cell.arm = Some(Arc::clone(arm));
                        }
                        if cells.iter().any(|other| other.id == cell.id) {
                            let id = cell.id;
                            return Err(refused(format!(
                                "two cells are called {id:?}: name one variant, or leave a repeated factor out"
                            )));
                        }
                        cells.push(cell);
                    }
                }
            }
        }
    }
    if cells.is_empty() {
        return Err(refused(
            "no cell is left: `protocol`, `payload` and `rate` each need at least one value"
                .to_owned(),
        ));
    }
    Ok(cells)
}

/// What the cells of `variant` ask for: each of its payloads, or a workload without one.
fn subjects(
    raw: &PlanFile,
    variant: &VariantFile,
    workload: Arc<Workload>,
) -> Vec<(Arc<Workload>, u64)> {
    if !workload.payload {
        return vec![(workload, 0)];
    }
    let payloads = variant.payload.as_ref().unwrap_or(&raw.payload);
    payloads.iter().map(|payload| (Arc::clone(&workload), payload.0)).collect()
}

/// Names go into tags of points, whose limits are InfluxDB's line protocol and good sense.
fn hold_names(file: &str, raw: &PlanFile) -> Result<(), PlanError> {
    let names = raw.name.iter().chain(raw.variant.iter().map(|variant| &variant.name));
    let names = names.chain(raw.arm.iter().map(|arm| &arm.name));
    let fits = |name: &str| {
        name.len() <= MAX_NAME && !name.contains(|c: char| c.is_control() || c == '\\')
    };
    match names.into_iter().find(|name| !fits(name)) {
        None => Ok(()),
        Some(name) => Err(PlanError::Cells {
            file: file.to_owned(),
            reason: format!(
                "key `name`: {name:?} is longer than {MAX_NAME} bytes, or holds a backslash or a \
                 control character"
            ),
        }),
    }
}

/// The workloads that a plan may name: the built-in ones, and its own.
struct Workloads(Vec<Arc<Workload>>);

impl Workloads {
    fn read(file: &str, raw: &PlanFile) -> Result<Workloads, PlanError> {
        let mut all = workload::all().to_vec();
        for (name, written) in &raw.workloads {
            let own = Workload { name: name.clone(), ..written.clone() };
            let own = own
                .checked_of_plan()
                .map_err(|error| PlanError::Workload { file: file.to_owned(), error })?;
            all.push(Arc::new(own));
        }
        let all = Workloads(all);
        // One that nothing asks for would be a slip of the pen somewhere else.
        let named = raw.variant.iter().map(|variant| &variant.workload).chain([&raw.workload]);
        let named: Vec<&str> = named.flatten().map(String::as_str).collect();
        let unasked = raw.workloads.keys().find(|name| !named.contains(&name.as_str()));
        if let Some(name) = unasked {
            let reason = format!("no `workload` names the workload {name:?} that the plan has");
            return Err(PlanError::Cells { file: file.to_owned(), reason });
        }
        all.named(file, raw.workload.as_deref())?;
        Ok(all)
    }

    /// The workload of the cells of `variant`.
    fn of(
        &self,
        file: &str,
        raw: &PlanFile,
        variant: &VariantFile,
    ) -> Result<Arc<Workload>, PlanError> {
        self.named(file, variant.workload.as_deref().or(raw.workload.as_deref()))
    }

    fn named(&self, file: &str, name: Option<&str>) -> Result<Arc<Workload>, PlanError> {
        let Some(name) = name else { return Ok(workload::first()) };
        self.0.iter().find(|workload| workload.name == name).cloned().ok_or_else(|| {
            let known: Vec<&str> = self.0.iter().map(|workload| workload.name.as_str()).collect();
            let known = known.join(", ");
            let reason =
                format!("key `workload`: no workload is called {name:?}; there are {known}");
            PlanError::Cells { file: file.to_owned(), reason }
        })
    }
}

/// A workload without a payload is given none.
fn hold_payloads(file: &str, raw: &PlanFile, workloads: &Workloads) -> Result<(), PlanError> {
    let plan = workloads.named(file, raw.workload.as_deref())?;
    let mut without = (!plan.payload && !raw.payload.is_empty()).then(|| plan.name.clone());
    for variant in &raw.variant {
        let workload = workloads.of(file, raw, variant)?;
        if workload.payload {
            without = None;
        } else if variant.payload.is_some() {
            without = Some(workload.name.clone());
            break;
        }
    }
    without.map_or(Ok(()), |name| {
        let reason = format!("`workload = \"{name}\"` has no `payload` (nor --size)");
        Err(PlanError::Cells { file: file.to_owned(), reason })
    })
}

/// What tells a cell from others of its protocol and payload.
fn suffix(raw: &PlanFile, rate: f64, variant: &str) -> String {
    let rate = if raw.rate.0.len() > 1 { format!("-{rate}rps") } else { String::new() };
    let variant = if variant.is_empty() { String::new() } else { format!("-{variant}") };
    rate + &variant
}
