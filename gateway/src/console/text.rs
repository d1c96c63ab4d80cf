//! What others wrote, fit to be shown.

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

/// Whether it moves the cursor, colours, turns, joins or vanishes.
fn is_hidden(character: char) -> bool {
    match character {
        '\n' | '\t' => false,
        '\u{ad}'
        | '\u{61c}'
        | '\u{180e}'
        | '\u{200b}'..='\u{200f}'
        | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}'
        | '\u{feff}'
        | '\u{fff9}'..='\u{fffb}'
        | '\u{e0000}'..='\u{e007f}' => true,
        other => other.is_control(),
    }
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
