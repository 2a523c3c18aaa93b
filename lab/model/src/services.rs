//! The services that the lab starts: one entry each. Whoever needs a list of services reads this one.
//!
//! What a service does is its own folder's business; which program runs under its name is `run-lab`'s.

use ledger::Stage;

/// A service that the lab starts.
#[derive(Debug, PartialEq, Eq)]
pub struct Service {
    /// Its name: in spans and plans, as a command of `run-lab`, and as its callers' `--peer` has it.
    pub name: &'static str,
    /// The services that call it. Nobody's service is the entry: load generators ask it.
    pub callers: &'static [&'static str],
    /// Whether it asks PostgreSQL: where there is none, it is not started.
    pub database: bool,
    /// Whether it is started only where requests reach it.
    pub on_demand: bool,
}

/// Every service.
pub const SERVICES: &[Service] = &[
    Service { name: "gateway", callers: &[], database: false, on_demand: false },
    Service { name: "echo", callers: &["gateway"], database: false, on_demand: false },
    Service { name: "pg-client", callers: &["gateway"], database: true, on_demand: true },
];

/// Name of the built-in load generator, as the process in whose stages delays can be injected.
pub const DRIVER: &str = "driver";

/// Of the stages that delays can be injected into, those that a caller passes. The others are passed by whoever answers.
const CALLERS: [Stage; 4] =
    [Stage::SendQueue, Stage::RequestEncode, Stage::ReplyDecode, Stage::WakeUp];

impl Service {
    /// The service called `name`.
    #[must_use]
    pub fn named(name: &str) -> Option<&'static Service> {
        SERVICES.iter().find(|service| service.name == name)
    }

    /// The names of all services.
    #[must_use]
    pub fn names() -> Vec<&'static str> {
        SERVICES.iter().map(|service| service.name).collect()
    }

    /// The one that load generators ask.
    #[must_use]
    pub fn entry() -> &'static Service {
        // The test of the table holds that there is one.
        SERVICES.iter().find(|service| service.callers.is_empty()).unwrap_or(&SERVICES[0])
    }

    /// The services to start for requests that reach `reached`, each before its callers. Those that
    /// ask a database are left out where there is none.
    #[must_use]
    pub fn started(reached: &[&Service], database: bool) -> Vec<&'static Service> {
        let mut started: Vec<_> = SERVICES
            .iter()
            .filter(|service| !service.on_demand || reached.contains(service))
            .filter(|service| !service.database || database)
            .collect();
        started.sort_by_key(|service| std::cmp::Reverse(service.depth()));
        started
    }

    /// Whether `self` calls `other`.
    #[must_use]
    pub fn calls(&self, other: &Service) -> bool {
        other.callers.contains(&self.name)
    }

    /// How environment variables with its settings begin.
    #[must_use]
    pub fn prefix(&self) -> String {
        format!("{}_", self.name.to_uppercase().replace('-', "_"))
    }

    /// How many calls lie between a load generator and it, at most.
    fn depth(&self) -> usize {
        let callers = SERVICES.iter().filter(|other| other.calls(self));
        callers.map(|caller| 1 + caller.depth()).max().unwrap_or(0)
    }

    fn calls_services(&self) -> bool {
        SERVICES.iter().any(|other| self.calls(other))
    }
}

/// Whether the process called `name`, a service or the load generator, passes `stage`, so that a delay can be
/// injected there.
///
/// # Errors
/// Why it does not, or that there is no such process.
pub fn passes(name: &str, stage: Stage) -> Result<(), String> {
    let callers = CALLERS.map(Stage::name).join(", ");
    let of_callers = CALLERS.contains(&stage);
    if name == DRIVER {
        let only = format!("the {DRIVER} only calls, and passes only {callers}");
        return if of_callers { Ok(()) } else { Err(only) };
    }
    let Some(service) = Service::named(name) else {
        let known = Service::names().join(", ");
        return Err(format!("no process is called {name:?}; there are {known}, {DRIVER}"));
    };
    if stage == Stage::QueryRoundTrip && !service.database {
        let asking = SERVICES.iter().filter(|service| service.database);
        let names: Vec<_> = asking.map(|service| service.name).collect();
        return Err(format!("{name} asks no database: {} does", names.join(", ")));
    }
    match (of_callers, service.calls_services(), service.database) {
        (true, false, false) => Err(format!("{name} only answers: {callers} are its caller's")),
        // A database's driver encodes what is asked of it; it is no part of the service.
        (true, false, true) if stage == Stage::RequestEncode => {
            Err(format!("its database's driver encodes what {name} asks"))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_has_one_entry_point_and_names_that_are_there() {
        assert_eq!(SERVICES.iter().filter(|service| service.callers.is_empty()).count(), 1);
        for service in SERVICES {
            let alike = SERVICES.iter().filter(|other| other.name == service.name);
            assert_eq!(alike.count(), 1, "{} is there twice", service.name);
            assert_ne!(service.name, DRIVER);
            for caller in service.callers {
                assert!(Service::named(caller).is_some(), "{caller} calls {}", service.name);
            }
        }
    }

    #[test]
    fn a_service_is_started_before_its_callers_and_only_where_it_is_asked() {
        let names = |reached: &[&'static str], database| {
            let reached: Vec<_> = reached.iter().filter_map(|name| Service::named(name)).collect();
            let started = Service::started(&reached, database);
            started.into_iter().map(|service| service.name).collect::<Vec<_>>()
        };
        assert_eq!(names(&[], true), ["echo", "gateway"]);
        assert_eq!(names(&["pg-client"], true), ["echo", "pg-client", "gateway"]);
        assert_eq!(names(&["pg-client"], false), ["echo", "gateway"]);
    }

    #[test]
    fn a_prefix_is_the_name_as_a_shell_writes_it() {
        assert_eq!(Service::named("pg-client").unwrap().prefix(), "PG_CLIENT_");
    }
}
