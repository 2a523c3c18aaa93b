//! Real parts for tests: where they are on this machine, how one is started for a test of its own, and what becomes
//! of a test whose part is not here.
//!
//! A test file that needs real parts is built without the usual harness (`harness = false`) and lists its tests with
//! [`main!`], each group with the parts that it needs. Where one of them is missing the test is *ignored*, by name and
//! with the way to get the part, unless `LAB_REQUIRE_PARTS` names it: then it fails. Nothing here knows the lab.
//!
//! [`fuzz()`] is for what reads bytes of others.

mod case;
mod find;
mod fuzz;
mod influxdb;
mod part;
mod postgres;
mod process;

pub use case::{Case, run};
pub use find::{Found, NotAProgram};
pub use fuzz::fuzz;
pub use influxdb::{InfluxDb, Series};
pub use lab_supervise::Port;
pub use part::Part;
pub use postgres::Postgres;

/// The `main` of a test file whose tests need real parts.
///
/// Each test is an `async fn` without arguments, below `plain` any other function. One below `each` takes the [`Part`]
/// it is run with, and is called `NAME::PART`; what it needs beside is listed after `with`. A test that is not listed is
/// dead code, which the compiler tells.
///
/// ```no_run
/// async fn users_are_counted() {
///     let _postgres = test_parts::Postgres::start();
/// }
/// async fn points_arrive(influxdb: test_parts::Part) {
///     let _influxdb = test_parts::InfluxDb::start(influxdb).await;
/// }
/// test_parts::main! {
///     needs [Postgres] { users_are_counted }
///     each [Influxdb, Influxdb2] { points_arrive }
/// }
/// # fn main_of_the_example() { let _ = main(); }
/// ```
#[macro_export]
macro_rules! main {
    ($($how:ident $parts:tt { $($case:path),+ $(,)? })+) => {
        fn main() -> ::std::process::ExitCode {
            $crate::run([$($($crate::case!($how $parts $case)),+),+].concat())
        }
    };
}

/// What [`main!`] makes of one test.
#[doc(hidden)]
#[macro_export]
macro_rules! case {
    (needs [$($part:ident),*] $case:path) => {
        ::std::vec![$crate::Case::new(stringify!($case), &[$($crate::Part::$part),*], || $case())]
    };
    (plain [$($part:ident),*] $case:path) => {
        ::std::vec![$crate::Case::new(
            stringify!($case),
            &[$($crate::Part::$part),*],
            || async { $case() },
        )]
    };
    (each [$($part:ident),+] $case:path) => {
        $crate::case!(each [$($part),+] and [] $case)
    };
    (each [$($part:ident),+ with $($more:ident),+] $case:path) => {
        $crate::case!(each [$($part),+] and [$($more),+] $case)
    };
    (each [$($part:ident),+] and $more:tt $case:path) => {
        ::std::vec![$($crate::Case::new(
            &format!("{}::{}", stringify!($case), $crate::Part::$part.name()),
            $crate::case!(all $part $more),
            || $case($crate::Part::$part),
        )),+]
    };
    (all $part:ident [$($more:ident),*]) => { &[$crate::Part::$part, $($crate::Part::$more),*] };
}
