//! What is new of a stream of which only the end is ever shown.

/// The last that was shown.
#[derive(Default)]
pub struct Preview(String);

/// What has come since.
#[derive(Debug, PartialEq, Eq)]
pub struct News {
    pub text: String,
    /// Something between the last that was shown and this is not known.
    pub is_gap: bool,
}

impl Preview {
    /// Compares with what was shown before: the longest end of that which this begins with was seen already.
    pub fn news(&mut self, shown: &str) -> News {
        let before = std::mem::replace(&mut self.0, shown.to_owned());
        if before.is_empty() || shown == before {
            let text = if shown == before { "" } else { shown };
            return News {
                text: text.to_owned(),
                is_gap: false,
            };
        }
        let ends = before.char_indices().map(|(at, _)| &before[at..]);
        let mut seen = ends.filter(|end| shown.starts_with(end));
        match seen.next() {
            Some(end) => News {
                text: shown[end.len()..].to_owned(),
                is_gap: false,
            },
            None => News {
                text: shown.to_owned(),
                is_gap: true,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(previews: &[&str]) -> (String, usize) {
        let mut seen = Preview::default();
        let news: Vec<News> = previews.iter().map(|shown| seen.news(shown)).collect();
        let gaps = news.iter().filter(|news| news.is_gap).count();
        (news.into_iter().map(|news| news.text).collect(), gaps)
    }

    #[test]
    fn each_part_is_told_once() {
        assert_eq!(
            all(&["", "a\n", "a\n", "a\nb\n", "a\nb\nb\n"]),
            ("a\nb\nb\n".into(), 0)
        );
        // Its beginning has been dropped meanwhile.
        assert_eq!(
            all(&["one\ntwo\n", "two\nthree\n", "ee\nfour\n"]),
            ("one\ntwo\nthree\nfour\n".into(), 0)
        );
        assert_eq!(all(&["über\n", "er\nü\n"]), ("über\nü\n".into(), 0));
    }

    #[test]
    fn what_is_missing_is_told() {
        assert_eq!(all(&["one\n", "five\n"]), ("one\nfive\n".into(), 1));
        // What runtimes since 0.5 make of a burst.
        assert_eq!(all(&["one\n", "", "two\n"]), ("one\ntwo\n".into(), 1));
    }
}
