//! Service settings as they are written in plans and on the command line, laid over each other.
//!
//! What the settings mean is `model::Knobs`' business; what a service does with them is its own. Here is what each
//! may look like: a value of any other form is refused by the name of its setting, never left out.

mod effect;
mod form;
mod inject;

use schemars::{Schema, SchemaGenerator, json_schema};
use toml::{Table, Value};

use effect::Needs;
pub use effect::without_effect;
pub use form::Form;
use inject::delays;
pub use inject::injection;

use settings::Span;

use crate::plan::MAX_PAYLOAD;
use crate::{Knobs, Service};

/// A setting of the services.
#[derive(Debug, Clone, Copy)]
pub struct Knob {
    /// Its name.
    pub name: &'static str,
    /// What its value looks like.
    pub form: Form,
    /// Whose command line has it, as an option of the same name.
    pub option_of: Programs,
    /// What a cell must ask for, if it is to have an effect.
    needs: Needs,
}

/// Programs that have a setting as an option.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Programs {
    /// Every service.
    Services,
    /// This service.
    Service(&'static str),
    /// None: it is told otherwise.
    None,
}

impl Programs {
    /// Whether `service` is one of them.
    #[must_use]
    pub fn include(self, service: &Service) -> bool {
        match self {
            Programs::Services => true,
            Programs::Service(name) => name == service.name,
            Programs::None => false,
        }
    }
}

/// Largest HTTP/2 window (RFC 9113, 6.9.1), in bytes.
const MAX_WINDOW: u64 = (1 << 31) - 1;

/// The longest distance: what a relay takes.
const FARTHEST: Span = Span::seconds(60);

/// Every setting. Limits: a connection window begins with 65,535 bytes and only grows (RFC 9113, 6.9.2); frames are
/// 16 KiB to 16 MiB (6.5.2); a users table has each common e-mail's worth of rows at least, and at most what a disk
/// takes in minutes; PostgreSQL takes 100 connections unless it is told otherwise.
pub const KNOBS: [Knob; 15] = [
    knob("stream_window", Form::Bytes(1, MAX_WINDOW), Programs::Services, Needs::Http2),
    knob("connection_window", Form::Bytes(65_535, MAX_WINDOW), Programs::Services, Needs::Http2),
    knob("frame_size", Form::Bytes(16_384, 16_777_215), Programs::Services, Needs::Http2),
    knob("connection_per_request", Form::Flag, Programs::Service("gateway"), Needs::Nothing),
    knob("nagle", Form::Flag, Programs::Services, Needs::Nothing),
    knob("rtt", Form::Duration(FARTHEST), Programs::None, Needs::Inner),
    knob("bandwidth", Form::Bandwidth, Programs::None, Needs::Inner),
    knob(
        "payload_source",
        Form::Word(&["pool", "per_request"]),
        Programs::Service("gateway"),
        Needs::Payload("echo"),
    ),
    knob("worker_threads", Form::Number(1, 1_024), Programs::Services, Needs::Nothing),
    knob(
        "rest_size_bug",
        Form::Bytes(0, MAX_PAYLOAD),
        Programs::Service("gateway"),
        Needs::RestPayload("echo"),
    ),
    knob("inject", Form::Delays, Programs::None, Needs::Nothing),
    knob("probes_off", Form::Flag, Programs::None, Needs::Nothing),
    knob("users", Form::Number(1_000, 100_000_000), Programs::None, Needs::Database),
    knob("unindexed", Form::Flag, Programs::None, Needs::Database),
    knob("pool_size", Form::Number(1, 90), Programs::Service("pg-client"), Needs::Database),
];

const fn knob(name: &'static str, form: Form, option_of: Programs, needs: Needs) -> Knob {
    Knob { name, form, option_of, needs }
}

