//! What came of the rounds, as a table.

use lab_contrast::{Level, Mean};

use crate::Round;
use crate::forwarder::Path;

/// Prints a row for each path.
pub(crate) fn print(paths: &[Path], rounds: &[Vec<Round>], connections: usize, bytes: usize) {
    let plural = if connections == 1 { "" } else { "s" };
    println!("{connections} connection{plural}, {bytes} B there and {bytes} B back\n");
    println!(
        "| path | p50, µs | added at p50, µs [95 %] | CPU per request, µs | beside socat [95 %] | of it the kernel's, µs | requests/s |"
    );
    println!("|---|---|---|---|---|---|---|");
    let of = |path: Path| paths.iter().position(|other| *other == path).map(|index| &rounds[index]);
    for (path, own) in paths.iter().zip(rounds) {
        let added = of(Path::Direct).filter(|_| *path != Path::Direct).and_then(|direct| {
            let both = own.iter().zip(direct);
            let more: Vec<f64> = both.map(|(own, direct)| p50_us(own) - p50_us(direct)).collect();
            Mean::of_alternating(&more)
        });
        let ratio = of(Path::Socat)
            .filter(|_| *path != Path::Direct && *path != Path::Socat)
            .and_then(|socat| {
                let both = own.iter().zip(socat);
                let ratios: Vec<f64> =
                    both.map(|(own, socat)| (cpu_us(own) / cpu_us(socat)).ln()).collect();
                Mean::of_alternating(&ratios)
            });
        let (cpu, kernel) = match path {
            Path::Direct => ("–".to_owned(), "–".to_owned()),
            _ => (shown(mean(own, cpu_us)), shown(mean(own, kernel_us))),
        };
        println!(
            "| {path} | {} | {} | {cpu} | {} | {kernel} | {:.0} |",
            shown(mean(own, p50_us)),
            interval(added, |value| value, 1),
            interval(ratio, f64::exp, 2),
            mean(own, |round| round.rate),
        );
    }
    println!();
}

fn interval(of: Option<Mean>, scale: fn(f64) -> f64, digits: usize) -> String {
    let Some(mean) = of else { return "–".to_owned() };
    let (low, high) = mean.interval(Level::ALONE);
    let [value, low, high] = [mean.value, low, high].map(scale);
    format!("{value:.digits$} [{low:.digits$}, {high:.digits$}]")
}

fn mean(rounds: &[Round], of: impl Fn(&Round) -> f64) -> f64 {
    rounds.iter().map(of).sum::<f64>() / rounds.len() as f64
}

fn shown(value: f64) -> String {
    format!("{value:.1}")
}

fn p50_us(round: &Round) -> f64 {
    round.p50_ns as f64 / 1e3
}

fn cpu_us(round: &Round) -> f64 {
    round.used.cpu_ns as f64 / 1e3 / round.requests as f64
}

fn kernel_us(round: &Round) -> f64 {
    round.used.kernel_ns as f64 / 1e3 / round.requests as f64
}
