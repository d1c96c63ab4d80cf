//! What a server answers, read: `testdata/things.answer` is what PostgreSQL 15 gives over `testdata/things.sql`.

use std::fmt::Write as _;

use expect_test::expect_file;
use serde_json::Value;

use super::{file::to_file, *};

const THINGS: &[u8] = include_bytes!("testdata/things.answer");

/// What is not the server's own, in words.
fn shown(catalog: &Catalog) -> String {
    let mut text = String::new();
    let called = |oid: u32| match catalog.called(oid) {
        Some(Called::Users(function)) => function.name.to_string(),
        Some(Called::Server(name)) => format!("pg_catalog.{name}"),
        None => "nothing".to_owned(),
    };
    let mut relations: Vec<_> = catalog.relations().filter(|one| !one.is_system()).collect();
    relations.sort_by_key(|one| one.oid);
    for one in relations {
        let columns: Vec<_> = one.attributes.iter().map(column).collect();
        let _ = writeln!(text, "{:?} {:?} {:?}", one.kind, one.name, columns);
        for (what, shown) in [
            ("keys", format!("{:?}", one.unique_keys)),
            ("indexes", format!("{:?}", one.indexes)),
            ("definition", format!("{:?}", one.definition)),
            ("writes", format!("{:?}", one.write_expressions)),
            (
                "row security",
                format!("{:?} {:?}", one.row_security, one.policies),
            ),
            ("rules", format!("{:?}", one.rules)),
            ("cascades", one.cascades.len().to_string()),
        ] {
            let _ = writeln!(text, "  {what}: {shown}");
        }
        for trigger in &one.triggers {
            let calls = called(trigger.function);
            let (timing, row) = (trigger.timing(), trigger.is_for_each_row());
            let Trigger {
                name,
                columns,
                new_table,
                definition,
                ..
            } = trigger;
            let _ = writeln!(
                text,
                "  trigger {name}: {timing:?}, each row {row}, of {columns:?}, new {new_table:?}, calls {calls}, {definition:?}"
            );
        }
    }
    let mut functions: Vec<_> = catalog.functions().collect();
    functions.sort_by_key(|one| one.oid);
    for one in functions {
        let arguments: Vec<_> = one
            .arguments
            .iter()
            .map(|argument| {
                format!(
                    "{:?} {:?} {} {:?}",
                    argument.mode, argument.name, argument.type_oid, argument.default
                )
            })
            .collect();
        let body = match &one.body {
            Body::Aggregate(parts) => format!(
                "calls {:?}",
                parts.iter().map(|oid| called(*oid)).collect::<Vec<_>>()
            ),
            other => format!("{other:?}"),
        };
        let _ = writeln!(
            text,
            "{:?} {} in {:?}: {:?}{}{}{} {:?} {arguments:?}\n  {body}",
            one.kind,
            one.name,
            one.language,
            one.volatility,
            if one.strict { " strict" } else { "" },
            if one.security_definer { " definer" } else { "" },
            if one.returns_set { " set" } else { "" },
            one.settings,
        );
    }
    for name in ["===", "===="] {
        for one in catalog.operators_named(name) {
            let _ = writeln!(
                text,
                "operator {name} {} {}: {}, trusted {}",
                one.left,
                one.right,
                called(one.function),
                one.trusted
            );
        }
    }
    for one in catalog.casts() {
        let _ = writeln!(
            text,
            "cast {:?}: {}, trusted {}",
            one.context,
            called(one.function),
            one.trusted
        );
    }
    for one in catalog.event_triggers() {
        let _ = writeln!(
            text,
            "event trigger {} on {} {:?}: {}",
            one.name,
            one.event,
            one.tags,
            called(one.function)
        );
    }
    for name in ["short", "span"] {
        for one in catalog.types_named(name) {
            let support: Vec<_> = one.support.iter().map(|oid| called(*oid)).collect();
            let _ = writeln!(
                text,
                "type {name} {:?}: {:?}, constrained {}, support {support:?}",
                one.kind, one.checks, one.constrained
            );
        }
    }
    let _ = writeln!(
        text,
        "temporary schema {:?}",
        catalog
            .temp_schema()
            .map(|name| name.starts_with("pg_temp_"))
    );
    text
}

fn column(one: &Attribute) -> String {
    let mut words = format!("{} {}", one.number, one.name);
    for (holds, word) in [
        (one.not_null, " not-null"),
        (one.constrained, " constrained"),
        (one.generated, " generated"),
    ] {
        words.push_str(if holds { word } else { "" });
    }
    if let Some(default) = &one.default {
        let _ = write!(words, " = {default}");
    }
    words
}