/// Why a setting is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KnobError {
    /// Not `KNOB=VALUE`.
    #[error("{0:?} is not a setting: write KNOB=VALUE, such as stream_window=64KiB")]
    NoAssignment(String),
    /// No such setting.
    #[error("no setting is called {0:?}; there are {known}", known = names())]
    Unknown(String),
    /// A value of another form.
    #[error("{knob} = {value}: write {form}")]
    Form {
        /// The setting.
        knob: String,
        /// What was written, as TOML has it.
        value: String,
        /// What can be written.
        form: String,
    },
    /// Out of range.
    #[error("{knob} = {value} is outside its limits, {low} to {high}")]
    Limit {
        /// The setting.
        knob: &'static str,
        /// What was asked for.
        value: u64,
        /// Smallest value.
        low: u64,
        /// Largest value.
        high: u64,
    },
    /// A delay that cannot be injected.
    #[error("cannot inject {0:?}: {1}")]
    Inject(String, String),
    /// Nothing that runs would read it.
    #[error("{knob} would have no effect: {why}")]
    Unread {
        /// The setting.
        knob: String,
        /// Why not.
        why: &'static str,
    },
}

fn names() -> String {
    KNOBS.map(|knob| knob.name).join(", ")
}

/// Reads `KNOB=VALUE`; the value is TOML, or a bare word.
///
/// # Errors
/// If there is no `=`.
pub fn assignment(text: &str) -> Result<(String, Value), KnobError> {
    let (knob, value) =
        text.split_once('=').ok_or_else(|| KnobError::NoAssignment(text.to_owned()))?;
    // More lines would be more settings, which nobody would read.
    let one_line = Some(value).filter(|value| !value.contains(['\n', '\r']));
    let parsed = one_line
        .and_then(|value| toml::from_str::<Table>(&format!("value = {value}")).ok())
        .and_then(|mut table| table.remove("value"))
        .unwrap_or_else(|| Value::String(value.trim().to_owned()));
    Ok((knob.trim().to_owned(), parsed))
}

/// The settings in `knobs` that are not as by default, as a table spells them.
#[must_use]
pub fn written(knobs: &Knobs) -> Table {
    // Settings are numbers, words and flags, which TOML can write.
    let table = |knobs: &Knobs| Table::try_from(knobs).unwrap_or_default();
    let default = table(&Knobs::default());
    table(knobs).into_iter().filter(|(name, value)| default.get(name) != Some(value)).collect()
}

/// Settings whose forms have been looked at, each in one spelling.
#[derive(Debug, Clone, Default)]
pub(super) struct Settings(Table);

impl Settings {
    /// # Errors
    /// If a setting is unknown, has a value of another form, or is outside its limits.
    pub(super) fn read(table: &Table) -> Result<Settings, KnobError> {
        let mut settings = Table::new();
        for (name, value) in table {
            let knob = KNOBS.iter().find(|knob| knob.name == name);
            let knob = knob.ok_or_else(|| KnobError::Unknown(name.clone()))?;
            let value = match (knob.form, value) {
                (Form::Delays, Value::Table(written)) => Value::Table(delays(written)?),
                (form, value) => form.read(knob.name, value)?,
            };
            settings.insert(name.clone(), value);
        }
        Ok(Settings(settings))
    }

    /// With those of `over` laid over them; delays are laid over place by place.
    pub(super) fn under(mut self, over: Settings) -> Settings {
        for (name, value) in over.0 {
            match (self.0.get_mut(&name), value) {
                (Some(Value::Table(old)), Value::Table(new)) => old.extend(new),
                (_, value) => {
                    self.0.insert(name, value);
                }
            }
        }
        self
    }

    /// What they say; what they leave out is as the services have it by default.
    pub(super) fn knobs(self) -> Result<Knobs, KnobError> {
        let unknown = |error: toml::de::Error| KnobError::Unknown(error.message().to_owned());
        Value::Table(self.0).try_into().map_err(unknown)
    }
}

/// The settings that a table spells out; what it leaves out is as the services have it by default.
///
/// # Errors
/// If a setting is unknown, has a value of another form, or is outside its limits.
pub fn read(table: &Table) -> Result<Knobs, KnobError> {
    Settings::read(table)?.knobs()
}

