//! The gateway service as a process of its own.

fn main() -> std::process::ExitCode {
    probe::main::<gateway::GatewayConfig>()
}