#[test]
fn everything_that_runs_is_known() {
    let catalog = Catalog::from_answer(THINGS).unwrap();
    expect_file!["testdata/things.txt"].assert_eq(&shown(&catalog));
    let base = catalog.relation_named("public", "base").unwrap();
    assert_eq!(
        catalog.index_table("public", "base_at").unwrap().oid,
        base.oid
    );
    assert!(catalog.index_table("public", "base").is_none());
    assert!(catalog.relation_named("pg_temp", "mine").is_some());
    assert_eq!(catalog.functions_named("plain")[0].defaults_count(), 1);
    assert_eq!(catalog.operator_schemas("==="), ["public".into()]);
}

/// The answer with this field changed: `attributes` is what stands behind the JSON.
fn with(field: &str, change: impl FnOnce(&mut Value)) -> Vec<u8> {
    let mut values = serde_json::Deserializer::from_slice(THINGS).into_iter();
    let mut answer: Value = values.next().unwrap().unwrap();
    let behind = str::from_utf8(&THINGS[values.byte_offset()..]).unwrap();
    let lines = behind.strip_prefix('\n').unwrap();
    let mut lines = lines.strip_suffix("\n.").unwrap().into();
    change(match field {
        "attributes" => &mut lines,
        _ => &mut answer[field],
    });
    format!("{answer}\n{}\n.", lines.as_str().unwrap()).into_bytes()
}

fn version(answer: &[u8]) -> CatalogVersion {
    Catalog::from_answer(answer).unwrap().version()
}

#[test]
fn a_catalog_s_own_file_gives_it_back() {
    let catalog = Catalog::from_answer(THINGS).unwrap();
    let text = catalog.to_text().unwrap();
    let back = Catalog::from_file(&text).unwrap();
    assert_eq!(shown(&back), shown(&catalog));
    assert_eq!(back.to_text().unwrap(), text);
    // Its temporary schema was given a name that all such have.
    assert_eq!(Catalog::from_file(&text).unwrap().version(), back.version());
}

#[test]
fn a_version_is_of_the_content_alone() {
    let known = version(THINGS);
    for field in [
        "relations",
        "attributes",
        "indexes",
        "foreign_keys",
        "types",
        "parents",
        "checked",
    ] {
        let turned = with(field, |lines| {
            // No name in these has a line's end but the odd table's.
            let text = lines
                .as_str()
                .unwrap()
                .replace("odd\ntable", "odd\u{1}table")
                .replace("line\nbreak", "line\u{1}break");
            let turned: Vec<&str> = text.lines().rev().collect();
            *lines = turned.join("\n").replace('\u{1}', "\n").into();
        });
        assert_eq!(version(&turned), known, "{field}");
    }
    let renamed = with("attributes", |lines| {
        *lines = lines
            .as_str()
            .unwrap()
            .replace(" 5 value", " 5 vague")
            .into();
    });
    assert_ne!(version(&renamed), known);
    assert_ne!(
        version(&with("functions", |list| drop(
            list.as_array_mut().unwrap().pop()
        ))),
        known
    );
}

#[test]
fn definitions_that_come_later_make_the_same_catalog() {
    let whole = Catalog::from_answer(THINGS).unwrap();
    let outline = Catalog::from_answer(&with("views", |lines| *lines = Value::Null)).unwrap();
    let view = outline.relation_named("public", "shown").unwrap();
    assert!(view.lacks_definition());
    assert!(outline.defined().is_empty());
    assert_ne!(outline.version(), whole.version());

    let definition = whole
        .relation(view.oid)
        .unwrap()
        .definition
        .clone()
        .unwrap();
    let line = |oid: u32, mark: u32| {
        let names = called(&outline, oid, &[("public", "base")]);
        let line = format!("{oid} {mark} {} {definition}", definition.len());
        [names.clone(), line.into_bytes(), names]
    };
    let mark = view.definition_mark.unwrap();
    let defined = outline.with_definitions(&line(view.oid, mark)).unwrap();
    assert_eq!(defined.version(), whole.version());
    assert_eq!(shown(&defined), shown(&whole));
    assert_eq!(defined.defined(), BTreeSet::from([view.oid]));
    assert_eq!(
        defined
            .relation_named("public", "shown")
            .unwrap()
            .definition
            .as_ref(),
        Some(&definition)
    );

    // What is not this catalog's is left out.
    for other in [
        line(view.oid, mark + 1),
        line(view.oid + 1, mark),
        [Vec::new(), Vec::new(), Vec::new()],
    ] {
        let same = outline.with_definitions(&other).unwrap();
        assert_eq!(same.version(), outline.version(), "{other:?}");
        assert!(same.defined().is_empty());
    }
    for broken in ["1", "1 2", "1 2 5 abc", "x 2 3 abc"] {
        let [before, _, after] = line(view.oid, mark);
        let read = outline.with_definitions(&[before, broken.into(), after]);
        assert!(
            matches!(
                read,
                Err(Error::Line {
                    section: "definitions"
                })
            ),
            "{broken}"
        );
    }
    for broken in [
        "q 1",
        "u 1",
        "u 1 r",
        "u x r 1",
        "u 1 q 2",
        "n r 1",
        "n r 1 5 abc",
        "n x 1 3 abc",
        "n rr 1 3 abc",
    ] {
        for at in [0, 2] {
            let mut answer = line(view.oid, mark);
            answer[at] = broken.into();
            let read = outline.with_definitions(&answer);
            assert!(
                matches!(read, Err(Error::Line { section: "names" })),
                "{broken}"
            );
        }
    }
    assert!(
        outline
            .with_definitions(&line(view.oid, mark)[..2])
            .is_err()
    );
}

