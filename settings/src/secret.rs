//! Settings whose values may hold a password: where one is refused, it is not repeated.

use std::ffi::OsStr;
use std::fmt::Display;
use std::marker::PhantomData;
use std::str::FromStr;

use clap::builder::TypedValueParser;
use clap::error::ErrorKind;

/// Reads a `T` for clap, whose own words for a value that is refused would repeat it.
#[derive(Debug, Clone, Copy)]
pub struct SecretParser<T>(PhantomData<T>);

impl<T> SecretParser<T> {
    pub(crate) const fn new() -> SecretParser<T> {
        SecretParser(PhantomData)
    }
}

impl<T> TypedValueParser for SecretParser<T>
where
    T: FromStr<Err: Display> + Clone + Send + Sync + 'static,
{
    type Value = T;

    fn parse_ref(
        &self,
        command: &clap::Command,
        arg: Option<&clap::Arg>,
        value: &OsStr,
    ) -> Result<T, clap::Error> {
        value.to_string_lossy().parse().map_err(|error: T::Err| {
            let setting = arg.map(super::named).unwrap_or_default();
            let message = format!("invalid value for {setting}: {error}\n");
            clap::Error::raw(ErrorKind::ValueValidation, message).with_cmd(command)
        })
    }
}
