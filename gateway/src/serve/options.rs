//! Settings asked for at start-up: as parameters, or in `options` as a server's command line would be written.
//!
//! Each is later decided as `SET name TO 'value'` would be (ruling 6), so a name must be one that SET can say.

use super::farewell::fatal;
use crate::judge::Fatal;

/// A setting's longest name, in bytes: PostgreSQL's identifiers.
const NAME_BYTES_MAX: usize = 63;

/// Words of a start-up message that are no settings: as one, each would be what the server connects by.
///
/// # Source
/// PostgreSQL 18, `ProcessStartupPacket` in `src/backend/tcop/backend_startup.c`.
const START_UP_WORDS: [&str; 4] = ["user", "database", "options", "replication"];
/// What names of protocol options begin with.
const PROTOCOL_OPTION: &str = "_pq_.";

/// A setting with the value asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Setting {
    /// Its name, lower case.
    pub(crate) name: String,
    /// The value, as the client wrote it.
    pub(crate) value: String,
}

/// Adds a setting.
pub(crate) fn add(settings: &mut Vec<Setting>, name: &str, value: &str) -> Result<(), Fatal> {
    let lower = name.to_ascii_lowercase();
    if !is_name(&lower) {
        return Err(fatal(
            "42601",
            format!("`{}` is not the name of a setting", shown(name)),
        ));
    }
    if START_UP_WORDS.contains(&lower.as_str()) || lower.starts_with(PROTOCOL_OPTION) {
        return Err(fatal(
            "42704",
            format!("unrecognized configuration parameter \"{lower}\""),
        ));
    }
    if settings.iter().any(|setting| setting.name == lower) {
        return Err(fatal(
            "08P01",
            format!("setting `{lower}` is given twice at start-up: give it once"),
        ));
    }
    settings.push(Setting {
        name: lower,
        value: value.to_owned(),
    });
    Ok(())
}

/// Adds the settings of an `options` value: `-c name=value`, `-cname=value` and `--name=value`; every other switch is refused.
///
/// # Source
/// PostgreSQL's `pg_split_opts` (white space separates, a backslash takes the next character as it is) and
/// `ParseLongOption` (`-` in a name is `_`).
pub(crate) fn read(options: &str, settings: &mut Vec<Setting>) -> Result<(), Fatal> {
    let mut words = split(options).into_iter();
    while let Some(word) = words.next() {
        let assignment = if word == "-c" || word == "--" {
            words.next()
        } else {
            word.strip_prefix("--")
                .or_else(|| word.strip_prefix("-c"))
                .map(str::to_owned)
        };
        let Some((name, value)) = assignment
            .as_deref()
            .and_then(|assignment| assignment.split_once('='))
        else {
            return Err(fatal(
                "42501",
                format!(
                    "`{}` in the start-up parameter `options` is refused: only `-c name=value` is accepted",
                    shown(&word)
                ),
            ));
        };
        add(settings, &name.replace('-', "_"), value)?;
    }
    Ok(())
}

fn split(options: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut characters = options.chars();
    while let Some(character) = characters.next() {
        // What C's isspace calls white space.
        if matches!(character, ' ' | '\t' | '\n' | '\x0b' | '\x0c' | '\r') {
            words.extend(word.take());
            continue;
        }
        let word = word.get_or_insert_default();
        match character {
            '\\' => word.extend(characters.next()),
            other => word.push(other),
        }
    }
    words.extend(word);
    words
}

/// `name` or `prefix.name`, in the characters that SET takes unquoted.
fn is_name(name: &str) -> bool {
    let is_word = |word: &str| {
        word.starts_with(|first: char| first.is_ascii_lowercase() || first == '_')
            && word
                .chars()
                .all(|each| each.is_ascii_lowercase() || each.is_ascii_digit() || each == '_')
    };
    name.len() <= NAME_BYTES_MAX && name.split('.').count() <= 2 && name.split('.').all(is_word)
}

/// A client's word for a message: short, and on one line.
fn shown(word: &str) -> String {
    word.chars()
        .take(NAME_BYTES_MAX)
        .flat_map(char::escape_debug)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::read;

    fn check(options: &str, expected: &str) {
        let mut settings = Vec::new();
        let found = match read(options, &mut settings) {
            Ok(()) => settings
                .iter()
                .map(|setting| format!("[{}={}]", setting.name, setting.value))
                .collect::<String>(),
            Err(fatal) => format!("{} {}", fatal.sqlstate, fatal.message),
        };
        assert!(found.starts_with(expected), "{found}\nexpected {expected}");
    }

    #[test]
    fn switches_are_read_as_a_server_reads_them() {
        check("", "");
        check("  ", "");
        check("-c work_mem=1MB", "[work_mem=1MB]");
        check("-cwork_mem=1MB", "[work_mem=1MB]");
        check(
            "--work-mem=1MB\t-c Search_Path=a,b",
            "[work_mem=1MB][search_path=a,b]",
        );
        check(r"-c search_path=a,\ b", "[search_path=a, b]");
        check(r"-c search_path=a\\b", r"[search_path=a\b]");
        check(r"-c a=b\", "[a=b]");
        check("-c a=b=c", "[a=b=c]");
        check("-c a=", "[a=]");
        check("-c provost.x=1", "[provost.x=1]");
    }

    #[test]
    fn everything_else_is_refused() {
        for options in [
            "-c", "-c a", "--", "-d 5", "-B 10", "a=b", "-ca", "--a", "-- ", "-S", "\\",
        ] {
            check(options, "42501 `");
        }
        for options in [
            "-c =x",
            "-c 1a=x",
            "-c a;b=x",
            "-c a.b.c=x",
            "-c a\"b=x",
            "-c é=x",
            "--a.=x",
        ] {
            check(options, "42601 `");
        }
        check("-c a=1 -c A=2", "08P01 setting `a` is given twice");
        check(&format!("-c {}=x", "a".repeat(64)), "42601 `");
    }
}