/// What the server says of the names in a view's text: its own, and those of these relations.
fn called(catalog: &Catalog, view: u32, relations: &[(&str, &str)]) -> Vec<u8> {
    let own = catalog.relation(view).into_iter();
    let others = relations.iter();
    let others = others.map(|(schema, name)| catalog.relation_named(schema, name).unwrap());
    let lines: Vec<String> = own
        .chain(others)
        .map(|one| {
            let mut called = format!("{}:{}", one.schema.len(), one.schema);
            let _ = write!(called, "{}:{}", one.name.len(), one.name);
            for column in &one.attributes {
                let _ = write!(
                    called,
                    "|{}:{}:{}",
                    column.number,
                    column.name.len(),
                    column.name
                );
            }
            format!(
                "u {view} r {0}\nn r {0} {1} {called}",
                one.oid,
                called.len()
            )
        })
        .collect();
    lines.join("\n").into_bytes()
}

#[test]
fn a_definition_is_one_only_where_everything_is_called_so() {
    let outline = Catalog::from_answer(&with("views", |lines| *lines = Value::Null)).unwrap();
    let view = outline.relation_named("public", "shown").unwrap();
    let mark = view.definition_mark.unwrap();
    let line = |names: &str| {
        let own = String::from_utf8(called(&outline, view.oid, &[])).unwrap();
        let names = format!("{own}\n{names}").into_bytes();
        let text = format!("{} {mark} 8 SELECT 1", view.oid).into_bytes();
        [names.clone(), text, names]
    };
    let is_taken = |answer: &[Vec<u8>]| {
        let catalog = outline.with_definitions(answer).unwrap();
        !catalog.defined().is_empty()
    };
    let base = outline.relation_named("public", "base").unwrap().oid;
    let function = outline.functions_named("plain")[0].oid;
    let operator = outline.operators_named("===")[0].oid;
    let mood = outline.types_named("mood")[0].oid;
    let called = |sort: char, oid: u32, name: &str| {
        let length = name.chars().count();
        format!(
            "u {} {sort} {oid}\nn {sort} {oid} {length} {name}",
            view.oid
        )
    };
    let columns = "|1:2:id|2:5:value|3:2:at|4:4:loud";
    let of_base = format!("6:public4:base{columns}");
    let taken = line(&called('r', base, &of_base));
    for (sort, oid, name) in [
        ('r', base, &*of_base),
        ('f', function, "6:public5:plain"),
        ('o', operator, "6:public3:==="),
        ('t', mood, "6:public4:mood"),
    ] {
        assert!(is_taken(&line(&called(sort, oid, name))), "{name}");
        let otherwise = [
            called(sort, oid, &name.replace("public", "secret")),
            called(sort, oid, &name.replace(['a', '='], "q")),
            called(sort, oid, &name.replace("oo", "qq")),
            // What this catalog knows nothing of.
            called(sort, 9, name),
            // What is joined by name may need other names where there is another column.
            called(sort, oid, &format!("{name}|5:1:a")),
            // The server calls it otherwise by now.
            called(sort, oid, &format!("{name}!")),
            format!("u {} {sort} {oid}", view.oid),
        ];
        for changed in otherwise
            .iter()
            .filter(|one| **one != called(sort, oid, name))
        {
            assert!(!is_taken(&line(changed)), "{changed}");
            // It was called so before, or after.
            for at in [0, 2] {
                let mut torn = line(&called(sort, oid, name));
                torn[at] = line(changed)[0].clone();
                assert!(!is_taken(&torn), "{changed}");
                torn[at].clear();
                assert!(!is_taken(&torn), "{changed}");
            }
        }
    }

    // What would be the same text is taken along, from one to the next.
    let defined = outline.with_definitions(&taken).unwrap();
    let again = outline.clone().with_definitions_of(&defined);
    let again = outline.clone().with_definitions_of(&again);
    assert_eq!(again.version(), defined.version());
    assert_eq!(again.defined(), BTreeSet::from([view.oid]));
    for (field, was, is) in [
        ("relations", " 4 base", " 4 bass"),
        ("attributes", " 5 value", " 5 vague"),
        ("view_marks", " ", " 1"),
    ] {
        let renamed = with(field, |lines| {
            *lines = lines.as_str().unwrap().replace(was, is).into();
        });
        let renamed = Catalog::from_answer(&renamed).unwrap();
        let taken = renamed.with_definitions_of(&defined).deparsed;
        assert!(taken.is_empty(), "{field}");
    }
    // An enum's label may be another one, and no catalog tells.
    let label = format!("u {} x {mood}", view.oid);
    let spoken = outline.with_definitions(&line(&label)).unwrap();
    assert_eq!(spoken.defined(), BTreeSet::from([view.oid]));
    assert!(outline.with_definitions_of(&spoken).defined().is_empty());
}

