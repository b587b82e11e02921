//! Hides secret values in what steps print.

use std::borrow::Cow;
use std::fmt;

use super::env::Env;
use super::secret::url_passwords;

/// What stands in a secret's place.
pub(super) const STARS: &str = "***";
/// Values found by the *name* of their variable must be this long: masking `no` would make a log unreadable.
const SHORTEST: usize = 6;
/// Endings of the parts of a variable's name that make its value secret.
const WORDS: &[&str] = &["PASS", "PASSWORD", "PASSWD", "PASSPHRASE", "SECRET", "TOKEN", "KEY", "CREDENTIAL", "DSN"];
/// Endings of names whose values are places, not secrets.
const PLACES: &[&str] = &["_FILE", "_PATH", "_DIR"];

/// The secrets we know of. `Debug` shows how many, not which.
#[derive(Clone, Default)]
pub struct Mask {
    /// Longest first; none is empty, none occurs twice.
    needles: Vec<String>,
}

impl Mask {
    /// A mask that hides nothing yet.
    pub fn new() -> Mask {
        Mask::default()
    }

    /// Hides the value of a secret setting, whatever its length.
    pub fn add_secret(&mut self, value: &str) {
        self.add(value, 1);
    }

    /// Hides what is secret in a variable: all of it if its name says so, and in any case the passwords of its URLs.
    /// Values shorter than 6 characters are left alone.
    pub fn add_variable(&mut self, name: &str, value: &str) {
        if names_secret(name) {
            self.add(value, SHORTEST);
            // Step output is masked line by line, so a key of many lines is hidden line by line, too.
            value.lines().for_each(|line| self.add(line.trim(), SHORTEST));
        }
        url_passwords(value).for_each(|password| self.add(password, SHORTEST));
    }

    /// Hides what is secret in an environment.
    pub fn add_env(&mut self, env: &Env) {
        for (name, value) in env.iter() {
            if let Some(value) = value.to_str() {
                self.add_variable(name, value);
            }
        }
    }

    /// `text` with every secret replaced by `***`. Borrowed if there is none.
    pub fn mask<'a>(&self, text: &'a str) -> Cow<'a, str> {
        let mut masked: Option<String> = None;
        let mut copied = 0;
        for (start, end) in self.covered(text) {
            let masked = masked.get_or_insert_with(String::new);
            masked.push_str(&text[copied..start]);
            masked.push_str(STARS);
            copied = end;
        }
        match masked {
            Some(masked) => Cow::Owned(masked + &text[copied..]),
            None => Cow::Borrowed(text),
        }
    }

    /// The value of a variable as it may be shown: nothing of it if the name says that it is secret, however short.
    pub fn mask_variable<'a>(&self, name: &str, value: &'a str) -> Cow<'a, str> {
        if names_secret(name) { Cow::Borrowed(STARS) } else { self.mask(value) }
    }

    /// The stretches of `text` that are secret. Secrets that overlap make one stretch, so no tail of one is shown.
    fn covered(&self, text: &str) -> Vec<(usize, usize)> {
        let mut stretches: Vec<(usize, usize)> = Vec::new();
        for (at, first) in text.char_indices() {
            let found = self.needles.iter().find(|needle| needle.starts_with(first) && text[at..].starts_with(*needle));
            let Some(needle) = found else { continue };
            let end = at + needle.len();
            match stretches.last_mut() {
                Some(last) if at < last.1 => last.1 = last.1.max(end),
                _ => stretches.push((at, end)),
            }
        }
        stretches
    }

    /// The value as it is, as it is written in a URL, and as a URL's part reads; and as programs write it in quotes.
    fn add(&mut self, value: &str, shortest: usize) {
        let decoded = percent_decoded(value).unwrap_or_default();
        // What counts is how long the secret is, not its escapes.
        let long = [value, &decoded].into_iter().filter(|text| text.chars().count() >= shortest);
        let mut forms: Vec<String> = long.flat_map(escaped_forms).collect();
        forms.extend([
            value.to_owned(),
            percent_encoded(value, u8::to_ascii_uppercase),
            percent_encoded(value, u8::to_ascii_lowercase),
            decoded,
        ]);
        for form in forms {
            if form.chars().count() >= shortest && !self.needles.contains(&form) {
                self.needles.push(form);
            }
        }
        self.needles.sort_by_key(|needle| std::cmp::Reverse(needle.len()));
    }
}

