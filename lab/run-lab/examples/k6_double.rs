//! The double of k6 as a program that `cargo test` builds, for the tests of what is behind `--driver k6`.

fn main() -> std::process::ExitCode {
    k6_double::main()
}
