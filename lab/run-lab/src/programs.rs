//! The programs of the services, each a hidden subcommand under the name that the table of services has for it:
//! the lab starts itself again as each of them, so that one program is all there is to build and to install.

use std::fmt::Debug;

use clap::{ArgMatches, Args, Command, FromArgMatches, Subcommand};
use pg_client::PgClientCommand;
use probe::{Service, ServiceConfig};

/// All of them: one line each.
const PROGRAMS: &[Program] = &[
    Program::of::<gateway::GatewayConfig>(),
    Program::of::<echo::EchoService>(),
    Program {
        name: "pg-client",
        arguments: PgClientCommand::augment_args,
        read: |matches| Ok(Box::new(PgClientCommand::from_arg_matches(matches)?)),
    },
];

/// A program of a service.
struct Program {
    name: &'static str,
    arguments: fn(Command) -> Command,
    read: fn(&ArgMatches) -> Result<Box<dyn Run>, clap::Error>,
}

impl Program {
    /// That of a service which does nothing but serve.
    const fn of<S: Service + Debug + 'static>() -> Program {
        Program {
            name: S::NAME,
            arguments: ServiceConfig::<S>::augment_args,
            read: |matches| Ok(Box::new(Serve(ServiceConfig::<S>::from_arg_matches(matches)?))),
        }
    }
}

/// Settings that have been read, and what is run with them.
trait Run: Debug {
    fn run(self: Box<Self>) -> anyhow::Result<()>;
}

/// A service that does nothing but serve.
#[derive(Debug)]
struct Serve<S>(ServiceConfig<S>);

impl<S: Service + Debug> Run for Serve<S> {
    fn run(self: Box<Self>) -> anyhow::Result<()> {
        Ok(probe::run(self.0)?)
    }
}

impl Run for PgClientCommand {
    fn run(self: Box<Self>) -> anyhow::Result<()> {
        PgClientCommand::run(*self)
    }
}

/// A service to run, with its settings.
#[derive(Debug)]
pub(crate) struct ServiceCommand(Box<dyn Run>);

impl ServiceCommand {
    /// Runs it until it is asked to stop.
    pub(crate) fn run(self) -> anyhow::Result<()> {
        self.0.run()
    }
}

impl FromArgMatches for ServiceCommand {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let found = matches.subcommand().and_then(|(name, matches)| {
            PROGRAMS.iter().find(|program| program.name == name).map(|program| (program, matches))
        });
        let missing = || clap::Error::new(clap::error::ErrorKind::MissingSubcommand);
        let (program, matches) = found.ok_or_else(missing)?;
        (program.read)(matches).map(ServiceCommand)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = ServiceCommand::from_arg_matches(matches)?;
        Ok(())
    }
}

impl Subcommand for ServiceCommand {
    fn augment_subcommands(command: Command) -> Command {
        PROGRAMS.iter().fold(command, |command, program| {
            let about = format!("Run the {} service", program.name);
            command
                .subcommand((program.arguments)(Command::new(program.name)).about(about).hide(true))
        })
    }

    fn augment_subcommands_for_update(command: Command) -> Command {
        Self::augment_subcommands(command)
    }

    fn has_subcommand(name: &str) -> bool {
        PROGRAMS.iter().any(|program| program.name == name)
    }
}

#[cfg(test)]
mod tests {
    use lab_model::SERVICES;

    use super::*;

    #[test]
    fn every_service_of_the_table_has_a_program_and_no_other_has() {
        let programs: Vec<_> = PROGRAMS.iter().map(|program| program.name).collect();
        assert_eq!(programs, lab_model::Service::names());
    }

    #[test]
    fn the_settings_of_a_service_begin_with_its_prefix() {
        for service in SERVICES {
            let command = ServiceCommand::augment_subcommands(Command::new("run-lab"));
            let command = command.find_subcommand(service.name).unwrap();
            let listen = command.get_arguments().find(|argument| argument.get_id() == "listen");
            let variable = listen.unwrap().get_env().unwrap().to_string_lossy().into_owned();
            assert_eq!(variable, format!("{}LISTEN", service.prefix()));
        }
    }
}
