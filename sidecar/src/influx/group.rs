//! What cells are listed under on boards: their payload, as people write it.

use ledger::names;
use settings::Size;

/// The group of cells with this payload; that of cells without one comes last.
///
/// It is one text because a board has to make of it what is shown, what is asked for, and the order: `02 10 B = 10` has
/// the number of digits first, so that texts in alphabetical order are payloads in order of size.
///
/// ```
/// assert_eq!(sidecar::group(Some(100_000)), "06 100 kB = 100000");
/// assert_eq!(sidecar::group(None), "~ no payload = none");
/// ```
#[must_use]
pub fn group(payload: Option<u64>) -> String {
    let Some(bytes) = payload else { return format!("~ no payload = {}", names::NO_CELL) };
    let digits = bytes.checked_ilog10().unwrap_or(0) + 1;
    let size = Size(bytes).to_string();
    let unit = size.find(|c: char| !c.is_ascii_digit()).unwrap_or(size.len());
    let (number, unit) = size.split_at(unit);
    format!("{digits:02} {number} {unit} = {bytes}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_in_alphabetical_order_are_payloads_in_order_of_size() {
        let sizes = [0, 9, 10, 999, 1_000, 65_536, 100_000, 1_000_000, 1 << 20, 16 << 20];
        let groups: Vec<String> = sizes.into_iter().map(Some).chain([None]).map(group).collect();
        assert!(groups.is_sorted(), "{groups:?}");
        assert_eq!(groups[5], "05 64 KiB = 65536");
    }
}
