//! What a run has found, as points: verdicts, the evidence behind them, what each cell took, and what may be claimed of two.

use ledger::names;
use sidecar::{Fields, Lines};

use super::tags::{payload, protocol, tags};
use lab_judge::result::{
    CellResult, ContrastResult, Difference, RunResult, WireResult, interval, pairs,
};
use lab_judge::verdict::{at_a_glance, comparison, mostly};
use lab_model::{Answer, Evidence, Protocol, Verdict};

/// Cells that are told of at once: the sidecar takes a megabyte, and reasons are long.
const CELLS_AT_ONCE: usize = 50;

/// Everything that `result` found in `run`, at the time `now`, in pieces that the sidecar takes.
pub(super) fn of(result: &RunResult, run: &str, now: u64) -> Vec<Lines> {
    let mut first = Lines::default();
    let none = names::NO_CELL;
    let lost: u64 = result.spans_lost.values().sum();
    verdict_fields(first.point(names::M_VERDICT, &tags(run, none, none, none)), &result.verdict)
        .count(names::F_SPANS_LOST, lost)
        .at(now);
    let mut pieces = vec![first];
    for cells in result.cells.chunks(CELLS_AT_ONCE) {
        let mut lines = Lines::default();
        for cell in cells {
            let payload = payload_of(cell);
            let protocol = protocol(cell.factors.protocol, cell.factors.arrivals);
            let tags = tags(run, &cell.id, protocol, &payload);
            verdict(&mut lines, &tags, result, cell, now);
            for evidence in &cell.evidence {
                answer(&mut lines, tags, evidence, now);
            }
            found(&mut lines, &tags, cell, now);
        }
        pieces.push(lines);
    }
    for both in pairs(&result.cells).chunks(CELLS_AT_ONCE) {
        let mut lines = Lines::default();
        for &(first, second) in both {
            contrast(&mut lines, (result, run), (first, second), now);
        }
        pieces.push(lines);
    }
    pieces
}

fn payload_of(cell: &CellResult) -> String {
    payload(&cell.factors.workload(), cell.factors.payload_bytes, cell.factors.arrivals)
}

fn verdict(
    lines: &mut Lines,
    tags: &[(&str, &str)],
    result: &RunResult,
    cell: &CellResult,
    now: u64,
) {
    // A cost that was not certified is no number.
    let cost = result.probe_cost.as_ref().map_or(f64::NAN, |cost| cost.ratio);
    verdict_fields(lines.point(names::M_VERDICT, tags), &cell.verdict)
        .float(names::F_RESIDUAL_P50_SHARE, cell.residual.p50_share)
        .float(names::F_RESIDUAL_P99_SHARE, cell.residual.p99_share)
        .float(names::F_INFERRED_SHARE, cell.inferred_share)
        .count(names::F_SPANS_LOST, result.spans_lost.values().sum())
        .count(names::F_BYTES_DISAGREE, bytes_disagree(cell))
        .float(names::F_PROBE_COST, cost)
        .at(now);
}

fn verdict_fields<'a>(point: Fields<'a>, verdict: &Verdict) -> Fields<'a> {
    point
        .int(names::F_STATUS, verdict.status.number())
        .int(names::F_SEVERITY, verdict.status.severity())
        .text(names::F_STATUS_NAME, verdict.status.name())
        .text(names::F_REASONS, &verdict.codes().collect::<Vec<_>>().join(","))
}

/// Requests of a cell whose two ends counted different bytes, or whose payload is not the declared one.
fn bytes_disagree(cell: &CellResult) -> u64 {
    let bodies = |hop: &WireResult| {
        [hop.relayed, hop.claimed].into_iter().flatten().map(|of| of.mismatches).sum::<u64>()
    };
    let wrong = |hop: &WireResult| hop.disagreements + hop.payload_mismatches + bodies(hop);
    cell.wire.iter().map(wrong).sum()
}