impl fmt::Debug for Mask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Mask({} values)", self.needles.len())
    }
}

/// Whether a variable of that name holds a secret.
pub(super) fn names_secret(name: &str) -> bool {
    let name = name.to_ascii_uppercase();
    if PLACES.iter().any(|place| name.ends_with(place)) {
        return false;
    }
    let is_secret =
        |part: &str| WORDS.iter().any(|word| part.ends_with(word) || part.trim_end_matches('S').ends_with(word));
    name.split(|character: char| !character.is_ascii_alphanumeric()).any(is_secret)
}

fn percent_encoded(value: &str, case: fn(&u8) -> u8) -> String {
    let mut encoded = String::new();
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push('%');
            encoded.extend(format!("{byte:02x}").bytes().map(|digit| char::from(case(&digit))));
        }
    }
    encoded
}

/// As it stands within the quotes of Python's `repr` and of JSON. Plain text is the same in all of them.
fn escaped_forms(text: &str) -> [String; 4] {
    [
        escaped(text, |character| in_python(character, false)),
        // Whether an apostrophe is escaped depends on what else stands within the quotes.
        escaped(text, |character| in_python(character, true)),
        escaped(text, |character| in_json(character, false)),
        escaped(text, |character| in_json(character, true)),
    ]
}

fn escaped(text: &str, escape: impl Fn(char) -> Option<String>) -> String {
    text.chars().map(|character| escape(character).unwrap_or_else(|| character.to_string())).collect()
}

/// A character that does not stand for itself.
fn in_python(character: char, apostrophe: bool) -> Option<String> {
    match character {
        '\'' if apostrophe => Some("\\'".to_owned()),
        '\\' | '\n' | '\r' | '\t' => Some(character.escape_default().to_string()),
        _ if character.is_control() => Some(format!("\\x{:02x}", u32::from(character))),
        _ => None,
    }
}

/// The same, `ascii`: with nothing but ASCII, as Python's `json` writes it.
fn in_json(character: char, ascii: bool) -> Option<String> {
    match character {
        '"' | '\\' | '\n' | '\r' | '\t' => Some(character.escape_default().to_string()),
        '\u{8}' => Some("\\b".to_owned()),
        '\u{c}' => Some("\\f".to_owned()),
        _ if character < ' ' || ascii && character > '~' => {
            let units =
                character.encode_utf16(&mut [0; 2]).iter().map(|unit| format!("\\u{unit:04x}")).collect::<Vec<_>>();
            Some(units.concat())
        }
        _ => None,
    }
}

