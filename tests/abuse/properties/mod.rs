//! What holds of any input at all. Each property takes bytes, so that chance (`campaign`) and a fuzzer that watches the code
//! (`tests/fuzz`) can look for what breaks it; it panics where it does not hold.

pub(crate) mod marker;
pub(crate) mod plan;
pub(crate) mod reply;
pub(crate) mod settings;
pub(crate) mod url;

/// A secret that input can hold. Nothing that is shown may.
pub(crate) const TOKEN: &str = "hunter2-of-the-abuse";

/// Whether `text` has [`TOKEN`] nowhere but as the password of a URL. Anywhere else nobody can know it for one.
pub(crate) fn is_password_alone(text: &str) -> bool {
    text.match_indices(TOKEN).all(|(at, token)| {
        let user = text[..at].strip_suffix(':').and_then(|before| before.rsplit_once("://"));
        let is_user = user.is_some_and(|(_, user)| user.bytes().all(|byte| byte.is_ascii_alphanumeric()));
        is_user && text[at + token.len()..].starts_with('@')
    })
}

/// A message for people: a sentence without the secret.
#[track_caller]
pub(crate) fn is_message(text: &str, longest: usize) {
    assert!(!text.contains(TOKEN), "the secret is shown: {text}");
    is_sentence(text, longest);
}

/// Not empty, one line, of bounded length, and without what would move a terminal's cursor. None of ours wants more than
/// a line; `Problem::render` puts several of them one below another.
#[track_caller]
pub(crate) fn is_sentence(text: &str, longest: usize) {
    assert!(!text.trim().is_empty(), "an empty message");
    assert!(!text.contains(char::is_control), "what a terminal obeys, or a second line: {text:?}");
    assert!(text.chars().count() <= longest, "{} characters: {}…", text.chars().count(), text.get(..200).unwrap_or(""));
}
