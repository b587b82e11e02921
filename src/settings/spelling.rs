//! "Did you mean …?"

/// Letters to insert, remove, replace or swap with a neighbour to get from one word to the other.
pub(super) fn distance(one: &str, two: &str) -> usize {
    let one: Vec<char> = one.chars().collect();
    let two: Vec<char> = two.chars().collect();
    let mut before_last: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=two.len()).collect();
    for i in 1..=one.len() {
        let mut row = vec![i; two.len() + 1];
        for j in 1..=two.len() {
            let replaced = last[j - 1] + usize::from(one[i - 1] != two[j - 1]);
            row[j] = replaced.min(last[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && one[i - 1] == two[j - 2] && one[i - 2] == two[j - 1] {
                row[j] = row[j].min(before_last[j - 2] + 1);
            }
        }
        before_last = std::mem::replace(&mut last, row);
    }
    last[two.len()]
}

/// The most bytes that a letter has.
const LONGEST_LETTER: usize = 4;

/// The candidate nearest to `word`, if one is near enough to be meant: at most two letters off, and fewer than half.
pub(super) fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // No word that is much longer is near, and comparing letter by letter would take its time.
    let like = candidates.into_iter().filter(|candidate| word.len() <= candidate.len() + 2 * LONGEST_LETTER);
    let near = like.map(|candidate| (distance(word, candidate), candidate));
    let (_, best) = near.filter(|&(far, candidate)| far <= 2 && far * 2 < candidate.len().max(2)).min()?;
    Some(best)
}

/// `; did you mean "…"?`, or nothing.
pub(crate) fn hint<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> String {
    nearest(word, candidates).map_or_else(String::new, |best| format!("; did you mean {best:?}?"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances() {
        for (one, two, expected) in [
            ("", "", 0),
            ("run", "run", 0),
            ("runn", "run", 1),
            ("rnu", "run", 1),
            ("", "abc", 3),
            ("after", "aftre", 1),
        ] {
            assert_eq!(distance(one, two), expected, "{one} {two}");
            assert_eq!(distance(two, one), expected, "{two} {one}");
        }
    }

    #[test]
    fn only_near_words_are_meant() {
        assert_eq!(nearest("runn", ["name", "run"]), Some("run"));
        assert_eq!(nearest("in_progess", ["in_progress", "done"]), Some("in_progress"));
        assert_eq!(nearest("x", ["run", "env"]), None);
        assert_eq!(nearest("command", ["run", "name"]), None);
    }
}
