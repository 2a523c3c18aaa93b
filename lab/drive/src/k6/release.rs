//! Which line of k6 is called: what each is to be told on the command line.

/// A line of k6's releases, by what differs between them for the lab.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Line {
    /// Its REST API listens on port 6565 unless it is told otherwise.
    One,
    /// Its REST API starts only if an address is given.
    Two,
}

/// The k6 that is called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Release {
    line: Line,
    unknown: Option<String>,
}

impl Release {
    /// The release that says its version is `version`, such as `v2.2.0`. One that is not known is called as the
    /// newest that is.
    #[must_use]
    pub fn of(version: &str) -> Release {
        let number = version.trim_start_matches('v').split('.').next().unwrap_or_default();
        let known = |line| Release { line, unknown: None };
        let called = |line: Line, as_what: &str| Release {
            line,
            unknown: Some(format!(
                "its version is {}, and the lab knows 1.x and 2.x: it is called as {as_what}",
                if version.is_empty() { "not told" } else { version }
            )),
        };
        match number.parse() {
            Ok(0) => called(Line::One, "1.x"),
            Ok(1) => known(Line::One),
            Ok(2) => known(Line::Two),
            Ok(3_u32..) | Err(_) => called(Line::Two, "2.x"),
        }
    }

    /// What to tell those who read of the run if it is a release that the lab does not know.
    #[must_use]
    pub fn warning(&self) -> Option<&str> {
        self.unknown.as_deref()
    }

    /// What this release alone is told on the command line.
    #[must_use]
    pub fn arguments(&self) -> &'static [&'static str] {
        match self.line {
            // Any port: two at a time would want the same one.
            Line::One => &["--address", "127.0.0.1:0"],
            Line::Two => &[],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_of_the_rest_api_is_given_to_1_x_only() {
        for (version, given) in [
            ("v1.8.1", true),
            ("1.0.0-rc1", true),
            ("v0.57.0", true),
            ("v2.2.0", false),
            ("2.10.0", false),
            ("v3.0.0", false),
            ("of an unknown version", false),
            ("", false),
        ] {
            assert_eq!(Release::of(version).arguments().contains(&"--address"), given, "{version}");
        }
    }

    #[test]
    fn a_release_that_is_not_known_is_called_as_the_newest_and_said_to_be() {
        for version in ["v1.8.1", "v2.2.0", "v2.99.0-rc1"] {
            assert_eq!(Release::of(version).warning(), None);
        }
        for (version, says) in [
            ("v3.0.0", "its version is v3.0.0, and the lab knows 1.x and 2.x: it is called as 2.x"),
            ("v0.57.0", "called as 1.x"),
            ("", "its version is not told"),
            ("of an unknown version", "its version is of an unknown version"),
        ] {
            let release = Release::of(version);
            assert!(release.warning().is_some_and(|text| text.contains(says)), "{release:?}");
        }
    }
}
