//! Fuzzy matching: are the characters of the query in the text, in order, and how well.

/// A match: how good it is, and at which characters of the text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Match {
    pub score: i32,
    pub at: Vec<usize>,
}

/// For a character at the begin of a word, and for one that follows the one matched before it.
const WORD_START: i32 = 8;
const CONSECUTIVE: i32 = 8;
/// For a match at the very begin.
const BEGIN: i32 = 6;

/// The best way to find `query` in `text` as a subsequence; case and blanks of the query do not matter.
/// `None` if it is not in there.
pub fn fuzzy(query: &str, text: &str) -> Option<Match> {
    let query: Vec<char> = lowercase(query).filter(|c| *c != ' ').collect();
    let text: Vec<char> = lowercase(text).collect();
    if !is_subsequence(&query, &text) {
        return None;
    }
    // Every begin is tried and then followed greedily: close to the best, and linear for short texts.
    let begins = (0..text.len()).filter(|begin| query.first() == text.get(*begin));
    let best = begins
        .filter_map(|begin| greedy(&query, &text, begin))
        .max_by_key(|found| found.score);
    best.or(query.is_empty().then_some(Match {
        score: 0,
        at: Vec::new(),
    }))
}

/// One character for one: places in the lowercase text are places in the text.
fn lowercase(text: &str) -> impl Iterator<Item = char> {
    text.chars().map(|c| c.to_lowercase().next().unwrap_or(c))
}

fn is_subsequence(query: &[char], text: &[char]) -> bool {
    let mut rest = text.iter();
    query.iter().all(|wanted| rest.any(|c| c == wanted))
}

fn greedy(query: &[char], text: &[char], begin: usize) -> Option<Match> {
    let mut at: Vec<usize> = Vec::with_capacity(query.len());
    let mut score = if begin == 0 { BEGIN } else { 0 };
    let mut next = begin;
    for wanted in query {
        let follows = |place: &usize| at.last().is_some_and(|last| last + 1 == *place);
        let candidates = || (next..text.len()).filter(|place| text[*place] == *wanted);
        // A direct neighbour, or else the begin of a word, or else the nearest.
        let place = candidates()
            .next()
            .filter(follows)
            .or_else(|| candidates().find(|place| is_word_start(text, *place)))
            .or_else(|| candidates().next())?;
        score += if follows(&place) { CONSECUTIVE } else { 0 };
        score += if is_word_start(text, place) {
            WORD_START
        } else {
            0
        };
        score -= i32::from(!at.is_empty() && !follows(&place));
        at.push(place);
        next = place + 1;
    }
    // Of two equal matches the shorter text is meant.
    score -= i32::try_from(text.len() / 8).unwrap_or(i32::MAX).min(8);
    Some(Match { score, at })
}

fn is_word_start(text: &[char], place: usize) -> bool {
    text[place].is_alphanumeric() && (place == 0 || !text[place - 1].is_alphanumeric())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn best<'a>(query: &str, texts: &[&'a str]) -> Option<&'a str> {
        let scored = texts
            .iter()
            .filter_map(|text| fuzzy(query, text).map(|found| (found.score, *text)));
        scored.max_by_key(|(score, _)| *score).map(|(_, text)| text)
    }

    #[test]
    fn word_starts_and_runs_win() {
        assert_eq!(
            best("rf", &["write_file", "read_file", "perform"]),
            Some("read_file")
        );
        assert_eq!(best("zoom", &["zoom-in", "zoom", "z-o-o-m"]), Some("zoom"));
        assert_eq!(best("quit", &["quiet item", "quit"]), Some("quit"));
        assert_eq!(
            best("new ses", &["new-session", "newest"]),
            Some("new-session")
        );
    }

    #[test]
    fn all_characters_are_needed_in_order() {
        assert_eq!(fuzzy("ba", "ab"), None);
        assert_eq!(fuzzy("", "ab").map(|found| found.score), Some(0));
        assert_eq!(fuzzy("É", "café").map(|found| found.at), Some(vec![3]));
        assert_eq!(fuzzy("x", ""), None);
    }
}
