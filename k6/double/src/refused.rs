//! Why nothing is run, or how a run ends otherwise than well: k6's exit codes.

/// k6's exit codes, as its documents list them.
pub(crate) mod code {
    /// The command line is none that it knows.
    pub(crate) const USAGE: u8 = 255;
    pub(crate) const THRESHOLDS: u8 = 99;
    pub(crate) const CONFIGURATION: u8 = 104;
    pub(crate) const ABORTED: u8 = 105;
    pub(crate) const NO_API: u8 = 106;
    pub(crate) const SCRIPT: u8 = 107;
    /// The script ended the run itself.
    pub(crate) const SCRIPT_ABORTED: u8 = 108;
}

/// Why nothing is run: an exit code, and the words for the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refused {
    pub(crate) code: u8,
    pub(crate) text: String,
    pub(crate) hint: &'static str,
}

impl Refused {
    pub(crate) fn new(code: u8, text: impl Into<String>) -> Refused {
        Refused { code, text: text.into(), hint: "" }
    }
}
