//! A drawing as DOT, the language of Graphviz.

use std::fmt::Write as _;

use super::{Look, Picture};

pub(super) fn dot(picture: &Picture) -> String {
    let mut text = String::from(
        "digraph policy {\n  rankdir=LR;\n  node [shape=box, style=\"rounded,filled\", fillcolor=white, fontname=\"sans-serif\"];\n  edge [fontname=\"sans-serif\"];\n",
    );
    for (index, node) in picture.boxes.iter().enumerate() {
        let label = quoted(&node.lines.join("\n"));
        _ = writeln!(text, "  n{index} [label={label}{}];", style(node.look));
    }
    for edge in &picture.arrows {
        let label = quoted(&edge.label);
        _ = writeln!(text, "  n{} -> n{} [label={label}];", edge.from, edge.to);
    }
    text.push_str("}\n");
    text
}

const fn style(look: Look) -> &'static str {
    match look {
        Look::Question => "",
        Look::Rules => ", fillcolor=\"#eef3fb\"",
        Look::Nothing => ", fillcolor=\"#f3f3f3\", style=\"rounded,filled,dashed\"",
        Look::Beside => ", fillcolor=\"#fbf3e4\"",
    }
}

/// A text between quotes; what the language takes for a sign is escaped.
fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for character in text.chars() {
        match character {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            character if character.is_control() => quoted.push('\u{fffd}'),
            character => quoted.push(character),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::quoted;

    #[test]
    fn signs_of_the_language_are_escaped() {
        for (text, expected) in [
            ("plain", r#""plain""#),
            ("a \"b\" \\N", r#""a \"b\" \\N""#),
            ("two\nlines", r#""two\nlines""#),
            ("bell\u{7}", "\"bell\u{fffd}\""),
        ] {
            assert_eq!(quoted(text), expected);
        }
    }
}
