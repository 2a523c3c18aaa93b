//! `run-lab`: everything is in the library, so that tests reach it.

use std::process::ExitCode;

fn main() -> ExitCode {
    run_lab::cli::main()
}