/// The answer to one question about a cell.
fn answer(lines: &mut Lines, tags: [(&str, &str); 4], evidence: &Evidence, now: u64) {
    let [run, cell, protocol, payload] = tags;
    let question = (names::T_QUESTION, evidence.question.name());
    let severity = match evidence.answer {
        Answer::Yes => 0,
        Answer::Unchecked => 1,
        Answer::No => evidence.status.severity().max(2),
    };
    lines
        .point(names::M_EVIDENCE, &[run, cell, protocol, payload, question])
        .int(names::F_SEVERITY, severity)
        .text(names::F_ANSWER, evidence.answer.words())
        .text(names::F_TEXT, &evidence.text)
        .float(names::F_VALUE, evidence.value.unwrap_or(f64::NAN))
        .float(names::F_LIMIT, evidence.limit.unwrap_or(f64::NAN))
        .at(now);
}

/// What a cell took, as the result has it.
fn found(lines: &mut Lines, tags: &[(&str, &str)], cell: &CellResult, now: u64) {
    // Nothing takes less than no time, though rounds that differ much leave it inside the interval.
    let ends = interval(cell).map(|(low, high)| (low.max(0.0), high));
    let (low, high) = ends.unwrap_or((f64::NAN, f64::NAN));
    lines
        .point(names::M_RESULT, tags)
        .count(names::F_ROUNDS, cell.rounds.len() as u64)
        .float(names::F_MEAN_US, cell.latency_us.mean)
        .float(names::F_LOW_US, low)
        .float(names::F_HIGH_US, high)
        .float(names::F_P50_US, cell.latency_us.p50)
        .float(names::F_P99_US, cell.latency_us.p99.unwrap_or(f64::NAN))
        .float(names::F_ANSWERED_PER_S, cell.load.completed_per_s)
        .float(names::F_DROPPED_SHARE, cell.load.dropped_share)
        .at(now);
}

/// What may be claimed of two cells: one point for the means, which says it in words too, and one for each family. Where
/// nothing may be claimed there are the words alone.
fn contrast(
    lines: &mut Lines,
    (result, run): (&RunResult, &str),
    (first, second): (&CellResult, &CellResult),
    now: u64,
) {
    let claims = result.contrasts.iter();
    let claim = { claims }.find(|one| one.first == first.id && one.second == second.id);
    let payload = payload_of(first);
    let (answer, by) = at_a_glance(comparison(result, first, second), names_of(first, second));
    let tags = |family| {
        [
            (names::T_RUN, run),
            (names::T_PAYLOAD, payload.as_str()),
            (names::T_FIRST, first.id.as_str()),
            (names::T_SECOND, second.id.as_str()),
            (names::T_FAMILY, family),
        ]
    };
    let whole = lines.point(names::M_CONTRAST, &tags(names::WHOLE));
    let [one, other] = names_of(first, second);
    let whole = whole
        .text(names::F_ANSWER, &answer)
        .text(names::F_BY, &by)
        .text(names::F_FIRST_MOSTLY, &mostly(first, one))
        .text(names::F_SECOND_MOSTLY, &mostly(second, other));
    let Some(claim) = claim else { return whole.at(now) };
    let whole = difference(whole, &claim.mean, claim);
    whole
        .float(names::F_NOISE_FLOOR_US, claim.noise_floor_us.unwrap_or(f64::NAN))
        .float(names::F_RATIO, claim.latency.ratio)
        .float(names::F_RATIO_LOW, claim.latency.interval.0)
        .float(names::F_RATIO_HIGH, claim.latency.interval.1)
        .at(now);
    for part in &claim.parts {
        let point = lines.point(names::M_CONTRAST, &tags(part.family.as_str()));
        difference(point, &part.difference, claim).at(now);
    }
}

fn difference<'a>(
    point: Fields<'a>,
    difference: &Difference,
    claim: &ContrastResult,
) -> Fields<'a> {
    point
        .float(names::F_US, difference.us)
        .float(names::F_LOW_US, difference.together.0)
        .float(names::F_HIGH_US, difference.together.1)
        .float(names::F_VISIBLE_US, difference.visible)
        .int(names::F_FOUND, i64::from(difference.found()))
        .count(names::F_PAIRS, claim.pairs)
}

