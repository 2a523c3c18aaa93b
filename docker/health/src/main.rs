//! `health URL`: exit code 0 if the service there answers 200, and 1 with the reason if not.

use std::process::ExitCode;

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let (Some(url), None) = (arguments.next(), arguments.next()) else {
        eprintln!("usage: health http://HOST:PORT/PATH");
        return ExitCode::from(2);
    };
    match health::ask(&url) {
        Ok(body) => {
            println!("{body}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
