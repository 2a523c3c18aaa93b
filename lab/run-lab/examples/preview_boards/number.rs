//! Numbers in Grafana's units: three digits that count, and the largest unit that leaves a number above 1.

/// `value` with its unit.
pub(crate) fn shown(value: f64, unit: &str, decimals: Option<usize>) -> String {
    let (scaled, suffix) = scale(value, value.abs(), unit);
    format!("{}{suffix}", rounded(scaled, decimals))
}

/// `value` on an axis whose marks are `step` apart.
pub(crate) fn on_axis(value: f64, step: f64, unit: &str) -> String {
    let (scaled, suffix) = scale(value, value.abs(), unit);
    if value == 0.0 {
        return format!("0{suffix}");
    }
    let (step, _) = scale(step, value.abs(), unit);
    let exact = |decimals: &usize| {
        let shifted = step * 10_f64.powi(i32::try_from(*decimals).unwrap_or(0));
        (shifted - shifted.round()).abs() < 1e-6 * shifted.abs().max(1.0)
    };
    let decimals = (0..=4).find(exact).unwrap_or(4);
    format!("{scaled:.decimals$}{suffix}")
}

/// How much the unit holds that fits `size`: bytes are counted in powers of two, all else in tens.
pub(crate) fn size_of_unit(size: f64, unit: &str) -> f64 {
    let powers = [1_073_741_824.0, 1_048_576.0, 1_024.0];
    let fits = powers.into_iter().find(|least| unit == "bytes" && size >= *least);
    fits.unwrap_or(1.0)
}

/// `value` in the unit that fits `size`, and what stands behind it.
fn scale(value: f64, size: f64, unit: &str) -> (f64, String) {
    let among = |units: &[(f64, &str)]| {
        let fits = units.iter().rev().find(|(least, _)| size >= *least);
        let (least, name) = *fits.unwrap_or(&units[0]);
        let least = if fits.is_some() { least } else { 1.0 };
        (value / least, name.to_owned())
    };
    match unit {
        "µs" => among(&[(1.0, " µs"), (1e3, " ms"), (1e6, " s"), (6e7, " min")]),
        "bytes" => among(&[
            (1.0, " B"),
            (1024.0, " KiB"),
            (1_048_576.0, " MiB"),
            (1_073_741_824.0, " GiB"),
        ]),
        "decbytes" => among(&[(1.0, " B"), (1e3, " kB"), (1e6, " MB"), (1e9, " GB")]),
        "reqps" => among(&[(1.0, " req/s"), (1e3, "K req/s"), (1e6, "M req/s")]),
        "ops" => among(&[(1.0, " ops/s"), (1e3, "K ops/s"), (1e6, "M ops/s")]),
        "percentunit" => (value * 100.0, "%".to_owned()),
        other => (value, other.strip_prefix("suffix:").unwrap_or_default().to_owned()),
    }
}

fn rounded(value: f64, decimals: Option<usize>) -> String {
    if let Some(decimals) = decimals {
        return format!("{value:.decimals$}");
    }
    if value == 0.0 || (value.fract() == 0.0 && value.abs() < 1e15) {
        return format!("{value:.0}");
    }
    let before = value.abs().log10().floor();
    let decimals = (2.0 - before).clamp(0.0, 8.0) as usize;
    format!("{value:.decimals$}")
}