/// What two cells are called that are compared: by what they differ in.
fn names_of<'a>(first: &'a CellResult, second: &'a CellResult) -> [&'a str; 2] {
    let differ = first.factors.protocol != second.factors.protocol;
    [first, second].map(|cell| match (differ, cell.factors.protocol) {
        (true, Protocol::Rest) => "REST",
        (true, Protocol::Grpc) => "gRPC",
        (false, _) => cell.id.as_str(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A run of six payloads by two protocols, two rounds each.
    const RESULT: &str = include_str!("../../../report/tests/judging/golden/result.json");

    fn result() -> RunResult {
        RunResult::from_json(RESULT).unwrap()
    }

    fn lines(result: &RunResult) -> String {
        of(result, "r", 7).iter().map(Lines::as_str).collect()
    }

    fn number(line: &str, field: &str) -> f64 {
        let (_, rest) = line.split_once(&format!("{field}=")).unwrap();
        rest.split([',', ' ']).next().unwrap().trim_end_matches('i').parse().unwrap()
    }

    #[test]
    fn a_claim_is_a_point_for_the_means_and_one_for_each_part_and_they_add_up() {
        let result = result();
        let claim = &result.contrasts[1];
        let all = lines(&result);
        let of_it = "contrast,run=r,payload=1000,first=rest-1kB,second=grpc-1kB,family=";
        let found: Vec<&str> = all.lines().filter(|line| line.starts_with(of_it)).collect();
        assert_eq!(found.len(), 1 + claim.parts.len());
        assert!(found[0].starts_with(&format!("{of_it}mean ")), "{}", found[0]);
        for field in [
            "answer=",
            "by=",
            "low_us=",
            "high_us=",
            "visible_us=",
            "ratio=",
            "ratio_low=",
            "ratio_high=",
        ] {
            assert!(found[0].contains(field), "{field} in {}", found[0]);
        }
        let parts: f64 = found[1..].iter().map(|line| number(line, " us")).sum();
        let whole = number(found[0], ",us");
        assert!((parts - whole).abs() < 0.02, "{parts} and {}", found[0]);
        assert!(found[1..].iter().all(|line| !line.contains("ratio")), "only of the means");
    }

    #[test]
    fn of_two_cells_of_which_nothing_may_be_claimed_there_is_why() {
        let mut result = result();
        result.contrasts.clear();
        let all = lines(&result);
        let claims: Vec<&str> = all.lines().filter(|line| line.starts_with("contrast,")).collect();
        assert_eq!(claims.len(), pairs(&result.cells).len());
        for line in claims {
            assert!(line.contains("answer=\"no comparison\"") && !line.contains("us="), "{line}");
        }
    }

    #[test]
    fn every_cell_has_its_result_and_an_answer_to_every_question_the_worst_marked() {
        let result = result();
        let all = lines(&result);
        let found = |measurement: &str, cell: &str| {
            let of_it = format!("{measurement},run=r,cell={cell},");
            all.lines().filter(|line| line.starts_with(&of_it)).collect::<Vec<_>>()
        };
        for cell in &result.cells {
            let [line] = found("result", &cell.id)[..] else { panic!("{}", cell.id) };
            assert_eq!(number(line, "mean_us"), cell.latency_us.mean);
            assert_eq!(number(line, "answered_per_s"), cell.load.completed_per_s);
            let (low, high) = (number(line, "low_us"), number(line, "high_us"));
            assert!(low < high, "{line}");
            let answers = found("evidence", &cell.id);
            assert_eq!(answers.len(), cell.evidence.len());
            for (line, evidence) in std::iter::zip(answers, &cell.evidence) {
                let expected = evidence.answer as u8 == Answer::No as u8;
                assert_eq!(number(line, "severity") >= 2.0, expected, "{line}");
            }
        }
    }
}