/// The schema of a table of settings: what each is for is said where a cell has it, how it is written here.
pub(super) fn schema() -> Schema {
    let said = SchemaGenerator::default().into_root_schema_for::<Knobs>();
    let about =
        |name: &str| said.get("properties").and_then(|all| all.get(name)?.get("description"));
    let one = |knob: &Knob| {
        let mut schema = knob.form.schema();
        if let Some(about) = about(knob.name) {
            schema.insert("description".to_owned(), about.clone());
        }
        (knob.name.to_owned(), schema.to_value())
    };
    json_schema!({
        "type": "object",
        "description": "Settings of the services. One that no cell would read is refused.",
        "properties": KNOBS.iter().map(one).collect::<serde_json::Map<_, _>>(),
        "additionalProperties": false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::PayloadSource;

    fn set(settings: &[&str]) -> Result<Knobs, KnobError> {
        read(&settings.iter().map(|text| assignment(text).unwrap()).collect())
    }

    #[test]
    fn settings_are_read_as_toml_or_bare_words() {
        let knobs = set(&[
            "stream_window=64KiB",
            "nagle=true",
            "payload_source=per_request",
            "worker_threads=1",
            "inject={ \"echo:handler\" = \"5ms\" }",
        ]);
        let expected = Knobs {
            stream_window: Some(65_536),
            nagle: true,
            payload_source: PayloadSource::PerRequest,
            worker_threads: Some(1),
            inject: [("echo:handler".to_owned(), 5_000_000)].into(),
            ..Knobs::default()
        };
        assert_eq!(knobs, Ok(expected));
    }

    #[test]
    fn the_services_that_settings_are_of_or_for_are_there() {
        for knob in KNOBS {
            let of = match knob.option_of {
                Programs::Service(name) => Some(name),
                Programs::Services | Programs::None => None,
            };
            let needed = match knob.needs {
                Needs::Payload(name) | Needs::RestPayload(name) => Some(name),
                Needs::Nothing | Needs::Http2 | Needs::Inner | Needs::Database => None,
            };
            for name in of.into_iter().chain(needed) {
                assert!(Service::named(name).is_some(), "{}: {name}", knob.name);
            }
        }
    }

    #[test]
    fn an_unknown_setting_is_answered_with_the_known_ones() {
        for setting in ["windows=1", "inject.handler=50ms", "=1"] {
            let error = set(&[setting]).unwrap_err().to_string();
            let name = setting.split('=').next().unwrap();
            assert!(
                error.contains(&format!("{name:?}")) && error.contains("stream_window"),
                "{error}"
            );
        }
    }

    #[test]
    fn limits_are_named() {
        let error = set(&["frame_size=1"]).unwrap_err().to_string();
        assert_eq!(error, "frame_size = 1 is outside its limits, 16384 to 16777215");
    }

    #[test]
    fn what_is_no_table_of_delays_is_refused_with_the_ways_to_write_one() {
        for (setting, value) in [
            ("inject=handler=50ms", "\"handler=50ms\""),
            ("inject=[\"echo:handler=500ms\"]", "[\"echo:handler=500ms\"]"),
            ("inject=5", "5"),
            ("nagle=true\nprobes_off = true", "\"true\\nprobes_off = true\""),
        ] {
            let error = set(&[setting]).unwrap_err().to_string();
            let name = setting.split('=').next().unwrap();
            assert!(error.starts_with(name) && error.contains("write "), "{error}");
            assert!(error.contains(value) || name == "nagle", "{error}");
        }
    }

    #[test]
    fn later_settings_are_laid_over_earlier_ones_however_they_are_spelled() {
        let read = |text: &str| Settings::read(&toml::from_str(text).unwrap()).unwrap();
        let under = read("nagle = true\n[inject]\nhandler = \"1ms\"\nreply-encode = \"3ms\"");
        let over = read("nagle = false\n[inject]\n\"gateway:handler\" = \"2ms\"");
        let knobs = under.under(over).knobs().unwrap();
        assert!(!knobs.nagle);
        let expected = [("gateway:handler", 2_000_000), ("gateway:reply_encode", 3_000_000)];
        assert_eq!(knobs.inject, expected.map(|(place, ns)| (place.to_owned(), ns)).into());
    }
}
