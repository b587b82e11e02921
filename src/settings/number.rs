//! Numbers and spans of time as people write them.

use std::time::Duration;

/// The longest span a setting may name: more than thirty years.
pub(super) const LONGEST_SECS: f64 = 1_000_000_000.0;

/// Seconds with decimals: `120`, `0.5`. No sign, no unit, no exponent.
///
/// # Errors
///
/// What is wrong, to follow the name of the setting.
pub fn seconds(text: &str) -> Result<Duration, String> {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    let number = text.parse::<f64>().ok().filter(|_| is_plain);
    let Some(number) = number else {
        return Err(format!("{text:?} is no number of seconds; write digits alone, such as 30 or 0.5"));
    };
    if number > LONGEST_SECS {
        return Err(format!("{text} s is too long; at most {LONGEST_SECS} s are allowed"));
    }
    Duration::try_from_secs_f64(number).map_err(|error| error.to_string())
}

/// A span of `least` to `most`.
pub(super) fn seconds_between(text: &str, least: Duration, most: Duration) -> Result<Duration, String> {
    let span = seconds(text)?;
    if (least..=most).contains(&span) {
        return Ok(span);
    }
    Err(format!("{text} s is out of range; {} to {} s are allowed", least.as_secs_f64(), most.as_secs_f64()))
}

/// The number of a TCP port. What was given is not shown: it may be a password in the wrong place.
///
/// # Errors
///
/// What is wrong, to follow the name of the setting.
pub fn port(text: &str) -> Result<u16, String> {
    let number = text.parse::<u16>().ok().filter(|_| text.bytes().all(|byte| byte.is_ascii_digit()));
    number.filter(|&number| number > 0).ok_or_else(|| "is no port; a number from 1 to 65535 is needed".to_owned())
}

/// A whole number from 1 up.
pub(super) fn count(text: &str) -> Result<u32, String> {
    let number =
        text.parse::<u32>().ok().filter(|&number| number > 0 && text.bytes().all(|byte| byte.is_ascii_digit()));
    number.ok_or_else(|| format!("{text:?} is no whole number from 1 to {}", u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_have_decimals_and_nothing_else() {
        for (text, millis) in [("120", 120_000), ("0.5", 500), (".25", 250), ("0", 0), ("1.", 1000)] {
            assert_eq!(seconds(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        for text in ["", ".", "30s", "-1", "+1", "1e3", "inf", "NaN", "1.2.3", " 1", "1_000", "1000000001"] {
            assert!(seconds(text).is_err(), "{text}");
        }
    }

    #[test]
    fn some_spans_are_bounded() {
        let bounded = |text| seconds_between(text, Duration::from_millis(500), Duration::from_secs(60));
        assert_eq!(bounded("0.5"), Ok(Duration::from_millis(500)));
        assert_eq!(bounded("60"), Ok(Duration::from_secs(60)));
        for text in ["0", "0.49", "60.01", "-1", "x"] {
            assert!(bounded(text).is_err(), "{text}");
        }
    }

    #[test]
    fn ports_are_from_1_to_65535() {
        assert_eq!((port("1"), port("65535"), port("06379")), (Ok(1), Ok(65535), Ok(6379)));
        for text in ["", "0", "65536", "+1", "-1", "http", "6379/0", " 1"] {
            assert!(port(text).is_err(), "{text}");
        }
    }

    #[test]
    fn counts_begin_at_one() {
        assert_eq!(count("3"), Ok(3));
        for text in ["0", "-1", "+1", "1.5", "", "x", "4294967296"] {
            assert!(count(text).is_err(), "{text}");
        }
    }
}
