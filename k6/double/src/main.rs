//! A program that answers as k6 does, for tests.

fn main() -> std::process::ExitCode {
    k6_double::main()
}
