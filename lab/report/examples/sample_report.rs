//! Writes the reports of a run that never happened, to look at them: `cargo run --example
//! sample_report -- DIR [ROUNDS]`. Every number in them is drawn from a fixed sequence.

#[path = "../tests/fixture/mod.rs"]
#[expect(dead_code, reason = "tests use more of it")]
mod fixture;

fn main() -> anyhow::Result<()> {
    let dir = std::env::args().nth(1).unwrap_or_else(|| "sample-report".to_owned());
    std::fs::create_dir_all(&dir)?;
    let rounds = std::env::args().nth(2).and_then(|text| text.parse().ok()).unwrap_or(6);
    let result = fixture::sample_of(rounds).result();
    lab_report::write_all(dir.as_ref(), &result)?;
    println!("{}", lab_report::terminal(&result, 120, true));
    Ok(())
}