#[test]
fn a_definition_by_names_of_another_moment_is_none() {
    let whole = Catalog::from_answer(THINGS).unwrap();
    let oid = whole.relation_named("public", "shown").unwrap().oid;
    let torn = with("torn", |views| *views = serde_json::json!([oid]));
    let torn = Catalog::from_answer(&torn).unwrap();
    assert!(torn.relation(oid).unwrap().lacks_definition());
    assert_ne!(torn.version(), whole.version());
}

#[test]
fn the_question_takes_numbers_of_views() {
    assert_eq!(DEFINITIONS_QUERY.matches("'{}'").count(), 3);
    assert_eq!(for_views(&BTreeSet::new()), DEFINITIONS_QUERY);
    let about = for_views(&BTreeSet::from([7, 4_294_967_295]));
    assert_eq!(
        about.matches("'{7,4294967295}'::pg_catalog.oid[]").count(),
        3
    );
}

#[test]
fn a_file_holds_the_same() {
    let (text, catalog) = to_file(THINGS).unwrap();
    let read = Catalog::from_file(&text).unwrap();
    assert_eq!(read.version(), catalog.version());
    assert_eq!(shown(&read), shown(&catalog));
    assert!(file::is_file(&text));
    assert!(!file::is_file("-- a schema\nCREATE TABLE t ();"));
    let newer = text.replacen("\"provost_catalog\": 1", "\"provost_catalog\": 9", 1);
    assert!(matches!(
        Catalog::from_file(&newer),
        Err(Error::Format { format: 9 })
    ));
    assert!(matches!(Catalog::from_file("{}"), Err(Error::File { .. })));
}

#[test]
fn broken_lines_are_refused() {
    for (field, lines) in [
        ("attributes", "1 2"),
        ("attributes", "1 2 3 4 abc"),
        ("attributes", "1 2 3 2 abc"),
        ("attributes", "1 2 3 x abc"),
        ("attributes", "1 99999999 3 3 abc"),
        ("relations", "70000 2200 q 0 0 1 a"),
        ("relations", "70000 1 r 0 0 1 a"),
        ("relations", "70000 2200 r 0 a"),
        ("foreign_keys", "1 2 3 cc a 1 1"),
        ("indexes", "1 1 1 1 a 1 a"),
        ("indexes", "1 1 1 2 1 1 a"),
        ("checked", "1 a"),
        ("partition_keys", "1 a"),
        ("types", "1 2200 z 0 0 1 a"),
        ("types", "1 2200 c 0 0 1 a"),
        ("views", "1 -1 a"),
        ("view_marks", "1 x"),
        ("parents", "1 2"),
    ] {
        let found = Catalog::from_answer(&with(field, |text| *text = lines.into()));
        assert!(
            matches!(found, Err(Error::Line { section }) if section == field),
            "{field}: {lines}"
        );
    }
    // A cut anywhere is no catalog.
    for end in (0..THINGS.len()).step_by(331) {
        assert!(Catalog::from_answer(&THINGS[..end]).is_err(), "{end}");
    }
}

#[test]
fn every_catalog_that_is_read_is_in_the_stamp() {
    let named = |text: &str| -> BTreeSet<String> {
        text.split(|letter: char| !(letter.is_ascii_alphanumeric() || matches!(letter, '_' | '.')))
            .filter_map(|word| word.strip_prefix("pg_catalog."))
            .filter(|word| word.starts_with("pg_"))
            .map(ToOwned::to_owned)
            .collect()
    };
    assert_eq!(named(CATALOG_STATEMENT), named(STAMP_QUERY));
}
