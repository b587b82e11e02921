//! Names of sites and apps, as far as they can be told from something else.

use std::fmt;

/// No name is longer; a path has to hold it.
const LONGEST: usize = 140;

/// What stands beside the sites on the volume, and what bench takes for all of them.
const RESERVED: &[&str] =
    &["all", "archived", "apps.json", "apps.txt", "assets", "common_site_config.json", "currentsite.txt"];

/// A site: the name of its directory.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) struct SiteName(String);

impl SiteName {
    pub(super) fn parse(text: &str) -> Result<SiteName, String> {
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        let starts_well = text.starts_with(|c: char| c.is_ascii_alphanumeric());
        if !starts_well || !text.chars().all(is_plain) || text.len() > LONGEST {
            return Err(format!("{text:?} is no name of a site; letters, digits, '.', '_' and '-' are allowed"));
        }
        if RESERVED.contains(&text) {
            return Err(format!("{text:?} cannot be a site: the name means something else to bench"));
        }
        Ok(SiteName(text.to_owned()))
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SiteName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// An app: the name of its Python package.
pub(super) fn parse_app(text: &str) -> Result<String, String> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    let starts_well = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    if starts_well && text.chars().all(is_plain) && text.len() <= LONGEST {
        return Ok(text.to_owned());
    }
    Err(format!("{text:?} is no name of an app; letters, digits, '_' and '-' are allowed"))
}

/// The words of a list that is separated by spaces or commas, each once.
pub(super) fn words(text: &str) -> Vec<&str> {
    let mut seen: Vec<&str> = Vec::new();
    for word in text.split([' ', ',', '\t', '\n', '\r']).filter(|word| !word.is_empty()) {
        if !seen.contains(&word) {
            seen.push(word);
        }
    }
    seen
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sites_are_directories_that_mean_nothing_else() {
        for name in ["erp.example.com", "a", "site1", "A-b_c.localhost"] {
            assert_eq!(SiteName::parse(name).unwrap().as_str(), name);
        }
        for name in ["", ".", "..", ".hidden", "-x", "a/b", "a b", "assets", "all", "a:b", "ä", &"a".repeat(141)] {
            assert!(SiteName::parse(name).is_err(), "{name}");
        }
    }

    #[test]
    fn apps_are_packages() {
        assert!(["frappe", "erpnext", "india_compliance", "helpdesk2"].iter().all(|name| parse_app(name).is_ok()));
        assert!(["", "--force", "a b", "a/b", "1a", "a.b"].iter().all(|name| parse_app(name).is_err()));
    }

    #[test]
    fn lists_are_separated_by_spaces_or_commas() {
        assert_eq!(words(" a, b,,c\na "), ["a", "b", "c"]);
        assert_eq!(words(" , "), Vec::<&str>::new());
    }
}
