//! What must not stand in a command line, because everybody on the machine can read it there.

use super::mask::STARS;
use super::problem::Problem;

/// Words that make the name of a flag a secret's.
const WORDS: &[&str] = &["pass", "secret", "token"];

/// Whether a flag of that name would hold a secret.
pub(super) fn is_secret_flag(flag: &str) -> bool {
    let flag = flag.to_ascii_lowercase();
    WORDS.iter().any(|word| flag.contains(word))
}

/// What ends a URL in the midst of a text.
const AFTER_URL: [char; 7] = ['#', '"', '\'', ' ', '\t', '\r', '\n'];

/// The passwords in all URLs in `text`, as they are written: `redis://user:HERE@host`, `unix:///path?pass=HERE`.
pub(crate) fn url_passwords(text: &str) -> impl Iterator<Item = &str> {
    let urls = text.match_indices("://").map(|(at, mark)| {
        let rest = &text[at + mark.len()..];
        &rest[..rest.find(AFTER_URL).unwrap_or(rest.len())]
    });
    urls.flat_map(|url| {
        let (place, query) = url.split_once('?').unwrap_or((url, ""));
        let authority = &place[..place.find('/').unwrap_or(place.len())];
        let of_user = authority.rsplit_once('@').and_then(|(user_info, _host)| user_info.split_once(':'));
        let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
        let of_query =
            pairs.filter(|(key, _)| key.eq_ignore_ascii_case("pass") || key.eq_ignore_ascii_case("password"));
        of_user.into_iter().chain(of_query).map(|(_, password)| password).filter(|password| !password.is_empty())
    })
}

/// `text` as it may be shown, with stars for the passwords in its URLs.
pub(super) fn without_passwords(text: &str) -> String {
    let (mut shown, mut copied) = (String::new(), 0);
    for password in url_passwords(text) {
        let at = password.as_ptr() as usize - text.as_ptr() as usize;
        // One URL may stand in another.
        if at >= copied {
            shown.push_str(&text[copied..at]);
            shown.push_str(STARS);
        }
        copied = copied.max(at + password.len());
    }
    shown + &text[copied..]
}

/// Refuses a password in a flag. `variable` is the setting's, if the flag has one. The value is never shown.
pub(super) fn refuse_flag(flag: &str, variable: Option<&str>) -> Problem {
    let file = match variable {
        Some(variable) => format!("{variable}_FILE"),
        None => format!("BELLWETHER_{}_FILE", flag.to_ascii_uppercase().replace('-', "_")),
    };
    let text = format!(
        "a password in a flag can be read by everybody on this machine; \
         write it to a file and set {file} to the file's path"
    );
    Problem::new(format!("--{flag}"), text)
}

/// Refuses a URL with a password as the value of a flag whose setting cannot come from a file.
pub(super) fn refuse_url(flag: &str) -> Problem {
    let text = "the URL holds a password, which everybody on this machine can read in a flag; remove it";
    Problem::new(format!("--{flag}"), text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_found_in_urls() {
        let table: &[(&str, &[&str])] = &[
            ("redis://:hunter2@db:6379/0", &["hunter2"]),
            ("mysql://root:a@b@db/x", &["a@b"]),
            ("redis://one,redis://u:p1@two", &["p1"]),
            ("x=amqp://u:p1@h/ y=http://v:p2@h?z", &["p1", "p2"]),
            ("unix:///run/redis.sock?db=1&pass=p1", &["p1"]),
            ("unix://h/?Password=p1 redis://:p2@h?pass=&x", &["p1", "p2"]),
            ("http://host:80/a:b@c", &[]),
            ("http://host?compass=north#pass=x", &[]),
            ("redis://user@host", &[]),
            ("redis://user:@host", &[]),
            ("a:b@c", &[]),
            ("://", &[]),
        ];
        for (text, expected) in table {
            assert_eq!(url_passwords(text).collect::<Vec<_>>(), *expected, "{text}");
        }
    }

    #[test]
    fn what_is_shown_has_stars_for_them() {
        for (text, shown) in [
            ("no URL", "no URL"),
            ("\"redis://u:p@h/1\" here", "\"redis://u:***@h/1\" here"),
            ("a://:p1@h unix:///s?pass=p2&db=1", "a://:***@h unix:///s?pass=***&db=1"),
            ("unix:///s?pass=a://v:p@h", "unix:///s?pass=***"),
        ] {
            assert_eq!(without_passwords(text), shown);
        }
    }
}
