//! Line protocol: whatever the words are, what is written can be read, by us and by InfluxDB's rules.

use proptest::prelude::*;

use crate::influx::line::{Lines, clean, printable};
use crate::influx::parse::{Value, check, point};

/// Words that are hard on line protocol.
fn word() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-z ,=\\\\\"\n\r\t→é#']{0,12}",
        any::<String>(),
        Just("\\".to_owned()),
        Just("a\\".to_owned())
    ]
}

proptest! {
    #[test]
    fn any_words_come_back_from_one_line(
        measurement in "[a-zé→,= \\\\]{1,8}",
        tags in proptest::collection::vec(word(), 0..4),
        text in word(),
        int in any::<i64>(),
        float in any::<f64>(),
        at in 0..i64::MAX as u64,
    ) {
        let keys: Vec<_> = tags.iter().enumerate().map(|(n, key)| format!("{n}{key}")).collect();
        let pairs: Vec<_> =
            keys.iter().zip(&tags).map(|(key, value)| (key.as_str(), value.as_str())).collect();
        let mut lines = Lines::default();
        lines
            .point(&measurement, &pairs)
            .int("i", int)
            .float("f", float)
            .text("t", &text)
            .at(at);
        let written = lines.as_str().to_owned();
        prop_assert_eq!(written.matches('\n').count(), 1);
        let read = point(written.trim_end_matches('\n')).unwrap();
        prop_assert_eq!(read.measurement, clean(&measurement));
        let expected: Vec<_> =
            pairs.iter().map(|(key, value)| (clean(key).into(), clean(value).into())).collect();
        prop_assert_eq!(read.tags, expected);
        let mut fields = vec![("i".to_owned(), Value::Int(int))];
        if float.is_finite() {
            fields.push(("f".to_owned(), Value::Float(float)));
        }
        fields.push(("t".to_owned(), Value::Text(printable(&text).into())));
        prop_assert_eq!(read.fields, fields);
        prop_assert_eq!(read.at_ns, at as i64);
        // A first character of # would make it a comment.
        if !measurement.starts_with(['#', ' ']) {
            let now = 1_790_000_000_000_000_000_u64;
            let (line, _) = written.trim_end().rsplit_once(' ').unwrap();
            let dated = format!("{line} {now}\n");
            prop_assert_eq!(check(&dated), Ok((dated.clone().into_bytes(), 1)));
        }
    }

    #[test]
    fn no_text_makes_the_reader_panic(text in any::<String>()) {
        let _ = check(&text);
    }
}

#[test]
fn a_point_without_fields_or_without_an_end_is_not_written() {
    let mut lines = Lines::default();
    lines.point("a", &[]).int("x", 1).at(1);
    lines.point("b", &[("k", "v")]).float("x", f64::NAN).at(1);
    drop(lines.point("c", &[]).int("x", 1));
    assert_eq!((lines.as_str(), lines.points()), ("a x=1i 1\n", 1));
}

#[test]
fn a_line_that_is_no_point_is_named_with_the_reason() {
    let good = "load,run=r planned=1i 1790000000000000005";
    for (line, reason) in [
        ("load", "no fields"),
        (",a=b x=1 5", "no measurement"),
        ("load,a= x=1 5", "a tag without a value"),
        ("load,a x=1 5", "a name without ="),
        ("load,a=b=c x=1 5", "a tag with two values"),
        ("load,a=b,a=c x=1 5", "a tag given twice"),
        ("load,=b x=1 5", "a name is empty"),
        ("load x 5", "a name without ="),
        ("load x= 5", "a field without a value"),
        ("load x=1u 5", "a field is no number, text or boolean"),
        ("load x=nan 5", "a field is no number, text or boolean"),
        ("load x=1e999 5", "a field is no number, text or boolean"),
        ("load x=12345678901234567890i 5", "a field is no integer of 64 bits"),
        ("load x=\"a 5", "a text without its closing quote"),
        ("load x=\"a\"", "no timestamp"),
        ("load x=1", "no timestamp"),
        ("load x=1 soon", "its timestamp is no integer of nanoseconds"),
        ("load x=1 5 6", "its timestamp is no integer of nanoseconds"),
        ("load x=\u{1} 5", "a control character"),
        ("load x=1 1790000000000000", "its timestamp is in microseconds"),
        ("load x=1 1790000000000", "its timestamp is in milliseconds"),
        ("load x=1 1790000000", "its timestamp is in seconds"),
        ("load x=1 5", "its timestamp is of 1970 or earlier"),
        ("load x=1 -1790000000000000000", "its timestamp is of 1970 or earlier"),
    ] {
        let error = check(&format!("{good}\n\n{line}\n{good}")).unwrap_err().to_string();
        assert!(error.starts_with(&format!("line 3: {reason}")), "{line}: {error}");
    }
    let (text, points) = check(&format!("# why\n\n{good}\n  {good}")).unwrap();
    assert_eq!((String::from_utf8(text).unwrap(), points), (format!("{good}\n{good}\n"), 2));
}
