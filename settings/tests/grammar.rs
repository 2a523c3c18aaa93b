//! One table says what durations and sizes look like. Scripts are held to it too (`k6/double/tests/grammar`).

use settings::{Size, Span};

#[test]
fn durations_and_sizes_are_read_or_refused_as_the_table_says() {
    let table: serde_json::Value = serde_json::from_str(include_str!("grammar.json")).unwrap();
    for row in table.as_array().unwrap() {
        let text = |key: &str| row[key].as_str();
        let (told, expected) = match (text("duration"), text("size")) {
            (Some(duration), None) => (read::<Span>(duration, |span| span.0), &row["ns"]),
            (None, Some(size)) => (read::<Size>(size, |size| size.0), &row["bytes"]),
            _ => panic!("neither duration nor size: {row}"),
        };
        let expected = expected.as_u64().ok_or_else(|| text("error").unwrap().to_owned());
        assert_eq!(told, expected, "{row}");
    }
}

#[test]
fn nothing_is_nothing() {
    for text in ["", " "] {
        assert!(text.parse::<Span>().is_err() && text.parse::<Size>().is_err());
    }
}

fn read<T: std::str::FromStr<Err: ToString>>(text: &str, of: fn(T) -> u64) -> Result<u64, String> {
    text.parse().map(of).map_err(|error: T::Err| error.to_string())
}
