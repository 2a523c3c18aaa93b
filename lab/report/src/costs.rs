//! The probe's cost on a list of cells, as a table and as JSON.

use std::fmt::Write as _;

use super::label;
use lab_judge::result::units::{payload, percent, rate, time};
use lab_judge::result::{CellCost, Costs};

/// `costs` as a table with the mean below.
#[must_use]
pub fn costs(costs: &Costs) -> String {
    let mut text =
        "What measuring costs: CPU of gateway and echo per request, probes on over off\n\n"
            .to_owned();
    let _ = writeln!(
        text,
        "{:>9} {:4} {:>8} {:>9} {:>9} {:>7}  {:16} {:>6} {:>6}  latency, on over off",
        "payload", "", "asked/s", "on", "off", "ratio", "95 % interval", "traced", "pairs"
    );
    for cell in &costs.cells {
        let left_out = match cell.pairs_left_out {
            0 => String::new(),
            some => format!(" ({some} left out)"),
        };
        let _ = writeln!(
            text,
            "{:>9} {:4} {:>8} {:>9} {:>9} {:>6.3}×  {:16} {:>6} {:>6}  {}{left_out}",
            payload(cell.payload_bytes),
            label::protocol(cell.protocol),
            rate(cell.rate_per_s),
            time(cell.on_us),
            time(cell.off_us),
            cell.ratio,
            interval(cell.interval),
            percent(cell.traced_share),
            cell.pairs,
            latency(cell),
        );
    }
    for cell in &costs.not_measured {
        let _ = writeln!(text, "{:>14}  not measured: {}", cell.cell, cell.reason);
    }
    if let Some(mean) = costs.mean {
        let what = if costs.cells.len() == 1 { "1 cell" } else { "all cells" };
        let _ = writeln!(
            text,
            "\nmean of {what}: {:.3}×, 95 % interval {}",
            mean.ratio,
            interval(mean.interval)
        );
    }
    if costs.incomplete {
        text.push_str("stopped before the last cell\n");
    }
    text
}

/// What measuring adds to the latency of a request.
fn latency(cell: &CellCost) -> String {
    let Some((ratio, ends)) = cell.latency else { return String::new() };
    let (on, off) = (time(cell.latency_on_us), time(cell.latency_off_us));
    format!("{ratio:.3}× {} ({on}, {off})", interval(ends))
}

fn interval((low, high): (f64, f64)) -> String {
    format!("[{low:.3}, {high:.3}]")
}

/// `costs` as JSON.
#[must_use]
pub fn costs_json(costs: &Costs) -> String {
    let mut text = serde_json::to_string_pretty(costs)
        .expect("costs are plain data with text keys, which always have a JSON form");
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;
    use lab_judge::result::{COSTS_SCHEMA, MeanCost, NotMeasured};
    use lab_model::{Environment, Protocol};

    fn cell(protocol: Protocol, payload_bytes: u64, on_us: f64, pairs_left_out: u32) -> CellCost {
        CellCost {
            cell: "x".to_owned(),
            protocol,
            payload_bytes,
            rate_per_s: 1_000.0,
            round_s: 1.0,
            traces_per_second: 200.0,
            on_us,
            off_us: 100.0,
            ratio: on_us / 100.0,
            // Rounded, as results are: other digits do not survive the way through JSON.
            interval: ((on_us * 10.0 - 8.0).round() / 1e3, (on_us * 10.0 + 8.0).round() / 1e3),
            pairs: 10,
            pairs_left_out,
            latency_on_us: on_us * 4.0,
            latency_off_us: 400.0,
            latency: Some((on_us / 100.0, (0.98, 1.07))),
            traced_share: 0.2,
        }
    }

    #[test]
    fn a_row_a_cell_and_the_mean() {
        let cells = vec![
            cell(Protocol::Rest, 10, 101.2, 0),
            cell(Protocol::Grpc, 10, 102.4, 1),
            cell(Protocol::Rest, 100_000, 100.3, 0),
            cell(Protocol::Grpc, 100_000, 100.1, 0),
        ];
        let measured = Costs {
            schema: COSTS_SCHEMA,
            command: "run-lab certify".to_owned(),
            incomplete: true,
            environment: Environment::default(),
            mean: MeanCost::of(&cells),
            cells,
            not_measured: vec![NotMeasured {
                cell: "rest-1MB".to_owned(),
                reason: "pair 1 of 10: of 100 requests 7 were dropped".to_owned(),
            }],
        };
        expect![[r#"
            What measuring costs: CPU of gateway and echo per request, probes on over off

              payload       asked/s        on       off   ratio  95 % interval    traced  pairs  latency, on over off
                 10 B REST    1,000    101 µs    100 µs  1.012×  [1.004, 1.020]     20 %     10  1.012× [0.980, 1.070] (405 µs, 400 µs)
                 10 B gRPC    1,000    102 µs    100 µs  1.024×  [1.016, 1.032]     20 %     10  1.024× [0.980, 1.070] (410 µs, 400 µs) (1 left out)
               100 kB REST    1,000    100 µs    100 µs  1.003×  [0.995, 1.011]     20 %     10  1.003× [0.980, 1.070] (401 µs, 400 µs)
               100 kB gRPC    1,000    100 µs    100 µs  1.001×  [0.993, 1.009]     20 %     10  1.001× [0.980, 1.070] (400 µs, 400 µs)
                  rest-1MB  not measured: pair 1 of 10: of 100 requests 7 were dropped

            mean of all cells: 1.010×, 95 % interval [1.006, 1.014]
            stopped before the last cell
        "#]].assert_eq(&costs(&measured));
        let read: Costs = serde_json::from_str(&costs_json(&measured)).unwrap();
        assert_eq!(read, measured);
    }
}