/// `text` with `%41` read as `A`. `None` if that is no text.
pub(crate) fn percent_decoded(text: &str) -> Option<String> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let digits = tail.get(..2).filter(|digits| *first == b'%' && digits.iter().all(u8::is_ascii_hexdigit));
        let byte = digits.and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok());
        decoded.push(byte.unwrap_or(*first));
        rest = if byte.is_some() { &tail[2..] } else { tail };
    }
    String::from_utf8(decoded).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mask_of(variables: &[(&str, &str)]) -> Mask {
        let mut mask = Mask::new();
        mask.add_env(&variables.iter().copied().collect());
        mask
    }

    #[test]
    fn names_that_make_a_value_secret() {
        for name in [
            "DB_PASSWORD",
            "REDIS_PASS",
            "mysql_pwd_token",
            "SECRET_KEY_BASE",
            "AWS_CREDENTIALS",
            "APIKEY",
            "SENTRY_DSN",
        ] {
            assert!(names_secret(name), "{name}");
        }
        for name in ["DB_PASSWORD_FILE", "TOKENIZERS_PARALLELISM", "KEYBOARD", "PATH", "HOME", "SECRETS_DIR"] {
            assert!(!names_secret(name), "{name}");
        }
    }

    #[test]
    fn secrets_are_replaced_the_longest_first() {
        let mask = mask_of(&[("A_TOKEN", "secret"), ("B_TOKEN", "secret-and-more"), ("USER", "somebody")]);
        assert_eq!(mask.mask("x secret-and-more y secret z"), "x *** y *** z");
        assert_eq!(mask.mask("somebody"), "somebody");
        assert!(matches!(mask.mask("nothing here"), Cow::Borrowed(_)));
        assert!(matches!(Mask::new().mask("x"), Cow::Borrowed(_)));
        assert_eq!(format!("{mask:?}"), "Mask(2 values)");
    }

    #[test]
    fn overlapping_secrets_leave_no_tail() {
        let mask = mask_of(&[("A_TOKEN", "abcdef"), ("B_TOKEN", "efghij")]);
        assert_eq!(mask.mask("-abcdefghij-"), "-***-");
        assert_eq!(mask.mask("abcdefabcdef"), "******");
    }

    #[test]
    fn percent_encoded_forms_are_hidden_too() {
        let mask = mask_of(&[("PASSWORD", "pä ss/wörd")]);
        assert_eq!(mask.mask("p%C3%A4%20ss%2Fw%C3%B6rd p%c3%a4%20ss%2fw%c3%b6rd pä ss/wörd"), "*** *** ***");
        let mask = mask_of(&[("DATABASE_URL", "mysql://root:p%40ssw0rd@db/x")]);
        assert_eq!(mask.mask("mysql://root:p%40ssw0rd@db p@ssw0rd root"), "mysql://root:***@db *** root");
    }

    /// Hidden in each of these texts, wholly.
    fn assert_hidden(secret: &str, shown: &[&str]) {
        let mask = mask_of(&[("DB_PASSWORD", secret)]);
        for shown in shown {
            assert_eq!(mask.mask(&format!("x={shown};")), "x=***;", "{shown}");
        }
    }

    #[test]
    fn forms_that_programs_write_in_quotes_are_hidden_too() {
        assert_hidden(r"c:\temp\", &[r"c:\temp\", r"c:\\temp\\"]);
        assert_hidden(r#"say "hi""#, &[r#"say "hi""#, r#"say \"hi\""#]);
        assert_hidden(r#"it's "it""#, &[r#"it's "it""#, r#"it\'s "it""#, r#"it's \"it\""#]);
        assert_hidden("it's it", &["it's it", r"it\'s it"]);
        assert_hidden(
            "tab\tbell\u{7}\u{8}\u{7f}",
            &[
                "tab\tbell\u{7}\u{8}\u{7f}",
                r"tab\tbell\x07\x08\x7f",
                "tab\\tbell\\u0007\\b\u{7f}",
                r"tab\tbell\u0007\b\u007f",
            ],
        );
        assert_hidden("first\nsecond", &[r"first\nsecond"]);
        assert_hidden(r"p\é€😀word", &[r"p\é€😀word", r"p\\é€😀word", r"p\\\u00e9\u20ac\ud83d\ude00word"]);
    }

    #[test]
    fn a_json_writer_and_the_mask_agree() {
        let secret: String = (1..0x100).chain([0x20ac, 0x1_f600]).filter_map(char::from_u32).collect();
        let mut mask = Mask::new();
        mask.add_secret(&secret);
        let line = serde_json::to_string(&secret).unwrap();
        assert_eq!(mask.mask(&line), r#""***""#);
    }

    #[test]
    fn a_password_in_a_url_is_hidden_as_it_reads_in_quotes() {
        let mask = mask_of(&[("DATABASE_URL", "mysql://root:p%22ss%5Cword@db/x")]);
        assert_eq!(mask.mask(r#"{"password": "p\"ss\\word"}"#), r#"{"password": "***"}"#);
    }

    #[test]
    fn plain_and_short_secrets_have_no_more_forms() {
        assert_eq!(format!("{:?}", mask_of(&[("A_TOKEN", "secret-and-more_1.2~3")])), "Mask(1 values)");
        assert_eq!(format!("{:?}", mask_of(&[("A_TOKEN", "a\\'b")])), "Mask(2 values)", "percent-encoded");
        assert_eq!(mask_of(&[("A_TOKEN", "a\\é'b")]).mask(r"a\\\u00e9'b a\é'b"), r"a\\\u00e9'b a\é'b");
    }

    #[test]
    fn short_values_count_only_when_they_are_settings() {
        let mut mask = mask_of(&[("A_TOKEN", "false"), ("DB_URL", "x://u:root@h")]);
        assert_eq!(mask.mask("false root"), "false root");
        mask.add_secret("x");
        mask.add_secret("");
        assert_eq!(mask.mask("axb"), "a***b");
    }

    #[test]
    fn keys_of_many_lines_are_hidden_line_by_line() {
        let mask = mask_of(&[("SSH_KEY", "first-line\nsecond-line\n\nend")]);
        assert_eq!(mask.mask("at second-line end"), "at *** end");
    }
}
