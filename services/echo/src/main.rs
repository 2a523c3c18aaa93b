//! The echo service as a process of its own.

fn main() -> std::process::ExitCode {
    probe::main::<echo::EchoService>()
}
