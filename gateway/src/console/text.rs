//! What others wrote, fit to be shown.

use provost_engine::reason;

/// Text in which nothing hides: control characters, and those that turn the direction of what follows, stand as escapes such as
/// `\u{1b}`; line ends and tabs stay.
///
/// For terminals, which obey control characters, and for whoever decides by what they read ("Trojan Source").
#[must_use]
pub fn visible(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        if is_hidden(character) {
            shown.extend(character.escape_unicode());
        } else {
            shown.push(character);
        }
    }
    shown
}

/// Whether a reader would not see it, or not where it stands.
fn is_hidden(character: char) -> bool {
    !matches!(character, '\n' | '\t') && reason::is_hidden(character)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_hides() {
        let cases = [
            ("SELECT 1\n\tFROM t", "SELECT 1\n\tFROM t"),
            ("a\x1b[2Jb", "a\\u{1b}[2Jb"),
            ("a\rb\u{7f}\u{9b}0m", "a\\u{d}b\\u{7f}\\u{9b}0m"),
            (
                "x\u{202e}y\u{2066}\u{200b}",
                "x\\u{202e}y\\u{2066}\\u{200b}",
            ),
            ("Zoë 日本 עברית", "Zoë 日本 עברית"),
        ];
        for (text, expected) in cases {
            assert_eq!(visible(text), expected);
        }
    }
}
