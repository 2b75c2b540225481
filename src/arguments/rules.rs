//! Whether a text or a number is one that a schema allows.

use super::json_text::check;
use super::schema::{Bound, NumberRule, TextRule};

impl TextRule {
    /// What is wrong with `text`, if anything is.
    pub fn error(&self, text: &str) -> Option<String> {
        let length = text.chars().count();
        let characters = |n: usize| format!("{n} character{}", if n == 1 { "" } else { "s" });
        if length < self.shortest {
            return Some(format!("at least {}", characters(self.shortest)));
        }
        if let Some(longest) = self.longest.filter(|longest| length > *longest) {
            return Some(format!("at most {}", characters(longest)));
        }
        let pattern = self.pattern.as_ref()?;
        (!pattern.is_match(text)).then(|| format!("does not match {pattern}"))
    }
}

impl NumberRule {
    /// What is wrong with `text`, if anything is.
    pub fn error(&self, text: &str) -> Option<String> {
        if text.is_empty() {
            return Some("empty: type digits, or omit it".to_owned());
        }
        if !is_number(text) {
            return Some(
                if self.integer {
                    "not an integer"
                } else {
                    "not a number"
                }
                .to_owned(),
            );
        }
        if self.integer && !is_integer(text) {
            return Some("not an integer".to_owned());
        }
        let below = self.least.as_ref().filter(|least| {
            let order = compare(text, least);
            order.is_lt() || (least.exclusive && order.is_eq())
        });
        if let Some(least) = below {
            let than = if least.exclusive {
                "more than"
            } else {
                "at least"
            };
            return Some(format!("{than} {}", least.text));
        }
        let above = self.most.as_ref().filter(|most| {
            let order = compare(text, most);
            order.is_gt() || (most.exclusive && order.is_eq())
        })?;
        let than = if above.exclusive {
            "less than"
        } else {
            "at most"
        };
        Some(format!("{than} {}", above.text))
    }
}

/// Exact for integers that fit 128 bits.
fn compare(text: &str, bound: &Bound) -> std::cmp::Ordering {
    if let (Ok(number), Ok(bound)) = (text.parse::<i128>(), bound.text.parse::<i128>()) {
        return number.cmp(&bound);
    }
    let number: f64 = text.parse().unwrap_or(f64::NAN);
    number
        .partial_cmp(&bound.value)
        .unwrap_or(std::cmp::Ordering::Equal)
}

/// Whether it is a number by JSON's grammar (RFC 8259, section 6), of any size.
pub fn is_number(text: &str) -> bool {
    text.starts_with(|c: char| c == '-' || c.is_ascii_digit()) && check(text).is_ok()
}

/// A JSON number without a fraction: `1.0` and `1e3` are integers to JSON Schema.
fn is_integer(text: &str) -> bool {
    if !text.contains(['.', 'e', 'E']) {
        return true;
    }
    let number: f64 = text.parse().unwrap_or(f64::NAN);
    number.is_infinite() || number.fract() == 0.0
}
